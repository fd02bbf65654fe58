// Deadlines of lines. Each has one wheel entry, armed for the earliest; what moved on is found "not
// yet due" when it fires, and armed again.
#include "gateway/upstream/internal.h"

static void earliest(const struct upstreams *upstreams, int32_t *best, uint32_t due) {
    int32_t left = (int32_t)(due - (uint32_t)upstreams->now_ms);
    *best = left < *best ? left : *best;
}

// While an exchange has the line.
static bool is_being_sent(const struct upstream_line *line) {
    return line_has(line, LINE_SENDING) && line->state >= LINE_ANSWER && line->state <= LINE_RAW;
}

// A service that takes nothing holds up its client, whatever it sends meanwhile. A large message is
// one send, whose progress nobody sees: it may take as long for every GATHER_BYTES_MAX.
static uint32_t send_due(const struct upstreams *upstreams, const struct upstream_line *line) {
    uint64_t pieces =
        1 + outbox_flight_bytes(upstreams->outboxes, &line->outbox) / GATHER_BYTES_MAX;
    uint64_t wait_ms = pieces * upstream_of(upstreams, line)->response_ms;
    return line->sent_ms + (uint32_t)(wait_ms < TIME_MS_MAX ? wait_ms : TIME_MS_MAX);
}

// Milliseconds until something is due; INT32_MAX: nothing is.
static int32_t line_deadline(const struct upstreams *upstreams, uint32_t number) {
    const struct upstream_line *line = line_at(upstreams, number);
    const struct upstream *upstream = upstream_of(upstreams, line);
    int32_t best = INT32_MAX;
    if (line->exchange != 0 && exchange_is_check(upstreams, line->exchange)) {
        uint32_t begun_ms = exchange_at(upstreams, line->exchange)->asked_ms;
        earliest(upstreams, &best, begun_ms + upstream->health.timeout_ms);
        return best;
    }
    bool is_sending = is_being_sent(line);
    if (is_sending) {
        earliest(upstreams, &best, send_due(upstreams, line));
    }
    switch (line->state) {
    case LINE_SOCKET:
    case LINE_CONNECTING:
    case LINE_SHAKING:
        earliest(upstreams, &best, line->progress_ms + upstream->connect_ms);
        break;
    case LINE_ANSWER: // while the client still has to bring its body, its deadlines count
        if (!is_sending && line_has(line, LINE_ASKED)) {
            earliest(upstreams, &best, line->progress_ms + upstream->response_ms);
        }
        break;
    case LINE_BODY:
        if (!is_sending && !line_has(line, LINE_PAUSED) && upstream->idle_ms != 0) {
            earliest(upstreams, &best, line->progress_ms + upstream->idle_ms);
        }
        break;
    case LINE_RAW:
        if (exchange_at(upstreams, line->exchange)->alarm_ms != 0) {
            earliest(upstreams, &best, exchange_at(upstreams, line->exchange)->alarm_ms);
        }
        break;
    case LINE_IDLE:
        earliest(upstreams, &best, line->progress_ms + UPSTREAM_KEPT_MS);
        break;
    case LINE_CLOSING:
        if (line_has(line, LINE_FLUSHES)) {
            earliest(upstreams, &best, line->progress_ms + CLOSE_WAIT_MS);
        }
        break;
    default:
        break;
    }
    return best;
}

void line_arm(struct upstreams *upstreams, uint32_t number) {
    int32_t left = line_deadline(upstreams, number);
    if (left == INT32_MAX) {
        return; // what is armed finds nothing due
    }
    const struct upstream_line *line = line_at(upstreams, number);
    uint64_t due_ms = left <= 0 ? upstreams->now_ms : upstreams->now_ms + (uint64_t)left;
    bool is_later =
        line->timer.due != 0 && (uint64_t)(line->timer.due - 1) * WHEEL_TICK_MS <= due_ms;
    if (!is_later) {
        wheel_arm(&upstreams->wheel, number, due_ms);
    }
}

void line_on_time(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    if (line_deadline(upstreams, number) > 0) {
        line_arm(upstreams, number);
        return;
    }
    bool is_stuck = is_being_sent(line) &&
                    (int32_t)(send_due(upstreams, line) - (uint32_t)upstreams->now_ms) <= 0;
    if (is_stuck) {
        line_fail(upstreams, number, FAULT_upstream_timeout, NULL);
        return;
    }
    switch (line->state) {
    case LINE_SOCKET:
    case LINE_CONNECTING:
    case LINE_SHAKING:
        line_fail(upstreams, number, FAULT_upstream_connect_timeout, NULL);
        return;
    case LINE_ANSWER:
    case LINE_BODY:
        line_fail(upstreams, number, FAULT_upstream_timeout, NULL);
        return;
    case LINE_RAW:
        exchange_at(upstreams, line->exchange)->alarm_ms = 0;
        exchange_tell(upstreams, line->exchange, (struct upstream_event){.kind = UPSTREAM_DUE});
        return;
    case LINE_IDLE:
        line_close(upstreams, number, false);
        return;
    default: // CLOSING: what it did not take in time is dropped
        line_clear(line, LINE_FLUSHES);
        link_close(upstreams->link, line->link);
        return;
    }
}
