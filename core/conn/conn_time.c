// Deadlines. All of a connection's deadlines share its one wheel entry, armed for the earliest;
// traffic does not touch the wheel: what moved on is found "not yet due" when the entry fires, and
// armed again.
//
// Six promises: a head or body is complete in time (handshake_ms, BODY_WAIT_MS), and so is the
// owner's answer (handshake_ms); a silent peer is asked (ping_ms) and answers (pong_ms); a send
// moves (stall_ms); a close ends (CLOSE_WAIT_MS, DISCARD_WAIT_MS); idle, age, expiry and drain end
// what is open.
#include "core/base/check.h"
#include "core/base/prng.h"
#include "core/conn/internal.h"
#include "core/hub/payload.h"
#include "core/ws/frame.h"

#include "core/base/pure.h"

// Below `bound`: neighbouring keys get unrelated numbers.
static uint32_t spread(const struct conns *conns, uint32_t key, uint32_t bound) {
    uint64_t z = prng_mix(conns->jitter_seed + (uint64_t)key * 0x9e3779b97f4a7c15u);
    return (uint32_t)(((z >> 32) * bound) >> 32);
}

uint32_t conn_jitter(const struct conns *conns, uint32_t index, uint32_t bound) {
    return spread(conns, conn_at(conns, index)->generation, bound);
}

// Milliseconds from now until `due` in wrapping 32-bit time; negative when it is past.
static int32_t until(const struct conns *conns, uint32_t due) {
    return (int32_t)(due - conn_now32(conns));
}

static void earliest(const struct conns *conns, int32_t *best, uint32_t due) {
    int32_t left = until(conns, due);
    if (left < *best) {
        *best = left;
    }
}

// The first ping comes after half to a whole interval, so that a crowd that came at once is asked
// as a trickle. But neighbours are asked together, in the order they came: they came together, so
// the kernel's objects of their sockets lie together too, and in random order each of a ping's
// dozen first touches misses more (18,000 connections, server CPU for a ping in two rounds: 12.7
// and 8.1 us at random, 8.2 and 6.4 in order). So a ping comes at the last point of its group's own
// grid, an eighth of the interval wide, that is not later than the interval allows; once there,
// whatever the round trip, exactly an interval apart.
static uint32_t ping_due(const struct conns *conns, uint32_t index) {
    const struct conn *conn = conn_at(conns, index);
    uint32_t ping_ms = conn_settings_of(conns, conn)->ping_ms;
    uint32_t group = index / PING_GROUP;
    uint32_t due = conn->read_ms + ping_ms;
    if (!conn_has(conn, CONN_HAS_PINGED)) {
        due -= spread(conns, group, ping_ms / 8 * 3 + 1);
    }
    uint32_t grid_ms = ping_ms / 8;
    return grid_ms == 0 ? due : due - (due - spread(conns, ~group, grid_ms)) % grid_ms;
}

static uint32_t age_due(const struct conns *conns, uint32_t index) {
    const struct conn *conn = conn_at(conns, index);
    uint32_t age_ms = conn_settings_of(conns, conn)->age_ms;
    return conn->opened_ms + age_ms - conn_jitter(conns, index, age_ms / 8 + 1);
}

static uint32_t drain_due(const struct conns *conns, uint32_t index) {
    return conns->drain_begin_ms + conn_jitter(conns, index, conns->drain_over_ms + 1);
}

void conn_expire(struct conns *conns, uint32_t index, uint64_t due_ms) {
    uint64_t due_s = due_ms / 1000 + (due_ms % 1000 != 0); // not before
    conns->expiries[index] = due_s < UINT32_MAX ? (uint32_t)due_s : UINT32_MAX;
}

// Years ahead do not fit the wheel: then it is looked at again when the wheel's longest time is
// over.
static int32_t expiry_left_ms(const struct conns *conns, uint32_t index) {
    uint64_t due_ms = (uint64_t)conns->expiries[index] * 1000;
    if (due_ms <= conns->now_ms) {
        return 0;
    }
    uint64_t left_ms = due_ms - conns->now_ms;
    return left_ms < TIME_MS_MAX ? (int32_t)left_ms : TIME_MS_MAX;
}

static void open_deadlines(const struct conns *conns, uint32_t index, int32_t *best) {
    const struct conn *conn = conn_at(conns, index);
    const struct conn_settings *settings = conn_settings_of(conns, conn);
    bool asks = settings->ping_ms != 0 && !conn_has(conn, CONN_PAUSED);
    if (asks && !conn_has(conn, CONN_PING_OUT)) {
        earliest(conns, best, ping_due(conns, index));
    }
    if (asks && conn_has(conn, CONN_PING_OUT)) {
        earliest(conns, best, conn->phase_ms + settings->pong_ms);
    }
    if (settings->idle_ms != 0) {
        earliest(conns, best, conn->message_ms + settings->idle_ms);
    }
    if (settings->age_ms != 0) {
        earliest(conns, best, age_due(conns, index));
    }
    if (settings->has_expiry) {
        earliest(conns, best, conn_now32(conns) + (uint32_t)expiry_left_ms(conns, index));
    }
}

static bool has_keep_alive_wait(const struct conn *conn) {
    return conn_has(conn, CONN_HAS_REQUEST) && !conn_has(conn, CONN_HEAD_BEGUN);
}

// While a send is under way the stall deadline judges the peer, also when it closes: nothing queued
// is lost on a connection that reads, however slowly (DESIGN.md section 5). Unless it was given up.
static bool is_being_read(const struct conns *conns, const struct conn *conn) {
    return conn_has(conn, CONN_SENDING) && !conn_has(conn, CONN_GIVEN_UP) &&
           conn_settings_of(conns, conn)->stall_ms != 0;
}

// A large message is one send, whose progress nobody sees before its end: it may take as long for
// every GATHER_BYTES_MAX, as if it were sent in such pieces.
static uint32_t stall_due(const struct conns *conns, const struct conn *conn) {
    uint64_t pieces = 1 + outbox_flight_bytes(&conns->outboxes, &conn->outbox) / GATHER_BYTES_MAX;
    uint64_t wait_ms = pieces * conn_settings_of(conns, conn)->stall_ms;
    return conn->send_ms + (uint32_t)(wait_ms < INT32_MAX / 2 ? wait_ms : INT32_MAX / 2);
}

// INT32_MAX: nothing to wait for.
static int32_t deadline(const struct conns *conns, uint32_t index) {
    const struct conn *conn = conn_at(conns, index);
    const struct conn_settings *settings = conn_settings_of(conns, conn);
    int32_t best = INT32_MAX;
    switch (conn->state) {
    case CONN_HEAD:
        earliest(conns, &best,
                 conn->phase_ms +
                     (has_keep_alive_wait(conn) ? (uint32_t)KEEP_ALIVE_MS : conns->handshake_ms));
        break;
    case CONN_VERDICT:
    case CONN_REPLY:
        earliest(conns, &best, conn->phase_ms + conns->handshake_ms);
        break;
    case CONN_BODY:
        earliest(conns, &best, conn->read_ms + conns->handshake_ms);
        earliest(conns, &best, conn->phase_ms + BODY_WAIT_MS);
        break;
    case CONN_RELAY:
        if (!conn_has(conn, CONN_PAUSED) && conn_relay_reads(conns, index)) {
            earliest(conns, &best, conn->read_ms + conns->handshake_ms);
        }
        break;
    case CONN_OPEN:
        open_deadlines(conns, index, &best);
        break;
    case CONN_CLOSING:
    case CONN_DISCARD:
    case CONN_FLUSH: // phase_ms starts anew with every send that ends
        if (!is_being_read(conns, conn)) {
            bool discards = conn->state == CONN_DISCARD && outbox_is_empty(&conn->outbox);
            earliest(conns, &best, conn->phase_ms + (discards ? DISCARD_WAIT_MS : CLOSE_WAIT_MS));
        }
        break;
    default:
        break;
    }
    if (conn_has(conn, CONN_SENDING) && settings->stall_ms != 0) {
        earliest(conns, &best, stall_due(conns, conn));
    }
    if (conn_has(conn, CONN_DRAINING) && conn->state <= CONN_OPEN) {
        earliest(conns, &best, drain_due(conns, index));
    }
    return best;
}

void conn_arm(struct conns *conns, uint32_t index) {
    int32_t left = deadline(conns, index);
    if (left == INT32_MAX) {
        return;
    }
    struct conn *conn = conn_at(conns, index);
    uint64_t due_ms = left <= 0 ? conns->now_ms : conns->now_ms + (uint64_t)left;
    bool is_later =
        conn->timer.due != 0 && (uint64_t)(conn->timer.due - 1) * WHEEL_TICK_MS <= due_ms;
    if (!is_later) {
        wheel_arm(&conns->wheel, index, due_ms);
    }
}

// Its time, and sixteen bits that a peer which invents one would have to guess.
void conn_ping_stamp(const struct conns *conns, uint64_t time_us, uint8_t stamp[PING_STAMP_BYTES]) {
    uint64_t proof = (time_us ^ conns->jitter_seed) * 0x9e3779b97f4a7c15u;
    proof = (proof ^ proof >> 32) * 0xbf58476d1ce4e5b9u;
    uint64_t word = (time_us & PING_TIME_MASK) | (proof & ~PING_TIME_MASK);
    for (uint32_t i = 0; i < PING_STAMP_BYTES; i++) {
        stamp[i] = (uint8_t)(word >> (8 * i));
    }
}

// One payload serves all pings of a turn: the time is the same for all of them.
static void ping_send(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    if (conns->ping_payload == 0) {
        uint8_t stamp[PING_STAMP_BYTES];
        conn_ping_stamp(conns, conns->now_us, stamp);
        conns->ping_payload =
            payload_frame(conns->arena, WS_PING, span_make(stamp, PING_STAMP_BYTES));
    }
    if (conns->ping_payload == 0 ||
        !outbox_put(&conns->outboxes, &conn->outbox, conns->ping_payload)) {
        conn_kill(conns, index, FAULT_out_of_memory);
        return;
    }
    conn_set(conn, CONN_PING_OUT);
    conn_set(conn, CONN_PING_WAITS);
    conn_set(conn, CONN_HAS_PINGED);
    conn->phase_ms = conn_now32(conns);
    counter_add(conns->counters, COUNTER_pings_sent, 1);
    conn_touch(conns, index);
}

static void open_keepalive(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    const struct conn_settings *settings = conn_settings_of(conns, conn);
    if (settings->ping_ms == 0 || conn_has(conn, CONN_PAUSED)) {
        return;
    }
    bool waits = conn_has(conn, CONN_PING_WAITS);
    if (conn_has(conn, CONN_PING_OUT) && !waits && (int32_t)(conn->read_ms - conn->phase_ms) > 0) {
        // Bytes have come since: it lives, also when its pong waits behind a large message.
        conn_clear(conn, CONN_PING_OUT);
        conn->phase_ms = 0;
    }
    if (!conn_has(conn, CONN_PING_OUT)) {
        if (until(conns, ping_due(conns, index)) <= 0) {
            ping_send(conns, index);
        }
    } else if (until(conns, conn->phase_ms + settings->pong_ms) <= 0 && waits) {
        // Behind what the peer reads slowly it could not be answered yet, and one that reads
        // nothing meets the stall deadline. Looked at again after as long.
        conn->phase_ms = conn_now32(conns);
    } else if (until(conns, conn->phase_ms + settings->pong_ms) <= 0) {
        conn_close(
            conns, index,
            &(struct conn_close_options){.fault = FAULT_pong_timeout, .drops_waiting = true});
    }
}

static void open_on_time(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    const struct conn_settings *settings = conn_settings_of(conns, conn);
    if (settings->idle_ms != 0 && until(conns, conn->message_ms + settings->idle_ms) <= 0) {
        conn_close(conns, index, &(struct conn_close_options){.fault = FAULT_idle_timeout});
    } else if (settings->has_expiry && expiry_left_ms(conns, index) == 0) {
        conn_close(conns, index, &(struct conn_close_options){.fault = FAULT_token_expired});
    } else if (settings->age_ms != 0 && until(conns, age_due(conns, index)) <= 0) {
        conn_close(conns, index, &(struct conn_close_options){.fault = FAULT_age_limit});
    } else {
        open_keepalive(conns, index);
    }
}

static void head_on_time(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    if (has_keep_alive_wait(conn)) {
        conn_close(conns, index, &(struct conn_close_options){.fault = FAULT_request_idle});
    } else if (conn_has(conn, CONN_HEAD_BEGUN)) {
        conn_refuse_fault(conns, index, fault_get(FAULT_handshake_timeout));
    } else { // it never said anything: no request, no answer
        conn_kill(conns, index, FAULT_handshake_timeout);
    }
}

static void state_on_time(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    switch (conn->state) {
    case CONN_HEAD:
        head_on_time(conns, index);
        return;
    case CONN_BODY:
        conn_refuse_fault(conns, index, fault_get(FAULT_handshake_timeout));
        return;
    case CONN_VERDICT:
    case CONN_REPLY: // what the owner still answers finds another state
        conn_refuse_fault(conns, index, fault_get(FAULT_answer_timeout));
        return;
    case CONN_RELAY: // the owner finds another state
        if (conn_relay_has_reply(conns, index)) {
            conn_kill(conns, index, FAULT_handshake_timeout);
        } else {
            conn_refuse_fault(conns, index, fault_get(FAULT_handshake_timeout));
        }
        return;
    case CONN_CLOSING:
    case CONN_DISCARD:
    case CONN_FLUSH: // what it was closed for stays the cause
        conn_move(conns, index, CONN_ENDED);
        return;
    default:
        return;
    }
}

void conn_on_time(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    check(conn->state != CONN_FREE);
    const struct conn_settings *settings = conn_settings_of(conns, conn);
    bool is_stalled = conn_has(conn, CONN_SENDING) && settings->stall_ms != 0 &&
                      until(conns, stall_due(conns, conn)) <= 0;
    if (is_stalled) {
        conn_kill(conns, index, FAULT_send_stalled);
    } else if (conn_has(conn, CONN_DRAINING) && conn->state <= CONN_OPEN &&
               until(conns, drain_due(conns, index)) <= 0) {
        conn_clear(conn, CONN_DRAINING);
        conn_close(conns, index, &(struct conn_close_options){.fault = FAULT_draining});
    } else if (conn->state == CONN_OPEN) {
        open_on_time(conns, index);
    } else if (deadline(conns, index) <= 0) {
        state_on_time(conns, index);
    }
    if (conn->state != CONN_ENDED) {
        conn_arm(conns, index);
    }
}

void conns_drain(struct conns *conns, uint32_t over_ms) {
    conns->drain_begin_ms = conn_now32(conns);
    conns->drain_over_ms = over_ms;
}

void conn_on_readable(struct conns *conns, uint32_t index) {
    conn_at(conns, index)->read_ms = conn_now32(conns);
}

void conn_drain(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    if (conn->state != CONN_FREE && conn->state <= CONN_OPEN) {
        conn_set(conn, CONN_DRAINING);
        conn_arm(conns, index);
    }
}

uint32_t conn_round_trip_us(const struct conn *conn) {
    return conn->state == CONN_OPEN && !conn_has(conn, CONN_PING_OUT) ? conn->phase_ms : 0;
}
