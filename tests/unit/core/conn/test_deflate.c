// Connections with permessage-deflate (RFC 7692): what is agreed, what comes in inflated, what goes
// out compressed, and once for all.
#include "core/hub/payload.h"
#include "tests/unit/core/conn/conn_test.h"
#include "tests/unit/core/ws/deflate_test.h"

#include <stdio.h>

enum { FIN = 0x80, RSV1 = 0x40, PLAIN_MAX = 1 << 20, THRESHOLD = 100 };

#define OFFER "Sec-WebSocket-Extensions: permessage-deflate"
#define AGREED OFFER "; server_no_context_takeover; client_no_context_takeover"

static struct conn_test *test;
static struct ws_deflate *deflate;

static void world_open(void) {
    test = conn_test_open();
    deflate = deflate_open(PLAIN_MAX);
    test->conns.deflate = deflate;
    test->settings[1].deflate_level = 1;
    test->settings[1].deflate_threshold = THRESHOLD;
}

static void world_close(void) {
    conn_test_close(test);
    deflate_close(deflate);
}

// Upgrades with these fields more; whether the 101 has that text.
static bool upgrade(const char *fields, const char *answer) {
    char head[1024];
    snprintf(head, sizeof head, "GET /echo HTTP/1.1\r\n%s" HANDSHAKE_FIELDS, fields);
    struct conn_event event = conn_test_feed_text(test, head);
    cr_assert_eq(event.kind, CONN_EVENT_REQUEST);
    conn_upgrade(&test->conns, test->index, 1, span_empty());
    bool has = strstr(conn_test_send(test), answer) != NULL;
    test->sent_bytes = 0;
    return has;
}

static struct conn_event feed_frame(uint8_t first, const void *payload, uint32_t length) {
    uint8_t *frame = malloc(length + FRAME_HEAD_BYTES_MAX);
    uint32_t frame_bytes = frame_make(frame, first, payload, length);
    struct conn_event event = conn_test_feed(test, frame, frame_bytes);
    free(frame);
    return event;
}

static struct span text_make(char *text, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        text[i] = (char)('a' + i * i % 23 % 7);
    }
    return span_make(text, length);
}

// A client's compressed message of that text, in memory to be freed.
static uint8_t *pack(struct span plain, uint32_t *length) {
    struct span packed;
    cr_assert(ws_deflate_compress(deflate, 1, plain, &packed));
    uint8_t *copy = malloc(packed.length);
    memcpy(copy, packed.data, packed.length);
    *length = packed.length;
    return copy;
}

static void expect_violation(enum fault_id fault) {
    expect_state(test, CONN_DISCARD);
    expect_fault(test, fault);
}

Test(conn_deflate, is_agreed_to_when_both_want_it) {
    static const struct {
        const char *fields, *answer;
        uint8_t level, bits;
    } rows[] = {
        {OFFER "\r\n", AGREED "\r\n", 1, 15},
        {OFFER "; client_max_window_bits\r\n", AGREED "\r\n", 9, 15},
        {OFFER "; server_max_window_bits=10\r\n", AGREED "; server_max_window_bits=10\r\n", 1, 10},
        {OFFER "; nonsense\r\n", NULL, 1, 0},
        {OFFER "\r\n", NULL, 0, 0},
        {"", NULL, 1, 0},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_open();
        test->settings[1].deflate_level = rows[i].level;
        bool has = upgrade(rows[i].fields, rows[i].answer == NULL ? "Extensions" : rows[i].answer);
        cr_expect_eq(has, rows[i].answer != NULL, "row %u", i);
        cr_expect_eq(conn_test_conn(test)->deflate_bits, rows[i].bits, "row %u", i);
        cr_expect_eq(conn_test_conn(test)->settings, 1, "row %u", i);
        world_close();
    }
}

// A connection with a stream of its own, the budget being `slots`.
static struct ws_takeover *takeover_open(uint32_t slots) {
    static struct ws_takeover takeover;
    static uint32_t streams[64];
    static uint8_t space[2 * TAKEOVER_SLOT_BYTES] __attribute__((aligned(64)));
    ws_takeover_init(&takeover,
                     (struct memory){.data = space, .length = slots * TAKEOVER_SLOT_BYTES});
    test->conns.takeover = &takeover;
    test->conns.streams = streams;
    test->settings[1].deflate_takeover = true;
    return &takeover;
}

Test(conn_deflate, a_stream_of_its_own_while_the_budget_lasts) {
    static const char own[] = OFFER "; client_no_context_takeover";
    static const struct {
        const char *fields, *answer;
        uint32_t slots, opened, declined;
        uint8_t bits, policy;
    } rows[] = {
        {OFFER "\r\n", own, 1, 1, 0, CONN_DEFLATE_OWN, OUTBOX_CLOSE},
        {OFFER "\r\n", AGREED, 0, 0, 1, 15, OUTBOX_CLOSE},
        {OFFER "\r\n", AGREED, 1, 0, 0, 15, OUTBOX_DROP_OLDEST},
        {OFFER "; server_no_context_takeover\r\n", AGREED, 1, 0, 0, 15, OUTBOX_CLOSE},
        {OFFER "; server_max_window_bits=8\r\n", AGREED, 1, 0, 0, 8, OUTBOX_CLOSE},
        {OFFER "; server_max_window_bits=9\r\n", own, 1, 1, 0, CONN_DEFLATE_OWN, OUTBOX_CLOSE},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_open();
        struct ws_takeover *takeover = takeover_open(rows[i].slots);
        test->settings[1].bounds.policy = rows[i].policy;
        cr_expect(upgrade(rows[i].fields, rows[i].answer), "row %u", i);
        cr_expect_eq(conn_test_conn(test)->deflate_bits, rows[i].bits, "row %u", i);
        cr_expect_eq(takeover->open_count, rows[i].opened, "row %u", i);
        cr_expect_eq(test->counters.values[COUNTER_takeovers_opened], rows[i].opened, "row %u", i);
        cr_expect_eq(test->counters.values[COUNTER_takeovers_declined], rows[i].declined, "row %u",
                     i);
        feed_frame(FIN | WS_CLOSE, "\x03\xe8", 2); // nothing more is compressed
        cr_expect_eq(takeover->open_count, 0u, "row %u", i);
        world_close();
    }
}

Test(conn_deflate, without_it_the_bit_is_reserved) {
    world_open();
    cr_assert_not(upgrade("", "Extensions"));
    feed_frame(FIN | RSV1 | WS_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    expect_violation(FAULT_reserved_bit);
    world_close();
}

Test(conn_deflate, a_message_is_inflated) {
    world_open();
    cr_assert(upgrade(OFFER "\r\n", AGREED));
    struct conn_event event = feed_frame(FIN | RSV1 | WS_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    cr_assert(event.kind == CONN_EVENT_MESSAGE && event.opcode == WS_TEXT && event.block == 0);
    cr_assert(span_is(event.payload, "Hello"));
    event = feed_frame(FIN | WS_TEXT, "plain", 5); // each message chooses
    cr_assert(event.kind == CONN_EVENT_MESSAGE && span_is(event.payload, "plain"));
    cr_assert_eq(feed_frame(RSV1 | WS_TEXT, "\xf2\x48\xcd", 3).kind, CONN_EVENT_NONE);
    event = feed_frame(FIN | WS_CONTINUATION, "\xc9\xc9\x07\x00", 4);
    cr_assert(event.kind == CONN_EVENT_MESSAGE && span_is(event.payload, "Hello"));
    cr_assert_eq(event.block, 0);
    event = feed_frame(FIN | RSV1 | WS_BINARY, "\x00", 1);
    cr_assert(event.kind == CONN_EVENT_MESSAGE && event.payload.length == 0);
    cr_assert_eq(test->counters.values[COUNTER_messages_in], 4);
    cr_assert_eq(test->counters.values[COUNTER_messages_unpacked], 3);
    cr_assert_eq(test->counters.values[COUNTER_unpack_bytes_before], 15);
    cr_assert_eq(test->counters.values[COUNTER_unpack_bytes_after], 10);
    cr_assert_eq(test->counters.values[COUNTER_message_bytes_in], 15);
    world_close();
}

Test(conn_deflate, violations) {
    static const struct {
        uint8_t first;
        const char *payload;
        uint32_t length;
        enum fault_id fault;
    } rows[] = {
        {FIN | RSV1 | WS_PING, "", 0, FAULT_reserved_bit},
        {FIN | RSV1 | WS_CLOSE, "", 0, FAULT_reserved_bit},
        {FIN | RSV1 | WS_CONTINUATION, "", 0, FAULT_reserved_bit},
        {FIN | 0x20 | WS_TEXT, "", 0, FAULT_reserved_bit},
        {FIN | RSV1 | WS_TEXT, "\xff", 1, FAULT_message_deflate},
        {FIN | RSV1 | WS_TEXT, "\xf2\x48\xcd\xc9\xc9\x07", 6, FAULT_message_deflate},
        {FIN | RSV1 | WS_TEXT, "\x00\x01\x00\xfe\xff\xff\x00", 7, FAULT_message_utf8},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_open();
        cr_assert(upgrade(OFFER "\r\n", AGREED));
        struct conn_event event = feed_frame(rows[i].first, rows[i].payload, rows[i].length);
        cr_expect_eq(event.kind, CONN_EVENT_NONE, "row %u", i);
        expect_violation(rows[i].fault);
        world_close();
    }
}

Test(conn_deflate, the_limit_counts_inflated_bytes) {
    static char text[4000];
    for (uint32_t limit = sizeof text - 1; limit <= sizeof text + 1; limit++) {
        world_open();
        test->settings[1].reader.message_bytes_max = limit;
        cr_assert(upgrade(OFFER "\r\n", AGREED));
        uint32_t length;
        uint8_t *packed = pack(text_make(text, sizeof text), &length);
        struct conn_event event = feed_frame(FIN | RSV1 | WS_TEXT, packed, length);
        if (limit < sizeof text) {
            cr_expect_eq(event.kind, CONN_EVENT_NONE);
            expect_violation(FAULT_message_too_big);
        } else {
            cr_expect(event.kind == CONN_EVENT_MESSAGE);
            cr_expect(span_equal(event.payload, span_make(text, sizeof text)));
        }
        free(packed);
        world_close();
    }
}

// What was sent is one frame; whether it is compressed, and says `plain` either way.
static bool sent_is_packed(struct span plain) {
    conn_test_send(test);
    struct ws_frame_head head;
    const struct fault *fault;
    struct span sent = span_make(test->sent, test->sent_bytes);
    cr_assert_eq(
        ws_frame_head_decode(sent, (struct ws_head_rules){.allows_rsv1 = true}, &head, &fault),
        WS_HEAD_DONE);
    cr_assert_eq(head.head_bytes + head.payload_bytes, sent.length);
    cr_assert(head.is_final && head.opcode == WS_TEXT);
    struct span payload = span_from(sent, head.head_bytes);
    bool is_packed = head.reserved == 4;
    if (is_packed) {
        cr_assert_null(ws_deflate_inflate(deflate, payload, PLAIN_MAX, &payload));
    }
    cr_assert(span_equal(payload, plain));
    test->sent_bytes = 0;
    return is_packed;
}

static bool send_is_packed(struct span plain) {
    uint32_t payload = payload_frame(&test->arena, WS_TEXT, plain);
    cr_assert_eq(conn_send(&test->conns, test->index, payload, 0), CONN_SENT_QUEUED);
    payload_drop(&test->arena, payload);
    return sent_is_packed(plain);
}

Test(conn_deflate, what_pays_goes_compressed) {
    static char text[DEFLATE_BYTES_MAX + 1];
    world_open();
    cr_assert(upgrade(OFFER "\r\n", AGREED));
    cr_expect_not(send_is_packed(text_make(text, THRESHOLD - 1)));
    cr_expect(send_is_packed(text_make(text, THRESHOLD)));
    cr_expect(send_is_packed(text_make(text, 100000)));
    cr_expect(send_is_packed(text_make(text, DEFLATE_BYTES_MAX)));
    cr_expect_not(send_is_packed(text_make(text, DEFLATE_BYTES_MAX + 1)));
    cr_assert_eq(test->counters.values[COUNTER_messages_packed], 3);
    cr_assert_eq(test->counters.values[COUNTER_pack_bytes_before],
                 THRESHOLD + 100000 + DEFLATE_BYTES_MAX);
    cr_assert_lt(test->counters.values[COUNTER_pack_bytes_after], 500000);
    world_close();
}

Test(conn_deflate, a_smaller_window_is_kept) {
    static char text[2000];
    world_open();
    cr_assert(
        upgrade(OFFER "; server_max_window_bits=10\r\n", AGREED "; server_max_window_bits=10"));
    cr_expect(send_is_packed(text_make(text, 1024)));
    cr_expect_not(send_is_packed(text_make(text, 1025)));
    world_close();
}

Test(conn_deflate, a_broadcast_is_compressed_once) {
    static char text[5000];
    struct span plain = text_make(text, sizeof text);
    enum { CONNS = 9 };
    uint32_t indices[CONNS];
    world_open();
    for (uint32_t i = 0; i < CONNS; i++) { // every third is plain
        if (i > 0) {
            conn_test_accept(test);
        }
        indices[i] = test->index;
        upgrade(i % 3 == 2 ? "" : OFFER "\r\n", "");
    }
    uint32_t payload = payload_frame(&test->arena, WS_TEXT, plain);
    uint64_t used = test->arena.used_bytes;
    for (uint32_t i = 0; i < CONNS; i++) {
        cr_assert_eq(conn_offer(&test->conns, indices[i], payload, 0), CONN_SENT_QUEUED);
    }
    cr_expect_lt(test->arena.used_bytes - used, sizeof text, "one variant");
    payload_drop(&test->arena, payload);
    for (uint32_t i = 0; i < CONNS; i++) {
        test->index = indices[i];
        cr_expect_eq(sent_is_packed(plain), i % 3 != 2, "connection %u", i);
    }
    cr_assert_eq(test->counters.values[COUNTER_messages_packed], 1);
    world_close();
}

Test(conn_deflate, what_does_not_pay_is_tried_once) {
    static uint8_t noise[1000];
    uint32_t state = 1;
    for (uint32_t i = 0; i < sizeof noise; i++) {
        state = state * 1103515245 + 12345;
        noise[i] = (uint8_t)(state >> 16);
    }
    world_open();
    cr_assert(upgrade(OFFER "\r\n", AGREED));
    uint32_t payload = payload_frame(&test->arena, WS_BINARY, span_make(noise, sizeof noise));
    for (uint32_t i = 0; i < 3; i++) {
        conn_send(&test->conns, test->index, payload, 0);
    }
    payload_drop(&test->arena, payload);
    conn_test_send(test);
    cr_assert_eq(test->sent_bytes, 3 * (4 + sizeof noise));
    cr_assert_eq(test->counters.values[COUNTER_pack_skipped], 1);
    world_close();
}
