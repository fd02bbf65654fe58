// Text and comparison of addresses; no resolver, no sockets.
#include "core/base/address.h"

#include "core/base/pure.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool address_is_v4(const struct address *address) {
    return address->kind == ADDRESS_IP && memcmp(address->ip, mapped_prefix, 12) == 0;
}

bool address_ip_equal(const struct address *a, const struct address *b) {
    return a->kind == b->kind && memcmp(a->ip, b->ip, 16) == 0;
}

bool address_is_loopback(const struct address *address) {
    static const uint8_t loopback6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    if (address->kind == ADDRESS_UNIX) {
        return true;
    }
    if (address_is_v4(address)) {
        return address->ip[12] == 127;
    }
    return address->kind == ADDRESS_IP && memcmp(address->ip, loopback6, 16) == 0;
}

// Appends decimal or hexadecimal digits; `at` stays inside ADDRESS_TEXT_BYTES by the arithmetic of
// that constant.
static uint32_t number_append(char *text, uint32_t at, uint32_t value, uint32_t base) {
    char digits[12];
    uint32_t count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0) {
        text[at++] = digits[--count];
    }
    return at;
}

// RFC 5952: the first longest run of two or more zero groups becomes "::".
static uint32_t v6_append(char *text, uint32_t at, const uint8_t ip[16]) {
    uint32_t groups[8];
    uint32_t best_start = 8;
    uint32_t best_length = 1;
    uint32_t run = 0;
    for (uint32_t i = 0; i < 8; i++) {
        groups[i] = ((uint32_t)ip[2 * i] << 8) | ip[2 * i + 1];
        run = groups[i] == 0 ? run + 1 : 0;
        if (run > best_length) {
            best_length = run;
            best_start = i + 1 - run;
        }
    }
    for (uint32_t i = 0; i < 8; i++) {
        if (i == best_start) {
            text[at++] = ':';
            text[at++] = ':';
            i += best_length - 1;
            continue;
        }
        if (i > 0 && i != best_start + best_length) {
            text[at++] = ':';
        }
        at = number_append(text, at, groups[i], 16);
    }
    return at;
}

uint32_t address_format(const struct address *address, bool with_port,
                        char text[ADDRESS_TEXT_BYTES]) {
    uint32_t at = 0;
    if (address->kind != ADDRESS_IP) {
        const char *name = address->kind == ADDRESS_UNIX ? "unix" : "unknown";
        at = (uint32_t)strlen(name);
        memcpy(text, name, at);
        text[at] = 0;
        return at;
    }
    bool is_v4 = address_is_v4(address);
    if (is_v4) {
        for (uint32_t i = 12; i < 16; i++) {
            at = number_append(text, at, address->ip[i], 10);
            if (i < 15) {
                text[at++] = '.';
            }
        }
    } else {
        if (with_port) {
            text[at++] = '[';
        }
        at = v6_append(text, at, address->ip);
        if (with_port) {
            text[at++] = ']';
        }
    }
    if (with_port) {
        text[at++] = ':';
        at = number_append(text, at, address->port, 10);
    }
    text[at] = 0;
    return at;
}

static bool v4_parse(struct span text, uint8_t target[4]) {
    uint32_t at = 0;
    for (uint32_t part = 0; part < 4; part++) {
        uint32_t value = 0;
        uint32_t digits = 0;
        for (; at < text.length && text.data[at] >= '0' && text.data[at] <= '9'; at++, digits++) {
            value = value * 10 + (uint32_t)(text.data[at] - '0');
            if (digits >= 3 || (digits == 1 && value < 10 && text.data[at - 1] == '0')) {
                return false; // too long, or a leading zero that some read as octal
            }
        }
        if (digits == 0 || value > 255) {
            return false;
        }
        target[part] = (uint8_t)value;
        if (part < 3) {
            if (at >= text.length || text.data[at] != '.') {
                return false;
            }
            at++;
        }
    }
    return at == text.length;
}

static int hex_value(uint8_t byte) {
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

struct v6_parse {
    uint8_t groups[16];
    uint32_t count; // bytes filled
    int gap;        // where "::" stands, -1 = nowhere
};

// Reads one group, or an IPv4 tail, at *at.
static bool v6_group_parse(struct v6_parse *parse, struct span text, uint32_t *at) {
    uint32_t start = *at;
    uint32_t value = 0;
    while (*at < text.length && hex_value(text.data[*at]) >= 0) {
        value = value << 4 | (uint32_t)hex_value(text.data[*at]);
        (*at)++;
        if (*at - start > 4) {
            return false;
        }
    }
    if (*at < text.length && text.data[*at] == '.') {
        if (parse->count > 12 || !v4_parse(span_from(text, start), parse->groups + parse->count)) {
            return false;
        }
        parse->count += 4;
        *at = text.length;
        return true;
    }
    if (*at == start || parse->count > 14) {
        return false;
    }
    parse->groups[parse->count++] = (uint8_t)(value >> 8);
    parse->groups[parse->count++] = (uint8_t)value;
    return true;
}

static bool v6_parse(struct span text, uint8_t target[16]) {
    struct v6_parse parse = {.count = 0, .gap = -1};
    uint32_t at = 0;
    while (at < text.length) {
        bool is_double = at + 1 < text.length && text.data[at] == ':' && text.data[at + 1] == ':';
        if (is_double) {
            if (parse.gap >= 0) {
                return false;
            }
            parse.gap = (int)parse.count;
            at += 2;
            continue;
        }
        bool follows_group = parse.count > 0 && parse.gap != (int)parse.count;
        if (follows_group) {
            if (text.data[at] != ':') {
                return false;
            }
            at++;
        }
        if (!v6_group_parse(&parse, text, &at)) {
            return false;
        }
    }
    if (parse.gap < 0 ? parse.count != 16 : parse.count > 14) {
        return false;
    }
    uint32_t head = parse.gap < 0 ? 16 : (uint32_t)parse.gap;
    memset(target, 0, 16);
    memcpy(target, parse.groups, head);
    memcpy(target + 16 - (parse.count - head), parse.groups + head, parse.count - head);
    return true;
}

bool address_parse_ip(struct span text, struct address *address) {
    memset(address, 0, sizeof *address);
    address->kind = ADDRESS_IP;
    memcpy(address->ip, mapped_prefix, 12);
    if (text.length == 0 || text.length > 45) {
        return false;
    }
    return v4_parse(text, address->ip + 12) || v6_parse(text, address->ip);
}

bool address_range_parse(struct span text, struct address_range *range) {
    int64_t slash = span_find(text, '/');
    struct span ip = slash < 0 ? text : span_first(text, (uint32_t)slash);
    struct address address;
    if (!address_parse_ip(ip, &address)) {
        return false;
    }
    uint32_t family_bits = address_is_v4(&address) && span_find(ip, ':') < 0 ? 32 : 128;
    uint32_t bits = family_bits;
    if (slash >= 0) {
        struct span digits = span_from(text, (uint32_t)slash + 1);
        if (digits.length == 0 || digits.length > 3) {
            return false;
        }
        bits = 0;
        for (uint32_t i = 0; i < digits.length; i++) {
            if (digits.data[i] < '0' || digits.data[i] > '9') {
                return false;
            }
            bits = bits * 10 + (uint32_t)(digits.data[i] - '0');
        }
        if (bits > family_bits) {
            return false;
        }
    }
    bits += 128 - family_bits;
    memcpy(range->ip, address.ip, 16);
    range->prefix_bits = (uint8_t)bits;
    for (uint32_t bit = bits; bit < 128; bit++) {
        if (range->ip[bit / 8] & (0x80 >> bit % 8)) {
            return false;
        }
    }
    return true;
}

bool address_in_range(const struct address *address, const struct address_range *range) {
    if (address->kind != ADDRESS_IP) {
        return false;
    }
    uint32_t bytes = range->prefix_bits / 8;
    uint32_t bits = range->prefix_bits % 8;
    if (memcmp(address->ip, range->ip, bytes) != 0) {
        return false;
    }
    uint8_t mask = (uint8_t)(0xff00 >> bits);
    return bits == 0 || ((address->ip[bytes] ^ range->ip[bytes]) & mask) == 0;
}

bool address_in_ranges(const struct address *address, const struct address_range *ranges,
                       uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (address_in_range(address, &ranges[i])) {
            return true;
        }
    }
    return false;
}
