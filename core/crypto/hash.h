// SHA-256, SHA-384 and SHA-512 (FIPS 180-4), HMAC (RFC 2104), HKDF (RFC 5869) and the labelled
// expansion of the TLS 1.3 key schedule (RFC 8446 7.1). Any thread.
#pragma once
#include "core/base/span.h"

#include <stdint.h>

enum hash_kind { HASH_SHA256, HASH_SHA384, HASH_SHA512, HASH_COUNT };

enum {
    HASH_BYTES_MAX = 48,     // of those that TLS has: SHA-512 signs tokens only
    HASH_ANY_BYTES_MAX = 64, // of all
    HKDF_LABEL_BYTES_MAX = 32,
};

static inline uint32_t hash_bytes(enum hash_kind kind) {
    return kind == HASH_SHA512 ? 64 : kind == HASH_SHA384 ? 48 : 32;
}

// Each writes hash_bytes(kind) bytes.
void hash_digest(enum hash_kind kind, struct span input, uint8_t *digest);
void hmac_digest(enum hash_kind kind, struct span key, struct span input, uint8_t *digest);
void hkdf_extract(enum hash_kind kind, struct span salt, struct span input, uint8_t *secret);

// Fills `output` (at most 255 times hash_bytes(kind)).
void hkdf_expand(enum hash_kind kind, struct span secret, struct span info, struct span_mut output);
// HKDF-Expand-Label: `label` without its prefix "tls13 ", at most HKDF_LABEL_BYTES_MAX bytes, and
// so the context (a hash or nothing).
void hkdf_expand_label(enum hash_kind kind, struct span secret, const char *label,
                       struct span context, struct span_mut output);
