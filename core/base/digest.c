// SHA-1 (FIPS 180-4), SipHash-2-4 (Aumasson and Bernstein) and strict base64 (RFC 4648 section 4).
// Pure functions, any thread.
#include "core/base/digest.h"

#include "core/base/check.h"
#include "core/base/pure.h"

enum { SHA1_BLOCK_BYTES = 64 };

static uint32_t rotate_left_32(uint32_t value, uint32_t bits) {
    return value << bits | value >> (32 - bits);
}

static uint64_t rotate_left_64(uint64_t value, uint32_t bits) {
    return value << bits | value >> (64 - bits);
}

static uint32_t load_big_32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void store_big_32(uint8_t *bytes, uint32_t value) {
    for (uint32_t i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

// One round over a, b, c, d, e = v[0] to v[4].
static inline void sha1_round(uint32_t v[5], uint32_t mixed, uint32_t word) {
    uint32_t next = rotate_left_32(v[0], 5) + mixed + v[4] + word;
    v[4] = v[3];
    v[3] = v[2];
    v[2] = rotate_left_32(v[1], 30);
    v[1] = v[0];
    v[0] = next;
}

static inline uint32_t sha1_choose(const uint32_t v[5]) {
    return v[3] ^ (v[1] & (v[2] ^ v[3]));
}

static inline uint32_t sha1_parity(const uint32_t v[5]) {
    return v[1] ^ v[2] ^ v[3];
}

static inline uint32_t sha1_majority(const uint32_t v[5]) {
    return (v[1] & v[2]) | (v[3] & (v[1] | v[2]));
}

static void sha1_block(uint32_t state[5], const uint8_t *block) {
    uint32_t words[80];
    for (uint32_t i = 0; i < 16; i++) {
        words[i] = load_big_32(block + (size_t)i * 4);
    }
    for (uint32_t i = 16; i < 80; i++) {
        words[i] = rotate_left_32(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    uint32_t v[5] = {state[0], state[1], state[2], state[3], state[4]};
    for (uint32_t i = 0; i < 20; i++) {
        sha1_round(v, sha1_choose(v), words[i] + 0x5a827999);
    }
    for (uint32_t i = 20; i < 40; i++) {
        sha1_round(v, sha1_parity(v), words[i] + 0x6ed9eba1);
    }
    for (uint32_t i = 40; i < 60; i++) {
        sha1_round(v, sha1_majority(v), words[i] + 0x8f1bbcdc);
    }
    for (uint32_t i = 60; i < 80; i++) {
        sha1_round(v, sha1_parity(v), words[i] + 0xca62c1d6);
    }
    for (uint32_t i = 0; i < 5; i++) {
        state[i] += v[i];
    }
}

void sha1_digest(struct span input, uint8_t digest[SHA1_BYTES]) {
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint32_t whole = input.length / SHA1_BLOCK_BYTES * SHA1_BLOCK_BYTES;
    for (uint32_t at = 0; at < whole; at += SHA1_BLOCK_BYTES) {
        sha1_block(state, input.data + at);
    }
    // The rest, one bit, zeros, and the length in bits: one block, or two when the length does not
    // fit.
    uint8_t last[2 * SHA1_BLOCK_BYTES] = {0};
    uint32_t rest = input.length - whole;
    if (rest > 0) {
        memcpy(last, input.data + whole, rest);
    }
    last[rest] = 0x80;
    uint32_t total = rest < SHA1_BLOCK_BYTES - 8 ? SHA1_BLOCK_BYTES : 2 * SHA1_BLOCK_BYTES;
    uint64_t bits = (uint64_t)input.length * 8;
    store_big_32(last + total - 8, (uint32_t)(bits >> 32));
    store_big_32(last + total - 4, (uint32_t)bits);
    for (uint32_t at = 0; at < total; at += SHA1_BLOCK_BYTES) {
        sha1_block(state, last + at);
    }
    for (uint32_t i = 0; i < 5; i++) {
        store_big_32(digest + (size_t)i * 4, state[i]);
    }
}

static uint64_t load_little_64(const uint8_t *bytes, uint32_t length) {
    uint64_t word = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (length == 8) {
        memcpy(&word, bytes, 8);
        return word;
    }
#endif
    for (uint32_t i = 0; i < length; i++) {
        word |= (uint64_t)bytes[i] << (8 * i);
    }
    return word;
}

static inline void siphash_rounds(uint64_t v[4], uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        v[0] += v[1];
        v[1] = rotate_left_64(v[1], 13) ^ v[0];
        v[0] = rotate_left_64(v[0], 32);
        v[2] += v[3];
        v[3] = rotate_left_64(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate_left_64(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate_left_64(v[1], 17) ^ v[2];
        v[2] = rotate_left_64(v[2], 32);
    }
}

uint64_t siphash(const uint64_t key[2], struct span input) {
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                     key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    uint32_t whole = input.length & ~7u;
    for (uint32_t at = 0; at < whole; at += 8) {
        uint64_t word = load_little_64(input.data + at, 8);
        v[3] ^= word;
        siphash_rounds(v, 2);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)input.length << 56;
    if (input.length > whole) {
        last |= load_little_64(input.data + whole, input.length - whole);
    }
    v[3] ^= last;
    siphash_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    siphash_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static const char base64_digits[65] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

uint32_t base64_encode(struct span input, struct span_mut target) {
    check(input.length <= UINT32_MAX / 4 * 3 - 3);
    uint32_t encoded = base64_encoded_bytes(input.length);
    check(target.length >= encoded);
    uint8_t *out = target.data;
    for (uint32_t at = 0; at < input.length; at += 3) {
        uint32_t left = input.length - at;
        uint32_t group = (uint32_t)input.data[at] << 16;
        group |= left > 1 ? (uint32_t)input.data[at + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)input.data[at + 2] : 0;
        out[0] = (uint8_t)base64_digits[group >> 18];
        out[1] = (uint8_t)base64_digits[group >> 12 & 63];
        out[2] = left > 1 ? (uint8_t)base64_digits[group >> 6 & 63] : '=';
        out[3] = left > 2 ? (uint8_t)base64_digits[group & 63] : '=';
        out += 4;
    }
    return encoded;
}

// The value of a base64 digit, or 64 for any other byte.
static uint32_t base64_value(uint8_t digit) {
    if (digit >= 'A' && digit <= 'Z') {
        return (uint32_t)digit - 'A';
    }
    if (digit >= 'a' && digit <= 'z') {
        return (uint32_t)digit - 'a' + 26;
    }
    if (digit >= '0' && digit <= '9') {
        return (uint32_t)digit - '0' + 52;
    }
    return digit == '+' ? 62 : digit == '/' ? 63 : 64;
}

// `digits` of one group, two to four of them. False: a byte that is no digit, or unused bits that
// are not zero (one value would have several spellings).
static bool base64_group(const uint8_t *digits, uint32_t count, bool is_url, uint8_t *out) {
    uint32_t group = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t digit = digits[i];
        if (is_url) { // RFC 4648 section 5: - and _ instead of + and /
            bool is_other = digit == '+' || digit == '/';
            digit = digit == '-' ? '+' : digit == '_' ? '/' : is_other ? 0 : digit;
        }
        uint32_t value = base64_value(digit);
        if (value == 64) {
            return false;
        }
        group |= value << (18 - 6 * i);
    }
    uint32_t bytes = count - 1;
    if ((group & (0xffffffu >> (8 * bytes))) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(group >> (16 - 8 * i));
    }
    return true;
}

// Without its padding.
static int64_t base64_digits_decode(struct span digits, bool is_url, struct span_mut target) {
    uint32_t rest = digits.length % 4;
    if (rest == 1) {
        return -1;
    }
    uint32_t decoded = digits.length / 4 * 3 + (rest == 0 ? 0 : rest - 1);
    if (decoded > target.length) {
        return -1;
    }
    uint8_t *out = target.data;
    for (uint32_t at = 0; at < digits.length; at += 4) {
        uint32_t left = digits.length - at;
        if (!base64_group(digits.data + at, left < 4 ? left : 4, is_url, out)) {
            return -1;
        }
        out += 3;
    }
    return decoded;
}

int64_t base64_decode(struct span input, struct span_mut target) {
    if (input.length % 4 != 0) {
        return -1;
    }
    uint32_t length = input.length;
    for (uint32_t i = 0; i < 2 && length > 0 && input.data[length - 1] == '='; i++) {
        length--;
    }
    return base64_digits_decode(span_first(input, length), false, target);
}

int64_t base64url_decode(struct span input, struct span_mut target) {
    return base64_digits_decode(input, true, target);
}
