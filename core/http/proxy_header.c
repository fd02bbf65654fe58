// Strict: a balancer that writes it wrong is misconfigured, and an address that is guessed is worse
// than none.
#include "core/http/proxy_header.h"

#include "core/base/pure.h"

static const uint8_t v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n"; // without its terminator
static const char v1_start[] = "PROXY ";

enum { V2_COMMAND_LOCAL = 0, V2_COMMAND_PROXY = 1, V2_TYPE_CRC32C = 3, V2_EXTENSION_BYTES = 3 };

static enum proxy_verdict malformed(struct proxy_header *header, const char *problem) {
    header->problem = problem;
    return PROXY_MALFORMED;
}

// --- version 1: a line of text

// The word up to the next blank, or all that is left of the line.
static struct span word_take(struct span *line) {
    uint32_t length = 0;
    while (length < line->length && line->data[length] != ' ') {
        length++;
    }
    struct span word = span_first(*line, length);
    *line = span_from(*line, length < line->length ? length + 1 : length);
    return word;
}

// Decimal without leading zeros, up to 65535.
static bool port_read(struct span word, uint16_t *port) {
    uint32_t value = 0;
    if (word.length == 0 || word.length > 5 || (word.length > 1 && word.data[0] == '0')) {
        return false;
    }
    for (uint32_t i = 0; i < word.length; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(word.data[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

static bool v1_address_read(struct span word, bool is_v4, struct address *address) {
    bool has_colon = false;
    for (uint32_t i = 0; i < word.length; i++) {
        has_colon = has_colon || word.data[i] == ':';
    }
    // An IPv4 client in IPv6 form is said as TCP6, and is that client all the same.
    return has_colon != is_v4 && address_parse_ip(word, address) &&
           (!is_v4 || address_is_v4(address));
}

static enum proxy_verdict v1_line_read(struct span line, struct proxy_header *header) {
    struct span rest = span_from(line, sizeof v1_start - 1);
    struct span protocol = word_take(&rest);
    if (span_equal(protocol, span_text("UNKNOWN"))) { // what follows is to be ignored
        return PROXY_NO_SOURCE;
    }
    bool is_v4 = span_equal(protocol, span_text("TCP4"));
    if (!is_v4 && !span_equal(protocol, span_text("TCP6"))) {
        return malformed(header, "its protocol is none of TCP4, TCP6 and UNKNOWN");
    }
    struct address destination;
    uint16_t destination_port;
    struct span source = word_take(&rest);
    struct span target = word_take(&rest);
    if (!v1_address_read(source, is_v4, &header->source) ||
        !v1_address_read(target, is_v4, &destination)) {
        return malformed(header, "an address in it is malformed");
    }
    struct span source_port = word_take(&rest);
    bool has_ports = port_read(source_port, &header->source.port) &&
                     port_read(rest, &destination_port); // the rest of the line, to its end
    return has_ports ? PROXY_SOURCE : malformed(header, "a port in it is malformed");
}

static enum proxy_verdict v1_read(struct span bytes, struct proxy_header *header) {
    uint32_t length = bytes.length < PROXY_V1_BYTES_MAX ? bytes.length : PROXY_V1_BYTES_MAX;
    for (uint32_t i = 0; i + 1 < length; i++) {
        if (bytes.data[i] == '\r') {
            if (bytes.data[i + 1] != '\n') {
                return malformed(header, "its line has a bare carriage return");
            }
            header->bytes = i + 2;
            return v1_line_read(span_first(bytes, i), header);
        }
    }
    return length == PROXY_V1_BYTES_MAX ? malformed(header, "its line does not end") : PROXY_MORE;
}

// --- version 2: binary

static uint32_t load_big_16(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

// CRC-32C (RFC 9260 appendix A), bit by bit: a header is small, and comes once a connection.
static uint32_t crc32c_step(uint32_t crc, uint8_t byte) {
    crc ^= byte;
    for (uint32_t bit = 0; bit < 8; bit++) {
        crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1u)));
    }
    return crc;
}

// Over the whole header, with the four bytes at `at` taken as zero.
static bool crc32c_is_right(struct span header, uint32_t at) {
    uint32_t crc = UINT32_MAX;
    for (uint32_t i = 0; i < header.length; i++) {
        bool is_own = i >= at && i < at + 4;
        crc = crc32c_step(crc, is_own ? 0 : header.data[i]);
    }
    crc = ~crc;
    return load_big_16(header.data + at) == crc >> 16 &&
           load_big_16(header.data + at + 2) == (crc & 0xffff);
}

// The extensions from `at` to the end: each a type, a length and so many bytes. NULL: well formed.
static const char *extensions_judge(struct span header, uint32_t at) {
    while (at < header.length) {
        uint32_t left = header.length - at;
        if (left < V2_EXTENSION_BYTES ||
            left - V2_EXTENSION_BYTES < load_big_16(header.data + at + 1)) {
            return "an extension in it is cut off";
        }
        uint32_t length = load_big_16(header.data + at + 1);
        if (header.data[at] == V2_TYPE_CRC32C) {
            if (length != 4 || !crc32c_is_right(header, at + V2_EXTENSION_BYTES)) {
                return "its checksum is wrong";
            }
        }
        at += V2_EXTENSION_BYTES + length;
    }
    return NULL;
}

// Bytes of both addresses of that family and transport, or -1.
static int32_t v2_address_bytes(uint8_t family) {
    switch (family) {
    case 0x00: // UNSPEC
        return 0;
    case 0x11: // TCP over IPv4
        return 12;
    case 0x21: // TCP over IPv6
        return 36;
    case 0x31: // a stream over a Unix socket
        return 216;
    default: // datagrams, and what nobody has defined
        return -1;
    }
}

static void v2_source_read(const uint8_t *addresses, uint8_t family, struct address *source) {
    *source = (struct address){.kind = family == 0x31 ? ADDRESS_UNIX : ADDRESS_IP};
    if (family == 0x11) {
        source->ip[10] = source->ip[11] = 0xff;
        memcpy(source->ip + 12, addresses, 4);
        source->port = (uint16_t)load_big_16(addresses + 8);
    } else if (family == 0x21) {
        memcpy(source->ip, addresses, 16);
        source->port = (uint16_t)load_big_16(addresses + 32);
    }
}

static enum proxy_verdict v2_read(struct span bytes, struct proxy_header *header) {
    if (bytes.length < PROXY_V2_HEAD_BYTES) {
        return PROXY_MORE;
    }
    uint8_t command = bytes.data[12] & 15;
    uint8_t family = bytes.data[13];
    uint32_t body_bytes = load_big_16(bytes.data + 14);
    if (bytes.data[12] >> 4 != 2 || command > V2_COMMAND_PROXY) {
        return malformed(header, "its version or command is unknown");
    }
    if (body_bytes > PROXY_V2_BODY_BYTES_MAX) {
        return malformed(header, "it is too long");
    }
    if (bytes.length < PROXY_V2_HEAD_BYTES + body_bytes) {
        return PROXY_MORE;
    }
    header->bytes = PROXY_V2_HEAD_BYTES + body_bytes;
    if (command == V2_COMMAND_LOCAL) { // whatever stands in it is to be ignored
        return PROXY_NO_SOURCE;
    }
    int32_t address_bytes = v2_address_bytes(family);
    if (address_bytes < 0) {
        return malformed(header, "its address family or transport is unknown");
    }
    if (body_bytes < (uint32_t)address_bytes) {
        return malformed(header, "it is too short for its addresses");
    }
    struct span whole = span_first(bytes, header->bytes);
    const char *problem = extensions_judge(whole, PROXY_V2_HEAD_BYTES + (uint32_t)address_bytes);
    if (problem != NULL) {
        return malformed(header, problem);
    }
    if (family == 0x00) {
        return PROXY_NO_SOURCE;
    }
    v2_source_read(bytes.data + PROXY_V2_HEAD_BYTES, family, &header->source);
    return PROXY_SOURCE;
}

// --- which of them

static bool starts(struct span bytes, const void *start, uint32_t length) {
    uint32_t known = bytes.length < length ? bytes.length : length;
    return known > 0 && memcmp(bytes.data, start, known) == 0;
}

enum proxy_verdict proxy_header_read(struct span bytes, struct proxy_header *header) {
    *header = (struct proxy_header){.bytes = 0};
    if (bytes.length == 0) {
        return PROXY_MORE;
    }
    if (starts(bytes, v2_signature, sizeof v2_signature)) {
        return v2_read(bytes, header);
    }
    if (starts(bytes, v1_start, sizeof v1_start - 1)) {
        return v1_read(bytes, header);
    }
    return malformed(header, "it is missing: the first bytes are something else");
}
