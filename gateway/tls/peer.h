// Who a client is by the certificate that it showed, verified against a listener's `client_ca`.
// Plain data; lent to whoever decides about the client.
#pragma once
#include "core/base/span.h"

#include <stdint.h>

enum {
    TLS_FINGERPRINT_BYTES = 64,
    TLS_SUBJECT_BYTES_MAX = 512,
};

struct tls_peer {
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES]; // SHA-256 of the certificate, hexadecimal
    uint16_t subject_bytes;
    uint8_t subject[TLS_SUBJECT_BYTES_MAX]; // RFC 4514, such as CN=one,O=Example
};

static inline struct span tls_peer_fingerprint(const struct tls_peer *peer) {
    return span_make(peer->fingerprint, TLS_FINGERPRINT_BYTES);
}

static inline struct span tls_peer_subject(const struct tls_peer *peer) {
    return span_make(peer->subject, peer->subject_bytes);
}
