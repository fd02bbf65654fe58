#include "core/http/host.h"
#include "core/http/chars.h"
#include "core/http/request.h"

#include "core/base/pure.h"

static bool host_is_ipv4(struct span s) {
    for (int octets = 1; octets <= 4; octets++) {
        uint32_t length = http_class_length(s, HTTP_CHAR_DIGIT);
        uint32_t value = 0;
        for (uint32_t i = 0; i < length && i < 3; i++) {
            value = value * 10 + (uint32_t)(s.data[i] - '0');
        }
        bool has_leading_zero = length > 1 && s.data[0] == '0';
        if (length == 0 || length > 3 || value > 255 || has_leading_zero) {
            return false;
        }
        s = span_from(s, length);
        if (octets == 4) {
            break;
        }
        if (s.length == 0 || s.data[0] != '.') {
            return false;
        }
        s = span_from(s, 1);
    }
    return s.length == 0;
}

static bool host_starts_with_gap(struct span s) {
    return s.length >= 2 && s.data[0] == ':' && s.data[1] == ':';
}

// RFC 3986 3.2.2: eight groups of one to four hex digits, one run of zero groups written "::", the
// last two groups perhaps as IPv4. A gap stands for one group or more.
static bool host_is_ipv6(struct span s) {
    uint32_t groups = 0;
    bool has_gap = false;
    while (s.length > 0 && groups <= 8) {
        if (host_starts_with_gap(s)) {
            if (has_gap) {
                return false;
            }
            has_gap = true;
            s = span_from(s, 2);
            continue;
        }
        uint32_t digits = http_class_length(s, HTTP_CHAR_HEX);
        if (digits < s.length && s.data[digits] == '.') {
            groups += 2;
            return host_is_ipv4(s) && (has_gap ? groups <= 7 : groups == 8);
        }
        if (digits == 0 || digits > 4) {
            return false;
        }
        groups++;
        s = span_from(s, digits);
        if (s.length == 0 || host_starts_with_gap(s)) {
            continue;
        }
        if (s.data[0] != ':' || s.length == 1) {
            return false;
        }
        s = span_from(s, 1);
    }
    return has_gap ? groups <= 7 : groups == 8;
}

// Length of the registered name or IPv4 address at the start; it ends before the first byte that
// cannot belong to it.
static uint32_t host_name_length(struct span s) {
    uint32_t i = 0;
    while (i < s.length) {
        if (http_char_is(s.data[i], HTTP_CHAR_HOST)) {
            i++;
        } else if (s.data[i] == '%' && s.length - i >= 3 &&
                   http_char_is(s.data[i + 1], HTTP_CHAR_HEX) &&
                   http_char_is(s.data[i + 2], HTTP_CHAR_HEX)) {
            i += 3;
        } else {
            break;
        }
    }
    return i;
}

static bool host_is_port(struct span s) {
    if (s.length > 5 || http_class_length(s, HTTP_CHAR_DIGIT) != s.length) {
        return false;
    }
    uint32_t port = 0;
    for (uint32_t i = 0; i < s.length; i++) {
        port = port * 10 + (uint32_t)(s.data[i] - '0');
    }
    return port <= 65535;
}

struct span http_host_name(struct span host) {
    if (host.length > 0 && host.data[0] == '[') {
        int64_t end = span_find(host, ']');
        return end < 0 ? host : span_first(host, (uint32_t)end + 1);
    }
    int64_t colon = span_find(host, ':');
    return colon < 0 ? host : span_first(host, (uint32_t)colon);
}

bool http_host_is_valid(struct span text) {
    struct span name = http_host_name(text);
    if (name.length == 0) {
        return false;
    }
    if (name.data[0] == '[') {
        struct span inner = span_from(name, 1);
        if (inner.length == 0 || inner.data[inner.length - 1] != ']' ||
            !host_is_ipv6(span_first(inner, inner.length - 1))) {
            return false;
        }
    } else if (host_name_length(name) != name.length) {
        return false;
    }
    struct span rest = span_from(text, name.length);
    return rest.length == 0 || (rest.data[0] == ':' && host_is_port(span_from(rest, 1)));
}
