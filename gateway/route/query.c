#include "gateway/config/path_byte.h"
#include "gateway/route/route.h"

// The decoded byte at `*at`, which moves behind it; -1 for a bad escape.
static int byte_next(struct span raw, uint32_t *at) {
    uint8_t byte = raw.data[*at];
    if (byte == '%') {
        int value = path_escape_value(raw, *at);
        *at += 3;
        return value;
    }
    *at += 1;
    return byte == '+' ? ' ' : byte;
}

static bool name_is(struct span raw, const char *name) {
    uint32_t length = (uint32_t)strlen(name);
    uint32_t matched = 0;
    for (uint32_t at = 0; at < raw.length;) {
        int byte = byte_next(raw, &at);
        if (matched == length || byte != (uint8_t)name[matched]) {
            return false;
        }
        matched++;
    }
    return matched == length;
}

bool route_query_find(struct span query, const char *name, struct span *value) {
    struct span rest = query;
    while (rest.length > 0) { // each turn takes a parameter off
        int64_t end = span_find(rest, '&');
        struct span parameter = end < 0 ? rest : span_first(rest, (uint32_t)end);
        rest = end < 0 ? span_empty() : span_from(rest, (uint32_t)end + 1);
        int64_t equals = span_find(parameter, '=');
        uint32_t name_length = equals < 0 ? parameter.length : (uint32_t)equals;
        if (name_is(span_first(parameter, name_length), name)) {
            *value = equals < 0 ? span_empty() : span_from(parameter, name_length + 1);
            return true;
        }
    }
    return false;
}

bool route_query_decode(struct span raw, struct span_mut *target) {
    uint32_t length = 0;
    for (uint32_t at = 0; at < raw.length;) {
        int byte = byte_next(raw, &at);
        if (byte < 0 || length == target->length) {
            return false;
        }
        target->data[length++] = (uint8_t)byte;
    }
    target->length = length;
    return true;
}
