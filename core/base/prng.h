// xoshiro256** by Blackman and Vigna: for jitter, sampling and the simulator. Never for keys, masks
// or ids that a peer must not guess: those come from the entropy seam.
#pragma once
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

// SplitMix64's finisher: neighbouring numbers become unrelated ones, each another.
static inline uint64_t prng_mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void prng_init(struct prng *prng, uint64_t seed); // SplitMix64 expands the seed
uint64_t prng_next(struct prng *prng);
uint32_t prng_below(struct prng *prng,
                    uint32_t bound); // uniform in [0, bound), bound > 0, without bias
