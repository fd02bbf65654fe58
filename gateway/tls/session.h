// The records of one connection after its handshake, by one of two layers that do the same: ours
// (record.h: 224 bytes and no more), or the library's own, whose object is kept for it (54 KB with
// Debian's wolfSSL). Same thread and memory rules as record.h; the library's object is memory of
// the thread's arena (tls_memory_set).
//
//   tls_session_begin -> open, seal, owes, alert as in record.h -> tls_session_fini
#pragma once
#include "gateway/tls/handshake.h"
#include "gateway/tls/record.h"

#include <stddef.h>

enum {
    TLS_KEPT_OWED_BYTES = 209, // an alert and KeyUpdates, and the size of a tls_record
    // What an alert needs, with what may have to go before it.
    TLS_SESSION_CONTROL_BYTES_MAX = TLS_KEPT_OWED_BYTES + TLS_RECORD_CONTROL_BYTES_MAX,
};

// The library's own layer. The object is this connection's alone.
struct tls_kept {
    void *session;
    uint16_t text_bytes_max; // of a record out
    uint8_t owed_bytes;
    uint8_t in_state;  // enum tls_record_state
    uint8_t out_state; // as above
    uint8_t empty_count;
    uint8_t owed[TLS_KEPT_OWED_BYTES]; // what it wrote while it read: to be sent first
    uint8_t layer;
};

// `layer` stands at the same place of both.
struct tls_session {
    union {
        struct tls_record compact;
        struct tls_kept kept;
    };
};
static_assert(sizeof(struct tls_session) == 224, "exists once per TLS connection");
static_assert(sizeof(struct tls_kept) == sizeof(struct tls_record), "the last byte of both");
static_assert(offsetof(struct tls_kept, layer) == offsetof(struct tls_record, layer), "as said");

// After TLS_HANDSHAKE_DONE, by the layer of the handshake's context. Returns what
// tls_handshake_finish does; then tls_handshake_close, in either case.
MUST_USE int tls_session_begin(struct tls_session *session, struct tls_handshake *handshake);
void tls_session_fini(struct tls_session *session);

// As tls_record_open, tls_record_sealed_bytes, tls_record_seal and tls_record_owes; sealing may
// also return -ENOMEM: then the connection ends.
struct tls_opened tls_session_open(struct tls_session *session, struct span_mut received);
uint64_t tls_session_sealed_bytes(const struct tls_session *session, uint64_t text_bytes);
int64_t tls_session_seal(struct tls_session *session, const struct span *pieces,
                         uint32_t piece_count, struct span_mut target);
bool tls_session_owes(const struct tls_session *session);
// As tls_record_alert, with TLS_SESSION_CONTROL_BYTES_MAX of room. Which alert answers a fault the
// library has decided when it read.
uint32_t tls_session_alert(struct tls_session *session, enum tls_alert alert,
                           struct span_mut target);
