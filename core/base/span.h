// Borrowed and reserved memory by value. A span is never stored in a struct that outlives the call
// it was lent for; memory is a range that its holder owns (reserved by the worker, handed to core).
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// Bytes lent for reading. 4 GiB is far above every limit (limits.h), so 32 bits of length are
// enough.
struct span {
    const uint8_t *data;
    uint32_t length;
};

// Bytes lent for writing.
struct span_mut {
    uint8_t *data;
    uint32_t length;
};

// A range of address space owned by the holder: reserved with MAP_NORESERVE by the shell, or a
// test's array.
struct memory {
    uint8_t *data;
    uint64_t length;
};

static inline struct span span_make(const void *data, uint32_t length) {
    return (struct span){.data = (const uint8_t *)data, .length = length};
}

static inline struct span span_empty(void) {
    return (struct span){.data = NULL, .length = 0};
}

// A C string of our own (never one from the wire), without its terminator.
static inline struct span span_text(const char *text) {
    return (struct span){.data = (const uint8_t *)text, .length = (uint32_t)strlen(text)};
}

// The bytes from `start` to the end; `start` may equal the length.
static inline struct span span_from(struct span s, uint32_t start) {
    return (struct span){.data = s.length == start ? NULL : s.data + start,
                         .length = s.length - start};
}

static inline struct span span_first(struct span s, uint32_t length) {
    return (struct span){.data = s.data, .length = length};
}

static inline bool span_equal(struct span a, struct span b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool span_is(struct span s, const char *text) {
    return span_equal(s, span_text(text));
}

// Cuts a list to its first `bytes_max` bytes; returns how many bytes are left in it.
uint32_t spans_cut(struct span *spans, uint32_t *count, uint32_t bytes_max);
// ASCII only, as HTTP field names and tokens compare (RFC 9110 5.1): other bytes compare exactly.
bool span_equal_nocase(struct span a, struct span b);
bool span_is_nocase(struct span s, const char *text);
// Index of the first `byte`, or -1.
int64_t span_find(struct span s, uint8_t byte);
