// Lines to servers by https: the handshake behind the connection, and what passes in both
// directions then. The library's object stays with the line; no close_notify is sent, since what a
// service is sent says itself where it ends. Text is read into a block of one record, and what is
// sent is sealed into a block that is sent whole, or the line reads on at most.
#include "gateway/upstream/internal.h"

#include "core/base/check.h"

#include <errno.h>
#include <stdio.h>

static struct line_tls *tls_of(const struct upstreams *upstreams, uint32_t number) {
    return (struct line_tls *)pool_at(&upstreams->secures, line_at(upstreams, number)->tls);
}

bool line_tls_take(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    line->tls = (uint16_t)pool_take(&upstreams->secures);
    if (line->tls != 0) {
        *tls_of(upstreams, number) = (struct line_tls){.block = 0};
    }
    return line->tls != 0;
}

static void block_drop(struct upstreams *upstreams, uint32_t *block) {
    if (*block != 0) {
        arena_give(upstreams->arena, *block);
    }
    *block = 0;
}

void line_tls_give(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    struct line_tls *tls = tls_of(upstreams, number);
    tls_dial_fini(&tls->dial);
    block_drop(upstreams, &tls->block);
    block_drop(upstreams, &tls->owed_block);
    pool_give(&upstreams->secures, line->tls);
    line->tls = 0;
}

// --- what the library writes by itself

// Keeps it until it may be sent. False: no memory.
static bool owed_add(struct upstreams *upstreams, struct line_tls *tls, struct span bytes) {
    if (bytes.length == 0) {
        return true;
    }
    uint32_t block = arena_take(upstreams->arena, (uint64_t)tls->owed_bytes + bytes.length);
    if (block == 0) {
        return false;
    }
    uint8_t *data = arena_at(upstreams->arena, block);
    if (tls->owed_block != 0) {
        memcpy(data, arena_at(upstreams->arena, tls->owed_block), tls->owed_bytes);
    }
    memcpy(data + tls->owed_bytes, bytes.data, bytes.length);
    block_drop(upstreams, &tls->owed_block);
    tls->owed_block = block;
    tls->owed_bytes += bytes.length;
    return true;
}

// --- the handshake

static void host_of(const struct upstream_server *server, const struct upstream_origin *origin,
                    char host[TLS_DIAL_HOST_BYTES]) {
    if (origin->host_bytes == 0) {
        (void)address_format(&server->address, false, host); // its length is not needed
        return;
    }
    bool has_dot = origin->host[origin->host_bytes - 1] == '.'; // certificates have none
    (void)snprintf(host, TLS_DIAL_HOST_BYTES, "%.*s", origin->host_bytes - has_dot,
                   (const char *)origin->host); // as long as that is its bound
}

static void tls_fail(struct upstreams *upstreams, uint32_t number, const char *reason) {
    counter_add(upstreams->counters, COUNTER_upstream_tls_failures, 1);
    const struct fault detail = {.text = reason == NULL ? "-" : reason};
    line_fail(upstreams, number, FAULT_upstream_tls, &detail);
}

// A step of the handshake. True: it is done, and what is left of `step->received` are records.
static bool shake(struct upstreams *upstreams, uint32_t number, struct tls_dial_step *step) {
    struct line_tls *tls = tls_of(upstreams, number);
    enum tls_dial_result result = tls_dial_shake(&tls->dial, step);
    if (!owed_add(upstreams, tls, span_make(step->target.data, step->written))) {
        line_starve(upstreams, number);
        return false;
    }
    step->written = 0;
    line_touch(upstreams, number);
    if (result == TLS_DIAL_FAULT) {
        tls_fail(upstreams, number, step->reason);
        return false;
    }
    if (result == TLS_DIAL_MORE) {
        return false;
    }
    counter_add(upstreams->counters, COUNTER_upstream_tls_handshakes, 1);
    line_begin(upstreams, number);
    return true;
}

void line_tls_begin(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    const struct upstream_server *server = server_of(upstreams, line);
    const struct upstream *upstream = upstream_of(upstreams, line);
    check(upstream->dialer != NULL);
    char host[TLS_DIAL_HOST_BYTES];
    host_of(server, &upstream->origins[server->origin], host);
    uint32_t since_ms = line->progress_ms; // its share of the deadline for the connection
    line_move(upstreams, number, LINE_SHAKING);
    line->progress_ms = since_ms;
    if (tls_dial_begin(&tls_of(upstreams, number)->dial, upstream->dialer, host) != 0) {
        line_starve(upstreams, number);
        return;
    }
    uint8_t out[TLS_DIAL_OUT_BYTES];
    struct tls_dial_step step = {.target = {.data = out, .length = sizeof out}};
    (void)shake(upstreams, number, &step); // a client speaks first: it is never done
}

// --- in

// Texts, one after the other, until the records are used up.
static void texts_read(struct upstreams *upstreams, uint32_t number, struct tls_dial_step *step,
                       uint8_t *text) {
    struct upstream_line *line = line_at(upstreams, number);
    struct line_tls *tls = tls_of(upstreams, number);
    enum tls_dial_result result = TLS_DIAL_DONE;
    // Bounded by what was received: each pass takes a record off.
    while (result == TLS_DIAL_DONE && line->state != LINE_CLOSING) {
        uint32_t length;
        result = tls_dial_read(&tls->dial, step, text, &length);
        if (result == TLS_DIAL_DONE) {
            answer_feed(upstreams, number, (struct span_mut){.data = text, .length = length});
        }
    }
    if (line->state == LINE_CLOSING) {
        return;
    }
    bool is_kept = owed_add(upstreams, tls, span_make(step->target.data, step->written));
    if (!is_kept) {
        line_starve(upstreams, number);
    } else if (result == TLS_DIAL_FAULT) {
        tls_fail(upstreams, number, step->reason);
    } else if (result == TLS_DIAL_ENDED) {
        tls->is_ended = true;
        answer_on_end(upstreams, number, 0);
    } else if (step->written > 0) {
        line_touch(upstreams, number);
    }
}

void line_tls_on_bytes(struct upstreams *upstreams, uint32_t number, struct span_mut received) {
    struct upstream_line *line = line_at(upstreams, number);
    if (line->state == LINE_CLOSING) {
        return;
    }
    uint8_t out[TLS_DIAL_OUT_BYTES];
    struct tls_dial_step step = {.received = span_make(received.data, received.length),
                                 .target = {.data = out, .length = sizeof out}};
    if (line->state == LINE_SHAKING && !shake(upstreams, number, &step)) {
        return;
    }
    uint32_t block = arena_take(upstreams->arena, TLS_TEXT_BYTES_MAX);
    if (block == 0) {
        line_starve(upstreams, number);
        return;
    }
    texts_read(upstreams, number, &step, arena_at(upstreams->arena, block));
    arena_give(upstreams->arena, block);
}

void line_tls_on_end(struct upstreams *upstreams, uint32_t number, int error) {
    struct upstream_line *line = line_at(upstreams, number);
    if (line->state == LINE_SHAKING) {
        tls_fail(upstreams, number, "the connection ended in the handshake");
        return;
    }
    // An end that only TCP says may be anybody's: what it ends is cut (RFC 8446 6.1).
    bool is_cut = error == 0 && !tls_of(upstreams, number)->is_ended;
    answer_on_end(upstreams, number, is_cut ? -ECONNRESET : error);
}

// --- out

static void block_send(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    struct line_tls *tls = tls_of(upstreams, number);
    struct span rest = span_make(arena_at(upstreams->arena, tls->block) + tls->sent_bytes,
                                 tls->bytes - tls->sent_bytes);
    line_set(line, LINE_SENDING);
    line->sent_ms = (uint32_t)upstreams->now_ms;
    link_send(upstreams->link, line->link, &rest, 1);
}

// What waits in the outbox, as one block of records. False: no memory, or the library cannot.
static bool outbox_seal(struct upstreams *upstreams, uint32_t number) {
    struct upstream_line *line = line_at(upstreams, number);
    struct line_tls *tls = tls_of(upstreams, number);
    struct span pieces[SEND_PIECES_MAX];
    uint32_t count = outbox_gather(upstreams->outboxes, &line->outbox, pieces, SEND_PIECES_MAX,
                                   TLS_SEAL_BYTES_MAX);
    uint32_t text_bytes = spans_cut(pieces, &count, TLS_SEAL_BYTES_MAX);
    uint32_t room = (uint32_t)tls_dial_room(text_bytes);
    uint32_t block = arena_take(upstreams->arena, room);
    int64_t bytes =
        block == 0 ? -ENOMEM
                   : tls_dial_write(&tls->dial, pieces, count,
                                    (struct span_mut){.data = arena_at(upstreams->arena, block),
                                                      .length = room});
    if (bytes <= 0) {
        block_drop(upstreams, &block);
        outbox_sent(upstreams->outboxes, &line->outbox, 0);
        return false;
    }
    tls->block = block;
    tls->bytes = (uint32_t)bytes;
    tls->sent_bytes = 0;
    tls->text_bytes = text_bytes;
    return true;
}

void line_tls_pump(struct upstreams *upstreams, uint32_t number, bool may_send) {
    struct upstream_line *line = line_at(upstreams, number);
    struct line_tls *tls = tls_of(upstreams, number);
    if (line_has(line, LINE_SENDING) || line_has(line, LINE_DEAF)) {
        return;
    }
    if (tls->owed_bytes > 0 && (may_send || line->state == LINE_SHAKING)) {
        tls->block = tls->owed_block;
        tls->bytes = tls->owed_bytes;
        tls->sent_bytes = 0;
        tls->text_bytes = 0;
        tls->owed_block = 0;
        tls->owed_bytes = 0;
        block_send(upstreams, number);
        return;
    }
    if (!may_send || !outbox_may_send(&line->outbox)) {
        return;
    }
    if (!outbox_seal(upstreams, number)) {
        line_set(line, LINE_DEAF);
        outbox_drop_waiting(upstreams->outboxes, &line->outbox, false);
        line_set(line, LINE_SHORT); // it fails in the next pump
        line_touch(upstreams, number);
        return;
    }
    block_send(upstreams, number);
    line_arm(upstreams, number);
}

bool line_tls_on_sent(struct upstreams *upstreams, uint32_t number, const struct link_event *event,
                      uint64_t *text_bytes) {
    struct upstream_line *line = line_at(upstreams, number);
    struct line_tls *tls = tls_of(upstreams, number);
    tls->sent_bytes += event->bytes;
    check(tls->sent_bytes <= tls->bytes);
    bool is_whole = tls->sent_bytes == tls->bytes;
    bool goes_on = line->state != LINE_CLOSING || line_has(line, LINE_FLUSHES);
    if (!is_whole && event->error == 0 && goes_on) {
        block_send(upstreams, number); // the same bytes: a record is sealed once
        *text_bytes = 0;
        return false;
    }
    block_drop(upstreams, &tls->block);
    *text_bytes = is_whole ? tls->text_bytes : 0;
    bool is_own = tls->text_bytes == 0;
    if (is_own && event->error == 0) {
        line_clear(line, LINE_SENDING);
        line_touch(upstreams, number);
        return false;
    }
    return true;
}
