// The walk over blocks: made by hand, by libdeflate, cut anywhere, and noise.
#include "core/base/prng.h"
#include "tests/unit/core/ws/deflate_test.h"
#include "tests/unit/expect.h"

static struct ws_deflate_tables tables;

Test(ws_deflate_walk, blocks_by_hand) {
    static const struct {
        const char *bytes;
        uint32_t length;
        bool is_whole;
        uint32_t last_header_bit, end_bit, block_count;
    } rows[] = {
        {"\x03\x00", 2, true, 0, 10, 1},                       // fixed, empty
        {"\x01\x00\x00\xff\xff", 5, true, 0, 40, 1},           // stored, empty
        {"\x01\x02\x00\xfd\xff\x61\x62", 7, true, 0, 56, 1},   // stored
        {"\x01\x02\x00\xfd\xff\x61\x62zz", 9, true, 0, 56, 1}, // what is behind is not looked at
        {"\x02\x0c\x00", 3, true, 10, 20, 2},                  // two fixed ones
        {"\x00\x00\x00\xff\xff\x03\x00", 7, true, 40, 50, 2},
        {"\xf3\x48\xcd\xc9\xc9\x07\x00", 7, true, 0, 50, 1}, // "Hello"
        {"\x03", 1, false, 0, 0, 0},
        {"", 0, false, 0, 0, 0},
        {"\x07", 1, false, 0, 0, 0},
        {"\x01\x02\x00\xfc\xff\x61\x62", 7, false, 0, 0, 0}, // the lengths differ
        {"\x01\x02\x00\xfd\xff\x61", 6, false, 0, 0, 0},
        {"\x02\x00", 2, false, 0, 0, 0}, // no final one
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ws_deflate_walk walk;
        bool is_whole = ws_deflate_walk(span_make(rows[i].bytes, rows[i].length), &tables, &walk);
        cr_expect_eq(is_whole, rows[i].is_whole, "row %u", i);
        if (is_whole && rows[i].is_whole) {
            cr_expect_eq(walk.last_header_bit, rows[i].last_header_bit, "row %u", i);
            cr_expect_eq(walk.end_bit, rows[i].end_bit, "row %u: %lu", i, walk.end_bit);
            cr_expect_eq(walk.block_count, rows[i].block_count, "row %u", i);
        }
    }
}

// libdeflate's own stream ends in the byte that the walk says, and not a byte before.
Test(ws_deflate_walk, streams_and_their_cuts) {
    enum { PLAIN = 60000 };
    static uint8_t data[PLAIN];
    static uint8_t packed[PLAIN + 1000];
    struct prng prng;
    prng_init(&prng, 1951);
    for (uint32_t i = 0; i < PLAIN; i++) {
        uint32_t part = i / 12000;
        data[i] = (uint8_t)(part % 2 == 0 ? prng_below(&prng, 20) : 'a' + prng_below(&prng, 26));
    }
    for (int level = 0; level <= 12; level++) {
        struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(level);
        for (uint32_t length = 1; length <= PLAIN; length = length * 3 + 1) {
            uint32_t made = (uint32_t)libdeflate_deflate_compress(compressor, data, length, packed,
                                                                  sizeof packed);
            expect(made > 0, "level %d length %u", level, length);
            struct ws_deflate_walk walk;
            expect(ws_deflate_walk(span_make(packed, made), &tables, &walk), "level %d length %u",
                   level, length);
            expect((walk.end_bit + 7) / 8 == made, "level %d length %u", level, length);
            expect((packed[walk.last_header_bit / 8] >> (walk.last_header_bit % 8) & 1) == 1,
                   "level %d length %u", level, length);
            for (uint32_t cut = made - 1, step = 1; cut > step; cut -= step, step += 7) {
                uint8_t *exact = malloc(cut); // the sanitizer sees the first byte beyond
                memcpy(exact, packed, cut);
                expect(!ws_deflate_walk(span_make(exact, cut), &tables, &walk),
                       "level %d length %u cut %u", level, length, cut);
                free(exact);
            }
        }
        libdeflate_free_compressor(compressor);
    }
}

Test(ws_deflate_walk, noise_ends) {
    struct prng prng;
    prng_init(&prng, 9);
    uint8_t noise[200];
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t length = prng_below(&prng, sizeof noise);
        for (uint32_t i = 0; i < length; i++) {
            noise[i] = (uint8_t)prng_below(&prng, 256);
        }
        struct ws_deflate_walk walk;
        if (ws_deflate_walk(span_make(noise, length), &tables, &walk)) {
            expect(walk.end_bit <= 8 * (uint64_t)length, "round %u", round);
            expect(walk.last_header_bit + 3 < walk.end_bit, "round %u", round);
        }
    }
}
