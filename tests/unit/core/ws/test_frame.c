// Frame heads: golden bytes of RFC 6455 5.7, every value of the first two bytes, every length form
// at its edges, every prefix.
#include "core/ws/frame.h"

#include <criterion/criterion.h>
#include <signal.h>

static const struct ws_head_rules server_rules = {.expects_mask = true};
static const struct ws_head_rules client_rules = {.expects_mask = false};

static const char *fault_of(const uint8_t *bytes, uint32_t length, struct ws_head_rules rules) {
    struct ws_frame_head head;
    const struct fault *fault = NULL;
    enum ws_head_result result =
        ws_frame_head_decode(span_make(bytes, length), rules, &head, &fault);
    return result == WS_HEAD_FAULT ? fault->name : result == WS_HEAD_DONE ? "done" : "more";
}

Test(ws_frame, golden_unmasked_hello) {
    static const uint8_t bytes[] = {0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f};
    struct ws_frame_head head;
    const struct fault *fault;
    cr_assert_eq(ws_frame_head_decode(span_make(bytes, sizeof bytes), client_rules, &head, &fault),
                 WS_HEAD_DONE);
    cr_assert(head.opcode == WS_TEXT && head.is_final && !head.is_masked && head.reserved == 0);
    cr_assert(head.payload_bytes == 5 && head.head_bytes == 2);
    cr_assert_eq(memcmp(head.mask_key, "\0\0\0\0", 4), 0);
}

Test(ws_frame, golden_masked_hello) {
    static const uint8_t bytes[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d,
                                    0x7f, 0x9f, 0x4d, 0x51, 0x58};
    struct ws_frame_head head;
    const struct fault *fault;
    cr_assert_eq(ws_frame_head_decode(span_make(bytes, sizeof bytes), server_rules, &head, &fault),
                 WS_HEAD_DONE);
    cr_assert(head.opcode == WS_TEXT && head.is_final && head.is_masked);
    cr_assert(head.payload_bytes == 5 && head.head_bytes == 6);
    cr_assert_eq(memcmp(head.mask_key, bytes + 2, 4), 0);
}

Test(ws_frame, golden_lengths) {
    static const uint8_t medium[] = {0x82, 0x7e, 0x01, 0x00};
    static const uint8_t large[] = {0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0};
    struct ws_frame_head head;
    const struct fault *fault;
    cr_assert_eq(
        ws_frame_head_decode(span_make(medium, sizeof medium), client_rules, &head, &fault),
        WS_HEAD_DONE);
    cr_assert(head.payload_bytes == 256 && head.head_bytes == 4 && head.opcode == WS_BINARY);
    cr_assert_eq(ws_frame_head_decode(span_make(large, sizeof large), client_rules, &head, &fault),
                 WS_HEAD_DONE);
    cr_assert(head.payload_bytes == 65536 && head.head_bytes == 10);
    uint8_t target[FRAME_HEAD_BYTES_MAX];
    cr_assert_eq(ws_frame_head_encode(target, WS_BINARY, 0, 256), 4);
    cr_assert_eq(memcmp(target, medium, 4), 0);
    cr_assert_eq(ws_frame_head_encode(target, WS_BINARY, 0, 65536), 10);
    cr_assert_eq(memcmp(target, large, 10), 0);
}

// The definition, in other words than the decoder's.
static const char *first_expected(uint8_t first, bool allows_rsv1) {
    uint8_t opcode = first & 15, reserved = first & 0x70;
    bool is_fine =
        reserved == 0 || (allows_rsv1 && reserved == 0x40 && (opcode == 1 || opcode == 2));
    if (!is_fine) {
        return "reserved_bit";
    }
    if ((opcode >= 3 && opcode <= 7) || opcode >= 11) {
        return "opcode_reserved";
    }
    return opcode >= 8 && first < 0x80 ? "control_fragmented" : "more";
}

Test(ws_frame, every_first_byte) {
    for (uint32_t allows = 0; allows < 2; allows++) {
        struct ws_head_rules rules = {.expects_mask = true, .allows_rsv1 = allows == 1};
        for (uint32_t first = 0; first < 256; first++) {
            uint8_t byte = (uint8_t)first;
            cr_assert_str_eq(fault_of(&byte, 1, rules), first_expected(byte, allows == 1));
        }
    }
}

Test(ws_frame, every_second_byte) {
    for (uint32_t masks = 0; masks < 2; masks++) {
        struct ws_head_rules rules = {.expects_mask = masks == 1};
        for (uint32_t second = 0; second < 256; second++) {
            bool is_wrong_side = (second >= 128) != (masks == 1);
            uint8_t data[2] = {0x82, (uint8_t)second};
            uint8_t control[2] = {0x89, (uint8_t)second};
            bool is_done = masks == 0 && second < 126;
            const char *otherwise = is_done ? "done" : "more";
            cr_assert_str_eq(fault_of(data, 2, rules),
                             is_wrong_side ? "frame_unmasked" : otherwise);
            const char *long_one = (second & 127) > 125 ? "control_too_long" : otherwise;
            cr_assert_str_eq(fault_of(control, 2, rules),
                             is_wrong_side ? "frame_unmasked" : long_one);
        }
    }
}

Test(ws_frame, every_16_bit_length) {
    for (uint32_t length = 0; length <= 0xffff; length++) {
        uint8_t bytes[4] = {0x82, 126, (uint8_t)(length >> 8), (uint8_t)length};
        cr_assert_str_eq(fault_of(bytes, 3, client_rules), "more");
        cr_assert_str_eq(fault_of(bytes, 4, client_rules),
                         length < 126 ? "length_not_minimal" : "done");
    }
}

Test(ws_frame, long_lengths_fail_at_the_first_byte_that_decides) {
    static const uint8_t short_one[10] = {0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t top[10] = {0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t least[10] = {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0};
    static const uint8_t most[10] = {0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255};
    for (uint32_t n = 2; n <= 10; n++) {
        cr_assert_str_eq(fault_of(short_one, n, client_rules),
                         n < 8 ? "more" : "length_not_minimal");
        cr_assert_str_eq(fault_of(top, n, client_rules), n < 3 ? "more" : "length_top_bit");
        cr_assert_str_eq(fault_of(least, n, client_rules), n < 10 ? "more" : "done");
        cr_assert_str_eq(fault_of(most, n, client_rules), n < 10 ? "more" : "done");
    }
    struct ws_frame_head head;
    const struct fault *fault;
    ws_frame_head_decode(span_make(most, 10), client_rules, &head, &fault);
    cr_assert_eq(head.payload_bytes, UINT64_C(0x7fffffffffffffff));
}

Test(ws_frame, payload_floor_is_the_least_that_can_follow) {
    static const uint8_t bytes[10] = {0x82, 0xff, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78};
    static const uint64_t floors[11] = {0,          0,          0x10000,   0x10000,
                                        0x10000,    0x10000,    0x10000,   0x12000000,
                                        0x12340000, 0x12345600, 0x12345678};
    for (uint32_t n = 0; n <= 10; n++) {
        cr_assert_eq(ws_frame_payload_floor(span_make(bytes, n)), floors[n], "at %u", n);
    }
    static const uint8_t medium[4] = {0x82, 0x7e, 0x03, 0x04};
    cr_assert_eq(ws_frame_payload_floor(span_make(medium, 2)), 126);
    cr_assert_eq(ws_frame_payload_floor(span_make(medium, 3)), 0x300);
    cr_assert_eq(ws_frame_payload_floor(span_make(medium, 4)), 0x304);
    static const uint8_t small[2] = {0x82, 0x85};
    cr_assert_eq(ws_frame_payload_floor(span_make(small, 2)), 5);
}

Test(ws_frame, round_trip_at_every_edge_and_every_prefix) {
    static const uint64_t lengths[] = {
        0,   1,     124,   125,   126,   127,     128,        255,
        256, 65534, 65535, 65536, 65537, 1 << 20, UINT32_MAX, UINT64_C(0x7fffffffffffffff)};
    static const uint8_t opcodes[] = {WS_CONTINUATION, WS_TEXT, WS_BINARY};
    static const uint8_t key[4] = {1, 2, 3, 4};
    for (uint32_t i = 0; i < sizeof lengths / sizeof lengths[0] * 6; i++) {
        uint64_t length = lengths[i / 6];
        uint8_t opcode = opcodes[i % 3];
        bool is_masked = i % 2 == 1;
        uint8_t target[FRAME_HEAD_BYTES_MAX];
        uint32_t bytes = is_masked ? ws_frame_head_encode_masked(target, opcode, 0, length, key)
                                   : ws_frame_head_encode(target, opcode, 0, length);
        cr_assert_eq(bytes, ws_frame_head_bytes(length) + (is_masked ? 4 : 0));
        struct ws_head_rules rules = {.expects_mask = is_masked};
        for (uint32_t n = 0; n < bytes; n++) {
            cr_assert_str_eq(fault_of(target, n, rules), "more");
        }
        struct ws_frame_head head;
        const struct fault *fault;
        cr_assert_eq(ws_frame_head_decode(span_make(target, bytes), rules, &head, &fault),
                     WS_HEAD_DONE);
        cr_assert(head.payload_bytes == length && head.opcode == opcode && head.is_final);
        cr_assert(head.head_bytes == bytes && head.is_masked == is_masked);
        cr_assert_eq(memcmp(head.mask_key, is_masked ? key : (const uint8_t *)"\0\0\0\0", 4), 0);
    }
}

Test(ws_frame, reserved_bits_are_written_and_read) {
    struct ws_head_rules rules = {.allows_rsv1 = true};
    uint8_t target[FRAME_HEAD_BYTES_MAX];
    struct ws_frame_head head;
    const struct fault *fault;
    uint32_t bytes = ws_frame_head_encode(target, WS_TEXT, 4, 10);
    cr_assert_eq(target[0], 0xc1);
    cr_assert_eq(ws_frame_head_decode(span_make(target, bytes), rules, &head, &fault),
                 WS_HEAD_DONE);
    cr_assert_eq(head.reserved, 4);
}

Test(ws_frame, a_length_of_64_bits_is_our_bug, .signal = SIGABRT) {
    uint8_t target[FRAME_HEAD_BYTES_MAX];
    ws_frame_head_encode(target, WS_BINARY, 0, UINT64_C(1) << 63);
}
