#include "core/http/body.h"
#include "tests/unit/core/http/http_test.h"

enum { COLLECTED_MAX = 1024 };

struct collected {
    enum http_body_result result;
    const struct fault *fault;
    uint8_t bytes[COLLECTED_MAX];
    uint32_t length;
    uint32_t consumed; // of all pieces
};

// Feeds one piece to its end.
static void feed(struct http_body *body, struct span input, uint64_t max, struct collected *out) {
    uint32_t given = input.length;
    do {
        struct span piece = span_empty();
        out->result = http_body_feed(body, &input, max, &piece, &out->fault);
        if (out->result == HTTP_BODY_PIECE) {
            cr_assert_gt(piece.length, 0);
            cr_assert_leq(out->length + piece.length, COLLECTED_MAX);
            memcpy(out->bytes + out->length, piece.data, piece.length);
            out->length += piece.length;
        }
    } while (out->result == HTTP_BODY_PIECE);
    out->consumed += given - input.length;
    cr_assert_eq(body->state == 0, out->result == HTTP_BODY_DONE);
    cr_assert_eq(http_body_is_done(body), out->result == HTTP_BODY_DONE);
    cr_assert_eq(body->total, out->length);
}

static void expect_same(const struct collected *a, const struct collected *b) {
    cr_assert_eq(a->result, b->result);
    cr_assert_eq(a->fault, b->fault);
    cr_assert_eq(a->consumed, b->consumed);
    cr_assert_eq(a->length, b->length);
    cr_assert_arr_eq(a->bytes, b->bytes, a->length);
}

// Whole, cut in two at every place, one byte at a time: the same. The pieces have exact bounds.
static struct collected feed_every_way(const struct http_request *request, struct span bytes,
                                       uint64_t max) {
    struct http_body body;
    struct collected whole = {0};
    http_body_init(&body, request);
    feed(&body, bytes, max, &whole);
    for (uint32_t cut = 0; cut <= bytes.length; cut++) {
        struct collected halves = {0};
        http_body_init(&body, request);
        uint8_t *first = http_test_copy(span_first(bytes, cut));
        uint8_t *final = http_test_copy(span_from(bytes, cut));
        feed(&body, span_make(first, cut), max, &halves);
        if (halves.result == HTTP_BODY_NEED_MORE) {
            feed(&body, span_make(final, bytes.length - cut), max, &halves);
        }
        free(first);
        free(final);
        expect_same(&halves, &whole);
    }
    struct collected singles = {0};
    http_body_init(&body, request);
    feed(&body, span_empty(), max, &singles);
    for (uint32_t i = 0; i < bytes.length && singles.result == HTTP_BODY_NEED_MORE; i++) {
        uint8_t *byte = http_test_copy(span_first(span_from(bytes, i), 1));
        feed(&body, span_make(byte, 1), max, &singles);
        free(byte);
    }
    expect_same(&singles, &whole);
    return whole;
}

static const struct http_request chunked = {.is_chunked = true};

static struct http_request with_length(uint64_t length) {
    return (struct http_request){.has_content_length = true, .content_length = length};
}

static void expect_chunked(const char *bytes, const char *wanted, const char *behind) {
    char text[2048];
    int length = snprintf(text, sizeof text, "%s%s", bytes, behind);
    struct collected out =
        feed_every_way(&chunked, span_make(text, (uint32_t)length), COLLECTED_MAX);
    cr_assert_eq(out.result, HTTP_BODY_DONE, "%s: %s", bytes, out.fault ? out.fault->name : "more");
    cr_assert_eq(out.consumed, strlen(bytes));
    http_test_is(span_make(out.bytes, out.length), wanted);
}

static void expect_malformed(struct span bytes) {
    struct collected out = feed_every_way(&chunked, bytes, COLLECTED_MAX);
    cr_assert_eq(out.result, HTTP_BODY_FAULT, "%.*s", (int)bytes.length, (const char *)bytes.data);
    cr_assert_eq(out.fault, fault_get(FAULT_chunk_malformed));
}

#define MALFORMED(text) expect_malformed(span_make(text, sizeof(text) - 1))

Test(body, none_is_done_at_once) {
    struct http_request request = {0};
    struct collected out = feed_every_way(&request, span_text("GET /"), 0);
    cr_assert_eq(out.result, HTTP_BODY_DONE);
    cr_assert_eq(out.consumed, 0);
    request = with_length(0);
    out = feed_every_way(&request, span_text("GET /"), 0);
    cr_assert_eq(out.result, HTTP_BODY_DONE);
    cr_assert_eq(out.consumed, 0);
}

Test(body, length_takes_exactly_its_bytes) {
    struct http_request request = with_length(5);
    struct collected out = feed_every_way(&request, span_text("helloGET /"), 5);
    cr_assert_eq(out.result, HTTP_BODY_DONE);
    cr_assert_eq(out.consumed, 5);
    http_test_is(span_make(out.bytes, out.length), "hello");
    out = feed_every_way(&request, span_text("hell"), 5);
    cr_assert_eq(out.result, HTTP_BODY_NEED_MORE);
}

Test(body, length_limit_at_its_edges_before_the_bytes_arrive) {
    for (uint64_t length = 9; length <= 11; length++) {
        struct http_request request = with_length(length);
        struct collected out = feed_every_way(&request, span_text("0123456789a"), 10);
        cr_assert_eq(out.result, length <= 10 ? HTTP_BODY_DONE : HTTP_BODY_FAULT);
        if (length > 10) {
            cr_assert_eq(out.fault, fault_get(FAULT_body_too_large));
            cr_assert_eq(out.consumed, 0);
        }
    }
    struct http_request request = with_length(UINT64_MAX);
    struct collected out = feed_every_way(&request, span_empty(), UINT64_MAX - 1);
    cr_assert_eq(out.fault, fault_get(FAULT_body_too_large));
    out = feed_every_way(&request, span_text("abc"), UINT64_MAX);
    cr_assert_eq(out.result, HTTP_BODY_NEED_MORE);
    cr_assert_eq(out.length, 3);
}

Test(body, chunked) {
    expect_chunked("0\r\n\r\n", "", "");
    expect_chunked("5\r\nhello\r\n0\r\n\r\n", "hello", "GET / HTTP/1.1\r\n");
    expect_chunked("4\r\nWiki\r\n5\r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0\r\n\r\n",
                   "Wikipedia in\r\n\r\nchunks.", "");
    expect_chunked("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", "");
    expect_chunked("0000005\r\nhello\r\n000\r\n\r\n", "hello", "\r\n");
    expect_chunked("5;a=b\r\nhello\r\n0;c\r\n\r\n", "hello", "");
    expect_chunked("5 ; a = \"b;\tc\"\r\nhello\r\n0\t;d\r\n\r\n", "hello", "");
    expect_chunked("5;a;b=c\t;\td ;e= \"\\\"\\\\;\" ;f=\"\";g\r\nhello\r\n0;h=i;j\r\n\r\n", "hello",
                   "");
    expect_chunked("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n", "");
    expect_chunked("1\r\nx\r\n0\r\nA: b\r\nC-D:\te \r\nE:\r\n\r\n", "x", "y");
}

Test(body, chunked_and_malformed) {
    MALFORMED("\r\n");
    MALFORMED("g\r\n");
    MALFORMED(" 5\r\nhello\r\n");
    MALFORMED("+5\r\nhello\r\n");
    MALFORMED("-5\r\nhello\r\n");
    MALFORMED("0x5\r\nhello\r\n");
    MALFORMED("5h\r\nhello\r\n");
    MALFORMED("5 \r\nhello\r\n"); // white space belongs to an extension
    MALFORMED("5 5\r\nhello\r\n");
    MALFORMED("5\nhello\r\n");
    MALFORMED("5\rhello\r\n");
    MALFORMED("5\r\rhello\r\n");
    MALFORMED("5\0\r\nhello\r\n");
    MALFORMED("5,a\r\nhello\r\n");
    MALFORMED("5;\r\nhello\r\n");
    MALFORMED("5;;a\r\nhello\r\n");
    MALFORMED("5; \r\nhello\r\n");
    MALFORMED("5;=b\r\nhello\r\n");
    MALFORMED("5;a \r\nhello\r\n");
    MALFORMED("5;a b\r\nhello\r\n");
    MALFORMED("5;a,b\r\nhello\r\n");
    MALFORMED("5;a=\r\nhello\r\n");
    MALFORMED("5;a= \r\nhello\r\n");
    MALFORMED("5;a=;b\r\nhello\r\n");
    MALFORMED("5;a=b \r\nhello\r\n");
    MALFORMED("5;a=b c\r\nhello\r\n");
    MALFORMED("5;a=b=c\r\nhello\r\n");
    MALFORMED("5;a=b\"c\"\r\nhello\r\n");
    MALFORMED("5;\"a\"\r\nhello\r\n");
    MALFORMED("5;a=\"b\r\nhello\r\n");
    MALFORMED("5;a=\"b\\\r\nhello\r\n");
    MALFORMED("5;a=\"b\"c\r\nhello\r\n");
    MALFORMED("5;a=\"b\" \r\nhello\r\n");
    MALFORMED("5;a=\"\0\"\r\nhello\r\n");
    MALFORMED("5;a\nhello\r\n");
    MALFORMED("5;a\rb\r\nhello\r\n");
    MALFORMED("5;\0\r\nhello\r\n");
    MALFORMED("5;\x7f\r\nhello\r\n");
    MALFORMED("5\r\nhello5\r\n");
    MALFORMED("5\r\nhello\n0\r\n\r\n");
    MALFORMED("5\r\nhello\r0\r\n\r\n");
    MALFORMED("5\r\nhello\r\n\r\n");
    MALFORMED("5\r\nhello world\r\n0\r\n\r\n");
    MALFORMED("0\r\n\n");
    MALFORMED("0\r\n\rx");
    MALFORMED("0\r\n0\r\n\r\n");
    MALFORMED("0\r\n A: b\r\n\r\n");
    MALFORMED("0\r\nA: b\r\n folded\r\n\r\n");
    MALFORMED("0\r\nA : b\r\n\r\n");
    MALFORMED("0\r\n: b\r\n\r\n");
    MALFORMED("0\r\nA\r\n\r\n");
    MALFORMED("0\r\nA: \0\r\n\r\n");
    MALFORMED("0\r\nA: b\n\r\n");
    MALFORMED("0\r\nA: b\rc\r\n\r\n");
    MALFORMED("0\r\n\xc3\xa9: b\r\n\r\n");
    MALFORMED("10000000000000000\r\n"); // 2^64
    MALFORMED("fffffffffffffffff\r\n");
}

Test(body, the_largest_size_is_read_and_refused_by_the_limit) {
    struct collected out =
        feed_every_way(&chunked, span_text("ffffffffffffffff\r\n"), COLLECTED_MAX);
    cr_assert_eq(out.fault, fault_get(FAULT_body_too_large));
    out = feed_every_way(&chunked, span_text("5\r\nhello\r\nfffffffffffffffe\r\n"), UINT64_MAX);
    cr_assert_eq(out.fault, fault_get(FAULT_body_too_large));
    out = feed_every_way(&chunked, span_text("5\r\nhello\r\nfffffffffffffffa\r\nx"), UINT64_MAX);
    cr_assert_eq(out.result, HTTP_BODY_NEED_MORE);
    cr_assert_eq(out.length, 6);
}

Test(body, chunked_limit_counts_all_chunks_at_its_edges) {
    struct span bytes = span_text("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n");
    for (uint64_t max = 9; max <= 11; max++) {
        struct collected out = feed_every_way(&chunked, bytes, max);
        if (max >= 10) {
            cr_assert_eq(out.result, HTTP_BODY_DONE);
        } else {
            cr_assert_eq(out.fault, fault_get(FAULT_body_too_large));
            cr_assert_eq(out.length, 5);
        }
    }
}

Test(body, chunk_line_limit_at_its_edges) {
    for (uint32_t bytes = CHUNK_LINE_BYTES_MAX - 1; bytes <= CHUNK_LINE_BYTES_MAX + 1; bytes++) {
        char text[CHUNK_LINE_BYTES_MAX + 64];
        memset(text, 'x', sizeof text);
        memcpy(text, "1;", 2);
        memcpy(text + bytes - 2, "\r\n!\r\n0\r\n\r\n", 10);
        struct collected out = feed_every_way(&chunked, span_make(text, bytes + 8), COLLECTED_MAX);
        bool is_fine = bytes <= CHUNK_LINE_BYTES_MAX;
        cr_assert_eq(out.result, is_fine ? HTTP_BODY_DONE : HTTP_BODY_FAULT, "%u", bytes);
    }
}

Test(body, many_chunks_do_not_add_up_to_the_line_limit) {
    static char text[8 * 200 + 8];
    uint32_t length = 0;
    for (int i = 0; i < 200; i++) {
        memcpy(text + length, "1;a\r\nx\r\n", 8);
        length += 8;
    }
    memcpy(text + length, "0\r\n\r\n", 5);
    struct collected out = {0};
    struct http_body body;
    http_body_init(&body, &chunked);
    feed(&body, span_make(text, length + 5), COLLECTED_MAX, &out);
    cr_assert_eq(out.result, HTTP_BODY_DONE);
    cr_assert_eq(out.length, 200);
}

Test(body, trailer_limit_at_its_edges_counts_all_lines) {
    for (uint32_t bytes = TRAILER_BYTES_MAX - 1; bytes <= TRAILER_BYTES_MAX + 1; bytes++) {
        char text[TRAILER_BYTES_MAX + 64];
        memset(text, 'x', sizeof text);
        memcpy(text, "0\r\nA:b\r\nA:", 10);
        memcpy(text + 3 + bytes - 4, "\r\n\r\n", 4);
        struct collected out = feed_every_way(&chunked, span_make(text, 3 + bytes), 0);
        bool is_fine = bytes <= TRAILER_BYTES_MAX;
        cr_assert_eq(out.result, is_fine ? HTTP_BODY_DONE : HTTP_BODY_FAULT, "%u", bytes);
    }
}

Test(body, a_fault_stays) {
    struct http_body body;
    http_body_init(&body, &chunked);
    struct span input = span_text("5\r\nhelloX");
    struct collected out = {0};
    feed(&body, input, COLLECTED_MAX, &out);
    cr_assert_eq(out.result, HTTP_BODY_FAULT);
    struct span again = span_text("X");
    struct span piece;
    const struct fault *fault = NULL;
    cr_assert_eq(http_body_feed(&body, &again, COLLECTED_MAX, &piece, &fault), HTTP_BODY_FAULT);
    cr_assert_eq(fault, fault_get(FAULT_chunk_malformed));
    cr_assert_eq(again.length, 1);
}

Test(body, a_limit_that_shrinks_while_a_body_arrives_is_kept) {
    struct http_request request = with_length(10);
    struct http_body body;
    struct collected out = {0};
    http_body_init(&body, &request);
    feed(&body, span_text("hello"), 10, &out);
    cr_assert_eq(out.result, HTTP_BODY_NEED_MORE);
    feed(&body, span_text("world"), 4, &out);
    cr_assert_eq(out.result, HTTP_BODY_FAULT);
    cr_assert_eq(out.fault, fault_get(FAULT_body_too_large));
    cr_assert_eq(out.length, 5);
}
