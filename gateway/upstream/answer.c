// What services send: heads and bodies of answers, or bytes that are the owner's after an upgrade.
#include "gateway/upstream/internal.h"

#include "core/base/check.h"
#include "core/hub/payload.h"

static void advance(struct span_mut *bytes, uint32_t count) {
    bytes->data += count;
    bytes->length -= count;
}

// Appends to a block that grows by doubling. False: no memory.
static bool block_append(struct arena *arena, uint32_t *block, uint32_t *used, struct span bytes) {
    uint64_t wanted = (uint64_t)*used + bytes.length;
    if (*block == 0 || arena_block_bytes(arena, *block) < wanted) {
        uint64_t size = *block == 0 ? 1024 : 2 * arena_block_bytes(arena, *block);
        uint32_t larger = arena_take(arena, size < wanted ? wanted : size);
        if (larger == 0) {
            return false;
        }
        if (*block != 0) {
            memcpy(arena_at(arena, larger), arena_at(arena, *block), *used);
            arena_give(arena, *block);
        }
        *block = larger;
    }
    memcpy(arena_at(arena, *block) + *used, bytes.data, bytes.length);
    *used += bytes.length;
    return true;
}

// The line is kept for the next request, or closed.
static void answer_finish(struct upstreams *upstreams, uint32_t number, bool has_rest) {
    struct upstream_line *line = line_at(upstreams, number);
    bool keeps = line_has(line, LINE_KEEPS) && line_has(line, LINE_ASKED) && !has_rest &&
                 !line_has(line, LINE_DEAF) && outbox_is_empty(&line->outbox) &&
                 !upstream_of(upstreams, line)->is_retired && !server_of(upstreams, line)->is_gone;
    uint32_t exchange = line->exchange;
    if (keeps) {
        struct upstream_server *server = server_of(upstreams, line);
        line_clear(line, LINE_PAUSED); // the owner's wish, who is done; its end is to be seen
        line_move(upstreams, number, LINE_IDLE);
        line->next = server->idle_first;
        server->idle_first = number;
    }
    exchange_end(upstreams, exchange, NULL);
    if (!keeps && line->state != LINE_CLOSING) {
        line_close(upstreams, number, false);
    }
}

static void head_give(struct upstreams *upstreams, struct upstream_line *line) {
    if (line->head_block != 0) {
        arena_give(upstreams->arena, line->head_block);
        line->head_block = 0;
        line->head_bytes = 0;
    }
    line->scan = (struct http_scan){0};
}

// Whether the line is still this exchange's: the owner may have dropped it when it was told.
static bool is_still(const struct upstream_line *line, uint32_t exchange) {
    return line->exchange == exchange && line->state != LINE_CLOSING;
}

static void on_interim(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    line->interims++;
    line->progress_ms = (uint32_t)upstreams->now_ms;
    if (line->interims > INTERIM_MAX) {
        line_fail(upstreams, number, FAULT_answer_malformed, NULL);
        return;
    }
    exchange_tell(
        upstreams, line->exchange,
        (struct upstream_event){.kind = UPSTREAM_INTERIM, .response = &upstreams->response});
}

static void on_switching(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    uint32_t exchange = line->exchange;
    bool is_asked = (exchange_at(upstreams, exchange)->flags & UPSTREAM_ASK_UPGRADE) != 0;
    if (!is_asked || !upstreams->response.has_upgrade) {
        line_fail(upstreams, number, FAULT_answer_malformed, NULL);
        return;
    }
    exchange_tell(upstreams, exchange,
                  (struct upstream_event){.kind = UPSTREAM_HEAD, .response = &upstreams->response});
    check(!is_still(line, exchange) || line->state == LINE_RAW); // taken over, or dropped
}

static void on_final(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    uint32_t exchange = line->exchange;
    const struct http_response *response = &upstreams->response;
    const uint8_t flags = exchange_at(upstreams, exchange)->flags;
    bool is_to_head = (flags & UPSTREAM_ASK_HEAD) != 0;
    http_body_init_response(&line->body, response, is_to_head);
    if (response->keep_alive && !http_response_is_until_end(response, is_to_head) &&
        (flags & UPSTREAM_ASK_UPGRADE) == 0) {
        line_set(line, LINE_KEEPS);
    }
    line_move(upstreams, number, LINE_BODY);
    exchange_tell(upstreams, exchange,
                  (struct upstream_event){.kind = UPSTREAM_HEAD, .response = response});
}

// A complete head lies in ups->response.
static void on_head(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    struct upstream_exchange *exchange = exchange_at(upstreams, line->exchange);
    uint16_t status = upstreams->response.status;
    if (status < 200 && status != 101) {
        on_interim(upstreams, number);
        return;
    }
    if (!exchange_is_check(upstreams, line->exchange)) {
        server_succeeded(server_of(upstreams, line));
        histogram_record(upstreams->answer_ns, (upstreams->now_us - exchange->asked_us) * 1000);
    }
    if (exchange->head != 0) { // no other try from here on
        payload_drop(upstreams->arena, exchange->head);
        exchange->head = 0;
    }
    if (status == 101) {
        on_switching(upstreams, number);
    } else {
        on_final(upstreams, number);
    }
}

static void feed_head(struct upstreams *upstreams, uint32_t number, struct span_mut *bytes) {
    struct upstream_line *line = line_at(upstreams, number);
    uint32_t before = line->head_bytes;
    struct span view = span_make(bytes->data, bytes->length);
    line_set(line, LINE_SPOKE);
    if (before > 0) {
        if (!block_append(upstreams->arena, &line->head_block, &line->head_bytes, view)) {
            line_starve(upstreams, number);
            return;
        }
        view = span_make(arena_at(upstreams->arena, line->head_block), line->head_bytes);
    }
    uint32_t head_bytes = 0;
    const struct fault *fault = NULL;
    enum http_scan_result result =
        http_response_scan(&line->scan, view, upstreams->head_bytes_max, &head_bytes, &fault);
    if (result == HTTP_SCAN_NEED_MORE) {
        bool is_kept = before > 0 ||
                       block_append(upstreams->arena, &line->head_block, &line->head_bytes, view);
        advance(bytes, bytes->length);
        if (!is_kept) {
            line_starve(upstreams, number);
        }
        return;
    }
    if (result == HTTP_SCAN_DONE) {
        advance(bytes, head_bytes - before);
        fault = http_response_parse(span_first(view, head_bytes), &upstreams->response);
    }
    if (fault != NULL) {
        line_fail(upstreams, number, FAULT_answer_malformed, fault);
        return;
    }
    uint32_t exchange = line->exchange;
    on_head(upstreams, number);
    if (line->state != LINE_CLOSING) {
        head_give(upstreams, line);
    }
    if (is_still(line, exchange) && line->state == LINE_BODY && http_body_is_done(&line->body)) {
        answer_finish(upstreams, number, bytes->length > 0);
    }
}

static void feed_body(struct upstreams *upstreams, uint32_t number, struct span_mut *bytes) {
    struct upstream_line *line = line_at(upstreams, number);
    struct span rest = span_make(bytes->data, bytes->length);
    struct span piece;
    const struct fault *fault = NULL;
    enum http_body_result result = http_body_feed(&line->body, &rest, UINT64_MAX, &piece, &fault);
    advance(bytes, bytes->length - rest.length);
    if (result == HTTP_BODY_PIECE) {
        uint32_t exchange = line->exchange;
        exchange_tell(upstreams, exchange,
                      (struct upstream_event){.kind = UPSTREAM_PIECE, .piece = piece});
        bool is_over = is_still(line, exchange) && http_body_is_done(&line->body);
        result = is_over ? HTTP_BODY_DONE : result;
    }
    if (result == HTTP_BODY_DONE) {
        answer_finish(upstreams, number, bytes->length > 0);
    } else if (result == HTTP_BODY_FAULT) {
        line_fail(upstreams, number, FAULT_answer_malformed, fault);
    }
}

static void feed_raw(struct upstreams *upstreams, uint32_t number, struct span_mut *bytes) {
    struct upstream_line *line = line_at(upstreams, number);
    uint32_t exchange = line->exchange;
    uint32_t before = bytes->length;
    exchange_tell(upstreams, exchange, (struct upstream_event){.kind = UPSTREAM_RAW, .raw = bytes});
    check(bytes->length < before || !is_still(line, exchange) || line_has(line, LINE_PAUSED));
}

void answer_feed(struct upstreams *upstreams, uint32_t number, struct span_mut bytes) {
    struct upstream_line *line = line_at(upstreams, number);
    // Bounded: every pass consumes bytes, or changes the state, or ends.
    while (bytes.length > 0) {
        bool is_busy = line->state >= LINE_ANSWER && line->state <= LINE_RAW;
        if (is_busy && line_has(line, LINE_PAUSED)) {
            struct span rest = span_make(bytes.data, bytes.length);
            if (!block_append(upstreams->arena, &line->held_block, &line->held_bytes, rest)) {
                line_starve(upstreams, number);
            }
            return;
        }
        switch (line->state) {
        case LINE_ANSWER:
            feed_head(upstreams, number, &bytes);
            break;
        case LINE_BODY:
            feed_body(upstreams, number, &bytes);
            break;
        case LINE_RAW:
            feed_raw(upstreams, number, &bytes);
            break;
        case LINE_IDLE: // it speaks unasked: what it says next is nobody's answer
            line_close(upstreams, number, false);
            return;
        default: // it is being closed: nobody wants these bytes
            return;
        }
    }
}

// A server may close a kept line at any time, also while a request is on its way to it (RFC 9112
// 9.3.1): what is safe to ask again is asked on a line of its own, once.
static bool may_ask_again(const struct upstreams *upstreams, const struct upstream_line *line) {
    const struct upstream_exchange *exchange = exchange_at(upstreams, line->exchange);
    return line_has(line, LINE_REUSED) && !line_has(line, LINE_SPOKE) && exchange->head != 0 &&
           (exchange->flags & UPSTREAM_ASK_SAFE) != 0;
}

void answer_on_end(struct upstreams *upstreams, uint32_t number, int error) {
    struct upstream_line *line = line_at(upstreams, number);
    bool is_busy = line->state >= LINE_ANSWER && line->state <= LINE_RAW;
    if (is_busy && (line_has(line, LINE_PAUSED) || line->held_block != 0)) {
        line_set(line, LINE_ENDED); // what it sent before comes first
        if (error != 0) {
            line_set(line, LINE_CUT);
        }
        return;
    }
    switch (line->state) {
    case LINE_ANSWER:
        if (may_ask_again(upstreams, line)) {
            uint32_t exchange = line->exchange;
            exchange_at(upstreams, exchange)->tried = 0; // the server is as good as before
            exchange_retry(upstreams, exchange, fault_get(FAULT_answer_cut));
            line_close(upstreams, number, false);
            return;
        }
        line_fail(upstreams, number, FAULT_answer_cut, NULL);
        return;
    case LINE_BODY:
        if (error == 0 && http_body_end(&line->body)) {
            answer_finish(upstreams, number, false);
        } else {
            line_fail(upstreams, number, FAULT_answer_cut, NULL);
        }
        return;
    case LINE_RAW: {
        uint32_t exchange = line->exchange;
        exchange_tell(upstreams, exchange, (struct upstream_event){.kind = UPSTREAM_RAW_END});
        check(!is_still(line, exchange)); // dropped
        return;
    }
    case LINE_IDLE:
        line_close(upstreams, number, false);
        return;
    default: // it is being closed, or connect has told
        return;
    }
}
