// What compressing and inflating JSON costs, printed; and that no message costs more than its
// length is worth. The bounds are loose enough for a Debug build under sanitizers on a busy
// machine.
#include "core/ws/takeover.h"
#include "tests/unit/core/ws/deflate_test.h"
#include "tests/unit/expect.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { BATCHES = 10, ROUNDS = 50, DATA_MAX = 65536 };

static uint64_t now_ns(void) {
    struct timespec now;
    cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// The cheapest of some batches, in nanoseconds per round.
#define SPEED(result, ...)                                                                         \
    do {                                                                                           \
        result = UINT64_MAX;                                                                       \
        for (int batch = 0; batch < BATCHES; batch++) {                                            \
            uint64_t start = now_ns();                                                             \
            for (int round = 0; round < ROUNDS; round++) {                                         \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
            uint64_t spent = (now_ns() - start) / ROUNDS;                                          \
            result = spent < result ? spent : result;                                              \
        }                                                                                          \
    } while (0)

// Market data, other figures for each seed.
static void json_make(char *data, uint32_t length, uint32_t seed) {
    uint32_t at = 0;
    while (at < length) {
        char row[96];
        seed = seed * 1664525u + 1013904223u;
        uint32_t bytes =
            (uint32_t)snprintf(row, sizeof row, "{\"id\":%u,\"bid\":%u.%02u,\"ask\":%u.%02u},", at,
                               seed >> 20, seed >> 3 & 63, seed >> 19, seed >> 5 & 63);
        bytes = bytes < length - at ? bytes : length - at;
        memcpy(data + at, row, bytes);
        at += bytes;
    }
}

Test(deflate_speed, of_json) {
    static const uint32_t sizes[] = {256, 512, 4096, DATA_MAX};
    struct ws_deflate *deflate = deflate_open(DATA_MAX);
    static uint8_t space[TAKEOVER_SLOT_BYTES] __attribute__((aligned(64)));
    static uint8_t room[2 * DATA_MAX];
    static char data[DATA_MAX];
    struct ws_takeover takeover;
    ws_takeover_init(&takeover, (struct memory){.data = space, .length = sizeof space});
    uint32_t stream = ws_takeover_open(&takeover, 1, WS_TAKEOVER_BITS_MAX);
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct span json = span_make(data, sizes[i]);
        json_make(data, sizes[i], 1);
        struct span packed = span_empty();
        struct span plain;
        uint64_t make_ns, compress_ns, inflate_ns, own_ns;
        SPEED(compress_ns, { cr_assert(ws_deflate_compress(deflate, 1, json, &packed)); });
        memcpy(room, packed.data, packed.length);
        struct span copy = span_make(room, packed.length);
        SPEED(inflate_ns, { cr_assert_null(ws_deflate_inflate(deflate, copy, DATA_MAX, &plain)); });
        cr_assert(span_equal(plain, json));
        uint64_t own_bytes = 0;
        uint32_t seed = 0; // no message twice
        SPEED(make_ns, { json_make(data, sizes[i], ++seed); });
        SPEED(own_ns, {
            json_make(data, sizes[i], ++seed);
            struct span_mut target = {.data = room, .length = sizeof room};
            own_bytes += ws_takeover_deflate(&takeover, stream, json, target);
        });
        printf(
            "%u B of JSON: %llu ns to compress to %u B, %llu ns to inflate; with a window of its "
            "own %llu ns and %llu B\n",
            sizes[i], (unsigned long long)compress_ns, packed.length,
            (unsigned long long)inflate_ns,
            (unsigned long long)(own_ns > make_ns ? own_ns - make_ns : 0),
            (unsigned long long)(own_bytes / (BATCHES * ROUNDS)));
        uint64_t bound_ns = 1000000 + (uint64_t)sizes[i] * 1000;
        expect(compress_ns < bound_ns && inflate_ns < bound_ns, "%u B", sizes[i]);
    }
    ws_takeover_close(&takeover, stream);
    deflate_close(deflate);
}
