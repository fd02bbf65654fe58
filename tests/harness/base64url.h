// base64 with the alphabet of RFC 4648 section 5 and without padding, as tokens carry it: the
// product only reads it.
#pragma once
#include "core/base/digest.h"

// Returns the length. `target` must hold what base64_encode writes.
static inline uint32_t base64url_encode(struct span input, struct span_mut target) {
    uint32_t length = base64_encode(input, target);
    uint8_t *text = target.data;
    while (length > 0 && text[length - 1] == '=') {
        length--;
    }
    for (uint32_t i = 0; i < length; i++) {
        text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    }
    return length;
}
