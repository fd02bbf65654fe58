// UTF-8 validation by vectors (Keiser and Lemire, "Validating UTF-8 In Less Than One Instruction
// Per Byte", 2021): each byte and the one before it are looked up by three of their four nibbles;
// a bit that is set in all three results names a kind of error. Bytes that must be the third or
// fourth of a character are found from the second and third before them and cancel TWO_TAILS.
#include "core/base/utf8_blocks.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "core/base/pure.h"

// Kinds of error, each one bit.
enum {
    TOO_SHORT = 1 << 0,   // a lead, then no tail
    TOO_LONG = 1 << 1,    // ASCII, then a tail
    OVERLONG_3 = 1 << 2,  // E0, then 80..9F
    TOO_LARGE = 1 << 3,   // F4, then 90..BF; F5 and above, then 90..BF
    SURROGATE = 1 << 4,   // ED, then A0..BF
    OVERLONG_2 = 1 << 5,  // C0 or C1, then a tail
    OVERLONG_4 = 1 << 6,  // F0, then 80..8F
    TOO_LARGE_8 = 1 << 6, // F5 and above, then 80..8F: apart from F0 by the low nibble
    TWO_TAILS = 1 << 7,   // a tail, then a tail: right only where a third or fourth byte must be
    ANY_LOW = TOO_SHORT | TOO_LONG | TWO_TAILS, // kinds that the lead's low nibble does not decide
    ABOVE_F4 = TOO_LARGE | TOO_LARGE_8,
};

enum { HALF_BYTES = 16, BLOCK_BYTES = 32 };

// The byte before, by its high nibble; doubled, since AVX2 looks up in each half of a vector.
static const uint8_t before_high[BLOCK_BYTES] = {
#define ROW                                                                                        \
    TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TWO_TAILS,     \
        TWO_TAILS, TWO_TAILS, TWO_TAILS, TOO_SHORT | OVERLONG_2, TOO_SHORT,                        \
        TOO_SHORT | OVERLONG_3 | SURROGATE, TOO_SHORT | TOO_LARGE | TOO_LARGE_8 | OVERLONG_4
    ROW, ROW
#undef ROW
};

// The byte before, by its low nibble.
static const uint8_t before_low[BLOCK_BYTES] = {
#define ROW                                                                                        \
    ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4, ANY_LOW | OVERLONG_2, ANY_LOW, ANY_LOW,        \
        ANY_LOW | TOO_LARGE, ANY_LOW | ABOVE_F4, ANY_LOW | ABOVE_F4, ANY_LOW | ABOVE_F4,           \
        ANY_LOW | ABOVE_F4, ANY_LOW | ABOVE_F4, ANY_LOW | ABOVE_F4, ANY_LOW | ABOVE_F4,            \
        ANY_LOW | ABOVE_F4, ANY_LOW | ABOVE_F4 | SURROGATE, ANY_LOW | ABOVE_F4, ANY_LOW | ABOVE_F4
    ROW, ROW
#undef ROW
};

// The byte itself, by its high nibble.
static const uint8_t here_high[BLOCK_BYTES] = {
#define TAIL (TOO_LONG | OVERLONG_2 | TWO_TAILS)
#define ROW                                                                                        \
    TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,        \
        TAIL | OVERLONG_3 | TOO_LARGE_8 | OVERLONG_4, TAIL | OVERLONG_3 | TOO_LARGE,               \
        TAIL | SURROGATE | TOO_LARGE, TAIL | SURROGATE | TOO_LARGE, TOO_SHORT, TOO_SHORT,          \
        TOO_SHORT, TOO_SHORT
    ROW, ROW
#undef ROW
#undef TAIL
};

// What the last bytes of a block may be at most when it ends with a whole character.
static const uint8_t whole_max[BLOCK_BYTES] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0xdf, 0xbf,
};

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load_32(const uint8_t *bytes) {
    return _mm256_loadu_si256((const __m256i *)(const void *)bytes);
}

AVX2 static inline __m256i high_nibbles_32(__m256i bytes) {
    return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
}

// Non-zero where the block ends inside a character.
AVX2 static inline __m256i unfinished_32(__m256i block) {
    return _mm256_subs_epu8(block, load_32(whole_max));
}

// Non-zero where `block` has an error; back_n holds the bytes n before each of its bytes.
AVX2 static inline __m256i errors_32(__m256i block, __m256i back_1, __m256i back_2,
                                     __m256i back_3) {
    __m256i a = _mm256_shuffle_epi8(load_32(before_high), high_nibbles_32(back_1));
    __m256i b =
        _mm256_shuffle_epi8(load_32(before_low), _mm256_and_si256(back_1, _mm256_set1_epi8(0x0f)));
    __m256i c = _mm256_shuffle_epi8(load_32(here_high), high_nibbles_32(block));
    __m256i kinds = _mm256_and_si256(_mm256_and_si256(a, b), c);
    // The top bit stays where the byte two before is E0 or above, or three before F0 or above.
    __m256i third = _mm256_subs_epu8(back_2, _mm256_set1_epi8(0xe0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(back_3, _mm256_set1_epi8(0xf0 - 0x80));
    __m256i must = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(must, kinds);
}

// The same for a block in a register and the one before it.
AVX2 static inline __m256i errors_after_32(__m256i before, __m256i block) {
    __m256i bridge = _mm256_permute2x128_si256(before, block, 0x21);
    return errors_32(block, _mm256_alignr_epi8(block, bridge, 15),
                     _mm256_alignr_epi8(block, bridge, 14), _mm256_alignr_epi8(block, bridge, 13));
}

AVX2 static inline bool is_ascii_32(__m256i block) {
    return _mm256_movemask_epi8(block) == 0;
}

// The rest of 1 to 31 bytes, where `before` is the whole block that ends there. Returns its errors.
AVX2 static inline __m256i errors_of_rest_32(__m256i before, struct span bytes, uint32_t rest) {
    const uint8_t *end = bytes.data + bytes.length;
    if (bytes.length >= BLOCK_BYTES + 3) {
        // The last 32 bytes again, so that nothing is copied: what was right stays right. They
        // begin inside `before`, so when they are ASCII, it ends with a whole character.
        __m256i block = load_32(end - 32);
        if (is_ascii_32(block)) {
            return _mm256_setzero_si256();
        }
        __m256i errors = errors_32(block, load_32(end - 33), load_32(end - 34), load_32(end - 35));
        return _mm256_or_si256(errors, unfinished_32(block));
    }
    // Zeros behind the end, so that a character that does not end there is an error.
    uint8_t padded[BLOCK_BYTES] = {0};
    memcpy(padded, end - rest, rest);
    return errors_after_32(before, load_32(padded));
}

AVX2 bool utf8_blocks_avx2(struct span bytes) {
    const uint8_t *data = bytes.data;
    __m256i before = _mm256_setzero_si256();
    __m256i errors = _mm256_setzero_si256();
    uint32_t at = 0;
    for (; bytes.length - at >= 2 * BLOCK_BYTES; at += 2 * BLOCK_BYTES) {
        __m256i first = load_32(data + at);
        __m256i second = load_32(data + at + BLOCK_BYTES);
        if (is_ascii_32(_mm256_or_si256(first, second))) {
            errors = _mm256_or_si256(errors, unfinished_32(before));
        } else {
            errors = _mm256_or_si256(errors, errors_after_32(before, first));
            errors = _mm256_or_si256(errors, errors_after_32(first, second));
        }
        before = second;
    }
    if (bytes.length - at >= BLOCK_BYTES) {
        __m256i block = load_32(data + at);
        errors = _mm256_or_si256(errors, errors_after_32(before, block));
        before = block;
        at += BLOCK_BYTES;
    }
    if (at < bytes.length) {
        errors = _mm256_or_si256(errors, errors_of_rest_32(before, bytes, bytes.length - at));
    } else {
        errors = _mm256_or_si256(errors, unfinished_32(before));
    }
    return _mm256_testz_si256(errors, errors) != 0;
}

#define SSSE3 __attribute__((target("ssse3")))

SSSE3 static inline __m128i load_16(const uint8_t *bytes) {
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

SSSE3 static inline __m128i high_nibbles_16(__m128i bytes) {
    return _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(0x0f));
}

SSSE3 static inline __m128i unfinished_16(__m128i block) {
    return _mm_subs_epu8(block, load_16(whole_max + HALF_BYTES));
}

SSSE3 static inline __m128i errors_16(__m128i before, __m128i block) {
    __m128i back_1 = _mm_alignr_epi8(block, before, 15);
    __m128i back_2 = _mm_alignr_epi8(block, before, 14);
    __m128i back_3 = _mm_alignr_epi8(block, before, 13);
    __m128i a = _mm_shuffle_epi8(load_16(before_high), high_nibbles_16(back_1));
    __m128i b = _mm_shuffle_epi8(load_16(before_low), _mm_and_si128(back_1, _mm_set1_epi8(0x0f)));
    __m128i c = _mm_shuffle_epi8(load_16(here_high), high_nibbles_16(block));
    __m128i kinds = _mm_and_si128(_mm_and_si128(a, b), c);
    __m128i third = _mm_subs_epu8(back_2, _mm_set1_epi8(0xe0 - 0x80));
    __m128i fourth = _mm_subs_epu8(back_3, _mm_set1_epi8(0xf0 - 0x80));
    __m128i must = _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8((char)0x80));
    return _mm_xor_si128(must, kinds);
}

SSSE3 bool utf8_blocks_ssse3(struct span bytes) {
    const uint8_t *data = bytes.data;
    __m128i before = _mm_setzero_si128();
    __m128i errors = _mm_setzero_si128();
    uint32_t at = 0;
    while (at < bytes.length) {
        uint32_t left = bytes.length - at;
        __m128i block;
        if (left >= HALF_BYTES) {
            block = load_16(data + at);
            left = HALF_BYTES;
        } else {
            uint8_t padded[HALF_BYTES] = {0};
            memcpy(padded, data + at, left);
            block = load_16(padded);
        }
        if (_mm_movemask_epi8(block) == 0) {
            errors = _mm_or_si128(errors, unfinished_16(before));
        } else {
            errors = _mm_or_si128(errors, errors_16(before, block));
        }
        before = block;
        at += left;
    }
    errors = _mm_or_si128(errors, unfinished_16(before));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(errors, _mm_setzero_si128())) == 0xffff;
}

#else
typedef int utf8_blocks_has_no_vectors; // a file must declare something
#endif
