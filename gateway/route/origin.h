// Origin rules: an exact list, so that a page of another site cannot use a visitor's cookies
// (cross-site WebSocket hijacking). Scheme and host compare without case, default ports are filled
// in, nothing is matched by suffix or pattern.
#pragma once
#include "core/base/span.h"
#include "gateway/config/config.h"

#include <stdbool.h>

enum origin_verdict {
    ORIGIN_ABSENT,  // no Origin header, and the route does not ask for one
    ORIGIN_ALLOWED, // listed, or the route has no list: only this one gets CORS headers
    ORIGIN_REFUSED, // 403
};

// `origin`: the Origin header's value when `has_origin`.
enum origin_verdict origin_check(const struct config_route *route, struct span origin,
                                 bool has_origin);
