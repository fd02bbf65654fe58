// Incremental UTF-8 validation (RFC 3629: no surrogates, no overlong forms, nothing above
// U+10FFFF). The first bad byte fails, also in the middle of a character, so a peer is answered at
// once (RFC 6455 8.1).
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum { UTF8_ACCEPT = 0, UTF8_REJECT = 1 }; // other state values: inside a character

// Feeds bytes to the state (start with UTF8_ACCEPT). Returns false, and state UTF8_REJECT, at the
// first bad byte; a rejected state stays so. A message is valid when the state is UTF8_ACCEPT after
// its last byte. Dispatches at run time: AVX2, SSSE3 or scalar.
bool utf8_feed(uint8_t *state, struct span bytes);
// The twin, for tests: it is the definition.
bool utf8_feed_scalar(uint8_t *state, struct span bytes);
bool utf8_is_valid(struct span bytes);
