// The client's side of TLS over memory, for connections to services: handshake and records are the
// library's, whose object stays for the life of the connection (about 54 KB with Debian's wolfSSL:
// what a handshake takes is the C library's, the rest of the thread's arena, tls_memory_set). The
// service must show a certificate for the host that was asked for, by an authority that is trusted;
// nothing is resumed.
//
//   tls_dial_begin -> tls_dial_shake until DONE -> tls_dial_read, tls_dial_write -> tls_dial_fini
//
// A dialer is frozen after it was opened, serves all workers, and is closed by who opened it; the
// connections that were begun with it keep what they need. A tls_dial belongs to one worker.
#pragma once
#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct tls_dialer;

struct tls_dialer_options {
    struct span ca;          // PEM: the authorities that are trusted
    struct span certificate; // PEM, the leaf first: shown to services that ask; empty: none
    struct span key;         // PEM
};
// 0, -ENOMEM, or -EINVAL: then `*reason` says what is wrong, and what to write instead. The control
// thread's, as close is.
MUST_USE int tls_dialer_open(struct tls_dialer **dialer, const struct tls_dialer_options *options,
                             const char **reason);
void tls_dialer_close(struct tls_dialer **dialer); // NULL inside is accepted

enum {
    TLS_DIAL_OUT_BYTES = 16 << 10, // room for what one step may want to send: our certificates
    TLS_DIAL_HOST_BYTES = RESOLVE_HOST_BYTES_MAX + 1,
};

struct tls_dial {
    void *session; // the library's object; NULL: none
    bool is_done;  // the handshake is
};

// The bytes of one step. What is written to `target` is to be sent, before anything that is written
// later, also when the step has failed (an alert).
struct tls_dial_step {
    struct span received; // from the socket; what is taken is cut off its front
    struct span_mut target;
    uint32_t written;
    const char *reason; // FAULT: constant text, for the log
};

enum tls_dial_result { TLS_DIAL_MORE, TLS_DIAL_DONE, TLS_DIAL_ENDED, TLS_DIAL_FAULT };

// `host`: a name or a numeric address, terminated, without a dot at its end; sent as the server's
// name if it is one. 0 or -ENOMEM.
MUST_USE int tls_dial_begin(struct tls_dial *dial, const struct tls_dialer *dialer,
                            const char *host);
// A step of the handshake, the first one without anything received. MORE: everything was taken.
// DONE: what is left of `received` is for tls_dial_read.
enum tls_dial_result tls_dial_shake(struct tls_dial *dial, struct tls_dial_step *step);
// The next text into `text`, of TLS_TEXT_BYTES_MAX bytes; `*length` of it. DONE: call again. MORE:
// everything was taken, nothing is left. ENDED: the service has said that it sends no more.
enum tls_dial_result tls_dial_read(struct tls_dial *dial, struct tls_dial_step *step, uint8_t *text,
                                   uint32_t *length);
// Room that tls_dial_write needs for so many bytes.
uint64_t tls_dial_room(uint64_t text_bytes);
// Encrypts the pieces into `target`; returns the bytes, or -ENOMEM, or -EPROTO: then it is over.
MUST_USE int64_t tls_dial_write(struct tls_dial *dial, const struct span *pieces,
                                uint32_t piece_count, struct span_mut target);
// Frees the library's object, at any time; tells the service nothing.
void tls_dial_fini(struct tls_dial *dial);
