#include "tests/unit/core/http/http_test.h"

struct outcome {
    enum http_scan_result result;
    uint32_t head_bytes;
    const struct fault *fault;
};

static struct outcome scan_once(struct http_scan *scan, struct span bytes, uint32_t max) {
    struct outcome outcome = {0};
    outcome.result = http_scan_feed(scan, bytes, max, &outcome.head_bytes, &outcome.fault);
    return outcome;
}

static struct outcome scan_whole(struct span bytes, uint32_t max) {
    struct http_scan scan = {0};
    return scan_once(&scan, bytes, max);
}

static void expect_same(struct outcome a, struct outcome b, uint32_t place) {
    cr_assert_eq(a.result, b.result, "cut at %u: %d, whole: %d", place, a.result, b.result);
    cr_assert_eq(a.fault, b.fault, "cut at %u: %s", place, a.fault ? a.fault->name : "none");
    cr_assert_eq(a.head_bytes, b.head_bytes);
}

// Whole, cut in two at every place, and one byte at a time: always the same answer. The bytes move
// between calls.
static struct outcome scan_every_way(struct span bytes, uint32_t max) {
    struct outcome whole = scan_whole(bytes, max);
    for (uint32_t cut = 0; cut <= bytes.length; cut++) {
        struct http_scan scan = {0};
        uint8_t *first = http_test_copy(span_first(bytes, cut));
        struct outcome outcome = scan_once(&scan, span_make(first, cut), max);
        free(first);
        if (outcome.result == HTTP_SCAN_NEED_MORE) {
            outcome = scan_once(&scan, bytes, max);
        }
        expect_same(outcome, whole, cut);
    }
    struct http_scan scan = {0};
    struct outcome outcome = {0};
    for (uint32_t i = 0; i <= bytes.length && outcome.result == HTTP_SCAN_NEED_MORE; i++) {
        uint8_t *grown = http_test_copy(span_first(bytes, i));
        outcome = scan_once(&scan, span_make(grown, i), max);
        free(grown);
    }
    expect_same(outcome, whole, UINT32_MAX);
    return whole;
}

static void expect_done(const char *head, const char *behind) {
    char text[1024];
    int length = snprintf(text, sizeof text, "%s%s", head, behind);
    struct outcome outcome = scan_every_way(span_make(text, (uint32_t)length), HEADER_BYTES_MAX);
    cr_assert_eq(outcome.result, HTTP_SCAN_DONE, "%s", text);
    cr_assert_eq(outcome.head_bytes, strlen(head));
}

static void expect_fault(struct span bytes, enum fault_id id) {
    struct outcome outcome = scan_every_way(bytes, HEADER_BYTES_MAX);
    cr_assert_eq(outcome.result, HTTP_SCAN_FAULT, "%.*s", (int)bytes.length,
                 (const char *)bytes.data);
    cr_assert_eq(outcome.fault, fault_get(id), "%s for %.*s", outcome.fault->name,
                 (int)bytes.length, (const char *)bytes.data);
}

#define BYTES(text) span_make(text, sizeof(text) - 1)

Test(scan, finds_the_end_and_leaves_what_follows) {
    expect_done("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "");
    expect_done("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x81\x85");
    expect_done("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: b\r\n\r\n");
    expect_done("GET / HTTP/1.1\r\n\r\n", "\r\n\r\n");
    expect_done("GET / HTTP/1.1\r\nX: \xc3\xa9\t.\r\n\r\n", "\n");
}

Test(scan, one_empty_line_in_front_is_skipped_a_second_is_not) {
    expect_done("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "x");
    expect_fault(BYTES("\r\n\r\n"), FAULT_request_line_malformed);
    expect_fault(BYTES("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), FAULT_request_line_malformed);
}

Test(scan, needs_more_until_the_last_byte) {
    struct span head = BYTES("GET /chat HTTP/1.1\r\nHost: a\r\n\r\n");
    for (uint32_t length = 0; length < head.length; length++) {
        struct outcome outcome = scan_every_way(span_first(head, length), HEADER_BYTES_MAX);
        cr_assert_eq(outcome.result, HTTP_SCAN_NEED_MORE);
    }
}

Test(scan, bare_line_ends_and_control_characters_fail_at_once) {
    expect_fault(BYTES("\n"), FAULT_request_line_malformed);
    expect_fault(BYTES("\rG"), FAULT_request_line_malformed);
    expect_fault(BYTES("\r\r"), FAULT_request_line_malformed);
    expect_fault(BYTES("GET / HTTP/1.1\n"), FAULT_request_line_malformed);
    expect_fault(BYTES("GET / HTTP/1.1\r\r"), FAULT_request_line_malformed);
    expect_fault(BYTES("GET /\0"), FAULT_request_line_malformed);
    expect_fault(BYTES("\r\nGET /\x7f"), FAULT_request_line_malformed);
    expect_fault(BYTES("GET / HTTP/1.1\r\n\n"), FAULT_field_malformed);
    expect_fault(BYTES("GET / HTTP/1.1\r\nHost: a\n"), FAULT_field_malformed);
    expect_fault(BYTES("GET / HTTP/1.1\r\nHost: a\rb"), FAULT_field_malformed);
    expect_fault(BYTES("GET / HTTP/1.1\r\nHost: a\0"), FAULT_field_malformed);
    expect_fault(BYTES("GET / HTTP/1.1\r\nHost: a\r\n\rx"), FAULT_field_malformed);
    for (int byte = 0; byte < 0x20; byte++) {
        char text[] = "GET / HTTP/1.1\r\nHost: a?b";
        if (byte == '\t' || byte == '\r') {
            continue;
        }
        text[sizeof text - 3] = (char)byte;
        expect_fault(span_make(text, sizeof text - 1), FAULT_field_malformed);
    }
}

Test(scan, other_protocols_are_named) {
    expect_fault(BYTES("\x16\x03"), FAULT_tls_on_plain_port);
    expect_fault(BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), FAULT_tls_on_plain_port);
    expect_fault(BYTES("\x16G"), FAULT_request_line_malformed);
    expect_fault(BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), FAULT_http2_preface);
    expect_fault(BYTES("\r\nPRI * HTTP/2.0\r\n"), FAULT_http2_preface);
    expect_fault(BYTES("PRI * HTTP/2.1\r\n"), FAULT_version_unsupported);
}

Test(scan, a_complete_request_line_is_judged_at_once) {
    expect_fault(BYTES("GET /\r\n"), FAULT_request_line_malformed);
    expect_fault(BYTES("EHLO example.com\r\n"), FAULT_request_line_malformed);
    expect_fault(BYTES("SSH-2.0-OpenSSH_9.2\r\n"), FAULT_request_line_malformed);
    expect_fault(BYTES("\r\n*1\r\n$4\r\nPING\r\n"), FAULT_request_line_malformed);
    expect_fault(BYTES("GET / HTTP/2.1\r\n"), FAULT_version_unsupported);
    expect_fault(BYTES("GET /#a HTTP/1.1\r\n"), FAULT_target_malformed);
    expect_fault(BYTES("CONNECT a:80 HTTP/1.1\r\n"), FAULT_method_unknown);
    expect_fault(BYTES("GET  / HTTP/1.1\r\n\n"), FAULT_request_line_malformed);
}

// A head of `bytes` bytes: a short request line, then one long field.
static void fill_head(char *text, uint32_t bytes) {
    static const char start[] = "GET / HTTP/1.1\r\nX: ";
    memset(text, 'a', bytes);
    memcpy(text, start, sizeof start - 1);
    memcpy(text + bytes - 4, "\r\n\r\n", 4);
}

Test(scan, head_limit_at_its_edges) {
    enum { MAX = HEADER_BYTES_MIN };
    static char text[MAX + 8];
    for (uint32_t bytes = MAX - 1; bytes <= MAX + 1; bytes++) {
        fill_head(text, bytes);
        struct outcome outcome = scan_every_way(span_make(text, bytes), MAX);
        if (bytes <= MAX) {
            cr_assert_eq(outcome.result, HTTP_SCAN_DONE);
            cr_assert_eq(outcome.head_bytes, bytes);
        } else {
            cr_assert_eq(outcome.fault, fault_get(FAULT_header_too_large));
        }
    }
}

Test(scan, unfinished_head_fails_as_soon_as_the_limit_is_used_up) {
    enum { MAX = HEADER_BYTES_MIN };
    static char text[MAX + 8];
    fill_head(text, MAX + 8);
    cr_assert_eq(scan_whole(span_make(text, MAX - 1), MAX).result, HTTP_SCAN_NEED_MORE);
    struct outcome outcome = scan_whole(span_make(text, MAX), MAX);
    cr_assert_eq(outcome.fault, fault_get(FAULT_header_too_large));
    memset(text, 'G', MAX);
    outcome = scan_whole(span_make(text, MAX), MAX);
    cr_assert_eq(outcome.fault, fault_get(FAULT_target_too_long));
}

Test(scan, a_limit_that_shrinks_while_a_head_arrives_is_kept) {
    struct http_scan scan = {0};
    static char text[4096];
    memset(text, 'a', sizeof text);
    cr_assert_eq(scan_once(&scan, span_make(text, 2000), 4096).result, HTTP_SCAN_NEED_MORE);
    struct outcome outcome = scan_once(&scan, span_make(text, 2001), 1024);
    cr_assert_eq(outcome.fault, fault_get(FAULT_target_too_long));
}

Test(scan, request_line_limit_at_its_edges) {
    enum { MAX = METHOD_BYTES_MAX + 1 + TARGET_BYTES_MAX + 9 };
    static char text[MAX + 16];
    for (uint32_t bytes = MAX - 1; bytes <= MAX + 1; bytes++) {
        memset(text, '/', sizeof text);
        memset(text, 'M', METHOD_BYTES_MAX);
        text[METHOD_BYTES_MAX] = ' ';
        memcpy(text + bytes - 9, " HTTP/1.1\r\n\r\n", 13);
        struct span head = span_make(text, bytes + 4);
        struct outcome whole = scan_whole(head, HEADER_BYTES_MAX);
        if (bytes <= MAX) {
            cr_assert_eq(whole.result, HTTP_SCAN_DONE);
        } else {
            cr_assert_eq(whole.fault, fault_get(FAULT_target_too_long));
        }
        struct http_scan scan = {0};
        struct outcome outcome = {0};
        uint32_t i = 0;
        for (; i <= head.length && outcome.result == HTTP_SCAN_NEED_MORE; i++) {
            outcome = scan_once(&scan, span_first(head, i), HEADER_BYTES_MAX);
        }
        expect_same(outcome, whole, i);
    }
}

Test(scan, empty_line_in_front_gives_the_request_line_no_extra_room) {
    enum { MAX = METHOD_BYTES_MAX + 1 + TARGET_BYTES_MAX + 9 };
    static char text[MAX + 16];
    memset(text, 'a', sizeof text);
    memcpy(text, "\r\n", 2);
    cr_assert_eq(scan_whole(span_make(text, MAX + 2), HEADER_BYTES_MAX).result,
                 HTTP_SCAN_NEED_MORE);
    struct outcome outcome = scan_whole(span_make(text, MAX + 3), HEADER_BYTES_MAX);
    cr_assert_eq(outcome.fault, fault_get(FAULT_target_too_long));
}
