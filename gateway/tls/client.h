// The client's side of TLS over a connected, blocking socket: for the command line, which looks at
// servers. Not for a worker: it blocks, as long as the socket's own timeouts let it.
#pragma once
#include "core/base/check.h"
#include "core/base/span.h"

#include <stdbool.h>

struct tls_client; // opaque

struct tls_client_options {
    const char *host;    // that the certificate must be for; also sent as the server's name
    const char *ca_file; // PEM: who may have signed it
    bool is_unverified;  // any certificate will do
};

// Shakes hands. NULL: *reason says why not, and lives for ever. tls_library_open was called. The
// socket stays the caller's and must outlive the client.
struct tls_client *tls_client_open(int file, const struct tls_client_options *options,
                                   const char **reason);
void tls_client_close(struct tls_client *client); // says close_notify; NULL is accepted
// "TLSv1.3", and the cipher suite; live as long as the client.
const char *tls_client_version(struct tls_client *client);
const char *tls_client_cipher(struct tls_client *client);
// Whether a receive has bytes that poll() does not see.
bool tls_client_has_bytes(struct tls_client *client);
// Bytes received, 0 at the end, or -errno.
MUST_USE int64_t tls_client_receive(struct tls_client *client, struct span_mut target);
MUST_USE int tls_client_send(struct tls_client *client, struct span bytes); // 0 or -errno
