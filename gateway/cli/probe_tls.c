// wss: the handshake, and whether a browser would go on behind it.
#include "gateway/cli/probe.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <stdio.h>

#include "gateway/seam/clock.h"
#include "gateway/tls/client.h"
#include "gateway/tls/tls.h"

int probe_secure(struct probe *probe) {
    // Of the handshake, and of the rest of a record that has begun.
    struct timeval limit = {.tv_sec = (time_t)(probe->options.timeout_ms / 1000),
                            .tv_usec = (suseconds_t)(probe->options.timeout_ms % 1000 * 1000)};
    const char *reason = "this TLS library cannot be used";
    struct tls_client_options options = {.host = probe->host,
                                         .ca_file = probe->options.ca_file,
                                         .is_unverified = probe->options.is_insecure};
    uint64_t start_ns = clock_now_ns();
    if (setsockopt(probe->file, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        tls_library_open() == 0) {
        probe->tls = tls_client_open(probe->file, &options, &reason);
    }
    if (probe->tls == NULL) {
        (void)printf("  no TLS       %s:%s: %s\n", probe->host, probe->port, reason);
        (void)printf("  verdict      browsers refuse it; --ca FILE trusts another authority, "
                     "--insecure looks behind it\n");
        return -1;
    }
    (void)printf("  TLS          %s, %s, %s in %.2f ms\n", tls_client_version(probe->tls),
                 tls_client_cipher(probe->tls),
                 options.is_unverified ? "certificate not looked at" : "certificate verified",
                 (double)(clock_now_ns() - start_ns) / 1e6);
    return 0;
}
