// One world's clients and laws: opened, watched, calmed, judged.
#include "tests/sim/laws.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "gateway/process/process.h"
#include "tests/sim/laws_state.h"

enum { CLIENTS_MIN = 16, ISOLATION_ECHOES = 10, MANY = 100000 };

static const uint8_t weights[CLIENT_KIND_COUNT] = {
#define CLIENT(name, intent, weight, text) weight,
#include "tests/sim/client_table.h"
#undef CLIENT
};

static uint32_t kind_draw(struct sim *sim) {
    uint32_t total = 0;
    for (uint32_t i = 0; i < CLIENT_KIND_COUNT; i++) {
        total += weights[i];
    }
    uint32_t pick = prng_below(&sim->client_prng, total);
    uint32_t kind = 0;
    while (pick >= weights[kind]) {
        pick -= weights[kind++];
    }
    return kind;
}

void laws_open(struct sim *sim) {
    struct laws *laws = sim->laws;
    ledger_init(&laws->ledger, sim);
    laws_conn_open(laws);
    sim_watch(sim, laws_conn_watch, laws);
    for (uint32_t i = 0; i < laws->client_count; i++) {
        // Every world has a member and a listener: without them there is no order to judge.
        uint32_t kind = i == 0 ? CLIENT_member : i == 1 ? CLIENT_listener : kind_draw(sim);
        kind = laws->rules.is_heavy && i % 2 == 0 && i > 8 ? CLIENT_flood : kind;
        kind = sim->options.is_isolation && i > 1 && i < ISOLATION_ECHOES + 2 ? CLIENT_echo : kind;
        kind = i >= laws->ordinary_count ? CLIENT_crowd : kind;
        client_init(&laws->clients[i], sim, i, (enum client_kind)kind);
        uint32_t spread_us = prng_below(&sim->client_prng, 4) == 0 ? 1 : 2000000;
        uint32_t begin_us = prng_below(&sim->client_prng, spread_us);
        begin_us = sim->options.is_isolation ? begin_us / 10 : begin_us;
        if (!sim->options.is_peaceful || client_intents[kind] == CLIENT_HONEST) {
            client_begin_in(&laws->clients[i], begin_us);
        }
    }
}

void laws_calm(struct sim *sim) {
    struct laws *laws = sim->laws;
    ledger_calm(&laws->ledger);
    for (uint32_t i = 0; i < laws->client_count; i++) {
        bool takes_part =
            !sim->options.is_peaceful || client_intents[laws->clients[i].kind] == CLIENT_HONEST;
        if (takes_part) {
            client_calm(&laws->clients[i]);
        }
    }
}

// A listener has finished when it is there and has all that was certainly published.
static bool is_done(const struct client *client) {
    if (client->kind != CLIENT_listener) {
        return client->is_done;
    }
    uint32_t subscriber = client->subscriptions[0].subscriber;
    return client->phase == CLIENT_OPEN && subscriber != 0 &&
           ledger_is_caught_up(&client->laws->ledger, subscriber - 1);
}

bool laws_are_done(const struct sim *sim) {
    const struct laws *laws = sim->laws;
    for (uint32_t i = 0; i < laws->client_count; i++) {
        const struct client *client = &laws->clients[i];
        if (client_intents[client->kind] == CLIENT_HONEST && !is_done(client)) {
            return false;
        }
    }
    return true;
}

void laws_fail_calm(struct sim *sim) {
    const struct laws *laws = sim->laws;
    for (uint32_t i = 0; i < laws->client_count; i++) {
        const struct client *client = &laws->clients[i];
        if (client_intents[client->kind] == CLIENT_HONEST && !is_done(client)) {
            sim_fail(sim, "liveness",
                     "client %u (%s) has not finished: phase %u, connection %u, %u connections "
                     "begun, %u exchanges left, last status %u",
                     i, client_names[client->kind], client->phase, client->connection,
                     client->life / 2, client->left, client->decoder.status);
        }
    }
    sim_fail(sim, "liveness", "no event is left");
}

void laws_end(struct sim *sim) {
    struct laws *laws = sim->laws;
    ledger_judge(&laws->ledger);
    laws_conn_end(laws);
    cover_add(sim, COVER_EVENTS + COVER_EVENT_DONE);
}

void laws_close(struct sim *sim) {
    struct laws *laws = sim->laws;
    for (uint32_t i = 0; i < laws->client_count; i++) {
        client_fini(&laws->clients[i]);
    }
    ledger_fini(&laws->ledger);
    laws_conn_close(laws);
    free(laws->clients);
    free(laws);
    sim->laws = NULL;
}

// --- the configuration

static uint32_t draw(struct sim *sim, const uint32_t *values, uint32_t count) {
    return values[prng_below(&sim->client_prng, count)];
}
#define DRAW(sim, ...)                                                                             \
    draw(sim, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

static void rules_draw(struct sim *sim, struct laws *laws) {
    struct laws_rules *rules = &laws->rules;
    laws->client_count = CLIENTS_MIN + prng_below(&sim->client_prng, CLIENTS_MAX - CLIENTS_MIN);
    rules->handshake_ms = DRAW(sim, 1000, 3000, 10000);
    rules->pong_ms = DRAW(sim, 1000, 3000, 10000);
    rules->ping_ms = rules->pong_ms + DRAW(sim, 200, 2000, 15000);
    rules->stall_ms = DRAW(sim, 1000, 5000, 30000);
    rules->drain_ms = DRAW(sim, 100, 1000, 5000);
    rules->idle_ms = DRAW(sim, 1000, 4000);
    rules->age_ms = DRAW(sim, 2000, 8000);
    rules->message_bytes = DRAW(sim, 4096, 4096, 65536);
    rules->queue_bytes = DRAW(sim, 4096, 16384, 262144);
    rules->worker_queue_bytes = DRAW(sim, 1, 1, 4, 64);
    rules->is_heavy = prng_below(&sim->client_prng, 8) == 0;
    if (rules->is_heavy) {
        rules->message_bytes = 65536;
        rules->queue_bytes = 262144;
        rules->worker_queue_bytes = 1;
    }
    bool is_tight = prng_below(&sim->client_prng, 4) == 0;
    rules->connections = is_tight ? laws->client_count - 2 : 1000;
    laws->ordinary_count = laws->client_count;
    if (sim->options.is_isolation) { // no limit is in the way of those who only want to disturb
        rules->connections = MANY;
        laws->client_count += SIM_CROWD;
    }
    laws->clients = calloc(laws->client_count, sizeof *laws->clients);
    check(laws->clients != NULL);
}

static const char routes[] =
    "routes:\n"
    "  - {path: /, page: demo}\n"
    "  - {path: /echo, echo: {}}\n"
    "  - {path: /few, echo: {}, limits: {fragments: 4}}\n"
    "  - {path: /text, echo: {}, messages: text}\n"
    "  - {path: /binary, echo: {}, messages: binary}\n"
    "  - {path: /protocols, echo: {}, subprotocols: [chat.v2, mqtt]}\n"
    "  - {path: \"/chat/{room}\", channels: {subscribe: [\"chat.{room}\"], publish: "
    "\"chat.{room}\"}}\n"
    "  - {path: \"/listen/{room}\", channels: {subscribe: [\"chat.{room}\"]}}\n"
    "  - {path: \"/textchat/{room}\", messages: text, channels: {subscribe: [\"text.{room}\"], "
    "publish: \"text.{room}\"}}\n"
    "  - {path: \"/quiet/{room}\", channels: {subscribe: [\"quiet.{room}\"], publish: "
    "\"quiet.{room}\", echo_self: false}}\n"
    "  - {path: \"/guarded/{room}\", origins: [\"https://app.test\"], channels: {subscribe: "
    "[\"guarded.{room}\"], publish: \"guarded.{room}\"}}\n"
    "  - {path: \"/rooms/{user}\", channels: {subscribe: [\"user.{user}\"], publish: "
    "\"user.{user}\", allow: [\"room.*\"]}}\n";

static const char *const policies[][2] = {
    {"oldest", "drop_oldest"}, {"newest", "drop_newest"}, {"conflate", "conflate"}};

const char *laws_config(struct sim *sim) {
    struct laws *laws = calloc(1, sizeof *laws);
    check(laws != NULL);
    laws->sim = sim;
    sim->laws = laws;
    laws->is_undisturbed = true;
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        laws->is_undisturbed = laws->is_undisturbed && !sim_fault_is_on(sim, (enum sim_fault_id)i);
    }
    rules_draw(sim, laws);
    const struct laws_rules *rules = &laws->rules;
    bool has_rate = prng_below(&sim->client_prng, 4) == 0;
    bool has_address = prng_below(&sim->client_prng, 3) == 0;
    bool is_isolation = sim->options.is_isolation;
    char *at = laws->config;
    char *end = laws->config + sizeof laws->config;
    at += snprintf(at, (size_t)(end - at), "listeners:\n");
    for (uint32_t i = 0; i < sim->listener_count; i++) {
        char text[ADDRESS_TEXT_BYTES];
        (void)address_format(&sim->listeners[i], true, text); // its length is not needed
        at += snprintf(at, (size_t)(end - at), "  - address: %s\n", text);
    }
    char admin[ADDRESS_TEXT_BYTES];
    (void)address_format(&sim->admin, true, admin); // as above
    at += snprintf(
        at, (size_t)(end - at),
        "admin: {address: \"%s\"}\nworkers: %u\nlog: {level: debug}\n"
        "limits: {connections: %u, per_address: %s, message: %uB, header: 8KiB, handshake: %ums, "
        "handshakes_per_second: %u, channels: 4}\nkeepalive: {ping: %ums, pong: %ums}\n"
        "backpressure: {queue: %uB, worker_queue: %lluMiB, stall: %ums}\ndrain: %ums\n"
        "engine: {slots: %u, buffers: 16, completions: 4096}\n%s",
        admin, sim->worker_count, rules->connections, has_address && !is_isolation ? "3" : "off",
        rules->message_bytes, rules->handshake_ms, has_rate && !is_isolation ? 20 : 20000,
        rules->ping_ms, rules->pong_ms, rules->queue_bytes,
        (unsigned long long)rules->worker_queue_bytes, rules->stall_ms, rules->drain_ms,
        is_isolation ? 1024 : 128, routes);
    for (uint32_t i = 0; i < 3; i++) {
        at += snprintf(at, (size_t)(end - at),
                       "  - {path: \"/%s/{room}\", backpressure: {queue: 2KiB, policy: %s}, "
                       "channels: {subscribe: [\"%s.{room}\"], publish: \"%s.{room}\"}}\n",
                       policies[i][0], policies[i][1], policies[i][0], policies[i][0]);
    }
    at += snprintf(at, (size_t)(end - at),
                   "  - {path: /idle, echo: {}, limits: {idle: %ums}}\n"
                   "  - {path: /age, echo: {}, limits: {age: %ums}}\n"
                   "  - {path: /two, echo: {}, limits: {connections: 2}}\n",
                   rules->idle_ms, rules->age_ms);
    check(at < end);
    laws->rules.worker_queue_bytes <<= 20;
    return laws->config;
}
