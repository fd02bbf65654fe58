// Can bytes break the reading of a request? The first bytes choose the limit and the cuts, the rest
// is what a client sends. Whole and in pieces the end of the head, or the fault, must be the same;
// what the parser takes must be what its header promises.
#include "core/base/check.h"
#include "core/base/prng.h"
#include "core/http/reply.h"
#include "core/http/upgrade.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICE_BYTES = 4 };

struct outcome {
    const struct fault *fault;
    enum http_scan_result result;
    uint32_t head_bytes;
};

// In pieces of 1 to `bound` bytes; the bytes move between calls, and the first one beyond them is
// poisoned.
static struct outcome scan_in_pieces(struct span bytes, uint32_t limit, uint64_t seed,
                                     uint32_t bound) {
    struct http_scan scan = {0};
    struct outcome outcome = {0};
    struct prng prng;
    prng_init(&prng, seed);
    uint32_t length = 0;
    while (length < bytes.length && outcome.result == HTTP_SCAN_NEED_MORE) {
        length += 1 + prng_below(&prng, bound);
        length = length < bytes.length ? length : bytes.length;
        uint8_t *copy = malloc(length);
        check(copy != NULL);
        memcpy(copy, bytes.data, length);
        outcome.result = http_scan_feed(&scan, span_make(copy, length), limit, &outcome.head_bytes,
                                        &outcome.fault);
        free(copy);
    }
    return outcome;
}

static void check_inside(struct span outer, struct span inner) {
    check(inner.length == 0 ||
          (inner.data >= outer.data && inner.data + inner.length <= outer.data + outer.length));
}

static void check_field(struct span head, const struct http_field *field) {
    check_inside(head, field->name);
    check_inside(head, field->value);
    check(http_is_token(field->name));
    for (uint32_t i = 0; i < field->value.length; i++) {
        uint8_t byte = field->value.data[i];
        check((byte >= 0x20 || byte == '\t') && byte != 0x7f);
    }
}

// What a head must be to be taken.
static void check_taken(struct span head, const struct http_request *request) {
    check_inside(head, request->target);
    check_inside(head, request->query);
    check_inside(head, request->host);
    check(request->target.length > 0 && request->target.length <= TARGET_BYTES_MAX);
    check(request->path.length > 0);
    check(request->path.data[0] == '/' || request->method == HTTP_OPTIONS);
    check(request->version_minor <= 1);
    check(request->field_count <= HEADER_FIELDS_MAX);
    for (uint32_t i = 0; i < request->field_count; i++) {
        check_field(head, &request->fields[i]);
    }
    uint32_t hosts = http_field_count(request, "Host");
    check(hosts == 1 || (hosts == 0 && request->version_minor == 0));
    uint32_t lengths = http_field_count(request, "Content-Length");
    uint32_t codings = http_field_count(request, "Transfer-Encoding");
    check(lengths + codings <= 1);
    check(request->has_content_length == (lengths == 1));
    check(request->is_chunked == (codings == 1));
}

// Everything that looks into a request that was taken.
static void look_closer(struct span head, const struct http_request *request) {
    static uint8_t target[REPLY_BYTES_MAX + HEADER_BYTES_MAX];
    struct span_mut reply = {.data = target, .length = sizeof target};
    struct span name;
    struct span rest;
    http_cookie_find(request, span_text("a"), &rest);
    struct http_list_cursor cursor = {0};
    struct span subprotocol = span_empty();
    while (http_subprotocol_next(request, &cursor, &name)) {
        check_inside(head, name);
        subprotocol = name;
    }
    cursor = (struct http_list_cursor){0};
    while (http_extension_next(request, &cursor, &name, &rest)) {
        check_inside(head, name);
        struct http_param param;
        while (http_param_next(&rest, &param)) {
            check_inside(head, param.name);
            check_inside(head, param.value);
        }
    }
    struct span key;
    if (http_upgrade_check(request, &key) == NULL) {
        check(request->method == HTTP_GET && request->has_upgrade);
        check(http_reply_write_switching(key, subprotocol, span_empty(), reply) > 0);
    }
    const struct http_field *origin = http_field_find(request, "origin", NULL);
    struct http_refusal refusal = {
        .fault = fault_get(FAULT_handshake_rate),
        .origin = origin == NULL ? span_empty() : origin->value,
    };
    check(http_refusal_write(&refusal, reply) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < CHOICE_BYTES || size > 1 << 20) {
        return 0;
    }
    static const uint32_t limits[4] = {HEADER_BYTES_MAX, HEADER_BYTES_MIN, 64, 8192};
    uint32_t limit = limits[data[0] & 3];
    uint32_t bound = 1u << (data[0] >> 2 & 7);
    uint64_t seed = (uint64_t)data[1] | (uint64_t)data[2] << 8 | (uint64_t)data[3] << 16;
    struct span bytes = span_make(data + CHOICE_BYTES, (uint32_t)(size - CHOICE_BYTES));

    struct outcome whole = {0};
    struct http_scan scan = {0};
    whole.result = http_scan_feed(&scan, bytes, limit, &whole.head_bytes, &whole.fault);
    struct outcome pieces = scan_in_pieces(bytes, limit, seed, bound);
    check(whole.result == pieces.result);
    check(whole.fault == pieces.fault);
    check(whole.head_bytes == pieces.head_bytes);
    check((whole.result == HTTP_SCAN_FAULT) == (whole.fault != NULL));

    static struct http_request request;
    if (whole.result != HTTP_SCAN_DONE) {
        // The parser stands by itself: what the scan does not let through, it refuses as well.
        bool is_limit = whole.fault == fault_get(FAULT_target_too_long) ||
                        whole.fault == fault_get(FAULT_header_too_large);
        check(is_limit || http_request_parse(bytes, &request) != NULL);
        return 0;
    }
    check(whole.head_bytes <= limit && whole.head_bytes <= bytes.length);
    struct span head = span_first(bytes, whole.head_bytes);
    const struct fault *fault = http_request_parse(head, &request);
    if (fault != NULL) {
        check(fault->http_status >= 400);
        return 0;
    }
    check_taken(head, &request);
    look_closer(head, &request);
    return 0;
}
