// Can a request path match a route that it should not? The table against a slow twin that first
// brings the path into its normal form; what a match makes of its captures must be a channel name.
// The first byte chooses the kind.
#include "core/base/check.h"
#include "gateway/route/channel_name.h"
#include "gateway/route/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NORMAL_BYTES_MAX = 4096 };

static const char text[] = "listeners: [{address: 127.0.0.1:1}]\n"
                           "routes:\n"
                           "  - {path: /, page: demo}\n"
                           "  - {path: /echo, echo: {}}\n"
                           "  - {path: '/caf%C3%A9/a:b', echo: {}}\n"
                           "  - {path: '/c/{x}', channels: {publish: 'c.{x}', allow: ['{x}.*']}}\n"
                           "  - {path: '/{x}/of/{y}', channels: {publish: '{y}.{x}'}}\n"
                           "  - {path: '/d/{x}/*', channels: {subscribe: ['{x}']}}\n"
                           "  - {path: /e/, echo: {}}\n"
                           "  - {path: '/e/*', page: demo}\n";
// The paths again, in normal form, for the twin: `?` is a placeholder, `*` one segment or more.
static const char *const patterns[] = {
    "/", "/echo", "/caf%C3%A9/a:b", "/c/?", "/?/of/?", "/d/?/*", "/e/", "/e/*"};

static int no_file(void *context, const char *path, struct span *bytes) {
    (void)context; // there are none
    (void)path;
    (void)bytes;
    return -ENOENT;
}

static const char *no_environment(void *context, const char *name) {
    (void)context; // it is empty
    (void)name;
    return NULL;
}

static bool is_unreserved(int byte) {
    return byte > 0 && byte < 128 &&
           strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", byte) !=
               NULL;
}

static int print_unit(char *target, int byte) {
    if (is_unreserved(byte)) {
        target[0] = (char)byte;
        return 1;
    }
    return snprintf(target, 4, "%%%02X", (unsigned)byte);
}

static bool has_dots(const char *normal) {
    size_t length = strlen(normal);
    bool ends = (length >= 2 && strcmp(normal + length - 2, "/.") == 0) ||
                (length >= 3 && strcmp(normal + length - 3, "/..") == 0);
    return ends || strstr(normal, "/./") != NULL || strstr(normal, "/../") != NULL;
}

// The normal form with its terminator, or false for a path that is refused.
static bool normalize(struct span path, char *normal) {
    uint32_t length = 0;
    if (path.length == 0 || path.data[0] != '/') {
        return false;
    }
    for (uint32_t at = 0; at < path.length; at++) {
        int byte = path.data[at];
        if (byte == '%') {
            char digits[3] = {0};
            if (at + 2 >= path.length) {
                return false;
            }
            memcpy(digits, path.data + at + 1, 2);
            char *end;
            byte = (int)strtol(digits, &end, 16);
            bool is_hex = end == digits + 2 && digits[0] != '+' && digits[0] != '-' &&
                          strchr(" \t\n\v\f\r", digits[0]) == NULL && digits[1] != 'x' &&
                          digits[1] != 'X';
            if (!is_hex || byte == '/') {
                return false;
            }
            at += 2;
            length += (uint32_t)print_unit(normal + length, byte);
            continue;
        }
        if (byte != '/' && !is_unreserved(byte) &&
            (byte == 0 || byte > 126 || strchr("!$&'()*+,;=:@", byte) == NULL)) {
            return false;
        }
        normal[length++] = (char)byte;
    }
    normal[length] = 0;
    return strstr(normal, "//") == NULL && !has_dots(normal);
}

// Whether a normal path fits a pattern.
static bool fits(const char *pattern, const char *path) {
    while (*pattern != 0) { // each turn takes a byte off both, or a segment
        if (*pattern == '*') {
            return true; // the slash before it was there
        }
        if (*pattern == '?') {
            size_t segment = strcspn(path, "/");
            if (segment == 0) {
                return false;
            }
            path += segment;
            pattern++;
            continue;
        }
        if (*pattern != *path) {
            return false;
        }
        pattern++;
        path++;
    }
    return *path == 0;
}

static void check_captures(const struct route_match *match) {
    uint8_t name[CHANNEL_NAME_BYTES_MAX];
    struct span_mut target = {.data = name, .length = sizeof(name)};
    const struct config_channels *channels = &match->route->channels;
    if (channels->publish.part_count > 0) {
        uint32_t length = route_template_expand(&channels->publish, match, target);
        check(length == 0 || channel_name_is_valid(span_make(name, length)));
    }
    for (uint32_t i = 0; i < channels->allow.count; i++) {
        uint32_t length = route_template_expand(&channels->allow.items[i], match, target);
        check(length > 0 && name[length - 1] == '*');
        struct span start = span_make(name, length - 1);
        check(!channel_name_matches(span_make(name, length), start));
        check(channel_name_is_valid(start));
    }
}

static void check_match(const struct route_table *table, const struct route_request *request) {
    struct route_match match;
    enum route_result result = route_match(table, request, &match);
    char normal[NORMAL_BYTES_MAX];
    bool is_star = span_is(request->path, "*");
    if (!is_star && !normalize(request->path, normal)) {
        check(result == ROUTE_PATH_MALFORMED);
        check(!route_path_is_valid(request->path));
        return;
    }
    if (is_star) {
        check(result == ROUTE_NOT_FOUND);
        return;
    }
    check(route_path_is_valid(request->path));
    static const uint8_t verbs[] = {
        CONFIG_VERB_PAGE,     CONFIG_VERB_ECHO,     CONFIG_VERB_ECHO, CONFIG_VERB_CHANNELS,
        CONFIG_VERB_CHANNELS, CONFIG_VERB_CHANNELS, CONFIG_VERB_ECHO, CONFIG_VERB_PAGE};
    uint32_t found = 0;
    uint8_t kinds = 0;
    uint32_t count = sizeof(patterns) / sizeof(patterns[0]);
    for (; found < count; found++) {
        uint8_t answered = config_verb_kinds((enum config_verb)verbs[found]);
        bool is_match = fits(patterns[found], normal);
        kinds |= is_match ? answered : 0;
        if (is_match && (answered & request->kind) != 0) {
            break;
        }
    }
    if (found < count) {
        check(result == ROUTE_FOUND || result == ROUTE_CAPTURE_TOO_LONG);
        if (result == ROUTE_FOUND) {
            check(match.index == found);
            check_captures(&match);
        }
        return;
    }
    check(result == ROUTE_NOT_FOUND || kinds != 0);
    check(result == ROUTE_NOT_FOUND || result == ROUTE_NOT_ALLOWED ||
          result == ROUTE_UPGRADE_REQUIRED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > NORMAL_BYTES_MAX / 3) {
        return 0;
    }
    static struct config_errors errors;
    const struct config_source source = {
        .text = span_text(text), .file = "f", .load = no_file, .environment = no_environment};
    const struct config *config = config_open(&source, &errors);
    check(config != NULL);
    struct route_table *table = route_table_open(config);
    check(table != NULL);
    struct route_request request = {.path = span_make(data + 1, (uint32_t)size - 1),
                                    .kind = (uint8_t)(1 << data[0] % 6)};
    check_match(table, &request);
    // The same bytes as a query and as a value.
    struct span value;
    uint8_t bytes[NORMAL_BYTES_MAX];
    struct span_mut target = {.data = bytes, .length = sizeof(bytes)};
    if (route_query_find(request.path, "a", &value) && route_query_decode(value, &target)) {
        check(target.length <= value.length);
    }
    target = (struct span_mut){.data = bytes, .length = PLACEHOLDER_BYTES_MAX};
    uint32_t length = route_value_encode(request.path, target);
    check(length == 0 || channel_name_is_valid(span_make(bytes, length)));
    route_table_close(&table);
    config_close(&config);
    return 0;
}
