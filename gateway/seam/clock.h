// The clock seam. Nobody else reads a clock; times are handed down as arguments. Any thread.
#pragma once
#include <stdint.h>

uint64_t clock_now_ms(void); // monotonic, never 0
uint64_t clock_now_ns(void); // monotonic, for histograms
uint64_t
clock_wall_ms(void); // since 1970-01-01 UTC: for log lines and the Date field only, it may jump
