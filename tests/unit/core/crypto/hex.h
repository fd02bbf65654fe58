// Bytes written as hexadecimal digits, as the published vectors print them.
#pragma once
#include "core/base/span.h"

#include <criterion/criterion.h>
#include <stdlib.h>

// Reads pairs of digits (blanks between pairs are skipped) into `target`; returns the bytes.
static inline struct span hex_read(const char *text, uint8_t *target, uint32_t room) {
    uint32_t length = 0;
    for (const char *at = text; *at != '\0';) {
        if (*at == ' ') {
            at++;
            continue;
        }
        char pair[3] = {at[0], at[1], '\0'};
        cr_assert_lt(length, room);
        target[length++] = (uint8_t)strtoul(pair, NULL, 16);
        at += 2;
    }
    return span_make(target, length);
}

static inline void hex_expect(const uint8_t *bytes, const char *text) {
    uint8_t expected[1024];
    struct span wanted = hex_read(text, expected, sizeof(expected));
    cr_assert_arr_eq(bytes, wanted.data, wanted.length, "expected %s", text);
}
