// The library's own record layer, its object kept for the life of the connection: for comparison,
// and where the library does not give its keys out. Its bytes are the caller's for the length of a
// call, a step as those of the handshake are; what it writes while it reads (alerts, answers to a
// KeyUpdate) is kept until it may be sent.
#include "gateway/tls/library.h"

#include "core/base/check.h"
#include "core/crypto/secret.h"
#include "gateway/tls/internal.h"

#include <errno.h>

static int kept_send(WOLFSSL *session, char *bytes, int length, void *pointer) {
    (void)session; // as above
    struct tls_handshake_step *step = (struct tls_handshake_step *)pointer;
    if ((uint32_t)length > step->target.length - step->written) {
        step->fault = fault_get(FAULT_tls_flood); // the library itself may not say it
        return WOLFSSL_CBIO_ERR_WANT_WRITE;
    }
    memcpy(step->target.data + step->written, bytes, (uint32_t)length);
    step->written += (uint32_t)length;
    return length;
}

int tls_kept_begin(struct tls_kept *kept, struct tls_handshake *handshake) {
    check(handshake->is_done);
    WOLFSSL *session = (WOLFSSL *)handshake->session;
    uint32_t text_bytes_max = tls_handshake_text_bytes(session);
    if (text_bytes_max == 0) {
        return -EPROTO;
    }
    *kept = (struct tls_kept){
        .session = session, .text_bytes_max = (uint16_t)text_bytes_max, .layer = TLS_LAYER_LIBRARY};
    handshake->session = NULL; // the connection's from now on
    wolfSSL_SSLSetIORecv(session, tls_step_receive);
    wolfSSL_SSLSetIOSend(session, kept_send);
    return 0;
}

void tls_kept_fini(struct tls_kept *kept) {
    wolfSSL_free((WOLFSSL *)kept->session); // it wipes its keys
    secret_wipe(kept, sizeof(*kept));
}

static enum fault_id fault_of(int error) {
    switch (error) {
    case MEMORY_E:
    case MEMORY_ERROR:
        return FAULT_out_of_memory;
    case VERIFY_MAC_ERROR:
    case DECRYPT_ERROR:
    case AES_GCM_AUTH_E:
    case MAC_CMP_FAILED_E:
        return FAULT_tls_record_forged;
    case LENGTH_ERROR:
    case BUFFER_ERROR:
        return FAULT_tls_record_length;
    case FATAL_ERROR:
        return FAULT_tls_alert;
    default:
        return FAULT_tls_record_unexpected;
    }
}

static struct tls_opened kept_fault(struct tls_kept *kept, enum fault_id fault) {
    kept->in_state = TLS_RECORD_FAILED;
    // Which alert it is was the library's choice, and is among what it wrote.
    bool is_said = kept->owed_bytes > 0;
    return (struct tls_opened){.kind = TLS_OPENED_FAULT,
                               .fault = fault_get(fault),
                               .alert = is_said ? TLS_ALERT_INTERNAL_ERROR : TLS_ALERT_NONE};
}

// What the library made of one whole record, or of a head that it refuses.
static struct tls_opened record_read(struct tls_kept *kept, struct span_mut record) {
    WOLFSSL *session = (WOLFSSL *)kept->session;
    struct tls_handshake_step step = {.received = span_make(record.data, record.length),
                                      .target = {.data = kept->owed + kept->owed_bytes,
                                                 .length = TLS_KEPT_OWED_BYTES - kept->owed_bytes}};
    wolfSSL_SetIOReadCtx(session, &step);
    wolfSSL_SetIOWriteCtx(session, &step);
    // It copies what it takes before it gives anything, so both may be the same memory.
    int result = wolfSSL_read(session, record.data, (int)record.length);
    int error = result > 0 ? 0 : wolfSSL_get_error(session, result);
    wolfSSL_SetIOReadCtx(session, NULL);
    wolfSSL_SetIOWriteCtx(session, NULL);
    kept->owed_bytes = (uint8_t)(kept->owed_bytes + step.written);
    struct tls_opened opened = {.kind = TLS_OPENED_NOTHING,
                                .alert = TLS_ALERT_NONE,
                                .wanted = record.length,
                                .consumed = record.length};
    if (step.fault != NULL) { // answers are asked for faster than they can be sent
        wolfSSL_ERR_clear_error();
        return kept_fault(kept, step.fault->id);
    }
    if (result > 0) {
        kept->empty_count = 0;
        opened.kind = TLS_OPENED_DATA;
        opened.data = (struct span_mut){.data = record.data, .length = (uint32_t)result};
        return opened;
    }
    wolfSSL_ERR_clear_error(); // the queue of errors is the thread's
    if (error == WOLFSSL_ERROR_ZERO_RETURN) {
        kept->in_state = TLS_RECORD_CLOSED;
        opened.kind = TLS_OPENED_CLOSED;
        return opened;
    }
    if (error != WOLFSSL_ERROR_WANT_READ) {
        return kept_fault(kept, fault_of(error));
    }
    kept->empty_count++;
    return kept->empty_count > TLS_EMPTY_RECORDS_MAX ? kept_fault(kept, FAULT_tls_flood) : opened;
}

struct tls_opened tls_kept_open(struct tls_kept *kept, struct span_mut received) {
    check(kept->in_state != TLS_RECORD_FAILED);
    if (kept->in_state == TLS_RECORD_CLOSED) {
        return (struct tls_opened){
            .kind = TLS_OPENED_CLOSED, .alert = TLS_ALERT_NONE, .consumed = received.length};
    }
    struct tls_opened opened = {
        .kind = TLS_OPENED_MORE, .alert = TLS_ALERT_NONE, .wanted = TLS_RECORD_HEAD_BYTES};
    if (received.length < TLS_RECORD_HEAD_BYTES) {
        return opened;
    }
    uint32_t body = (uint32_t)received.data[3] << 8 | received.data[4];
    opened.wanted = TLS_RECORD_HEAD_BYTES + body;
    if (opened.wanted > TLS_RECORD_BYTES_MAX) {
        opened = record_read(
            kept, (struct span_mut){.data = received.data, .length = TLS_RECORD_HEAD_BYTES});
        return opened.kind == TLS_OPENED_FAULT ? opened : kept_fault(kept, FAULT_tls_record_length);
    }
    if (received.length < opened.wanted) {
        return opened;
    }
    bool is_hello = received.data[0] == TLS_CONTENT_HANDSHAKE;
    opened = record_read(kept, (struct span_mut){.data = received.data, .length = opened.wanted});
    // In the clear only TLS 1.2 says so. The library refuses a second handshake and would go on.
    bool is_refused = is_hello && opened.kind != TLS_OPENED_FAULT;
    return is_refused ? kept_fault(kept, FAULT_tls_record_unexpected) : opened;
}

uint64_t tls_kept_sealed_bytes(const struct tls_kept *kept, uint64_t text_bytes) {
    uint64_t records = (text_bytes + kept->text_bytes_max - 1) / kept->text_bytes_max;
    // Each may be preceded by a KeyUpdate of the library's own.
    uint64_t beside = TLS_RECORD_OVERHEAD_MAX + TLS_RECORD_CONTROL_BYTES_MAX;
    return TLS_KEPT_OWED_BYTES + text_bytes + records * beside;
}

static void owed_move(struct tls_kept *kept, struct tls_handshake_step *step) {
    memcpy(step->target.data, kept->owed, kept->owed_bytes);
    step->written = kept->owed_bytes;
    kept->owed_bytes = 0;
}

int64_t tls_kept_seal(struct tls_kept *kept, const struct span *pieces, uint32_t piece_count,
                      struct span_mut target) {
    if (kept->out_state != TLS_RECORD_OPEN) {
        return -EPIPE;
    }
    WOLFSSL *session = (WOLFSSL *)kept->session;
    struct tls_gather gather = {.pieces = pieces};
    uint64_t left = tls_gather_bytes(pieces, piece_count);
    check(target.length >= tls_kept_sealed_bytes(kept, left));
    struct tls_handshake_step step = {.target = target};
    owed_move(kept, &step);
    wolfSSL_SetIOWriteCtx(session, &step);
    uint8_t text[TLS_TEXT_BYTES_MAX]; // a head and its payload go into one record
    int result = 1;
    while (left > 0 && result > 0) {
        uint32_t part = left < kept->text_bytes_max ? (uint32_t)left : kept->text_bytes_max;
        tls_gather_next(&gather, text, part);
        result = wolfSSL_write(session, text, (int)part);
        left -= part;
    }
    wolfSSL_SetIOWriteCtx(session, NULL);
    if (result > 0) {
        return step.written;
    }
    if (step.written > 0) {
        kept->out_state = TLS_RECORD_CLOSED; // of this nothing is sent, so nothing may follow it
    }
    bool is_memory = fault_of(wolfSSL_get_error(session, result)) == FAULT_out_of_memory;
    wolfSSL_ERR_clear_error();
    return is_memory ? -ENOMEM : -EKEYEXPIRED;
}

bool tls_kept_owes(const struct tls_kept *kept) {
    return kept->owed_bytes > 0 && kept->out_state == TLS_RECORD_OPEN;
}

uint32_t tls_kept_alert(struct tls_kept *kept, enum tls_alert alert, struct span_mut target) {
    if (kept->out_state != TLS_RECORD_OPEN) {
        return 0;
    }
    kept->out_state = TLS_RECORD_CLOSED;
    WOLFSSL *session = (WOLFSSL *)kept->session;
    struct tls_handshake_step step = {.target = target};
    owed_move(kept, &step);
    if (alert == TLS_ALERT_CLOSE_NOTIFY) {
        wolfSSL_SetIOWriteCtx(session, &step);
        (void)wolfSSL_shutdown(session); // says that the other side has not yet
        wolfSSL_SetIOWriteCtx(session, NULL);
        wolfSSL_ERR_clear_error();
    }
    return step.written;
}
