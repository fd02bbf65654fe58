// Streams that keep their window: one zlib inflater reads all messages of one, whatever lies in
// between, and the budget is the range handed in.
#include "core/ws/takeover.h"
#include "tests/unit/expect.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { SLOTS = 3, DATA_MAX = 20000 };

struct world {
    struct ws_takeover takeover;
    uint8_t *space;
    uint8_t room[DATA_MAX * 2];
};

static struct world *world_open(uint64_t bytes) {
    struct world *world = calloc(1, sizeof *world);
    uint64_t whole = (bytes + 63) / 64 * 64;
    world->space = aligned_alloc(64, whole == 0 ? 64 : whole);
    memset(world->space, 0, whole);
    ws_takeover_init(&world->takeover, (struct memory){.data = world->space, .length = bytes});
    return world;
}

static void world_close(struct world *world) {
    cr_assert_eq(world->takeover.open_count, 0u);
    free(world->space);
    free(world);
}

static uint32_t send(struct world *world, uint32_t stream, struct span data) {
    struct span_mut room = {.data = world->room, .length = sizeof world->room};
    return ws_takeover_deflate(&world->takeover, stream, data, room);
}

// What the receiver makes of it: its inflater goes on from message to message.
static void expect_inflates(z_stream *inflater, uint8_t *packed, uint32_t length,
                            struct span wanted) {
    uint8_t *plain = malloc(wanted.length + 1);
    memcpy(packed + length, "\x00\x00\xff\xff", 4);
    inflater->next_in = packed;
    inflater->avail_in = length + 4;
    inflater->next_out = plain;
    inflater->avail_out = wanted.length + 1;
    cr_assert_eq(inflate(inflater, Z_SYNC_FLUSH), Z_OK); // BFINAL would be Z_STREAM_END
    cr_assert_eq(inflater->avail_in, 0u);
    cr_assert_eq(wanted.length + 1 - inflater->avail_out, wanted.length);
    cr_assert_eq(memcmp(plain, wanted.data, wanted.length), 0);
    free(plain);
}

static void noise_make(uint8_t *bytes, uint32_t length, uint32_t seed) {
    for (uint32_t i = 0; i < length; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

Test(takeover, the_budget_is_the_range) {
    static const struct {
        uint64_t bytes;
        uint32_t slots;
    } rows[] = {{0, 0},
                {TAKEOVER_SLOT_BYTES - 1, 0},
                {TAKEOVER_SLOT_BYTES, 1},
                {TAKEOVER_SLOT_BYTES + 1, 1},
                {SLOTS * TAKEOVER_SLOT_BYTES, SLOTS}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world *world = world_open(rows[i].bytes);
        uint32_t streams[SLOTS];
        for (uint32_t k = 0; k < rows[i].slots; k++) {
            streams[k] = ws_takeover_open(&world->takeover, 1, WS_TAKEOVER_BITS_MAX);
            expect(streams[k] == k + 1, "row %u: stream %u", i, k);
        }
        expect(ws_takeover_open(&world->takeover, 1, WS_TAKEOVER_BITS_MAX) == 0, "row %u", i);
        for (uint32_t k = 0; k < rows[i].slots; k++) {
            ws_takeover_close(&world->takeover, streams[k]);
        }
        if (rows[i].slots > 0) { // the last that was given back comes first
            uint32_t again = ws_takeover_open(&world->takeover, 1, WS_TAKEOVER_BITS_MAX);
            expect(again == rows[i].slots, "row %u", i);
            expect(world->takeover.fresh_count == rows[i].slots, "row %u", i);
            ws_takeover_close(&world->takeover, again);
        }
        world_close(world);
    }
}

Test(takeover, a_slot_is_never_left) {
    for (uint8_t bits = WS_TAKEOVER_BITS_MIN; bits <= WS_TAKEOVER_BITS_MAX; bits++) {
        struct world *world = world_open(SLOTS * TAKEOVER_SLOT_BYTES);
        uint32_t first = ws_takeover_open(&world->takeover, 9, bits);
        uint32_t second = ws_takeover_open(&world->takeover, 9, bits);
        uint8_t before = 0x5a;
        world->space[2 * TAKEOVER_SLOT_BYTES] = before; // nobody's
        uint8_t data[DATA_MAX];
        noise_make(data, sizeof data, 1);
        memset(data + 100, 'x', sizeof data / 2);
        for (uint32_t i = 0; i < 20; i++) {
            cr_assert_gt(send(world, first, span_make(data, sizeof data)), 0u);
            cr_assert_gt(send(world, second, span_make(data, sizeof data)), 0u);
        }
        cr_assert_eq(world->space[2 * TAKEOVER_SLOT_BYTES], before);
        ws_takeover_close(&world->takeover, first);
        ws_takeover_close(&world->takeover, second);
        world_close(world);
    }
}

// Lengths from 1 up, texts and noise, resets in between; at every level and window.
Test(takeover, one_inflater_reads_all_messages) {
    uint8_t *data = malloc(DATA_MAX);
    for (uint8_t level = 1; level <= DEFLATE_LEVEL_MAX; level++) {
        uint8_t bits = (uint8_t)(WS_TAKEOVER_BITS_MIN + level % 4);
        struct world *world = world_open(SLOTS * TAKEOVER_SLOT_BYTES);
        uint32_t stream = ws_takeover_open(&world->takeover, level, bits);
        z_stream inflater = {0};
        cr_assert_eq(inflateInit2(&inflater, -bits), Z_OK);
        uint32_t plain_count = 0;
        for (uint32_t i = 1; i < 400; i++) {
            uint32_t length = 1 + i * i * 37 % (i % 20 == 0 ? DATA_MAX : 700);
            bool is_noise = i % 7 == 0;
            noise_make(data, length, i);
            for (uint32_t k = 0; k < length && !is_noise; k++) {
                data[k] = (uint8_t)("{\"price\": 0123456789}"[data[k] % 21]);
            }
            struct span message = span_make(data, length);
            uint32_t packed = send(world, stream, message);
            cr_assert(packed < length);
            if (packed == 0) {
                plain_count++;
            } else if (i % 50 == 0) { // not sent after all
                ws_takeover_reset(&world->takeover, stream);
            } else {
                expect_inflates(&inflater, world->room, packed, message);
            }
        }
        cr_assert(plain_count > 50 && plain_count < 150, "%u", plain_count);
        (void)inflateEnd(&inflater);
        ws_takeover_close(&world->takeover, stream);
        world_close(world);
    }
    free(data);
}

Test(takeover, the_same_again_is_a_few_bytes) {
    struct world *world = world_open(TAKEOVER_SLOT_BYTES);
    uint32_t stream = ws_takeover_open(&world->takeover, 6, WS_TAKEOVER_BITS_MAX);
    uint8_t data[300];
    noise_make(data, sizeof data, 1);
    for (uint32_t i = 0; i < sizeof data; i++) {
        data[i] = 'a' + data[i] % 16;
    }
    struct span message = span_make(data, sizeof data);
    cr_assert_gt(send(world, stream, message), 100u);
    cr_assert_lt(send(world, stream, message), 12u);
    ws_takeover_reset(&world->takeover, stream);
    cr_assert_gt(send(world, stream, message), 100u);
    ws_takeover_close(&world->takeover, stream);
    world_close(world);
}

Test(takeover, what_does_not_fit_goes_plain) {
    struct world *world = world_open(TAKEOVER_SLOT_BYTES);
    uint32_t stream = ws_takeover_open(&world->takeover, 1, WS_TAKEOVER_BITS_MAX);
    uint8_t data[1000];
    memset(data, 'a', sizeof data);
    struct span message = span_make(data, sizeof data);
    uint32_t length = send(world, stream, message);
    ws_takeover_reset(&world->takeover, stream);
    // zlib says that it is done only when a byte is left; the tail of four is part of the room.
    for (uint32_t room = 0; room < length + 10; room++) {
        struct span_mut target = {.data = world->room, .length = room};
        uint32_t got = ws_takeover_deflate(&world->takeover, stream, message, target);
        expect(got == (room < length + 5 ? 0 : length), "room of %u: %u", room, got);
        ws_takeover_reset(&world->takeover, stream);
    }
    cr_assert_eq(send(world, stream, span_make(data, 0)), 0u);
    cr_assert_eq(send(world, stream, span_make(data, 1)), 0u);
    ws_takeover_close(&world->takeover, stream);
    world_close(world);
}

Test(takeover, a_stream_that_was_given_back_is_nobodys, .signal = SIGABRT) {
    struct world *world = world_open(TAKEOVER_SLOT_BYTES);
    uint32_t stream = ws_takeover_open(&world->takeover, 1, WS_TAKEOVER_BITS_MAX);
    ws_takeover_close(&world->takeover, stream);
    send(world, stream, span_text("hello hello hello"));
}
