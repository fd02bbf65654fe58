// Can a service's bytes break the reading of its answer? The first bytes choose the limit and the
// cuts, the rest is what the service sends. Whole and in pieces the end of the head, or the fault,
// must be the same; what the parser takes must be what its header promises; and the body behind it
// is read to its end.
#include "core/base/check.h"
#include "core/base/prng.h"
#include "core/http/response.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICE_BYTES = 4, BODY_BYTES_MAX = 1 << 16 };

struct outcome {
    const struct fault *fault;
    enum http_scan_result result;
    uint32_t head_bytes;
};

// In pieces of 1 to `bound` bytes; the bytes move between calls, and the first one beyond them is
// poisoned.
static struct outcome scan_in_pieces(struct span bytes, uint32_t limit, struct prng *prng,
                                     uint32_t bound) {
    struct http_scan scan = {0};
    struct outcome outcome = {0};
    uint32_t length = 0;
    while (length < bytes.length && outcome.result == HTTP_SCAN_NEED_MORE) {
        length += 1 + prng_below(prng, bound);
        length = length < bytes.length ? length : bytes.length;
        uint8_t *copy = malloc(length);
        check(copy != NULL);
        memcpy(copy, bytes.data, length);
        outcome.result = http_response_scan(&scan, span_make(copy, length), limit,
                                            &outcome.head_bytes, &outcome.fault);
        free(copy);
    }
    return outcome;
}

static void check_inside(struct span outer, struct span inner) {
    check(inner.length == 0 ||
          (inner.data >= outer.data && inner.data + inner.length <= outer.data + outer.length));
}

static bool is_text(struct span value) {
    for (uint32_t i = 0; i < value.length; i++) {
        uint8_t byte = value.data[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return true;
}

// What a head must be to be taken.
static void check_taken(struct span head, const struct http_response *response) {
    check_inside(head, response->reason);
    check(is_text(response->reason));
    check(response->status >= 100 && response->status <= 599);
    check(response->field_count <= HEADER_FIELDS_MAX);
    check(!(response->is_chunked && response->has_content_length));
    uint32_t lengths = 0;
    for (uint32_t i = 0; i < response->field_count; i++) {
        const struct http_field *field = &response->fields[i];
        check_inside(head, field->name);
        check_inside(head, field->value);
        check(http_is_token(field->name) && is_text(field->value));
        lengths += span_is_nocase(field->name, "content-length");
    }
    check(lengths == response->has_content_length);
}

static void read_body(const struct http_response *response, struct span input, bool is_to_head) {
    struct http_body body;
    http_body_init_response(&body, response, is_to_head);
    uint32_t given = input.length;
    enum http_body_result result;
    do {
        struct span piece = span_empty();
        const struct fault *fault = NULL;
        result = http_body_feed(&body, &input, BODY_BYTES_MAX, &piece, &fault);
        check((result == HTTP_BODY_FAULT) == (fault != NULL));
        check(result != HTTP_BODY_PIECE || piece.length > 0);
    } while (result == HTTP_BODY_PIECE);
    check(body.total <= given);
    if (result == HTTP_BODY_NEED_MORE) {
        bool is_until_end = http_response_is_until_end(response, is_to_head);
        check(input.length == 0);
        check(http_body_end(&body) == is_until_end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < CHOICE_BYTES || size > 1 << 20) {
        return 0;
    }
    static const uint32_t limits[4] = {HEADER_BYTES_MAX, HEADER_BYTES_MIN, 64, 8192};
    uint32_t limit = limits[data[0] & 3];
    uint32_t bound = 1u << (data[0] >> 2 & 7);
    bool is_to_head = (data[0] & 0x80) != 0;
    struct prng prng;
    prng_init(&prng, (uint64_t)data[1] | (uint64_t)data[2] << 8 | (uint64_t)data[3] << 16);
    struct span bytes = span_make(data + CHOICE_BYTES, (uint32_t)(size - CHOICE_BYTES));

    struct outcome whole = {0};
    struct http_scan scan = {0};
    whole.result = http_response_scan(&scan, bytes, limit, &whole.head_bytes, &whole.fault);
    struct outcome pieces = scan_in_pieces(bytes, limit, &prng, bound);
    check(bytes.length == 0 || whole.result == pieces.result);
    check(whole.fault == pieces.fault);
    check(whole.head_bytes == pieces.head_bytes);
    check((whole.result == HTTP_SCAN_FAULT) == (whole.fault != NULL));

    static struct http_response response;
    if (whole.result != HTTP_SCAN_DONE) {
        // The parser stands by itself: what the scan does not let through, it refuses as well.
        check(whole.fault == fault_get(FAULT_header_too_large) ||
              http_response_parse(bytes, &response) != NULL);
        return 0;
    }
    check(whole.head_bytes <= limit && whole.head_bytes <= bytes.length);
    struct span head = span_first(bytes, whole.head_bytes);
    if (http_response_parse(head, &response) == NULL) {
        check_taken(head, &response);
        read_body(&response, span_from(bytes, whole.head_bytes), is_to_head);
    }
    return 0;
}
