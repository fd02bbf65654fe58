// One handshake: the library's steps over the caller's bytes. The way out of it is in keys.c.
#include "gateway/tls/library.h"

#include "core/crypto/secret.h"
#include "gateway/tls/internal.h"
#include "gateway/tls/tls.h"

#include <errno.h>
#include <wolfssl/wolfcrypt/kdf.h>

// The library's callback for labelled expansions names no connection. One handshake runs at a time
// on a thread, so a pointer that stands only while it runs says whose secret it is.
static _Thread_local struct tls_handshake *current;

struct tls_handshake *tls_handshake_current(void) {
    check(current != NULL);
    return current;
}

#if TLS_KEYS_ARE_SHOWN
static void secret_keep(uint8_t *target, uint8_t *bytes, const uint8_t *secret, uint32_t length) {
    check(length <= HASH_BYTES_MAX);
    memcpy(target, secret, length);
    *bytes = (uint8_t)length;
}

static int label_expand(byte *output, word32 output_length, const byte *secret,
                        word32 secret_length, const byte *prefix, word32 prefix_length,
                        const byte *label, word32 label_length, const byte *info,
                        word32 info_length, int digest, int side) {
    (void)side; // always the server
    int result =
        wc_Tls13_HKDF_Expand_Label(output, output_length, secret, secret_length, prefix,
                                   prefix_length, label, label_length, info, info_length, digest);
    if (result == 0 && current != NULL && label_length == 12) {
        struct tls_capture *capture = &current->capture;
        if (memcmp(label, "c ap traffic", 12) == 0) {
            secret_keep(capture->client, &capture->client_bytes, output, output_length);
        } else if (memcmp(label, "s ap traffic", 12) == 0) {
            secret_keep(capture->server, &capture->server_bytes, output, output_length);
        }
    }
    return result;
}
#endif

int tls_step_receive(WOLFSSL *session, char *target, int length, void *pointer) {
    (void)session; // the step says it all
    struct tls_handshake_step *step = (struct tls_handshake_step *)pointer;
    uint32_t left = step->received.length - step->consumed;
    uint32_t part = left < (uint32_t)length ? left : (uint32_t)length;
    if (part == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    memcpy(target, step->received.data + step->consumed, part);
    step->consumed += part;
    return (int)part;
}

static void trail_follow(struct tls_trail *trail, const uint8_t *bytes, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        bool is_over = trail->have >= TLS_RECORD_HEAD_BYTES && trail->left == 0;
        if (is_over) {
            trail->have = 0;
        }
        if (trail->have >= TLS_RECORD_HEAD_BYTES) {
            trail->left--;
        }
        if (trail->have < sizeof(trail->begin)) {
            trail->begin[trail->have++] = bytes[i];
        }
        if (trail->have == TLS_RECORD_HEAD_BYTES) {
            trail->left = (uint32_t)trail->begin[3] << 8 | trail->begin[4];
        }
    }
}

static int bytes_send(WOLFSSL *session, char *bytes, int length, void *pointer) {
    (void)session; // the step says it all
    struct tls_handshake_step *step = (struct tls_handshake_step *)pointer;
    uint32_t room = step->target.length - step->written;
    uint32_t part = room < (uint32_t)length ? room : (uint32_t)length;
    if (part == 0) {
        current->was_full = true;
        return WOLFSSL_CBIO_ERR_WANT_WRITE;
    }
    memcpy(step->target.data + step->written, bytes, part);
    trail_follow(&current->trail, step->target.data + step->written, part);
    step->written += part;
    return (int)part;
}

void tls_handshake_hook(WOLFSSL_CTX *library) {
    wolfSSL_CTX_SetIORecv(library, tls_step_receive);
    wolfSSL_CTX_SetIOSend(library, bytes_send);
#if TLS_KEYS_ARE_SHOWN
    wolfSSL_CTX_SetHKDFExpandLabelCb(library, label_expand);
#endif
}

bool tls_is_http(struct span received) {
    return received.length > 0 && received.data[0] >= 'A' && received.data[0] <= 'Z';
}

uint32_t tls_hello_bytes(struct span received) {
    bool may_be = received.length == 0 || received.data[0] == TLS_CONTENT_HANDSHAKE;
    if (may_be && received.length >= TLS_RECORD_HEAD_BYTES) {
        uint32_t bytes = (uint32_t)received.data[3] << 8 | received.data[4];
        return bytes <= TLS_TEXT_BYTES_MAX ? TLS_RECORD_HEAD_BYTES + bytes : 0;
    }
    return may_be ? TLS_RECORD_HEAD_BYTES : 0;
}

int tls_handshake_open(struct tls_handshake *handshake, const struct tls_context *context,
                       struct tls_tickets *tickets, struct span hello) {
    // The library counts its references in the context, under its own lock.
    const struct tls_certificate *certificate = tls_certificate_choose(context, hello);
    WOLFSSL_CTX *library = certificate->library;
    // A ticket of another listener would stand for a certificate that was never shown there.
    *handshake = (struct tls_handshake){.session = wolfSSL_new(library),
                                        .tickets = context->client_ca == NULL ? tickets : NULL,
                                        .layer = context->layer,
                                        .is_asking = context->client_ca != NULL,
                                        .is_stapled = certificate->staple != NULL};
    return handshake->session == NULL ? -ENOMEM : 0;
}

// The library goes on without a protocol whatever the callback said (5.5.4). What it wrote is
// replaced by the alert of RFC 7301 3.2, which nothing has been encrypted before.
static enum tls_handshake_result protocol_refuse(struct tls_handshake_step *step) {
    static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 120};
    step->written = 0;
    if (step->target.length >= sizeof(alert)) {
        memcpy(step->target.data, alert, sizeof(alert));
        step->written = sizeof(alert);
    }
    step->fault = fault_get(FAULT_tls_handshake);
    step->reason = "the client offers other protocols than http/1.1";
    wolfSSL_ERR_clear_error();
    return TLS_HANDSHAKE_FAULT;
}

enum tls_handshake_result tls_handshake_feed(struct tls_handshake *handshake,
                                             struct tls_handshake_step *step) {
    check(!handshake->is_done);
    check(current == NULL);
    WOLFSSL *session = (WOLFSSL *)handshake->session;
    step->consumed = 0;
    step->written = 0;
    step->reason = NULL;
    step->fault = NULL;
    wolfSSL_SetIOReadCtx(session, step);
    wolfSSL_SetIOWriteCtx(session, step);
    handshake->was_full = false;
    current = handshake;
    // The library keeps what it reads of a staple, and the authorities that a client's chain brings
    // along, in the context, whose last owner is the control thread.
    tls_memory_pass_by(handshake->is_stapled || handshake->is_asking);
    int result = wolfSSL_accept(session);
    tls_memory_pass_by(false);
    current = NULL;
    int error = result == WOLFSSL_SUCCESS ? 0 : wolfSSL_get_error(session, result);
    if (handshake->is_refused) {
        return protocol_refuse(step);
    }
    wolfSSL_SetIOReadCtx(session, NULL);
    wolfSSL_SetIOWriteCtx(session, NULL);
    if (result == WOLFSSL_SUCCESS) {
        handshake->is_done = true;
        return TLS_HANDSHAKE_DONE;
    }
    if (error == WOLFSSL_ERROR_WANT_READ) {
        return TLS_HANDSHAKE_MORE;
    }
    // The library forgets its reason when the same bytes meet a full target twice (5.5.4).
    if (error == WOLFSSL_ERROR_WANT_WRITE || (error == 0 && handshake->was_full)) {
        return TLS_HANDSHAKE_FULL;
    }
    step->fault = fault_get(FAULT_tls_handshake);
    step->reason = wolfSSL_ERR_reason_error_string((unsigned long)-(long)error);
    wolfSSL_ERR_clear_error(); // the queue of errors is the thread's
    return TLS_HANDSHAKE_FAULT;
}

uint32_t tls_handshake_text_bytes(WOLFSSL *session) {
    int bytes = wolfSSL_GetMaxOutputSize(session);
    bool is_fit = bytes >= TLS_TEXT_BYTES_MIN && bytes <= TLS_TEXT_BYTES_MAX;
    return is_fit && wolfSSL_pending(session) == 0 ? (uint32_t)bytes : 0;
}

bool tls_handshake_is_resumed(const struct tls_handshake *handshake) {
    return wolfSSL_session_reused((WOLFSSL *)handshake->session) == 1;
}

const char *tls_handshake_suite(const struct tls_handshake *handshake) {
    return wolfSSL_get_cipher((WOLFSSL *)handshake->session);
}

void tls_handshake_close(struct tls_handshake *handshake) {
    wolfSSL_free((WOLFSSL *)handshake->session);
    secret_wipe(handshake, sizeof(*handshake));
}
