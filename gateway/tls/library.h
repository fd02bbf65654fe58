// wolfSSL's headers, in the one order that is right, and what the files that use them share.
#pragma once
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include "gateway/tls/handshake.h"

// Whether what tls_handshake_finish calls is there (--enable-pkcallbacks --enable-atomicuser).
#ifndef TLS_KEYS_ARE_SHOWN
#if defined(HAVE_PK_CALLBACKS) && defined(ATOMIC_USER) && defined(HAVE_HKDF)
#define TLS_KEYS_ARE_SHOWN 1
#else
#define TLS_KEYS_ARE_SHOWN 0
#endif
#endif

// What clients are shown of the certificate's standing.
struct tls_staple {
    int64_t until_s; // since 1970 UTC
    uint32_t length;
    uint8_t bytes[]; // DER
};

struct tls_certificate {
    WOLFSSL_CTX *library;
    struct tls_staple *staple; // NULL: none
    char *names; // of hosts, in lower case, each with its terminator; an empty one ends them
    int64_t expiry_s;
};

// Certificates of a listener, and how many sites have them. The library counts the handshakes that
// use its part.
struct tls_context {
    struct tls_certificate certificates[TLS_CERTIFICATES_MAX]; // the first is the default
    uint32_t count;
    uint32_t holds;
    enum tls_version version_min;
    enum tls_layer layer;
    const char *staple_complaint; // about the first answer that is not shown; NULL: none
    uint8_t *client_ca;           // PEM; NULL: clients need no certificate
    uint32_t client_ca_bytes;
    bool client_is_optional;
};

// names.c: what an X.509 certificate says of itself. False: it is not readable.
bool tls_certificate_read(struct tls_certificate *certificate, struct span pem);
// identity.c. The context's certificate with its chain, and its key, both PEM. NULL, or what is
// wrong with them.
const char *tls_identity_set(WOLFSSL_CTX *library, struct span certificate, struct span key);
// staple.c. NULL, or what is wrong with the answer, which is then not shown.
const char *tls_staple_set(struct tls_certificate *certificate, struct span chain,
                           struct span answer);
// The certificate for the host that a whole ClientHello names; the first where none fits.
const struct tls_certificate *tls_certificate_choose(const struct tls_context *context,
                                                     struct span hello);

// The handshake that runs on this thread, for callbacks that are not told: set while
// tls_handshake_feed runs.
struct tls_handshake *tls_handshake_current(void);
// The library's callback to read, for a struct tls_handshake_step: from its `received`, which ends.
int tls_step_receive(WOLFSSL *session, char *target, int length, void *step);
// After the handshake: how much text a record out may carry. 0: more or less than records have, or
// the library keeps back something that it read.
uint32_t tls_handshake_text_bytes(WOLFSSL *session);
// The allocators of memory.c, before anything is allocated. 0, or the library's error.
int tls_memory_hook(void);
// Takes from the C library, whatever the thread's arena, until it is called with false.
void tls_memory_pass_by(bool is_passed_by);
// context.c: which suites are on, the preferred first.
const char *tls_suites(void);
// client.c: what a client may be told of a server that it refuses, or was refused by; NULL: nothing
// more than the library says.
const char *tls_client_reason(int error);
// Gives a context the callbacks of handshake.c.
void tls_handshake_hook(WOLFSSL_CTX *library);
