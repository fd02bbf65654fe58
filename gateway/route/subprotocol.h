// The subprotocol: the first of the route's list that the client offers, so the server's preference
// decides (RFC 6455 4.2.2).
#pragma once
#include "core/base/span.h"
#include "gateway/config/config.h"

#include <stdint.h>

enum {
    SUBPROTOCOL_NONE = -1,      // nothing in common: 101 without the header
    SUBPROTOCOL_MALFORMED = -2, // 400: not a list of tokens
};

// `offers`: the values of the Sec-WebSocket-Protocol headers in order (count 0: none came), each a
// list. That no token is offered twice is checked by http_upgrade_check. Returns an index into
// route->subprotocols, or one of the above.
int32_t subprotocol_choose(const struct config_route *route, const struct span *offers,
                           uint32_t offer_count);
