// Which layer it is.
#include "gateway/tls/session.h"

#include "core/base/check.h"
#include "gateway/tls/internal.h"

static bool is_kept(const struct tls_session *session) {
    return session->kept.layer == TLS_LAYER_LIBRARY;
}

int tls_session_begin(struct tls_session *session, struct tls_handshake *handshake) {
    memset(session, 0, sizeof(*session));
    if (handshake->layer == TLS_LAYER_LIBRARY) {
        return tls_kept_begin(&session->kept, handshake);
    }
    return tls_handshake_finish(handshake, &session->compact);
}

void tls_session_fini(struct tls_session *session) {
    if (is_kept(session)) {
        tls_kept_fini(&session->kept);
    } else {
        tls_record_fini(&session->compact);
    }
}

struct tls_opened tls_session_open(struct tls_session *session, struct span_mut received) {
    return is_kept(session) ? tls_kept_open(&session->kept, received)
                            : tls_record_open(&session->compact, received);
}

uint64_t tls_session_sealed_bytes(const struct tls_session *session, uint64_t text_bytes) {
    return is_kept(session) ? tls_kept_sealed_bytes(&session->kept, text_bytes)
                            : tls_record_sealed_bytes(&session->compact, text_bytes);
}

int64_t tls_session_seal(struct tls_session *session, const struct span *pieces,
                         uint32_t piece_count, struct span_mut target) {
    return is_kept(session) ? tls_kept_seal(&session->kept, pieces, piece_count, target)
                            : tls_record_seal(&session->compact, pieces, piece_count, target);
}

bool tls_session_owes(const struct tls_session *session) {
    return is_kept(session) ? tls_kept_owes(&session->kept) : tls_record_owes(&session->compact);
}

uint32_t tls_session_alert(struct tls_session *session, enum tls_alert alert,
                           struct span_mut target) {
    check(target.length >= TLS_SESSION_CONTROL_BYTES_MAX);
    return is_kept(session) ? tls_kept_alert(&session->kept, alert, target)
                            : tls_record_alert(&session->compact, alert, target);
}
