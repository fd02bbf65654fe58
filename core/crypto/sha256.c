// One block after the other; the state is wiped, since it may be a key's.
#include "core/crypto/sha256.h"

#include "core/crypto/secret.h"

#include "core/base/pure.h"

struct sha256 {
    uint32_t state[8];
    uint64_t byte_count;
    uint8_t block[SHA256_BLOCK_BYTES]; // byte_count % 64 of them are in use
};

// The first 32 bits of the fractions of the cube roots of the first 64 primes (4.2.2).
static const uint32_t round_numbers[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t word, uint32_t bits) {
    return word >> bits | word << (32 - bits);
}

// The message schedule (6.2.2, step 1).
static void schedule_make(const uint8_t *block, uint32_t words[64]) {
    for (uint32_t i = 0; i < 16; i++) {
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (uint32_t i = 16; i < 64; i++) {
        uint32_t early = words[i - 15];
        uint32_t late = words[i - 2];
        words[i] = (rotate(late, 17) ^ rotate(late, 19) ^ late >> 10) + words[i - 7] +
                   (rotate(early, 7) ^ rotate(early, 18) ^ early >> 3) + words[i - 16];
    }
}

static void block_take(uint32_t state[8], const uint8_t *block) {
    uint32_t words[64];
    uint32_t v[8]; // a to h
    schedule_make(block, words);
    memcpy(v, state, sizeof v);
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        uint32_t first = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) + choice +
                         round_numbers[i] + words[i];
        uint32_t second = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) + majority;
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += first;
        v[0] = first + second;
    }
    for (uint32_t i = 0; i < 8; i++) {
        state[i] += v[i];
    }
    secret_wipe(words, sizeof words);
    secret_wipe(v, sizeof v);
}

static void sha256_begin(struct sha256 *hash) {
    *hash = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                      0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

static void sha256_add(struct sha256 *hash, struct span input) {
    uint32_t used = (uint32_t)(hash->byte_count % SHA256_BLOCK_BYTES);
    hash->byte_count += input.length;
    while (input.length > 0) { // each pass takes a byte or more
        uint32_t room = SHA256_BLOCK_BYTES - used;
        uint32_t taken = input.length < room ? input.length : room;
        memcpy(hash->block + used, input.data, taken);
        input = span_from(input, taken);
        used += taken;
        if (used == SHA256_BLOCK_BYTES) {
            block_take(hash->state, hash->block);
            used = 0;
        }
    }
}

// Padding (5.1.1): a one bit, zeros, and the length in bits.
static void sha256_end(struct sha256 *hash, uint8_t digest[SHA256_BYTES]) {
    uint64_t bit_count = hash->byte_count * 8;
    uint8_t padding[SHA256_BLOCK_BYTES + 8] = {0x80};
    uint32_t used = (uint32_t)(hash->byte_count % SHA256_BLOCK_BYTES);
    uint32_t length = used < 56 ? 56 - used : 120 - used;
    for (uint32_t i = 0; i < 8; i++) {
        padding[length + i] = (uint8_t)(bit_count >> (56 - 8 * i));
    }
    sha256_add(hash, span_make(padding, length + 8));
    for (uint32_t i = 0; i < SHA256_BYTES; i++) {
        digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
    }
    secret_wipe(hash, sizeof *hash);
}

void sha256_digest(struct span input, uint8_t digest[SHA256_BYTES]) {
    struct sha256 hash;
    sha256_begin(&hash);
    sha256_add(&hash, input);
    sha256_end(&hash, digest);
}

void sha256_hmac(struct span key, struct span input, uint8_t digest[SHA256_BYTES]) {
    uint8_t pad[SHA256_BLOCK_BYTES] = {0};
    if (key.length > sizeof pad) {
        sha256_digest(key, pad);
    } else if (key.length > 0) {
        memcpy(pad, key.data, key.length);
    }
    for (uint32_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= 0x36;
    }
    struct sha256 hash;
    sha256_begin(&hash);
    sha256_add(&hash, span_make(pad, sizeof pad));
    sha256_add(&hash, input);
    sha256_end(&hash, digest);
    for (uint32_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    sha256_begin(&hash);
    sha256_add(&hash, span_make(pad, sizeof pad));
    sha256_add(&hash, span_make(digest, SHA256_BYTES));
    sha256_end(&hash, digest);
    secret_wipe(pad, sizeof pad);
}
