// What the tests of the record layer expect of an end of a connection.
#pragma once
#include "tests/unit/gateway/tls/tls_pair.h"

#include <criterion/criterion.h>

// Seals `length` bytes of `text`; returns what was written.
static inline uint32_t pair_seal(struct tls_record *record, const void *text, uint32_t length,
                                 uint8_t *target) {
    struct span piece = span_make(text, length);
    int64_t written = tls_record_seal(record, &piece, 1,
                                      (struct span_mut){.data = target, .length = PAIR_BYTES_MAX});
    cr_assert_geq(written, 0);
    return (uint32_t)written;
}

static inline struct tls_opened pair_open(struct tls_record *record, uint8_t *bytes,
                                          uint32_t length) {
    return tls_record_open(record, (struct span_mut){.data = bytes, .length = length});
}

static inline void pair_expect_data(struct tls_record *record, uint8_t *bytes, uint32_t length,
                                    const void *text, uint32_t text_bytes) {
    struct tls_opened opened = pair_open(record, bytes, length);
    cr_assert_eq(opened.kind, TLS_OPENED_DATA, "%d", opened.kind);
    cr_assert_eq(opened.consumed, length);
    cr_assert_eq(opened.data.length, text_bytes);
    cr_assert_arr_eq(opened.data.data, text, text_bytes);
}

static inline void pair_expect_fault(struct tls_record *record, uint8_t *bytes, uint32_t length,
                                     enum fault_id fault, enum tls_alert alert) {
    struct tls_opened opened = pair_open(record, bytes, length);
    cr_assert_eq(opened.kind, TLS_OPENED_FAULT, "kind %d instead of %s", opened.kind,
                 fault_get(fault)->name);
    cr_assert_eq(opened.fault, fault_get(fault), "%s", opened.fault->name);
    cr_assert_eq(opened.alert, alert, "alert %d", opened.alert);
    cr_assert_eq(record->in.state, TLS_RECORD_FAILED);
    cr_assert_eq(opened.consumed, 0);
    cr_assert_eq(opened.data.length, 0);
}
