// Masking against its definition: RFC 6455 5.3 and the example of 5.7.
#include "core/base/mask.h"
#include "core/base/prng.h"

#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_BYTES = 512 };

Test(mask, rfc_example) {
    const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t data[5] = {0x7f, 0x9f, 0x4d, 0x51, 0x58};
    mask_apply(data, 5, key, 0);
    cr_assert_eq(memcmp(data, "Hello", 5), 0);
    mask_apply_scalar(data, 5, key, 0);
    cr_assert_eq(data[0], 0x7f);
    cr_assert_eq(data[4], 0x58);
}

// Every length 0 to 200 at every alignment and every phase of the key; bytes outside stay.
Test(mask, agrees_with_its_twin_everywhere) {
    struct prng prng;
    prng_init(&prng, 1);
    uint8_t source[ROOM_BYTES], one[ROOM_BYTES], two[ROOM_BYTES], three[ROOM_BYTES];
    for (uint32_t i = 0; i < ROOM_BYTES; i++) {
        source[i] = (uint8_t)prng_next(&prng);
    }
    const uint8_t key[4] = {0x12, 0x95, 0xc8, 0x7e};
    for (uint32_t start = 0; start < 33; start++) {
        for (uint32_t length = 0; length <= 200; length++) {
            for (uint32_t offset = 0; offset < 5; offset++) {
                memcpy(one, source, ROOM_BYTES);
                memcpy(two, source, ROOM_BYTES);
                memset(three, 0x77, ROOM_BYTES);
                mask_apply(one + start, length, key, offset);
                mask_apply_scalar(two + start, length, key, offset);
                expect(memcmp(one, two, ROOM_BYTES) == 0, "start %u length %u offset %u", start,
                       length, offset);
                mask_copy(three + start, source + start + offset, length, key, offset);
                memcpy(two, source, ROOM_BYTES);
                mask_apply_scalar(two + start + offset, length, key, offset);
                expect(memcmp(three + start, two + start + offset, length) == 0, "length %u",
                       length);
                expect(start == 0 || three[start - 1] == 0x77, "start %u", start);
                expect(three[start + length] == 0x77, "length %u", length);
            }
        }
    }
}

Test(mask, offsets_up_to_the_largest) {
    const uint8_t key[4] = {1, 2, 3, 4};
    for (uint32_t back = 0; back < 8; back++) {
        uint8_t one[4] = {0}, two[4] = {0};
        mask_apply(one, 4, key, UINT32_MAX - 3 - back);
        mask_apply_scalar(two, 4, key, UINT32_MAX - 3 - back);
        cr_assert_eq(memcmp(one, two, 4), 0);
    }
}

Test(mask, pieces_give_what_the_whole_gives) {
    struct prng prng;
    prng_init(&prng, 2);
    for (uint32_t round = 0; round < 2000; round++) {
        uint8_t whole[ROOM_BYTES] = {0}, pieces[ROOM_BYTES] = {0}, key[4];
        uint64_t random = prng_next(&prng);
        memcpy(key, &random, 4);
        mask_apply(whole, ROOM_BYTES, key, 0);
        uint32_t at = 0;
        while (at < ROOM_BYTES) {
            uint32_t piece = prng_below(&prng, 70);
            piece = piece < ROOM_BYTES - at ? piece : ROOM_BYTES - at;
            mask_apply(pieces + at, piece, key, at);
            at += piece;
        }
        cr_assert_eq(memcmp(whole, pieces, ROOM_BYTES), 0);
    }
}

Test(mask, twice_is_nothing) {
    const uint8_t key[4] = {9, 8, 7, 6};
    uint8_t *data = malloc(16384);
    cr_assert_not_null(data);
    memset(data, 'q', 16384);
    mask_apply(data, 16384, key, 3);
    cr_assert_neq(data[16383], 'q');
    mask_apply(data, 16384, key, 3);
    for (uint32_t i = 0; i < 16384; i++) {
        expect(data[i] == 'q', "%u", i);
    }
    free(data);
}

Test(mask, touches_nothing_behind_the_end) {
    const uint8_t key[4] = {9, 8, 7, 6};
    for (uint32_t length = 1; length <= 200; length++) {
        uint8_t *data = calloc(1, length);
        cr_assert_not_null(data);
        mask_apply(data, length, key, 0);
        cr_assert_eq(data[length - 1], key[(length - 1) % 4]);
        free(data);
    }
}
