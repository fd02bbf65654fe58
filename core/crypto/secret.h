// How secrets are handled: compared without telling where they differ, and wiped so that no
// compiler leaves them out.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

// Zeroes the bytes, also when nothing reads them afterwards.
void secret_wipe(void *bytes, uint32_t length);
// The time it takes depends on the length alone.
bool secret_equal(const void *a, const void *b, uint32_t length);
