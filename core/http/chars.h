// Character classes of HTTP (RFC 9110 5.5, 5.6.2; RFC 3986) and the one byte loop that is worth
// SIMD. Internal to core/http.
#pragma once
#include "core/base/span.h"

enum {
    HTTP_CHAR_TOKEN = 1,  // RFC 9110 5.6.2
    HTTP_CHAR_TARGET = 2, // visible ASCII without '#': a fragment is never sent (RFC 9112 3.2)
    HTTP_CHAR_HOST = 4,   // unreserved and sub-delims (RFC 3986 3.2.2) without ','
    HTTP_CHAR_HEX = 8,
    HTTP_CHAR_DIGIT = 16,
};

extern const uint8_t http_char_classes[256];

static inline bool http_char_is(uint8_t byte, uint8_t classes) {
    return (http_char_classes[byte] & classes) != 0;
}

// Number of leading bytes of the class.
static inline uint32_t http_class_length(struct span s, uint8_t classes) {
    uint32_t i = 0;
    while (i < s.length && http_char_is(s.data[i], classes)) {
        i++;
    }
    return i;
}

// Number of leading bytes that may stand in a field value: HTAB, SP, visible ASCII and obs-text
// (RFC 9110 5.5). So it stops at CR, LF, NUL, every other control character and DEL.
uint32_t http_text_length(struct span s);
uint32_t http_text_length_scalar(struct span s); // the definition; the other is tested against it

// Without SP and HTAB around (OWS, RFC 9110 5.6.3).
static inline struct span http_trim(struct span s) {
    while (s.length > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = span_from(s, 1);
    }
    while (s.length > 0 && (s.data[s.length - 1] == ' ' || s.data[s.length - 1] == '\t')) {
        s.length--;
    }
    return s;
}
