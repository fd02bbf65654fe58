#include "gateway/config/origin_split.h"

#include "gateway/config/channel_byte.h"
#include "gateway/config/value.h"

enum { HOST_BYTES_MAX = 253 };

static bool is_scheme(struct span text) {
    bool is_valid = text.length > 0 && !(text.data[0] >= '0' && text.data[0] <= '9');
    for (uint32_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        is_valid = is_valid && (byte_is_alphanumeric(byte) ||
                                (i > 0 && (byte == '+' || byte == '-' || byte == '.')));
    }
    return is_valid;
}

static bool is_host(struct span text) {
    bool is_v6 = text.length > 2 && text.data[0] == '[' && text.data[text.length - 1] == ']';
    struct span inner = is_v6 ? span_first(span_from(text, 1), text.length - 2) : text;
    bool is_valid = inner.length > 0 && inner.length <= HOST_BYTES_MAX;
    for (uint32_t i = 0; i < inner.length; i++) {
        uint8_t byte = inner.data[i];
        bool is_hex = (byte >= '0' && byte <= '9') || (byte | 0x20) == 'a' ||
                      ((byte | 0x20) > 'a' && (byte | 0x20) <= 'f');
        is_valid = is_valid && (is_v6 ? is_hex || byte == ':' || byte == '.'
                                      : byte_is_alphanumeric(byte) || byte == '-' || byte == '.' ||
                                            byte == '_');
    }
    return is_valid;
}

static uint16_t default_port(struct span scheme) {
    if (span_is_nocase(scheme, "https") || span_is_nocase(scheme, "wss")) {
        return 443;
    }
    return span_is_nocase(scheme, "http") || span_is_nocase(scheme, "ws") ? 80 : 0;
}

bool config_origin_split(struct span text, struct config_origin *origin) {
    *origin = (struct config_origin){.is_null = span_is(text, "null")};
    if (origin->is_null) {
        return true;
    }
    int64_t colon = span_find(text, ':');
    if (colon < 0 || text.length - (uint32_t)colon < 3 ||
        memcmp(text.data + colon, "://", 3) != 0) {
        return false;
    }
    origin->scheme = span_first(text, (uint32_t)colon);
    origin->port = default_port(origin->scheme);
    struct span rest = span_from(text, (uint32_t)colon + 3);
    uint32_t host_length = rest.length;
    for (uint32_t i = rest.length; i > 0 && rest.data[i - 1] != ']'; i--) {
        host_length = rest.data[i - 1] == ':' ? i - 1 : host_length;
    }
    origin->host = span_first(rest, host_length);
    if (host_length < rest.length) {
        uint64_t port;
        if (!value_count(span_from(rest, host_length + 1), &port) || port == 0 ||
            port > UINT16_MAX) {
            return false;
        }
        origin->port = (uint16_t)port;
    }
    return is_scheme(origin->scheme) && is_host(origin->host);
}

bool config_origin_is_equal(const struct config_origin *a, const struct config_origin *b) {
    if (a->is_null || b->is_null) {
        return a->is_null && b->is_null;
    }
    return a->port == b->port && span_equal_nocase(a->scheme, b->scheme) &&
           span_equal_nocase(a->host, b->host);
}
