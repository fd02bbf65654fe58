// XOR with a repeating 4-byte key, in the widest steps the machine has. The steps below 32 bytes
// are taken without a dispatch, since most messages are short.
#include "core/base/mask.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/base/pure.h"

void mask_apply_scalar(uint8_t *data, uint32_t length, const uint8_t key[4], uint32_t offset) {
    for (uint32_t i = 0; i < length; i++) {
        data[i] ^= key[(offset + i) % 4];
    }
}

// The key as it stands at `offset`, in memory order, twice.
static inline uint64_t mask_pattern(const uint8_t key[4], uint32_t offset) {
    uint32_t word;
    memcpy(&word, key, 4);
    uint32_t bits = offset % 4 * 8;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = word >> bits | word << (-bits & 31);
#else
    word = word << bits | word >> (-bits & 31);
#endif
    return (uint64_t)word << 32 | word;
}

static inline void mask_word(uint8_t *target, const uint8_t *source, uint64_t pattern) {
    uint64_t word;
    memcpy(&word, source, 8);
    word ^= pattern;
    memcpy(target, &word, 8);
}

// Fewer than 32 bytes. The pattern stays in phase, since all steps but the last are multiples of 4.
static inline void mask_tail(uint8_t *target, const uint8_t *source, uint32_t length,
                             uint64_t pattern) {
    if ((length & 16) != 0) {
        mask_word(target, source, pattern);
        mask_word(target + 8, source + 8, pattern);
        target += 16;
        source += 16;
    }
    if ((length & 8) != 0) {
        mask_word(target, source, pattern);
        target += 8;
        source += 8;
    }
    if ((length & 4) != 0) {
        uint32_t word;
        memcpy(&word, source, 4);
        word ^= (uint32_t)pattern;
        memcpy(target, &word, 4);
        target += 4;
        source += 4;
    }
    uint8_t bytes[8];
    memcpy(bytes, &pattern, 8);
    for (uint32_t i = 0; i < (length & 3); i++) {
        target[i] = source[i] ^ bytes[i];
    }
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) static uint32_t
mask_blocks_avx2(uint8_t *target, const uint8_t *source, uint32_t length, uint64_t pattern) {
    __m256i mask = _mm256_set1_epi64x((long long)pattern);
    uint32_t at = 0;
    for (; length - at >= 128; at += 128) {
        const __m256i *from = (const __m256i *)(const void *)(source + at);
        __m256i *to = (__m256i *)(void *)(target + at);
        __m256i a = _mm256_xor_si256(_mm256_loadu_si256(from), mask);
        __m256i b = _mm256_xor_si256(_mm256_loadu_si256(from + 1), mask);
        __m256i c = _mm256_xor_si256(_mm256_loadu_si256(from + 2), mask);
        __m256i d = _mm256_xor_si256(_mm256_loadu_si256(from + 3), mask);
        _mm256_storeu_si256(to, a);
        _mm256_storeu_si256(to + 1, b);
        _mm256_storeu_si256(to + 2, c);
        _mm256_storeu_si256(to + 3, d);
    }
    for (; length - at >= 32; at += 32) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(source + at));
        _mm256_storeu_si256((__m256i *)(void *)(target + at), _mm256_xor_si256(a, mask));
    }
    return at;
}

// SSE2 is part of x86-64.
static uint32_t mask_blocks_sse2(uint8_t *target, const uint8_t *source, uint32_t length,
                                 uint64_t pattern) {
    __m128i mask = _mm_set1_epi64x((long long)pattern);
    uint32_t at = 0;
    for (; length - at >= 32; at += 32) {
        const __m128i *from = (const __m128i *)(const void *)(source + at);
        __m128i *to = (__m128i *)(void *)(target + at);
        __m128i a = _mm_xor_si128(_mm_loadu_si128(from), mask);
        __m128i b = _mm_xor_si128(_mm_loadu_si128(from + 1), mask);
        _mm_storeu_si128(to, a);
        _mm_storeu_si128(to + 1, b);
    }
    return at;
}

static inline uint32_t mask_blocks(uint8_t *target, const uint8_t *source, uint32_t length,
                                   uint64_t pattern) {
    return __builtin_cpu_supports("avx2") ? mask_blocks_avx2(target, source, length, pattern)
                                          : mask_blocks_sse2(target, source, length, pattern);
}

#else

static inline uint32_t mask_blocks(uint8_t *target, const uint8_t *source, uint32_t length,
                                   uint64_t pattern) {
    uint32_t at = 0;
    for (; length - at >= 32; at += 32) {
        for (uint32_t i = 0; i < 32; i += 8) {
            mask_word(target + at + i, source + at + i, pattern);
        }
    }
    return at;
}

#endif

static inline void mask_run(uint8_t *target, const uint8_t *source, uint32_t length,
                            const uint8_t key[4], uint32_t offset) {
    uint64_t pattern = mask_pattern(key, offset);
    uint32_t done = length >= 32 ? mask_blocks(target, source, length, pattern) : 0;
    if (done < length) {
        mask_tail(target + done, source + done, length - done, pattern);
    }
}

void mask_apply(uint8_t *data, uint32_t length, const uint8_t key[4], uint32_t offset) {
    mask_run(data, data, length, key, offset);
}

void mask_copy(uint8_t *target, const uint8_t *source, uint32_t length, const uint8_t key[4],
               uint32_t offset) {
    mask_run(target, source, length, key, offset);
}
