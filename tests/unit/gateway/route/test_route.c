// Which route answers which request, and how a request is refused.
#include "tests/unit/gateway/route/harness.h"

enum {
    UPGRADE = CONFIG_KIND_UPGRADE,
    GET = CONFIG_KIND_GET,
    HEAD = CONFIG_KIND_HEAD,
    POST = CONFIG_KIND_POST,
    OPTIONS = CONFIG_KIND_OPTIONS,
    OTHER = CONFIG_KIND_OTHER,
};

struct row {
    const char *host;
    const char *path;
    uint8_t kind;
    uint8_t result;
    uint32_t index;
    const char *allow; // ROUTE_NOT_ALLOWED only
};

static void check_rows(const char *routes, const struct row *rows, size_t count) {
    const struct config *config = routes_open(routes);
    struct route_table *table = route_table_open(config);
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct asked asked = ask(row->host, row->path, row->kind);
        struct route_match match;
        enum route_result result = route_match(table, &asked.request, &match);
        expect(result == row->result, "%s %s as %u: result %u, expected %u", row->host, row->path,
               row->kind, result, row->result);
        expect(match.result == result, "%s", row->path);
        if (result == ROUTE_FOUND) {
            expect(match.index == row->index, "%s: route %u, expected %u", row->path, match.index,
                   row->index);
            expect(match.route == &config->routes[row->index], "%s", row->path);
        }
        if (result == ROUTE_NOT_ALLOWED) {
            expect(strcmp(match.allow, row->allow) == 0, "%s: Allow: %s", row->path, match.allow);
        }
        asked_free(&asked);
    }
    route_table_close(&table);
    cr_assert(table == NULL);
    config_close(&config);
}

#define CHECK(routes, rows) check_rows(routes, rows, sizeof(rows) / sizeof((rows)[0]))

Test(route, paths_and_kinds) {
    static const struct row rows[] = {
        {"h", "/", GET, ROUTE_FOUND, 0, NULL},
        {"h", "/", HEAD, ROUTE_FOUND, 0, NULL},
        {"h", "/", POST, ROUTE_NOT_ALLOWED, 0, "GET, HEAD"},
        {"h", "/", OPTIONS, ROUTE_NOT_ALLOWED, 0, "GET, HEAD"},
        {"h", "/", OTHER, ROUTE_NOT_ALLOWED, 0, "GET, HEAD"},
        {"h", "/", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/echo", UPGRADE, ROUTE_FOUND, 1, NULL},
        {"h", "/echo", GET, ROUTE_UPGRADE_REQUIRED, 0, NULL},
        {"h", "/echo", HEAD, ROUTE_UPGRADE_REQUIRED, 0, NULL},
        {"h", "/echo", POST, ROUTE_UPGRADE_REQUIRED, 0, NULL},
        {"h", "/echo", OTHER, ROUTE_UPGRADE_REQUIRED, 0, NULL},
        {"h", "/echo/", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/ech", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/echoo", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/Echo", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/chat/a", UPGRADE, ROUTE_FOUND, 2, NULL},
        {"h", "/chat/a", POST, ROUTE_FOUND, 2, NULL},
        {"h", "/chat/a", OPTIONS, ROUTE_FOUND, 2, NULL},
        {"h", "/chat/a", GET, ROUTE_UPGRADE_REQUIRED, 0, NULL},
        {"h", "/chat/a", OTHER, ROUTE_NOT_ALLOWED, 0, "GET, POST, OPTIONS"},
        {"h", "/chat/", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/chat", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/chat/a/b", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/chat/a/", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/nothing", GET, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "*", OPTIONS, ROUTE_NOT_FOUND, 0, NULL},
    };
    CHECK("  - {path: /, page: demo}\n"
          "  - {path: /echo, echo: {}}\n"
          "  - {path: '/chat/{room}', channels: {publish: '{room}'}}\n",
          rows);
}

Test(route, a_page_and_a_socket_on_one_path) {
    static const struct row rows[] = {
        {"h", "/x", GET, ROUTE_FOUND, 0, NULL},
        {"h", "/x", UPGRADE, ROUTE_FOUND, 1, NULL},
        {"h", "/x", POST, ROUTE_NOT_ALLOWED, 0, "GET, HEAD"},
        {"h", "/y", GET, ROUTE_FOUND, 3, NULL},
        {"h", "/y", POST, ROUTE_FOUND, 2, NULL},
        {"h", "/y", OTHER, ROUTE_NOT_ALLOWED, 0, "GET, HEAD, POST, OPTIONS"},
    };
    CHECK("  - {path: /x, page: demo}\n"
          "  - {path: /x, echo: {}}\n"
          "  - {path: /y, channels: {publish: a}}\n"
          "  - {path: /y, page: demo}\n",
          rows);
}

Test(route, the_first_match_wins) {
    static const struct row rows[] = {
        {"h", "/a/special", UPGRADE, ROUTE_FOUND, 0, NULL},
        {"h", "/a/other", UPGRADE, ROUTE_FOUND, 1, NULL},
        {"h", "/a/other/more", UPGRADE, ROUTE_FOUND, 2, NULL},
        {"h", "/a/", UPGRADE, ROUTE_FOUND, 2, NULL},
        {"h", "/a", UPGRADE, ROUTE_FOUND, 3, NULL},
        {"h", "/", UPGRADE, ROUTE_FOUND, 3, NULL},
        {"h", "/b/c/d/", UPGRADE, ROUTE_FOUND, 3, NULL},
    };
    CHECK("  - {path: /a/special, echo: {}}\n"
          "  - {path: '/a/{x}', echo: {}}\n"
          "  - {path: '/a/*', echo: {}}\n"
          "  - {path: '/*', echo: {}}\n",
          rows);
}

Test(route, hosts) {
    static const struct row rows[] = {
        {"a.example.com", "/x", UPGRADE, ROUTE_FOUND, 0, NULL},
        {"A.Example.COM", "/x", UPGRADE, ROUTE_FOUND, 0, NULL},
        {"a.example.com:8080", "/x", UPGRADE, ROUTE_FOUND, 0, NULL},
        {"b.example.com", "/x", UPGRADE, ROUTE_FOUND, 2, NULL},
        {"a.example.com.evil.test", "/x", UPGRADE, ROUTE_FOUND, 2, NULL},
        {"", "/x", UPGRADE, ROUTE_FOUND, 2, NULL},
        {"[::1]:80", "/x", UPGRADE, ROUTE_FOUND, 1, NULL},
        {"[::1]", "/x", UPGRADE, ROUTE_FOUND, 1, NULL},
        {"b.example.com", "/y", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
    };
    CHECK("  - {path: /x, echo: {}, host: a.example.com}\n"
          "  - {path: /x, echo: {}, host: '[::1]'}\n"
          "  - {path: /x, echo: {}}\n"
          "  - {path: /y, echo: {}, host: a.example.com}\n",
          rows);
}

Test(route, unreserved_bytes_compare_decoded_and_others_by_their_escape) {
    static const struct row rows[] = {
        {"h", "/%65cho/%7E", UPGRADE, ROUTE_FOUND, 0, NULL},
        {"h", "/echo/~", UPGRADE, ROUTE_FOUND, 0, NULL},
        {"h", "/%65%63%68%6f/%7e", UPGRADE, ROUTE_FOUND, 0, NULL},
        {"h", "/%45cho/~", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/caf%C3%A9", UPGRADE, ROUTE_FOUND, 1, NULL},
        {"h", "/caf%c3%a9", UPGRADE, ROUTE_FOUND, 1, NULL},
        {"h", "/caf%c3%a8", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/caf%c3", UPGRADE, ROUTE_NOT_FOUND, 0, NULL},
        {"h", "/a:b", UPGRADE, ROUTE_FOUND, 2, NULL},
        {"h", "/a%3Ab", UPGRADE, ROUTE_NOT_FOUND, 0, NULL}, // reserved: escaped is another path
    };
    CHECK("  - {path: /echo/~, echo: {}}\n"
          "  - {path: /caf%C3%a9, echo: {}}\n"
          "  - {path: '/a:b', echo: {}}\n",
          rows);
}

Test(route, malformed_paths) {
    static const char *const paths[] = {
        "",        "a",    "//",      "/a//b",   "//a",     "/./a",   "/a/.",      "/..",
        "/a/../b", "/%2e", "/%2E%2e", "/.%2e/a", "/a/%2e.", "/a%2Fb", "/a%2fb",    "/%",
        "/%4",     "/%4g", "/%g4",    "/a b",    "/a\tb",   "/a\x7f", "/\xc3\xa9", "/a\"",
        "/<",      "/>",   "/\\",     "/^",      "/`",      "/{a}",   "/|",        "/a#b",
        "/a?b",    "/[",   "/]",      "?",       "/a/..",   "/a/%2f", "**",        "/a%",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const struct row row = {"h", paths[i], UPGRADE, ROUTE_PATH_MALFORMED, 0, NULL};
        check_rows("  - {path: '/*', echo: {}}\n", &row, 1);
    }
    struct span nul = span_make("/a\0b", 4);
    cr_assert(!route_path_is_valid(nul));
}

Test(route, odd_paths_that_are_right) {
    static const char *const paths[] = {
        "/...",           "/.a",   "/a.", "/..a", "/%2ea",     "/a..",       "/%00",   "/%5c",
        "/!$&'()*+,;=:@", "/-._~", "/*",  "/%25", "/a/b/c/d/", "/%e2%80%ae", "/.%2ea", "/%2e%2e%2e",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const struct row row = {"h", paths[i], UPGRADE, ROUTE_FOUND, 0, NULL};
        check_rows("  - {path: '/*', echo: {}}\n", &row, 1);
    }
}

Test(route, every_byte_of_a_path_is_plain_escaped_or_refused) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-._~!$&'()*+,;=:@/";
    for (uint32_t byte = 0; byte < 256; byte++) {
        const uint8_t path[] = {'/', 'a', (uint8_t)byte, 'a'};
        bool is_plain = byte != 0 && strchr(plain, (int)byte) != NULL;
        expect(route_path_is_valid(span_make(path, sizeof(path))) == is_plain, "byte %u", byte);
        char escaped[8];
        int length = snprintf(escaped, sizeof(escaped), "/a%%%02xa", byte);
        expect(route_path_is_valid(span_make(escaped, (uint32_t)length)) == (byte != '/'),
               "escape of %u", byte);
    }
}

static void captures_are(const char *path, const char *first, const char *second) {
    const struct config *config = routes_open("  - {path: '/{a}/x/{b}/*', echo: {}}\n");
    struct route_table *table = route_table_open(config);
    struct asked asked = ask("h", path, UPGRADE);
    struct route_match match;
    cr_assert(route_match(table, &asked.request, &match) == ROUTE_FOUND);
    cr_assert(match.capture_count == 2);
    cr_assert(span_is(match.captures[0], first) && span_is(match.captures[1], second));
    asked_free(&asked);
    route_table_close(&table);
    config_close(&config);
}

Test(route, captures_are_whole_segments_as_they_came) {
    captures_are("/1/x/22/", "1", "22");
    captures_are("/%41/x/a%20b/c", "%41", "a%20b");
    captures_are("/1/%78/2/3/4", "1", "2");
}

Test(route, a_capture_that_is_too_long_for_a_channel) {
    const struct config *config = routes_open("  - {path: '/c/{r}', channels: {publish: '{r}'}}\n"
                                              "  - {path: '/e/{r}', echo: {}}\n");
    struct route_table *table = route_table_open(config);
    for (uint32_t length = PLACEHOLDER_BYTES_MAX - 1; length <= PLACEHOLDER_BYTES_MAX + 1;
         length++) {
        char path[256] = "/c/";
        memset(path + 3, 'x', length);
        struct route_match match;
        struct route_request request = {.path = span_make(path, 3 + length), .kind = UPGRADE};
        enum route_result expected =
            length <= PLACEHOLDER_BYTES_MAX ? ROUTE_FOUND : ROUTE_CAPTURE_TOO_LONG;
        expect(route_match(table, &request, &match) == expected, "%u bytes", length);
        path[1] = 'e'; // an echo makes no channel of it
        expect(route_match(table, &request, &match) == ROUTE_FOUND, "%u bytes", length);
    }
    // 42 bytes of three each and two of one are 128.
    char path[256] = "/c/";
    memset(path + 3, ':', 42);
    memset(path + 3 + 42, 'x', 3);
    struct route_match match;
    struct route_request request = {.path = span_make(path, 3 + 44), .kind = UPGRADE};
    cr_assert(route_match(table, &request, &match) == ROUTE_FOUND);
    request.path.length++;
    cr_assert(route_match(table, &request, &match) == ROUTE_CAPTURE_TOO_LONG);
    route_table_close(&table);
    config_close(&config);
}

Test(route, the_second_capture_is_measured_too) {
    const struct config *config =
        routes_open("  - {path: '/{a}/{b}', channels: {publish: '{a}'}}\n");
    struct route_table *table = route_table_open(config);
    char path[256] = "/a/";
    memset(path + 3, 'x', 200);
    struct route_match match;
    struct route_request request = {.path = span_make(path, 3 + PLACEHOLDER_BYTES_MAX),
                                    .kind = UPGRADE};
    cr_assert(route_match(table, &request, &match) == ROUTE_FOUND);
    request.path.length++;
    cr_assert(route_match(table, &request, &match) == ROUTE_CAPTURE_TOO_LONG);
    route_table_close(&table);
    config_close(&config);
}

Test(route, many_routes_and_long_paths) {
    static char routes[8000];
    int length = 0;
    for (uint32_t i = 0; i < 60; i++) {
        length += snprintf(routes + length, sizeof(routes) - (size_t)length,
                           "  - {path: '/service-%u/{id}/events', echo: {}}\n", i);
    }
    const struct config *config = routes_open(routes);
    struct route_table *table = route_table_open(config);
    for (uint32_t i = 0; i < 61; i++) {
        char path[64];
        int path_length = snprintf(path, sizeof(path), "/service-%u/42/events", i);
        struct route_request request = {.path = span_make(path, (uint32_t)path_length),
                                        .kind = UPGRADE};
        struct route_match match;
        enum route_result expected = i < 60 ? ROUTE_FOUND : ROUTE_NOT_FOUND;
        expect(route_match(table, &request, &match) == expected, "%u", i);
        expect(i == 60 || match.index == i, "%u", i);
    }
    static uint8_t path[TARGET_BYTES_MAX];
    memset(path, '/', sizeof(path));
    for (uint32_t i = 1; i < sizeof(path); i += 2) {
        path[i] = 'a';
    }
    struct route_request request = {.path = span_make(path, sizeof(path)), .kind = UPGRADE};
    struct route_match match;
    cr_assert(route_match(table, &request, &match) == ROUTE_NOT_FOUND);
    route_table_close(&table);
    config_close(&config);
}
