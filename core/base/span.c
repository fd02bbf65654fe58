// What is done with borrowed bytes and is too long to be inline. No state, any thread.
#include "core/base/span.h"

#include "core/base/pure.h"

static uint8_t ascii_lower(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

bool span_equal_nocase(struct span a, struct span b) {
    if (a.length != b.length) {
        return false;
    }
    for (uint32_t i = 0; i < a.length; i++) {
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

bool span_is_nocase(struct span s, const char *text) {
    return span_equal_nocase(s, span_text(text));
}

int64_t span_find(struct span s, uint8_t byte) {
    if (s.length == 0) {
        return -1;
    }
    const uint8_t *found = memchr(s.data, byte, s.length);
    return found == NULL ? -1 : found - s.data;
}

uint32_t spans_cut(struct span *spans, uint32_t *count, uint32_t bytes_max) {
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < *count; i++) {
        uint32_t room = bytes_max - bytes;
        if (spans[i].length >= room) {
            spans[i].length = room;
            *count = i + 1;
            return bytes_max;
        }
        bytes += spans[i].length;
    }
    return bytes;
}
