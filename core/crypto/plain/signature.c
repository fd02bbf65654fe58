// In place of core/crypto/signature.c where Holdfast is built without wolfSSL: HS256 is checked,
// the others are refused by whoever reads a configuration (signature_is_built).
#include "core/crypto/signature.h"
#include "core/base/check.h"
#include "core/crypto/secret.h"
#include "core/crypto/sha256.h"

#include "core/base/pure.h"

bool signature_is_built(enum signature_kind kind) {
    return kind == SIGNATURE_HS256;
}

const char *signature_key_problem(enum signature_kind kind, const struct signature_key *key) {
    if (kind != SIGNATURE_HS256) {
        return "needs a holdfast that is built with TLS";
    }
    return key->first.length < SHA256_BYTES ? "has a secret shorter than its hash" : NULL;
}

bool signature_is_valid(enum signature_kind kind, const struct signature_key *key,
                        struct span message, struct span signature) {
    check(kind < SIGNATURE_COUNT);
    if (signature_key_problem(kind, key) != NULL || signature.length != SHA256_BYTES) {
        return false;
    }
    uint8_t expected[SHA256_BYTES];
    sha256_hmac(key->first, message, expected);
    bool is_valid = secret_equal(expected, signature.data, SHA256_BYTES);
    secret_wipe(expected, sizeof expected);
    return is_valid;
}
