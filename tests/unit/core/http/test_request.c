#include "tests/unit/core/http/http_test.h"

Test(request, rfc_9112_example) {
    struct http_request request;
    http_test_parse("GET /hello.txt HTTP/1.1\r\n"
                    "User-Agent: curl/7.64.1\r\n"
                    "Host: www.example.com\r\n"
                    "Accept-Language: en, mi\r\n"
                    "\r\n",
                    &request);
    cr_assert_eq(request.method, HTTP_GET);
    http_test_is(request.method_text, "GET");
    http_test_is(request.target, "/hello.txt");
    http_test_is(request.path, "/hello.txt");
    cr_assert_eq(request.query.length, 0);
    http_test_is(request.host, "www.example.com");
    cr_assert_eq(request.version_minor, 1);
    cr_assert_eq(request.field_count, 3);
    http_test_is(request.fields[2].name, "Accept-Language");
    http_test_is(request.fields[2].value, "en, mi");
    cr_assert(request.keep_alive);
    cr_assert_not(request.has_content_length);
    cr_assert_not(request.is_chunked);
    cr_assert_not(request.has_upgrade);
    cr_assert_not(request.expects_continue);
}

Test(request, rfc_6455_example) {
    struct http_request request;
    http_test_parse("GET /chat HTTP/1.1\r\n"
                    "Host: server.example.com\r\n"
                    "Upgrade: websocket\r\n"
                    "Connection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                    "Origin: http://example.com\r\n"
                    "Sec-WebSocket-Protocol: chat, superchat\r\n"
                    "Sec-WebSocket-Version: 13\r\n"
                    "\r\n",
                    &request);
    http_test_is(request.path, "/chat");
    cr_assert(request.has_upgrade);
    cr_assert_eq(request.field_count, 7);
}

Test(request, a_higher_minor_version_is_read_as_the_highest_known) { // RFC 9110 2.5
    struct http_request request;
    for (char minor = '2'; minor <= '9'; minor++) {
        char head[64];
        snprintf(head, sizeof head, "GET / HTTP/1.%c\r\nHost: a\r\n\r\n", minor);
        http_test_parse(head, &request);
        cr_assert_eq(request.version_minor, 1);
        cr_assert(request.keep_alive);
    }
}

Test(request, methods) {
    static const struct {
        const char *text;
        enum http_method method;
    } rows[] = {
        {"GET", HTTP_GET},         {"HEAD", HTTP_HEAD},      {"POST", HTTP_POST},
        {"PUT", HTTP_PUT},         {"DELETE", HTTP_DELETE},  {"PATCH", HTTP_PATCH},
        {"OPTIONS", HTTP_OPTIONS}, {"get", HTTP_OTHER},      {"TRACE", HTTP_OTHER},
        {"GETS", HTTP_OTHER},      {"M-SEARCH", HTTP_OTHER}, {"!#$%&'*+-.^_`|~09az", HTTP_OTHER},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char head[128];
        snprintf(head, sizeof head, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].text);
        struct http_request request;
        http_test_parse(head, &request);
        cr_assert_eq(request.method, rows[i].method, "%s", rows[i].text);
        http_test_is(request.method_text, rows[i].text);
    }
}

Test(request, targets) {
    static const struct {
        const char *method, *target, *path, *query, *host;
    } rows[] = {
        {"GET", "/", "/", "", "h"},
        {"GET", "/a/b%20c", "/a/b%20c", "", "h"},
        {"GET", "/?", "/", "", "h"},
        {"GET", "/a?b=c&d", "/a", "b=c&d", "h"},
        {"GET", "/a?b?c", "/a", "b?c", "h"},
        {"GET", "//a", "//a", "", "h"},
        {"GET", "/http://b/c", "/http://b/c", "", "h"},
        {"GET", "/a{b}|c\"<>\\^`", "/a{b}|c\"<>\\^`", "", "h"},
        {"GET", "http://b/c?d", "/c", "d", "b"},
        {"GET", "HTTPS://b:443/", "/", "", "b:443"},
        {"GET", "http://b", "/", "", "b"},
        {"GET", "http://b?c", "/", "c", "b"},
        {"GET", "http://[::1]:8080/x", "/x", "", "[::1]:8080"},
        {"GET", "http://b:/x", "/x", "", "b:"},
        {"OPTIONS", "*", "*", "", "h"},
        {"OPTIONS", "/a", "/a", "", "h"},
        {"OPTIONS", "http://b:80", "*", "", "b:80"},
        {"OPTIONS", "http://b/", "/", "", "b"},
        {"OPTIONS", "http://b?c", "/", "c", "b"},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char head[256];
        snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: h\r\n\r\n", rows[i].method,
                 rows[i].target);
        struct http_request request;
        http_test_parse(head, &request);
        http_test_is(request.target, rows[i].target);
        http_test_is(request.path, rows[i].path);
        http_test_is(request.query, rows[i].query);
        http_test_is(request.host, rows[i].host);
    }
}

Test(request, hosts) {
    static const char *const rows[] = {
        "a",
        "a.example",
        "a.example.",
        "A-b_c.example:80",
        "127.0.0.1",
        "1.2.3.4:80",
        "a:",
        "a:0",
        "a:65535",
        "a:00080",
        "%41",
        "a~!$&'()*+;=",
        "[::]",
        "[::1]",
        "[::1]:443",
        "[1::]",
        "[1:2:3:4:5:6:7:8]",
        "[1:2:3:4:5:6:7::]",
        "[::2:3:4:5:6:7:8]",
        "[1::3:4:5:6:7:8]",
        "[2001:DB8::abcd]",
        "[::ffff:1.2.3.4]",
        "[1:2:3:4:5:6:1.2.3.4]:1",
        "[::0.0.0.255]",
        "999.999.999.999",
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char head[256];
        snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost:%s\r\n\r\n", rows[i]);
        struct http_request request;
        http_test_parse(head, &request);
        http_test_is(request.host, rows[i]);
    }
}

Test(request, host_name_is_without_its_port) {
    static const char *const rows[][2] = {
        {"a", "a"}, {"a:80", "a"}, {"a:", "a"}, {"[::1]", "[::1]"}, {"[::1]:80", "[::1]"}, {"", ""},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        http_test_is(http_host_name(span_text(rows[i][0])), rows[i][1]);
    }
}

Test(request, values_are_trimmed_of_spaces_and_tabs_and_kept_otherwise) {
    struct http_request request;
    http_test_parse("GET / HTTP/1.1\r\nHost: \t a \t\r\nA:\r\nB: \t \r\nC:x\r\n"
                    "D:  \"q, \t w\" ;\xff\x80:  \r\n\r\n",
                    &request);
    http_test_is(request.host, "a");
    http_test_is(request.fields[1].value, "");
    http_test_is(request.fields[2].value, "");
    http_test_is(request.fields[3].value, "x");
    http_test_is(request.fields[4].value, "\"q, \t w\" ;\xff\x80:");
}

Test(request, http_1_0_may_omit_host) {
    struct http_request request;
    http_test_parse("GET / HTTP/1.0\r\n\r\n", &request);
    cr_assert_eq(request.version_minor, 0);
    cr_assert_eq(request.host.length, 0);
    cr_assert_not(request.keep_alive);
    http_test_parse("GET / HTTP/1.0\r\nHost: a\r\n\r\n", &request);
    http_test_is(request.host, "a");
}

Test(request, empty_line_in_front_is_part_of_the_head) {
    struct http_request request;
    http_test_parse("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &request);
    http_test_is(request.path, "/");
}

Test(request, keep_alive_follows_connection_and_version) {
    static const struct {
        const char *version, *fields;
        bool keep_alive;
    } rows[] = {
        {"1.1", "", true},
        {"1.1", "Connection: keep-alive\r\n", true},
        {"1.1", "Connection: close\r\n", false},
        {"1.1", "Connection: CLOSE\r\n", false},
        {"1.1", "connection: foo ,\t close\r\n", false},
        {"1.1", "Connection: foo\r\nConnection: close\r\n", false},
        {"1.1", "Connection: keep-alive, close\r\n", false},
        {"1.1", "Connection: closed, enclose\r\n", true},
        {"1.1", "Connection:\r\n", true},
        {"1.0", "", false},
        {"1.0", "Connection: Keep-Alive\r\n", true},
        {"1.0", "Connection: keep-alive, close\r\n", false},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char head[256];
        snprintf(head, sizeof head, "GET / HTTP/%s\r\nHost: a\r\n%s\r\n", rows[i].version,
                 rows[i].fields);
        struct http_request request;
        http_test_parse(head, &request);
        cr_assert_eq(request.keep_alive, rows[i].keep_alive, "%s", head);
    }
}

Test(request, has_upgrade_needs_the_option_and_the_field) {
    static const struct {
        const char *fields;
        bool has_upgrade;
    } rows[] = {
        {"Connection: Upgrade\r\nUpgrade: x\r\n", true},
        {"Connection: keep-alive, UPGRADE\r\nUpgrade: x\r\n", true},
        {"Connection: keep-alive\r\nUpgrade: x\r\nConnection: upgrade\r\n", true},
        {"Connection: ,,upgrade,\r\nUpgrade: x\r\n", true},
        {"Connection: Upgrade\r\n", false},
        {"Upgrade: x\r\n", false},
        {"Connection: upgrades, no-upgrade\r\nUpgrade: x\r\n", false},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char head[256];
        snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].fields);
        struct http_request request;
        http_test_parse(head, &request);
        cr_assert_eq(request.has_upgrade, rows[i].has_upgrade, "%s", head);
    }
}

Test(request, expect_continue_only_where_a_body_follows) {
    static const struct {
        const char *version, *fields;
        bool expects_continue;
    } rows[] = {
        {"1.1", "Expect: 100-continue\r\nContent-Length: 1\r\n", true},
        {"1.1", "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", true},
        {"1.1", "Expect: 100-continue\r\n", false},
        {"1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", false},
        {"1.1", "Content-Length: 1\r\n", false},
        {"1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", false},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char head[256];
        snprintf(head, sizeof head, "POST / HTTP/%s\r\nHost: a\r\n%s\r\n", rows[i].version,
                 rows[i].fields);
        struct http_request request;
        http_test_parse(head, &request);
        cr_assert_eq(request.expects_continue, rows[i].expects_continue, "%s", head);
    }
}

Test(request, body_framing) {
    struct http_request request;
    http_test_parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", &request);
    cr_assert(request.has_content_length);
    cr_assert_eq(request.content_length, 0);
    http_test_parse("POST / HTTP/1.1\r\nHost: a\r\ncontent-length:\t0042 \r\n\r\n", &request);
    cr_assert_eq(request.content_length, 42);
    http_test_parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n",
                    &request);
    cr_assert_eq(request.content_length, 9999999999999999999u);
    http_test_parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \tChunKed \r\n\r\n",
                    &request);
    cr_assert(request.is_chunked);
    cr_assert_not(request.has_content_length);
    cr_assert_eq(request.content_length, 0);
}

// `count` fields besides Host.
static const char *verdict_with_fields(uint32_t count) {
    static char head[8192];
    static struct http_request request;
    int length = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (uint32_t i = 0; i < count; i++) {
        length += snprintf(head + length, sizeof head - (size_t)length, "X-%u: y\r\n", i);
    }
    length += snprintf(head + length, sizeof head - (size_t)length, "\r\n");
    const char *verdict = http_test_verdict(span_make(head, (uint32_t)length), &request);
    cr_assert_leq(request.field_count, HEADER_FIELDS_MAX);
    return verdict;
}

Test(request, field_count_limit_at_its_edges) {
    cr_assert_str_eq(verdict_with_fields(HEADER_FIELDS_MAX - 2), "fine");
    cr_assert_str_eq(verdict_with_fields(HEADER_FIELDS_MAX - 1), "fine");
    cr_assert_str_eq(verdict_with_fields(HEADER_FIELDS_MAX), "header_too_many");
}

// In one field, or in two.
static const char *verdict_with_options(uint32_t count, uint32_t second) {
    static char head[8192];
    static struct http_request request;
    int length = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\nConnection: x");
    for (uint32_t i = 1; i < count; i++) {
        length += snprintf(head + length, sizeof head - (size_t)length,
                           i == second ? "\r\nConnection: x" : ", x");
    }
    length += snprintf(head + length, sizeof head - (size_t)length, "\r\n\r\n");
    return http_test_verdict(span_make(head, (uint32_t)length), &request);
}

Test(request, connection_options_limit_at_its_edges) {
    for (uint32_t second = 0; second < 20; second += 10) {
        cr_assert_str_eq(verdict_with_options(CONNECTION_OPTIONS_MAX - 1, second), "fine");
        cr_assert_str_eq(verdict_with_options(CONNECTION_OPTIONS_MAX, second), "fine");
        cr_assert_str_eq(verdict_with_options(CONNECTION_OPTIONS_MAX + 1, second),
                         "header_too_many");
    }
}

static const char *verdict_with_line(uint32_t method_bytes, uint32_t target_bytes) {
    static char head[TARGET_BYTES_MAX + 256];
    static struct http_request request;
    memset(head, 'm', method_bytes);
    head[method_bytes] = ' ';
    memset(head + method_bytes + 1, '/', target_bytes);
    uint32_t used = method_bytes + 1 + target_bytes;
    used += (uint32_t)snprintf(head + used, sizeof head - used, " HTTP/1.1\r\nHost: a\r\n\r\n");
    return http_test_verdict(span_make(head, used), &request);
}

Test(request, method_and_target_limits_at_their_edges) {
    cr_assert_str_eq(verdict_with_line(METHOD_BYTES_MAX - 1, 1), "fine");
    cr_assert_str_eq(verdict_with_line(METHOD_BYTES_MAX, 1), "fine");
    cr_assert_str_eq(verdict_with_line(METHOD_BYTES_MAX + 1, 1), "method_unknown");
    cr_assert_str_eq(verdict_with_line(1, TARGET_BYTES_MAX - 1), "fine");
    cr_assert_str_eq(verdict_with_line(1, TARGET_BYTES_MAX), "fine");
    cr_assert_str_eq(verdict_with_line(1, TARGET_BYTES_MAX + 1), "target_too_long");
    cr_assert_str_eq(verdict_with_line(METHOD_BYTES_MAX, TARGET_BYTES_MAX), "fine");
    cr_assert_str_eq(verdict_with_line(METHOD_BYTES_MAX, TARGET_BYTES_MAX + 1), "target_too_long");
}

Test(request, every_truncation_is_refused) {
    struct span head = span_text("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");
    static struct http_request request;
    for (uint32_t length = 0; length < head.length; length++) {
        uint8_t *copy = http_test_copy(span_first(head, length));
        cr_assert_not_null(http_request_parse(span_make(copy, length), &request), "%u", length);
        free(copy);
    }
    cr_assert_null(http_request_parse(head, &request));
    struct span longer = span_text("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n.");
    cr_assert_eq(http_request_parse(longer, &request), fault_get(FAULT_field_malformed));
}
