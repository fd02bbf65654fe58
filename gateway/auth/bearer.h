// Who a request comes from, before it is let in: the token that it bears, where the route says that
// one is, and what of it the route's channels and its services need. The token is neither kept nor
// logged.
#pragma once
#include "core/base/fault.h"
#include "core/http/request.h"
#include "gateway/auth/jwt.h"
#include "gateway/route/route.h"

enum {
    BEARER_NUMBER_BYTES = 24,   // a whole number as text
    BEARER_PASSED_BYTES = 4096, // of all that services are sent, together
};

struct bearer {
    struct jwt_claims token;                       // lends the values below
    struct route_claims claims;                    // of the route, in its order
    char numbers[CLAIMS_MAX][BEARER_NUMBER_BYTES]; // those that are no strings, as text
    struct span passed[FORWARD_FIELDS_MAX]; // of route->auth's passes, in their order; empty: none
    uint8_t passed_text[BEARER_PASSED_BYTES]; // where they lie
    uint64_t expires_s; // since 1970, leeway included: when it would be refused
    const char *reason; // why not, for the log; NULL: it is let in
};

// FAULT_none, or what to refuse the request with. `keys` are those of route->auth, now_s is the
// time of day. The thread must have json_memory_set. bearer_close must be called in any case,
// before the next bearer_open or document of this thread. Nothing of *request may change until
// then.
enum fault_id bearer_open(struct bearer *bearer, const struct jwt_keys *keys,
                          const struct config_route *route, const struct http_request *request,
                          uint64_t now_s);
void bearer_close(struct bearer *bearer);
