// The PROXY protocol: what a load balancer writes in front of a connection's first byte, to say
// whose it is (haproxy.org, proxy-protocol.txt, versions 1 and 2). It is believed only from the
// ranges that the configuration trusts, and asked for there: whether to read one is never guessed
// from the bytes. Pure; any thread.
#pragma once
#include "core/base/address.h"
#include "core/base/limits.h"

enum proxy_verdict {
    PROXY_MORE,      // not complete: come back with more of the same bytes
    PROXY_SOURCE,    // complete, with the client's address
    PROXY_NO_SOURCE, // complete, and the address is the connection's own: a health check of the
                     // balancer (LOCAL), or one that it could not know (UNKNOWN, UNSPEC)
    PROXY_MALFORMED,
};

struct proxy_header {
    uint32_t bytes;        // of the header, once it is complete: the client's begin there
    struct address source; // SOURCE: ADDRESS_IP with its port, or ADDRESS_UNIX
    const char *problem;   // MALFORMED: why, for the log
};

// Reads the header at the start of `bytes`. Never looks behind it, and says PROXY_MORE for at most
// PROXY_V2_HEAD_BYTES + PROXY_V2_BODY_BYTES_MAX bytes.
enum proxy_verdict proxy_header_read(struct span bytes, struct proxy_header *header);
