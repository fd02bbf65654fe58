// Requests in: heads and bodies until one upgrades, and the answers to them. What may not be looked
// at yet is held here.
#include "core/base/check.h"
#include "core/conn/internal.h"
#include "core/hub/payload.h"

#include "core/base/pure.h"

enum { HTTP_BLOCK_BYTES_MIN = 1024 };

// Appends to a block that grows by doubling, data at `headroom`. False: no memory (the block
// stays).
static bool block_append(struct arena *arena, uint32_t *block, uint32_t headroom, uint32_t used,
                         struct span bytes) {
    uint64_t wanted = (uint64_t)headroom + used + bytes.length;
    if (*block == 0 || arena_block_bytes(arena, *block) < wanted) {
        uint64_t size = *block == 0 ? HTTP_BLOCK_BYTES_MIN : 2 * arena_block_bytes(arena, *block);
        uint32_t larger = arena_take(arena, size < wanted ? wanted : size);
        if (larger == 0) {
            return false;
        }
        if (*block != 0) {
            memcpy(arena_at(arena, larger), arena_at(arena, *block), headroom + used);
            arena_give(arena, *block);
        }
        *block = larger;
    }
    if (bytes.length > 0) {
        memcpy(arena_at(arena, *block) + headroom + used, bytes.data, bytes.length);
    }
    return true;
}

static void advance(struct span_mut *bytes, uint32_t count) {
    if (count > 0) { // nothing may be at NULL
        bytes->data += count;
        bytes->length -= count;
    }
}

// Whether part of this request is still to be read.
static bool has_unread_body(const struct conns *conns, uint32_t index) {
    const struct conn_input *input = conn_input_find(conns, index);
    return input != NULL && !http_body_is_done(&input->http.body);
}

void conn_exchange_end(struct conns *conns, uint32_t index, bool has_unread) {
    struct conn *conn = conn_at(conns, index);
    if (conn->state == CONN_ENDED) {
        return;
    }
    bool goes_on = conn_has(conn, CONN_KEEP_ALIVE) && !has_unread && !conn_has(conn, CONN_END_READ);
    conn_clear(conn, CONN_METHOD_HEAD);
    if (goes_on) {
        conn_set(conn, CONN_HAS_REQUEST);
        conn_clear(conn, CONN_HEAD_BEGUN);
        conn_move(conns, index, CONN_HEAD);
        conn_input_end_exchange(conns, index);
        return;
    }
    conn_blame(conns, index, FAULT_request_done);
    bool reads_on = has_unread && !conn_has(conn, CONN_END_READ);
    if (reads_on) { // what the client is still sending would turn our reply into a reset
        conn_move(conns, index, CONN_DISCARD);
    } else {
        conn_move(conns, index, outbox_is_empty(&conn->outbox) ? CONN_ENDED : CONN_FLUSH);
    }
    conn_input_end_exchange(conns, index);
}

static struct span date_of(const struct conns *conns) {
    return conns->wall_s == 0 ? span_empty() : span_make(conns->date, HTTP_DATE_BYTES);
}

static bool refusal_queue(struct conns *conns, uint32_t index, struct http_refusal *refusal) {
    uint8_t bytes[REPLY_BYTES_MAX];
    refusal->date = date_of(conns);
    uint32_t length =
        http_refusal_write(refusal, (struct span_mut){.data = bytes, .length = sizeof bytes});
    check(length > 0);
    counter_add(conns->counters, COUNTER_refusals, 1);
    return conn_put(conns, index, payload_bytes(conns->arena, span_make(bytes, length)));
}

// 0: no jittered wait belongs to this status.
static uint32_t retry_after_s(const struct conns *conns, uint32_t index, uint16_t status) {
    if (status != 503 && status != 429) {
        return 0;
    }
    return RETRY_AFTER_S_MIN + conn_jitter(conns, index, RETRY_AFTER_S_MAX - RETRY_AFTER_S_MIN + 1);
}

static void refuse(struct conns *conns, uint32_t index, const struct fault *fault,
                   bool has_unread) {
    struct conn *conn = conn_at(conns, index);
    struct http_refusal refusal = {.fault = fault,
                                   .is_head = conn_has(conn, CONN_METHOD_HEAD),
                                   .retry_after_s =
                                       retry_after_s(conns, index, fault->http_status)};
    if (fault->id == FAULT_upgrade_method) {
        refusal.allow = "GET";
    }
    conn_clear(conn, CONN_KEEP_ALIVE);
    conn_blame(conns, index, (enum fault_id)fault->id);
    if (refusal_queue(conns, index, &refusal)) {
        conn_exchange_end(conns, index, has_unread);
    }
}

void conn_refuse_fault(struct conns *conns, uint32_t index, const struct fault *fault) {
    uint8_t state = conn_at(conns, index)->state;
    bool has_head = state == CONN_VERDICT || state == CONN_REPLY || state == CONN_RELAY;
    refuse(conns, index, fault, !has_head || has_unread_body(conns, index));
}

void conn_refuse(struct conns *conns, uint32_t index, struct http_refusal *refusal) {
    struct conn *conn = conn_at(conns, index);
    check(conn->state == CONN_VERDICT || conn->state == CONN_REPLY || conn->state == CONN_RELAY);
    bool has_unread = has_unread_body(conns, index);
    if (has_unread) {
        conn_clear(conn, CONN_KEEP_ALIVE);
    }
    refusal->keep_alive = conn_has(conn, CONN_KEEP_ALIVE);
    refusal->is_head = conn_has(conn, CONN_METHOD_HEAD);
    if (refusal->retry_after_s == 0) {
        refusal->retry_after_s = retry_after_s(conns, index, refusal->fault->http_status);
    }
    conns->counters->faults[refusal->fault->id] +=
        refusal->keep_alive; // else it is this connection's cause
    if (!refusal->keep_alive) {
        conn_blame(conns, index, (enum fault_id)refusal->fault->id);
    }
    if (refusal_queue(conns, index, refusal)) {
        conn_exchange_end(conns, index, has_unread);
    }
}

void conn_reply(struct conns *conns, uint32_t index, struct http_reply *reply) {
    struct conn *conn = conn_at(conns, index);
    check(conn->state == CONN_VERDICT || conn->state == CONN_REPLY);
    bool has_unread = has_unread_body(conns, index);
    if (has_unread) {
        conn_clear(conn, CONN_KEEP_ALIVE);
    }
    reply->keep_alive = conn_has(conn, CONN_KEEP_ALIVE);
    reply->is_head = conn_has(conn, CONN_METHOD_HEAD);
    reply->date = date_of(conns);
    uint8_t *data;
    uint32_t room = REPLY_BYTES_MAX + reply->body.length;
    uint32_t payload = payload_reserve(conns->arena, 0, room, &data);
    if (payload == 0) {
        conn_kill(conns, index, FAULT_out_of_memory);
        return;
    }
    uint32_t length = http_reply_write(reply, (struct span_mut){.data = data, .length = room});
    check(length > 0);
    payload_trim(conns->arena, payload, length);
    if (conn_put(conns, index, payload)) {
        conn_exchange_end(conns, index, has_unread);
    }
}

// A stream of its own for this connection, when the client and the route allow it and the budget is
// not spent. Its window is no larger than the client's.
static bool takeover_open(struct conns *conns, uint32_t index, struct http_deflate_terms terms,
                          const struct conn_settings *settings) {
    bool is_wanted = conns->takeover != NULL && settings->deflate_takeover &&
                     settings->bounds.policy == OUTBOX_CLOSE && terms.may_take_over &&
                     terms.server_window_bits >= WS_TAKEOVER_BITS_MIN;
    if (!is_wanted) {
        return false;
    }
    uint8_t bits = terms.server_window_bits < WS_TAKEOVER_BITS_MAX ? terms.server_window_bits
                                                                   : WS_TAKEOVER_BITS_MAX;
    uint32_t stream = ws_takeover_open(conns->takeover, settings->deflate_level, bits);
    counter_add(conns->counters,
                stream != 0 ? COUNTER_takeovers_opened : COUNTER_takeovers_declined, 1);
    if (stream != 0) {
        conns->streams[index] = stream;
    }
    return stream != 0;
}

// Agrees to permessage-deflate, or not (0). Returns the length of the answer.
static uint32_t deflate_agree(struct conns *conns, uint32_t index,
                              const struct conn_settings *settings,
                              uint8_t answer[HTTP_DEFLATE_ANSWER_BYTES_MAX]) {
    const struct conn_input *input = conn_input_find(conns, index);
    if (conns->deflate == NULL || !input->http.offers_deflate || settings->deflate_level == 0) {
        return 0;
    }
    struct http_deflate_terms terms = input->http.deflate;
    terms.takes_over = takeover_open(conns, index, terms, settings);
    conn_at(conns, index)->deflate_bits =
        terms.takes_over ? CONN_DEFLATE_OWN : terms.server_window_bits & 15u;
    return http_deflate_answer(terms, answer);
}

void conn_upgrade(struct conns *conns, uint32_t index, uint16_t settings, struct span subprotocol) {
    struct conn *conn = conn_at(conns, index);
    check(conn->state == CONN_VERDICT || conn->state == CONN_RELAY);
    struct conn_input *input = conn_input_find(conns, index);
    check(input != NULL && input->http.is_upgrade);
    if (conn->fault != FAULT_none) { // it was told to close while the verdict was awaited
        bool has_status = fault_get((enum fault_id)conn->fault)->http_status != 0;
        conn_refuse_fault(conns, index,
                          fault_get(has_status ? (enum fault_id)conn->fault : FAULT_draining));
        return;
    }
    uint8_t bytes[REPLY_BYTES_MAX];
    uint8_t answer[HTTP_DEFLATE_ANSWER_BYTES_MAX];
    uint32_t answer_bytes = deflate_agree(conns, index, &conns->settings[settings], answer);
    uint32_t length = http_reply_write_switching(
        span_make(input->http.key, WEBSOCKET_KEY_BYTES), subprotocol,
        span_make(answer, answer_bytes), (struct span_mut){.data = bytes, .length = sizeof bytes});
    check(length > 0);
    if (!conn_put(conns, index, payload_bytes(conns->arena, span_make(bytes, length)))) {
        return;
    }
    conn_input_end_exchange(conns, index);
    conn->settings = settings & (SETTINGS_MAX - 1u);
    conn_set(conn, CONN_WAS_OPEN);
    conn->opened_ms = conn_now32(conns);
    conn->message_ms = conn->opened_ms;
    conn_move(conns, index, CONN_OPEN);
    conn_input_settle(conns, index);
    counter_add(conns->counters, COUNTER_handshakes, 1);
    if (conn_has(conn, CONN_END_READ)) {
        conn_kill(conns, index, FAULT_peer_vanished);
    }
}

void conn_collect(struct conns *conns, uint32_t index, uint32_t bytes_max) {
    struct conn *conn = conn_at(conns, index);
    check(conn->state == CONN_VERDICT);
    struct conn_input *input = conn_input_find(conns, index);
    check(input != NULL);
    input->http.body_bytes_max = bytes_max;
    if (input->http.body.remaining > bytes_max) { // known before a byte of it, and before a 100
        conn_refuse_fault(conns, index, fault_get(FAULT_body_too_large));
        return;
    }
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (input->http.expects_continue && !http_body_is_done(&input->http.body) &&
        !conn_put(conns, index, payload_bytes(conns->arena, span_text(go_on)))) {
        return;
    }
    conn_move(conns, index, CONN_BODY);
}

// What the owner is asked once a head has been parsed, or the refusal that needs no owner.
static struct conn_event on_head(struct conns *conns, uint32_t index, struct span head) {
    struct conn *conn = conn_at(conns, index);
    struct conn_event none = {.kind = CONN_EVENT_NONE};
    struct conn_input *input = conn_input_get(conns, index);
    if (input == NULL) {
        conn_refuse_fault(conns, index, fault_get(FAULT_out_of_memory));
        return none;
    }
    struct http_request *request = &conns->request;
    const struct fault *fault = http_request_parse(head, request);
    counter_add(conns->counters, COUNTER_requests, 1);
    conn_move(conns, index, CONN_VERDICT);
    conn_clear(conn, CONN_KEEP_ALIVE);
    if (fault != NULL) {
        refuse(conns, index, fault, true); // nobody can say whether a body follows
        return none;
    }
    http_body_init(&input->http.body, request);
    input->http.expects_continue = request->expects_continue;
    if (request->method == HTTP_HEAD) {
        conn_set(conn, CONN_METHOD_HEAD);
    }
    struct conn_event event = {.kind = CONN_EVENT_REQUEST};
    if (http_wants_websocket(request)) {
        struct span key;
        fault = http_upgrade_check(request, &key);
        if (fault != NULL) {
            conn_refuse_fault(conns, index, fault);
            return none;
        }
        check(key.length == WEBSOCKET_KEY_BYTES);
        memcpy(input->http.key, key.data, WEBSOCKET_KEY_BYTES);
        input->http.is_upgrade = true;
        input->http.offers_deflate = http_deflate_accept(request, &input->http.deflate);
        event.is_upgrade = true;
    }
    if (request->keep_alive && conn->fault == FAULT_none) {
        conn_set(conn, CONN_KEEP_ALIVE);
    }
    return event;
}

static void head_begin(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    if (!conn_has(conn, CONN_HEAD_BEGUN)) {
        conn_set(conn, CONN_HEAD_BEGUN);
        if (conn_has(conn, CONN_HAS_REQUEST)) {
            conn->phase_ms = conn_now32(conns); // the first head's deadline counts from the accept
        }
        conn_arm(conns, index);
    }
}

// Keeps an unfinished head.
static bool head_keep(struct conns *conns, uint32_t index, struct span bytes) {
    struct conn_input *input = conn_input_get(conns, index);
    if (input == NULL ||
        !block_append(conns->arena, &input->http.head_block, 0, input->http.head_bytes, bytes)) {
        conn_refuse_fault(conns, index, fault_get(FAULT_out_of_memory));
        return false;
    }
    input->http.head_bytes += bytes.length;
    return true;
}

static struct conn_event feed_head(struct conns *conns, uint32_t index, struct span_mut *bytes) {
    struct conn_event none = {.kind = CONN_EVENT_NONE};
    struct conn_input *input = conn_input_find(conns, index);
    struct http_scan fresh = {0};
    uint32_t before = input != NULL ? input->http.head_bytes : 0;
    struct span view = span_make(bytes->data, bytes->length);
    head_begin(conns, index);
    if (before > 0) { // the head came in pieces: look at it as one
        if (!head_keep(conns, index, view)) {
            return none;
        }
        input = conn_input_find(conns, index);
        view = span_make(arena_at(conns->arena, input->http.head_block), input->http.head_bytes);
    }
    struct http_scan *scan = input != NULL ? &input->http.scan : &fresh;
    uint32_t head_bytes = 0;
    const struct fault *fault = NULL;
    switch (http_scan_feed(scan, view, conns->head_bytes_max, &head_bytes, &fault)) {
    case HTTP_SCAN_FAULT:
        advance(bytes, bytes->length);
        conn_refuse_fault(conns, index, fault);
        return none;
    case HTTP_SCAN_NEED_MORE:
        advance(bytes, bytes->length);
        if (before == 0 && head_keep(conns, index, view)) {
            conn_input_find(conns, index)->http.scan = *scan;
        }
        return none;
    case HTTP_SCAN_DONE:
        break;
    }
    check(head_bytes > before && head_bytes <= view.length);
    advance(bytes, head_bytes - before);
    return on_head(conns, index, span_first(view, head_bytes));
}

static struct conn_event body_done(struct conns *conns, uint32_t index) {
    struct conn_input *input = conn_input_find(conns, index);
    struct conn_event event = {.kind = CONN_EVENT_BODY, .block = input->http.body_block};
    if (event.block != 0) {
        event.payload = span_make(arena_at(conns->arena, event.block) + WS_MESSAGE_HEADROOM,
                                  input->http.body_bytes);
    }
    input->http.body_block = 0;
    conn_move(conns, index, CONN_REPLY);
    return event;
}

static struct conn_event feed_body(struct conns *conns, uint32_t index, struct span_mut *bytes) {
    struct conn_event none = {.kind = CONN_EVENT_NONE};
    struct conn_input *input = conn_input_find(conns, index);
    check(input != NULL);
    struct span rest = span_make(bytes->data, bytes->length);
    // Bounded: every pass consumes input or ends.
    for (;;) {
        struct span piece;
        const struct fault *fault = NULL;
        enum http_body_result result =
            http_body_feed(&input->http.body, &rest, input->http.body_bytes_max, &piece, &fault);
        advance(bytes, bytes->length - rest.length);
        if (result == HTTP_BODY_DONE) {
            return body_done(conns, index);
        }
        if (result == HTTP_BODY_NEED_MORE) {
            return none;
        }
        if (result == HTTP_BODY_FAULT) {
            conn_refuse_fault(conns, index, fault);
            return none;
        }
        if (!block_append(conns->arena, &input->http.body_block, WS_MESSAGE_HEADROOM,
                          input->http.body_bytes, piece)) {
            conn_refuse_fault(conns, index, fault_get(FAULT_out_of_memory));
            return none;
        }
        input->http.body_bytes += piece.length;
    }
}

bool conn_wants_feed(const struct conns *conns, uint32_t index) {
    const struct conn_input *input = conn_input_find(conns, index);
    return conn_at(conns, index)->state == CONN_BODY && input != NULL &&
           http_body_is_done(&input->http.body);
}

bool conn_may_feed(const struct conns *conns, uint32_t index) {
    const struct conn *conn = conn_at(conns, index);
    switch (conn->state) {
    case CONN_HEAD: // a client that pipelines without reading its replies waits
        return outbox_is_empty(&conn->outbox);
    case CONN_RELAY:
        return !conn_has(conn, CONN_PAUSED) && conn_relay_reads(conns, index);
    case CONN_OPEN:
        return !conn_has(conn, CONN_PAUSED);
    case CONN_BODY:
    case CONN_CLOSING:
    case CONN_DISCARD:
        return true;
    default:
        return false;
    }
}

bool conn_may_read(const struct conns *conns, uint32_t index) {
    const struct conn_input *input = conn_input_find(conns, index);
    bool holds = input != NULL && input->held_block != 0;
    return !holds && conn_may_feed(conns, index) && !conn_has(conn_at(conns, index), CONN_END_READ);
}

struct conn_event conn_feed(struct conns *conns, uint32_t index, struct span_mut *bytes) {
    struct conn *conn = conn_at(conns, index);
    struct conn_event none = {.kind = CONN_EVENT_NONE};
    conn->read_ms = conn_now32(conns);
    switch (conn->state) {
    case CONN_HEAD:
        return bytes->length > 0 ? feed_head(conns, index, bytes) : none;
    case CONN_BODY:
        return feed_body(conns, index,
                         bytes); // also with nothing more: an empty body is complete at once
    case CONN_RELAY:
        return conn_feed_relay(conns, index, bytes);
    case CONN_OPEN:
    case CONN_CLOSING:
        return conn_feed_frames(conns, index, bytes);
    case CONN_DISCARD:
        conn_feed_discard(conns, index, bytes);
        return none;
    default: // it ended while these bytes were on their way
        advance(bytes, bytes->length);
        return none;
    }
}

void conn_hold(struct conns *conns, uint32_t index, struct span_mut bytes) {
    struct conn *conn = conn_at(conns, index);
    if (bytes.length == 0 || conn->state >= CONN_FLUSH) {
        return;
    }
    struct conn_input *input = conn_input_get(conns, index);
    bool is_kept =
        input != NULL && block_append(conns->arena, &input->held_block, 0, input->held_bytes,
                                      span_make(bytes.data, bytes.length));
    if (!is_kept) {
        conn_kill(conns, index, FAULT_out_of_memory);
        return;
    }
    input->held_bytes += bytes.length;
}

struct span_mut conn_held_take(struct conns *conns, uint32_t index, uint32_t *block) {
    struct conn_input *input = conn_input_find(conns, index);
    *block = 0;
    if (input == NULL || input->held_block == 0) {
        return (struct span_mut){.data = NULL, .length = 0};
    }
    *block = input->held_block;
    struct span_mut held = {.data = arena_at(conns->arena, input->held_block),
                            .length = input->held_bytes};
    input->held_block = 0;
    input->held_bytes = 0;
    conn_input_settle(conns, index);
    return held;
}
