// Bytes out: what is queued for the transport, and the messages and Close frames that are put
// there.
#include "core/base/check.h"
#include "core/conn/internal.h"
#include "core/hub/payload.h"
#include "core/ws/close.h"
#include "core/ws/frame.h"

#include "core/base/pure.h"

// Makes room by leaving out what is no longer flagged (released connections). Every live index is
// listed once.
static void touched_compact(struct conns *conns) {
    uint32_t kept = 0;
    for (uint32_t i = conns->touched_next; i < conns->touched_count; i++) {
        uint32_t index = conns->touched[i];
        struct conn *conn = conn_at(conns, index);
        if (conn->state != CONN_FREE && conn_has(conn, CONN_TOUCHED)) {
            conn_clear(conn, CONN_TOUCHED); // a second entry of the same index goes
            conns->touched[kept++] = index;
        }
    }
    for (uint32_t i = 0; i < kept; i++) {
        conn_set(conn_at(conns, conns->touched[i]), CONN_TOUCHED);
    }
    conns->touched_next = 0;
    conns->touched_count = kept;
    check(kept < conns->touched_max);
}

void conn_touch(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    if (conn_has(conn, CONN_TOUCHED)) {
        return;
    }
    if (conns->touched_count == conns->touched_max) {
        touched_compact(conns);
    }
    conn_set(conn, CONN_TOUCHED);
    conns->touched[conns->touched_count++] = index;
}

uint32_t conn_touched_next(struct conns *conns) {
    while (conns->touched_next < conns->touched_count) {
        uint32_t index = conns->touched[conns->touched_next++];
        struct conn *conn = conn_at(conns, index);
        if (conn->state != CONN_FREE && conn_has(conn, CONN_TOUCHED)) {
            conn_clear(conn, CONN_TOUCHED);
            return index;
        }
    }
    conns->touched_next = 0;
    conns->touched_count = 0;
    return 0;
}

bool conn_put(struct conns *conns, uint32_t index, uint32_t payload) {
    struct conn *conn = conn_at(conns, index);
    if (payload == 0) {
        conn_kill(conns, index, FAULT_out_of_memory);
        return false;
    }
    bool is_queued = outbox_put(&conns->outboxes, &conn->outbox, payload);
    payload_drop(conns->arena, payload);
    if (!is_queued) {
        conn_kill(conns, index, FAULT_out_of_memory);
        return false;
    }
    conn_touch(conns, index);
    return true;
}

bool conn_put_close(struct conns *conns, uint32_t index, uint16_t code, struct span reason) {
    uint8_t bytes[CONTROL_BYTES_MAX];
    uint32_t length = ws_close_encode(bytes, code, reason);
    if (!conn_put(conns, index, payload_frame(conns->arena, WS_CLOSE, span_make(bytes, length)))) {
        return false;
    }
    if (code >= 1000 && code < 5000) {
        conns->counters->close_codes_sent[code - 1000]++;
    }
    return true;
}

void conn_violate(struct conns *conns, uint32_t index, const struct fault *fault) {
    struct conn *conn = conn_at(conns, index);
    conn_blame(conns, index, (enum fault_id)fault->id);
    conn_input_end_exchange(conns, index);
    if (conn->state != CONN_OPEN) { // our Close is out already: nothing more to say
        conn_move(conns, index, CONN_DISCARD);
        return;
    }
    if (conn_put_close(conns, index, fault->close_code, span_text(fault->text))) {
        conn_move(conns, index, CONN_DISCARD);
    }
}

static enum conn_send_result send_bounded(struct conns *conns, uint32_t index, uint32_t payload,
                                          uint32_t channel, struct outbox_bounds bounds);

// Whether the send in flight was left by the transport: it was submitted in an earlier turn, and
// completions that had come since were read.
static bool is_stuck(const struct conns *conns, const struct outbox *outbox) {
    uint8_t age = (uint8_t)(conns->turn - outbox->flight_turn);
    return outbox->flight_count > 0 && age >= (conns->has_unreaped ? UNREAPED_TURNS_MAX : 1);
}

// The payload as this connection gets it: its compressed variant where compression was agreed and
// pays. That is made once, at the level of whoever wants it first. It never looks back farther than
// the message is long, so that a smaller window than the compressor's is kept by the size.
static uint32_t payload_form(struct conns *conns, const struct conn *conn, uint32_t payload) {
    if (conn->deflate_bits == 0 || conn->state != CONN_OPEN) {
        return payload;
    }
    const struct payload *content = payload_at(conns->arena, payload);
    const struct conn_settings *settings = conn_settings_of(conns, conn);
    uint32_t bytes_max =
        conn->deflate_bits == HTTP_DEFLATE_BITS_MAX ? DEFLATE_BYTES_MAX : 1u << conn->deflate_bits;
    if (content->kind != PAYLOAD_MESSAGE || content->data_bytes < settings->deflate_threshold ||
        content->data_bytes > bytes_max) {
        return payload;
    }
    if (content->packed != 0) {
        return content->packed == PAYLOAD_PACKED_NONE ? payload : content->packed;
    }
    struct span data = payload_data(conns->arena, payload);
    struct span packed;
    if (!ws_deflate_compress(conns->deflate, settings->deflate_level, data, &packed)) {
        payload_pack_not(conns->arena, payload);
        counter_add(conns->counters, COUNTER_pack_skipped, 1);
        return payload;
    }
    uint32_t variant = payload_pack(conns->arena, payload, packed);
    if (variant == 0) { // no memory: not tried again for each of the others
        payload_pack_not(conns->arena, payload);
        return payload;
    }
    counter_add(conns->counters, COUNTER_messages_packed, 1);
    counter_add(conns->counters, COUNTER_pack_bytes_before, data.length);
    counter_add(conns->counters, COUNTER_pack_bytes_after, packed.length);
    return variant;
}

// The payload as the connection's own stream makes it, with one reference for the caller; 0: it
// goes plain. What was made is in the window, and must be sent.
static uint32_t payload_own(struct conns *conns, uint32_t index, uint32_t payload) {
    const struct payload *content = payload_at(conns->arena, payload);
    const struct conn_settings *settings = conn_settings_of(conns, conn_at(conns, index));
    if (content->kind != PAYLOAD_MESSAGE || content->data_bytes < settings->deflate_threshold ||
        content->data_bytes > DEFLATE_BYTES_MAX) {
        return 0;
    }
    struct span data = payload_data(conns->arena, payload);
    struct span_mut room = ws_deflate_room(conns->deflate, data.length);
    uint32_t length = ws_takeover_deflate(conns->takeover, conns->streams[index], data, room);
    if (length == 0) {
        counter_add(conns->counters, COUNTER_pack_skipped, 1);
        return 0;
    }
    uint32_t own = payload_packed(conns->arena, content->opcode, span_make(room.data, length));
    if (own == 0) {
        ws_takeover_reset(conns->takeover, conns->streams[index]);
        return 0;
    }
    counter_add(conns->counters, COUNTER_messages_packed, 1);
    counter_add(conns->counters, COUNTER_pack_bytes_before, data.length);
    counter_add(conns->counters, COUNTER_pack_bytes_after, length);
    return own;
}

static bool has_own_stream(const struct conn *conn) {
    return conn->deflate_bits == CONN_DEFLATE_OWN && conn->state == CONN_OPEN;
}

static enum conn_send_result send_own(struct conns *conns, uint32_t index, uint32_t payload,
                                      uint32_t channel, struct outbox_bounds bounds) {
    uint32_t own = payload_own(conns, index, payload);
    enum conn_send_result result =
        send_bounded(conns, index, own != 0 ? own : payload, channel, bounds);
    if (own != 0) {
        payload_drop(conns->arena, own);
    }
    return result;
}

uint8_t *conn_run_room(struct conns *conns, uint32_t index, uint32_t bytes) {
    struct conn *conn = conn_at(conns, index);
    if (conn->state != CONN_OPEN) {
        return NULL;
    }
    uint8_t *room = outbox_run_room(&conns->outboxes, &conn->outbox, bytes);
    if (room == NULL) {
        counter_add(conns->counters, COUNTER_dropped_closed, 1);
        conn_close(
            conns, index,
            &(struct conn_close_options){.fault = FAULT_memory_pressure, .drops_waiting = true});
        return NULL;
    }
    conn->message_ms = conn_now32(conns);
    conn_touch(conns, index);
    return room;
}

enum conn_send_result conn_offer(struct conns *conns, uint32_t index, uint32_t payload,
                                 uint32_t channel) {
    const struct conn *conn = conn_at(conns, index);
    const struct outbox *outbox = &conn->outbox;
    bool is_own = has_own_stream(conn);
    payload = is_own ? payload : payload_form(conns, conn, payload);
    struct outbox_bounds bounds = conn_settings_of(conns, conn)->bounds;
    if (!is_stuck(conns, outbox)) {
        uint64_t bytes =
            (uint64_t)outbox->queued_bytes + payload_at(conns->arena, payload)->wire_bytes;
        if (conn->state == CONN_OPEN && outbox->queued_bytes != 0 &&
            bytes > bounds.queue_bytes_max) {
            return CONN_SENT_LATER;
        }
        // It fits: nothing is conflated for a transport that takes all.
        bounds.policy = OUTBOX_CLOSE;
    }
    if (is_own) {
        return send_own(conns, index, payload, channel, bounds);
    }
    return send_bounded(conns, index, payload, channel, bounds);
}

enum conn_send_result conn_send(struct conns *conns, uint32_t index, uint32_t payload,
                                uint32_t channel) {
    struct outbox_bounds bounds = conn_settings_of(conns, conn_at(conns, index))->bounds;
    if (has_own_stream(conn_at(conns, index))) {
        return send_own(conns, index, payload, channel, bounds);
    }
    payload = payload_form(conns, conn_at(conns, index), payload);
    return send_bounded(conns, index, payload, channel, bounds);
}

static enum conn_send_result send_bounded(struct conns *conns, uint32_t index, uint32_t payload,
                                          uint32_t channel, struct outbox_bounds bounds) {
    struct conn *conn = conn_at(conns, index);
    if (conn->state != CONN_OPEN) {
        return CONN_SENT_CLOSED;
    }
    uint32_t dropped = 0;
    enum outbox_result result =
        outbox_put_message(&conns->outboxes, &conn->outbox, payload, channel, bounds, &dropped);
    switch (result) {
    case OUTBOX_QUEUED:
    case OUTBOX_DROPPED:
        break;
    case OUTBOX_OVER:
        counter_add(conns->counters, COUNTER_dropped_closed, 1);
        conn_close(conns, index,
                   &(struct conn_close_options){.fault = FAULT_slow_reader, .drops_waiting = true});
        return CONN_SENT_CLOSED;
    case OUTBOX_REFUSED:
        counter_add(conns->counters, COUNTER_dropped_closed, 1);
        conn_close(
            conns, index,
            &(struct conn_close_options){.fault = FAULT_memory_pressure, .drops_waiting = true});
        return CONN_SENT_CLOSED;
    }
    conn->message_ms = conn_now32(conns);
    conn_touch(conns, index);
    if (result == OUTBOX_QUEUED) {
        return CONN_SENT_QUEUED;
    }
    static const enum counter_id by_policy[] = {
        [OUTBOX_CLOSE] = COUNTER_dropped_closed,
        [OUTBOX_DROP_OLDEST] = COUNTER_dropped_oldest,
        [OUTBOX_DROP_NEWEST] = COUNTER_dropped_newest,
        [OUTBOX_CONFLATE] = COUNTER_dropped_conflated,
    };
    counter_add(conns->counters, by_policy[bounds.policy], dropped);
    return CONN_SENT_DROPPED;
}

uint32_t conn_gather(struct conns *conns, uint32_t index, struct span pieces[SEND_PIECES_MAX]) {
    struct conn *conn = conn_at(conns, index);
    if (conn->state == CONN_ENDED || !outbox_may_send(&conn->outbox)) {
        return 0;
    }
    uint32_t count =
        outbox_gather(&conns->outboxes, &conn->outbox, pieces, SEND_PIECES_MAX, GATHER_BYTES_MAX);
    if (count > 0) {
        conn_set(conn, CONN_SENDING);
        conn->send_ms = conn_now32(conns);
        conn->outbox.flight_turn = conns->turn;
        uint32_t stall_ms = conn_settings_of(conns, conn)->stall_ms;
        uint64_t armed_ms = (uint64_t)(conn->timer.due - 1) * WHEEL_TICK_MS;
        if (stall_ms != 0 && (conn->timer.due == 0 || armed_ms > conns->now_ms + stall_ms)) {
            conn_arm(conns, index); // rare: a ping or another deadline is usually armed earlier
        }
    }
    return count;
}

// What an empty outbox means in each state.
static void drained(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    switch (conn->state) {
    case CONN_FLUSH:
        conn_move(conns, index, CONN_ENDED);
        return;
    case CONN_HEAD: // replies are out: the next request may be looked at
        conn_touch(conns, index);
        return;
    default:
        return;
    }
}

void conn_sent(struct conns *conns, uint32_t index, uint64_t sent_bytes) {
    struct conn *conn = conn_at(conns, index);
    check(conn_has(conn, CONN_SENDING));
    conn_clear(conn, CONN_SENDING);
    counter_add(conns->counters, COUNTER_bytes_out, sent_bytes);
    uint64_t control_sent = conns->outboxes.control_sent;
    uint32_t messages = outbox_sent(&conns->outboxes, &conn->outbox, sent_bytes);
    if (conn_has(conn, CONN_PING_WAITS) && conns->outboxes.control_sent != control_sent) {
        conn_clear(conn, CONN_PING_WAITS); // only now can it be answered
        conn->phase_ms = conn_now32(conns);
    }
    counter_add(conns->counters, COUNTER_messages_out, messages);
    if (conn->state == CONN_ENDED) {
        return;
    }
    if (outbox_is_empty(&conn->outbox)) {
        drained(conns, index);
    } else {
        conn_touch(conns, index);
    }
    if (conn->state >= CONN_CLOSING && conn->state < CONN_ENDED) { // it reads: now the rest
        conn->phase_ms = conn_now32(conns);
        conn_arm(conns, index);
    }
}
