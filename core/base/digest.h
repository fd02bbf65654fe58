// Small digests that core itself needs: SHA-1 for Sec-WebSocket-Accept (RFC 6455 4.2.2; not a
// security use), base64 (RFC 4648 section 4) and SipHash-2-4 for tables keyed by peers' strings.
// Everything else is core/crypto's.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum { SHA1_BYTES = 20 };

void sha1_digest(struct span input, uint8_t digest[SHA1_BYTES]);
uint64_t siphash(const uint64_t key[2], struct span input);

static inline uint32_t base64_encoded_bytes(uint32_t length) {
    return (length + 2) / 3 * 4;
}
// Writes base64_encoded_bytes(input.length) bytes; target must hold them. Returns that number.
uint32_t base64_encode(struct span input, struct span_mut target);
// Strict: padding required, no white space, unused bits zero. Returns the decoded length or -1
// (malformed, or target too small).
int64_t base64_decode(struct span input, struct span_mut target);
// The same by the alphabet of RFC 4648 section 5 and without padding, as tokens carry it (RFC 7515
// section 2).
int64_t base64url_decode(struct span input, struct span_mut target);
