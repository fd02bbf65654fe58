// Can bytes break the reader? The first bytes choose rules and the sizes of the pieces, the rest is
// the stream. Whole and in pieces, with and without the target, the events must be the same, and
// the arena must end empty.
#include "tests/unit/core/ws/ws_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICE_BYTES = 6 };

static struct receiver pieces_feed(struct arena *arena, struct ws_reader_rules rules,
                                   struct span stream, uint64_t seed, bool uses_target) {
    struct receiver receiver = receiver_make(arena, rules);
    receiver.uses_target = uses_target;
    struct prng prng;
    prng_init(&prng, seed);
    uint32_t bound = 1u << (seed % 13);
    for (uint32_t at = 0; at < stream.length;) {
        uint32_t length = 1 + prng_below(&prng, bound);
        length = length < stream.length - at ? length : stream.length - at;
        receiver_feed(&receiver, stream.data + at, length);
        at += length;
    }
    return receiver;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < CHOICE_BYTES || size > 1 << 20) {
        return 0;
    }
    static struct test_arena test;
    if (test.space.data == NULL) {
        test_arena_init(&test, TEST_ARENA_BYTES);
    }
    static const uint32_t limits[8] = {0, 1, 125, 126, 1000, 65535, 65536, 1 << 20};
    struct ws_reader_rules rules = {
        .message_bytes_max = limits[data[0] & 7],
        .fragments_max = 1 + (data[0] >> 3 & 15),
        .head = {.expects_mask = (data[1] & 1) == 0, .allows_rsv1 = (data[1] & 2) != 0},
    };
    uint64_t seed = (uint64_t)data[2] | (uint64_t)data[3] << 8 | (uint64_t)data[4] << 16;
    struct span bytes = span_make(data + CHOICE_BYTES, (uint32_t)(size - CHOICE_BYTES));

    struct receiver whole = receiver_make(&test.arena, rules);
    receiver_feed(&whole, bytes.data, bytes.length);
    for (uint32_t uses_target = 0; uses_target < 2; uses_target++) {
        struct receiver pieces = pieces_feed(&test.arena, rules, bytes, seed, uses_target == 1);
        check(receiver_equal(&whole, &pieces));
        check(ws_reader_is_idle(&whole.reader) == ws_reader_is_idle(&pieces.reader));
        receiver_fini(&pieces);
    }
    receiver_fini(&whole);
    check(test.arena.used_bytes == 0);
    return 0;
}
