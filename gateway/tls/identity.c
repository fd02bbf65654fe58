// Who we are: a certificate with its chain, and the key that must be its own.
#include "gateway/tls/library.h"

#include <string.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>

#include "core/crypto/secret.h"

enum {
    EC_KEY_BYTES_MAX = 512, // DER: the largest of NIST's curves needs 241
    POINT_BYTES_MAX = 2 * MAX_ECC_BYTES + 1,
};

// The public part of an EC key, uncompressed (SEC 1, 2.3.3); 0: it is no EC key.
static uint32_t point_find(struct span pem, uint8_t point[POINT_BYTES_MAX]) {
    uint8_t der[EC_KEY_BYTES_MAX];
    ecc_key key;
    word32 at = 0;
    word32 point_bytes = POINT_BYTES_MAX;
    if (wc_ecc_init(&key) != 0) {
        return 0;
    }
    // Keys of other kinds do not fit, or are not decoded.
    int length = wc_KeyPemToDer(pem.data, (int)pem.length, der, sizeof der, NULL);
    bool is_found = length > 0 && wc_EccPrivateKeyDecode(der, &at, &key, (word32)length) == 0 &&
                    wc_ecc_make_pub(&key, NULL) == 0 &&
                    wc_ecc_export_x963(&key, point, &point_bytes) == 0;
    (void)wc_ecc_free(&key); // fails for NULL alone
    secret_wipe(der, sizeof der);
    return is_found ? point_bytes : 0;
}

// Of an EC key the library compares nothing (wolfSSL 5.5, wc_CheckPrivateKey): its public part must
// stand in the certificate.
static bool is_pair(struct span certificate, struct span key) {
    uint8_t point[POINT_BYTES_MAX];
    uint32_t point_bytes = point_find(key, point);
    if (point_bytes == 0) {
        return true;
    }
    WOLFSSL_X509 *leaf = wolfSSL_X509_load_certificate_buffer(
        certificate.data, (int)certificate.length, WOLFSSL_FILETYPE_PEM);
    int length = 0;
    const uint8_t *der = leaf == NULL ? NULL : wolfSSL_X509_get_der(leaf, &length);
    bool is_there = der != NULL && memmem(der, (size_t)length, point, point_bytes) != NULL;
    wolfSSL_X509_free(leaf);
    return is_there;
}

const char *tls_identity_set(WOLFSSL_CTX *library, struct span certificate, struct span key) {
    if (wolfSSL_CTX_use_certificate_chain_buffer_format(library, certificate.data,
                                                        certificate.length,
                                                        WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS) {
        return "the certificate is not readable as PEM; name a file with the chain, the leaf first";
    }
    if (wolfSSL_CTX_use_PrivateKey_buffer(library, key.data, key.length, WOLFSSL_FILETYPE_PEM) !=
        WOLFSSL_SUCCESS) {
        return "the key is not readable as PEM; name the file of the certificate's key";
    }
    if (wolfSSL_CTX_check_private_key(library) != WOLFSSL_SUCCESS || !is_pair(certificate, key)) {
        return "the key is not the certificate's; name the two files that belong together";
    }
    return NULL;
}
