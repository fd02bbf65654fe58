// For the tests of core/conn: one worker's connections over reserved memory, which must be empty
// again at the end of each test; bytes in, and what would be sent as one text.
#pragma once
#include "core/conn/conn.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { CONN_TEST_ARENA_BYTES = 256 << 20, CONN_TEST_SENT_BYTES = 1 << 20 };

struct conn_test {
    struct conns conns;
    struct arena arena;
    struct counters counters;
    struct trace trace;
    struct histogram round_trip;
    struct conn_settings settings[2];
    uint32_t index;
    uint32_t sent_bytes;
    uint8_t sent[CONN_TEST_SENT_BYTES];
};

static inline struct memory conn_test_reserve(uint64_t length) {
    void *data = mmap(NULL, length, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(data, MAP_FAILED);
    return (struct memory){.data = data, .length = length};
}

// One connection that has just been accepted. The memory goes with the test's process.
static inline struct conn_test *conn_test_open(void) {
    struct conn_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    struct memory book = conn_test_reserve(arena_book_bytes(CONN_TEST_ARENA_BYTES));
    arena_init(&test->arena, conn_test_reserve(CONN_TEST_ARENA_BYTES), book, CONN_TEST_ARENA_BYTES);
    for (int i = 0; i < 2; i++) {
        test->settings[i].reader = (struct ws_reader_rules){
            .message_bytes_max = 1 << 20, .fragments_max = 1000, .head = {.expects_mask = true}};
        test->settings[i].bounds.queue_bytes_max = 1 << 18;
    }
    struct conns *conns = &test->conns;
    conns->arena = &test->arena;
    conns->counters = &test->counters;
    conns->trace = &test->trace;
    conns->round_trip = &test->round_trip;
    conns->settings = test->settings;
    conns->head_bytes_max = 8192;
    conns->handshake_ms = 10000;
    struct conns_memory memory = {.connection_max = 4, .input_max = 4, .entry_max = 100};
    conns_memory_size(&memory);
    struct memory *ranges[] = {&memory.conn_space, &memory.conn_book,   &memory.input_space,
                               &memory.input_book, &memory.entry_space, &memory.entry_book,
                               &memory.touched};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        *ranges[i] = conn_test_reserve(ranges[i]->length);
    }
    conns_init(conns, &memory, 1000000);
    test->index = conn_open(conns);
    cr_assert_neq(test->index, 0);
    return test;
}

// Feeds the bytes (a copy) until they are used up or there is an event, which is returned.
static inline struct conn_event conn_test_feed(struct conn_test *test, const void *bytes,
                                               size_t length) {
    uint8_t *copy = malloc(length + 1);
    cr_assert_not_null(copy);
    memcpy(copy, bytes, length);
    struct span_mut rest = {.data = copy, .length = (uint32_t)length};
    struct conn_event event = {.kind = CONN_EVENT_NONE};
    while (event.kind == CONN_EVENT_NONE && rest.length > 0 &&
           conn_may_feed(&test->conns, test->index)) {
        event = conn_feed(&test->conns, test->index, &rest);
    }
    cr_assert_eq(rest.length, 0); // these tests feed no more than one thing at a time
    return event;                 // its spans live as long as the process: the copy is left to it
}

static inline struct conn_event conn_test_feed_text(struct conn_test *test, const char *text) {
    return conn_test_feed(test, text, strlen(text));
}

// Sends everything that is queued, into `sent` as a text.
static inline const char *conn_test_send(struct conn_test *test) {
    struct span pieces[SEND_PIECES_MAX];
    uint32_t count;
    while ((count = conn_gather(&test->conns, test->index, pieces)) > 0) {
        uint64_t bytes = 0;
        for (uint32_t i = 0; i < count; i++) {
            cr_assert_lt(test->sent_bytes + pieces[i].length, (uint32_t)CONN_TEST_SENT_BYTES);
            memcpy(test->sent + test->sent_bytes, pieces[i].data, pieces[i].length);
            test->sent_bytes += pieces[i].length;
            bytes += pieces[i].length;
        }
        conn_sent(&test->conns, test->index, bytes);
    }
    test->sent[test->sent_bytes] = 0;
    return (const char *)test->sent;
}

static inline enum conn_state conn_test_state(const struct conn_test *test) {
    return (enum conn_state)conn_at(&test->conns, test->index)->state;
}

// The connection opens as a WebSocket; the 101 is sent and forgotten.
static inline void conn_test_upgrade(struct conn_test *test) {
    struct conn_event event =
        conn_test_feed_text(test, "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    cr_assert_eq(event.kind, CONN_EVENT_REQUEST);
    cr_assert(event.is_upgrade);
    conn_upgrade(&test->conns, test->index, 1, span_empty());
    conn_test_send(test);
    test->sent_bytes = 0;
}

// Ends what has not ended, and sees that nothing is left.
static inline void conn_test_close(struct conn_test *test) {
    conn_kill(&test->conns, test->index, FAULT_killed);
    conn_release(&test->conns, test->index);
    cr_assert_eq(test->arena.used_bytes, 0);
    cr_assert_eq(test->conns.pool.used, 0);
    cr_assert_eq(test->conns.inputs.used, 0);
    cr_assert_eq(test->conns.entries.used, 0);
    free(test);
}
