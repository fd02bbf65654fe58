// Laws about each connection of a worker, after every event in which the worker had a turn. They
// follow the flight recorder, so that no transition is missed, and judge time by what a worker was
// told: it answers for what it does in a turn and for how long it means to sleep, not for turns
// that the world keeps from it.
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/process/process.h"
#include "tests/sim/laws_state.h"

enum {
    SLACK_MS = 40,         // two ticks of the wheel, and a turn
    HELD_UP_MS = 20,       // more than this later than meant: the world did it
    ENDED_MS = 5000,       // from the end of a connection to its slot's freedom
    OVER_TURNS_MAX = 3,    // above worker_queue with something to shed
    OVER_BYTES = 64 << 10, // that may be bound in what cannot be shed
    WAITING_BYTES = 4096,
};

void laws_conn_open(struct laws *laws) {
    for (uint32_t i = 0; i < laws->sim->worker_count; i++) {
        laws->workers[i] = (struct laws_worker){.conns = NULL};
        laws->workers[i].conns = calloc(LAWS_CONNECTIONS_MAX, sizeof(struct laws_conn));
        check(laws->workers[i].conns != NULL);
    }
}

void laws_conn_close(struct laws *laws) {
    for (uint32_t i = 0; i < SIM_WORKERS_MAX; i++) {
        free(laws->workers[i].conns);
    }
}

// --- L6, none earlier

// A deadline's fault: at least so long ago its wait must have begun.
static void early_judge(struct laws *laws, const struct worker *worker,
                        const struct trace_record *record) {
    struct laws_worker *seen = &laws->workers[worker->index];
    const struct laws_conn *shadow = &seen->conns[record->a];
    const struct conn *conn = conn_at(&worker->clients.conns, record->a);
    const struct conn_settings *settings = &worker->clients.conns.settings[conn->settings];
    uint64_t waited_ms = record->now_ms - shadow->since_ms;
    uint64_t wanted_ms;
    switch (record->b) {
    case FAULT_handshake_timeout:
        wanted_ms = laws->least.handshake_ms;
        break;
    case FAULT_request_idle:
        wanted_ms = KEEP_ALIVE_MS;
        break;
    case FAULT_pong_timeout: // its silence may have begun before the upgrade
        wanted_ms = settings->pong_ms;
        break;
    case FAULT_idle_timeout:
        wanted_ms = settings->idle_ms;
        break;
    case FAULT_age_limit:
        waited_ms = record->now_ms - shadow->opened_ms;
        wanted_ms = settings->age_ms - settings->age_ms / 8;
        break;
    case FAULT_send_stalled:
        waited_ms = (uint32_t)record->now_ms - conn->send_ms;
        wanted_ms = conn->settings == 0 ? laws->least.stall_ms : settings->stall_ms;
        break;
    default:
        return;
    }
    if (shadow->is_since_unknown) {
        return;
    }
    cover_add(laws->sim, COVER_LAWS + COVER_LAW_DEADLINE);
    if (waited_ms + 1 < wanted_ms) {
        sim_fail(laws->sim, "L6", "worker %u connection %u: %s after %llu ms instead of %llu",
                 worker->index, record->a, fault_get((enum fault_id)record->b)->name,
                 (unsigned long long)waited_ms, (unsigned long long)wanted_ms);
    }
}

// --- the flight recorder

static void moved(struct laws *laws, const struct worker *worker,
                  const struct trace_record *record) {
    struct laws_worker *seen = &laws->workers[worker->index];
    struct laws_conn *shadow = &seen->conns[record->a];
    uint32_t from = record->b >> 8;
    uint32_t to = record->b & 255;
    cover_add(laws->sim, COVER_MOVES + from * 16 + to);
    if (from != shadow->state) {
        sim_fail(laws->sim, "L8", "worker %u connection %u moves from %s, but was %s",
                 worker->index, record->a, conn_state_name((enum conn_state)from),
                 conn_state_name((enum conn_state)shadow->state));
    }
    if (from == CONN_FREE) {
        *shadow = (struct laws_conn){.opened_ms = record->now_ms};
    }
    shadow->is_kept = shadow->is_kept || from == CONN_VERDICT || from == CONN_REPLY;
    shadow->state = (uint8_t)to;
    shadow->is_since_unknown = false;
    shadow->since_ms = record->now_ms;
    if (to == CONN_FREE) {
        seen->released++;
        if (record->c == FAULT_none) {
            sim_fail(laws->sim, "L8", "worker %u connection %u ended without a cause",
                     worker->index, record->a);
        }
    }
}

// More happened than the recorder holds: from here on as it is now, and since when is not known.
static void resume(struct laws *laws, const struct worker *worker) {
    struct laws_worker *seen = &laws->workers[worker->index];
    const struct conns *conns = &worker->clients.conns;
    for (uint32_t i = 1; i <= worker->clients.index_peak; i++) {
        seen->conns[i] = (struct laws_conn){.since_ms = conns->now_ms,
                                            .is_kept = true,
                                            .is_since_unknown = true,
                                            .state = conn_at(conns, i)->state};
    }
    seen->released = worker->counters.values[COUNTER_closed];
    seen->trace_count = worker->trace.count;
}

static void follow(struct laws *laws, const struct worker *worker) {
    struct laws_worker *seen = &laws->workers[worker->index];
    check(worker->clients.index_peak < LAWS_CONNECTIONS_MAX);
    if (worker->trace.count - seen->trace_count > TRACE_RECORDS) {
        resume(laws, worker);
        return;
    }
    for (; seen->trace_count < worker->trace.count; seen->trace_count++) {
        const struct trace_record *record =
            &worker->trace.records[seen->trace_count % TRACE_RECORDS];
        if (record->kind == TRACE_CONN_MOVE) {
            moved(laws, worker, record);
        } else if (record->kind == TRACE_FAULT) {
            early_judge(laws, worker, record);
        } else if (record->kind == TRACE_SLOT_MOVE) {
            cover_add(laws->sim, COVER_SLOTS + (record->b >> 8) * 8 + (record->b & 7));
        }
    }
}

// --- L6, none later

// When the connection must have left what it is in, as a time of the worker; UINT64_MAX: no matter
// when.
static uint64_t due_of(const struct laws *laws, const struct conns *conns, const struct conn *conn,
                       const struct laws_conn *shadow) {
    const struct conn_settings *settings = &conns->settings[conn->settings];
    uint64_t read_ms = conns->now_ms - (uint32_t)(conns->now_ms - conn->read_ms);
    uint64_t send_ms = conns->now_ms - (uint32_t)(conns->now_ms - conn->send_ms);
    uint64_t phase_ms = conns->now_ms - (uint32_t)(conns->now_ms - conn->phase_ms);
    if (conn_has(conn, CONN_SENDING) && settings->stall_ms != 0 && conn->state != CONN_ENDED &&
        conn->state >= CONN_CLOSING) {
        // As long for every 256 KiB of what is in flight.
        uint64_t pieces = 1 + outbox_flight_bytes(&conns->outboxes, &conn->outbox) / (256 << 10);
        return send_ms + pieces * (conn->settings == 0 ? laws->most.stall_ms : settings->stall_ms);
    }
    switch (conn->state) {
    case CONN_HEAD:
        return shadow->since_ms + laws->most.handshake_ms + (shadow->is_kept ? KEEP_ALIVE_MS : 0);
    case CONN_BODY:
        return shadow->since_ms + BODY_WAIT_MS;
    case CONN_OPEN: {
        uint64_t heard_ms = read_ms > shadow->since_ms ? read_ms : shadow->since_ms;
        if (settings->ping_ms == 0 || conn_has(conn, CONN_PAUSED)) {
            return UINT64_MAX;
        }
        if (conn_has(conn, CONN_PING_OUT) && heard_ms <= phase_ms) {
            return phase_ms + settings->pong_ms; // it was asked then
        }
        return heard_ms + settings->ping_ms;
    }
    case CONN_CLOSING:
    case CONN_FLUSH:
    case CONN_DISCARD:
        return phase_ms + CLOSE_WAIT_MS;
    case CONN_ENDED:
        return shadow->since_ms + ENDED_MS;
    default:
        return UINT64_MAX;
    }
}

static void late_judge(struct laws *laws, const struct worker *worker) {
    struct laws_worker *seen = &laws->workers[worker->index];
    const struct conns *conns = &worker->clients.conns;
    bool is_timed = conns->now_ms >= worker->grace_until_ms + SLACK_MS && !worker->is_stopping;
    laws_service_turn(laws, worker, is_timed);
    if (!is_timed) {
        return;
    }
    for (uint32_t i = 1; i <= worker->clients.index_peak; i++) {
        const struct conn *conn = conn_at(conns, i);
        if (conn->state == CONN_FREE) {
            continue;
        }
        uint64_t due_ms = due_of(laws, conns, conn, &seen->conns[i]);
        bool is_ended = conn->state == CONN_ENDED;
        due_ms =
            is_ended && due_ms < seen->excused_ms + ENDED_MS ? seen->excused_ms + ENDED_MS : due_ms;
        if (due_ms != UINT64_MAX && conns->now_ms > due_ms + SLACK_MS) {
            sim_fail(laws->sim, "L6", "worker %u connection %u is %s %llu ms behind its deadline",
                     worker->index, i, conn_state_name((enum conn_state)conn->state),
                     (unsigned long long)(conns->now_ms - due_ms));
        }
    }
}

// What it means to sleep may not be longer than to the next deadline of anybody.
static void sleep_judge(struct laws *laws, const struct worker *worker) {
    struct laws_worker *seen = &laws->workers[worker->index];
    const struct conns *conns = &worker->clients.conns;
    if (worker->wait_ms == UINT32_MAX && conns->wheel.armed_count > 0) {
        sim_fail(laws->sim, "L6", "worker %u sleeps without end, with deadlines armed",
                 worker->index);
    }
    if (worker->wait_ms == UINT32_MAX || conns->now_ms < worker->grace_until_ms) {
        return;
    }
    laws_service_sleep(laws, worker);
    uint64_t wakes_ms = conns->now_ms + worker->wait_ms;
    for (uint32_t i = 1; i <= worker->clients.index_peak; i++) {
        const struct conn *conn = conn_at(conns, i);
        bool is_timed = conn->state != CONN_FREE && conn->state != CONN_ENDED;
        uint64_t due_ms = is_timed ? due_of(laws, conns, conn, &seen->conns[i]) : UINT64_MAX;
        if (due_ms != UINT64_MAX && wakes_ms > due_ms + SLACK_MS) {
            sim_fail(laws->sim, "L6", "worker %u sleeps %u ms, past the deadline of connection %u",
                     worker->index, worker->wait_ms, i);
        }
    }
}

// --- across a reload

static void settings_judge(struct laws *laws, const struct worker *worker) {
    struct laws_worker *seen = &laws->workers[worker->index];
    const struct conns *conns = &worker->clients.conns;
    for (uint32_t i = 1; i <= worker->clients.index_peak; i++) {
        const struct conn *conn = conn_at(conns, i);
        struct laws_conn *shadow = &seen->conns[i];
        const struct conn_settings *settings = &conns->settings[conn->settings];
        if (conn->state != CONN_OPEN) {
            continue;
        }
        if (!shadow->has_settings) {
            shadow->has_settings = true;
            memcpy(&shadow->settings, settings, sizeof *settings);
        }
        if (memcmp(&shadow->settings, settings, sizeof *settings) != 0) {
            sim_fail(laws->sim, "reload", "worker %u connection %u: other rules than it had",
                     worker->index, i);
        }
        cover_add_many(laws->sim, COVER_LAWS + COVER_LAW_RELOAD_KEPT,
                       worker->stream.rules[conn->settings].site != worker->stream.site);
    }
}

// --- L4

static uint64_t frame_bytes_max(const struct conns *conns, const struct conn *conn) {
    const struct conn_settings *settings = &conns->settings[conn->settings];
    uint64_t message = settings->reader.message_bytes_max;
    // The envelope escapes a byte by six at most.
    return (conn_has(conn, CONN_ENVELOPE) ? message * 6 + 512 : message) + FRAME_HEAD_BYTES_MAX;
}

static void budget_judge(struct laws *laws, const struct worker *worker) {
    struct laws_worker *seen = &laws->workers[worker->index];
    const struct conns *conns = &worker->clients.conns;
    bool may_shed = false;
    uint64_t queued = 0;
    for (uint32_t i = 1; i <= worker->clients.index_peak; i++) {
        const struct conn *conn = conn_at(conns, i);
        if (conn->state == CONN_FREE) {
            continue;
        }
        queued += conn->outbox.queued_bytes;
        if (conn->state != CONN_OPEN) {
            continue;
        }
        may_shed = may_shed || conn->outbox.queued_bytes > WAITING_BYTES;
        // What waits, one message of any size, and what a short send has brought back.
        uint64_t bound = conns->settings[conn->settings].bounds.queue_bytes_max +
                         2 * frame_bytes_max(conns, conn) + WAITING_BYTES;
        if (conn->outbox.queued_bytes > bound) {
            sim_fail(laws->sim, "L4", "worker %u connection %u has %u bytes queued, %llu allowed",
                     worker->index, i, conn->outbox.queued_bytes, (unsigned long long)bound);
        }
    }
    queued += laws_service_queued(worker);
    if (queued != conns->outboxes.held_bytes) {
        sim_fail(laws->sim, "L4", "worker %u counts %llu queued bytes, there are %llu",
                 worker->index, (unsigned long long)conns->outboxes.held_bytes,
                 (unsigned long long)queued);
    }
    bool is_over = worker_queue_held(worker) > worker->worker_queue_bytes + OVER_BYTES;
    cover_add_many(laws->sim, COVER_LAWS + COVER_LAW_BUDGET, is_over);
    seen->over_turns = is_over && may_shed ? seen->over_turns + 1 : 0;
    if (seen->over_turns > OVER_TURNS_MAX) {
        sim_fail(laws->sim, "L4", "worker %u holds %llu bytes of %llu and sheds nothing",
                 worker->index, (unsigned long long)worker_queue_held(worker),
                 (unsigned long long)worker->worker_queue_bytes);
    }
}

// --- L8

static void ledger_judge_worker(struct laws *laws, const struct worker *worker) {
    struct laws_worker *seen = &laws->workers[worker->index];
    const struct counters *counters = &worker->counters;
    const struct pool *pool = &worker->clients.conns.pool;
    uint64_t closed = counters->values[COUNTER_closed];
    uint64_t faults = 0;
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        faults += counters->faults[i];
    }
    bool adds_up = counters->values[COUNTER_accepted] == closed + pool->used + pool->refused_count;
    bool is_recorded = seen->released == closed && faults >= closed &&
                       faults <= closed + counters->values[COUNTER_refusals] &&
                       counters->faults[FAULT_none] == 0;
    if (!adds_up || !is_recorded) {
        sim_fail(laws->sim, "L8",
                 "worker %u: accepted %llu, closed %llu, open %u, refused %llu, recorded %llu, "
                 "causes %llu",
                 worker->index, (unsigned long long)counters->values[COUNTER_accepted],
                 (unsigned long long)closed, pool->used, (unsigned long long)pool->refused_count,
                 (unsigned long long)seen->released, (unsigned long long)faults);
    }
}

void laws_conn_watch(struct sim *sim, void *context) {
    struct laws *laws = context;
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        const struct worker *worker = sim->workers[i];
        struct laws_worker *seen = &laws->workers[i];
        if (worker == NULL || seen->turns == worker->counters.values[COUNTER_turns]) {
            continue;
        }
        seen->turns = worker->counters.values[COUNTER_turns];
        uint64_t now_ms = worker->clients.conns.now_ms;
        // Later than it meant to wake, or than something came that would have woken it.
        bool is_held_up =
            now_ms > seen->before_ms + seen->wait_ms + HELD_UP_MS || sim->was_held_up[i];
        if (is_held_up) {
            seen->excused_ms = now_ms;
            cover_add(sim, COVER_LAWS + COVER_LAW_HELD_UP);
        }
        follow(laws, worker);
        late_judge(laws, worker);
        sleep_judge(laws, worker);
        budget_judge(laws, worker);
        settings_judge(laws, worker);
        laws_server_turn(laws, worker);
        ledger_judge_worker(laws, worker);
        seen->before_ms = now_ms;
        seen->wait_ms = worker->wait_ms;
    }
}

// --- the end

// Mail that came after it had left its loop: what homes were told then does not count.
static bool has_unread_mail(const struct sim *sim, uint32_t index) {
    const struct bus_shared *shared = sim->process->bus_shared;
    for (uint32_t i = 0; i < shared->thread_count; i++) {
        struct mailbox *mailbox = &shared->mailboxes[i * shared->thread_count + index];
        if (atomic_load(&mailbox->shared.head) != mailbox->reader.tail) {
            return true;
        }
    }
    return false;
}

static void worker_empty(struct laws *laws, const struct worker *worker) {
    const struct conns *conns = &worker->clients.conns;
    bool is_told = !has_unread_mail(laws->sim, worker->index);
    uint64_t kept_bytes = laws_service_remembered(worker);
    if (conns->ping_payload != 0) { // lives until the next turn, which never comes
        kept_bytes += arena_block_bytes(&worker->arena, conns->ping_payload);
    }
    const struct {
        const char *name;
        uint64_t count;
    } left[] = {
        {"connections", conns->pool.used},
        {"inputs", conns->inputs.used},
        {"outbox entries", conns->entries.used},
        {"timers", conns->wheel.armed_count},
        {"queued bytes", conns->outboxes.held_bytes},
        {"channels", worker->channels.used},
        {"subscriptions", worker->subscriptions.used},
        {"fan-out messages", worker->messages.used},
        {"home channels", is_told ? worker->homes.used : 0},
        {"slots", worker->clients.link.used_total},
        {"starved receives", worker->clients.link.starved_count},
        {"lent receives", worker->clients.lent_count},
        {"paused publishers", worker->stream.paused_count},
        {"doomed connections", worker->stream.doomed_count},
        {"streams of compression", worker->takeover.open_count},
        {"handshakes", worker->secures.shake_count},
        {"handshakes that wait for their turn", worker->secures.ready_count},
        {"arena bytes", is_told ? worker->arena.used_bytes - kept_bytes : 0},
    };
    for (uint32_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        if (left[i].count != 0) {
            sim_fail(laws->sim, "L7", "worker %u ends with %llu %s", worker->index,
                     (unsigned long long)left[i].count, left[i].name);
        }
    }
}

static void counters_cover(struct sim *sim, const struct counters *counters) {
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        cover_add_many(sim, COVER_ROWS + i, counters->faults[i]);
    }
    for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
        cover_add_many(sim, COVER_COUNTERS + i, counters->values[i]);
    }
}

void laws_conn_end(struct laws *laws) {
    struct sim *sim = laws->sim;
    counters_cover(sim, &sim->process->counters);
    uint64_t deliveries = 0;
    uint64_t gone = 0;
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        const struct worker *worker = sim->workers[i];
        worker_empty(laws, worker);
        laws_service_end(laws, worker);
        const uint64_t *values = worker->counters.values;
        deliveries += values[COUNTER_deliveries];
        gone += values[COUNTER_messages_out] + values[COUNTER_dropped_oldest] +
                values[COUNTER_dropped_newest] + values[COUNTER_dropped_conflated] +
                values[COUNTER_dropped_closed];
        counters_cover(sim, &worker->counters);
    }
    if (deliveries > gone) {
        sim_fail(sim, "L1", "%llu messages were delivered, %llu were sent or counted as dropped",
                 (unsigned long long)deliveries, (unsigned long long)gone);
    }
    uint32_t open = admission_open_count(sim->process->admission);
    if (open != 0) {
        sim_fail(sim, "L8", "admission counts %u open connections at the end", open);
    }
}
