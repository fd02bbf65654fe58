// AEAD over wolfCrypt. The AES context (1.1 KB) lies on the stack and is wiped before it is left.
// wolfCrypt can only fail here on an argument that is wrong or a tag that does not fit.
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/chacha20_poly1305.h>

#include "core/base/check.h"
#include "core/crypto/aead.h"
#include "core/crypto/secret.h"

#include "core/base/pure.h"

static void aes_init(Aes *aes, struct aead_key key) {
    int result = wc_AesInit(aes, NULL, INVALID_DEVID);
    check(result == 0);
    result = wc_AesGcmSetKey(aes, key.bytes, aead_key_bytes(key.kind));
    check(result == 0);
}

static void aes_fini(Aes *aes) {
    wc_AesFree(aes);
    secret_wipe(aes, sizeof(*aes));
}

void aead_seal(struct aead_key key, const uint8_t nonce[AEAD_NONCE_BYTES], struct span associated,
               struct span_mut text, uint8_t tag[AEAD_TAG_BYTES]) {
    check(key.kind < AEAD_COUNT);
    check(text.data != NULL);
    int result;
    if (key.kind == AEAD_CHACHA20_POLY1305) {
        result = wc_ChaCha20Poly1305_Encrypt(key.bytes, nonce, associated.data, associated.length,
                                             text.data, text.length, text.data, tag);
    } else {
        Aes aes;
        aes_init(&aes, key);
        result = wc_AesGcmEncrypt(&aes, text.data, text.data, text.length, nonce, AEAD_NONCE_BYTES,
                                  tag, AEAD_TAG_BYTES, associated.data, associated.length);
        aes_fini(&aes);
    }
    check(result == 0);
}

bool aead_open(struct aead_key key, const uint8_t nonce[AEAD_NONCE_BYTES], struct span associated,
               struct span_mut text, const uint8_t tag[AEAD_TAG_BYTES]) {
    check(key.kind < AEAD_COUNT);
    check(text.data != NULL);
    int result;
    if (key.kind == AEAD_CHACHA20_POLY1305) {
        result = wc_ChaCha20Poly1305_Decrypt(key.bytes, nonce, associated.data, associated.length,
                                             text.data, text.length, tag, text.data);
    } else {
        Aes aes;
        aes_init(&aes, key);
        result = wc_AesGcmDecrypt(&aes, text.data, text.data, text.length, nonce, AEAD_NONCE_BYTES,
                                  tag, AEAD_TAG_BYTES, associated.data, associated.length);
        aes_fini(&aes);
    }
    if (result != 0) {
        secret_wipe(text.data, text.length);
    }
    return result == 0;
}
