// A peer's address as plain data: 20 bytes in a table by connection. IPv4 is kept in its
// IPv6-mapped form.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum address_kind { ADDRESS_NONE, ADDRESS_IP, ADDRESS_UNIX };

struct address {
    uint8_t ip[16]; // network order; ::ffff:a.b.c.d for IPv4
    uint16_t port;  // host order
    uint8_t kind;   // enum address_kind
    uint8_t spare;
};

enum { ADDRESS_TEXT_BYTES = 56 }; // "[" 45 "]:" 5 and a terminator

bool address_is_v4(const struct address *address);
bool address_ip_equal(const struct address *a, const struct address *b); // ignores the port
bool address_is_loopback(const struct address *address); // 127.0.0.0/8, ::1, or a Unix socket
// "203.0.113.7:4711", "[2001:db8::1]:80", "unix"; with_port false leaves the port and the brackets
// out. Returns the length; terminated.
uint32_t address_format(const struct address *address, bool with_port,
                        char text[ADDRESS_TEXT_BYTES]);
// Parses "a.b.c.d" or an IPv6 literal without brackets or port. False: neither.
bool address_parse_ip(struct span text, struct address *address);

struct address_range { // CIDR
    uint8_t ip[16];
    uint8_t prefix_bits; // of the mapped form: an IPv4 /8 is 104
};
// "10.0.0.0/8", "2001:db8::/32" or a bare address. False: malformed, or bits set behind the prefix.
bool address_range_parse(struct span text, struct address_range *range);
bool address_in_range(const struct address *address, const struct address_range *range);
bool address_in_ranges(const struct address *address, const struct address_range *ranges,
                       uint32_t count);
