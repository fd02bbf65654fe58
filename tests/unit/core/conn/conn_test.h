// For the tests of core/conn: one worker's connections over reserved memory, which must be empty
// again at the end of each test. Bytes in; what was sent as one text; time by hand.
#pragma once
#include "core/conn/conn.h"
#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    CONN_TEST_ARENA_BYTES = 32 << 20,
    CONN_TEST_SENT_BYTES = 4 << 20,
    CONN_TEST_CONNS = 64,
    CONN_TEST_ENTRIES = 1000,
    CONN_TEST_SETTINGS = 4,
    CONN_TEST_NOW_US = 1000000,
};

// Bytes that were fed: an event's spans may point into them, so they live as long as the fixture.
struct conn_test_copy {
    struct conn_test_copy *next;
    uint8_t bytes[];
};

struct conn_test {
    struct conns conns;
    struct arena arena;
    struct counters counters;
    struct trace trace;
    struct histogram round_trip;
    struct conn_settings settings[CONN_TEST_SETTINGS]; // 1 is what conn_test_upgrade takes
    uint32_t index;                                    // the connection that the helpers mean
    uint32_t expiries[CONN_TEST_CONNS + 1];
    uint32_t opened, kept_refusals; // for what the counters must come to
    struct conn_test_copy *copies;
    uint32_t sent_bytes;
    uint8_t *sent; // reserved: as a part of this struct, ASan would paint all of it at each open
};

static inline struct memory conn_test_reserve(uint64_t length) {
    void *data = mmap(NULL, length, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(data, MAP_FAILED);
    return (struct memory){.data = data, .length = length};
}

static inline struct conn *conn_test_conn(const struct conn_test *test) {
    return conn_at(&test->conns, test->index);
}

static inline enum conn_state conn_test_state(const struct conn_test *test) {
    return (enum conn_state)conn_test_conn(test)->state;
}

#define expect_state(test, wanted)                                                                 \
    expect(conn_test_state(test) == (wanted), "line %d: state is %s, wanted %s", __LINE__,         \
           conn_state_name(conn_test_state(test)), conn_state_name(wanted))
#define expect_fault(test, wanted)                                                                 \
    expect(conn_test_conn(test)->fault == (wanted), "line %d: fault is %s, wanted %s", __LINE__,   \
           fault_get((enum fault_id)conn_test_conn(test)->fault)->name, fault_get(wanted)->name)

static inline void conn_test_accept(struct conn_test *test) {
    test->index = conn_open(&test->conns);
    cr_assert_neq(test->index, 0);
    test->opened++;
}

// Memory for that many connections, and conns_init.
static inline void conn_test_conns(struct conns *conns, uint32_t conn_max, uint32_t entry_max,
                                   uint64_t now_us) {
    struct conns_memory memory = {
        .connection_max = conn_max, .input_max = conn_max, .entry_max = entry_max};
    conns_memory_size(&memory);
    struct memory *ranges[] = {&memory.conn_space, &memory.conn_book,   &memory.input_space,
                               &memory.input_book, &memory.entry_space, &memory.entry_book,
                               &memory.touched};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        *ranges[i] = conn_test_reserve(ranges[i]->length);
    }
    conns_init(conns, &memory, now_us);
}

static inline void conn_test_init(struct conn_test *test, uint64_t now_us) {
    test->sent = conn_test_reserve(CONN_TEST_SENT_BYTES + 1).data;
    struct memory book = conn_test_reserve(arena_book_bytes(CONN_TEST_ARENA_BYTES));
    arena_init(&test->arena, conn_test_reserve(CONN_TEST_ARENA_BYTES), book, CONN_TEST_ARENA_BYTES);
    for (int i = 0; i < CONN_TEST_SETTINGS; i++) {
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
    conns->expiries = test->expiries;
    conns->head_bytes_max = 8192;
    conns->handshake_ms = 10000;
    conns->jitter_seed = 7;
    conn_test_conns(conns, CONN_TEST_CONNS, CONN_TEST_ENTRIES, now_us);
}

// One connection that has just been accepted. The memory goes with the test's process.
static inline struct conn_test *conn_test_open(void) {
    struct conn_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    conn_test_init(test, CONN_TEST_NOW_US);
    conn_test_accept(test);
    return test;
}

// Feeds the bytes (a copy) until they are used up or there is an event, which is returned.
static inline struct conn_event conn_test_feed(struct conn_test *test, const void *bytes,
                                               size_t length) {
    struct conn_test_copy *copy = malloc(sizeof *copy + length);
    cr_assert_not_null(copy);
    copy->next = test->copies;
    test->copies = copy;
    memcpy(copy->bytes, bytes, length);
    struct span_mut rest = {.data = copy->bytes, .length = (uint32_t)length};
    struct conn_event event = {.kind = CONN_EVENT_NONE};
    while (event.kind == CONN_EVENT_NONE && rest.length > 0 &&
           conn_may_feed(&test->conns, test->index)) {
        event = conn_feed(&test->conns, test->index, &rest);
    }
    expect(rest.length == 0 || conn_test_state(test) >= CONN_FLUSH,
           "%u bytes were not taken: these tests feed no more than one thing at a time",
           rest.length);
    return event;
}

static inline struct conn_event conn_test_feed_text(struct conn_test *test, const char *text) {
    return conn_test_feed(test, text, strlen(text));
}

// Sends what one gather yields; up to bytes_max of it go out. False: there was nothing to send.
static inline bool conn_test_send_part(struct conn_test *test, uint64_t bytes_max) {
    struct span pieces[SEND_PIECES_MAX];
    uint32_t count = conn_gather(&test->conns, test->index, pieces);
    uint64_t sent = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length =
            sent + pieces[i].length > bytes_max ? (uint32_t)(bytes_max - sent) : pieces[i].length;
        expect(test->sent_bytes + length <= CONN_TEST_SENT_BYTES, "too much was sent");
        if (length > 0) {
            memcpy(test->sent + test->sent_bytes, pieces[i].data, length);
        }
        test->sent_bytes += length;
        sent += length;
    }
    test->sent[test->sent_bytes] = 0;
    if (count > 0) {
        conn_sent(&test->conns, test->index, sent);
    }
    return count > 0;
}

// Sends everything that is queued, into `sent` as a text.
static inline const char *conn_test_send(struct conn_test *test) {
    while (conn_test_send_part(test, UINT64_MAX)) {
    }
    return (const char *)test->sent;
}

// What was sent so far must be exactly that; it is forgotten.
static inline void conn_test_expect_sent(struct conn_test *test, const void *bytes,
                                         uint32_t length) {
    conn_test_send(test);
    expect(test->sent_bytes == length && memcmp(test->sent, bytes, length) == 0,
           "sent %u bytes, wanted %u: %.40s", test->sent_bytes, length, test->sent);
    test->sent_bytes = 0;
}

// What was sent so far must begin so and nothing else is looked at; it is forgotten.
static inline void conn_test_expect_start(struct conn_test *test, const char *start) {
    conn_test_send(test);
    expect(strncmp((char *)test->sent, start, strlen(start)) == 0, "wanted %s, got %.60s", start,
           test->sent);
    test->sent_bytes = 0;
}

#define HANDSHAKE_FIELDS                                                                           \
    "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"        \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// The connection opens as a WebSocket; the 101 is sent and forgotten.
static inline void conn_test_upgrade(struct conn_test *test) {
    struct conn_event event = conn_test_feed_text(test, "GET /echo HTTP/1.1\r\n" HANDSHAKE_FIELDS);
    cr_assert_eq(event.kind, CONN_EVENT_REQUEST);
    cr_assert(event.is_upgrade);
    conn_upgrade(&test->conns, test->index, 1, span_empty());
    conn_test_send(test);
    test->sent_bytes = 0;
}

// --- frames

// A client's frame with the RFC's mask key; `first` is FIN, RSV and opcode. Returns its length.
static inline uint32_t frame_make(uint8_t *target, uint8_t first, const void *payload,
                                  uint32_t length) {
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint32_t head = ws_frame_head_encode_masked(target, first & 15, 0, length, key);
    target[0] = first;
    for (uint32_t i = 0; i < length; i++) {
        target[head + i] = ((const uint8_t *)payload)[i] ^ key[i % 4];
    }
    return head + length;
}

static inline struct conn_event conn_test_frame(struct conn_test *test, uint8_t first,
                                                const char *payload) {
    uint8_t frame[FRAME_HEAD_BYTES_MAX + 1024];
    cr_assert_leq(strlen(payload), 1024);
    return conn_test_feed(test, frame,
                          frame_make(frame, first, payload, (uint32_t)strlen(payload)));
}

// --- time

// The next turn, `ms` later: as gateway/worker, it expires what is due.
static inline void conn_test_wait(struct conn_test *test, uint64_t ms) {
    struct conns *conns = &test->conns;
    conns_turn(conns, conns->now_us + ms * 1000);
    wheel_advance(&conns->wheel, conns->now_ms);
    uint32_t index;
    while (wheel_next(&conns->wheel, &index)) {
        conn_on_time(conns, index);
    }
}

// --- the end

static inline void conn_test_release(struct conn_test *test, uint32_t index) {
    conn_kill(&test->conns, index, FAULT_killed);
    struct conn *conn = conn_at(&test->conns, index);
    if (conn->outbox.flight_count != 0) { // its send is cancelled
        conn_sent(&test->conns, index, 0);
    }
    conn_release(&test->conns, index);
}

// Nothing may be left once every connection is gone, and the counters add up.
static inline void conn_test_expect_empty(struct conn_test *test) {
    struct conns *conns = &test->conns;
    conns_turn(conns, conns->now_us); // the turn's ping goes
    cr_assert_eq(conn_touched_next(conns), 0);
    cr_assert_eq(test->arena.used_bytes, 0, "%lu bytes of the arena are left",
                 (unsigned long)test->arena.used_bytes);
    cr_assert_eq(conns->pool.used, 0);
    cr_assert_eq(conns->inputs.used, 0);
    cr_assert_eq(conns->entries.used, 0);
    cr_assert_eq(conns->wheel.armed_count, 0);
    cr_assert_eq(conns->open_count, 0);
    cr_assert_eq(conns->outboxes.held_bytes, 0);
    cr_assert_eq(test->counters.values[COUNTER_closed], test->opened);
    uint64_t faults = 0;
    for (int i = 0; i < FAULT_COUNT; i++) {
        faults += test->counters.faults[i];
    }
    cr_assert_eq(faults, test->opened + test->kept_refusals);
    cr_assert_eq(test->counters.faults[FAULT_none], 0, "a connection ended without a cause");
}

// Ends what has not ended, and sees that nothing is left.
static inline void conn_test_close(struct conn_test *test) {
    for (uint32_t index = 1; index <= CONN_TEST_CONNS; index++) {
        if (conn_at(&test->conns, index)->state != CONN_FREE) {
            conn_test_release(test, index);
        }
    }
    conn_test_expect_empty(test);
    while (test->copies != NULL) {
        struct conn_test_copy *next = test->copies->next;
        free(test->copies);
        test->copies = next;
    }
    munmap(test->sent, CONN_TEST_SENT_BYTES + 1);
    free(test);
}
