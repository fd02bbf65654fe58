// Signatures and message authentication codes as JSON Web Tokens carry them: HMAC (RFC 7518 3.2),
// RSA PKCS #1 v1.5 (3.3), ECDSA on P-256 and P-384 (3.4) and Ed25519 (RFC 8037 3.1). Checking only;
// keys are public values as a JSON Web Key holds them (RFC 7518 6), decoded. wolfCrypt takes memory
// for large numbers through the process' hooks (gateway/tls sets them). Any thread.
#pragma once
#include "core/base/limits.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum signature_kind {
    SIGNATURE_HS256,
    SIGNATURE_HS384,
    SIGNATURE_HS512,
    SIGNATURE_RS256,
    SIGNATURE_RS384,
    SIGNATURE_RS512,
    SIGNATURE_ES256,
    SIGNATURE_ES384,
    SIGNATURE_EDDSA, // Ed25519
    SIGNATURE_COUNT
};

enum { ED25519_KEY_BYTES = 32, ED25519_SIGNATURE_BYTES = 64 }; // RFC 8032 5.1

// As tokens and keys call it (RFC 7518 3.1): "ES256".
const char *signature_name(enum signature_kind kind);
// The algorithm of that name, or SIGNATURE_COUNT.
enum signature_kind signature_find(struct span name);
// Whether this build can check it: without wolfSSL HS256 alone.
bool signature_is_built(enum signature_kind kind);

// The key's numbers, big-endian, lent for the call.
struct signature_key {
    struct span first;  // HMAC: the secret. RSA: the modulus. ECDSA: x. Ed25519: x
    struct span second; // RSA: the exponent. ECDSA: y. Else empty
};

// Why the key cannot be used with that algorithm, as the end of a sentence, or NULL.
const char *signature_key_problem(enum signature_kind kind, const struct signature_key *key);

// Whether `signature` was made for `message` with that key. False also for a signature or a key of
// a wrong size, and when there was no memory.
bool signature_is_valid(enum signature_kind kind, const struct signature_key *key,
                        struct span message, struct span signature);
