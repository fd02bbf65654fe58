// One world's clients and laws: opened, watched, calmed, judged.
#include "tests/sim/laws.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "gateway/process/process.h"
#include "tests/sim/laws_state.h"

enum {
    ISOLATION_ECHOES = 10,
    RUSHES = 4, // one world of so many that has faults begins with all clients at once
    RUSH_US = 300 * 1000,
    RUSH_HOLD_US = 40 * 1000,
};

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

static void on_rush(struct sim *sim, void *context, uint64_t argument) {
    (void)context;
    (void)argument;
    sim_hold_up(sim, RUSH_HOLD_US);
}

void laws_open(struct sim *sim) {
    struct laws *laws = sim->laws;
    bool is_rush = prng_below(&sim->client_prng, RUSHES) == 0 && !laws->is_undisturbed;
    if (is_rush) {
        sim_after(sim, RUSH_US, on_rush, NULL, 0);
    }
    ledger_init(&laws->ledger, sim);
    services_open(&laws->services, sim);
    laws_asks_bound(laws);
    laws_conn_open(laws);
    sim_watch(sim, laws_conn_watch, laws);
    sim_watch(sim, laws_mail_watch, laws);
    sim_watch(sim, laws_reload_watch, laws);
    laws_reload_open(laws);
    for (uint32_t i = 0; i < laws->client_count; i++) {
        // Every world has a member and a listener: without them there is no order to judge.
        uint32_t kind = i == 0 ? CLIENT_member : i == 1 ? CLIENT_listener : kind_draw(sim);
        kind = laws->rules.is_heavy && i % 2 == 0 && i > 8 ? CLIENT_flood : kind;
        kind = sim->options.is_isolation && i > 1 && i < ISOLATION_ECHOES + 2 ? CLIENT_echo : kind;
        kind = i >= laws->ordinary_count ? CLIENT_crowd : kind;
        client_init(&laws->clients[i], sim, i, (enum client_kind)kind);
        uint32_t spread_us = prng_below(&sim->client_prng, 4) == 0 ? 1 : 2000000;
        uint32_t begin_us = prng_below(&sim->client_prng, spread_us);
        begin_us = is_rush ? RUSH_US + begin_us % RUSH_HOLD_US : begin_us;
        begin_us = sim->options.is_isolation ? begin_us / 10 : begin_us;
        if (!sim->options.is_peaceful || client_intents[kind] == CLIENT_HONEST) {
            client_begin_in(&laws->clients[i], begin_us);
        }
    }
}

void laws_calm(struct sim *sim) {
    struct laws *laws = sim->laws;
    ledger_calm(&laws->ledger);
    services_calm(&laws->services);
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
    laws_reload_end(laws);
    cover_add(sim, COVER_EVENTS + COVER_EVENT_DONE);
}

void laws_close(struct sim *sim) {
    struct laws *laws = sim->laws;
    for (uint32_t i = 0; i < laws->client_count; i++) {
        client_fini(&laws->clients[i]);
    }
    ledger_fini(&laws->ledger);
    services_close(&laws->services);
    laws_conn_close(laws);
    laws_server_close(laws);
    free(laws->clients);
    free(laws);
    sim->laws = NULL;
}
