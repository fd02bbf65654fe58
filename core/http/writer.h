// Heads written into reserved bytes; what does not fit is noted. Pure.
#pragma once
#include "core/base/span.h"

#include <stdint.h>

struct http_writer {
    uint8_t *data;
    uint32_t length, room;
    bool is_over; // something did not fit, and nothing more is written
};

static inline void http_put(struct http_writer *writer, struct span part) {
    if (writer->is_over || part.length > writer->room - writer->length) {
        writer->is_over = true;
    } else if (part.length > 0) {
        memcpy(writer->data + writer->length, part.data, part.length);
        writer->length += part.length;
    }
}

static inline void http_put_text(struct http_writer *writer, const char *part) {
    http_put(writer, span_text(part));
}

static inline void http_put_number(struct http_writer *writer, uint64_t number) {
    uint8_t digits[20]; // 2^64 has as many
    uint32_t start = sizeof digits;
    do {
        digits[--start] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    http_put(writer, span_make(digits + start, (uint32_t)sizeof digits - start));
}

// name ": " value CR LF
static inline void http_put_field(struct http_writer *writer, struct span name, struct span value) {
    http_put(writer, name);
    http_put_text(writer, ": ");
    http_put(writer, value);
    http_put_text(writer, "\r\n");
}
