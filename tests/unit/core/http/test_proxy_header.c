// Golden headers of both versions, at every split point; what is almost one; the limits.
#include "core/http/proxy_header.h"

#include <criterion/criterion.h>
#include <string.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

struct golden {
    const char *bytes;
    uint32_t length;
    enum proxy_verdict verdict;
    const char *source; // as address_format writes it
};

#define V1(line, verdict, source)                                                                  \
    { line "\r\n", sizeof line + 1, verdict, source }
#define V2(rest, verdict, source)                                                                  \
    { SIGNATURE rest, sizeof(SIGNATURE rest) - 1, verdict, source }
#define TEN "\0\0\0\0\0\0\0\0\0\0"
#define PATHS TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "\0\0\0\0\0\0\0\0"

static const struct golden goldens[] = {
    V1("PROXY TCP4 203.0.113.7 10.0.0.1 4711 443", PROXY_SOURCE, "203.0.113.7:4711"),
    V1("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", PROXY_SOURCE,
       "255.255.255.255:65535"),
    V1("PROXY TCP6 2001:db8::1 ::1 0 443", PROXY_SOURCE, "[2001:db8::1]:0"),
    V1("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
       PROXY_SOURCE, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
    V1("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2", PROXY_SOURCE, "192.0.2.1:1"),
    V1("PROXY UNKNOWN", PROXY_NO_SOURCE, NULL),
    V1("PROXY UNKNOWN ffff:f...f:ffff 65535 whatever it says", PROXY_NO_SOURCE, NULL),
    V2("\x21\x11\0\x0c\xcb\0\x71\x07\x0a\0\0\x01\x12\x67\x01\xbb", PROXY_SOURCE,
       "203.0.113.7:4711"),
    V2("\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
       "\x12\x67\x01\xbb",
       PROXY_SOURCE, "[2001:db8::1]:4711"),
    V2("\x21\x31\0\xd8" PATHS PATHS, PROXY_SOURCE, "unix"),
    V2("\x20\0\0\0", PROXY_NO_SOURCE, NULL), // LOCAL
    V2("\x20\x11\0\x03"
       "abc",
       PROXY_NO_SOURCE, NULL),               // LOCAL with what is to be ignored
    V2("\x21\0\0\0", PROXY_NO_SOURCE, NULL), // UNSPEC
    V2("\x21\x11\0\x14\xcb\0\x71\x07\x0a\0\0\x01\x12\x67\x01\xbb\x04\0\x05"
       "noops",
       PROXY_SOURCE, "203.0.113.7:4711"),
};

static void expect(const struct golden *golden, struct span bytes) {
    struct proxy_header header;
    enum proxy_verdict verdict = proxy_header_read(bytes, &header);
    cr_assert_eq(verdict, golden->verdict, "%.40s: %d, %s", golden->bytes, (int)verdict,
                 header.problem == NULL ? "" : header.problem);
    cr_assert_eq(header.bytes, golden->length);
    if (golden->source != NULL) {
        char text[ADDRESS_TEXT_BYTES];
        address_format(&header.source, true, text);
        cr_assert_str_eq(text, golden->source);
    }
}

Test(proxy_header, both_versions_alone_and_before_a_request) {
    for (uint32_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        expect(&goldens[i], span_make(goldens[i].bytes, goldens[i].length));
        char more[512];
        memcpy(more, goldens[i].bytes, goldens[i].length);
        memcpy(more + goldens[i].length, "GET / HTTP/1.1\r\n", 16);
        expect(&goldens[i], span_make(more, goldens[i].length + 16));
    }
}

Test(proxy_header, every_split_point_asks_for_more) {
    for (uint32_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        for (uint32_t length = 0; length < goldens[i].length; length++) {
            struct proxy_header header;
            cr_assert_eq(proxy_header_read(span_make(goldens[i].bytes, length), &header),
                         PROXY_MORE, "%.40s at %u: %s", goldens[i].bytes, length, header.problem);
        }
    }
}

struct wrong {
    const char *bytes;
    uint32_t length;
    const char *problem;
};

#define WRONG(text, problem)                                                                       \
    { text, sizeof text - 1, problem }

static const struct wrong wrongs[] = {
    WRONG("G", "it is missing: the first bytes are something else"),
    WRONG("GET / HTTP/1.1\r\n", "it is missing: the first bytes are something else"),
    WRONG("proxy TCP4", "it is missing: the first bytes are something else"),
    WRONG("PROXY\r\n", "it is missing: the first bytes are something else"),
    WRONG("\x16\x03\x01", "it is missing: the first bytes are something else"),
    WRONG("\r\n\r\n\0\r\nQUIT\r", "it is missing: the first bytes are something else"),
    WRONG("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "its protocol is none of TCP4, TCP6 and UNKNOWN"),
    WRONG("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "its protocol is none of TCP4, TCP6 and UNKNOWN"),
    WRONG("PROXY UNKNOWNS\r\n", "its protocol is none of TCP4, TCP6 and UNKNOWN"),
    WRONG("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", "an address in it is malformed"),
    WRONG("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", "an address in it is malformed"),
    WRONG("PROXY TCP4 ::1 ::1 1 2\r\n", "an address in it is malformed"),
    WRONG("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "an address in it is malformed"),
    WRONG("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", "an address in it is malformed"),
    WRONG("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", "a port in it is malformed"),
    WRONG("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "a port in it is malformed"),
    WRONG("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "a port in it is malformed"),
    WRONG("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "a port in it is malformed"),
    WRONG("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", "a port in it is malformed"),
    WRONG("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n", "a port in it is malformed"),
    WRONG("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX", "its line has a bare carriage return"),
    WRONG(SIGNATURE "\x11\x11\0\0", "its version or command is unknown"),
    WRONG(SIGNATURE "\x22\x11\0\0", "its version or command is unknown"),
    WRONG(SIGNATURE "\x21\x11\x08\x01", "it is too long"),
    WRONG(SIGNATURE "\x21\x12\0\0", "its address family or transport is unknown"), // datagrams
    WRONG(SIGNATURE "\x21\x41\0\0", "its address family or transport is unknown"),
    WRONG(SIGNATURE "\x21\x11\0\x0b"
                    "12345678901",
          "it is too short for its addresses"),
    WRONG(SIGNATURE "\x21\x11\0\x0e"
                    "123456789012\x04\0",
          "an extension in it is cut off"),
    WRONG(SIGNATURE "\x21\x11\0\x10"
                    "123456789012\x04\0\x02X",
          "an extension in it is cut off"),
    WRONG(SIGNATURE "\x21\x11\0\x13"
                    "123456789012\x03\0\x04"
                    "1234",
          "its checksum is wrong"),
    WRONG(SIGNATURE "\x21\x11\0\x11"
                    "123456789012\x03\0\x02"
                    "12",
          "its checksum is wrong"),
};

Test(proxy_header, what_is_almost_one) {
    for (uint32_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        struct proxy_header header;
        enum proxy_verdict verdict =
            proxy_header_read(span_make(wrongs[i].bytes, wrongs[i].length), &header);
        cr_assert_eq(verdict, PROXY_MALFORMED, "%u: %.40s: %d", i, wrongs[i].bytes, (int)verdict);
        cr_assert_str_eq(header.problem, wrongs[i].problem, "%.40s: %s", wrongs[i].bytes,
                         header.problem);
    }
}

Test(proxy_header, so_long_a_line_may_be) {
    char line[PROXY_V1_BYTES_MAX + 2];
    for (uint32_t length = PROXY_V1_BYTES_MAX - 1; length <= PROXY_V1_BYTES_MAX + 1; length++) {
        memset(line, 'x', sizeof line);
        memcpy(line, "PROXY UNKNOWN ", 14);
        memcpy(line + length - 2, "\r\n", 2);
        struct proxy_header header;
        enum proxy_verdict verdict = proxy_header_read(span_make(line, length), &header);
        cr_assert_eq(verdict, length <= PROXY_V1_BYTES_MAX ? PROXY_NO_SOURCE : PROXY_MALFORMED,
                     "%u", length);
    }
}

Test(proxy_header, so_long_a_body_may_be) {
    static uint8_t bytes[PROXY_V2_HEAD_BYTES + PROXY_V2_BODY_BYTES_MAX + 1];
    for (uint32_t body = PROXY_V2_BODY_BYTES_MAX - 1; body <= PROXY_V2_BODY_BYTES_MAX + 1; body++) {
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes, SIGNATURE, 12);
        bytes[12] = 0x20; // LOCAL: the body is not looked at
        bytes[14] = (uint8_t)(body >> 8);
        bytes[15] = (uint8_t)body;
        struct proxy_header header;
        enum proxy_verdict verdict =
            proxy_header_read(span_make(bytes, PROXY_V2_HEAD_BYTES + body), &header);
        cr_assert_eq(verdict, body <= PROXY_V2_BODY_BYTES_MAX ? PROXY_NO_SOURCE : PROXY_MALFORMED,
                     "%u", body);
    }
}

// CRC-32C of the header with a checksum of zero, by the polynomial's table form (a second opinion).
static uint32_t crc32c(const uint8_t *bytes, uint32_t length) {
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (uint32_t bit = 0; bit < 8; bit++) {
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
        }
        table[i] = crc;
    }
    uint32_t crc = UINT32_MAX;
    for (uint32_t i = 0; i < length; i++) {
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
    }
    return ~crc;
}

Test(proxy_header, a_checksum_is_looked_at) {
    cr_assert_eq(crc32c((const uint8_t *)"123456789", 9), 0xe3069283u); // the known check value
    uint8_t bytes[35] = SIGNATURE "\x21\x11\0\x13\xcb\0\x71\x07\x0a\0\0\x01\x12\x67\x01\xbb\x03\0"
                                  "\x04\0\0\0";
    uint32_t crc = crc32c(bytes, sizeof bytes);
    for (uint32_t i = 0; i < 4; i++) {
        bytes[31 + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
    struct proxy_header header;
    cr_assert_eq(proxy_header_read(span_make(bytes, sizeof bytes), &header), PROXY_SOURCE, "%s",
                 header.problem);
    enum { TYPE_AT = 28 }; // of another type it would be no checksum
    for (uint32_t at = PROXY_V2_HEAD_BYTES; at < sizeof bytes; at++) {
        bytes[at] ^= at == TYPE_AT ? 0 : 1;
        enum proxy_verdict wanted = at == TYPE_AT ? PROXY_SOURCE : PROXY_MALFORMED;
        cr_assert_eq(proxy_header_read(span_make(bytes, sizeof bytes), &header), wanted, "byte %u",
                     at);
        bytes[at] ^= at == TYPE_AT ? 0 : 1;
    }
}
