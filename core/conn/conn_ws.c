// Frames in: what a WebSocket peer sends, judged by core/ws and answered here. Also what is read
// and thrown away after a violation.
#include "core/base/check.h"
#include "core/base/utf8.h"
#include "core/conn/internal.h"
#include "core/hub/payload.h"
#include "core/ws/close.h"
#include "core/ws/frame.h"

#include "core/base/pure.h"

static void on_ping(struct conns *conns, uint32_t index, struct span payload) {
    struct conn *conn = conn_at(conns, index);
    counter_add(conns->counters, COUNTER_pings_received, 1);
    if (conn->state != CONN_OPEN) {
        return; // our Close is queued: nothing may follow it
    }
    // A flood leaves few answers, the last to the newest ping (RFC 6455 5.5.3), so that it cannot
    // grow the queue.
    if (outbox_drop_pong(&conns->outboxes, &conn->outbox, PONG_PENDING_MAX)) {
        counter_add(conns->counters, COUNTER_pongs_coalesced, 1);
    }
    conn_put(conns, index, payload_frame(conns->arena, WS_PONG, payload));
}

static void on_pong(struct conns *conns, uint32_t index, struct span payload) {
    struct conn *conn = conn_at(conns, index);
    bool is_awaited = conn_has(conn, CONN_PING_OUT) && !conn_has(conn, CONN_PING_WAITS);
    if (!is_awaited || payload.length != PING_STAMP_BYTES) {
        return; // unsolicited: allowed, and no answer is owed (RFC 6455 5.5.3)
    }
    uint64_t sent_us = 0;
    for (uint32_t i = 0; i < 6; i++) {
        sent_us |= (uint64_t)payload.data[i] << (8 * i);
    }
    uint8_t stamp[PING_STAMP_BYTES];
    conn_ping_stamp(conns, sent_us, stamp);
    if (!span_equal(payload, span_make(stamp, PING_STAMP_BYTES)) || sent_us > conns->now_us) {
        return; // not one of our pings
    }
    uint64_t trip_us = conns->now_us - sent_us;
    conn_clear(conn, CONN_PING_OUT);
    conn->phase_ms = trip_us > UINT32_MAX ? UINT32_MAX : (uint32_t)trip_us;
    histogram_record(conns->round_trip, trip_us * 1000);
    counter_add(conns->counters, COUNTER_pongs_received, 1);
}

// True: the owner is told, by *event.
static bool on_close(struct conns *conns, uint32_t index, struct span payload,
                     struct conn_event *event) {
    struct conn *conn = conn_at(conns, index);
    uint16_t code;
    struct span reason;
    const struct fault *fault = ws_close_decode(payload, &code, &reason);
    if (fault != NULL) {
        conn_violate(conns, index, fault);
        return false;
    }
    bool is_told = conn->state == CONN_OPEN && conn_settings_of(conns, conn)->tells_close;
    if (is_told) { // a copy: the frame may lie in the reader, which goes
        memcpy(conns->close_payload, payload.data, payload.length);
        *event = (struct conn_event){.kind = CONN_EVENT_CLOSE,
                                     .payload = span_make(conns->close_payload, payload.length)};
    }
    conn_set(conn, CONN_CLOSE_IN);
    conn_blame(conns, index, FAULT_closed_by_peer);
    if (conn->state == CONN_OPEN && !conn_put_close(conns, index, code, span_empty())) {
        return is_told;
    }
    conn_input_end_exchange(conns, index);
    conn_move(conns, index, outbox_is_empty(&conn->outbox) ? CONN_ENDED : CONN_FLUSH);
    return is_told;
}

// Inflates a message into the worker's scratch and gives its block back. False: it is wrong, and
// the connection ends.
static bool message_unpack(struct conns *conns, uint32_t index, struct ws_event *frame) {
    uint32_t plain_bytes_max =
        conn_settings_of(conns, conn_at(conns, index))->reader.message_bytes_max;
    struct span plain;
    const struct fault *fault =
        ws_deflate_inflate(conns->deflate, frame->payload, plain_bytes_max, &plain);
    if (fault == NULL && frame->opcode == WS_TEXT && !utf8_is_valid(plain)) {
        fault = fault_get(FAULT_message_utf8);
    }
    counter_add(conns->counters, COUNTER_messages_unpacked, 1);
    counter_add(conns->counters, COUNTER_unpack_bytes_before, frame->payload.length);
    if (frame->block != 0) {
        arena_give(conns->arena, frame->block);
        frame->block = 0;
    }
    if (fault != NULL) {
        conn_violate(conns, index, fault);
        return false;
    }
    counter_add(conns->counters, COUNTER_unpack_bytes_after, plain.length);
    frame->payload = plain;
    return true;
}

// Acts on one event of the reader. True: there is something for the owner, in *event.
static bool act(struct conns *conns, uint32_t index, struct ws_event *frame,
                struct conn_event *event) {
    struct conn *conn = conn_at(conns, index);
    switch (frame->kind) {
    case WS_EVENT_NEED_MORE:
        return false;
    case WS_EVENT_PING:
        on_ping(conns, index, frame->payload);
        return false;
    case WS_EVENT_PONG:
        on_pong(conns, index, frame->payload);
        return false;
    case WS_EVENT_CLOSE:
        return on_close(conns, index, frame->payload, event);
    case WS_EVENT_FAULT:
        conn_violate(conns, index, frame->fault);
        return false;
    case WS_EVENT_REFUSED: // no memory for the message: its frames cannot be followed any more
        conn_violate(conns, index, fault_get(FAULT_out_of_memory));
        return false;
    case WS_EVENT_MESSAGE:
        break;
    }
    const struct conn_settings *settings = conn_settings_of(conns, conn);
    // An envelope is text, whatever it carries: its owner judges that.
    bool is_refused =
        !conn_has(conn, CONN_ENVELOPE) &&
        (frame->opcode == WS_TEXT ? settings->refuses_text : settings->refuses_binary);
    if (conn->state != CONN_OPEN || is_refused) {
        if (frame->block != 0) {
            arena_give(conns->arena, frame->block);
        }
        if (conn->state == CONN_OPEN) {
            conn_violate(conns, index, fault_get(FAULT_message_kind));
        }
        return false;
    }
    if (frame->is_compressed && !message_unpack(conns, index, frame)) {
        return false;
    }
    conn->message_ms = conn_now32(conns);
    counter_add(conns->counters, COUNTER_messages_in, 1);
    counter_add(conns->counters, COUNTER_message_bytes_in, frame->payload.length);
    *event = (struct conn_event){.kind = CONN_EVENT_MESSAGE,
                                 .opcode = frame->opcode,
                                 .block = frame->block,
                                 .payload = frame->payload};
    return true;
}

// Moves what the shared reader is in the middle of to the connection's own, and leaves it all zero.
static void reader_store(struct conns *conns, uint32_t index, struct ws_reader *reader) {
    if (ws_reader_is_idle(reader)) {
        return;
    }
    struct conn *conn = conn_at(conns, index);
    bool is_wanted = conn->state == CONN_OPEN || conn->state == CONN_CLOSING;
    struct conn_input *input = is_wanted ? conn_input_get(conns, index) : NULL;
    if (input != NULL) {
        input->reader = *reader;
        memset(reader, 0, sizeof *reader);
        return;
    }
    ws_reader_drop(reader, conns->arena);
    if (is_wanted) {
        conn_violate(conns, index, fault_get(FAULT_out_of_memory));
    }
}

// The route's, and RSV1 where compression was agreed.
static struct ws_reader_rules rules_of(const struct conns *conns, const struct conn *conn) {
    struct ws_reader_rules rules = conn_settings_of(conns, conn)->reader;
    rules.head.allows_rsv1 = conn->deflate_bits != 0;
    return rules;
}

struct conn_event conn_feed_frames(struct conns *conns, uint32_t index, struct span_mut *bytes) {
    struct conn *conn = conn_at(conns, index);
    struct ws_reader_rules rules = rules_of(conns, conn);
    struct conn_event event = {.kind = CONN_EVENT_NONE};
    struct conn_input *input = conn_input_find(conns, index);
    // Between messages a connection has no reader of its own: a whole frame never writes the
    // reader, so all connections share one that is all zero.
    struct ws_reader *reader = input != NULL ? &input->reader : &conns->idle_reader;
    while (bytes->length > 0 && (conn->state == CONN_OPEN || conn->state == CONN_CLOSING)) {
        struct ws_event frame = ws_reader_feed(reader, bytes, conns->arena, &rules);
        if (act(conns, index, &frame, &event) || conn_has(conn, CONN_PAUSED)) {
            break;
        }
    }
    if (reader == &conns->idle_reader) {
        reader_store(conns, index, reader);
    } else {
        conn_input_settle(conns, index);
    }
    return event;
}

struct span_mut conn_receive_target(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    struct conn_input *input = conn->state == CONN_OPEN ? conn_input_find(conns, index) : NULL;
    if (input == NULL || input->held_block != 0) {
        return (struct span_mut){.data = NULL, .length = 0};
    }
    return ws_reader_target(&input->reader, conns->arena);
}

struct conn_event conn_feed_target(struct conns *conns, uint32_t index, uint32_t length) {
    struct conn *conn = conn_at(conns, index);
    struct conn_event event = {.kind = CONN_EVENT_NONE};
    conn->read_ms = conn_now32(conns);
    struct conn_input *input = conn_input_find(conns, index);
    if ((conn->state != CONN_OPEN && conn->state != CONN_CLOSING) || input == NULL) {
        return event; // it was closed while the receive was in flight: the bytes are nobody's
    }
    struct ws_reader_rules rules = rules_of(conns, conn);
    struct ws_event frame = ws_reader_received(&input->reader, length, conns->arena, &rules);
    act(conns, index, &frame, &event);
    conn_input_settle(conns, index);
    return event;
}

// A peer that got our Close answers with its own as its last frame. After a violation the frames
// cannot be followed any more, so a chunk that is exactly one masked Close frame is taken for it; a
// wrong guess only ends the reading earlier.
static bool looks_like_close(struct span_mut bytes) {
    return bytes.length >= 6 && bytes.length <= 6 + CONTROL_BYTES_MAX &&
           bytes.data[0] == (0x80 | WS_CLOSE) && bytes.data[1] == (0x80 | (bytes.length - 6));
}

void conn_feed_discard(struct conns *conns, uint32_t index, struct span_mut *bytes) {
    struct conn *conn = conn_at(conns, index);
    bool is_end = conn_has(conn, CONN_WAS_OPEN) && looks_like_close(*bytes);
    // message_ms counts what was thrown away (conn_move zeroed it on the way here): nothing else
    // needs it in this state.
    conn->message_ms += bytes->length;
    *bytes = (struct span_mut){.data = bytes->data + bytes->length, .length = 0};
    if (is_end || conn->message_ms > DISCARD_BYTES_MAX) {
        conn_move(conns, index, outbox_is_empty(&conn->outbox) ? CONN_ENDED : CONN_FLUSH);
    }
}
