// The vector half of utf8.c, apart so that tests reach every variant that the machine has. No
// state: whole characters only.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
// True when `bytes` are valid UTF-8 that ends with a whole character. The machine must have the
// instructions named.
bool utf8_blocks_avx2(struct span bytes);
bool utf8_blocks_ssse3(struct span bytes);
#endif
