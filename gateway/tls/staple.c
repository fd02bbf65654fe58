// OCSP stapling from a file (RFC 6066 section 8): the answer is judged when it is read, so that
// what is stale, another certificate's or forged is said then, and never shown to a client.
#include "gateway/tls/library.h"

#include "gateway/seam/clock.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <wolfssl/ocsp.h>

// Of one answer about one certificate.
struct judging {
    OcspResponse *response;
    WOLFSSL_OCSP_BASICRESP *basic;
    WOLFSSL_X509 *leaf;
    WOLFSSL_X509 *issuer;
};

static WOLFSSL_X509 *x509_load(struct span pem) {
    return pem.length == 0 ? NULL
                           : wolfSSL_X509_load_certificate_buffer(pem.data, (int)pem.length,
                                                                  WOLFSSL_FILETYPE_PEM);
}

// What follows the first certificate of a chain; empty: nothing does.
static struct span issuer_find(struct span chain) {
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    uint32_t length = sizeof(begin) - 1;
    uint32_t seen = 0;
    for (uint32_t at = 0; at + length <= chain.length; at++) {
        if (memcmp(chain.data + at, begin, length) == 0 && ++seen == 2) {
            return span_from(chain, at);
        }
    }
    return span_empty();
}

// Seconds since 1970 UTC. False: it is not readable.
static bool time_read(const WOLFSSL_ASN1_TIME *time, int64_t *seconds) {
    struct tm broken = {.tm_year = 0};
    if (time == NULL || wolfSSL_ASN1_TIME_to_tm(time, &broken) != WOLFSSL_SUCCESS) {
        return false;
    }
    *seconds = (int64_t)timegm(&broken);
    return true;
}

// What it says of the certificate, asked by either of the digests that name it.
static bool status_find(const struct judging *judging, int *status, int64_t *until_s) {
    const WOLFSSL_EVP_MD *digests[] = {wolfSSL_EVP_sha1(), wolfSSL_EVP_sha256()};
    for (uint32_t i = 0; i < 2; i++) {
        WOLFSSL_OCSP_CERTID *id =
            wolfSSL_OCSP_cert_to_id(digests[i], judging->leaf, judging->issuer);
        int reason;
        WOLFSSL_ASN1_TIME *revoked = NULL;
        WOLFSSL_ASN1_TIME *since = NULL;
        WOLFSSL_ASN1_TIME *until = NULL;
        bool is_found = id != NULL &&
                        wolfSSL_OCSP_resp_find_status(judging->basic, id, status, &reason, &revoked,
                                                      &since, &until) == WOLFSSL_SUCCESS;
        // Without a time it is the newest there is (RFC 6960 4.2.2.1).
        if (is_found && !time_read(until, until_s)) {
            *until_s = INT64_MAX;
        }
        wolfSSL_OCSP_CERTID_free(id);
        if (is_found) {
            return true;
        }
    }
    return false;
}

static bool is_signed(const struct judging *judging) {
    WOLFSSL_X509_STORE *store = wolfSSL_X509_STORE_new();
    bool is_right = store != NULL &&
                    wolfSSL_X509_STORE_add_cert(store, judging->issuer) == WOLFSSL_SUCCESS &&
                    wolfSSL_OCSP_basic_verify(judging->basic, NULL, store, 0) == WOLFSSL_SUCCESS;
    wolfSSL_X509_STORE_free(store);
    return is_right;
}

static const char *judge(struct judging *judging, struct span answer, int64_t *until_s) {
    const unsigned char *at = answer.data;
    if (judging->leaf == NULL || judging->issuer == NULL) {
        return "cannot be judged: the certificate's issuer is not in its chain; add it";
    }
    judging->response = wolfSSL_d2i_OCSP_RESPONSE(NULL, &at, (int)answer.length);
    if (judging->response == NULL ||
        wolfSSL_OCSP_response_status(judging->response) != OCSP_SUCCESSFUL) {
        return "is no answer, or is stale; write the responder's answer of today to it (DER), and "
               "reload";
    }
    judging->basic = wolfSSL_OCSP_response_get1_basic(judging->response);
    int status = -1;
    if (judging->basic == NULL || !status_find(judging, &status, until_s)) {
        return "is about another certificate; fetch the one for this";
    }
    if (status != CERT_GOOD) {
        return "does not say that the certificate is good";
    }
    if (*until_s <= (int64_t)(clock_wall_ms() / 1000)) {
        return "is stale; fetch a new one, and reload";
    }
    return is_signed(judging) ? NULL : "is not signed by the certificate's issuer";
}

// Runs in a handshake, whose memory the copy is: the library gives it back.
static int staple_give(WOLFSSL *session, void *pointer) {
    const struct tls_staple *staple = (const struct tls_staple *)pointer;
    if (staple->until_s <= (int64_t)(clock_wall_ms() / 1000)) {
        return SSL_TLSEXT_ERR_NOACK; // it grew stale since it was read
    }
    unsigned char *copy = wolfSSL_Malloc(staple->length);
    if (copy == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    memcpy(copy, staple->bytes, staple->length);
    (void)wolfSSL_set_tlsext_status_ocsp_resp(session, copy, (int)staple->length); // takes it over
    return SSL_TLSEXT_ERR_OK;
}

// The library makes up the answer's question itself, for which it needs the issuer among its
// authorities. No client is verified against them: config refuses `client_ca` beside it.
static bool staple_hook(struct tls_certificate *certificate, struct span issuer) {
    WOLFSSL_CTX *library = certificate->library;
    return wolfSSL_CTX_load_verify_buffer(library, issuer.data, issuer.length,
                                          WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_EnableOCSPStapling(library) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_tlsext_status_cb(library, staple_give) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_tlsext_status_arg(library, certificate->staple) == WOLFSSL_SUCCESS;
}

const char *tls_staple_set(struct tls_certificate *certificate, struct span chain,
                           struct span answer) {
    struct span issuer = issuer_find(chain);
    struct judging judging = {.leaf = x509_load(chain), .issuer = x509_load(issuer)};
    int64_t until_s = 0;
    const char *complaint = judge(&judging, answer, &until_s);
    wolfSSL_OCSP_BASICRESP_free(judging.basic);
    wolfSSL_OCSP_RESPONSE_free(judging.response);
    wolfSSL_X509_free(judging.leaf);
    wolfSSL_X509_free(judging.issuer);
    struct tls_staple *staple = complaint == NULL ? malloc(sizeof(*staple) + answer.length) : NULL;
    if (staple == NULL) {
        return complaint == NULL ? "had no memory; give the process more" : complaint;
    }
    *staple = (struct tls_staple){.until_s = until_s, .length = answer.length};
    memcpy(staple->bytes, answer.data, answer.length);
    certificate->staple = staple;
    return staple_hook(certificate, issuer) ? NULL : "was refused by this wolfSSL";
}
