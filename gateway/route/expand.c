// From what a path brought to a channel's name.
#include "core/base/check.h"
#include "gateway/config/channel_byte.h"
#include "gateway/config/path_byte.h"
#include "gateway/route/route.h"

uint32_t route_value_encode(struct span raw, struct span_mut target) {
    static const char upper[] = "0123456789ABCDEF";
    uint32_t room = target.length < PLACEHOLDER_BYTES_MAX ? target.length : PLACEHOLDER_BYTES_MAX;
    uint32_t length = 0;
    for (uint32_t at = 0; at < raw.length;) {
        bool is_escape = raw.data[at] == '%';
        int value = is_escape ? path_escape_value(raw, at) : raw.data[at];
        bool is_plain = value >= 0 && channel_byte_is_plain((uint8_t)value);
        uint32_t size = is_plain ? 1 : 3;
        if (value < 0 || size > room - length) {
            return 0;
        }
        if (is_plain) {
            target.data[length] = (uint8_t)value;
        } else {
            target.data[length] = '%';
            target.data[length + 1] = (uint8_t)upper[value >> 4];
            target.data[length + 2] = (uint8_t)upper[value & 15];
        }
        length += size;
        at += is_escape ? 3 : 1;
    }
    return length;
}

uint32_t route_template_expand(const struct config_template *template,
                               const struct route_match *match, struct span_mut name) {
    uint32_t room = name.length < CHANNEL_NAME_BYTES_MAX ? name.length : CHANNEL_NAME_BYTES_MAX;
    uint32_t length = 0;
    for (uint32_t i = 0; i < template->part_count; i++) {
        const struct config_part *part = &template->parts[i];
        uint32_t used = 0;
        struct span_mut rest = {.data = name.data + length, .length = room - length};
        switch ((enum config_part_kind)part->kind) {
        case CONFIG_PART_LITERAL:
            used = part->text.length <= rest.length ? part->text.length : 0;
            memcpy(rest.data, part->text.data, used);
            break;
        case CONFIG_PART_CAPTURE:
            check(part->capture < ROUTE_CAPTURES_MAX);
            used = part->capture < match->capture_count
                       ? route_value_encode(match->captures[part->capture], rest)
                       : 0;
            break;
        case CONFIG_PART_CLAIM: // nobody has claims without `auth`
            break;
        }
        if (used == 0) {
            return 0;
        }
        length += used;
    }
    if (template->has_star) {
        if (length == room) {
            return 0;
        }
        name.data[length++] = '*';
    }
    return length;
}
