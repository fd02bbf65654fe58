#include "gateway/route/channel_name.h"

bool channel_name_is_valid(struct span name) {
    if (name.length == 0 || name.length > CHANNEL_NAME_BYTES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < name.length; i++) {
        if (!channel_byte_is_valid(name.data[i])) {
            return false;
        }
    }
    return true;
}

bool channel_name_matches(struct span pattern, struct span name) {
    bool has_star = pattern.length > 0 && pattern.data[pattern.length - 1] == '*';
    if (!has_star) {
        return span_equal(pattern, name);
    }
    struct span start = span_first(pattern, pattern.length - 1);
    return name.length > start.length && span_equal(start, span_first(name, start.length));
}
