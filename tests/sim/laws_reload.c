// Laws about reloads: what is read is applied on every worker or not at all, a connection keeps
// what it was opened with, and an earlier configuration stands as long as something holds it.
#include "core/base/check.h"
#include "gateway/process/process.h"
#include "tests/sim/laws_state.h"

enum { WORLDS_WITH_SIGNALS = 3, SIGNAL_US = 2 * 1000 * 1000 }; // one world of so many

static void on_signal(struct sim *sim, void *context, uint64_t argument) {
    (void)argument;
    if (sim->phase == SIM_STORM) {
        sim_reload(sim);
        sim_after(sim, prng_below(&sim->client_prng, SIGNAL_US), on_signal, context, 0);
    }
}

void laws_reload_open(struct laws *laws) {
    struct sim *sim = laws->sim;
    bool has_signals = prng_below(&sim->client_prng, WORLDS_WITH_SIGNALS) == 0;
    if (has_signals && !sim->options.is_isolation) {
        sim_after(sim, prng_below(&sim->client_prng, SIGNAL_US), on_signal, laws, 0);
    }
}

static bool is_standing(const struct process *process, const struct site *site) {
    bool is = site == process->site || (process->reload.is_active && site == process->reload.site);
    for (uint32_t i = 0; i < process->old_site_count; i++) {
        is = is || site == process->old_sites[i];
    }
    return is;
}

// What connections and new requests go by is still there.
static void held_judge(const struct sim *sim, const struct worker *worker) {
    const struct stream *stream = &worker->stream;
    bool is_good = is_standing(sim->process, stream->site);
    for (uint32_t i = 1; is_good && i < SETTINGS_MAX; i++) {
        const struct stream_rule *rule = &stream->rules[i];
        is_good = rule->connections == 0 || is_standing(sim->process, rule->site);
    }
    if (!is_good) {
        sim_fail((struct sim *)sim, "reload", "worker %u goes by a configuration that is gone",
                 worker->index);
    }
}

static void applied_judge(struct laws *laws) {
    struct sim *sim = laws->sim;
    const struct process *process = sim->process;
    if (process->site_number != laws->reloads) {
        sim_fail(sim, "reload", "%u configurations were in order, number %u is applied",
                 laws->reloads, process->site_number);
    }
    for (uint32_t i = 0; i < sim->worker_count && !process->reload.is_refused; i++) {
        const struct worker *worker = sim->workers[i];
        if (worker != NULL && worker->stream.site != process->site) {
            sim_fail(sim, "reload", "worker %u has number %u instead of %u", i,
                     worker->stream.site->number, process->site_number);
        }
    }
}

void laws_reload_watch(struct sim *sim, void *context) {
    struct laws *laws = context;
    const struct process *process = sim->process;
    bool is_changed = laws->old_sites_seen != process->old_site_count ||
                      laws->site_number_seen != process->site_number ||
                      laws->reads_seen != laws->reads;
    if (!is_changed) {
        return;
    }
    cover_add_many(sim, COVER_LAWS + COVER_LAW_RELOAD,
                   laws->site_number_seen != process->site_number);
    laws->old_sites_seen = process->old_site_count;
    laws->site_number_seen = process->site_number;
    laws->reads_seen = laws->reads;
    if (!process->reload.is_active) {
        applied_judge(laws);
    }
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        if (sim->workers[i] != NULL) {
            held_judge(sim, sim->workers[i]);
        }
    }
}

// No connection is left: a worker holds what it would go by, and nothing else.
void laws_reload_end(struct laws *laws) {
    struct sim *sim = laws->sim;
    struct process *process = sim->process;
    if (process->reload.is_active) {
        return; // it was overtaken by the end: some have it, some have not
    }
    process_sites_sweep(process);
    for (uint32_t i = 0; i <= process->old_site_count; i++) {
        struct site *site = i == 0 ? process->site : process->old_sites[i - 1];
        uint32_t held = 0;
        for (uint32_t j = 0; j < sim->worker_count; j++) {
            held += sim->workers[j]->stream.site == site;
        }
        if (atomic_load(&site->worker_holds) != held) {
            sim_fail(sim, "reload", "number %u is held by %u workers, %u go by it", site->number,
                     atomic_load(&site->worker_holds), held);
        }
    }
}
