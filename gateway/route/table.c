// Linear search: tens of routes are a few hundred nanoseconds, most of them told apart by the first
// bytes. The path is compared as it came, if need be escape by escape, so that nothing is
// copied.
#include "core/base/check.h"
#include "core/http/request.h"
#include "gateway/config/path_byte.h"
#include "gateway/route/route.h"

#include <stdlib.h>

struct route_table {
    const struct config *config;
};

struct route_table *route_table_open(const struct config *config) {
    struct route_table *table = malloc(sizeof(*table));
    if (table != NULL) {
        table->config = config;
    }
    return table;
}

void route_table_close(struct route_table **table) {
    free(*table);
    *table = NULL;
}

// A segment as it came is `.` or `..`, whatever is escaped.
static bool is_dots(struct span segment) {
    uint32_t dots = 0;
    uint32_t at = 0;
    while (at < segment.length && dots <= 2) {
        bool is_escape = segment.data[at] == '%';
        int byte = is_escape ? path_escape_value(segment, at) : segment.data[at];
        if (byte != '.') {
            return false;
        }
        dots++;
        at += is_escape ? 3 : 1;
    }
    return at == segment.length && (dots == 1 || dots == 2);
}

// The next segment of a path: up to a slash or the end.
static struct span segment_take(struct span path, uint32_t start) {
    const uint8_t *slash = memchr(path.data + start, '/', path.length - start);
    uint32_t end = slash == NULL ? path.length : (uint32_t)(slash - path.data);
    return span_make(path.data + start, end - start);
}

static bool segment_is_valid(struct span segment, bool is_final) {
    if (segment.length == 0) {
        return is_final;
    }
    for (uint32_t at = 0; at < segment.length;) {
        uint8_t byte = segment.data[at];
        if (byte == '%') {
            int value = path_escape_value(segment, at);
            if (value < 0 || value == '/') {
                return false;
            }
            at += 3;
        } else if (path_byte_is_plain(byte)) {
            at++;
        } else {
            return false;
        }
    }
    return !is_dots(segment);
}

bool route_path_is_valid(struct span path) {
    if (path.length == 0 || path.data[0] != '/') {
        return false;
    }
    bool is_final = false;
    for (uint32_t start = 1; !is_final;) {
        struct span segment = segment_take(path, start);
        start += segment.length + 1;
        is_final = start > path.length;
        if (!segment_is_valid(segment, is_final)) {
            return false;
        }
    }
    return true;
}

static uint8_t hex_upper(uint8_t digit) {
    return digit >= 'a' ? digit & 0xdf : digit;
}

// `literal` is in the configuration's form: unreserved bytes plain, escapes in upper case.
static bool literal_matches(struct span literal, struct span segment) {
    if (literal.length > segment.length) {
        return false;
    }
    uint32_t matched = 0;
    for (uint32_t at = 0; at < segment.length;) {
        uint8_t piece[3] = {segment.data[at], 0, 0};
        uint32_t piece_length = 1;
        uint32_t used = 1;
        if (piece[0] == '%') {
            int value = path_escape_value(segment, at);
            check(value >= 0); // the path was checked
            used = 3;
            if (path_byte_is_unreserved((uint8_t)value)) {
                piece[0] = (uint8_t)value;
            } else {
                piece_length = 3;
                piece[1] = hex_upper(segment.data[at + 1]);
                piece[2] = hex_upper(segment.data[at + 2]);
            }
        }
        if (matched + piece_length > literal.length ||
            memcmp(literal.data + matched, piece, piece_length) != 0) {
            return false;
        }
        matched += piece_length;
        at += used;
    }
    return matched == literal.length;
}

// Whether a literal segment stands at `start`, and where the next one starts.
static bool literal_take(struct span literal, struct span path, bool has_escape, uint32_t *start) {
    if (has_escape) {
        struct span segment = segment_take(path, *start);
        *start += segment.length + 1;
        return literal_matches(literal, segment);
    }
    uint32_t end = *start + literal.length;
    bool is_here = end <= path.length && (end == path.length || path.data[end] == '/') &&
                   memcmp(path.data + *start, literal.data, literal.length) == 0;
    *start = end + 1;
    return is_here;
}

// `path` is valid. Fills the captures.
static bool path_matches(const struct config_path *pattern, struct span path, bool has_escape,
                         struct route_match *match) {
    uint32_t start = 1; // behind a slash; past the end when there is no further segment
    match->capture_count = 0;
    for (uint32_t i = 0; i < pattern->segment_count; i++) {
        if (start > path.length) {
            return false;
        }
        const struct config_segment *wanted = &pattern->segments[i];
        if (wanted->kind == CONFIG_SEGMENT_LITERAL) {
            if (!literal_take(wanted->text, path, has_escape, &start)) {
                return false;
            }
            continue;
        }
        struct span segment = segment_take(path, start);
        start += segment.length + 1;
        if (segment.length == 0) {
            return false;
        }
        match->captures[match->capture_count++] = segment;
    }
    bool is_longer = start <= path.length;
    return is_longer == pattern->has_rest;
}

// Methods by the kinds that the routes of a path answer. An upgrade is a GET.
static const char *allow_text(uint8_t kinds) {
    static const char *const texts[16] = {
        "",
        "GET",
        "HEAD",
        "GET, HEAD",
        "POST",
        "GET, POST",
        "HEAD, POST",
        "GET, HEAD, POST",
        "OPTIONS",
        "GET, OPTIONS",
        "HEAD, OPTIONS",
        "GET, HEAD, OPTIONS",
        "POST, OPTIONS",
        "GET, POST, OPTIONS",
        "HEAD, POST, OPTIONS",
        "GET, HEAD, POST, OPTIONS",
    };
    bool has_get = (kinds & (CONFIG_KIND_GET | CONFIG_KIND_UPGRADE)) != 0;
    return texts[(has_get ? 1 : 0) | ((kinds & CONFIG_KIND_HEAD) != 0 ? 2 : 0) |
                 ((kinds & CONFIG_KIND_POST) != 0 ? 4 : 0) |
                 ((kinds & CONFIG_KIND_OPTIONS) != 0 ? 8 : 0)];
}

// No route answers this kind; `kinds` are those that routes of this path do answer.
static enum route_result refusal(uint8_t kinds, uint8_t kind, struct route_match *match) {
    bool is_plain = kind != CONFIG_KIND_UPGRADE;
    if (kinds == 0 || !is_plain) {
        return ROUTE_NOT_FOUND; // also a WebSocket where there is only a page
    }
    bool is_read = kind == CONFIG_KIND_GET || kind == CONFIG_KIND_HEAD;
    if (kinds == CONFIG_KIND_UPGRADE || (is_read && (kinds & CONFIG_KIND_UPGRADE) != 0)) {
        return ROUTE_UPGRADE_REQUIRED;
    }
    match->allow = allow_text(kinds);
    return ROUTE_NOT_ALLOWED;
}

static bool captures_fit(const struct route_match *match) {
    uint8_t encoded[PLACEHOLDER_BYTES_MAX];
    for (uint32_t i = 0; i < match->capture_count; i++) {
        struct span_mut target = {.data = encoded, .length = sizeof(encoded)};
        if (route_value_encode(match->captures[i], target) == 0) {
            return false;
        }
    }
    return true;
}

static enum route_result table_search(const struct route_table *table,
                                      const struct route_request *request,
                                      struct route_match *match) {
    if (span_is(request->path, "*")) {
        return ROUTE_NOT_FOUND; // OPTIONS for the server itself
    }
    if (!route_path_is_valid(request->path)) {
        return ROUTE_PATH_MALFORMED;
    }
    struct span host = http_host_name(request->host);
    bool has_escape = span_find(request->path, '%') >= 0;
    uint8_t kinds = 0;
    for (uint32_t i = 0; i < table->config->route_count; i++) {
        const struct config_route *route = &table->config->routes[i];
        bool is_host = route->host.length == 0 || span_equal_nocase(route->host, host);
        if (!is_host || !path_matches(&route->path, request->path, has_escape, match)) {
            continue;
        }
        uint8_t answered = config_route_kinds(route);
        kinds |= answered;
        if ((answered & request->kind) == 0) {
            continue;
        }
        if (route->verb == CONFIG_VERB_CHANNELS && !captures_fit(match)) {
            return ROUTE_CAPTURE_TOO_LONG;
        }
        match->route = route;
        match->index = i;
        return ROUTE_FOUND;
    }
    return refusal(kinds, request->kind, match);
}

enum route_result route_match(const struct route_table *table, const struct route_request *request,
                              struct route_match *match) {
    match->route = NULL;
    match->claims = NULL;
    match->peer = NULL;
    match->allow = NULL;
    match->index = 0;
    match->capture_count = 0;
    enum route_result result = table_search(table, request, match);
    match->result = (uint8_t)result;
    check((result == ROUTE_FOUND) == (match->route != NULL));
    check((result == ROUTE_NOT_ALLOWED) == (match->allow != NULL));
    return result;
}
