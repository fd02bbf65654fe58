// Over wolfCrypt. An algorithm has one kind of key, and a key of another kind is refused before
// anything is computed: a public key is never taken for a secret (key confusion).
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "core/base/check.h"
#include "core/crypto/hash.h"
#include "core/crypto/secret.h"
#include "core/crypto/signature.h"

#include "core/base/pure.h"

enum signature_family { FAMILY_HMAC, FAMILY_RSA, FAMILY_ECDSA, FAMILY_ED25519 };

// DigestInfo of RFC 8017 9.2, note 1, up to the digest itself: it differs between hashes in the
// last byte of their identifier and in two lengths.
enum { DIGEST_INFO_BYTES = 19 };

struct signature_form {
    uint8_t family;   // enum signature_family
    uint8_t hash;     // enum hash_kind
    uint8_t number;   // ECDSA: bytes of a coordinate
    uint8_t hash_oid; // RSA: last byte of the hash's object identifier
};

static const struct signature_form forms[SIGNATURE_COUNT] = {
    [SIGNATURE_HS256] = {.family = FAMILY_HMAC, .hash = HASH_SHA256},
    [SIGNATURE_HS384] = {.family = FAMILY_HMAC, .hash = HASH_SHA384},
    [SIGNATURE_HS512] = {.family = FAMILY_HMAC, .hash = HASH_SHA512},
    [SIGNATURE_RS256] = {.family = FAMILY_RSA, .hash = HASH_SHA256, .hash_oid = 1},
    [SIGNATURE_RS384] = {.family = FAMILY_RSA, .hash = HASH_SHA384, .hash_oid = 2},
    [SIGNATURE_RS512] = {.family = FAMILY_RSA, .hash = HASH_SHA512, .hash_oid = 3},
    [SIGNATURE_ES256] = {.family = FAMILY_ECDSA, .hash = HASH_SHA256, .number = 32},
    [SIGNATURE_ES384] = {.family = FAMILY_ECDSA, .hash = HASH_SHA384, .number = 48},
    [SIGNATURE_EDDSA] = {.family = FAMILY_ED25519},
};

static const struct signature_form *form_of(enum signature_kind kind) {
    check(kind < SIGNATURE_COUNT);
    return &forms[kind];
}

bool signature_is_built(enum signature_kind kind) {
    return kind < SIGNATURE_COUNT;
}

const char *signature_key_problem(enum signature_kind kind, const struct signature_key *key) {
    const struct signature_form *form = form_of(kind);
    switch ((enum signature_family)form->family) {
    case FAMILY_HMAC: // RFC 7518 3.2
        return key->first.length < hash_bytes((enum hash_kind)form->hash)
                   ? "has a secret shorter than its hash"
                   : NULL;
    case FAMILY_RSA:
        return key->first.length < RSA_MODULUS_BYTES_MIN   ? "has fewer than 2048 bits"
               : key->first.length > RSA_MODULUS_BYTES_MAX ? "has more than 4096 bits"
               : key->first.data[0] == 0                   ? "has a modulus that begins with zero"
               : key->second.length == 0 || key->second.length > RSA_EXPONENT_BYTES_MAX
                   ? "has an exponent that is not 1 to 4 bytes"
                   : NULL;
    case FAMILY_ECDSA:
        return key->first.length != form->number || key->second.length != form->number
                   ? "has coordinates of another curve"
                   : NULL;
    case FAMILY_ED25519:
        return key->first.length != ED25519_KEY_BYTES ? "is not 32 bytes" : NULL;
    }
    return NULL;
}

static bool hmac_is_valid(enum hash_kind hash, struct span key, struct span message,
                          struct span signature) {
    uint8_t expected[HASH_ANY_BYTES_MAX];
    hmac_digest(hash, key, message, expected);
    bool is_valid = signature.length == hash_bytes(hash) &&
                    secret_equal(expected, signature.data, signature.length);
    secret_wipe(expected, sizeof expected);
    return is_valid;
}

// DigestInfo with its digest. Returns its bytes.
static uint32_t digest_info(const struct signature_form *form, struct span message,
                            uint8_t info[DIGEST_INFO_BYTES + HASH_ANY_BYTES_MAX]) {
    enum hash_kind hash = (enum hash_kind)form->hash;
    uint8_t length = (uint8_t)hash_bytes(hash);
    // SEQUENCE { SEQUENCE { OBJECT 2.16.840.1.101.3.4.2.n, NULL }, OCTET STRING }
    const uint8_t start[DIGEST_INFO_BYTES] = {0x30,           (uint8_t)(17 + length),
                                              0x30,           0x0d,
                                              0x06,           0x09,
                                              0x60,           0x86,
                                              0x48,           0x01,
                                              0x65,           0x03,
                                              0x04,           0x02,
                                              form->hash_oid, 0x05,
                                              0x00,           0x04,
                                              length};
    memcpy(info, start, sizeof start);
    hash_digest(hash, message, info + DIGEST_INFO_BYTES);
    return DIGEST_INFO_BYTES + length;
}

static bool rsa_is_valid(const struct signature_form *form, const struct signature_key *key,
                         struct span message, struct span signature) {
    if (signature.length != key->first.length) { // RFC 8017 8.2.2, step 1
        return false;
    }
    RsaKey rsa;
    if (wc_InitRsaKey(&rsa, NULL) != 0) {
        return false;
    }
    uint8_t expected[DIGEST_INFO_BYTES + HASH_ANY_BYTES_MAX];
    uint32_t length = digest_info(form, message, expected);
    uint8_t found[RSA_MODULUS_BYTES_MAX];
    bool is_valid = wc_RsaPublicKeyDecodeRaw(key->first.data, key->first.length, key->second.data,
                                             key->second.length, &rsa) == 0 &&
                    wc_RsaSSL_Verify(signature.data, signature.length, found, sizeof found, &rsa) ==
                        (int)length &&
                    memcmp(found, expected, length) == 0;
    (void)wc_FreeRsaKey(&rsa); // fails for NULL alone
    return is_valid;
}

static bool ecdsa_is_valid(const struct signature_form *form, const struct signature_key *key,
                           struct span message, struct span signature) {
    if (signature.length != 2u * form->number) {
        return false;
    }
    ecc_key ecc;
    if (wc_ecc_init(&ecc) != 0) {
        return false;
    }
    uint8_t digest[HASH_ANY_BYTES_MAX];
    hash_digest((enum hash_kind)form->hash, message, digest);
    // The library takes a signature as ASN.1 alone; r and s of zero are refused by it.
    uint8_t encoded[2 * 48 + 16];
    word32 length = sizeof encoded;
    int curve = form->number == 48 ? ECC_SECP384R1 : ECC_SECP256R1;
    int is_valid = 0;
    bool is_done =
        wc_ecc_import_unsigned(&ecc, key->first.data, key->second.data, NULL, curve) == 0 &&
        wc_ecc_check_key(&ecc) == 0 &&
        wc_ecc_rs_raw_to_sig(signature.data, form->number, signature.data + form->number,
                             form->number, encoded, &length) == 0 &&
        wc_ecc_verify_hash(encoded, length, digest, hash_bytes((enum hash_kind)form->hash),
                           &is_valid, &ecc) == 0;
    (void)wc_ecc_free(&ecc); // fails for NULL alone
    return is_done && is_valid == 1;
}

static bool ed25519_is_valid(const struct signature_key *key, struct span message,
                             struct span signature) {
    if (signature.length != ED25519_SIGNATURE_BYTES) {
        return false;
    }
    ed25519_key ed;
    if (wc_ed25519_init(&ed) != 0) {
        return false;
    }
    static const uint8_t nothing[1] = {0};
    const uint8_t *bytes = message.length > 0 ? message.data : nothing;
    int is_valid = 0;
    bool is_done = wc_ed25519_import_public(key->first.data, key->first.length, &ed) == 0 &&
                   wc_ed25519_verify_msg(signature.data, signature.length, bytes, message.length,
                                         &is_valid, &ed) == 0;
    wc_ed25519_free(&ed);
    return is_done && is_valid == 1;
}

bool signature_is_valid(enum signature_kind kind, const struct signature_key *key,
                        struct span message, struct span signature) {
    const struct signature_form *form = form_of(kind);
    if (signature_key_problem(kind, key) != NULL) {
        return false;
    }
    switch ((enum signature_family)form->family) {
    case FAMILY_HMAC:
        return hmac_is_valid((enum hash_kind)form->hash, key->first, message, signature);
    case FAMILY_RSA:
        return rsa_is_valid(form, key, message, signature);
    case FAMILY_ECDSA:
        return ecdsa_is_valid(form, key, message, signature);
    case FAMILY_ED25519:
        return ed25519_is_valid(key, message, signature);
    }
    return false;
}
