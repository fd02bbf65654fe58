#include "core/http/response.h"
#include "tests/unit/core/http/http_test.h"

#include <signal.h>

struct outcome {
    enum http_scan_result result;
    uint32_t head_bytes;
    const struct fault *fault;
};

static struct outcome scan_once(struct http_scan *scan, struct span bytes, uint32_t max) {
    struct outcome outcome = {0};
    outcome.result = http_response_scan(scan, bytes, max, &outcome.head_bytes, &outcome.fault);
    return outcome;
}

static void expect_same(struct outcome a, struct outcome b, uint32_t place) {
    cr_assert_eq(a.result, b.result, "cut at %u: %d, whole: %d", place, a.result, b.result);
    cr_assert_eq(a.fault, b.fault, "cut at %u: %s", place, a.fault ? a.fault->name : "none");
    cr_assert_eq(a.head_bytes, b.head_bytes);
}

// Whole, cut in two at every place, and one byte at a time: always the same answer. The bytes move
// between calls.
static struct outcome scan_every_way(struct span bytes, uint32_t max) {
    struct http_scan scan = {0};
    struct outcome whole = scan_once(&scan, bytes, max);
    for (uint32_t cut = 0; cut <= bytes.length; cut++) {
        scan = (struct http_scan){0};
        uint8_t *first = http_test_copy(span_first(bytes, cut));
        struct outcome outcome = scan_once(&scan, span_make(first, cut), max);
        free(first);
        if (outcome.result == HTTP_SCAN_NEED_MORE) {
            outcome = scan_once(&scan, bytes, max);
        }
        expect_same(outcome, whole, cut);
    }
    scan = (struct http_scan){0};
    struct outcome outcome = {0};
    for (uint32_t i = 0; i <= bytes.length && outcome.result == HTTP_SCAN_NEED_MORE; i++) {
        uint8_t *grown = http_test_copy(span_first(bytes, i));
        outcome = scan_once(&scan, span_make(grown, i), max);
        free(grown);
    }
    expect_same(outcome, whole, UINT32_MAX);
    return whole;
}

// The fault's name, "fine" or "unfinished", of a head with something behind it.
static const char *verdict(const char *head, struct http_response *response) {
    char text[4096];
    int length = snprintf(text, sizeof text, "%sbody", head);
    cr_assert_lt(length, (int)sizeof text);
    struct outcome outcome = scan_every_way(span_make(text, (uint32_t)length), HEADER_BYTES_MAX);
    if (outcome.result != HTTP_SCAN_DONE) {
        return outcome.result == HTTP_SCAN_FAULT ? outcome.fault->name : "unfinished";
    }
    cr_assert_eq(outcome.head_bytes, strlen(head));
    const struct fault *fault = http_response_parse(span_make(head, outcome.head_bytes), response);
    return fault == NULL ? "fine" : fault->name;
}

static void parse(const char *head, struct http_response *response) {
    const char *got = verdict(head, response);
    cr_assert_str_eq(got, "fine", "%s: %s", head, got);
}

static void expect(const char *head, const char *wanted) {
    struct http_response response;
    const char *got = verdict(head, &response);
    cr_assert_str_eq(got, wanted, "%s: got %s, wanted %s", head, got, wanted);
}

Test(response, the_example_of_rfc_9110) {
    struct http_response response;
    parse("HTTP/1.1 200 OK\r\nDate: Mon, 27 Jul 2009 12:28:53 GMT\r\nServer: Apache\r\n"
          "ETag: \"34aa387-d-1568eb00\"\r\nContent-Length: 51\r\nVary: Accept-Encoding\r\n"
          "Content-Type: text/plain\r\n\r\n",
          &response);
    cr_assert_eq(response.status, 200);
    cr_assert_eq(response.version_minor, 1);
    http_test_is(response.reason, "OK");
    cr_assert(response.has_content_length && response.content_length == 51);
    cr_assert(response.keep_alive && !response.is_chunked && !response.has_upgrade);
    cr_assert_eq(response.field_count, 6);
    http_test_is(http_response_field_find(&response, "content-type", NULL)->value, "text/plain");
    cr_assert_null(http_response_field_find(&response, "location", NULL));
}

Test(response, status_lines_that_are_taken) {
    struct http_response response;
    parse("HTTP/1.1 404 Not Found at all\r\n\r\n", &response);
    http_test_is(response.reason, "Not Found at all");
    parse("HTTP/1.1 599 \r\n\r\n", &response);
    cr_assert(response.status == 599 && response.reason.length == 0);
    parse("HTTP/1.1 302\r\n\r\n", &response);
    cr_assert(response.status == 302 && response.reason.length == 0);
    parse("HTTP/1.1 200 \xc3\xa4\tb\r\n\r\n", &response);
    parse("HTTP/1.0 200 OK\r\n\r\n", &response);
    cr_assert(response.version_minor == 0 && !response.keep_alive);
    parse("HTTP/1.9 200 OK\r\n\r\n", &response);
    cr_assert(response.version_minor == 1 && response.keep_alive);
}

Test(response, status_lines_that_are_refused) {
    static const char *const heads[] = {
        "HTTP/1.1 099 x\r\n\r\n",      "HTTP/1.1 600 x\r\n\r\n",
        "HTTP/1.1 20 x\r\n\r\n",       "HTTP/1.1 2000 x\r\n\r\n",
        "HTTP/1.1 200OK\r\n\r\n",      "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1\t200 OK\r\n\r\n",    "http/1.1 200 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",       "HTTP/1.x 200 OK\r\n\r\n",
        "HTTP/1.11 200 OK\r\n\r\n",    "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 2 0 OK\r\n\r\n",     "HTTP/1.1 +20 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",          "<html>garbage</html>\r\n",
        "HTTP/1.1 200 O\x01K\r\n\r\n", "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 \r\n\r\n",           "HTTP/1.1\r\n\r\n"};
    for (uint32_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        expect(heads[i], "status_line_malformed");
    }
}

Test(response, garbage_is_refused_at_its_first_byte) {
    struct http_scan scan = {0};
    struct outcome outcome = scan_once(&scan, span_text("\x16"), HEADER_BYTES_MAX);
    cr_assert_eq(outcome.fault, fault_get(FAULT_status_line_malformed));
    scan = (struct http_scan){0};
    outcome = scan_once(&scan, span_text("HTTP/1,"), HEADER_BYTES_MAX);
    cr_assert_eq(outcome.fault, fault_get(FAULT_status_line_malformed));
    scan = (struct http_scan){0};
    outcome = scan_once(&scan, span_text("HTTP/1."), HEADER_BYTES_MAX);
    cr_assert_eq(outcome.result, HTTP_SCAN_NEED_MORE);
}

Test(response, fields_that_are_refused) {
    expect("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "field_malformed");
    expect("HTTP/1.1 200 OK\r\n: b\r\n\r\n", "field_malformed");
    expect("HTTP/1.1 200 OK\r\nA\r\n\r\n", "field_malformed");
    expect("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "field_folded");
    expect("HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "field_malformed");
    expect("HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c\r\n\r\n", "field_malformed");
    expect("HTTP/1.1 200 OK\r\nA: b\nSet-Cookie: c\r\n\r\n", "field_malformed");
    expect("HTTP/1.1 200 OK\r\nA: b\x7f\r\n\r\n", "field_malformed");
    expect("HTTP/1.1 200 OK\r\nConnection: \"close\"\r\n\r\n", "field_malformed");
    expect("HTTP/1.1 200 OK\r\nA: b\r\n", "unfinished"); // "body" may become a field
}

Test(response, framing_that_two_readers_could_read_in_two_ways) {
    expect("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
           "length_and_encoding");
    expect("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n",
           "content_length_doubled");
    expect("HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\n", "content_length_doubled");
    expect("HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\n", "content_length_malformed");
    expect("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "content_length_malformed");
    expect("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
           "content_length_malformed");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
           "transfer_encoding_unknown");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", "transfer_encoding_unknown");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
           "transfer_encoding_malformed");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked;\r\n\r\n",
           "transfer_encoding_malformed");
    expect("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer_encoding_malformed");
    expect("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "status_with_body");
    expect("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "status_with_body");
    expect("HTTP/1.1 101 x\r\nContent-Length: 1\r\n\r\n", "status_with_body");
    expect("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "fine");
    expect("HTTP/1.1 304 x\r\nContent-Length: 10\r\n\r\n", "fine");
}

Test(response, the_head_limit_holds_at_its_edge) {
    const char *head = "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n";
    uint32_t length = (uint32_t)strlen(head);
    struct span bytes = span_make(head, length);
    cr_assert_eq(scan_every_way(bytes, length + 1).result, HTTP_SCAN_DONE);
    cr_assert_eq(scan_every_way(bytes, length).result, HTTP_SCAN_DONE);
    struct outcome over = scan_every_way(bytes, length - 1);
    cr_assert_eq(over.result, HTTP_SCAN_FAULT);
    cr_assert_eq(over.fault, fault_get(FAULT_header_too_large));
}

Test(response, as_many_fields_as_the_limit) {
    for (uint32_t count = HEADER_FIELDS_MAX - 1; count <= HEADER_FIELDS_MAX + 1; count++) {
        char text[2048];
        int length = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n");
        for (uint32_t i = 0; i < count; i++) {
            length += snprintf(text + length, sizeof text - (size_t)length, "a: b\r\n");
        }
        (void)snprintf(text + length, sizeof text - (size_t)length, "\r\n"); // it fits
        struct http_response response;
        const struct fault *fault = http_response_parse(span_text(text), &response);
        const struct fault *wanted =
            count > HEADER_FIELDS_MAX ? fault_get(FAULT_header_too_many) : NULL;
        cr_assert_eq(fault, wanted, "%u fields", count);
    }
}

Test(response, keep_alive_and_upgrade) {
    struct http_response response;
    parse("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &response);
    cr_assert(!response.keep_alive);
    parse("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", &response);
    cr_assert(response.keep_alive);
    parse("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
          &response);
    cr_assert(response.has_upgrade);
    parse("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", &response);
    cr_assert(!response.has_upgrade);
}

// --- bodies

struct body_row {
    const char *head;
    bool is_to_head;
    bool has_body, is_until_end;
};

Test(response, which_answers_have_a_body) {
    static const struct body_row rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", false, true, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", true, false, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, true, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, false, false},
        {"HTTP/1.1 200 OK\r\n\r\n", false, true, true},
        {"HTTP/1.1 200 OK\r\n\r\n", true, false, false},
        {"HTTP/1.1 204 No Content\r\n\r\n", false, false, false},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", false, false, false},
        {"HTTP/1.1 100 Continue\r\n\r\n", false, false, false},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_response response;
        parse(rows[i].head, &response);
        cr_assert_eq(http_response_has_body(&response, rows[i].is_to_head), rows[i].has_body,
                     "row %u", i);
        cr_assert_eq(http_response_is_until_end(&response, rows[i].is_to_head),
                     rows[i].is_until_end, "row %u", i);
        struct http_body body;
        http_body_init_response(&body, &response, rows[i].is_to_head);
        cr_assert_eq(http_body_is_done(&body), !rows[i].has_body, "row %u", i);
    }
}

// Reads all of the input; the number of body bytes.
static uint32_t read_all(struct http_body *body, struct span input, enum http_body_result *result) {
    uint32_t total = 0;
    struct span piece = span_empty();
    const struct fault *fault = NULL;
    while ((*result = http_body_feed(body, &input, UINT64_MAX, &piece, &fault)) ==
           HTTP_BODY_PIECE) {
        total += piece.length;
    }
    return total;
}

Test(response, a_body_until_the_end_is_complete_with_it) {
    struct http_response response;
    parse("HTTP/1.1 200 OK\r\n\r\n", &response);
    struct http_body body;
    enum http_body_result result;
    http_body_init_response(&body, &response, false);
    cr_assert_eq(read_all(&body, span_text("some"), &result), 4);
    cr_assert_eq(read_all(&body, span_text("thing"), &result), 5);
    cr_assert_eq(result, HTTP_BODY_NEED_MORE);
    cr_assert_eq(body.total, 9);
    cr_assert(http_body_end(&body));
    cr_assert(http_body_is_done(&body));
}

Test(response, a_body_until_the_end_has_a_limit) {
    struct http_response response;
    parse("HTTP/1.1 200 OK\r\n\r\n", &response);
    for (uint32_t max = 3; max <= 5; max++) {
        struct http_body body;
        http_body_init_response(&body, &response, false);
        struct span input = span_text("four");
        struct span piece;
        const struct fault *fault = NULL;
        cr_assert_eq(http_body_feed(&body, &input, max, &piece, &fault), HTTP_BODY_PIECE);
        enum http_body_result wanted = max < 4 ? HTTP_BODY_FAULT : HTTP_BODY_NEED_MORE;
        cr_assert_eq(http_body_feed(&body, &input, max, &piece, &fault), wanted);
    }
}

Test(response, a_body_that_is_cut_short_is_not_complete) {
    struct http_response response;
    struct http_body body;
    enum http_body_result result;
    parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &response);
    http_body_init_response(&body, &response, false);
    cr_assert_eq(read_all(&body, span_text("four"), &result), 4);
    cr_assert(!http_body_end(&body));
    cr_assert_eq(read_all(&body, span_text("!rest"), &result), 1);
    cr_assert(http_body_end(&body));
    parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &response);
    http_body_init_response(&body, &response, false);
    cr_assert_eq(read_all(&body, span_text("3\r\nabc\r\n"), &result), 3);
    cr_assert(!http_body_end(&body));
    cr_assert_eq(read_all(&body, span_text("0\r\n\r\n"), &result), 0);
    cr_assert(http_body_end(&body));
}

Test(response, chunks_that_we_write_are_read_back) {
    static const uint32_t sizes[] = {1, 9, 10, 15, 16, 255, 256, 4095, 4096, 65536, UINT32_MAX};
    struct http_request request = {.is_chunked = true};
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t head[HTTP_CHUNK_HEAD_BYTES_MAX];
        uint32_t length = http_chunk_head_write(head, sizes[i]);
        cr_assert_leq(length, HTTP_CHUNK_HEAD_BYTES_MAX);
        cr_assert_neq(head[0], '0', "shortest form");
        struct http_body body;
        http_body_init(&body, &request);
        enum http_body_result result;
        cr_assert_eq(read_all(&body, span_make(head, length), &result), 0);
        cr_assert_eq(result, HTTP_BODY_NEED_MORE);
        cr_assert_eq(body.remaining, sizes[i]);
    }
}

Test(response, a_chunk_of_nothing_is_our_mistake, .signal = SIGABRT) {
    uint8_t head[HTTP_CHUNK_HEAD_BYTES_MAX];
    http_chunk_head_write(head, 0);
}
