// From what a path brought to a channel's name.
#include "core/base/check.h"
#include "gateway/config/channel_byte.h"
#include "gateway/config/path_byte.h"
#include "gateway/route/route.h"
#include "gateway/tls/peer.h"

// Adds a byte to what was written. False: no room.
static bool byte_encode(uint8_t byte, struct span_mut *rest) {
    static const char upper[] = "0123456789ABCDEF";
    bool is_plain = channel_byte_is_plain(byte);
    uint32_t size = is_plain ? 1 : 3;
    if (size > rest->length) {
        return false;
    }
    if (is_plain) {
        rest->data[0] = byte;
    } else {
        rest->data[0] = '%';
        rest->data[1] = (uint8_t)upper[byte >> 4];
        rest->data[2] = (uint8_t)upper[byte & 15];
    }
    rest->data += size;
    rest->length -= size;
    return true;
}

static struct span_mut placeholder_room(struct span_mut target) {
    uint32_t room = target.length < PLACEHOLDER_BYTES_MAX ? target.length : PLACEHOLDER_BYTES_MAX;
    return (struct span_mut){.data = target.data, .length = room};
}

uint32_t route_value_encode(struct span raw, struct span_mut target) {
    struct span_mut rest = placeholder_room(target);
    for (uint32_t at = 0; at < raw.length;) {
        bool is_escape = raw.data[at] == '%';
        int value = is_escape ? path_escape_value(raw, at) : raw.data[at];
        if (value < 0 || !byte_encode((uint8_t)value, &rest)) {
            return 0;
        }
        at += is_escape ? 3 : 1;
    }
    return (uint32_t)(rest.data - target.data);
}

uint32_t route_claim_encode(struct span raw, struct span_mut target) {
    struct span_mut rest = placeholder_room(target);
    for (uint32_t at = 0; at < raw.length; at++) {
        if (!byte_encode(raw.data[at], &rest)) {
            return 0;
        }
    }
    return (uint32_t)(rest.data - target.data);
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
        case CONFIG_PART_CLAIM:
            used = match->claims != NULL && part->claim < match->claims->count
                       ? route_claim_encode(match->claims->values[part->claim], rest)
                       : 0;
            break;
        case CONFIG_PART_SUBJECT:
            used =
                match->peer == NULL ? 0 : route_claim_encode(tls_peer_subject(match->peer), rest);
            break;
        case CONFIG_PART_FINGERPRINT:
            used = match->peer == NULL
                       ? 0
                       : route_claim_encode(tls_peer_fingerprint(match->peer), rest);
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

static bool lacks_certificate(const struct config_template *template,
                              const struct route_match *match) {
    uint8_t encoded[PLACEHOLDER_BYTES_MAX];
    struct span_mut room = {.data = encoded, .length = sizeof encoded};
    for (uint32_t i = 0; i < template->part_count; i++) {
        uint8_t kind = template->parts[i].kind;
        bool is_subject = kind == CONFIG_PART_SUBJECT;
        if ((is_subject || kind == CONFIG_PART_FINGERPRINT) &&
            (match->peer == NULL ||
             (is_subject && route_claim_encode(tls_peer_subject(match->peer), room) == 0))) {
            return true;
        }
    }
    return false;
}

bool route_lacks_certificate(const struct route_match *match) {
    const struct config_channels *channels = &match->route->channels;
    bool lacks = lacks_certificate(&channels->publish, match);
    for (uint32_t i = 0; i < channels->subscribe.count; i++) {
        lacks = lacks || lacks_certificate(&channels->subscribe.items[i], match);
    }
    for (uint32_t i = 0; i < channels->allow.count; i++) {
        lacks = lacks || lacks_certificate(&channels->allow.items[i], match);
    }
    return lacks;
}
