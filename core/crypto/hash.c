// Hashes and key derivation over wolfCrypt, whose contexts lie on the stack. It can only fail here
// on an argument that is wrong.
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/sha512.h>

#include "core/base/check.h"
#include "core/crypto/hash.h"
#include "core/crypto/secret.h"

#include "core/base/pure.h"

static int wolf_type(enum hash_kind kind) {
    static const int types[HASH_COUNT] = {WC_SHA256, WC_SHA384, WC_SHA512};
    check(kind < HASH_COUNT);
    return types[kind];
}

// wolfCrypt takes no NULL, not even for nothing.
static const uint8_t *bytes_of(struct span input) {
    static const uint8_t nothing[1] = {0};
    return input.length > 0 ? input.data : nothing;
}

void hash_digest(enum hash_kind kind, struct span input, uint8_t *digest) {
    check(kind < HASH_COUNT);
    int (*hash)(const uint8_t *, uint32_t, uint8_t *) = kind == HASH_SHA512   ? wc_Sha512Hash
                                                        : kind == HASH_SHA384 ? wc_Sha384Hash
                                                                              : wc_Sha256Hash;
    int result = hash(bytes_of(input), input.length, digest);
    check(result == 0);
}

void hmac_digest(enum hash_kind kind, struct span key, struct span input, uint8_t *digest) {
    Hmac hmac;
    int result = wc_HmacInit(&hmac, NULL, INVALID_DEVID);
    check(result == 0);
    result = wc_HmacSetKey(&hmac, wolf_type(kind), bytes_of(key), key.length);
    check(result == 0);
    result = wc_HmacUpdate(&hmac, bytes_of(input), input.length);
    check(result == 0);
    result = wc_HmacFinal(&hmac, digest);
    check(result == 0);
    wc_HmacFree(&hmac);
    secret_wipe(&hmac, sizeof(hmac));
}

void hkdf_extract(enum hash_kind kind, struct span salt, struct span input, uint8_t *secret) {
    // An absent salt is a string of zeros (RFC 5869 2.2), which as a key is the same as none.
    hmac_digest(kind, salt, input, secret);
}

void hkdf_expand(enum hash_kind kind, struct span secret, struct span info,
                 struct span_mut output) {
    check(output.length <= 255 * hash_bytes(kind));
    int result = wc_HKDF_Expand(wolf_type(kind), secret.data, secret.length, bytes_of(info),
                                info.length, output.data, output.length);
    check(result == 0);
}

void hkdf_expand_label(enum hash_kind kind, struct span secret, const char *label,
                       struct span context, struct span_mut output) {
    struct span name = span_text(label);
    check(name.length <= HKDF_LABEL_BYTES_MAX);
    check(context.length <= HASH_BYTES_MAX);
    check(output.length <= UINT16_MAX);
    // struct HkdfLabel of RFC 8446 7.1.
    uint8_t info[2 + 1 + 6 + HKDF_LABEL_BYTES_MAX + 1 + HASH_BYTES_MAX];
    info[0] = (uint8_t)(output.length >> 8);
    info[1] = (uint8_t)output.length;
    info[2] = (uint8_t)(6 + name.length);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, name.data, name.length);
    uint32_t at = 9 + name.length;
    info[at++] = (uint8_t)context.length;
    memcpy(info + at, bytes_of(context), context.length);
    hkdf_expand(kind, secret, span_make(info, at + context.length), output);
}
