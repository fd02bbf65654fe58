// The reader's memory: blocks that grow with what arrives and not with what is announced, the
// target for large frames, refusals, and random streams in random pieces.
#include "tests/unit/core/ws/ws_stream.h"

#include <criterion/criterion.h>
#include <signal.h>

static struct test_arena test;
static struct stream stream;
static const uint8_t key[4] = {0x11, 0x22, 0x33, 0x44};

static void setup(void) {
    test_arena_init(&test, TEST_ARENA_BYTES);
}

static void teardown(void) {
    stream_fini(&stream);
    test_arena_fini(&test);
}

TestSuite(ws_reader_memory, .init = setup, .fini = teardown);

static struct ws_reader_rules large_rules(void) {
    struct ws_reader_rules rules = test_rules();
    rules.message_bytes_max = 16 << 20;
    return rules;
}

static void pattern_frame(uint8_t first, uint32_t length) {
    uint8_t *payload = malloc(length + 1);
    for (uint32_t i = 0; i < length; i++) {
        payload[i] = (uint8_t)(i * 31 + i / 251);
    }
    stream_frame(&stream, first, payload, length, key);
    free(payload);
}

Test(ws_reader_memory, an_announcement_holds_at_most_64_kib) {
    pattern_frame(0x82, 8 << 20);
    struct receiver receiver = receiver_make(&test.arena, large_rules());
    receiver.uses_target = true;
    receiver_feed(&receiver, stream.bytes, 14); // the head alone holds nothing
    cr_assert_eq(test.arena.used_bytes, 0);
    uint32_t fed = 14;
    uint32_t block = 0;
    uint32_t block_count = 0;
    while (fed < stream.length - 4096) {
        receiver_feed(&receiver, stream.bytes + fed, 4096);
        fed += 4096;
        block_count += receiver.reader.message_block != block;
        block = receiver.reader.message_block;
        uint64_t arrived = fed - 14;
        uint64_t bound = arrived <= 48 << 10 ? 64 << 10 : 2 * (arrived + 4096);
        cr_assert_leq(test.arena.used_bytes, bound + bound / 4 + WS_MESSAGE_HEADROOM);
    }
    cr_assert(block_count >= 7 && block_count <= 9); // by doubling, from 64 KiB to 8 MiB
    receiver_feed(&receiver, stream.bytes + fed, stream.length - fed);
    struct log_head head;
    memcpy(&head, receiver.log.bytes, sizeof head);
    cr_assert(head.kind == WS_EVENT_MESSAGE && head.length == 8 << 20);
    cr_assert_gt(receiver.target_hits, 2000);
    receiver_fini(&receiver);
}

Test(ws_reader_memory, the_target_gives_what_feeding_gives) {
    static const uint32_t lengths[] = {2047, 2048, 2049, 4096, 65535, 65536, 65537, 200000};
    for (uint32_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        stream.length = 0;
        pattern_frame(0x02, lengths[i]);
        stream_text(&stream, 0x89, "between");
        pattern_frame(0x80, lengths[i]);
        stream_text(&stream, 0x81, "next");
        struct receiver whole = receiver_whole(&test.arena, large_rules(), &stream);
        static const uint32_t sizes[] = {1000, 2048, 5000, 70000};
        for (uint32_t j = 0; j < 4; j++) {
            struct receiver pieces = receiver_make(&test.arena, large_rules());
            pieces.uses_target = true;
            for (uint32_t at = 0; at < stream.length; at += sizes[j]) {
                uint32_t left = stream.length - at;
                receiver_feed(&pieces, stream.bytes + at, left < sizes[j] ? left : sizes[j]);
            }
            cr_assert(receiver_equal(&whole, &pieces), "%u in pieces of %u", lengths[i], sizes[j]);
            bool is_hit =
                lengths[i] >= 2 * RECEIVE_BUFFER_BYTES && sizes[j] <= RECEIVE_BUFFER_BYTES;
            cr_assert(pieces.target_hits > 0 || !is_hit);
            receiver_fini(&pieces);
        }
        receiver_fini(&whole);
    }
}

Test(ws_reader_memory, the_target_is_there_as_long_as_a_buffer_is_owed) {
    pattern_frame(0x82, 300000);
    struct ws_reader reader = {0};
    struct ws_reader_rules rules = large_rules();
    cr_assert_eq(ws_reader_target(&reader, &test.arena).length, 0); // between messages
    uint8_t head[14];
    memcpy(head, stream.bytes, sizeof head);
    struct span_mut input = {.data = head, .length = sizeof head};
    cr_assert_eq(ws_reader_feed(&reader, &input, &test.arena, &rules).kind, WS_EVENT_NEED_MORE);
    uint32_t left = 300000;
    while (left >= RECEIVE_BUFFER_BYTES) {
        struct span_mut target = ws_reader_target(&reader, &test.arena);
        cr_assert(target.length >= RECEIVE_BUFFER_BYTES && target.length <= left);
        uint32_t length = target.length < 1777 ? target.length : 1777;
        memcpy(target.data, stream.bytes + stream.length - left, length);
        struct ws_event event = ws_reader_received(&reader, length, &test.arena, &rules);
        cr_assert_eq(event.kind, WS_EVENT_NEED_MORE);
        left -= length;
    }
    cr_assert_eq(ws_reader_target(&reader, &test.arena).length, 0); // a buffer does for the rest
    cr_assert_eq(ws_reader_received(&reader, 0, &test.arena, &rules).kind, WS_EVENT_NEED_MORE);
    ws_reader_drop(&reader, &test.arena);
    cr_assert(ws_reader_is_idle(&reader));
}

Test(ws_reader_memory, a_bad_byte_in_the_target_fails_at_once) {
    static char text[9000];
    memset(text, 'a', sizeof text);
    text[5000] = (char)0xff;
    stream_frame(&stream, 0x81, text, sizeof text, key);
    struct receiver receiver = receiver_make(&test.arena, large_rules());
    receiver.uses_target = true;
    receiver_feed(&receiver, stream.bytes, 4000);
    cr_assert(!receiver.is_ended && receiver.target_hits == 0);
    receiver_feed(&receiver, stream.bytes + 4000, 1000);
    cr_assert(!receiver.is_ended && receiver.target_hits == 1);
    receiver_feed(&receiver, stream.bytes + 5000, 100);
    cr_assert(receiver.is_ended);
    receiver_fini(&receiver);
}

Test(ws_reader_memory, small_fragments_share_a_small_block) {
    struct receiver receiver = receiver_make(&test.arena, large_rules());
    stream_text(&stream, 0x02, "tiny");
    for (uint32_t i = 0; i < 20; i++) {
        stream_text(&stream, 0x00, "tiny");
    }
    receiver_feed(&receiver, stream.bytes, stream.length);
    cr_assert(test.arena.used_bytes > 0 && test.arena.used_bytes <= 512);
    receiver_fini(&receiver);
}

Test(ws_reader_memory, a_final_frame_takes_no_more_than_it_announces) {
    static const uint32_t lengths[] = {10000, 100000, 200000};
    for (uint32_t i = 0; i < 3; i++) {
        stream.length = 0;
        pattern_frame(0x82, lengths[i]);
        struct receiver receiver = receiver_make(&test.arena, large_rules());
        receiver_feed(&receiver, stream.bytes, 5000);
        receiver_feed(&receiver, stream.bytes + 5000, stream.length - 5001);
        cr_assert_geq(test.arena.used_bytes, lengths[i] + WS_MESSAGE_HEADROOM);
        cr_assert_leq(test.arena.used_bytes, (lengths[i] + WS_MESSAGE_HEADROOM) * 5 / 4);
        receiver_fini(&receiver);
    }
}

Test(ws_reader_memory, a_fragmented_message_grows_by_doubling_within_the_limit) {
    struct ws_reader_rules rules = large_rules();
    rules.message_bytes_max = 300000;
    rules.fragments_max = FRAGMENTS_MAX;
    stream_frame(&stream, 0x02, NULL, 0, key);
    for (uint32_t i = 0; i < 3000; i++) {
        uint8_t payload[100] = {0};
        stream_frame(&stream, 0x00, payload, sizeof payload, key);
    }
    struct receiver receiver = receiver_make(&test.arena, rules);
    uint32_t block = 0;
    uint32_t block_count = 0;
    for (uint32_t at = 0; at < stream.length; at++) {
        receiver_feed(&receiver, stream.bytes + at, 1);
        block_count += receiver.reader.message_block != block;
        block = receiver.reader.message_block;
        cr_assert_leq(test.arena.used_bytes, 300000 * 5 / 4);
    }
    cr_assert(!receiver.is_ended && receiver.reader.message_bytes == 300000);
    cr_assert_leq(block_count, 14);
    receiver_fini(&receiver);
}

// The limit of the arena is lowered until nothing fits, then raised until the scenario passes: each
// take is refused once, and each refusal says so and leaves nothing.
Test(ws_reader_memory, every_refusal_is_reported_and_leaves_nothing) {
    pattern_frame(0x02, 3000);
    pattern_frame(0x00, 100000);
    stream_text(&stream, 0x89, "ping");
    pattern_frame(0x80, 200000);
    uint32_t refusals = 0;
    for (uint64_t limit = 0; limit <= 4 << 20; limit += 4096) {
        test.arena.limit_bytes = limit;
        struct receiver receiver = receiver_make(&test.arena, large_rules());
        receiver.uses_target = true;
        for (uint32_t at = 0; at < stream.length; at += 2048) {
            uint32_t left = stream.length - at;
            receiver_feed(&receiver, stream.bytes + at, left < 2048 ? left : 2048);
        }
        struct log_head head;
        memcpy(&head, receiver.log.bytes, sizeof head);
        cr_assert_eq(test.arena.used_bytes, 0);
        bool is_done = !receiver.is_ended;
        if (receiver.is_ended) {
            memcpy(&head, receiver.log.bytes + receiver.log.length - sizeof head, sizeof head);
            cr_assert_eq(head.kind, WS_EVENT_REFUSED);
            refusals++;
        }
        receiver_fini(&receiver);
        if (is_done) {
            break;
        }
    }
    cr_assert_gt(refusals, 50);
    test.arena.limit_bytes = TEST_ARENA_BYTES;
    struct receiver receiver = receiver_whole(&test.arena, large_rules(), &stream);
    cr_assert(!receiver.is_ended);
    receiver_fini(&receiver);
}

Test(ws_reader_memory, after_a_refusal_the_same_input_may_be_fed_again) {
    stream_text(&stream, 0x01, "Hel");
    stream_text(&stream, 0x80, "lo");
    struct ws_reader reader = {0};
    struct ws_reader_rules rules = test_rules();
    struct span_mut input = {.data = stream.bytes, .length = stream.length};
    test.arena.limit_bytes = 0;
    cr_assert_eq(ws_reader_feed(&reader, &input, &test.arena, &rules).kind, WS_EVENT_REFUSED);
    cr_assert_eq(ws_reader_feed(&reader, &input, &test.arena, &rules).kind, WS_EVENT_REFUSED);
    test.arena.limit_bytes = TEST_ARENA_BYTES;
    struct ws_event event = ws_reader_feed(&reader, &input, &test.arena, &rules);
    cr_assert(event.kind == WS_EVENT_MESSAGE && span_is(event.payload, "Hello"));
    arena_give(&test.arena, event.block);
}

Test(ws_reader_memory, a_refused_target_is_empty_and_feeding_says_why) {
    pattern_frame(0x82, 100000);
    struct ws_reader reader = {0};
    struct ws_reader_rules rules = test_rules();
    struct span_mut input = {.data = stream.bytes, .length = 14};
    test.arena.limit_bytes = 0;
    cr_assert_eq(ws_reader_feed(&reader, &input, &test.arena, &rules).kind, WS_EVENT_NEED_MORE);
    cr_assert_eq(ws_reader_target(&reader, &test.arena).length, 0);
    input = (struct span_mut){.data = stream.bytes + 14, .length = 10};
    cr_assert_eq(ws_reader_feed(&reader, &input, &test.arena, &rules).kind, WS_EVENT_REFUSED);
    ws_reader_drop(&reader, &test.arena);
}

// Builds what a well-behaved client could send and writes the log that must come of it.
static void random_stream(struct prng *prng, struct receiver *expected, uint8_t *payload) {
    stream.length = 0;
    uint32_t message_count = 1 + prng_below(prng, 6);
    for (uint32_t i = 0; i < message_count; i++) {
        bool is_text = prng_below(prng, 2) == 0;
        uint32_t bound = prng_below(prng, 8) == 0 ? 200000 : prng_below(prng, 4) == 0 ? 5000 : 300;
        uint32_t length = prng_below(prng, bound);
        for (uint32_t j = 0; j < length; j++) {
            payload[j] = is_text ? (uint8_t)("\xc3\xa9"[j % 2]) : (uint8_t)prng_next(prng);
        }
        if (is_text) {
            length -= length % 2;
        }
        uint32_t at = 0;
        bool is_first = true;
        bool is_last = false;
        while (!is_last) {
            uint32_t left = length - at;
            uint32_t part = prng_below(prng, 3) == 0 ? left : prng_below(prng, left + 1);
            is_last = part == left && prng_below(prng, 3) != 0;
            uint8_t first = (uint8_t)((is_first ? (is_text ? 1 : 2) : 0) | (is_last ? 0x80 : 0));
            uint8_t mask[4];
            uint32_t bits = prng_below(prng, 5) == 0 ? 0 : (uint32_t)prng_next(prng);
            memcpy(mask, &bits, 4);
            stream_frame(&stream, first, payload + at, part, mask);
            at += part;
            is_first = false;
            if (prng_below(prng, 3) == 0) {
                uint8_t control[125];
                uint32_t control_bytes = prng_below(prng, 126);
                memset(control, 'p', sizeof control);
                uint8_t opcode = prng_below(prng, 2) == 0 ? WS_PING : WS_PONG;
                if (!is_last) {
                    stream_frame(&stream, 0x80 | opcode, control, control_bytes, mask);
                    receiver_event(
                        expected,
                        (struct ws_event){.kind = opcode == WS_PING ? WS_EVENT_PING : WS_EVENT_PONG,
                                          .opcode = opcode,
                                          .payload = span_make(control, control_bytes)});
                }
            }
        }
        receiver_event(expected, (struct ws_event){.kind = WS_EVENT_MESSAGE,
                                                   .opcode = is_text ? WS_TEXT : WS_BINARY,
                                                   .payload = span_make(payload, length)});
    }
}

Test(ws_reader_memory, random_streams_in_random_pieces_give_the_messages_sent) {
    struct prng prng;
    prng_init(&prng, 6455);
    uint8_t *payload = malloc(200000);
    uint64_t target_hits = 0;
    for (uint32_t round = 0; round < 400; round++) {
        struct receiver expected = receiver_make(&test.arena, large_rules());
        random_stream(&prng, &expected, payload);
        struct receiver receiver = receiver_make(&test.arena, large_rules());
        receiver.uses_target = prng_below(&prng, 2) == 0;
        uint32_t bound = 1 + prng_below(&prng, 3) * prng_below(&prng, 5000);
        uint32_t at = 0;
        while (at < stream.length) {
            uint32_t size = 1 + prng_below(&prng, bound + (at % 3 == 0 ? 20000 : 0));
            size = size < stream.length - at ? size : stream.length - at;
            receiver_feed(&receiver, stream.bytes + at, size);
            at += size;
        }
        cr_assert(receiver_equal(&expected, &receiver), "round %u", round);
        cr_assert(ws_reader_is_idle(&receiver.reader));
        cr_assert_eq(test.arena.used_bytes, 0);
        target_hits += receiver.target_hits;
        receiver_fini(&receiver);
        receiver_fini(&expected);
    }
    cr_assert_gt(target_hits, 100);
    free(payload);
}

Test(ws_reader_memory, more_received_than_the_target_holds_is_our_bug, .signal = SIGABRT) {
    pattern_frame(0x82, 100000);
    struct ws_reader reader = {0};
    struct ws_reader_rules rules = test_rules();
    struct span_mut input = {.data = stream.bytes, .length = 14};
    ws_reader_feed(&reader, &input, &test.arena, &rules);
    struct span_mut target = ws_reader_target(&reader, &test.arena);
    ws_reader_received(&reader, target.length + 1, &test.arena, &rules);
}
