// What the files of the record layer share. Same thread and memory rules as record.h.
#pragma once
#include "gateway/tls/session.h"

enum tls_content {
    TLS_CONTENT_CIPHER_CHANGE = 20,
    TLS_CONTENT_ALERT = 21,
    TLS_CONTENT_HANDSHAKE = 22,
    TLS_CONTENT_DATA = 23,
};

enum { TLS_HANDSHAKE_CLIENT_HELLO = 1, TLS_HANDSHAKE_KEY_UPDATE = 24, TLS_KEY_UPDATE_BYTES = 5 };

static inline struct aead_key tls_record_key(const struct tls_record *record,
                                             const struct tls_record_half *half) {
    return (struct aead_key){.bytes = half->key, .kind = (enum aead_kind)record->kind};
}

// Whether records carry 8 bytes of their nonce (RFC 5288 section 3).
static inline bool tls_record_is_explicit(const struct tls_record *record) {
    return record->version == TLS_VERSION_12 && record->kind != AEAD_CHACHA20_POLY1305;
}

// Bytes of a record before the text: head and explicit nonce.
static inline uint32_t tls_record_before(const struct tls_record *record) {
    return TLS_RECORD_HEAD_BYTES + (tls_record_is_explicit(record) ? 8u : 0u);
}

static inline void tls_store_64(uint8_t *target, uint64_t value) {
    for (uint32_t i = 0; i < 8; i++) {
        target[i] = (uint8_t)(value >> (56 - 8 * i));
    }
}

// The nonce of RFC 8446 5.3 and RFC 7905 section 2: the iv with the sequence number.
void tls_record_nonce(const struct tls_record_half *half, uint8_t nonce[AEAD_NONCE_BYTES]);
// The associated data of TLS 1.2 (RFC 5246 6.2.3.3).
void tls_record_associated(uint64_t sequence, const uint8_t *head, uint32_t text_bytes,
                           uint8_t associated[13]);
// The next generation of keys (RFC 8446 7.2).
void tls_record_rekey(const struct tls_record *record, struct tls_record_half *half);

// Where pieces that lie one behind the other have been read to.
struct tls_gather {
    const struct span *pieces;
    uint32_t piece;
    uint32_t at;
};

uint64_t tls_gather_bytes(const struct span *pieces, uint32_t piece_count);
// Copies the next `length` bytes, which there are.
void tls_gather_next(struct tls_gather *gather, uint8_t *target, uint32_t length);

// kept.c: the library's own layer behind session.h.
MUST_USE int tls_kept_begin(struct tls_kept *kept, struct tls_handshake *handshake);
void tls_kept_fini(struct tls_kept *kept);
struct tls_opened tls_kept_open(struct tls_kept *kept, struct span_mut received);
uint64_t tls_kept_sealed_bytes(const struct tls_kept *kept, uint64_t text_bytes);
int64_t tls_kept_seal(struct tls_kept *kept, const struct span *pieces, uint32_t piece_count,
                      struct span_mut target);
bool tls_kept_owes(const struct tls_kept *kept);
uint32_t tls_kept_alert(struct tls_kept *kept, enum tls_alert alert, struct span_mut target);
