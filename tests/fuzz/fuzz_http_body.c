// Can bytes break the reading of a body? The first bytes choose the framing, the limit and the
// cuts, the rest is the body and what follows. Whole and in pieces the result, the bytes of the
// body and what was consumed must be the same; what was taken as chunked, a second, plain reader
// must take to the same end.
#include "core/base/check.h"
#include "core/base/prng.h"
#include "core/http/body.h"

#include <stddef.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICE_BYTES = 6, INPUT_BYTES_MAX = 1 << 16 };

struct reading {
    const struct fault *fault;
    enum http_body_result result;
    uint32_t consumed;
    uint32_t length;
    uint8_t bytes[INPUT_BYTES_MAX];
};

// All but the bytes.
static void reading_reset(struct reading *reading) {
    memset(reading, 0, offsetof(struct reading, bytes));
}

static void read_piece(struct http_body *body, struct span input, uint64_t max,
                       struct reading *reading) {
    uint32_t given = input.length;
    do {
        struct span piece = span_empty();
        reading->result = http_body_feed(body, &input, max, &piece, &reading->fault);
        if (reading->result == HTTP_BODY_PIECE) {
            check(piece.length > 0);
            check(piece.length <= INPUT_BYTES_MAX - reading->length);
            memcpy(reading->bytes + reading->length, piece.data, piece.length);
            reading->length += piece.length;
        }
    } while (reading->result == HTTP_BODY_PIECE);
    check(reading->result != HTTP_BODY_NEED_MORE || input.length == 0);
    check(http_body_is_done(body) == (reading->result == HTTP_BODY_DONE));
    check(body->total == reading->length);
    check(body->total <= max);
    reading->consumed += given - input.length;
}

static void read_in_pieces(struct http_body *body, struct span bytes, uint64_t max,
                           struct reading *reading, struct prng *prng, uint32_t bound) {
    read_piece(body, span_empty(), max, reading);
    uint32_t at = 0;
    while (at < bytes.length && reading->result == HTTP_BODY_NEED_MORE) {
        uint32_t length = 1 + prng_below(prng, bound);
        length = length < bytes.length - at ? length : bytes.length - at;
        uint8_t *copy = malloc(length);
        check(copy != NULL);
        memcpy(copy, bytes.data + at, length);
        read_piece(body, span_make(copy, length), max, reading);
        free(copy);
        at += length;
    }
}

// The length of a line behind `at` without its CR LF; there must be one.
static uint32_t plain_line(struct span bytes, uint32_t at) {
    const uint8_t *end = memmem(bytes.data + at, bytes.length - at, "\r\n", 2);
    check(end != NULL);
    return (uint32_t)(end - (bytes.data + at));
}

// Reads a chunked body that was taken, the simplest way: the length of its data, and *at its end.
static uint32_t plain_read(struct span bytes, uint32_t *at) {
    uint32_t total = 0;
    for (;;) {
        uint32_t line = plain_line(bytes, *at);
        char digits[CHUNK_LINE_BYTES_MAX + 1] = {0};
        check(line < sizeof digits);
        memcpy(digits, bytes.data + *at, line);
        unsigned long length = strtoul(digits, NULL, 16);
        check(length <= bytes.length);
        *at += line + 2;
        if (length == 0) {
            break;
        }
        total += (uint32_t)length;
        *at += (uint32_t)length;
        check(memcmp(bytes.data + *at, "\r\n", 2) == 0);
        *at += 2;
    }
    uint32_t line = plain_line(bytes, *at);
    while (line > 0) { // trailers
        check(memchr(bytes.data + *at, ':', line) != NULL);
        *at += line + 2;
        line = plain_line(bytes, *at);
    }
    *at += 2;
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < CHOICE_BYTES || size - CHOICE_BYTES > INPUT_BYTES_MAX) {
        return 0;
    }
    static const uint64_t limits[4] = {UINT64_MAX, 0, 10, 1000};
    uint64_t max = limits[data[0] & 3];
    uint32_t bound = 1u << (data[0] >> 2 & 7);
    uint64_t seed = (uint64_t)data[1] | (uint64_t)data[2] << 8;
    bool is_chunked = (data[3] & 1) != 0;
    struct http_request request = {
        .is_chunked = is_chunked,
        .has_content_length = !is_chunked,
        .content_length = is_chunked ? 0 : (uint64_t)data[4] | (uint64_t)data[5] << 8,
    };
    struct span bytes = span_make(data + CHOICE_BYTES, (uint32_t)(size - CHOICE_BYTES));

    static struct reading whole;
    static struct reading pieces;
    reading_reset(&whole);
    reading_reset(&pieces);
    struct http_body body;
    http_body_init(&body, &request);
    read_piece(&body, bytes, max, &whole);
    http_body_init(&body, &request);
    struct prng prng;
    prng_init(&prng, seed);
    read_in_pieces(&body, bytes, max, &pieces, &prng, bound);

    check(whole.result == pieces.result);
    check(whole.fault == pieces.fault);
    check(whole.consumed == pieces.consumed);
    check(whole.length == pieces.length);
    check(memcmp(whole.bytes, pieces.bytes, whole.length) == 0);
    if (is_chunked && whole.result == HTTP_BODY_DONE) {
        uint32_t end = 0;
        check(plain_read(bytes, &end) == whole.length);
        check(end == whole.consumed);
    }
    if (!is_chunked && whole.result == HTTP_BODY_DONE) {
        check(whole.length == request.content_length);
        check(whole.consumed == request.content_length);
    }
    return 0;
}
