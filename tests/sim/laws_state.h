// What clients and laws keep for one world.
#pragma once
#include "core/conn/conn.h"
#include "tests/sim/clients.h"
#include "tests/sim/cover.h"
#include "tests/sim/laws.h"
#include "tests/sim/ledger.h"
#include "tests/sim/service.h"

enum { LAWS_CONFIG_BYTES = 8192, LAWS_CONNECTIONS_MAX = 4096 };

// What the configuration of this seed says, as far as a law needs it.
struct laws_rules {
    uint32_t handshake_ms, ping_ms, pong_ms, stall_ms, drain_ms, idle_ms, age_ms;
    uint32_t connect_ms, response_ms, kept_ms, failures, lines; // of services
    uint32_t health_ms, health_count; // between two checks, 0: none; in a row that decide
    uint32_t auth_ms, cache_ms; // of the service that is asked who a client is; cache_ms 0: off
    uint32_t message_bytes, queue_bytes, worker_queue_mib, connections;
    bool has_rate, has_address; // few handshakes a second, few connections of an address
    bool is_heavy;              // many clients want large messages back and do not read them
};

// A connection of a worker as the laws have seen it move (laws_conn.c).
struct laws_conn {
    uint64_t since_ms;  // when it came into this state
    uint64_t opened_ms; // when it came to life; 0: nobody saw it, long ago
    uint64_t begun_ms;  // HEAD: when the wait for this head began
    uint8_t state;      // enum conn_state
    uint8_t fault;
    bool is_kept;          // HEAD: a request was answered before
    bool is_since_unknown; // since_ms is later than that: no wait is judged as too short
    uint32_t ends;         // close records since it came to life: at most one
    bool has_settings;
    struct conn_settings settings; // what it was opened with
};

struct laws_worker {
    uint64_t trace_count; // records looked at
    uint64_t turns;
    uint64_t before_ms;           // of the turn before
    uint32_t wait_ms;             // how long that one meant to sleep
    uint64_t excused_ms;          // no deadline counts before: the world has held the worker up
    uint64_t excused_by_ms;       // for so long
    uint32_t over_turns;          // turns in a row above worker_queue with something to shed
    uint64_t released;            // close records
    struct laws_conn *conns;      // by index
    struct laws_servers *servers; // laws_server.c
};

struct worker; // gateway/worker/worker.h

struct laws {
    struct sim *sim;
    char config[LAWS_CONFIG_BYTES];
    struct laws_rules rules;       // the newest that were in order
    struct laws_rules least, most; // of all so far: what a reload may change under a connection
    uint32_t reads, reloads;       // configurations read, and those of them that were in order
    uint32_t reads_seen, site_number_seen, old_sites_seen; // laws_reload.c
    bool is_undisturbed; // no fault is on: what takes long is the gateway's doing
    struct ledger ledger;
    struct services services;
    struct client *clients;
    uint32_t client_count;
    uint32_t ordinary_count; // those behind them are a hostile crowd
    struct laws_worker workers[SIM_WORKERS_MAX];
};

// laws_config.c: what a service is waited for at least, by any configuration so far.
void laws_asks_bound(struct laws *laws);

// laws_conn.c: L4, L6, L7, L8 on each worker, after every event in which it had a turn.
void laws_conn_open(struct laws *laws);
void laws_conn_watch(struct sim *sim, void *context);
void laws_conn_end(struct laws *laws); // nothing is left
void laws_conn_close(struct laws *laws);

// laws_service.c: the same laws for the lines to services, called by laws_conn.c.
void laws_service_turn(struct laws *laws, const struct worker *worker, bool is_timed);
void laws_service_sleep(struct laws *laws, const struct worker *worker);
uint64_t laws_service_queued(const struct worker *worker);     // bytes that wait for services
uint64_t laws_service_remembered(const struct worker *worker); // arena bytes of answers let in
void laws_service_end(struct laws *laws, const struct worker *worker);

// laws_server.c: the law of servers, called by laws_conn.c.
void laws_server_turn(struct laws *laws, const struct worker *worker);
void laws_server_close(struct laws *laws);

// laws_mail.c: no thread sleeps on mail, after every event.
void laws_mail_watch(struct sim *sim, void *context);

// laws_reload.c: what reloads do, after every event.
void laws_reload_open(struct laws *laws); // their signals
void laws_reload_watch(struct sim *sim, void *context);
void laws_reload_end(struct laws *laws);
