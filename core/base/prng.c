// xoshiro256** (Blackman and Vigna, https://prng.di.unimi.it/xoshiro256starstar.c). The state is
// the caller's.
#include "core/base/prng.h"

#include "core/base/check.h"
#include "core/base/pure.h"

static uint64_t rotate_left(uint64_t value, uint32_t bits) {
    return value << bits | value >> (64 - bits);
}

void prng_init(struct prng *prng, uint64_t seed) {
    for (uint32_t i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15;
        prng->state[i] = prng_mix(seed);
    }
}

uint64_t prng_next(struct prng *prng) {
    uint64_t *s = prng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

// Lemire, "Fast Random Integer Generation in an Interval" (2019): the high half of a product, with
// the few low halves rejected that would favour small results. A round is rejected with a
// probability below one half.
uint32_t prng_below(struct prng *prng, uint32_t bound) {
    check(bound > 0);
    uint32_t threshold = (0u - bound) % bound;
    uint64_t product;
    do {
        product = (prng_next(prng) >> 32) * bound;
    } while ((uint32_t)product < threshold);
    return (uint32_t)(product >> 32);
}
