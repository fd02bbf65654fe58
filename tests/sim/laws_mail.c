// No thread sleeps on mail (pitfall 11). A thread that is awake takes it in its next turn; one that
// sleeps must have been rung, or must not have fallen asleep over it. Otherwise the mail waits for
// a deadline of somebody else, which liveness alone would notice only when there is none for long.
#include "core/base/check.h"
#include "gateway/process/process.h"
#include "tests/sim/laws_state.h"
#include "tests/sim/sim_io.h"

// The last one is the control thread.
static const struct bus *bus_of(const struct sim *sim, uint32_t thread) {
    return thread == sim->worker_count ? &sim->process->bus : &sim->workers[thread]->bus;
}

static const struct io *io_of(const struct sim *sim, uint32_t thread) {
    return thread == sim->worker_count ? sim->process->io : sim->workers[thread]->io;
}

static bool has_left(const struct sim *sim, uint32_t thread) {
    return thread == sim->worker_count ? sim->process->state == PROCESS_STOPPED
                                       : atomic_load(&sim->process->workers[thread].is_done);
}

void laws_mail_watch(struct sim *sim, void *context) {
    struct laws *laws = context;
    struct bus_shared *shared = sim->process->bus_shared;
    check(shared->thread_count == sim->worker_count + 1);
    for (uint32_t target = 0; target < shared->thread_count; target++) {
        // Between two events no thread is in a turn: it sleeps if it means to.
        const struct io *io = io_of(sim, target);
        bool will_wake = io->bell.is_rung || sim_io_wait_until(io) <= sim->now_us;
        if (will_wake || has_left(sim, target)) {
            continue;
        }
        for (uint32_t source = 0; source < shared->thread_count; source++) {
            struct mailbox *mailbox = &shared->mailboxes[source * shared->thread_count + target];
            // What was put outside of a turn (a signal's) rings in the source's next one.
            bool will_ring = (bus_of(sim, source)->rung >> target & 1) != 0;
            uint32_t waiting = atomic_load(&mailbox->shared.head) - mailbox->reader.tail;
            if (waiting > 0 && !will_ring) {
                sim_fail(laws->sim, "L6", "thread %u sleeps on %u mails of thread %u", target,
                         waiting, source);
            }
        }
    }
}
