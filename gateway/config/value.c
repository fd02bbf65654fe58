#include "gateway/config/value.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    UNIX_PATH_BYTES_MAX = 107, // sockaddr_un.sun_path with its terminator
};

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit byte_units[] = {
    {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};
static const struct unit time_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
enum { UNIT_COUNT = 4 };

bool value_count(struct span text, uint64_t *count) {
    if (text.length == 0 || (text.data[0] == '0' && text.length > 1)) {
        return false;
    }
    uint64_t value = 0;
    bool is_over = false;
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        is_over |= __builtin_mul_overflow(value, 10, &value);
        is_over |= __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value);
    }
    *count = is_over ? UINT64_MAX : value;
    return true;
}

static bool value_unit(struct span text, const struct unit *units, uint64_t *result) {
    uint32_t digits = 0;
    while (digits < text.length && text.data[digits] >= '0' && text.data[digits] <= '9') {
        digits++;
    }
    uint64_t count;
    if (!value_count(span_first(text, digits), &count)) {
        return false;
    }
    for (uint32_t i = 0; i < UNIT_COUNT; i++) {
        if (span_is(span_from(text, digits), units[i].name)) {
            bool is_over = __builtin_mul_overflow(count, units[i].factor, result);
            *result = is_over ? UINT64_MAX : *result;
            return true;
        }
    }
    return false;
}

bool value_bytes(struct span text, uint64_t *bytes) {
    return value_unit(text, byte_units, bytes);
}

bool value_ms(struct span text, uint64_t *ms) {
    return value_unit(text, time_units, ms);
}

static struct value_text unit_text(uint64_t value, const struct unit *units) {
    struct value_text result;
    const struct unit *unit = &units[0];
    for (uint32_t i = 0; i < UNIT_COUNT; i++) {
        unit = &units[i];
        if (value % unit->factor == 0 && (value > 0 || unit->factor == 1)) {
            break;
        }
    }
    snprintf(result.text, sizeof(result.text), "%" PRIu64 "%s", value / unit->factor, unit->name);
    return result;
}

struct value_text value_bytes_text(uint64_t bytes) {
    return unit_text(bytes, byte_units);
}

struct value_text value_ms_text(uint64_t ms) {
    return unit_text(ms, time_units);
}

static const char *parse_port(struct span text, uint16_t *port) {
    uint64_t number;
    if (!value_count(text, &number) || number == 0 || number > UINT16_MAX) {
        return "has no port of 1 to 65535; write host:port such as 127.0.0.1:8080";
    }
    *port = (uint16_t)number;
    return NULL;
}

static const char *parse_unix(struct span path, struct config_address *address) {
    address->address.kind = ADDRESS_UNIX;
    address->path = path;
    if (path.length == 0 || path.length > UNIX_PATH_BYTES_MAX || span_find(path, 0) >= 0) {
        return "names no socket path of 1 to 107 bytes; write unix:/path";
    }
    return NULL;
}

static const char *parse_v6(struct span text, struct config_address *address) {
    int64_t end = span_find(text, ']');
    if (end < 0 || end + 1 >= text.length || text.data[end + 1] != ':') {
        return "is not of the form [address]:port; write it such as \"[::1]:8080\"";
    }
    struct span host = span_first(span_from(text, 1), (uint32_t)end - 1);
    if (span_find(host, ':') < 0 || !address_parse_ip(host, &address->address)) {
        return "has no IPv6 address in its brackets; write it such as \"[::1]:8080\"";
    }
    return parse_port(span_from(text, (uint32_t)end + 2), &address->address.port);
}

const char *value_address(struct span text, struct config_address *address) {
    *address = (struct config_address){.text = text};
    if (text.length >= 5 && memcmp(text.data, "unix:", 5) == 0) {
        return parse_unix(span_from(text, 5), address);
    }
    if (text.length > 0 && text.data[0] == '[') {
        return parse_v6(text, address);
    }
    int64_t colon = span_find(text, ':');
    if (colon < 0) {
        return "has no port; write host:port such as 127.0.0.1:8080, or unix:/path";
    }
    struct span rest = span_from(text, (uint32_t)colon + 1);
    if (span_find(rest, ':') >= 0) {
        return "is an IPv6 address without brackets; write it such as \"[::1]:8080\"";
    }
    if (!address_parse_ip(span_first(text, (uint32_t)colon), &address->address)) {
        return "does not begin with a numeric address; write 0.0.0.0:PORT for every interface or "
               "127.0.0.1:PORT for this machine only";
    }
    return parse_port(rest, &address->address.port);
}

bool value_address_is_equal(const struct config_address *a, const struct config_address *b) {
    return a->address.kind == b->address.kind && a->address.port == b->address.port &&
           span_equal(a->path, b->path) && address_ip_equal(&a->address, &b->address);
}
