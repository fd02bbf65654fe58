#include "core/http/upgrade.h"
#include "tests/unit/core/http/http_test.h"

static struct http_request request;

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define SOUND UPGRADE VERSION KEY

static const char *check_line(const char *line, const char *fields) {
    static char head[8192];
    snprintf(head, sizeof head, "%s\r\nHost: a\r\n%s\r\n", line, fields);
    http_test_parse(head, &request);
    struct span key = span_empty();
    const struct fault *fault = http_upgrade_check(&request, &key);
    cr_assert_eq(key.length, fault == NULL ? 24 : 0);
    return fault == NULL ? "fine" : fault->name;
}

static void expect(const char *line, const char *fields, const char *verdict) {
    const char *got = check_line(line, fields);
    cr_assert_str_eq(got, verdict, "%s for\n%s\n%s", got, line, fields);
}

static void expect_fields(const char *fields, const char *verdict) {
    expect("GET /chat HTTP/1.1", fields, verdict);
}

Test(upgrade, accept_is_the_example_of_rfc_6455) {
    uint8_t text[WEBSOCKET_ACCEPT_BYTES];
    http_upgrade_accept(span_text("dGhlIHNhbXBsZSBub25jZQ=="), text);
    http_test_is(span_make(text, sizeof text), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

Test(upgrade, a_sound_request_passes_and_lends_its_key) {
    expect_fields(SOUND, "fine");
    struct span key;
    cr_assert_null(http_upgrade_check(&request, &key));
    http_test_is(key, "dGhlIHNhbXBsZSBub25jZQ==");
    expect_fields(SOUND "Content-Length: 0\r\n", "fine");
    expect("GET http://b/chat?x HTTP/1.1", SOUND, "fine");
}

Test(upgrade, wants_websocket_by_any_element_in_any_case) {
    static const struct {
        const char *fields;
        bool wants;
    } rows[] = {
        {"Upgrade: websocket\r\n", true},
        {"Upgrade: WebSocket\r\n", true},
        {"Upgrade: h2c, websocket\r\n", true},
        {"Upgrade: h2c\r\nUpgrade: WEBSOCKET\r\n", true},
        {"Upgrade: h2c\r\n", false},
        {"Upgrade: websocket/13\r\n", false},
        {"Upgrade: xwebsocket, websockets\r\n", false},
        {"Upgrade:\r\n", false},
        {"", false},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_line("GET / HTTP/1.1", rows[i].fields);
        cr_assert_eq(http_wants_websocket(&request), rows[i].wants, "%s", rows[i].fields);
    }
}

Test(upgrade, every_rule_has_its_fault) {
    expect("GET / HTTP/1.0", SOUND, "version_too_old");
    expect("POST / HTTP/1.1", SOUND, "upgrade_method");
    expect("HEAD / HTTP/1.1", SOUND, "upgrade_method");
    expect("OPTIONS * HTTP/1.1", SOUND, "upgrade_method");
    expect("get / HTTP/1.1", SOUND, "upgrade_method");
    expect_fields(SOUND "Content-Length: 1\r\n", "upgrade_with_body");
    expect_fields(SOUND "Transfer-Encoding: chunked\r\n", "upgrade_with_body");
    expect_fields("Connection: Upgrade\r\nUpgrade: h2c\r\n" VERSION KEY, "upgrade_token");
    expect_fields("Connection: Upgrade\r\n" VERSION KEY, "upgrade_token");
    expect_fields("Upgrade: websocket\r\n" VERSION KEY, "connection_token");
    expect_fields("Upgrade: websocket\r\nConnection: close\r\n" VERSION KEY, "connection_token");
}

Test(upgrade, connection_and_upgrade_are_lists) {
    expect_fields("Upgrade: WEBSOCKET\r\nConnection: upgrade\r\n" VERSION KEY, "fine");
    expect_fields("Upgrade: websocket\t\r\nConnection: keep-alive, Upgrade\r\n" VERSION KEY,
                  "fine");
    expect_fields("Upgrade: foo/2, websocket\r\nConnection: UPGRADE,keep-alive\r\n" VERSION KEY,
                  "fine");
    expect_fields("Connection: x\r\nUpgrade: foo\r\nConnection: upgrade\r\n"
                  "Upgrade: websocket\r\n" VERSION KEY,
                  "fine");
}

Test(upgrade, versions) {
    expect_fields(UPGRADE KEY, "websocket_version");
    static const char *const rows[] = {"",    "8",      "14",    "013", "13.0", "1 3",
                                       "-13", "13, 13", "13, 8", "0",   "255",  "\"13\""};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char fields[256];
        snprintf(fields, sizeof fields, UPGRADE KEY "Sec-WebSocket-Version: %s\r\n", rows[i]);
        expect_fields(fields, "websocket_version");
    }
    expect_fields(SOUND VERSION, "websocket_version");
    expect_fields(UPGRADE KEY "sec-websocket-version:13\t \r\n", "fine");
    // The version is the more helpful answer: keys of other versions look different.
    expect_fields(UPGRADE "Sec-WebSocket-Version: 8\r\n", "websocket_version");
}

Test(upgrade, keys) {
    expect_fields(UPGRADE VERSION, "websocket_key");
    expect_fields(SOUND KEY, "websocket_key");
    static const char *const bad[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZWU=",
        "dGhlIHNhbXBsZSBub25jZWVl",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25j ZQ==",
        "dGhlIHNhbXBsZSBub25=ZQ==",
        "dGhlIHNhbXBsZSBub25-ZQ==",
        "dGhlIHNhbXBsZSBub25_ZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
        "\"dGhlIHNhbXBsZSBub25jZQ==\"",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZQ==",
        "\xc3\xa9hlIHNhbXBsZSBub25jZQ==",
    };
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char fields[512];
        snprintf(fields, sizeof fields, UPGRADE VERSION "Sec-WebSocket-Key: %s\r\n", bad[i]);
        expect_fields(fields, "websocket_key");
    }
    // The example of RFC 6455 4.1, whose last character has unused bits set.
    expect_fields(UPGRADE VERSION "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==\r\n", "fine");
    expect_fields(UPGRADE VERSION "Sec-WebSocket-Key:\t++++++++++//////////AA== \r\n", "fine");
}

Test(upgrade, protocols) {
    static const struct {
        const char *fields, *verdict;
    } rows[] = {
        {"Sec-WebSocket-Protocol: chat\r\n", "fine"},
        {"Sec-WebSocket-Protocol: chat, superchat\r\n", "fine"},
        {"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b,c\r\n", "fine"},
        {"Sec-WebSocket-Protocol: a,,b\r\n", "fine"},
        {"Sec-WebSocket-Protocol: a, A\r\n", "fine"},
        {"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol:\r\n", "fine"},
        {"Sec-WebSocket-Protocol:\r\n", "websocket_protocol"},
        {"Sec-WebSocket-Protocol: ,\r\n", "websocket_protocol"},
        {"Sec-WebSocket-Protocol: a, a\r\n", "websocket_protocol"},
        {"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n", "websocket_protocol"},
        {"Sec-WebSocket-Protocol: a b\r\n", "websocket_protocol"},
        {"Sec-WebSocket-Protocol: a;b\r\n", "websocket_protocol"},
        {"Sec-WebSocket-Protocol: a/b\r\n", "websocket_protocol"},
        {"Sec-WebSocket-Protocol: \"a\"\r\n", "websocket_protocol"},
        {"Sec-WebSocket-Protocol: a\xc3\xa9\r\n", "websocket_protocol"},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char fields[512];
        snprintf(fields, sizeof fields, "%s%s", SOUND, rows[i].fields);
        expect_fields(fields, rows[i].verdict);
    }
}

Test(upgrade, protocol_count_limit_at_its_edges) {
    for (int count = SUBPROTOCOLS_MAX - 1; count <= SUBPROTOCOLS_MAX + 1; count++) {
        char fields[2048];
        int length = snprintf(fields, sizeof fields, SOUND "Sec-WebSocket-Protocol: p0");
        for (int i = 1; i < count; i++) {
            length += snprintf(fields + length, sizeof fields - (size_t)length, ",p%d", i);
        }
        snprintf(fields + length, sizeof fields - (size_t)length, "\r\n");
        expect_fields(fields, count <= SUBPROTOCOLS_MAX ? "fine" : "websocket_protocol");
    }
}

Test(upgrade, subprotocols_are_walked_in_the_clients_order) {
    expect_fields(SOUND "Sec-WebSocket-Protocol: b ,a\r\nX: y\r\nsec-websocket-protocol: ,c\r\n",
                  "fine");
    struct http_list_cursor cursor = {0};
    struct span name;
    static const char *const wanted[] = {"b", "a", "c"};
    for (int i = 0; i < 3; i++) {
        cr_assert(http_subprotocol_next(&request, &cursor, &name));
        http_test_is(name, wanted[i]);
    }
    cr_assert_not(http_subprotocol_next(&request, &cursor, &name));
    cr_assert_not(http_subprotocol_next(&request, &cursor, &name));
    expect_fields(SOUND, "fine");
    cursor = (struct http_list_cursor){0};
    cr_assert_not(http_subprotocol_next(&request, &cursor, &name));
    cr_assert_not(http_subprotocol_next(&request, &cursor, &name));
}

Test(upgrade, extensions) {
    static const struct {
        const char *value, *verdict;
    } rows[] = {
        {"permessage-deflate", "fine"},
        {"permessage-deflate; client_max_window_bits", "fine"},
        {"permessage-deflate; client_max_window_bits; server_max_window_bits=10", "fine"},
        {"permessage-deflate; server_max_window_bits=\"10\"", "fine"},
        {"permessage-deflate; server_max_window_bits=\"\\1\\0\"", "fine"},
        {"foo, bar; baz=2", "fine"},
        {"foo,,bar", "fine"},
        {"foo;a;a=1", "fine"},
        {"foo ; a = b\t;c", "fine"},
        {"", "websocket_extensions"},
        {",", "websocket_extensions"},
        {"foo;", "websocket_extensions"},
        {"foo;;a", "websocket_extensions"},
        {"foo; a;", "websocket_extensions"},
        {";a", "websocket_extensions"},
        {"foo bar", "websocket_extensions"},
        {"foo; a b", "websocket_extensions"},
        {"foo; a=", "websocket_extensions"},
        {"foo; a=b c", "websocket_extensions"},
        {"foo; =b", "websocket_extensions"},
        {"foo; a=b=c", "websocket_extensions"},
        {"foo=b", "websocket_extensions"},
        {"\"foo\"", "websocket_extensions"},
        {"foo; \"a\"=b", "websocket_extensions"},
        {"foo; a=\"\"", "websocket_extensions"},
        {"foo; a=\"b c\"", "websocket_extensions"},
        {"foo; a=\"b,c\"", "websocket_extensions"},
        {"foo; a=\"b;c\"", "websocket_extensions"},
        {"foo; a=\"b", "websocket_extensions"},
        {"foo; a=\"", "websocket_extensions"},
        {"foo; a=\"b\\\"", "websocket_extensions"},
        {"foo; a=\"b\\", "websocket_extensions"},
        {"foo; a=b\"c\"", "websocket_extensions"},
        {"foo; a=\"b\"c", "websocket_extensions"},
        {"f\xc3\xb6o", "websocket_extensions"},
        {"foo, bar/baz", "websocket_extensions"},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char fields[512];
        snprintf(fields, sizeof fields, SOUND "Sec-WebSocket-Extensions: %s\r\n", rows[i].value);
        expect_fields(fields, rows[i].verdict);
    }
}

static void expect_param(struct span *params, const char *name, const char *value) {
    struct http_param param;
    cr_assert(http_param_next(params, &param));
    cr_assert(param.is_valid);
    http_test_is(param.name, name);
    cr_assert_eq(param.has_value, value != NULL);
    http_test_is(param.value, value == NULL ? "" : value);
}

Test(upgrade, extensions_are_walked_with_their_parameters) {
    expect_fields(SOUND "Sec-WebSocket-Extensions: foo; a; b=c, bar\r\n"
                        "Sec-WebSocket-Extensions: baz ;d = \"e\" ; f\r\n",
                  "fine");
    struct http_list_cursor cursor = {0};
    struct span name;
    struct span params;
    struct http_param param;
    cr_assert(http_extension_next(&request, &cursor, &name, &params));
    http_test_is(name, "foo");
    expect_param(&params, "a", NULL);
    expect_param(&params, "b", "c");
    cr_assert_not(http_param_next(&params, &param));
    cr_assert(http_extension_next(&request, &cursor, &name, &params));
    http_test_is(name, "bar");
    cr_assert_not(http_param_next(&params, &param));
    cr_assert(http_extension_next(&request, &cursor, &name, &params));
    http_test_is(name, "baz");
    expect_param(&params, "d", "e");
    expect_param(&params, "f", NULL);
    cr_assert_not(http_param_next(&params, &param));
    cr_assert_not(http_extension_next(&request, &cursor, &name, &params));
}
