// Relays: an exchange whose body and answer pass through in pieces, both at once.
#include "core/base/check.h"
#include "core/conn/internal.h"
#include "core/hub/payload.h"

#include "core/base/pure.h"

static struct conn_input *relay_input(const struct conns *conns, uint32_t index) {
    struct conn_input *input = conn_input_find(conns, index);
    check(input != NULL); // it has been there since the head
    return input;
}

void conn_relay(struct conns *conns, uint32_t index, uint16_t settings) {
    struct conn *conn = conn_at(conns, index);
    check(conn->state == CONN_VERDICT);
    check(settings < SETTINGS_MAX);
    conn->settings = settings & (SETTINGS_MAX - 1u);
    conn->read_ms = conn_now32(conns);
    conn_move(conns, index, CONN_RELAY);
}

bool conn_relay_reads(const struct conns *conns, uint32_t index) {
    return !http_body_is_done(&relay_input(conns, index)->http.body);
}

bool conn_relay_has_reply(const struct conns *conns, uint32_t index) {
    return relay_input(conns, index)->http.has_reply;
}

bool conn_relay_keeps(const struct conns *conns, uint32_t index) {
    const struct conn *conn = conn_at(conns, index);
    return conn_has(conn, CONN_KEEP_ALIVE) && !conn_has(conn, CONN_END_READ);
}

struct conn_event conn_feed_relay(struct conns *conns, uint32_t index, struct span_mut *bytes) {
    struct conn_input *input = relay_input(conns, index);
    struct conn_event event = {.kind = CONN_EVENT_PIECE};
    struct span rest = span_make(bytes->data, bytes->length);
    enum http_body_result result =
        http_body_feed(&input->http.body, &rest, UINT64_MAX, &event.payload, &event.fault);
    uint32_t left = result == HTTP_BODY_FAULT ? 0 : rest.length; // nothing is read behind a fault
    *bytes = (struct span_mut){.data = bytes->data + (bytes->length - left), .length = left};
    switch (result) {
    case HTTP_BODY_NEED_MORE:
        event.kind = CONN_EVENT_NONE;
        break;
    case HTTP_BODY_PIECE:
        event.is_final = http_body_is_done(&input->http.body);
        break;
    case HTTP_BODY_DONE: // what ended it held no byte of the body
        event.is_final = true;
        event.payload = span_empty();
        break;
    case HTTP_BODY_FAULT:
        event.payload = span_empty();
        break;
    }
    return event;
}

bool conn_relay_put_interim(struct conns *conns, uint32_t index, uint32_t payload) {
    if (conn_at(conns, index)->state != CONN_RELAY) {
        if (payload != 0) {
            payload_drop(conns->arena, payload);
        }
        return false;
    }
    return conn_put(conns, index, payload);
}

bool conn_relay_put(struct conns *conns, uint32_t index, uint32_t payload) {
    if (conn_at(conns, index)->state == CONN_RELAY) {
        relay_input(conns, index)->http.has_reply = true;
    }
    return conn_relay_put_interim(conns, index, payload);
}

void conn_relay_end(struct conns *conns, uint32_t index, bool keeps_alive) {
    struct conn *conn = conn_at(conns, index);
    if (conn->state != CONN_RELAY) {
        return;
    }
    if (!keeps_alive) {
        conn_clear(conn, CONN_KEEP_ALIVE);
    }
    conn_clear(conn, CONN_PAUSED);
    conn_exchange_end(conns, index, conn_relay_reads(conns, index));
}

void conn_relay_cut(struct conns *conns, uint32_t index, enum fault_id fault) {
    struct conn *conn = conn_at(conns, index);
    if (conn->state != CONN_RELAY) {
        return;
    }
    conn_blame(conns, index, fault);
    conn_move(conns, index, outbox_is_empty(&conn->outbox) ? CONN_ENDED : CONN_FLUSH);
    conn_input_settle(conns, index);
}
