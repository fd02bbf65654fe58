// The entropy seam: unpredictable bytes from the kernel, for masks, keys, ids and hash keys. Any
// thread.
#pragma once
#include <stddef.h>

// Fills all of `bytes`. 0, or -errno (then nothing may be assumed of the bytes).
__attribute__((warn_unused_result)) int entropy_fill(void *bytes, size_t length);
