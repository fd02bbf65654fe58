// Reads the certificate that the client showed, as long as the library's object holds it.
#include "gateway/tls/library.h"

#include "core/crypto/hash.h"

// Two digits a byte.
static void hex_write(const uint8_t *bytes, uint32_t length, uint8_t *target) {
    static const char digits[] = "0123456789abcdef";
    for (uint32_t i = 0; i < length; i++) {
        target[2 * i] = (uint8_t)digits[bytes[i] >> 4];
        target[2 * i + 1] = (uint8_t)digits[bytes[i] & 15];
    }
}

static bool fingerprint_read(WOLFSSL_X509 *x509, struct tls_peer *peer) {
    int length = 0;
    const uint8_t *der = wolfSSL_X509_get_der(x509, &length);
    if (der == NULL || length <= 0) {
        return false;
    }
    uint8_t digest[TLS_FINGERPRINT_BYTES / 2];
    hash_digest(HASH_SHA256, span_make(der, (uint32_t)length), digest);
    hex_write(digest, sizeof(digest), peer->fingerprint);
    return true;
}

// A name over the bound is no name: a part of it could be somebody else's.
static bool subject_read(WOLFSSL_X509 *x509, struct tls_peer *peer) {
    WOLFSSL_BIO *text = wolfSSL_BIO_new(wolfSSL_BIO_s_mem());
    int length = 0;
    if (text != NULL && wolfSSL_X509_NAME_print_ex(text, wolfSSL_X509_get_subject_name(x509), 0,
                                                   XN_FLAG_RFC2253) == WOLFSSL_SUCCESS) {
        bool fits = wolfSSL_BIO_ctrl_pending(text) <= TLS_SUBJECT_BYTES_MAX;
        length = fits ? wolfSSL_BIO_read(text, peer->subject, TLS_SUBJECT_BYTES_MAX) : 0;
    }
    wolfSSL_BIO_free(text);
    peer->subject_bytes = (uint16_t)(length > 0 ? length : 0);
    for (uint32_t i = 0; i < peer->subject_bytes; i++) {
        bool is_control = peer->subject[i] < ' ' || peer->subject[i] == 0x7f;
        if (is_control) {
            return false; // it goes into header fields
        }
    }
    return peer->subject_bytes > 0;
}

bool tls_handshake_peer(const struct tls_handshake *handshake, struct tls_peer *peer) {
    *peer = (struct tls_peer){.subject_bytes = 0};
    if (!handshake->is_asking) {
        return false;
    }
    WOLFSSL_X509 *x509 = wolfSSL_get_peer_certificate((WOLFSSL *)handshake->session);
    bool is_read = x509 != NULL && fingerprint_read(x509, peer) && subject_read(x509, peer);
    wolfSSL_X509_free(x509);
    return is_read;
}
