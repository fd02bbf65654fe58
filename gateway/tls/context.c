// The library's start and its contexts: certificate, suites, groups, ALPN, tickets. Frozen after
// tls_context_open, so any worker may use them.
#include "gateway/tls/library.h"

#include "gateway/seam/entropy.h"

#include <errno.h>
#include <stdlib.h>

// With AES instructions AES-GCM is the fastest, without them ChaCha20 by 2.6 to 3 times; and then
// AES by tables tells its key to who shares the cache.
#define SUITES_CHACHA_13 "TLS13-CHACHA20-POLY1305-SHA256"
#define SUITES_AES_13 "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384"
#define SUITES_CHACHA_12 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES_AES_12                                                                              \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#ifdef WOLFSSL_AESNI
static const char suites[] =
    SUITES_AES_13 ":" SUITES_CHACHA_13 ":" SUITES_AES_12 ":" SUITES_CHACHA_12;
#else
static const char suites[] =
    SUITES_CHACHA_13 ":" SUITES_AES_13 ":" SUITES_CHACHA_12 ":" SUITES_AES_12;
#endif

const char *tls_suites(void) {
    return suites;
}

int tls_library_open(void) {
    bool is_ready = tls_memory_hook() == 0 && wolfSSL_Init() == WOLFSSL_SUCCESS;
    return is_ready ? 0 : -ENOTSUP;
}

bool tls_library_may_export(void) {
    return TLS_KEYS_ARE_SHOWN;
}

void tls_library_close(void) {
    (void)wolfSSL_Cleanup(); // the process ends: what it could not free does not matter
}

// RFC 7301: http/1.1, or the alert no_application_protocol; who offers nothing gets nothing.
static int protocol_select(WOLFSSL *session, const unsigned char **out, unsigned char *out_length,
                           const unsigned char *in, unsigned int in_length, void *unused) {
    (void)session; // the same answer for all
    (void)unused;
    for (unsigned int at = 0; at < in_length && in_length - at > in[at]; at += 1u + in[at]) {
        if (in[at] == 8 && memcmp(in + at + 1, "http/1.1", 8) == 0) {
            *out = in + at + 1;
            *out_length = 8;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    tls_handshake_current()->is_refused = true;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// The library gives 16 bytes for the nonce and 32 for the tag; ours take 12 and 16.
static int ticket_crypt(WOLFSSL *session, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
                        unsigned char nonce[WOLFSSL_TICKET_IV_SZ],
                        unsigned char tag[WOLFSSL_TICKET_MAC_SZ], int is_sealing,
                        unsigned char *ticket, int length, int *out_length, void *unused) {
    (void)session; // known by the thread-local pointer, as below
    (void)unused;
    struct tls_handshake *handshake = tls_handshake_current();
    struct span_mut bytes = {.data = ticket, .length = (uint32_t)length};
    *out_length = length;
    if (handshake->tickets == NULL) {
        return is_sealing ? WOLFSSL_TICKET_RET_FATAL : WOLFSSL_TICKET_RET_REJECT;
    }
    if (is_sealing) {
        memset(nonce, 0, WOLFSSL_TICKET_IV_SZ);
        memset(tag, 0, WOLFSSL_TICKET_MAC_SZ);
        if (entropy_fill(nonce, AEAD_NONCE_BYTES) != 0) {
            return WOLFSSL_TICKET_RET_FATAL;
        }
        tls_ticket_seal(handshake->tickets, name, nonce, bytes, tag);
        return WOLFSSL_TICKET_RET_OK;
    }
    switch (tls_ticket_open(handshake->tickets, name, nonce, bytes, tag)) {
    case TLS_TICKET_OPENED:
        return WOLFSSL_TICKET_RET_OK;
    case TLS_TICKET_FORMER:
        return WOLFSSL_TICKET_RET_CREATE;
    case TLS_TICKET_STRANGE:
    default:
        return WOLFSSL_TICKET_RET_REJECT;
    }
}

static const char *policy_set(WOLFSSL_CTX *library, enum tls_version version_min) {
    int version = version_min == TLS_VERSION_13 ? WOLFSSL_TLSV1_3 : WOLFSSL_TLSV1_2;
    int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1};
    if (wolfSSL_CTX_SetMinVersion(library, version) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_cipher_list(library, suites) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_groups(library, groups, 3) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_TicketEncCb(library, ticket_crypt) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_TicketHint(library, TLS_TICKET_EPOCH_MS / 1000) != WOLFSSL_SUCCESS) {
        return "this wolfSSL lacks a suite, a group or tickets; build with another one";
    }
    // Tickets resume; a cache of the library's would be 1.2 MB that all workers lock.
    // Debian's 5.5.4 puts a session that has a ticket into the cache that is off
    // (WOLFSSL_FORCE_CACHE_ON_TICKET), unless it is told as well that it has none.
    wolfSSL_CTX_set_session_cache_mode(library, WOLFSSL_SESS_CACHE_OFF);
    wolfSSL_CTX_set_session_cache_mode(library, WOLFSSL_SESS_CACHE_NO_INTERNAL);
    wolfSSL_CTX_set_verify(library, WOLFSSL_VERIFY_NONE, NULL);
    wolfSSL_CTX_set_alpn_select_cb(library, protocol_select, NULL);
    return NULL;
}

// What certificate a client shows must be of theirs, and there is no resumption without it.
static const char *clients_set(WOLFSSL_CTX *library, const struct tls_context *context) {
    if (context->client_ca == NULL) {
        return NULL;
    }
    if (wolfSSL_CTX_load_verify_buffer(library, context->client_ca, context->client_ca_bytes,
                                       WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS) {
        return "the clients' authorities are not readable as PEM; name a file with their "
               "certificates";
    }
    if (wolfSSL_CTX_NoTicketTLSv12(library) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_no_ticket_TLSv13(library) != 0) {
        return "this wolfSSL cannot leave tickets out; build with another one";
    }
    int need = context->client_is_optional ? 0 : WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    wolfSSL_CTX_set_verify(library, WOLFSSL_VERIFY_PEER | need, NULL);
    return NULL;
}

int tls_context_add(struct tls_context *context, const struct tls_identity *identity,
                    const char **reason) {
    *reason = NULL;
    if (context->count == TLS_CERTIFICATES_MAX) {
        return -ENOSPC;
    }
    struct tls_certificate added = {.library = wolfSSL_CTX_new(wolfSSLv23_server_method())};
    if (added.library == NULL) {
        return -ENOMEM;
    }
    tls_handshake_hook(added.library);
    *reason = tls_identity_set(added.library, identity->certificate, identity->key);
    if (*reason == NULL) {
        *reason = policy_set(added.library, context->version_min);
    }
    if (*reason == NULL) {
        *reason = clients_set(added.library, context);
    }
    if (*reason == NULL && !tls_certificate_read(&added, identity->certificate)) {
        *reason = "the certificate's names are not readable; have it issued anew";
    }
    wolfSSL_ERR_clear_error();
    if (*reason != NULL) {
        wolfSSL_CTX_free(added.library);
        return -EINVAL;
    }
    if (identity->ocsp.length > 0) {
        const char *complaint = tls_staple_set(&added, identity->certificate, identity->ocsp);
        bool is_first = context->staple_complaint == NULL;
        context->staple_complaint = is_first ? complaint : context->staple_complaint;
        wolfSSL_ERR_clear_error();
    }
    context->certificates[context->count++] = added;
    return 0;
}

int tls_context_open(struct tls_context **context, const struct tls_context_options *options,
                     const char **reason) {
    *reason = NULL;
    *context = calloc(1, sizeof(**context));
    if (*context == NULL) {
        return -ENOMEM;
    }
    (*context)->version_min = options->version_min;
    (*context)->client_is_optional = options->client_is_optional;
    (*context)->layer = tls_library_may_export() ? options->layer : TLS_LAYER_LIBRARY;
    (*context)->holds = 1;
    uint32_t client_ca_bytes = options->client_ca.length;
    if (client_ca_bytes > 0) {
        (*context)->client_ca = malloc(client_ca_bytes);
        if ((*context)->client_ca == NULL) {
            tls_context_close(context);
            return -ENOMEM;
        }
        memcpy((*context)->client_ca, options->client_ca.data, client_ca_bytes);
        (*context)->client_ca_bytes = client_ca_bytes;
    }
    int error = tls_context_add(*context, &options->first, reason);
    if (error != 0) {
        tls_context_close(context);
    }
    return error;
}

const char *tls_context_staple_complaint(const struct tls_context *context) {
    return context->staple_complaint;
}

int64_t tls_context_expiry_s(const struct tls_context *context) {
    int64_t earliest_s = INT64_MAX;
    for (uint32_t i = 0; i < context->count; i++) {
        int64_t expiry_s = context->certificates[i].expiry_s;
        earliest_s = expiry_s < earliest_s ? expiry_s : earliest_s;
    }
    return earliest_s;
}

enum tls_layer tls_context_layer(const struct tls_context *context) {
    return context->layer;
}

struct tls_context *tls_context_share(struct tls_context *context) {
    context->holds++;
    return context;
}

void tls_context_close(struct tls_context **context) {
    struct tls_context *closed = *context;
    *context = NULL;
    if (closed == NULL || --closed->holds > 0) {
        return;
    }
    for (uint32_t i = 0; i < closed->count; i++) {
        wolfSSL_CTX_free(closed->certificates[i].library);
        free(closed->certificates[i].names);
        free(closed->certificates[i].staple);
    }
    free(closed->client_ca);
    free(closed);
}
