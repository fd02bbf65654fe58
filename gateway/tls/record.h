// The TLS record layer after the handshake (RFC 8446 section 5, RFC 5246 section 6 with RFC 5288
// and RFC 7905): TLS 1.3 and the AEAD suites of TLS 1.2, from 224 bytes per connection. Pure: the
// caller's bytes in, the caller's bytes out; no allocation, no call back. One thread at a time.
//
//        records in                        records out
//   OPEN --close_notify--> CLOSED     OPEN --tls_record_alert--> CLOSED
//   OPEN --fault, alert--> FAILED
//
// Nothing is opened in CLOSED (what comes is ignored, RFC 8446 6.1) nor in FAILED. The two
// directions close apart.
#pragma once
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/span.h"
#include "core/crypto/aead.h"
#include "core/crypto/hash.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum tls_version { TLS_VERSION_12, TLS_VERSION_13 };
enum tls_layer { TLS_LAYER_COMPACT, TLS_LAYER_LIBRARY };

// Of one direction. Holds keys: it is never logged, and lies where core dumps do not look.
struct tls_record_half {
    uint64_t sequence;
    uint8_t secret[HASH_BYTES_MAX]; // TLS 1.3: the traffic secret that the next one is made from
    uint8_t key[AEAD_KEY_BYTES_MAX];
    uint8_t iv[AEAD_NONCE_BYTES]; // TLS 1.2 with AES-GCM: the first 4 bytes
    uint8_t state;                // enum tls_record_state
    uint8_t empty_count;          // in: records in a row without a byte
    uint8_t update_count;         // in: KeyUpdates in the window
    uint8_t owes_update;          // out: the peer asked for new keys
};

// Of one connection. Plain data: it may be copied to another worker or process whole, and is used
// by one at a time, since a sequence number must not serve twice.
struct tls_record {
    struct tls_record_half in;
    struct tls_record_half out;
    uint64_t explicit_next;  // TLS 1.2 with AES-GCM: the nonce of the next record out
    uint16_t text_bytes_max; // of a record out
    uint16_t window_records; // in: since the KeyUpdates are counted
    uint8_t version;         // enum tls_version
    uint8_t kind;            // enum aead_kind
    uint8_t hash;            // enum hash_kind
    uint8_t layer;           // TLS_LAYER_COMPACT: told apart from session.h's other one
};
static_assert(sizeof(struct tls_record) == 224, "exists once per TLS connection");

enum tls_record_state { TLS_RECORD_OPEN, TLS_RECORD_CLOSED, TLS_RECORD_FAILED };

enum {
    TLS_RECORD_HEAD_BYTES = 5,
    // Head, explicit nonce, tag; or head, type and tag.
    TLS_RECORD_OVERHEAD_MAX = TLS_RECORD_HEAD_BYTES + 8 + AEAD_TAG_BYTES,
    TLS_RECORD_BYTES_MAX = TLS_RECORD_HEAD_BYTES + TLS_TEXT_BYTES_MAX + 2048,
    TLS_RECORD_CONTROL_BYTES_MAX = TLS_RECORD_OVERHEAD_MAX + 5, // an alert or a KeyUpdate
};

// Alerts (RFC 8446 section 6) that we send or know.
enum tls_alert {
    TLS_ALERT_CLOSE_NOTIFY = 0,
    TLS_ALERT_UNEXPECTED_MESSAGE = 10,
    TLS_ALERT_BAD_RECORD_MAC = 20,
    TLS_ALERT_RECORD_OVERFLOW = 22,
    TLS_ALERT_ILLEGAL_PARAMETER = 47,
    TLS_ALERT_DECODE_ERROR = 50,
    TLS_ALERT_PROTOCOL_VERSION = 70,
    TLS_ALERT_INTERNAL_ERROR = 80,
    TLS_ALERT_USER_CANCELED = 90,
    TLS_ALERT_NO_RENEGOTIATION = 100,
    TLS_ALERT_NONE = 255, // nothing is sent
};

// What tls_record_init needs besides the halves, of which it reads sequence and secret (TLS 1.3),
// or sequence, key and iv (TLS 1.2).
struct tls_record_options {
    const struct tls_record_half *in;
    const struct tls_record_half *out;
    enum tls_version version;
    enum aead_kind kind;
    enum hash_kind hash;
    uint32_t text_bytes_max; // TLS_TEXT_BYTES_MIN to TLS_TEXT_BYTES_MAX
    uint64_t explicit_next;  // one more than in the last record out; TLS 1.2 with AES-GCM only
};

// Copies what it needs; the caller wipes its own. TLS 1.3: derives key and iv from the secrets.
void tls_record_init(struct tls_record *record, const struct tls_record_options *options);
// Wipes everything.
void tls_record_fini(struct tls_record *record);

enum tls_opened_kind {
    TLS_OPENED_MORE,    // the first record is not whole: `wanted` bytes of it are
    TLS_OPENED_DATA,    // `data`, within the bytes received
    TLS_OPENED_NOTHING, // a record without anything for the application
    TLS_OPENED_CLOSED,  // close_notify came, now or before: no more data follows
    TLS_OPENED_FAULT,   // `fault`; if `alert` is not TLS_ALERT_NONE, it is to be sent
};

struct tls_opened {
    enum tls_opened_kind kind;
    enum tls_alert alert;
    const struct fault *fault;
    struct span_mut data; // lent: a part of what was received
    uint32_t consumed;    // bytes received that are done with
    uint32_t wanted;      // whole length of the record that begins here, as far as it is known
};

// Opens, in place, the first record of `received`. The length is judged from the head, before the
// rest has come. Call again with the rest while something is consumed. After a fault the connection
// sends the alert and ends.
struct tls_opened tls_record_open(struct tls_record *record, struct span_mut received);

// Room that sealing so many bytes may need, with the KeyUpdates that may go before them.
uint64_t tls_record_sealed_bytes(const struct tls_record *record, uint64_t text_bytes);
// Seals the pieces as application data, one after the other, into as few records as hold them (none
// for no bytes), first what is owed. `target` holds tls_record_sealed_bytes() and overlaps no
// piece. Returns the bytes written, or -EPIPE (closed by tls_record_alert) or -EKEYEXPIRED
// (TLS 1.2: the keys are used up; nothing was written; what is left is an alert).
//
// What was sealed is sent whole and in this order, or the connection ends: a record is never sealed
// a second time, so a send that was cut short goes on with the same bytes.
int64_t tls_record_seal(struct tls_record *record, const struct span *pieces, uint32_t piece_count,
                        struct span_mut target);
// Whether something waits to be sealed that no data may follow: then seal with no pieces.
bool tls_record_owes(const struct tls_record *record);
// Seals an alert, the last thing out: TLS_ALERT_CLOSE_NOTIFY or what tls_record_open asked for.
// `target` has TLS_RECORD_CONTROL_BYTES_MAX. Returns the bytes written; 0 if an alert went before.
uint32_t tls_record_alert(struct tls_record *record, enum tls_alert alert, struct span_mut target);
