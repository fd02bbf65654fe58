#include "gateway/tls/dial.h"

#include "core/base/address.h"
#include "gateway/tls/internal.h"
#include "gateway/tls/library.h"

#include <errno.h>
#include <stdlib.h>

struct tls_dialer {
    WOLFSSL_CTX *library;
};

static int dial_receive(WOLFSSL *session, char *target, int length, void *pointer) {
    (void)session; // the step says it all
    struct tls_dial_step *step = (struct tls_dial_step *)pointer;
    uint32_t left = step == NULL ? 0 : step->received.length;
    uint32_t part = left < (uint32_t)length ? left : (uint32_t)length;
    if (part == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    memcpy(target, step->received.data, part);
    step->received = span_from(step->received, part);
    return (int)part;
}

static int dial_send(WOLFSSL *session, char *bytes, int length, void *pointer) {
    (void)session; // as above
    struct tls_dial_step *step = (struct tls_dial_step *)pointer;
    if (step == NULL || (uint32_t)length > step->target.length - step->written) {
        return WOLFSSL_CBIO_ERR_WANT_WRITE;
    }
    memcpy(step->target.data + step->written, bytes, (uint32_t)length);
    step->written += (uint32_t)length;
    return length;
}

// --- the dialer

static const char *library_set(WOLFSSL_CTX *library, const struct tls_dialer_options *options) {
    int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1};
    if (wolfSSL_CTX_load_verify_buffer(library, options->ca.data, options->ca.length,
                                       WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS) {
        return "the authorities are not readable as PEM; name a file with their certificates";
    }
    if (wolfSSL_CTX_SetMinVersion(library, WOLFSSL_TLSV1_2) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_cipher_list(library, tls_suites()) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_groups(library, groups, 3) != WOLFSSL_SUCCESS) {
        return "this wolfSSL lacks a suite or a group; build with another one";
    }
    // Debian's library looks at no certificate unless it is asked to.
    wolfSSL_CTX_set_verify(library, WOLFSSL_VERIFY_PEER, NULL);
    // Nothing is resumed; both words are needed (context.c).
    wolfSSL_CTX_set_session_cache_mode(library, WOLFSSL_SESS_CACHE_OFF);
    wolfSSL_CTX_set_session_cache_mode(library, WOLFSSL_SESS_CACHE_NO_INTERNAL);
    wolfSSL_CTX_SetIORecv(library, dial_receive);
    wolfSSL_CTX_SetIOSend(library, dial_send);
    return options->certificate.length == 0
               ? NULL
               : tls_identity_set(library, options->certificate, options->key);
}

int tls_dialer_open(struct tls_dialer **dialer, const struct tls_dialer_options *options,
                    const char **reason) {
    *reason = NULL;
    *dialer = calloc(1, sizeof **dialer);
    if (*dialer == NULL) {
        return -ENOMEM;
    }
    (*dialer)->library = wolfSSL_CTX_new(wolfSSLv23_client_method());
    int error = (*dialer)->library == NULL ? -ENOMEM : 0;
    if (error == 0) {
        *reason = library_set((*dialer)->library, options);
        error = *reason == NULL ? 0 : -EINVAL;
        wolfSSL_ERR_clear_error(); // the queue of errors is the thread's
    }
    if (error != 0) {
        tls_dialer_close(dialer);
    }
    return error;
}

void tls_dialer_close(struct tls_dialer **dialer) {
    if (*dialer != NULL) {
        wolfSSL_CTX_free((*dialer)->library); // it counts the connections that use it
        free(*dialer);
        *dialer = NULL;
    }
}

// --- a connection

int tls_dial_begin(struct tls_dial *dial, const struct tls_dialer *dialer, const char *host) {
    *dial = (struct tls_dial){.session = wolfSSL_new(dialer->library)};
    WOLFSSL *session = (WOLFSSL *)dial->session;
    if (session == NULL) {
        return -ENOMEM;
    }
    struct address address;
    bool is_name = !address_parse_ip(span_text(host), &address); // no name to be sent otherwise
    char protocol[] = "http/1.1";                                // the library takes no const
    bool is_ready = wolfSSL_check_domain_name(session, host) == WOLFSSL_SUCCESS &&
                    (!is_name || wolfSSL_UseSNI(session, WOLFSSL_SNI_HOST_NAME, host,
                                                (unsigned short)strlen(host)) == WOLFSSL_SUCCESS) &&
                    wolfSSL_UseALPN(session, protocol, sizeof protocol - 1,
                                    WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) == WOLFSSL_SUCCESS;
    wolfSSL_ERR_clear_error();
    if (!is_ready) {
        tls_dial_fini(dial);
        return -ENOMEM;
    }
    return 0;
}

void tls_dial_fini(struct tls_dial *dial) {
    if (dial->session != NULL) {
        wolfSSL_free((WOLFSSL *)dial->session); // it wipes its keys
    }
    *dial = (struct tls_dial){.session = NULL};
}

static void step_begin(struct tls_dial *dial, struct tls_dial_step *step) {
    step->reason = NULL;
    wolfSSL_SetIOReadCtx((WOLFSSL *)dial->session, step);
    wolfSSL_SetIOWriteCtx((WOLFSSL *)dial->session, step);
}

static void step_end(struct tls_dial *dial) {
    wolfSSL_SetIOReadCtx((WOLFSSL *)dial->session, NULL);
    wolfSSL_SetIOWriteCtx((WOLFSSL *)dial->session, NULL);
    wolfSSL_ERR_clear_error();
}

static const char *reason_of(int error) {
    const char *known = tls_client_reason(error);
    return known != NULL ? known : wolfSSL_ERR_reason_error_string((unsigned long)-(long)error);
}

enum tls_dial_result tls_dial_shake(struct tls_dial *dial, struct tls_dial_step *step) {
    WOLFSSL *session = (WOLFSSL *)dial->session;
    check(session != NULL && !dial->is_done);
    step_begin(dial, step);
    // Authorities that a chain brings along are kept in the context, whose last owner is the
    // control thread.
    tls_memory_pass_by(true);
    int result = wolfSSL_connect(session);
    tls_memory_pass_by(false);
    int error = result == WOLFSSL_SUCCESS ? 0 : wolfSSL_get_error(session, result);
    step_end(dial);
    if (result == WOLFSSL_SUCCESS) {
        dial->is_done = true;
        return TLS_DIAL_DONE;
    }
    if (error == WOLFSSL_ERROR_WANT_READ) {
        return TLS_DIAL_MORE;
    }
    step->reason =
        error == WOLFSSL_ERROR_WANT_WRITE ? "our certificates are too long" : reason_of(error);
    return TLS_DIAL_FAULT;
}

enum tls_dial_result tls_dial_read(struct tls_dial *dial, struct tls_dial_step *step, uint8_t *text,
                                   uint32_t *length) {
    WOLFSSL *session = (WOLFSSL *)dial->session;
    check(session != NULL && dial->is_done);
    step_begin(dial, step);
    int result = wolfSSL_read(session, text, TLS_TEXT_BYTES_MAX);
    int error = result > 0 ? 0 : wolfSSL_get_error(session, result);
    step_end(dial);
    *length = result > 0 ? (uint32_t)result : 0;
    if (result > 0) {
        return TLS_DIAL_DONE;
    }
    if (error == WOLFSSL_ERROR_WANT_READ) {
        return TLS_DIAL_MORE;
    }
    if (error == WOLFSSL_ERROR_ZERO_RETURN) {
        return TLS_DIAL_ENDED;
    }
    step->reason = reason_of(error);
    return TLS_DIAL_FAULT;
}

uint64_t tls_dial_room(uint64_t text_bytes) {
    // No max_fragment_length is asked for. Each record may be preceded by a KeyUpdate.
    uint64_t records = (text_bytes + TLS_TEXT_BYTES_MAX - 1) / TLS_TEXT_BYTES_MAX;
    return text_bytes + records * (TLS_RECORD_OVERHEAD_MAX + TLS_RECORD_CONTROL_BYTES_MAX);
}

int64_t tls_dial_write(struct tls_dial *dial, const struct span *pieces, uint32_t piece_count,
                       struct span_mut target) {
    WOLFSSL *session = (WOLFSSL *)dial->session;
    check(session != NULL && dial->is_done);
    struct tls_gather gather = {.pieces = pieces};
    uint64_t left = tls_gather_bytes(pieces, piece_count);
    check(target.length >= tls_dial_room(left));
    struct tls_dial_step step = {.target = target};
    step_begin(dial, &step);
    uint8_t text[TLS_TEXT_BYTES_MAX]; // a head and its body go into one record
    int result = 1;
    while (left > 0 && result > 0) { // each pass takes a record's text
        uint32_t part = left < TLS_TEXT_BYTES_MAX ? (uint32_t)left : TLS_TEXT_BYTES_MAX;
        tls_gather_next(&gather, text, part);
        result = wolfSSL_write(session, text, (int)part);
        left -= part;
    }
    int error = result > 0 ? 0 : wolfSSL_get_error(session, result);
    step_end(dial);
    if (result > 0) {
        return step.written;
    }
    return error == MEMORY_E || error == MEMORY_ERROR ? -ENOMEM : -EPROTO;
}
