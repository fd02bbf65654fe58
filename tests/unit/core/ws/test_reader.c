// The reader's judgement: golden streams, faults at the byte that makes them, limits at their
// edges, UTF-8 across frames, and that pieces make no difference.
#include "core/ws/deflate.h"
#include "tests/unit/core/ws/ws_stream.h"

#include <criterion/criterion.h>

static struct test_arena test;
static struct stream stream;

static void setup(void) {
    test_arena_init(&test, TEST_ARENA_BYTES);
}

static void teardown(void) {
    stream_fini(&stream);
    test_arena_fini(&test);
}

TestSuite(ws_reader, .init = setup, .fini = teardown);

static struct ws_event one_event(struct ws_reader *reader, struct span_mut *input,
                                 const struct ws_reader_rules *rules) {
    return ws_reader_feed(reader, input, &test.arena, rules);
}

static void expect_message(struct ws_event event, uint8_t opcode, const char *text) {
    cr_assert_eq(event.kind, WS_EVENT_MESSAGE);
    cr_assert_eq(event.opcode, opcode);
    cr_assert(span_is(event.payload, text));
    if (event.block != 0) {
        arena_give(&test.arena, event.block);
    }
}

Test(ws_reader, golden_hello_leaves_an_idle_reader_untouched) {
    uint8_t bytes[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
    struct ws_reader reader = {0};
    struct ws_reader zero = {0};
    struct ws_reader_rules rules = test_rules();
    struct span_mut input = {.data = bytes, .length = sizeof bytes};
    struct ws_event event = one_event(&reader, &input, &rules);
    expect_message(event, WS_TEXT, "Hello");
    cr_assert(event.block == 0 && event.payload.data == bytes + 6 && input.length == 0);
    cr_assert_eq(one_event(&reader, &input, &rules).kind, WS_EVENT_NEED_MORE);
    cr_assert_eq(memcmp(&reader, &zero, sizeof reader), 0);
}

Test(ws_reader, golden_fragments_unmasked_at_a_client) {
    uint8_t bytes[] = {0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f};
    struct ws_reader reader = {0};
    struct ws_reader_rules rules = test_rules();
    rules.head.expects_mask = false;
    struct span_mut input = {.data = bytes, .length = sizeof bytes};
    expect_message(one_event(&reader, &input, &rules), WS_TEXT, "Hello");
    cr_assert(ws_reader_is_idle(&reader));
}

Test(ws_reader, golden_ping_and_masked_pong) {
    uint8_t ping[] = {0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f};
    uint8_t pong[] = {0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
    struct ws_reader reader = {0};
    struct ws_reader_rules rules = test_rules();
    struct span_mut input = {.data = pong, .length = sizeof pong};
    struct ws_event event = one_event(&reader, &input, &rules);
    cr_assert(event.kind == WS_EVENT_PONG && span_is(event.payload, "Hello"));
    rules.head.expects_mask = false;
    input = (struct span_mut){.data = ping, .length = sizeof ping};
    event = one_event(&reader, &input, &rules);
    cr_assert(event.kind == WS_EVENT_PING && span_is(event.payload, "Hello"));
}

Test(ws_reader, golden_256_and_65536_bytes) {
    static uint8_t payload[65536];
    static const uint32_t lengths[] = {256, 65536};
    struct ws_reader_rules rules = test_rules();
    rules.head.expects_mask = false;
    for (uint32_t i = 0; i < 2; i++) {
        stream.length = 0;
        stream_frame(&stream, 0x82, payload, lengths[i], NULL);
        struct ws_reader reader = {0};
        struct span_mut input = {.data = stream.bytes, .length = stream.length};
        struct ws_event event = one_event(&reader, &input, &rules);
        cr_assert(event.kind == WS_EVENT_MESSAGE && event.opcode == WS_BINARY);
        cr_assert(event.payload.length == lengths[i] && event.block == 0 && input.length == 0);
    }
}

// Streams that end well or badly in many ways; feeding them in any pieces must give the same log.
static void corpus_build(uint32_t index) {
    stream.length = 0;
    static char many[300];
    memset(many, 'm', sizeof many - 1);
    switch (index) {
    case 0: // fragments with control frames between and behind
        stream_text(&stream, 0x01, "Hel");
        stream_text(&stream, 0x89, "are you there?");
        stream_text(&stream, 0x00, "");
        stream_text(&stream, 0x8a, "");
        stream_text(&stream, 0x00, "l");
        stream_text(&stream, 0x80, "o");
        stream_text(&stream, 0x82, "binary \xff\xfe");
        stream_text(&stream, 0x88,
                    "\x03\xe8"
                    "bye");
        break;
    case 1: // empty messages, fragments, control frames
        stream_text(&stream, 0x81, "");
        stream_text(&stream, 0x82, "");
        stream_text(&stream, 0x01, "");
        stream_text(&stream, 0x80, "");
        stream_text(&stream, 0x02, "");
        stream_text(&stream, 0x00, "");
        stream_text(&stream, 0x80, "end");
        stream_text(&stream, 0x02, "start");
        stream_text(&stream, 0x80, "");
        stream_text(&stream, 0x89, "");
        stream_text(&stream, 0x88, "");
        break;
    case 2: // characters cut by frames
        stream_text(&stream, 0x01, "\xf0");
        stream_text(&stream, 0x00, "\x9f\x98");
        stream_text(&stream, 0x89, "\xf0");
        stream_text(&stream, 0x80, "\x80 \xc3\xa9\xe2\x82\xac");
        stream_text(&stream, 0x81, "\xe2\x82\xac");
        break;
    case 3: // two-byte lengths
        stream_text(&stream, 0x81, many);
        stream_text(&stream, 0x01, many);
        stream_text(&stream, 0x80, many);
        break;
    case 4: // a character that is not finished
        stream_text(&stream, 0x81, "fine");
        stream_text(&stream, 0x01, "bad \xe2\x82");
        stream_text(&stream, 0x80, "");
        stream_text(&stream, 0x81, "not seen");
        break;
    case 5: // a bad byte in the middle
        stream_text(&stream, 0x81, "fine");
        stream_text(&stream, 0x81, "0123456789 \xed\xa0\x80 0123456789");
        stream_text(&stream, 0x81, "not seen");
        break;
    case 6: // a continuation of nothing, after valid messages
        stream_text(&stream, 0x89, "ping");
        stream_text(&stream, 0x81, "fine");
        stream_text(&stream, 0x80, "wrong");
        break;
    default: // the control frame at its longest
        many[125] = 0;
        stream_text(&stream, 0x02, "a");
        stream_text(&stream, 0x89, many);
        stream_text(&stream, 0x80, "b");
        break;
    }
}

enum { CORPUS_COUNT = 8 };

Test(ws_reader, every_split_point_gives_the_same_events) {
    for (uint32_t index = 0; index < CORPUS_COUNT; index++) {
        corpus_build(index);
        struct receiver whole = receiver_whole(&test.arena, test_rules(), &stream);
        cr_assert_gt(whole.log.length, 0);
        for (uint32_t split = 0; split <= stream.length; split++) {
            struct receiver pieces = receiver_make(&test.arena, test_rules());
            receiver_feed(&pieces, stream.bytes, split);
            receiver_feed(&pieces, stream.bytes + split, stream.length - split);
            cr_assert(receiver_equal(&whole, &pieces), "stream %u split at %u", index, split);
            receiver_fini(&pieces);
        }
        receiver_fini(&whole);
    }
}

Test(ws_reader, pieces_of_every_size_give_the_same_events) {
    for (uint32_t index = 0; index < CORPUS_COUNT; index++) {
        corpus_build(index);
        struct receiver whole = receiver_whole(&test.arena, test_rules(), &stream);
        for (uint32_t size = 1; size < 40; size++) {
            struct receiver pieces = receiver_make(&test.arena, test_rules());
            for (uint32_t at = 0; at < stream.length; at += size) {
                uint32_t left = stream.length - at;
                receiver_feed(&pieces, stream.bytes + at, left < size ? left : size);
            }
            cr_assert(receiver_equal(&whole, &pieces), "stream %u pieces of %u", index, size);
            receiver_fini(&pieces);
        }
        receiver_fini(&whole);
    }
}

// Feeds byte by byte; returns the fault, and how many bytes it took to find it.
static enum fault_id fault_find(struct ws_reader_rules rules, uint32_t *fed) {
    struct receiver receiver = receiver_make(&test.arena, rules);
    for (uint32_t i = 0; i < stream.length && !receiver.is_ended; i++) {
        receiver_feed(&receiver, stream.bytes + i, 1);
    }
    enum fault_id fault = FAULT_COUNT;
    if (receiver.is_ended) {
        struct log_head head;
        memcpy(&head, receiver.log.bytes + receiver.log.length - sizeof head, sizeof head);
        fault = head.fault;
    }
    *fed = receiver.fed_bytes;
    struct receiver whole = receiver_whole(&test.arena, rules, &stream);
    cr_assert(receiver_equal(&receiver, &whole));
    receiver_fini(&whole);
    receiver_fini(&receiver);
    return fault;
}

Test(ws_reader, faults_come_at_the_byte_that_makes_them) {
    static const struct {
        const char *bytes;
        uint32_t length;
        enum fault_id fault;
        uint32_t found_after;
    } rows[] = {
        {"\x91\x80", 2, FAULT_reserved_bit, 1},
        {"\xa2\x80", 2, FAULT_reserved_bit, 1},
        {"\xc1\x80", 2, FAULT_reserved_bit, 1},
        {"\x83\x80", 2, FAULT_opcode_reserved, 1},
        {"\x8b\x80", 2, FAULT_opcode_reserved, 1},
        {"\x09\x80", 2, FAULT_control_fragmented, 1},
        {"\x80\x80", 2, FAULT_continuation_unexpected, 1},
        {"\x00\x05", 2, FAULT_continuation_unexpected, 1}, // not masked either: the order decides
        {"\x01\x80\1\2\3\4\x81", 7, FAULT_continuation_expected, 7},
        {"\x01\x80\1\2\3\4\x02", 7, FAULT_continuation_expected, 7},
        {"\x81\x05Hello", 7, FAULT_frame_unmasked, 2},
        {"\x89\x00", 2, FAULT_frame_unmasked, 2},
        {"\x89\xfe\x00\x7e", 4, FAULT_control_too_long, 2},
        {"\x88\xff", 2, FAULT_control_too_long, 2},
        {"\x82\xfe\x00\x7d", 4, FAULT_length_not_minimal, 4},
        {"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", 10, FAULT_length_not_minimal, 8},
        {"\x82\xff\x80\x00\x00\x00\x00\x00\xff\xff", 10, FAULT_length_top_bit, 3},
        {"\x82\xff\x00\x01\x00\x00\x00\x00\x00\x00", 10, FAULT_message_too_big, 4},
        {"\x82\xff\x00\x00\x00\x00\x00\x10\x00\x01", 10, FAULT_message_too_big, 10},
        {"\x81\x84\0\0\0\0ab\xff", 9, FAULT_message_utf8, 9},
        {"\x81\x81\0\0\0\0\xc3", 7, FAULT_message_utf8, 7}, // FIN cuts the character
        {"\x01\x81\0\0\0\0\xc3\x80\x80\0\0\0\0", 13, FAULT_message_utf8, 13},
        {"\x01\x81\0\0\0\0\xe2\x80\x82\0\0\0\0\x28", 14, FAULT_message_utf8, 14},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        stream.length = 0;
        stream_add(&stream, rows[i].bytes, rows[i].length);
        uint32_t fed;
        enum fault_id fault = fault_find(test_rules(), &fed);
        cr_assert_eq(fault, rows[i].fault, "row %u: %u", i, fault);
        cr_assert_eq(fed, rows[i].found_after, "row %u: after %u", i, fed);
    }
}

Test(ws_reader, every_opcode_with_every_reserved_bit) {
    for (uint32_t first = 0; first < 256; first++) {
        stream.length = 0;
        uint8_t bytes[6] = {(uint8_t)first, 0x80, 1, 2, 3, 4};
        stream_add(&stream, bytes, sizeof bytes);
        uint8_t opcode = first & 15;
        bool is_known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
        enum fault_id expected = FAULT_COUNT;
        if ((first & 0x70) != 0) {
            expected = FAULT_reserved_bit;
        } else if (!is_known) {
            expected = FAULT_opcode_reserved;
        } else if (opcode >= 8 && first < 0x80) {
            expected = FAULT_control_fragmented;
        } else if (opcode == 0) {
            expected = FAULT_continuation_unexpected;
        }
        uint32_t fed;
        cr_assert_eq(fault_find(test_rules(), &fed), expected, "first byte %02x", first);
        cr_assert_eq(fed, expected == FAULT_COUNT ? 6 : 1);
    }
}

// Total bytes of one message in `count` equal fragments.
static void fragments_build(uint32_t total, uint32_t count) {
    static uint8_t zeros[70000];
    static const uint8_t key[4] = {9, 8, 7, 6};
    stream.length = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = total / count + (i < total % count ? 1 : 0);
        uint8_t first = (uint8_t)((i == 0 ? WS_BINARY : 0) | (i == count - 1 ? 0x80 : 0));
        stream_frame(&stream, first, zeros, length, key);
    }
}

Test(ws_reader, message_limit_at_its_edges) {
    static const uint32_t limits[] = {1, 125, 126, 127, 1000, 65535, 65536, 65537};
    for (uint32_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct ws_reader_rules rules = test_rules();
        rules.message_bytes_max = limits[i];
        for (uint32_t count = 1; count <= 3; count++) {
            for (uint32_t total = limits[i] - 1; total <= limits[i] + 1; total++) {
                fragments_build(total, count);
                struct receiver receiver = receiver_whole(&test.arena, rules, &stream);
                struct log_head head;
                cr_assert_geq(receiver.log.length, sizeof head);
                memcpy(&head, receiver.log.bytes, sizeof head);
                if (total <= limits[i]) {
                    cr_assert(head.kind == WS_EVENT_MESSAGE && head.length == total);
                } else {
                    cr_assert(head.kind == WS_EVENT_FAULT && head.fault == FAULT_message_too_big);
                }
                receiver_fini(&receiver);
            }
        }
    }
}

Test(ws_reader, a_limit_is_judged_before_memory_is_taken) {
    struct ws_reader_rules rules = test_rules();
    rules.message_bytes_max = 1000;
    struct ws_reader reader = {0};
    uint8_t bytes[] = {0x82, 0xfe, 0x03, 0xe9}; // 1001, the mask key still missing
    struct span_mut input = {.data = bytes, .length = sizeof bytes};
    struct ws_event event = one_event(&reader, &input, &rules);
    cr_assert(event.kind == WS_EVENT_FAULT && event.fault->id == FAULT_message_too_big);
    cr_assert_eq(test.arena.used_bytes_peak, 0);
    ws_reader_drop(&reader, &test.arena);
}

Test(ws_reader, fragment_limit_at_its_edges) {
    for (uint32_t limit = 1; limit < 6; limit++) {
        struct ws_reader_rules rules = test_rules();
        rules.fragments_max = limit;
        for (uint32_t count = 1; count <= limit + 1; count++) {
            fragments_build(20, count);
            uint32_t fed;
            enum fault_id fault = fault_find(rules, &fed);
            cr_assert_eq(fault, count <= limit ? FAULT_COUNT : FAULT_fragments_too_many);
        }
    }
}

Test(ws_reader, fragments_are_counted_per_message) {
    struct ws_reader_rules rules = test_rules();
    rules.fragments_max = 3;
    for (uint32_t i = 0; i < 5; i++) {
        stream_text(&stream, 0x01, "a");
        stream_text(&stream, 0x00, "b");
        stream_text(&stream, 0x80, "c");
        stream_text(&stream, 0x81, "d");
    }
    struct receiver receiver = receiver_whole(&test.arena, rules, &stream);
    cr_assert(!receiver.is_ended);
    receiver_fini(&receiver);
}

Test(ws_reader, empty_fragments_count) {
    struct ws_reader_rules rules = test_rules();
    rules.fragments_max = 100;
    fragments_build(0, 101);
    uint32_t fed;
    cr_assert_eq(fault_find(rules, &fed), FAULT_fragments_too_many);
    cr_assert_eq(fed, 100 * 6 + 1); // its first byte
}

Test(ws_reader, utf8_edges_whole_and_in_fragments) {
    static const struct {
        const char *text;
        bool is_valid;
    } rows[] = {
        {"\x7f", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\x80", false},
        {"\xbf", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xed\xbf\xbf", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xfe", false},
        {"\xff", false},
        {"\xc2", false},
        {"\xe2\x82", false},
        {"\xf0\x9f\x98", false},
        {"\xc2\x41", false},
        {"\xe2\x41\x80", false},
        {"\xe2\x82\x41", false},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (uint32_t lead = 0; lead < 70; lead++) { // past the edges of SIMD blocks
            char text[128] = {0};
            memset(text, 'a', lead);
            strcpy(text + lead, rows[i].text);
            for (uint32_t cut = 0; cut <= strlen(rows[i].text); cut++) {
                stream.length = 0;
                uint32_t first = lead + cut;
                static const uint8_t key[4] = {0xa5, 0x5a, 0x12, 0x34};
                stream_frame(&stream, 0x01, text, first, key);
                stream_frame(&stream, 0x80, text + first, (uint32_t)strlen(text) - first, key);
                stream_text(&stream, 0x81, "after\xc3\xa9");
                struct receiver receiver = receiver_whole(&test.arena, test_rules(), &stream);
                cr_assert_eq(receiver.is_ended, !rows[i].is_valid, "row %u lead %u", i, lead);
                receiver_fini(&receiver);
            }
        }
    }
}

Test(ws_reader, compressed_messages_are_marked_and_not_checked_as_text) {
    struct ws_reader_rules rules = test_rules();
    rules.head.allows_rsv1 = true;
    stream_text(&stream, 0xc1, "\xff\xfe"); // compressed, whole
    stream_text(&stream, 0x41, "\xff");     // compressed, in fragments
    stream_text(&stream, 0x80, "\xfe");
    stream_text(&stream, 0x81, "plain\xc3\xa9");
    struct receiver receiver = receiver_whole(&test.arena, rules, &stream);
    static const uint32_t lengths[3] = {2, 2, 7};
    uint32_t at = 0;
    for (uint32_t i = 0; i < 3; i++) {
        struct log_head head;
        memcpy(&head, receiver.log.bytes + at, sizeof head);
        cr_assert(head.kind == WS_EVENT_MESSAGE && head.is_compressed == (i < 2));
        cr_assert_eq(head.length, lengths[i]);
        at += (uint32_t)sizeof head + head.length;
    }
    cr_assert_eq(at, receiver.log.length);
    receiver_fini(&receiver);
    stream.length = 0;
    stream_text(&stream, 0x41, "a");
    stream_text(&stream, 0xc0, "b"); // RSV1 on a continuation (RFC 7692 6)
    uint32_t fed;
    cr_assert_eq(fault_find(rules, &fed), FAULT_reserved_bit);
}

Test(ws_reader, what_was_valid_before_a_fault_is_delivered) {
    stream_text(&stream, 0x81, "first");
    stream_text(&stream, 0x89, "second");
    stream_text(&stream, 0x83, "third");
    struct ws_reader reader = {0};
    struct ws_reader_rules rules = test_rules();
    struct span_mut input = {.data = stream.bytes, .length = stream.length};
    expect_message(one_event(&reader, &input, &rules), WS_TEXT, "first");
    struct ws_event event = one_event(&reader, &input, &rules);
    cr_assert(event.kind == WS_EVENT_PING && span_is(event.payload, "second"));
    event = one_event(&reader, &input, &rules);
    cr_assert(event.kind == WS_EVENT_FAULT && event.fault->id == FAULT_opcode_reserved);
    ws_reader_drop(&reader, &test.arena);
}

// Of a compressed message only an allowance is known on the wire; the limit counts what is
// inflated.
Test(ws_reader, a_compressed_message_may_be_a_little_longer_on_the_wire) {
    struct ws_reader_rules rules = test_rules();
    rules.message_bytes_max = 1000;
    rules.head.allows_rsv1 = true;
    uint32_t wire_max = (uint32_t)ws_deflate_packed_bytes_max(1000);
    cr_assert(wire_max > 1000 && wire_max < 1200);
    for (uint32_t length = wire_max; length <= wire_max + 1; length++) {
        for (uint8_t first = 0x42; first <= 0xc2; first = (uint8_t)(first + 0x80)) {
            struct ws_reader reader = {0};
            uint8_t bytes[] = {first, 0xfe, (uint8_t)(length >> 8), (uint8_t)length, 1, 2, 3, 4};
            struct span_mut input = {.data = bytes, .length = sizeof bytes};
            struct ws_event event = one_event(&reader, &input, &rules);
            bool is_refused = event.kind == WS_EVENT_FAULT;
            cr_assert_eq(is_refused, length > wire_max);
            cr_assert(!is_refused || event.fault->id == FAULT_message_too_big);
            ws_reader_drop(&reader, &test.arena);
            if (first == 0xc2) {
                break;
            }
        }
    }
}
