// The masking of client frames (RFC 6455 5.3): payload byte i is XORed with key[i % 4]. Masking and
// unmasking are the same. Dispatches at run time: AVX2, SSE2 or 64-bit words.
#pragma once
#include <stdint.h>

// In place. `offset` is the position of data[0] within the frame's payload, so that a payload may
// come in pieces.
void mask_apply(uint8_t *data, uint32_t length, const uint8_t key[4], uint32_t offset);
// From source to target, which must not overlap (or be equal, as mask_apply does it).
void mask_copy(uint8_t *target, const uint8_t *source, uint32_t length, const uint8_t key[4],
               uint32_t offset);
// The twin, for tests: it is the definition.
void mask_apply_scalar(uint8_t *data, uint32_t length, const uint8_t key[4], uint32_t offset);
