// Lines: sockets to servers, and what is sent on them. Their deadlines are line_time.c.
#include "gateway/upstream/internal.h"

#include "core/base/check.h"
#include "core/hub/payload.h"
#include "core/ws/frame.h"

#include <errno.h>

enum {
    BURST_BYTES = 64 << 10, // of one receive of a service that sends more than a buffer
    BURSTS_MAX = 16, // such receives in flight; the others get a buffer's worth (tunnel, 1 KiB,
                     // 16 in flight: 2.9 us a message with 4, 2.0 with 16, 100 connections)
};

static const uint16_t line_moves[LINE_STATE_COUNT] = {
    [LINE_FREE] = 1 << LINE_SOCKET,
    [LINE_SOCKET] = 1 << LINE_CONNECTING | 1 << LINE_CLOSING | 1 << LINE_FREE,
    [LINE_CONNECTING] = 1 << LINE_SHAKING | 1 << LINE_ANSWER | 1 << LINE_CLOSING,
    [LINE_SHAKING] = 1 << LINE_ANSWER | 1 << LINE_CLOSING,
    [LINE_ANSWER] = 1 << LINE_BODY | 1 << LINE_RAW | 1 << LINE_CLOSING,
    [LINE_BODY] = 1 << LINE_IDLE | 1 << LINE_CLOSING,
    [LINE_RAW] = 1 << LINE_CLOSING,
    [LINE_IDLE] = 1 << LINE_ANSWER | 1 << LINE_CLOSING,
    [LINE_CLOSING] = 1 << LINE_FREE,
};

void line_move(struct upstreams *upstreams, uint32_t number, enum line_state to) {
    struct upstream_line *line = line_at(upstreams, number);
    check((line_moves[line->state] >> to & 1) != 0);
    line->state = (uint8_t)to;
    line->progress_ms = (uint32_t)upstreams->now_ms;
    if (to != LINE_FREE) {
        line_arm(upstreams, number);
    }
}

void line_touch(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    if (!line_has(line, LINE_TOUCHED)) {
        line_set(line, LINE_TOUCHED);
        check(upstreams->touched_count < upstreams->touched_max); // one place for each line
        upstreams->touched[upstreams->touched_count++] = number;
    }
}

// By its kind: no policy drops what a service is sent. False: no memory.
static bool queue(struct upstreams *upstreams, struct outbox *outbox, uint32_t payload) {
    const struct payload *content = payload_at(upstreams->arena, payload);
    if (content->kind == PAYLOAD_MESSAGE) {
        struct outbox_bounds none = {.queue_bytes_max = UINT32_MAX, .policy = OUTBOX_CLOSE};
        uint32_t dropped;
        return outbox_put_message(upstreams->outboxes, outbox, payload, 0, none, &dropped) ==
               OUTBOX_QUEUED;
    }
    if (content->opcode == WS_PONG) {
        outbox_drop_pong(upstreams->outboxes, outbox, PONG_PENDING_MAX);
    }
    return outbox_put(upstreams->outboxes, outbox, payload);
}

uint8_t *line_run_room(struct upstreams *upstreams, uint32_t number, uint32_t bytes) {
    struct upstream_line *line = line_at(upstreams, number);
    if (line_has(line, LINE_DEAF)) {
        return NULL;
    }
    uint8_t *room = outbox_run_room(upstreams->outboxes, &line->outbox, bytes);
    if (room == NULL) {
        line_set(line, LINE_SHORT);
    }
    line_touch(upstreams, number);
    return room;
}

void line_put(struct upstreams *upstreams, uint32_t number, uint32_t payload) {
    struct upstream_line *line = line_at(upstreams, number);
    bool is_wanted = !line_has(line, LINE_DEAF) && line->state < LINE_CLOSING;
    if (is_wanted && !queue(upstreams, &line->outbox, payload)) {
        line_set(line, LINE_SHORT);
    }
    payload_drop(upstreams->arena, payload);
    line_touch(upstreams, number);
}

// --- taking and closing

static void idle_remove(struct upstreams *upstreams, uint32_t number) {
    struct upstream_server *server = server_of(upstreams, line_at(upstreams, number));
    uint32_t next = line_at(upstreams, number)->next;
    if (server->idle_first == number) {
        server->idle_first = next;
        return;
    }
    uint32_t at = server->idle_first;
    while (line_at(upstreams, at)->next != number) { // bounded by `connections`
        at = line_at(upstreams, at)->next;
        check(at != 0);
    }
    line_at(upstreams, at)->next = next;
}

void line_begin(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    struct upstream_exchange *exchange = exchange_at(upstreams, line->exchange);
    line_move(upstreams, number, LINE_ANSWER);
    line->scan = (struct http_scan){0};
    line->interims = 0;
    line->flags &= (uint16_t) ~(LINE_KEEPS | LINE_ASKED | LINE_SPOKE | LINE_PAUSED);
    if ((exchange->flags & EXCHANGE_HAS_BODY) == 0) {
        line_set(line, LINE_ASKED);
    }
    payload_hold(upstreams->arena, exchange->head);
    line_put(upstreams, number, exchange->head);
    line_arm(upstreams, number);
}

static uint32_t line_open(struct upstreams *upstreams, uint16_t upstream, uint8_t server,
                          bool is_counted) {
    uint32_t number = pool_take(&upstreams->lines);
    if (number == 0) {
        return 0;
    }
    struct upstream_line *line = line_at(upstreams, number);
    *line = (struct upstream_line){.upstream = upstream, .server = server, .link = LINK_NONE};
    struct upstream_server *at = server_of(upstreams, line);
    bool is_secure = upstream_of(upstreams, line)->origins[at->origin].is_secure;
    if (is_secure && !line_tls_take(upstreams, number)) {
        pool_give(&upstreams->lines, number);
        return 0;
    }
    bool is_unix = at->address.kind == ADDRESS_UNIX;
    bool is_v6 = !is_unix && !address_is_v4(&at->address);
    if (!link_socket(upstreams->link, (enum address_kind)at->address.kind, is_v6,
                     UPSTREAM_LINK_TAG | number)) {
        if (is_secure) {
            line_tls_give(upstreams, number);
        }
        pool_give(&upstreams->lines, number);
        return 0;
    }
    upstream_of(upstreams, line)->lines++;
    at->lines++;
    at->open += is_counted;
    if (is_counted) {
        line_set(line, LINE_COUNTED);
    }
    line_move(upstreams, number, LINE_SOCKET);
    return number;
}

bool line_take(struct upstreams *upstreams, uint32_t number, uint8_t server) {
    struct upstream_exchange *exchange = exchange_at(upstreams, number);
    struct upstream *upstream = &upstreams->items[exchange->upstream];
    bool is_upgrade = (exchange->flags & UPSTREAM_ASK_UPGRADE) != 0;
    uint32_t taken = is_upgrade ? 0 : upstream->servers[server].idle_first;
    bool is_idle = taken != 0;
    if (!is_idle) {
        taken = line_open(upstreams, exchange->upstream, server, !is_upgrade);
        if (taken == 0) {
            return false;
        }
    }
    struct upstream_line *line = line_at(upstreams, taken);
    line->exchange = number;
    exchange->line = taken;
    exchange->tried |= 1u << server;
    server_enter(upstream, server, exchange, upstreams->now_ms);
    if (is_idle) {
        idle_remove(upstreams, taken);
        line_set(line, LINE_REUSED);
        counter_add(upstreams->counters, COUNTER_upstream_reused, 1);
        line_begin(upstreams, taken);
    } else {
        line_arm(upstreams, taken); // a check's deadline is its exchange's
    }
    return true;
}

static void block_give(struct upstreams *upstreams, uint32_t *block, uint32_t *bytes) {
    if (*block != 0) {
        arena_give(upstreams->arena, *block);
    }
    *block = 0;
    *bytes = 0;
}

// Nothing names it any more.
static void line_free(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    uint16_t upstream = line->upstream;
    outbox_drop_all(upstreams->outboxes, &line->outbox);
    line_move(upstreams, number, LINE_FREE);
    wheel_disarm(&upstreams->wheel, number);
    upstreams->items[upstream].lines--;
    server_of(upstreams, line)->lines--;
    server_settle(server_of(upstreams, line));
    if (line->tls != 0) {
        line_tls_give(upstreams, number);
    }
    if (line_has(line, LINE_TOUCHED)) { // its place in the list is found empty by the next pump
        for (uint32_t i = 0; i < upstreams->touched_count; i++) {
            upstreams->touched[i] = upstreams->touched[i] == number ? 0 : upstreams->touched[i];
        }
    }
    pool_give(&upstreams->lines, number);
    upstream_settle(upstreams, upstream);
}

void line_close(struct upstreams *upstreams, uint32_t number, bool flushes) {
    struct upstream_line *line = line_at(upstreams, number);
    check(line->exchange == 0 && line->state != LINE_CLOSING);
    if (line->state == LINE_IDLE) {
        idle_remove(upstreams, number);
    }
    if (line_has(line, LINE_COUNTED)) {
        server_of(upstreams, line)->open--;
        line_clear(line, LINE_COUNTED);
    }
    block_give(upstreams, &line->head_block, &line->head_bytes);
    block_give(upstreams, &line->held_block, &line->held_bytes);
    bool is_connected = line->state >= LINE_ANSWER;
    bool waits =
        flushes && is_connected && !line_has(line, LINE_DEAF) && !outbox_is_empty(&line->outbox);
    if (waits) {
        line_set(line, LINE_FLUSHES);
    }
    line_move(upstreams, number, LINE_CLOSING);
    if (waits) {
        line_touch(upstreams, number);
    } else if (line_has(line, LINE_LINKED)) {
        link_close(upstreams->link, line->link);
    } // else the socket is closed as soon as it is there
}

void line_fail(struct upstreams *upstreams, uint32_t number, enum fault_id fault,
               const struct fault *detail) {
    struct upstream_line *line = line_at(upstreams, number);
    struct upstream *upstream = upstream_of(upstreams, line);
    uint32_t exchange = line->exchange;
    if (exchange != 0 && exchange_is_check(upstreams, exchange)) {
        exchange_end(upstreams, exchange, fault_get(fault));
        line_close(upstreams, number, false);
        return;
    }
    bool opens = server_failed(upstream, server_of(upstreams, line), upstreams->now_ms);
    counter_add(upstreams->counters, COUNTER_upstream_failures, 1);
    upstream->errors++;
    counter_add(upstreams->counters, COUNTER_upstream_breaks, opens);
    char address[ADDRESS_TEXT_BYTES];
    address_format(&server_of(upstreams, line)->address, true, address);
    log_event(upstreams->log, LOG_LEVEL_WARN, "service_failed",
              log_span("upstream", span_make(upstream->name, upstream->name_bytes)),
              log_text("server", address), log_text("cause", fault_get(fault)->name),
              log_text("detail", detail == NULL ? "-" : detail->text), log_bool("out", opens));
    bool may_retry = line->state < LINE_ANSWER;
    if (exchange != 0 && may_retry) {
        exchange_retry(upstreams, exchange, fault_get(fault));
        check(line->exchange == 0);
    } else if (exchange != 0) {
        exchange_end(upstreams, exchange, fault_get(fault));
    }
    if (line->state != LINE_CLOSING) {
        line_close(upstreams, number, false);
    }
}

void line_starve(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    if (line->exchange != 0) {
        exchange_end(upstreams, line->exchange, fault_get(FAULT_out_of_memory));
    }
    line_close(upstreams, number, false);
}

// --- events

static void on_socket(struct upstreams *upstreams, uint32_t number,
                      const struct link_event *event) {
    struct upstream_line *line = line_at(upstreams, number);
    bool is_wanted = line->state == LINE_SOCKET;
    if (event->error != 0) {
        if (is_wanted) {
            line_starve(upstreams, number);
        }
        line_free(upstreams, number);
        return;
    }
    line->link = event->id;
    line_set(line, LINE_LINKED);
    if (!is_wanted) {
        link_close(upstreams->link, event->id);
        return;
    }
    const struct upstream_server *server = server_of(upstreams, line);
    bool is_ip = server->address.kind == ADDRESS_IP;
    struct link_target target = {.peer = is_ip ? &server->peer : NULL,
                                 .path = is_ip ? NULL : server->path};
    uint32_t since_ms = line->progress_ms; // the deadline counts from the socket on
    line_move(upstreams, number, LINE_CONNECTING);
    line->progress_ms = since_ms;
    link_connect(upstreams->link, event->id, &target);
}

static void on_connected(struct upstreams *upstreams, uint32_t number, int error) {
    struct upstream_line *line = line_at(upstreams, number);
    if (line->state != LINE_CONNECTING) {
        return; // it is being closed
    }
    if (error != 0) {
        line_fail(upstreams, number, FAULT_upstream_unreachable, NULL);
        return;
    }
    counter_add(upstreams->counters, COUNTER_upstream_connects, 1);
    if (line->tls != 0) {
        line_tls_begin(upstreams, number);
    } else {
        line_begin(upstreams, number);
    }
}

static void on_sent(struct upstreams *upstreams, uint32_t number, const struct link_event *event) {
    struct upstream_line *line = line_at(upstreams, number);
    uint64_t bytes = event->bytes;
    if (line->tls != 0 && !line_tls_on_sent(upstreams, number, event, &bytes)) {
        return;
    }
    line_clear(line, LINE_SENDING);
    outbox_sent(upstreams->outboxes, &line->outbox, bytes);
    line->progress_ms = (uint32_t)upstreams->now_ms;
    if (event->error != 0) { // what it has answered may still be read
        line_set(line, LINE_DEAF);
        outbox_drop_waiting(upstreams->outboxes, &line->outbox, false);
    }
    line_touch(upstreams, number);
    if (line->exchange != 0) {
        line_arm(upstreams, number);
        exchange_tell(upstreams, line->exchange, (struct upstream_event){.kind = UPSTREAM_SENT});
    }
}

static void on_bytes(struct upstreams *upstreams, uint32_t number, const struct link_event *event) {
    struct upstream_line *line = line_at(upstreams, number);
    struct span_mut bytes = event->data;
    if (event->kind == LINK_EVENT_TARGET) {
        bytes = (struct span_mut){.data = arena_at(upstreams->arena, event->token),
                                  .length = event->bytes};
    }
    if (bytes.length >= RECEIVE_BUFFER_BYTES) {
        line_set(line, LINE_BURSTS);
    } else {
        line_clear(line, LINE_BURSTS);
    }
    // In a handshake one deadline holds, whatever comes; and where an answer is awaited only a
    // whole head counts: one that trickles does not.
    if (line->state != LINE_ANSWER && line->state != LINE_SHAKING) {
        line->progress_ms = (uint32_t)upstreams->now_ms;
    }
    if (line->tls != 0) {
        line_tls_on_bytes(upstreams, number, bytes);
    } else {
        answer_feed(upstreams, number, bytes);
    }
}

void upstreams_on_event(struct upstreams *upstreams, const struct link_event *event) {
    uint32_t number = event->owner & ~UPSTREAM_LINK_TAG;
    struct upstream_line *line = line_at(upstreams, number);
    check(line->state != LINE_FREE);
    if (event->token != 0) {
        upstreams->lent_count--;
    }
    switch (event->kind) {
    case LINK_EVENT_SOCKET:
        on_socket(upstreams, number, event);
        return;
    case LINK_EVENT_CONNECTED:
        on_connected(upstreams, number, event->error);
        return;
    case LINK_EVENT_READABLE:
        break;
    case LINK_EVENT_BYTES:
        on_bytes(upstreams, number, event);
        link_bytes_done(upstreams->link, event);
        break;
    case LINK_EVENT_TARGET:
        on_bytes(upstreams, number, event);
        break;
    case LINK_EVENT_END:
    case LINK_EVENT_ERROR:
        if (line->tls != 0) {
            line_tls_on_end(upstreams, number, event->error);
        } else {
            answer_on_end(upstreams, number, event->error);
        }
        break;
    case LINK_EVENT_SENT:
        on_sent(upstreams, number, event);
        break;
    case LINK_EVENT_CLOSED:
        line_free(upstreams, number);
        return;
    default: // lent memory is given back below; the others are not of a socket of ours
        break;
    }
    if (event->token != 0) {
        arena_give(upstreams->arena, event->token);
    }
    line_receive(upstreams, number);
}

void line_receive(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    bool reads = line->state >= LINE_SHAKING && line->state <= LINE_IDLE &&
                 !line_has(line, LINE_PAUSED) && line->held_block == 0;
    if (!reads || !link_may_receive(upstreams->link, line->link)) {
        return;
    }
    bool may_lend = line_has(line, LINE_BURSTS) && upstreams->lent_count < BURSTS_MAX;
    uint32_t block = may_lend ? arena_take(upstreams->arena, BURST_BYTES) : 0;
    if (block == 0) {
        link_receive(upstreams->link, line->link, (struct span_mut){.data = NULL, .length = 0});
        return;
    }
    upstreams->lent_count++;
    link_receive_lent(
        upstreams->link, line->link,
        (struct span_mut){.data = arena_at(upstreams->arena, block), .length = BURST_BYTES}, block);
}

void line_read_on(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    if (line_has(line, LINE_PAUSED) || line->state == LINE_CLOSING) {
        return;
    }
    if (line->held_block != 0) {
        uint32_t block = line->held_block;
        struct span_mut held = {.data = arena_at(upstreams->arena, block),
                                .length = line->held_bytes};
        line->held_block = 0;
        line->held_bytes = 0;
        answer_feed(upstreams, number, held);
        arena_give(upstreams->arena, block);
    }
    bool is_over = line_has(line, LINE_ENDED) && !line_has(line, LINE_PAUSED) &&
                   line->held_block == 0 && line->state != LINE_CLOSING;
    if (is_over) {
        answer_on_end(upstreams, number, line_has(line, LINE_CUT) ? -ECONNRESET : 0);
    }
    line_receive(upstreams, number);
}

// --- sending

static void pump_one(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    line_clear(line, LINE_TOUCHED);
    if (line_has(line, LINE_SHORT) && line->exchange != 0) {
        line_clear(line, LINE_SHORT);
        line_starve(upstreams, number);
        return;
    }
    bool is_over = outbox_is_empty(&line->outbox) || line_has(line, LINE_DEAF);
    if (line->state == LINE_CLOSING && line_has(line, LINE_FLUSHES) && is_over) {
        line_clear(line, LINE_FLUSHES);
        link_close(upstreams->link, line->link);
        return;
    }
    bool may_send = (line->state >= LINE_ANSWER && line->state <= LINE_RAW) ||
                    (line->state == LINE_CLOSING && line_has(line, LINE_FLUSHES));
    if (line->tls != 0) {
        line_tls_pump(upstreams, number, may_send);
    } else if (may_send && !line_has(line, LINE_DEAF) && outbox_may_send(&line->outbox)) {
        struct span pieces[SEND_PIECES_MAX];
        uint32_t count = outbox_gather(upstreams->outboxes, &line->outbox, pieces, SEND_PIECES_MAX,
                                       GATHER_BYTES_MAX);
        line_set(line, LINE_SENDING);
        line->sent_ms = (uint32_t)upstreams->now_ms;
        link_send(upstreams->link, line->link, pieces, count);
        line_arm(upstreams, number);
    }
    line_read_on(upstreams, number);
}

void upstreams_pump(struct upstreams *upstreams) {
    exchange_serve(upstreams);
    // What a pass touches again comes at the end of the list, which holds each line once; bounded
    // by what the services have sent and was held.
    for (uint32_t i = 0; i < upstreams->touched_count; i++) {
        if (upstreams->touched[i] != 0) {
            pump_one(upstreams, upstreams->touched[i]);
        }
    }
    upstreams->touched_count = 0;
}
