// The world of the simulator: one seed, one clock, one queue of events, and the whole gateway
// (control thread and workers) stepped in one thread. Everything that happens is an event with a
// time and a number, drawn from the seed: the same seed gives the same run, byte for byte, which
// the hash over all records shows.
//
//   STORM  events until the budget of steps is spent; faults happen
//   CALM   faults are off (what was stuck moves again): every honest client must finish in time
//   END    the gateway drains and stops; then nothing may be left
//
// After every event each watcher looks (laws). A law that is broken calls sim_fail, which ends the
// process with the seed, the step, and the last records.
#pragma once
#include "core/base/address.h"
#include "core/base/prng.h"
#include "tests/sim/net.h"

#include <stdbool.h>
#include <stdint.h>

// What `tls` of a world's listeners may name.
#define SIM_PEM "pem"

struct process; // gateway/process/process.h
struct worker;  // gateway/worker/worker.h
struct net;     // net.c

enum sim_fault_id {
#define SIM_FAULT(name, rate, text) SIM_FAULT_##name,
#include "tests/sim/fault_menu.h"
#undef SIM_FAULT
    SIM_FAULT_COUNT
};
extern const char *const sim_fault_names[SIM_FAULT_COUNT];

enum sim_phase { SIM_STORM, SIM_CALM, SIM_END };

enum {
    SIM_WORKERS_MAX = 4,
    SIM_LISTENERS_MAX = 2,
    SIM_RECORDS = 1024, // kept for the report
    SIM_WATCHERS_MAX = 32,
    SIM_COVER_MAX = 8192,               // counters that survive the world: see `cover`
    SIM_CROWD = 2400,                   // connections of a hostile crowd, in worlds of law L9
    SIM_ISOLATION_US = 2 * 1000 * 1000, // of virtual time, their storm
    SIM_CALM_US = 120 * 1000 * 1000,    // of virtual time, for honest clients to finish
};

// Who or what a record is about. `a`, `b`, `c` as the kind wants.
enum sim_record_kind {
    SIM_RECORD_NONE,
    SIM_RECORD_TURN,     // a = thread (worker index, worker_count: control), b = wait_ms it wants
    SIM_RECORD_COMPLETE, // a = thread << 24 | ring << 16 | operation, b = slot, c = result
    SIM_RECORD_PREPARE,  // the same for an operation; c = length or 0
    SIM_RECORD_HOP,      // a = connection, b = bytes, c = direction
    SIM_RECORD_NET,      // a = connection, b = enum net_event told to the client
    SIM_RECORD_CLIENT,   // a client's doing: a = client, b and c free
    SIM_RECORD_FAULT,    // a = enum sim_fault_id
    SIM_RECORD_LAW,      // a law's note: free
    SIM_RECORD_LOG,      // a = thread, b = hash of a log line
    SIM_RECORD_KIND_COUNT
};
struct sim_record {
    uint64_t now_us;
    uint32_t step;
    uint32_t kind;
    uint32_t a, b;
    int64_t c;
};

struct sim_options {
    uint64_t seed;
    uint64_t steps;               // events of the storm
    bool is_off[SIM_FAULT_COUNT]; // faults switched off by hand
    bool is_trace;                // print every record as it is made
    bool is_isolation;            // a world of law L9: see laws.h
    bool is_peaceful;             // of it the one without those that harm
    bool is_quiet;                // print no records when a law is broken
    uint64_t *cover;              // SIM_COVER_MAX, outlives the world; never NULL
};

typedef void sim_action(struct sim *sim, void *context, uint64_t argument);
typedef void sim_watcher(struct sim *sim, void *context);

struct sim_event; // sim.c
struct sim {
    struct sim_options options;
    struct prng prng;                         // order, latencies, choices of the world
    struct prng client_prng;                  // for clients and laws: theirs alone
    struct prng fault_prngs[SIM_FAULT_COUNT]; // one each, so that switching one off moves no other
    uint32_t rates[SIM_FAULT_COUNT];          // of this seed, chances of 10,000; 0: off
    uint64_t fault_counts[SIM_FAULT_COUNT];   // happened in this world
    enum sim_phase phase;
    uint64_t now_us;          // virtual, monotonic
    uint64_t wall_ms;         // virtual time of day; may jump
    uint64_t step;            // events so far
    uint64_t sequence;        // of the next event queued
    uint64_t hash;            // over all records
    struct sim_event *events; // a heap
    uint32_t event_count, event_max;
    struct {
        sim_watcher *watch;
        void *context;
    } watchers[SIM_WATCHERS_MAX];
    uint32_t watcher_count;
    struct net *net;
    // The gateway under test.
    struct process *process;
    uint32_t worker_count;
    struct worker *workers[SIM_WORKERS_MAX]; // NULL once it has stopped
    bool was_held_up[SIM_WORKERS_MAX];       // its newest turn was due before: it got no processor
    struct address listeners[SIM_LISTENERS_MAX];
    uint32_t listener_count;
    const char *tls; // of them, beside certificate and key; NULL: they are plain (sim_tls_choose)
    struct address admin;
    const char *config_text;      // what the gateway runs with
    void *laws;                   // laws.h
    void (*report)(void);         // what the gateway has to say when a law is broken, or NULL
    uint64_t echo_count, echo_us; // honest echoes of the storm, and how long all took together
    uint64_t record_count;
    struct sim_record records[SIM_RECORDS]; // [record_count % SIM_RECORDS] is the next
};

// --- chance
static inline uint32_t sim_below(struct sim *sim, uint32_t bound) {
    return prng_below(&sim->prng, bound);
}
// Whether this fault happens at this occasion. Counted and recorded when it does. False in CALM and
// END.
bool sim_fault(struct sim *sim, enum sim_fault_id fault);
// Whether this seed has the fault at all (for those that shape the whole world).
bool sim_fault_is_on(const struct sim *sim, enum sim_fault_id fault);

// --- events
// Calls `action` as an event of its own, delay_us from now at the earliest; those of one instant in
// the order of these calls.
void sim_after(struct sim *sim, uint64_t delay_us, sim_action *action, void *context,
               uint64_t argument);
// Called after every event, in the order of adding.
void sim_watch(struct sim *sim, sim_watcher *watch, void *context);
// 32 bytes of what happened, into the ring of records and the hash.
void sim_record(struct sim *sim, enum sim_record_kind kind, uint32_t a, uint32_t b, int64_t c);
// Folds bytes into the hash (what a client received, a log line).
void sim_hash(struct sim *sim, const void *bytes, uint32_t length);
// A law is broken ("L1" to "L10", "liveness", "reload", "service", "auth", "servers", "engine").
// Prints the report and ends the process.
_Noreturn void sim_fail(struct sim *sim, const char *law, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// The workers get no processor for so long: what comes meanwhile comes to them at once (world.c).
void sim_hold_up(struct sim *sim, uint64_t hold_us);
// The gateway is told to read its configuration again, as by SIGHUP (world.c).
void sim_reload(struct sim *sim);

// --- the run (main.c). 0 steps done is no error.
struct sim *sim_open(const struct sim_options *options);
void sim_run(struct sim *sim); // all phases; returns when no law was broken
void sim_close(struct sim *sim);
