// What the tests of core/http share: a head from text, and the fault that it meets.
#pragma once
#include "core/http/request.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

// Scans the bytes as one piece and parses the head. The fault's name, "fine", or "unfinished".
static inline const char *http_test_verdict(struct span bytes, struct http_request *request) {
    struct http_scan scan = {0};
    uint32_t head_bytes = 0;
    const struct fault *fault = NULL;
    switch (http_scan_feed(&scan, bytes, HEADER_BYTES_MAX, &head_bytes, &fault)) {
    case HTTP_SCAN_NEED_MORE:
        return "unfinished";
    case HTTP_SCAN_FAULT:
        return fault->name;
    case HTTP_SCAN_DONE:
        break;
    }
    fault = http_request_parse(span_first(bytes, head_bytes), request);
    return fault == NULL ? "fine" : fault->name;
}

static inline void http_test_parse(const char *head, struct http_request *request) {
    const char *verdict = http_test_verdict(span_text(head), request);
    cr_assert_str_eq(verdict, "fine", "%s: %s", head, verdict);
}

static inline void http_test_is(struct span got, const char *wanted) {
    cr_assert(span_is(got, wanted), "got \"%.*s\", wanted \"%s\"", (int)got.length,
              (const char *)got.data, wanted);
}

// Bytes in memory of exactly their length, so that AddressSanitizer sees the first one beyond.
static inline uint8_t *http_test_copy(struct span bytes) {
    uint8_t *copy = malloc(bytes.length == 0 ? 1 : bytes.length);
    cr_assert_not_null(copy);
    if (bytes.length > 0) {
        memcpy(copy, bytes.data, bytes.length);
    }
    return copy;
}
