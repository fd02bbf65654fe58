// All bytes are filled, and no two fillings are alike.
#include "gateway/seam/entropy.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(entropy, fills_every_byte) {
    enum { LENGTH = 1000, ROUNDS = 16 }; // a byte stays zero in all rounds once in 2^118
    static uint8_t seen[LENGTH + 1];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint8_t bytes[LENGTH + 1] = {0};
        cr_assert(entropy_fill(bytes, LENGTH) == 0);
        cr_assert(bytes[LENGTH] == 0); // and no further one
        for (uint32_t i = 0; i < LENGTH; i++) {
            seen[i] |= bytes[i];
        }
    }
    cr_assert(memchr(seen, 0, LENGTH) == NULL);
}

Test(entropy, differs_each_time_and_takes_nothing_for_nothing) {
    uint8_t first[32];
    uint8_t second[32];
    cr_assert(entropy_fill(first, sizeof(first)) == 0);
    cr_assert(entropy_fill(second, sizeof(second)) == 0);
    cr_assert(memcmp(first, second, sizeof(first)) != 0);
    cr_assert(entropy_fill(NULL, 0) == 0);
}
