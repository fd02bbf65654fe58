// For fuzz_conn_life: an independent reader of what a server sends. HTTP replies, then, behind a
// 101, unmasked frames; a Close is the last.
#pragma once
#include "core/base/check.h"
#include "core/base/span.h"

#include <stdlib.h>

struct output {
    uint8_t *bytes;
    uint32_t length, capacity;
};

static inline void output_add(struct output *output, struct span bytes) {
    if (output->length + bytes.length > output->capacity) {
        output->capacity = (output->length + bytes.length) * 2;
        output->bytes = realloc(output->bytes, output->capacity);
        check(output->bytes != NULL);
    }
    if (bytes.length > 0) {
        memcpy(output->bytes + output->length, bytes.data, bytes.length);
    }
    output->length += bytes.length;
}

static inline int64_t output_find(struct span bytes, const char *text) {
    uint32_t length = (uint32_t)strlen(text);
    for (uint32_t i = 0; i + length <= bytes.length; i++) {
        if (memcmp(bytes.data + i, text, length) == 0) {
            return i;
        }
    }
    return -1;
}

static inline bool output_starts(struct span bytes, const char *text) {
    return bytes.length >= strlen(text) && memcmp(bytes.data, text, strlen(text)) == 0;
}

// Takes one reply off. False: the rest is cut off in it, which `may_be_cut` must allow.
static inline bool output_reply(struct span *bytes, uint32_t *status, bool may_be_cut) {
    int64_t end = output_find(*bytes, "\r\n\r\n");
    if (end < 0) {
        check(may_be_cut);
        return false;
    }
    struct span head = span_first(*bytes, (uint32_t)end + 2);
    check(output_starts(head, "HTTP/1.1 "));
    check(head.length > 14 && head.data[12] == ' ');
    *status = 0;
    for (uint32_t i = 9; i < 12; i++) {
        check(head.data[i] >= '0' && head.data[i] <= '9');
        *status = *status * 10 + (uint32_t)(head.data[i] - '0');
    }
    *bytes = span_from(*bytes, (uint32_t)end + 4);
    int64_t field = output_find(head, "\r\nContent-Length: ");
    check((field >= 0) == (*status >= 200));
    if (field < 0 || bytes->length == 0 || output_starts(*bytes, "HTTP/1.1 ")) {
        return true; // no body, or the answer to a HEAD
    }
    uint32_t length = 0;
    for (uint32_t i = (uint32_t)field + 18; head.data[i] != '\r'; i++) {
        check(head.data[i] >= '0' && head.data[i] <= '9');
        length = length * 10 + (uint32_t)(head.data[i] - '0');
    }
    if (length > bytes->length) {
        check(may_be_cut);
        return false;
    }
    *bytes = span_from(*bytes, length);
    return true;
}

// The codes that DESIGN.md section 5 lets us send, and what a peer may have sent and gets back.
static inline bool output_close_is_legal(struct span payload) {
    if (payload.length < 2) {
        return payload.length == 0;
    }
    uint32_t code = (uint32_t)payload.data[0] << 8 | payload.data[1];
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

// Takes one frame off. False: cut off in it.
static inline bool output_frame(struct span *bytes, uint8_t *opcode, bool may_be_cut) {
    check((bytes->data[0] & 0xf0) == 0x80); // final, no extension
    *opcode = bytes->data[0] & 15;
    check(*opcode == 1 || *opcode == 2 || (*opcode >= 8 && *opcode <= 10));
    uint32_t head = 2;
    uint64_t length = 0;
    if (bytes->length >= 2) {
        check(bytes->data[1] < 128); // not masked
        length = bytes->data[1];
        head = length == 126 ? 4 : (length == 127 ? 10 : 2);
    }
    if (bytes->length < head) {
        check(may_be_cut);
        return false;
    }
    if (head > 2) {
        length = 0;
        for (uint32_t i = 2; i < head; i++) {
            length = length << 8 | bytes->data[i];
        }
        check(length > (head == 4 ? 125u : 65535u)); // the shortest form
    }
    check(*opcode < 8 || length <= 125);
    if (length > bytes->length - head) {
        check(may_be_cut);
        return false;
    }
    check(*opcode != 8 || output_close_is_legal(span_make(bytes->data + head, (uint32_t)length)));
    *bytes = span_from(*bytes, head + (uint32_t)length);
    return true;
}

// may_be_cut: the connection was cut with something unsent.
static inline void output_check(const struct output *output, bool may_be_cut) {
    struct span bytes = span_make(output->bytes, output->length);
    uint32_t status = 0;
    bool goes_on = true;
    while (goes_on && bytes.length > 0 && status != 101) {
        goes_on = output_reply(&bytes, &status, may_be_cut);
    }
    uint8_t opcode = 0;
    while (goes_on && bytes.length > 0) {
        check(opcode != 8); // nothing behind a Close
        goes_on = output_frame(&bytes, &opcode, may_be_cut);
    }
}
