// Tunnels: WebSocket between a client and a service's own WebSocket server, one to one. Messages
// pass whole and are framed anew: the client's mask goes off, one of ours comes on; what either
// side sends is judged by core/ws, within the route's limits. Several frames that wait for one side
// lie in one run, so that they cost one entry and one piece of a send.
//
//   client -> conn (OPEN) -> proxy_on_message -> upstream_run_room -> service
//   client <- conn_run_room <- tunnel_on_event (RAW) <- upstreams <- service
//
// When one side closes, the other is told with its code and reason. When one side is lost or breaks
// the protocol, the service is told 1001, the client 1011. After our Close the relay outlives its
// client until the service has ended the connection, CLOSE_WAIT_MS at most: who closes a socket
// that still receives makes the kernel reset it, and what was sent last may be lost (RFC 6455
// 7.1.1).
#include "gateway/proxy/internal.h"

#include "core/base/check.h"
#include "core/base/mask.h"
#include "core/hub/payload.h"
#include "core/ws/close.h"
#include "core/ws/frame.h"

enum { CODE_GOING_AWAY = 1001 };

// --- towards the service

static void mask_next(struct proxy *proxy, uint8_t key[4]) {
    if (proxy->mask_count == 0) {
        proxy->masks = proxy_secret_next(proxy);
        proxy->mask_count = 2;
    }
    proxy->mask_count--;
    uint32_t word = (uint32_t)proxy->masks;
    proxy->masks >>= 32;
    memcpy(key, &word, sizeof word);
}

static void send_control(struct proxy *proxy, const struct proxy_relay *relay, uint8_t opcode,
                         struct span payload) {
    uint8_t frame[FRAME_HEAD_BYTES_MAX + CONTROL_BYTES_MAX];
    uint8_t key[4];
    mask_next(proxy, key);
    uint32_t head = ws_frame_head_encode_masked(frame, opcode, 0, payload.length, key);
    if (payload.length > 0) {
        mask_copy(frame + head, payload.data, payload.length, key, 0);
    }
    uint32_t control =
        payload_control(proxy->arena, opcode, span_make(frame, head + payload.length));
    if (control != 0) { // without memory a pong may be left out, and a Close is not waited for long
        upstream_send(proxy->upstreams, relay->exchange, control);
    }
}

// The message lies in a block already: it is masked there.
static uint32_t block_mask(struct proxy *proxy, const struct conn_event *event) {
    uint8_t head[FRAME_HEAD_BYTES_MAX];
    uint8_t key[4];
    mask_next(proxy, key);
    uint32_t head_bytes =
        ws_frame_head_encode_masked(head, event->opcode, 0, event->payload.length, key);
    uint8_t *data = arena_at(proxy->arena, event->block) + WS_MESSAGE_HEADROOM;
    mask_apply(data, event->payload.length, key, 0);
    memcpy(data - head_bytes, head, head_bytes);
    return payload_adopt_run(proxy->arena, event->block, WS_MESSAGE_HEADROOM - head_bytes,
                             head_bytes + event->payload.length);
}

void proxy_on_message(struct proxy *proxy, uint32_t index, const struct conn_event *event) {
    uint32_t number = relay_find(proxy, index);
    check(number != 0); // without one it is not OPEN
    const struct proxy_relay *relay = relay_at(proxy, number);
    if (event->block != 0) {
        upstream_send(proxy->upstreams, relay->exchange, block_mask(proxy, event));
    } else {
        uint8_t key[4];
        mask_next(proxy, key);
        uint32_t length = event->payload.length;
        uint32_t head_bytes = ws_frame_head_bytes(length) + 4;
        uint8_t *room = upstream_run_room(proxy->upstreams, relay->exchange, head_bytes + length);
        if (room != NULL) { // else its end is about to be told
            ws_frame_head_encode_masked(room, event->opcode, 0, length, key);
            mask_copy(room + head_bytes, event->payload.data, length, key, 0);
        }
    }
    if (upstream_queued_bytes(proxy->upstreams, relay->exchange) > relay->queue_bytes / 2) {
        conn_pause(proxy->conns, index);
    }
}

// --- the end

static void detach(struct proxy *proxy, struct proxy_relay *relay) {
    proxy->relays[relay->client] = 0;
    relay->client = 0;
    relay->generation = 0;
}

static void tunnel_drop(struct proxy *proxy, uint32_t number, bool flushes) {
    upstream_drop(proxy->upstreams, relay_at(proxy, number)->exchange, flushes);
    relay_free(proxy, number);
}

// The service is sent a Close with this payload, and its client is none of this any more.
static void leave(struct proxy *proxy, uint32_t number, struct span payload) {
    struct proxy_relay *relay = relay_at(proxy, number);
    send_control(proxy, relay, WS_CLOSE, payload);
    detach(proxy, relay);
    relay_set(relay, RELAY_LEAVING);
    relay_clear(relay, RELAY_HOLDS_SERVICE);
    upstream_unpause(proxy->upstreams, relay->exchange);
    upstream_alarm(proxy->upstreams, relay->exchange, CLOSE_WAIT_MS);
}

static void leave_by_code(struct proxy *proxy, uint32_t number, uint16_t code) {
    uint8_t payload[CONTROL_BYTES_MAX];
    uint32_t length = ws_close_encode(payload, code, span_empty());
    leave(proxy, number, span_make(payload, length));
}

// It is read on, also when it was paused for the service's sake: its own Close is awaited.
static void client_close(struct proxy *proxy, const struct proxy_relay *relay,
                         const struct conn_close_options *options) {
    conn_close(proxy->conns, relay->client, options);
    conn_unpause(proxy->conns, relay->client);
}

// The service cannot be followed any more: the client is told why, the service with which code.
static void fail(struct proxy *proxy, uint32_t number, enum fault_id fault, uint16_t code) {
    const struct proxy_relay *relay = relay_at(proxy, number);
    if (!relay_has(relay, RELAY_LEAVING)) {
        client_close(proxy, relay, &(struct conn_close_options){.fault = fault});
        uint8_t payload[CONTROL_BYTES_MAX];
        uint32_t length = ws_close_encode(payload, code, span_empty());
        send_control(proxy, relay, WS_CLOSE, span_make(payload, length));
    }
    tunnel_drop(proxy, number, true);
}

void proxy_on_close(struct proxy *proxy, uint32_t index, const struct conn_event *event) {
    uint32_t number = relay_find(proxy, index);
    if (number != 0) {
        leave(proxy, number, event->payload);
    }
}

void tunnel_on_gone(struct proxy *proxy, uint32_t number) {
    leave_by_code(proxy, number, CODE_GOING_AWAY);
}

// --- from the service

static bool client_is_open(const struct proxy *proxy, const struct proxy_relay *relay) {
    return conn_at(proxy->conns, relay->client)->state == CONN_OPEN;
}

// False: the tunnel is over, or its client is.
static bool on_message(struct proxy *proxy, uint32_t number, const struct ws_event *frame) {
    struct proxy_relay *relay = relay_at(proxy, number);
    if (relay_has(relay, RELAY_LEAVING)) {
        if (frame->block != 0) {
            arena_give(proxy->arena, frame->block);
        }
        return true;
    }
    uint32_t length = frame->payload.length;
    if (frame->block != 0) {
        uint32_t payload = payload_adopt(proxy->arena, frame->block, frame->opcode, length);
        conn_send(proxy->conns, relay->client, payload, 0);
        payload_drop(proxy->arena, payload);
    } else {
        uint32_t head_bytes = ws_frame_head_bytes(length);
        uint8_t *room = conn_run_room(proxy->conns, relay->client, head_bytes + length);
        if (room != NULL) {
            ws_frame_head_encode(room, frame->opcode, 0, length);
            memcpy(room + head_bytes, frame->payload.data, length);
        }
    }
    if (!client_is_open(proxy, relay)) {
        leave_by_code(proxy, number, CODE_GOING_AWAY);
        return true;
    }
    if (client_is_behind(proxy, relay, 2)) {
        upstream_pause(proxy->upstreams, relay->exchange);
        relay_set(relay, RELAY_HOLDS_SERVICE);
    }
    return true;
}

static bool on_close(struct proxy *proxy, uint32_t number, struct span payload) {
    const struct proxy_relay *relay = relay_at(proxy, number);
    if (relay_has(relay, RELAY_LEAVING)) { // the answer to ours
        tunnel_drop(proxy, number, true);
        return false;
    }
    uint16_t code;
    struct span reason;
    const struct fault *fault = ws_close_decode(payload, &code, &reason);
    if (fault != NULL) {
        fail(proxy, number, FAULT_service_violation, fault->close_code);
        return false;
    }
    client_close(proxy, relay,
                 &(struct conn_close_options){.fault = FAULT_closed_by_service,
                                              .code = code,
                                              .reason = reason,
                                              .is_reason_exact = true});
    leave_by_code(proxy, number, code); // then it is the service that ends the connection
    return true;
}

// False: the relay is no more.
static bool act(struct proxy *proxy, uint32_t number, const struct ws_event *frame) {
    const struct proxy_relay *relay = relay_at(proxy, number);
    switch (frame->kind) {
    case WS_EVENT_NEED_MORE:
    case WS_EVENT_PONG: // that it came is what counts
        return true;
    case WS_EVENT_MESSAGE:
        return on_message(proxy, number, frame);
    case WS_EVENT_PING:
        if (!relay_has(relay, RELAY_LEAVING)) { // nothing follows our Close
            send_control(proxy, relay, WS_PONG, frame->payload);
        }
        return true;
    case WS_EVENT_CLOSE:
        return on_close(proxy, number, frame->payload);
    case WS_EVENT_FAULT:
        fail(proxy, number, FAULT_service_violation, frame->fault->close_code);
        return false;
    case WS_EVENT_REFUSED:
        fail(proxy, number, FAULT_out_of_memory, CODE_GOING_AWAY);
        return false;
    }
    return true;
}

static struct ws_reader *reader_at(const struct proxy *proxy, uint32_t block) {
    return (struct ws_reader *)(void *)arena_at(proxy->arena, block);
}

// What the shared reader is in the middle of becomes the relay's own, and the shared one all zero.
// False: no memory.
static bool reader_store(struct proxy *proxy, uint32_t number) {
    struct proxy_relay *relay = relay_at(proxy, number);
    relay->block = arena_take(proxy->arena, sizeof(struct ws_reader));
    if (relay->block == 0) {
        return false;
    }
    *reader_at(proxy, relay->block) = proxy->idle_reader;
    memset(&proxy->idle_reader, 0, sizeof proxy->idle_reader);
    return true;
}

// A service's frames come without masks; no extension was agreed on.
static struct ws_reader_rules rules_of(const struct proxy *proxy, const struct proxy_relay *relay) {
    struct ws_reader_rules rules = {.message_bytes_max = MESSAGE_BYTES_MAX,
                                    .fragments_max = FRAGMENTS_MAX};
    if (!relay_has(relay, RELAY_LEAVING)) {
        const struct conn *conn = conn_at(proxy->conns, relay->client);
        rules = proxy->conns->settings[conn->settings].reader;
        rules.head.expects_mask = false;
    }
    return rules;
}

// One event of the reader. False: the relay is no more.
static bool feed(struct proxy *proxy, uint32_t number, struct span_mut *raw) {
    struct proxy_relay *relay = relay_at(proxy, number);
    struct ws_reader_rules rules = rules_of(proxy, relay);
    bool is_shared = relay->block == 0;
    struct ws_reader *reader = is_shared ? &proxy->idle_reader : reader_at(proxy, relay->block);
    struct ws_event frame = ws_reader_feed(reader, raw, proxy->arena, &rules);
    bool goes_on = act(proxy, number, &frame);
    if (is_shared && !ws_reader_is_idle(reader)) {
        bool is_stored = goes_on && reader_store(proxy, number);
        if (!is_stored) {
            ws_reader_drop(reader, proxy->arena);
        }
        if (goes_on && !is_stored) {
            fail(proxy, number, FAULT_out_of_memory, CODE_GOING_AWAY);
            return false;
        }
    } else if (!is_shared && goes_on && ws_reader_is_idle(reader)) {
        arena_give(proxy->arena, relay->block);
        relay->block = 0;
    }
    return goes_on;
}

static void on_raw(struct proxy *proxy, uint32_t number, struct span_mut *raw) {
    struct proxy_relay *relay = relay_at(proxy, number);
    relay_set(relay, RELAY_HEARD);
    while (raw->length > 0 && feed(proxy, number, raw)) {
        if (relay_has(relay, RELAY_HOLDS_SERVICE)) { // the rest is held
            return;
        }
    }
}

// --- time and turns

static uint32_t ping_ms_of(const struct proxy *proxy, const struct proxy_relay *relay,
                           uint32_t *pong_ms) {
    const struct conn *conn = conn_at(proxy->conns, relay->client);
    const struct conn_settings *settings = &proxy->conns->settings[conn->settings];
    *pong_ms = settings->pong_ms;
    return settings->ping_ms;
}

// The service is asked like the client: after an interval in which nothing came. One that is paused
// for its client's sake is not listened to, so it is not judged.
static void on_due(struct proxy *proxy, uint32_t number) {
    struct proxy_relay *relay = relay_at(proxy, number);
    if (relay_has(relay, RELAY_LEAVING)) {
        tunnel_drop(proxy, number, false);
        return;
    }
    uint32_t pong_ms;
    uint32_t ping_ms = ping_ms_of(proxy, relay, &pong_ms);
    bool is_alive = relay_has(relay, RELAY_HEARD) || relay_has(relay, RELAY_HOLDS_SERVICE);
    bool is_asked = relay_has(relay, RELAY_PINGED);
    relay_clear(relay, RELAY_HEARD);
    relay_clear(relay, RELAY_PINGED);
    if (is_alive) {
        upstream_alarm(proxy->upstreams, relay->exchange, ping_ms);
    } else if (!is_asked) {
        send_control(proxy, relay, WS_PING, span_empty());
        relay_set(relay, RELAY_PINGED);
        upstream_alarm(proxy->upstreams, relay->exchange, pong_ms);
    } else {
        fail(proxy, number, FAULT_service_silent, CODE_GOING_AWAY);
    }
}

static void on_failed(struct proxy *proxy, uint32_t number, const struct fault *fault) {
    struct proxy_relay *relay = relay_at(proxy, number);
    if (!relay_has(relay, RELAY_LEAVING)) {
        client_close(proxy, relay, &(struct conn_close_options){.fault = (enum fault_id)fault->id});
    }
    relay_free(proxy, number);
}

static void on_raw_end(struct proxy *proxy, uint32_t number) {
    const struct proxy_relay *relay = relay_at(proxy, number);
    if (!relay_has(relay, RELAY_LEAVING)) {
        client_close(proxy, relay, &(struct conn_close_options){.fault = FAULT_service_vanished});
    }
    tunnel_drop(proxy, number, false);
}

void tunnel_on_event(struct proxy *proxy, uint32_t number, const struct upstream_event *event) {
    const struct proxy_relay *relay = relay_at(proxy, number);
    switch (event->kind) {
    case UPSTREAM_RAW:
        on_raw(proxy, number, event->raw);
        return;
    case UPSTREAM_RAW_END:
        on_raw_end(proxy, number);
        return;
    case UPSTREAM_DUE:
        on_due(proxy, number);
        return;
    case UPSTREAM_SENT:
        if (!relay_has(relay, RELAY_LEAVING) &&
            upstream_queued_bytes(proxy->upstreams, relay->exchange) <= relay->queue_bytes / 4) {
            conn_unpause(proxy->conns, relay->client);
        }
        return;
    case UPSTREAM_FAILED:
        on_failed(proxy, number, event->fault);
        return;
    default: // no heads and bodies behind a 101
        check(false);
        return;
    }
}

// --- the beginning

static void tunnel_begin(struct proxy *proxy, uint32_t number,
                         const struct http_response *response) {
    struct proxy_relay *relay = relay_at(proxy, number);
    struct conn *conn = conn_at(proxy->conns, relay->client);
    struct span subprotocol = span_empty();
    const struct fault *fault =
        handshake_check(handshake_at(proxy, relay->block), response, &subprotocol);
    if (fault != NULL || conn->state != CONN_RELAY) {
        relay_abort(proxy, number, fault);
        return;
    }
    arena_give(proxy->arena, relay->block);
    relay->block = 0;
    relay_clear(relay, RELAY_UPGRADES);
    relay_set(relay, RELAY_TUNNEL);
    upstream_take_over(proxy->upstreams, relay->exchange);
    conn_upgrade(proxy->conns, relay->client, conn->settings, subprotocol);
    if (conn->state != CONN_OPEN) { // it is to close, or there was no memory
        leave_by_code(proxy, number, CODE_GOING_AWAY);
        return;
    }
    uint32_t pong_ms;
    uint32_t ping_ms = ping_ms_of(proxy, relay, &pong_ms);
    if (ping_ms != 0) { // the first after half to a whole interval: a crowd becomes a trickle
        uint32_t early_ms = prng_below(&proxy->prng, ping_ms / 2 + 1);
        upstream_alarm(proxy->upstreams, relay->exchange, ping_ms - early_ms);
    }
}

bool tunnel_on_head(struct proxy *proxy, uint32_t number, const struct http_response *response) {
    struct proxy_relay *relay = relay_at(proxy, number);
    if (response->status == 101) {
        tunnel_begin(proxy, number, response);
        return true;
    }
    if (response->status < 300) { // success at something else than was asked for
        relay_abort(proxy, number, fault_get(FAULT_handshake_declined));
        return true;
    }
    arena_give(proxy->arena, relay->block);
    relay->block = 0;
    relay_clear(relay, RELAY_UPGRADES);
    return false;
}
