#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bench/frame.h"

static enum frame_result read_all(const char *bytes, size_t count) {
    struct frame frame;
    return frame_read((const uint8_t *)bytes, count, false, &frame);
}

Test(frame, reads_the_examples_of_rfc_6455_s5_7) {
    struct frame frame;
    cr_assert_eq(frame_read((const uint8_t *)"\x81\x05Hello", 7, false, &frame), FRAME_DONE);
    cr_assert_eq(frame.opcode, OPCODE_TEXT);
    cr_assert(frame.is_final);
    cr_assert_eq(frame.length, 7);
    cr_assert_arr_eq(frame.payload, "Hello", 5);
    cr_assert_eq(frame_read((const uint8_t *)"\x01\x03Hel\x80\x02lo", 9, false, &frame),
                 FRAME_DONE);
    cr_assert(!frame.is_final);
    cr_assert_eq(frame.length, 5);
}

Test(frame, refuses_what_a_server_may_not_send) {
    cr_assert_eq(read_all("\x81\x85", 2), FRAME_BAD);         // masked
    cr_assert_eq(read_all("\xc1\x00", 2), FRAME_BAD);         // RSV1
    cr_assert_eq(read_all("\x83\x00", 2), FRAME_BAD);         // reserved opcode
    cr_assert_eq(read_all("\x8b\x00", 2), FRAME_BAD);         // reserved control opcode
    cr_assert_eq(read_all("\x09\x00", 2), FRAME_BAD);         // control frame in pieces
    cr_assert_eq(read_all("\x89\x7e\x00\x7e", 4), FRAME_BAD); // control frame of 126 bytes
    cr_assert_eq(read_all("\x82\x7e\x00\x7d", 4), FRAME_BAD); // 125 in the long form
    cr_assert_eq(read_all("\x82\x7f\0\0\0\0\0\0\xff\xff", 10), FRAME_BAD); // 65535 in the longest
}

Test(frame, rsv1_is_for_the_first_frame_of_a_compressed_message) {
    struct frame frame;
    cr_assert_eq(frame_read((const uint8_t *)"\xc1\x00", 2, true, &frame), FRAME_DONE);
    cr_assert(frame.is_packed);
    cr_assert_eq(frame_read((const uint8_t *)"\x42\x00", 2, true, &frame), FRAME_DONE);
    cr_assert(frame.is_packed && !frame.is_final);
    cr_assert_eq(frame_read((const uint8_t *)"\x81\x00", 2, true, &frame), FRAME_DONE);
    cr_assert(!frame.is_packed);
    cr_assert_eq(frame_read((const uint8_t *)"\xc0\x00", 2, true, &frame), FRAME_BAD);
    cr_assert_eq(frame_read((const uint8_t *)"\xc9\x00", 2, true, &frame), FRAME_BAD);
    cr_assert_eq(frame_read((const uint8_t *)"\xa1\x00", 2, true, &frame), FRAME_BAD);
}

static size_t server_frame(uint8_t *target, size_t size) {
    static const uint8_t mask[4];
    size_t header = frame_header_write(target, OPCODE_BINARY, size, mask) - 4;
    target[1] &= 0x7f;
    for (size_t i = 0; i < size; i++) {
        target[header + i] = (uint8_t)i;
    }
    return header + size;
}

Test(frame, every_split_point_needs_more) {
    static const size_t SIZES[] = {0, 1, 125, 126, 127, 65535, 65536, 70000};
    uint8_t *bytes = malloc(80000);
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        size_t count = server_frame(bytes, SIZES[i]);
        struct frame frame;
        cr_assert_eq(count, frame_header_length(SIZES[i]) + SIZES[i]);
        for (size_t k = 0; k < count; k++) {
            cr_assert_eq(frame_read(bytes, k, false, &frame), FRAME_MORE, "size %zu, %zu bytes",
                         SIZES[i], k);
            cr_assert(frame.length == 0 || frame.length == count);
        }
        cr_assert_eq(frame_read(bytes, count, false, &frame), FRAME_DONE);
        cr_assert_eq(frame.length, count);
        cr_assert_eq(frame.payload_length, SIZES[i]);
        cr_assert_eq(frame.payload, bytes + count - SIZES[i]);
    }
    free(bytes);
}

// What a server would see and answer: unmasks frame `at` of a burst.
static uint8_t *unmask(const struct burst *burst, uint32_t at, size_t size) {
    const uint8_t *frame = burst->bytes + at * burst->frame_length;
    uint8_t *payload = malloc(size);
    memcpy(payload, frame + burst->header_length, size);
    frame_mask(payload, size, frame + burst->header_length - 4);
    return payload;
}

Test(frame, a_burst_carries_what_payload_read_finds) {
    static const size_t SIZES[] = {16, 17, 20, 79, 80, 81, 125, 126, 512, 65535, 65536};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        struct burst burst;
        struct payload read;
        cr_assert_eq(burst_init(&burst, OPCODE_TEXT, SIZES[i], 3), 0);
        for (uint32_t round = 0; round < 4; round++) {
            struct payload payload = {.sequence = PAYLOAD_SEQUENCE_MASK - round,
                                      .sent_ns =
                                          0x123456789abcULL * (round + 1) & PAYLOAD_TIME_MASK,
                                      .sender = PAYLOAD_SENDER_MAX - round};
            burst_write(&burst, round % 3, &payload);
            uint8_t *bytes = unmask(&burst, round % 3, SIZES[i]);
            cr_assert(payload_read(bytes, SIZES[i], &read));
            cr_assert_eq(read.sequence, payload.sequence);
            cr_assert_eq(read.sent_ns, payload.sent_ns);
            cr_assert_eq(read.sender, payload.sender);
            for (size_t k = 0; k < SIZES[i]; k++) {
                cr_assert(bytes[k] >= 32 && bytes[k] < 127, "not ASCII");
            }
            free(bytes);
        }
        burst_fini(&burst);
    }
    struct burst burst;
    cr_assert_neq(burst_init(&burst, OPCODE_TEXT, PAYLOAD_MIN - 1, 1), 0);
    cr_assert_neq(burst_init(&burst, OPCODE_TEXT, PAYLOAD_MAX + 1, 1), 0);
}

Test(frame, every_damaged_byte_is_seen) {
    struct burst burst;
    struct payload read;
    struct payload payload = {.sequence = 77, .sent_ns = 1234567, .sender = 9};
    cr_assert_eq(burst_init(&burst, OPCODE_BINARY, 300, 1), 0);
    burst_write(&burst, 0, &payload);
    uint8_t *bytes = unmask(&burst, 0, 300);
    for (size_t i = 0; i < 300; i++) {
        bytes[i] ^= 1;
        bool is_read = payload_read(bytes, 300, &read);
        cr_assert(!is_read || read.sequence != 77 || read.sent_ns != 1234567 || read.sender != 9,
                  "byte %zu", i);
        bytes[i] ^= 1;
    }
    cr_assert(payload_read(bytes, 300, &read));
    free(bytes);
    burst_fini(&burst);
}

Test(frame, ages_survive_the_48_bit_wrap) {
    cr_assert_eq(payload_age(5, 12), 7);
    cr_assert_eq(payload_age(PAYLOAD_TIME_MASK - 1, PAYLOAD_TIME_MASK + 4), 5);
}
