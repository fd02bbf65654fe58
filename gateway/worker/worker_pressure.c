// Memory pressure and drain: work on many connections, a bounded piece per turn.
#include "gateway/worker/worker.h"

#include "core/base/check.h"

enum {
    SCAN_TURN_MAX =
        65536,           // connections looked at per turn while above the mark: about a millisecond
    SHED_TURN_MAX = 64,  // largest holders that meet their policy per turn
    STOP_WAIT_MS = 1000, // for the closes of what was cut
    DRAIN_TURN_MAX = 4096, // connections given their place in a drain per turn
};

// Payloads once, however many wait for them; each waiting entry; unfinished input.
uint64_t worker_queue_held(const struct worker *worker) {
    const struct conns *conns = &worker->clients.conns;
    return worker->arena.used_bytes + (uint64_t)conns->entries.used * sizeof(struct outbox_entry) +
           (uint64_t)conns->inputs.used * sizeof(struct conn_input);
}

struct holders {
    uint32_t count;
    uint32_t index[SHED_TURN_MAX];
    uint32_t bytes[SHED_TURN_MAX];
};

// Keeps the largest seen, in no order; the smallest of them makes room.
static void holder_add(struct holders *holders, uint32_t index, uint32_t bytes) {
    uint32_t at = holders->count;
    if (at == SHED_TURN_MAX) {
        at = 0;
        for (uint32_t i = 1; i < SHED_TURN_MAX; i++) {
            at = holders->bytes[i] < holders->bytes[at] ? i : at;
        }
        if (holders->bytes[at] >= bytes) {
            return;
        }
    } else {
        holders->count++;
    }
    holders->index[at] = index;
    holders->bytes[at] = bytes;
}

// Takes the largest of those that are left.
static uint32_t holder_largest(struct holders *holders) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < holders->count; i++) {
        best = holders->bytes[i] > holders->bytes[best] ? i : best;
    }
    holders->bytes[best] = 0;
    return holders->index[best];
}

// Under policy close it is closed; under the others its waiting messages are what the policy would
// drop.
static void shed(struct worker *worker, uint32_t index) {
    struct conns *conns = &worker->clients.conns;
    struct conn *conn = conn_at(conns, index);
    if (conn->state != CONN_OPEN) {
        return;
    }
    enum outbox_policy policy = conns->settings[conn->settings].bounds.policy;
    if (policy == OUTBOX_CLOSE) {
        conn_close(
            conns, index,
            &(struct conn_close_options){.fault = FAULT_memory_pressure, .drops_waiting = true});
        return;
    }
    uint32_t dropped = outbox_drop_waiting(&conns->outboxes, &conn->outbox, true);
    static const enum counter_id by_policy[] = {
        [OUTBOX_CLOSE] = COUNTER_dropped_closed,
        [OUTBOX_DROP_OLDEST] = COUNTER_dropped_oldest,
        [OUTBOX_DROP_NEWEST] = COUNTER_dropped_newest,
        [OUTBOX_CONFLATE] = COUNTER_dropped_conflated,
    };
    counter_add(&worker->counters, by_policy[policy], dropped);
}

// In this order (DESIGN.md section 5): above MEMORY_MARK_PERCENT of worker_queue who is not in yet
// stays out, so that those who are keep what they wait for; above worker_queue the largest holders
// meet their route's policy first.
void worker_relieve(struct worker *worker) {
    uint64_t held_bytes = worker_queue_held(worker);
    worker->stream.is_full = held_bytes * 100 > worker->worker_queue_bytes * MEMORY_MARK_PERCENT;
    if (held_bytes <= worker->worker_queue_bytes) {
        return;
    }
    log_event(worker->log, LOG_LEVEL_WARN, "memory_pressure",
              log_number("held_bytes", worker_queue_held(worker)),
              log_number("worker_queue_bytes", worker->worker_queue_bytes));
    struct conns *conns = &worker->clients.conns;
    struct holders holders = {.count = 0};
    uint32_t peak = worker->clients.index_peak;
    uint32_t scans = peak < SCAN_TURN_MAX ? peak : SCAN_TURN_MAX;
    for (uint32_t i = 0; i < scans; i++) {
        worker->pressure_cursor = worker->pressure_cursor >= peak ? 1 : worker->pressure_cursor + 1;
        const struct conn *conn = conn_at(conns, worker->pressure_cursor);
        if (conn->state == CONN_OPEN && conn->outbox.queued_bytes > 0) {
            holder_add(&holders, worker->pressure_cursor, conn->outbox.queued_bytes);
        }
    }
    for (uint32_t i = 0; i < holders.count; i++) {
        shed(worker, holder_largest(&holders));
        if (worker_queue_held(worker) <= worker->worker_queue_bytes) {
            return; // no more than it takes
        }
    }
}

// The one loop over all connections that is not cut in pieces: the process ends.
void worker_stop(struct worker *worker) {
    struct conns *conns = &worker->clients.conns;
    link_hold_accept(&worker->clients.link, true);
    for (uint32_t i = 1; i <= worker->clients.index_peak; i++) {
        if (conn_at(conns, i)->state != CONN_FREE) {
            conn_kill(conns, i, FAULT_killed);
        }
    }
    upstreams_stop(&worker->upstreams);
    worker->is_stopping = true;
    worker->stop_due_ms = worker->now_us / 1000 + STOP_WAIT_MS;
}

bool worker_is_done(const struct worker *worker) {
    bool is_over =
        worker->clients.link.used_total == 0 || worker->now_us / 1000 >= worker->stop_due_ms;
    return worker->is_stopping && is_over && !bus_has_backlog(&worker->bus);
}

// Gives connections their place in a drain, a piece per turn.
void worker_drain_step(struct worker *worker) {
    struct link *link = &worker->clients.link;
    if (worker->stream.is_draining && link_is_accept_quiet(link)) {
        // Who comes now must be sent elsewhere at once, not wait in a backlog that nobody reads.
        link_listeners_close(link);
    }
    if (worker->drain_cursor == 0) {
        return;
    }
    uint32_t peak = worker->clients.index_peak;
    for (uint32_t i = 0; i < DRAIN_TURN_MAX && worker->drain_cursor <= peak; i++) {
        conn_drain(&worker->clients.conns, worker->drain_cursor++);
    }
    if (worker->drain_cursor > peak) {
        worker->drain_cursor = 0;
    }
}
