// Text that grows: answers of the admin API. Control thread only, where malloc is allowed; bounded.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum { TEXT_BYTES_MAX = 64 << 20 };

struct text {
    char *data;
    uint32_t length;
    uint32_t room;
    bool is_failed; // no memory, or over TEXT_BYTES_MAX: what was added since is missing
};

void text_add(struct text *text, struct span bytes);
__attribute__((format(printf, 2, 3))) void text_print(struct text *text, const char *format, ...);
// A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD.
void text_json(struct text *text, struct span bytes);
void text_drop(struct text *text); // frees; zeroes
static inline struct span text_span(const struct text *text) {
    return span_make(text->data, text->length);
}
