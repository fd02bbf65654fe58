// Close payloads and codes (RFC 6455 5.5.1 and 7.4). Pure.
#pragma once
#include "core/base/fault.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum { WS_CLOSE_NONE = 1005, WS_CLOSE_ABNORMAL = 1006 }; // never on the wire

// May a peer send it: 1000-1003, 1007-1014, 3000-4999.
bool ws_close_code_is_valid(uint16_t code);
// Parses a Close payload of 0 to 125 bytes; *code is WS_CLOSE_NONE when it is empty. NULL when
// fine.
const struct fault *ws_close_decode(struct span payload, uint16_t *code, struct span *reason);
// Writes code and reason (cut to 123 bytes at a character's edge); returns the payload's length.
// Code WS_CLOSE_NONE writes nothing.
uint32_t ws_close_encode(uint8_t target[125], uint16_t code, struct span reason);
