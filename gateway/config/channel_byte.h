// The alphabets of channel names, shared by the configuration's templates and the route's captures.
#pragma once
#include <stdbool.h>
#include <stdint.h>

static inline bool byte_is_alphanumeric(uint8_t byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9');
}

// What a placeholder's value may bring into a channel name unescaped. No dot, no wildcard of any
// broker, no escape: so no value reaches another template's channel.
static inline bool channel_byte_is_plain(uint8_t byte) {
    return byte_is_alphanumeric(byte) || byte == '_' || byte == '-' || byte == '@' || byte == '~';
}

// What a channel name consists of.
static inline bool channel_byte_is_valid(uint8_t byte) {
    return channel_byte_is_plain(byte) || byte == '.' || byte == '%';
}
