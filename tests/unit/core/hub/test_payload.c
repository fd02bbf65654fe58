// Payloads: the bytes on the wire at every length form, references, adoption in place.
#include "core/hub/payload.h"
#include "tests/unit/core/hub/hub_memory.h"

#include <criterion/criterion.h>
#include <signal.h>

static struct test_arena test;

static void setup(void) {
    test_arena_init(&test);
}

static void teardown(void) {
    test_arena_fini(&test);
}

TestSuite(hub_payload, .init = setup, .fini = teardown);

Test(hub_payload, golden_frames) {
    // RFC 6455 5.7: a single-frame unmasked text message, and an unmasked ping.
    uint32_t text = payload_frame(&test.arena, 1, span_text("Hello"));
    uint32_t ping = payload_frame(&test.arena, 9, span_text("Hello"));
    cr_assert(span_is(payload_wire(&test.arena, text), "\x81\x05Hello"));
    cr_assert(span_is(payload_wire(&test.arena, ping), "\x89\x05Hello"));
    cr_assert(span_is(payload_data(&test.arena, text), "Hello"));
    cr_assert_eq(payload_at(&test.arena, text)->kind, PAYLOAD_MESSAGE);
    cr_assert_eq(payload_at(&test.arena, ping)->kind, PAYLOAD_CONTROL);
    cr_assert_eq(payload_at(&test.arena, text)->opcode, 1);
    cr_assert_eq(test.arena.used_bytes, 128); // a small one fits a unit of the arena
    payload_drop(&test.arena, text);
    payload_drop(&test.arena, ping);
}

Test(hub_payload, heads_at_every_length_form) {
    static const struct {
        uint32_t data_bytes;
        const char *head;
        uint32_t head_bytes;
    } rows[] = {
        {0, "\x82\x00", 2},
        {1, "\x82\x01", 2},
        {125, "\x82\x7d", 2},
        {126, "\x82\x7e\x00\x7e", 4},
        {127, "\x82\x7e\x00\x7f", 4},
        {65535, "\x82\x7e\xff\xff", 4},
        {65536, "\x82\x7f\0\0\0\0\0\x01\0\0", 10},
        {16 << 20, "\x82\x7f\0\0\0\0\x01\0\0\0", 10},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t *data;
        uint32_t handle = payload_reserve(&test.arena, 2, rows[i].data_bytes, &data);
        memset(data, 0x5a, rows[i].data_bytes);
        struct span wire = payload_wire(&test.arena, handle);
        cr_assert_eq(wire.length, rows[i].head_bytes + rows[i].data_bytes);
        cr_assert_eq(memcmp(wire.data, rows[i].head, rows[i].head_bytes), 0, "row %u", i);
        struct span content = payload_data(&test.arena, handle);
        cr_assert(content.data == data && content.length == rows[i].data_bytes);
        cr_assert(content.data == wire.data + rows[i].head_bytes);
        uint64_t block = arena_block_bytes(&test.arena, handle);
        cr_assert(wire.data + wire.length <= arena_at(&test.arena, handle) + block);

        // The same message assembled by a reader and adopted gives the same bytes.
        uint32_t assembled =
            arena_take(&test.arena, PAYLOAD_HEADROOM + (uint64_t)rows[i].data_bytes);
        uint8_t *start = arena_at(&test.arena, assembled) + PAYLOAD_HEADROOM;
        memset(start, 0x5a, rows[i].data_bytes);
        uint32_t adopted = payload_adopt(&test.arena, assembled, 2, rows[i].data_bytes);
        cr_assert_eq(adopted, assembled);
        cr_assert(span_equal(payload_wire(&test.arena, adopted), wire));
        cr_assert(payload_data(&test.arena, adopted).data == start); // not moved
        payload_drop(&test.arena, adopted);
        payload_drop(&test.arena, handle);
    }
}

Test(hub_payload, bytes_are_copied_as_they_are) {
    uint32_t handle = payload_bytes(&test.arena, span_text("HTTP/1.1 101\r\n"));
    uint32_t empty = payload_bytes(&test.arena, span_empty());
    cr_assert(span_is(payload_wire(&test.arena, handle), "HTTP/1.1 101\r\n"));
    cr_assert(span_is(payload_data(&test.arena, handle), "HTTP/1.1 101\r\n"));
    cr_assert_eq(payload_at(&test.arena, handle)->kind, PAYLOAD_BYTES);
    cr_assert_eq(payload_wire(&test.arena, empty).length, 0);
    payload_drop(&test.arena, empty);
    payload_drop(&test.arena, handle);
}

Test(hub_payload, reserved_bytes_are_cut_to_what_was_written) {
    uint8_t *data;
    uint32_t handle = payload_reserve(&test.arena, 0, 100, &data);
    cr_assert_eq(payload_at(&test.arena, handle)->kind, PAYLOAD_BYTES);
    cr_assert_eq(payload_wire(&test.arena, handle).length, 100);
    memcpy(data, "written", 7);
    payload_trim(&test.arena, handle, 7);
    cr_assert(span_is(payload_wire(&test.arena, handle), "written"));
    cr_assert(span_is(payload_data(&test.arena, handle), "written"));
    payload_drop(&test.arena, handle);
}

Test(hub_payload, trimming_a_frame_is_our_bug, .signal = SIGABRT) {
    payload_trim(&test.arena, payload_frame(&test.arena, 1, span_text("frame")), 2);
}

Test(hub_payload, the_last_reference_gives_the_block_back) {
    uint32_t handle = payload_frame(&test.arena, 2, span_text("shared"));
    for (uint32_t i = 0; i < 1000; i++) {
        payload_hold(&test.arena, handle);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        payload_drop(&test.arena, handle);
        cr_assert_eq(test.arena.used_bytes, 64);
    }
    payload_drop(&test.arena, handle);
    cr_assert_eq(test.arena.used_bytes, 0);
}

Test(hub_payload, no_memory_is_told) {
    test.arena.limit_bytes = 0;
    uint8_t *data;
    cr_assert_eq(payload_bytes(&test.arena, span_text("x")), 0);
    cr_assert_eq(payload_frame(&test.arena, 1, span_text("x")), 0);
    cr_assert_eq(payload_reserve(&test.arena, 1, 1, &data), 0);
}

Test(hub_payload, adopting_a_block_too_small_is_our_bug, .signal = SIGABRT) {
    uint32_t block = arena_take(&test.arena, 64);
    payload_adopt(&test.arena, block, 1, 1);
}

Test(hub_payload, a_compressed_variant_goes_with_its_message) {
    for (uint32_t last = 0; last < 2; last++) { // whichever is given up last
        uint32_t message = payload_frame(&test.arena, 1, span_text("Hello"));
        uint64_t used = test.arena.used_bytes;
        uint32_t variant = payload_pack(&test.arena, message, span_text("hl"));
        cr_assert(variant != 0 && variant == payload_at(&test.arena, message)->packed);
        cr_assert(span_is(payload_wire(&test.arena, variant), "\xc1\x02hl"));
        cr_assert(span_is(payload_wire(&test.arena, message), "\x81\x05Hello"));
        cr_assert_eq(payload_at(&test.arena, variant)->kind, PAYLOAD_MESSAGE);
        cr_assert_gt(test.arena.used_bytes, used);
        payload_hold(&test.arena, variant);
        payload_drop(&test.arena, last == 0 ? variant : message);
        cr_assert_gt(test.arena.used_bytes, 0);
        payload_drop(&test.arena, last == 0 ? message : variant);
        cr_assert_eq(test.arena.used_bytes, 0);
    }
}

Test(hub_payload, a_variant_that_finds_no_memory_changes_nothing) {
    uint32_t message = payload_frame(&test.arena, 1, span_text("Hello"));
    uint64_t limit = test.arena.limit_bytes;
    test.arena.limit_bytes = test.arena.used_bytes;
    cr_assert_eq(payload_pack(&test.arena, message, span_text("hl")), 0);
    cr_assert_eq(payload_at(&test.arena, message)->packed, 0);
    test.arena.limit_bytes = limit;
    payload_pack_not(&test.arena, message);
    cr_assert_eq(payload_at(&test.arena, message)->packed, PAYLOAD_PACKED_NONE);
    payload_drop(&test.arena, message);
    cr_assert_eq(test.arena.used_bytes, 0);
}
