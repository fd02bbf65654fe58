#include "core/http/chars.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "core/base/pure.h"

// Sums of HTTP_CHAR_*; the bytes from 0x80 on are in no class. tests/unit/core/http/test_chars.c
// spells the classes out and compares.
// clang-format off
const uint8_t http_char_classes[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, // 0x00
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, // 0x10
     0,  7,  2,  1,  7,  3,  7,  7,  6,  6,  7,  7,  2,  7,  7,  2, // 0x20
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31,  2,  6,  2,  6,  2,  2, // 0x30
     2, 15, 15, 15, 15, 15, 15,  7,  7,  7,  7,  7,  7,  7,  7,  7, // 0x40
     7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  2,  2,  2,  3,  7, // 0x50
     3, 15, 15, 15, 15, 15, 15,  7,  7,  7,  7,  7,  7,  7,  7,  7, // 0x60
     7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  2,  3,  2,  7,  0, // 0x70
};
// clang-format on

uint32_t http_text_length_scalar(struct span s) {
    uint32_t i = 0;
    while (i < s.length && (s.data[i] >= 0x20 || s.data[i] == '\t') && s.data[i] != 0x7f) {
        i++;
    }
    return i;
}

#if defined(__SSE2__)
// SSE2 is part of x86-64, so nothing is dispatched at run time.
uint32_t http_text_length(struct span s) {
    const __m128i highest_control = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i delete = _mm_set1_epi8(0x7f);
    uint32_t i = 0;
    for (; s.length - i >= 16; i += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)(s.data + i));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block, highest_control), block);
        control = _mm_andnot_si128(_mm_cmpeq_epi8(block, tab), control);
        control = _mm_or_si128(control, _mm_cmpeq_epi8(block, delete));
        int found = _mm_movemask_epi8(control);
        if (found != 0) {
            return i + (uint32_t)__builtin_ctz((unsigned)found);
        }
    }
    return i + http_text_length_scalar(span_from(s, i));
}
#else
uint32_t http_text_length(struct span s) {
    return http_text_length_scalar(s);
}
#endif
