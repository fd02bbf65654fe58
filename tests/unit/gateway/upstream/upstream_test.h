// For the tests of gateway/upstream: upstreams over a link over the fake io, and an owner that
// writes down what it is told. The test plays the kernel and the services.
#pragma once
#include "core/hub/payload.h"
#include "gateway/upstream/internal.h"
#include "tests/unit/core/conn/conn_test.h"
#include "tests/unit/gateway/link/fake_io.h"

#include <stdarg.h>

enum { UPSTREAM_TEST_LINES = 40, UPSTREAM_TEST_LOG_BYTES = 8192, RESPONSE_MS = 1000 };

struct upstream_test {
    struct io io;
    struct link link;
    struct conn_test base; // arena, outboxes and counters
    struct trace trace;
    struct link_slot slots[FAKE_RINGS * FAKE_SLOTS];
    struct upstreams upstreams;
    struct histogram answer_ns;
    struct config config;
    struct config_upstream items[2];
    struct config_server servers[2][3];
    char log[UPSTREAM_TEST_LOG_BYTES];
    bool drops_at_head, pauses_at_piece, takes_over;
};

__attribute__((format(printf, 2, 3))) static inline void told(struct upstream_test *test,
                                                              const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t length = strlen(test->log);
    (void)vsnprintf(test->log + length, sizeof test->log - length, format, arguments);
    va_end(arguments);
}

static inline void upstream_test_on_event(void *context, const struct upstream_event *event) {
    struct upstream_test *test = context;
    struct upstreams *upstreams = &test->upstreams;
    switch (event->kind) {
    case UPSTREAM_INTERIM:
        told(test, "%u interim %u\n", event->owner, event->response->status);
        return;
    case UPSTREAM_HEAD:
        told(test, "%u head %u\n", event->owner, event->response->status);
        if (test->drops_at_head) {
            upstream_drop(upstreams, event->exchange, false);
        } else if (event->response->status == 101) {
            upstream_take_over(upstreams, event->exchange);
        }
        return;
    case UPSTREAM_PIECE:
        told(test, "%u piece %.*s\n", event->owner, (int)event->piece.length,
             (const char *)event->piece.data);
        if (test->pauses_at_piece) {
            upstream_pause(upstreams, event->exchange);
        }
        return;
    case UPSTREAM_END:
        told(test, "%u end\n", event->owner);
        return;
    case UPSTREAM_RAW:
        told(test, "%u raw %.*s\n", event->owner, (int)event->raw->length,
             (const char *)event->raw->data);
        event->raw->length = 0;
        return;
    case UPSTREAM_RAW_END:
        told(test, "%u raw end\n", event->owner);
        upstream_drop(upstreams, event->exchange, false);
        return;
    case UPSTREAM_SENT:
        told(test, "%u sent\n", event->owner);
        return;
    case UPSTREAM_DUE:
        told(test, "%u due\n", event->owner);
        return;
    case UPSTREAM_FAILED:
        told(test, "%u failed %s\n", event->owner, event->fault->name);
        return;
    }
}

// An upstream `web` with that many servers, at 192.0.2.1, .2 and .3.
static inline struct upstream_test *upstream_test_open(uint32_t server_count) {
    struct upstream_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    conn_test_init(&test->base, CONN_TEST_NOW_US);
    test->io.ring_count = 1;
    test->io.ring_max = FAKE_RINGS;
    for (uint32_t ring = 0; ring < FAKE_RINGS; ring++) {
        test->io.buffer_count[ring] = 64;
    }
    link_init(&test->link, &(struct link_options){.io = &test->io,
                                                  .ring_max = FAKE_RINGS,
                                                  .slots = {.data = (uint8_t *)test->slots,
                                                            .length = sizeof test->slots},
                                                  .counters = &test->base.counters,
                                                  .trace = &test->trace});
    for (uint8_t i = 0; i < 3; i++) {
        test->servers[0][i].address.address = (struct address){
            .kind = ADDRESS_IP, .ip = {[10] = 0xff, 0xff, 192, 0, 2, (uint8_t)(i + 1)}, .port = 80};
    }
    test->items[0] = (struct config_upstream){.name = span_text("web"),
                                              .servers = test->servers[0],
                                              .server_count = server_count,
                                              .connect_ms = 500,
                                              .response_ms = RESPONSE_MS,
                                              .idle_ms = 2000,
                                              .retry_ms = 3000,
                                              .connections = 2,
                                              .queue = 2,
                                              .failures = 3};
    test->config = (struct config){.upstreams = test->items, .upstream_count = 1};
    static const struct log_options quiet = {
        .name = "test", .ring_bytes = 1 << 16, .level = LOG_LEVEL_ERROR};
    test->upstreams =
        (struct upstreams){.link = &test->link,
                           .arena = &test->base.arena,
                           .log = log_open(&quiet),
                           .outboxes = &test->base.conns.outboxes,
                           .counters = &test->base.counters,
                           .answer_ns = &test->answer_ns,
                           .owner = {.context = test, .on_event = upstream_test_on_event},
                           .head_bytes_max = 1024};
    struct upstreams_memory memory = {.line_max = UPSTREAM_TEST_LINES,
                                      .exchange_max = UPSTREAM_TEST_LINES};
    upstreams_memory_size(&memory);
    struct memory *ranges[] = {&memory.line_space,    &memory.line_book,  &memory.exchange_space,
                               &memory.exchange_book, &memory.touched,    &memory.items,
                               &memory.secure_space,  &memory.secure_book};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        *ranges[i] = conn_test_reserve(ranges[i]->length);
    }
    upstreams_init(&test->upstreams, &memory, CONN_TEST_NOW_US);
    cr_assert(upstreams_config_set(&test->upstreams, &test->config));
    return test;
}

static inline void run(struct upstream_test *test) {
    struct link_event event;
    while (link_next(&test->link, &event)) {
        upstreams_on_event(&test->upstreams, &event);
    }
    upstreams_pump(&test->upstreams);
}

static inline void wait_ms(struct upstream_test *test, uint32_t ms) {
    upstreams_turn(&test->upstreams, test->upstreams.now_us + (uint64_t)ms * 1000);
    link_turn_begin(&test->link, test->upstreams.now_ms);
    upstreams_expire(&test->upstreams);
    upstreams_pump(&test->upstreams);
}

static inline void expect_told(struct upstream_test *test, const char *wanted) {
    expect(strcmp(test->log, wanted) == 0, "told:\n%s\nwanted:\n%s", test->log, wanted);
    test->log[0] = 0;
}

static const char *const a_head = "GET / HTTP/1.1\r\n\r\n";

// Asks; the exchange's number, or 0 when it was refused, and the log says why.
static inline uint32_t ask_with(struct upstream_test *test, uint32_t owner, uint8_t flags,
                                uint32_t hash, bool has_body) {
    const struct fault *fault = NULL;
    struct upstream_ask question = {.owner = owner,
                                    .head = payload_bytes(&test->base.arena, span_text(a_head)),
                                    .hash = hash,
                                    .flags = flags,
                                    .has_body = has_body};
    uint32_t exchange = upstream_ask(&test->upstreams, &question, &fault);
    cr_assert_eq(exchange == 0, fault != NULL);
    if (exchange == 0) {
        told(test, "%u refused %s\n", owner, fault->name);
    }
    upstreams_pump(&test->upstreams);
    return exchange;
}

static inline uint32_t ask(struct upstream_test *test, uint32_t owner) {
    return ask_with(test, owner, UPSTREAM_ASK_SAFE, 0, false);
}

// The kernel gives the socket that the exchange asked for, and begins to connect.
static inline link_id give_socket(struct upstream_test *test, uint32_t exchange) {
    uint32_t line = exchange_at(&test->upstreams, exchange)->line;
    cr_assert_neq(line, 0, "it waits");
    link_id id = fake_socket(&test->io, 0, UPSTREAM_LINK_TAG | line, 0);
    run(test);
    fake_option_set(&test->io, id, 0);
    run(test);
    return id;
}

// The same, and the service accepts.
static inline link_id connect_now(struct upstream_test *test, uint32_t exchange) {
    link_id id = give_socket(test, exchange);
    fake_connected(&test->io, id, 0);
    run(test);
    return id;
}

// What the gateway is sending at present arrives.
static inline void take_sent(struct upstream_test *test, link_id id, const char *wanted) {
    struct fake_slot *slot = fake_at(&test->io, id);
    expect(slot->is_sending, "nothing is being sent");
    expect(strcmp(slot->sent, wanted) == 0, "sent: %s\nwanted: %s", slot->sent, wanted);
    int32_t length = (int32_t)slot->sent_bytes;
    slot->sent_bytes = 0;
    fake_sent(&test->io, id, length);
    run(test);
}

// The service sends that, in pieces of at most 64 bytes (a buffer of the fake).
static inline void say_bytes(struct upstream_test *test, link_id id, const char *text,
                             uint32_t length) {
    while (length > 0) {
        uint32_t piece = length < 64 ? length : 64;
        if (!fake_at(&test->io, id)->is_receiving) {
            fake_polled(&test->io, id, IO_POLL_IN, true);
            run(test);
        }
        if (!fake_at(&test->io, id)->is_receiving) {
            return; // it is not read
        }
        uint32_t at = test->io.queue_last;
        cr_assert(fake_received(&test->io, id, (int32_t)piece, length > piece));
        const struct io_completion *done = &test->io.queue[at % FAKE_QUEUE];
        memcpy(test->io.buffers[done->ring][done->buffer_id], text, piece);
        run(test);
        text += piece;
        length -= piece;
    }
}

static inline void say(struct upstream_test *test, link_id id, const char *text) {
    say_bytes(test, id, text, (uint32_t)strlen(text));
}

// The service ends its side, or resets.
static inline void end(struct upstream_test *test, link_id id, int32_t result) {
    if (!fake_at(&test->io, id)->is_receiving) {
        fake_polled(&test->io, id, IO_POLL_IN | IO_POLL_HANGUP, true);
        run(test);
    }
    cr_assert(fake_at(&test->io, id)->is_receiving);
    fake_received(&test->io, id, result, false);
    run(test);
}

// Completes what is in flight of a socket that is being closed.
static inline void finish(struct upstream_test *test, link_id id) {
    struct fake_slot *slot = fake_at(&test->io, id);
    for (uint32_t i = 0; i < 20 && link_slot_at(&test->link, id)->state != LINK_FREE; i++) {
        if (slot->is_receiving) {
            fake_received(&test->io, id, -EAGAIN, false);
        } else if (slot->is_sending) {
            fake_sent(&test->io, id, -ECANCELED);
        } else if (slot->is_connecting) {
            fake_connected(&test->io, id, -ECANCELED);
        } else if (slot->is_setting) {
            fake_option_set(&test->io, id, 0);
        } else if (slot->is_send_cancelling || slot->is_cancelling) {
            fake_cancelled(&test->io, id, 0);
        } else if (slot->is_polling && slot->is_closing) {
            fake_polled(&test->io, id, -ECANCELED, false);
        } else if (slot->is_closing) {
            fake_closed(&test->io, id, 0);
        }
        run(test);
    }
    expect(link_slot_at(&test->link, id)->state == LINK_FREE, "it is not being closed");
}

static inline bool is_closing(const struct upstream_test *test, link_id id) {
    return link_slot_at(&test->link, id)->state != LINK_OPEN;
}

// Everything goes, and nothing is left.
static inline void upstream_test_close(struct upstream_test *test) {
    upstreams_stop(&test->upstreams);
    wait_ms(test, 1);
    for (uint32_t i = 0; i < FAKE_RINGS * FAKE_SLOTS; i++) {
        link_id id = i / FAKE_SLOTS << LINK_RING_SHIFT | i % FAKE_SLOTS;
        if (link_slot_at(&test->link, id)->state != LINK_FREE) {
            expect(is_closing(test, id), "socket %u is still open", i);
            finish(test, id);
        }
    }
    cr_assert_eq(test->upstreams.lines.used, 0, "a line is left");
    cr_assert_eq(test->upstreams.exchanges.used, 0, "an exchange is left");
    cr_assert_eq(test->upstreams.waiting_count, 0);
    cr_assert_eq(test->base.arena.used_bytes, 0, "memory is left");
    cr_assert_eq(test->base.conns.entries.used, 0);
    cr_assert_eq(test->upstreams.wheel.armed_count, 0);
    for (uint32_t i = 0; i < test->upstreams.item_end; i++) {
        cr_assert(!test->upstreams.items[i].is_used, "upstream %u is left", i);
    }
    log_close(&test->upstreams.log);
    free(test);
}
