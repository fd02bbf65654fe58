#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bench/deflate.h"
#include "bench/frame.h"

// RFC 7692 s7.2.3.1 and 7.2.3.2: the same message in a fixed block, and in a stored one.
Test(deflate, reads_the_examples_of_rfc_7692) {
    static const char *const PACKED[] = {"\xf2\x48\xcd\xc9\xc9\x07\x00",
                                         "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"};
    static const size_t SIZES[] = {7, 11};
    struct inflater *inflater = inflater_open();
    for (size_t i = 0; i < 2; i++) {
        const uint8_t *bytes = (const uint8_t *)PACKED[i];
        size_t count = SIZES[i];
        cr_assert(inflater_message(inflater, &bytes, &count), "example %zu", i);
        cr_assert_eq(count, 5);
        cr_assert_arr_eq(bytes, "Hello", 5);
    }
    inflater_close(inflater);
}

Test(deflate, refuses_what_is_no_message_and_reads_the_next) {
    static const char *const BAD[] = {
        "\xf3\x48\xcd\xc9\xc9\x07\x00", // the last block of a stream
        "\x06\x00",                     // a reserved kind of block
        "\x00\x06\x00\xf9\xff\x48",     // a stored block that goes on
        "\xf2\x48\xcd",                 // a fixed one that goes on
    };
    static const size_t SIZES[] = {7, 2, 6, 3};
    struct inflater *inflater = inflater_open();
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *bytes = (const uint8_t *)BAD[i];
        size_t count = SIZES[i];
        cr_assert(!inflater_message(inflater, &bytes, &count), "%zu", i);
        bytes = (const uint8_t *)"\xf2\x48\xcd\xc9\xc9\x07\x00";
        count = 7;
        cr_assert(inflater_message(inflater, &bytes, &count), "behind %zu", i);
    }
    inflater_close(inflater);
}

// A compressed burst is a client's frame whose message is the plain burst's.
Test(deflate, a_burst_inflates_to_its_payload) {
    static const size_t SIZES[] = {PAYLOAD_MIN, PAYLOAD_MIN + 1, 80, 1000, 70000, PAYLOAD_MAX};
    struct inflater *inflater = inflater_open();
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        struct burst_plan plan = {.opcode = OPCODE_BINARY,
                                  .size = SIZES[i],
                                  .count = 2,
                                  .is_packed = true,
                                  .before = "",
                                  .after = ""};
        struct burst burst;
        cr_assert_eq(burst_init_around(&burst, &plan), 0);
        cr_assert(SIZES[i] < 1000 || burst.frame_length < SIZES[i] / 4);
        for (uint32_t k = 0; k < 2; k++) {
            struct payload sent = {.sequence = 1000 + k, .sent_ns = 77, .sender = 5};
            struct payload seen;
            uint8_t *frame = burst.bytes + k * burst.frame_length;
            burst_write(&burst, k, &sent);
            cr_assert_eq(frame[0], 0xc2);
            size_t count = burst.frame_length - burst.header_length;
            frame_mask(frame + burst.header_length, count, frame + burst.header_length - 4);
            const uint8_t *bytes = frame + burst.header_length;
            cr_assert(inflater_message(inflater, &bytes, &count), "size %zu", SIZES[i]);
            cr_assert_eq(count, SIZES[i]);
            cr_assert(payload_read(bytes, count, &seen));
            cr_assert(seen.sequence == sent.sequence && seen.sender == 5 && seen.sent_ns == 77);
        }
        burst_fini(&burst);
    }
    inflater_close(inflater);
}

// A small message may claim to be endless: what is taken ends at twice the greatest payload.
Test(deflate, a_message_that_is_too_long_is_refused) {
    uint8_t *zeros = calloc(1, 3 * (size_t)PAYLOAD_MAX);
    struct bytes packed = {0};
    cr_assert(deflate_add(&packed, zeros, 3 * (size_t)PAYLOAD_MAX));
    struct inflater *inflater = inflater_open();
    const uint8_t *bytes = packed.data;
    size_t count = packed.count;
    cr_assert(!inflater_message(inflater, &bytes, &count));
    inflater_close(inflater);
    bytes_free(&packed);
    free(zeros);
}
