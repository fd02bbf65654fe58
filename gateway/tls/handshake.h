// The handshake, by wolfSSL over memory, and its end: keys and sequence numbers are taken out
// through the library's public calls, and go on in a struct tls_record; then the library's object
// is freed. Suites, groups and what a certificate may be are the library's; which of them are on is
// decided here: TLS 1.3 and 1.2, AEAD suites with an ephemeral exchange only, X25519 first.
//
//   open -> feed -> (MORE: receive; FULL: send, then feed again) -> DONE -> finish -> close
//                \-> FAULT: send what was written, close
//
// A context is frozen after it was opened and serves all workers; it is closed when no handshake
// uses it. A handshake belongs to one worker. wolfSSL allocates: about 54 to 66 KB per handshake
// with Debian's library, all of it given back by close.
#pragma once
#include "core/base/check.h"
#include "core/base/fault.h"
#include "gateway/tls/peer.h"
#include "gateway/tls/record.h"
#include "gateway/tls/tickets.h"

#include <stdbool.h>
#include <stdint.h>

struct tls_context; // certificates with their keys

struct tls_identity {
    struct span certificate; // PEM: the leaf first, then what it is signed by
    struct span key;         // PEM
    struct span ocsp;        // DER: a responder's answer that clients are shown; empty: none
};

struct tls_context_options {
    struct tls_identity first;
    struct span client_ca;   // PEM: who must have signed the client's certificate; empty: none is
                             // asked for
    bool client_is_optional; // one without a certificate is let in, too
    enum tls_version version_min;
    enum tls_layer layer; // after the handshake; the library's where this wolfSSL keeps its keys
};

// Once per process, before anything else here. 0 or -ENOTSUP: this wolfSSL cannot be used.
MUST_USE int tls_library_open(void);
// Whether this wolfSSL gives its keys out, as the compact record layer needs.
bool tls_library_may_export(void);
void tls_library_close(void);

// 0, -ENOMEM, or -EINVAL: then `*reason` says what of the options is wrong, and what to write
// instead.
MUST_USE int tls_context_open(struct tls_context **context,
                              const struct tls_context_options *options, const char **reason);
// One more certificate, for the hosts that it names. As tls_context_open; -ENOSPC when there are
// TLS_CERTIFICATES_MAX.
MUST_USE int tls_context_add(struct tls_context *context, const struct tls_identity *identity,
                             const char **reason);
// Why clients are not shown the answer of a responder that a certificate came with: for the log.
// NULL: none is kept back.
const char *tls_context_staple_complaint(const struct tls_context *context);
// When the first of its certificates ends, in seconds since 1970 UTC.
int64_t tls_context_expiry_s(const struct tls_context *context);
// The layer that its connections get.
enum tls_layer tls_context_layer(const struct tls_context *context);
// The same context for one more owner, who closes it as well. The control thread's, as open and
// close are.
struct tls_context *tls_context_share(struct tls_context *context);
void tls_context_close(struct tls_context **context); // NULL inside is accepted

// What the labelled expansions of a handshake gave for the application's traffic.
struct tls_capture {
    uint8_t client[HASH_BYTES_MAX];
    uint8_t server[HASH_BYTES_MAX];
    uint8_t client_bytes; // 0: not yet
    uint8_t server_bytes;
};

// The last record out, followed through pieces: in TLS 1.2 its explicit nonce is in the clear.
struct tls_trail {
    uint8_t begin[TLS_RECORD_HEAD_BYTES + 8];
    uint32_t have; // of `begin`
    uint32_t left; // of the body, once the head is whole
};

struct tls_handshake {
    void *session;               // the library's object
    struct tls_tickets *tickets; // NULL: it neither takes nor gives any
    struct tls_capture capture;
    struct tls_trail trail;
    enum tls_layer layer;
    bool is_done;
    bool is_asking;  // for the client's certificate
    bool is_stapled; // its certificate has a responder's answer
    bool is_refused; // the client offers protocols, and ours is not among them
    bool was_full;   // `target` was, in the step that runs
};

// One step's bytes.
struct tls_handshake_step {
    struct span received;   // from the socket
    struct span_mut target; // for what is to be sent
    uint32_t consumed;      // of `received`; the rest is kept by the caller and fed again
    uint32_t written;       // to `target`
    const char *reason;     // FAULT: the library's words, for the log
    const struct fault *fault;
};

enum tls_handshake_result {
    TLS_HANDSHAKE_MORE,  // everything received was taken
    TLS_HANDSHAKE_FULL,  // `target` is full: send it and call again
    TLS_HANDSHAKE_DONE,  // what is left of `received` are records for tls_record_open
    TLS_HANDSHAKE_FAULT, // `fault` says so; `target` holds the alert, if there is one
};

// Length of the record that begins here, as far as it is known, if it may be a ClientHello; else 0.
uint32_t tls_hello_bytes(struct span received);
// `hello`, lent: the client's first record, whole, whose server name chooses the certificate;
// empty: the first one. `tickets` are the worker's and outlive the handshake. 0 or -ENOMEM.
MUST_USE int tls_handshake_open(struct tls_handshake *handshake, const struct tls_context *context,
                                struct tls_tickets *tickets, struct span hello);
enum tls_handshake_result tls_handshake_feed(struct tls_handshake *handshake,
                                             struct tls_handshake_step *step);

// After DONE, before close. The record layer takes over: 0, or -ENOTSUP (a suite that it does not
// have), or -EPROTO (the keys that the library shows do not follow from its secrets): then close.
// tls_session_begin (session.h) decides between this and the library's own layer.
MUST_USE int tls_handshake_finish(const struct tls_handshake *handshake, struct tls_record *record);
// After DONE, before it ends. False: the client showed no certificate, or one whose subject is
// empty, over TLS_SUBJECT_BYTES_MAX or has control characters.
bool tls_handshake_peer(const struct tls_handshake *handshake, struct tls_peer *peer);
// Whether a ticket made the handshake short; the suite's name, a constant of the library.
bool tls_handshake_is_resumed(const struct tls_handshake *handshake);
const char *tls_handshake_suite(const struct tls_handshake *handshake);
// Frees the library's object, at any time, and wipes the rest. It tells the peer nothing.
void tls_handshake_close(struct tls_handshake *handshake);
