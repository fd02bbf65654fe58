// What a request path consists of (RFC 3986 3.3), shared by the configuration's paths and the
// route table.
#pragma once
#include "core/base/span.h"
#include "gateway/config/channel_byte.h"

// Unreserved: means the same escaped and unescaped.
static inline bool path_byte_is_unreserved(uint8_t byte) {
    return byte_is_alphanumeric(byte) || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

// pchar without `%`: may stand in a segment as it is.
static inline bool path_byte_is_plain(uint8_t byte) {
    return path_byte_is_unreserved(byte) || byte == '!' || (byte >= '&' && byte <= ',') ||
           byte == '$' || byte == ':' || byte == ';' || byte == '=' || byte == '@';
}

// The value of a hexadecimal digit, or -1.
static inline int path_hex_value(uint8_t byte) {
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The byte that the escape at `at` stands for, or -1: none is there, or it is broken.
static inline int path_escape_value(struct span text, uint32_t at) {
    if (text.length < 3 || at > text.length - 3 || text.data[at] != '%') {
        return -1;
    }
    int high = path_hex_value(text.data[at + 1]);
    int low = path_hex_value(text.data[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}
