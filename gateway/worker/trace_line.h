// A record of the flight recorder for people: `12 t=31732705 conn 1 verdict -> open`. Any thread,
// also in a signal's handler: no allocation, no stdio.
#pragma once
#include "core/base/trace.h"

#include <stdint.h>

enum { TRACE_LINE_BYTES = 256 }; // longer than any line

// One record as a line of text without a newline; at most `room` bytes, of which it returns how
// many they are.
uint32_t trace_line(const struct trace_record *record, char *line, uint32_t room);
