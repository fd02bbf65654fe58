// Laws about the lines of a worker to services, after every event in which it had a turn: L4 for
// what waits for a service, L6 for its deadlines and for what can be read of it, L8 for the counts
// of lines and exchanges. What a client gets is judged by asks.c.
#include <string.h>

#include "core/base/check.h"
#include "gateway/auth/forward_internal.h"
#include "gateway/process/process.h"
#include "gateway/proxy/internal.h"
#include "gateway/upstream/internal.h"
#include "tests/sim/laws_state.h"
#include "tests/sim/sim_io.h"

enum {
    SLACK_MS = 40,
    ENDED_MS = 5000,        // as in laws_conn.c
    PIECE_BYTES = 24 << 10, // of a body, as it may come at once, and heads
    COUNT_EVERY = 16,       // turns
};

// --- L6

// When the line must have left what it is in, as a time of the worker; UINT64_MAX: no matter when.
static uint64_t due_of(const struct upstreams *upstreams, const struct upstream_line *line) {
    const struct upstream *upstream = upstream_of(upstreams, line);
    if (line->exchange != 0 && exchange_is_check(upstreams, line->exchange)) {
        uint32_t asked_ms = exchange_at(upstreams, line->exchange)->asked_ms;
        return upstreams->now_ms - (uint32_t)(upstreams->now_ms - asked_ms) +
               upstream->health.timeout_ms;
    }
    bool is_sending = line_has(line, LINE_SENDING);
    if (is_sending && line->state >= LINE_ANSWER && line->state <= LINE_RAW) {
        // From its own beginning on, as long for every GATHER_BYTES_MAX: nobody sees its progress.
        uint64_t sent_ms = upstreams->now_ms - (uint32_t)(upstreams->now_ms - line->sent_ms);
        uint64_t flight = outbox_flight_bytes(upstreams->outboxes, &line->outbox);
        return sent_ms + (1 + flight / GATHER_BYTES_MAX) * upstream->response_ms;
    }
    uint64_t since_ms = upstreams->now_ms - (uint32_t)(upstreams->now_ms - line->progress_ms);
    switch ((enum line_state)line->state) {
    case LINE_SOCKET:
    case LINE_CONNECTING:
    case LINE_SHAKING:
        return since_ms + upstream->connect_ms;
    case LINE_ANSWER:
        return line_has(line, LINE_ASKED) ? since_ms + upstream->response_ms : UINT64_MAX;
    case LINE_BODY:
        return line_has(line, LINE_PAUSED) ? UINT64_MAX : since_ms + upstream->idle_ms;
    case LINE_RAW: {
        uint32_t alarm_ms = exchange_at(upstreams, line->exchange)->alarm_ms;
        int32_t left_ms = (int32_t)(alarm_ms - (uint32_t)upstreams->now_ms);
        return alarm_ms == 0 ? UINT64_MAX : upstreams->now_ms + (uint64_t)(int64_t)left_ms;
    }
    case LINE_IDLE:
        return since_ms + UPSTREAM_KEPT_MS;
    case LINE_CLOSING:
        return since_ms + CLOSE_WAIT_MS + ENDED_MS;
    default:
        return UINT64_MAX;
    }
}

static void late_judge(struct laws *laws, const struct worker *worker, uint32_t number) {
    const struct laws_worker *seen = &laws->workers[worker->index];
    const struct upstreams *upstreams = &worker->upstreams;
    const struct upstream_line *line = line_at(upstreams, number);
    uint64_t due_ms = due_of(upstreams, line);
    uint64_t excused_ms = line->state == LINE_CLOSING ? seen->excused_ms + ENDED_MS : 0;
    due_ms = due_ms < excused_ms ? excused_ms : due_ms;
    if (due_ms != UINT64_MAX && upstreams->now_ms > due_ms + SLACK_MS) {
        sim_fail(laws->sim, "L6", "worker %u line %u is in state %u %llu ms behind its deadline",
                 worker->index, number, line->state,
                 (unsigned long long)(upstreams->now_ms - due_ms));
    }
}

// As world.c asks of clients' connections: a poll's event comes once.
static void edge_judge(struct laws *laws, const struct worker *worker, uint32_t number) {
    const struct upstream_line *line = line_at(&worker->upstreams, number);
    bool wants = line->state >= LINE_ANSWER && line->state <= LINE_IDLE &&
                 !line_has(line, LINE_PAUSED) && line->held_block == 0;
    if (!wants) {
        return;
    }
    const struct link_slot *slot = link_slot_at(&worker->clients.link, line->link);
    bool listens = slot->state == LINK_OPEN && (slot->flags & (LINK_END_SEEN | LINK_STARVED)) == 0;
    uint32_t at = line->link & ((1u << LINK_RING_SHIFT) - 1);
    if (listens && !sim_io_will_tell(worker->io, (uint8_t)(line->link >> LINK_RING_SHIFT), at)) {
        sim_fail(laws->sim, "L6",
                 "worker %u will never hear of what line %u has to read (state %u)", worker->index,
                 number, line->state);
    }
}

void laws_service_sleep(struct laws *laws, const struct worker *worker) {
    const struct upstreams *upstreams = &worker->upstreams;
    uint64_t wakes_ms = upstreams->now_ms + worker->wait_ms;
    for (uint32_t i = 1; i <= upstreams->lines.used_peak; i++) {
        const struct upstream_line *line = line_at(upstreams, i);
        bool is_timed = line->state != LINE_FREE && line->state != LINE_CLOSING;
        uint64_t due_ms = is_timed ? due_of(upstreams, line) : UINT64_MAX;
        if (due_ms != UINT64_MAX && wakes_ms > due_ms + SLACK_MS) {
            sim_fail(laws->sim, "L6", "worker %u sleeps %u ms, past the deadline of line %u",
                     worker->index, worker->wait_ms, i);
        }
    }
}

// --- L4

static void budget_judge(struct laws *laws, const struct worker *worker, uint32_t number) {
    const struct upstream_line *line = line_at(&worker->upstreams, number);
    if (line->exchange == 0) {
        return;
    }
    const struct proxy *proxy = &worker->proxy;
    const struct conns *conns = &worker->clients.conns;
    uint32_t owner = exchange_at(&worker->upstreams, line->exchange)->owner;
    bool has_client =
        (owner & FORWARD_OWNER_TAG) == 0 && !exchange_is_check(&worker->upstreams, line->exchange);
    if (!has_client) {
        return; // questions and checks have no body
    }
    const struct proxy_relay *relay = relay_at(proxy, owner);
    if (relay->client == 0) {
        return; // its client has gone: nothing is added
    }
    const struct conn *conn = conn_at(conns, relay->client);
    // Half of the queue stops the client; then one message of any size may still come.
    uint64_t bound = relay->queue_bytes / 2 + PIECE_BYTES +
                     conns->settings[conn->settings].reader.message_bytes_max;
    if (line->outbox.queued_bytes > bound) {
        sim_fail(laws->sim, "L4", "worker %u line %u has %u bytes queued, %llu allowed",
                 worker->index, number, line->outbox.queued_bytes, (unsigned long long)bound);
    }
}

uint64_t laws_service_queued(const struct worker *worker) {
    uint64_t queued = 0;
    for (uint32_t i = 1; i <= worker->upstreams.lines.used_peak; i++) {
        const struct upstream_line *line = line_at(&worker->upstreams, i);
        queued += line->state == LINE_FREE ? 0 : line->outbox.queued_bytes;
    }
    return queued;
}

// --- L8

// The counts of every upstream against what there is.
static void counts_judge(struct laws *laws, const struct worker *worker) {
    const struct upstreams *upstreams = &worker->upstreams;
    uint32_t lines = 0;
    uint32_t pending = 0;
    for (uint32_t i = 0; i < upstreams->item_end; i++) {
        lines += upstreams->items[i].is_used ? upstreams->items[i].lines : 0;
        pending += upstreams->items[i].is_used ? upstreams->items[i].pending : 0;
    }
    int64_t open = 0;
    int64_t busy = 0;
    for (uint32_t i = 1; i <= upstreams->lines.used_peak; i++) {
        const struct upstream_line *line = line_at(upstreams, i);
        open += line->state != LINE_FREE && line_has(line, LINE_COUNTED);
        busy += line->state != LINE_FREE && line->exchange != 0 &&
                !exchange_is_check(upstreams, line->exchange);
    }
    for (uint32_t i = 0; i < upstreams->item_end; i++) {
        const struct upstream *upstream = &upstreams->items[i];
        for (uint32_t j = 0; upstream->is_used && j < upstream->server_count; j++) {
            open -= upstream->servers[j].open;
            busy -= upstream->servers[j].pending;
        }
    }
    if (lines != upstreams->lines.used || pending != upstreams->exchanges.used || open != 0 ||
        busy != 0) {
        sim_fail(laws->sim, "L8",
                 "worker %u: %u lines counted, there are %u; %u exchanges counted, there are %u; "
                 "%lld open and %lld busy lines more than their servers count",
                 worker->index, lines, upstreams->lines.used, pending, upstreams->exchanges.used,
                 (long long)open, (long long)busy);
    }
}

void laws_service_turn(struct laws *laws, const struct worker *worker, bool is_timed) {
    const struct upstreams *upstreams = &worker->upstreams;
    for (uint32_t i = 1; i <= upstreams->lines.used_peak; i++) {
        if (line_at(upstreams, i)->state == LINE_FREE) {
            continue;
        }
        budget_judge(laws, worker, i);
        edge_judge(laws, worker, i);
        if (is_timed) {
            late_judge(laws, worker, i);
        }
    }
    if (worker->counters.values[COUNTER_turns] % COUNT_EVERY == 0) {
        counts_judge(laws, worker);
    }
}

uint64_t laws_service_remembered(const struct worker *worker) {
    const struct forwards *forwards = &worker->forwards;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < AUTHS_MAX; i++) {
        uint32_t number = forwards->lists[i].first;
        for (; number != 0; number = entry_at(forwards, number)->next) {
            bytes += arena_block_bytes(&worker->arena, entry_at(forwards, number)->values);
        }
    }
    return bytes;
}

void laws_service_end(struct laws *laws, const struct worker *worker) {
    const struct upstreams *upstreams = &worker->upstreams;
    const struct {
        const char *name;
        uint64_t count;
    } left[] = {{"lines to services", upstreams->lines.used},
                {"exchanges", upstreams->exchanges.used},
                {"relays", worker->proxy.pool.used},
                {"questions who a client is", worker->forwards.asks.used},
                {"requests that wait", upstreams->waiting_count},
                {"lent receives of lines", upstreams->lent_count},
                {"timers of lines", upstreams->wheel.armed_count}};
    for (uint32_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        if (left[i].count != 0) {
            sim_fail(laws->sim, "L7", "worker %u ends with %llu %s", worker->index,
                     (unsigned long long)left[i].count, left[i].name);
        }
    }
    counts_judge(laws, worker);
}
