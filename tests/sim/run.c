// A world's life: opened from its seed, run through its phases, closed.
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/process/process.h"
#include "tests/sim/laws.h"
#include "tests/sim/sim_internal.h"
#include "tests/sim/sim_io.h"

enum { END_US = 60 * 1000 * 1000, BEGIN_US = 1000000, BEGIN_WALL_S = 1700000000 };

static struct address address_of(const char *ip, uint16_t port) {
    struct address address;
    bool is_good = address_parse_ip(span_text(ip), &address);
    check(is_good);
    address.port = port;
    return address;
}

struct sim *sim_open(const struct sim_options *options) {
    struct sim *sim = calloc(1, sizeof *sim);
    check(sim != NULL);
    sim->options = *options;
    prng_init(&sim->prng, options->seed);
    prng_init(&sim->client_prng, ~options->seed);
    sim->now_us = BEGIN_US + sim_below(sim, 1000000);
    sim->wall_ms = BEGIN_WALL_S * 1000ULL;
    sim_world = sim;
    sim->net = net_open();
    sim->worker_count = 2 + sim_below(sim, SIM_WORKERS_MAX - 1);
    sim->worker_count = sim->worker_count > 3 ? 2 : sim->worker_count;
    sim->listeners[0] = address_of("127.0.0.1", 8080);
    sim->listener_count = 1;
    sim_tls_choose(sim, prng_below(&sim->client_prng, 3) == 0);
    sim->admin = address_of("127.0.0.1", 9090);
    sim_faults_choose(sim);
    sim->config_text = laws_config(sim);
    world_open(sim);
    laws_open(sim);
    return sim;
}

static void calm(struct sim *sim) {
    sim->phase = SIM_CALM;
    world_calm(sim);
    net_calm(sim);
    laws_calm(sim);
    uint64_t until_us = sim->now_us + SIM_CALM_US;
    while (!laws_are_done(sim)) {
        if (!sim_step(sim) || sim->now_us > until_us) {
            laws_fail_calm(sim);
        }
    }
}

static void end(struct sim *sim) {
    sim->phase = SIM_END;
    world_drain(sim);
    uint64_t until_us = sim->now_us + END_US;
    while (!world_has_stopped(sim)) {
        if (!sim_step(sim) || sim->now_us > until_us) {
            sim_fail(sim, "liveness", "the gateway does not stop");
        }
    }
    world_check_empty(sim);
    laws_end(sim);
}

void sim_run(struct sim *sim) {
    uint64_t until_us = sim->now_us + SIM_ISOLATION_US;
    while ((sim->options.is_isolation ? sim->now_us < until_us : sim->step < sim->options.steps) &&
           sim_step(sim)) {
    }
    calm(sim);
    end(sim);
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        sim->options.cover[i] += sim->fault_counts[i];
    }
}

void sim_close(struct sim *sim) {
    laws_close(sim);
    world_close(sim);
    net_shut(&sim->net);
    free(sim->events);
    free(sim);
    sim_world = NULL;
}
