// SHA-256 (FIPS 180-4) and HMAC with it (RFC 2104) without a library: for a build without wolfSSL,
// where tokens by HS256 are all that can be checked. Any thread.
#pragma once
#include "core/base/span.h"

enum { SHA256_BYTES = 32, SHA256_BLOCK_BYTES = 64 };

void sha256_digest(struct span input, uint8_t digest[SHA256_BYTES]);
void sha256_hmac(struct span key, struct span input, uint8_t digest[SHA256_BYTES]);
