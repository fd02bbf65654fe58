#include "tests/sim/squeeze.h"

#include "core/base/check.h"
#include "gateway/process/process.h"

enum { TAKES_MAX = 4 }; // that still succeed

static void pool_squeeze(struct squeeze *squeeze, struct sim *sim, struct worker *worker) {
    struct pool *pools[] = {&worker->clients.conns.pool,
                            &worker->clients.conns.inputs,
                            &worker->clients.conns.entries,
                            &worker->channels,
                            &worker->subscriptions,
                            &worker->messages,
                            &worker->homes};
    struct pool *pool = pools[sim_below(sim, sizeof pools / sizeof pools[0])];
    uint32_t limit = pool->used + sim_below(sim, TAKES_MAX);
    if (limit < pool->limit) {
        squeeze->pool_limit = &pool->limit;
        squeeze->pool_limit_before = pool->limit;
        pool->limit = limit;
    }
}

static void arena_squeeze(struct squeeze *squeeze, struct sim *sim, struct arena *arena) {
    uint64_t limit = arena->used_bytes + sim_below(sim, TAKES_MAX) * 1024ULL;
    if (limit < arena->limit_bytes) {
        squeeze->arena_limit = &arena->limit_bytes;
        squeeze->arena_limit_before = arena->limit_bytes;
        arena->limit_bytes = limit;
    }
}

// The sender sees the tail as it was some mails ago, which is all that it may rely on: the receiver
// has taken them, but has not said so yet. Here that many that the ring is nearly full.
static void mailbox_squeeze(struct squeeze *squeeze, struct sim *sim, uint32_t thread) {
    struct bus_shared *shared = sim->process->bus_shared;
    uint32_t target = sim_below(sim, shared->thread_count);
    struct mailbox *mailbox = &shared->mailboxes[thread * shared->thread_count + target];
    squeeze->mailbox = mailbox;
    squeeze->tail_before = atomic_load(&mailbox->shared.tail);
    uint32_t held = MAILBOX_ENTRIES - sim_below(sim, TAKES_MAX);
    uint32_t waiting = mailbox->owner.head - squeeze->tail_before;
    if (held > waiting) {
        atomic_store(&mailbox->shared.tail, mailbox->owner.head - held);
    }
    squeeze->tail_squeezed = atomic_load(&mailbox->shared.tail);
    mailbox->owner.tail_seen = squeeze->tail_squeezed;
}

void squeeze_begin(struct squeeze *squeeze, struct sim *sim, uint32_t thread) {
    *squeeze = (struct squeeze){.pool_limit = NULL};
    bool is_worker = thread < sim->worker_count;
    if (is_worker && sim_fault(sim, SIM_FAULT_pool_empty)) {
        pool_squeeze(squeeze, sim, sim->workers[thread]);
    }
    if (sim_fault(sim, SIM_FAULT_arena_empty)) {
        arena_squeeze(squeeze, sim,
                      is_worker ? &sim->workers[thread]->arena : &sim->process->arena);
    }
    if (sim_fault(sim, SIM_FAULT_mailbox_full)) {
        mailbox_squeeze(squeeze, sim, thread);
    }
}

void squeeze_end(struct squeeze *squeeze) {
    if (squeeze->pool_limit != NULL) {
        *squeeze->pool_limit = squeeze->pool_limit_before;
    }
    if (squeeze->arena_limit != NULL) {
        *squeeze->arena_limit = squeeze->arena_limit_before;
    }
    // A thread that sends to itself has moved it on.
    if (squeeze->mailbox != NULL &&
        atomic_load(&squeeze->mailbox->shared.tail) == squeeze->tail_squeezed) {
        atomic_store(&squeeze->mailbox->shared.tail, squeeze->tail_before);
    }
}
