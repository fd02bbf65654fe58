// One log line as text or JSON, in a buffer of fixed size. Pure. Hostile bytes come out escaped: no
// newline, no terminal control, no invalid UTF-8, whatever a peer sent.
#pragma once
#include "gateway/seam/log.h"

struct log_line {
    const char *name; // of the thread
    const char *event;
    const struct log_field *fields;
    uint64_t wall_ms;
    uint32_t field_count;
    uint8_t level;
    bool is_json;
};

// Writes the line with its newline into `target` (at least LOG_LINE_BYTES_MIN). Returns its length.
// What does not fit is cut: the line stays well-formed and ends with a field `cut`.
enum { LOG_LINE_BYTES_MIN = 256 }; // the fixed part fits for names up to 40 bytes
uint32_t log_format(const struct log_line *line, struct span_mut target);
