// The route table: which route answers a request, by host, path and kind; and the channel names
// that a route makes of what it captured. Built once from a configuration, never changed, read by
// every worker. Matching and expanding allocate nothing and keep nothing.
#pragma once
#include "core/base/limits.h"
#include "core/base/span.h"
#include "gateway/config/config.h"

#include <stdbool.h>
#include <stdint.h>

struct route_table; // opaque; see table.c

// Control thread. The table lends from `config`, which must outlive it; NULL when memory is short.
struct route_table *route_table_open(const struct config *config);
void route_table_close(struct route_table **table);

struct route_request {
    struct span
        host; // the Host header's value, or the absolute target's authority; may hold a port
    struct span path; // of the request target: from the first `/` up to `?`, undecoded
    uint8_t kind;     // one bit of enum config_kind
};

enum route_result {
    ROUTE_FOUND,
    ROUTE_NOT_FOUND,        // 404
    ROUTE_NOT_ALLOWED,      // 405, with `allow`
    ROUTE_UPGRADE_REQUIRED, // 426
    ROUTE_PATH_MALFORMED,   // 400
    ROUTE_CAPTURE_TOO_LONG, // 414: a placeholder's value is over PLACEHOLDER_BYTES_MAX encoded
};

// What a token says of a client, in the order of the route's `claims`; lent from the token.
struct route_claims {
    struct span values[CLAIMS_MAX];
    uint32_t count;
};

struct tls_peer;

struct route_match {
    const struct config_route *route;  // ROUTE_FOUND only
    const struct route_claims *claims; // set by who checked a token; NULL: nobody did
    const struct tls_peer *peer;       // set by who knows the connection; NULL: no certificate
    const char *allow;                 // ROUTE_NOT_ALLOWED only: the Allow header's value, constant
    struct span captures[ROUTE_CAPTURES_MAX]; // lent from the request's path, still escaped
    uint32_t index;                           // of `route` in config->routes; ROUTE_FOUND only
    uint8_t capture_count;
    uint8_t result; // enum route_result
};

// First match wins. Fills *match (the caller's) and returns its result.
enum route_result route_match(const struct route_table *table, const struct route_request *request,
                              struct route_match *match);

// Whether this path is one we take at all: begins with `/`, only bytes of RFC 3986 pchar and `/`,
// whole escapes, no `.` or `..` segment (also escaped), no empty segment but the last, no %2F.
bool route_path_is_valid(struct span path);

// Writes the channel name that `template` makes of the captures and claims; the final `*` of an
// `allow` pattern is kept. A capture is percent-decoded, a claim is not, since it was never encoded
// (two subjects `a%2Eb` and `a.b` are two); then every byte outside `A-Z a-z 0-9 _ - @ ~` is
// encoded. `name` should have room for CHANNEL_NAME_BYTES_MAX bytes. Returns the length, or 0 when
// it is over that or the room, a value is empty or over PLACEHOLDER_BYTES_MAX, or there is no such
// capture or claim, or no certificate.
uint32_t route_template_expand(const struct config_template *template,
                               const struct route_match *match, struct span_mut name);

// Whether a template of the route's channels cannot be written for want of a client certificate, or
// because the subject of the one there is is empty or over PLACEHOLDER_BYTES_MAX.
bool route_lacks_certificate(const struct route_match *match);

// One claim's value as above.
uint32_t route_claim_encode(struct span raw, struct span_mut target);

// One capture's value as above. Returns the length, or 0 when `raw` is empty or malformed or the
// result is longer than PLACEHOLDER_BYTES_MAX or `target`.
uint32_t route_value_encode(struct span raw, struct span_mut target);

// The parameter `name` of a query (the bytes behind `?`; may be empty): *value lends its raw bytes,
// empty for `name` and `name=`. The first one counts. False: not there.
bool route_query_find(struct span query, const char *name, struct span *value);
// Decodes %XX and `+`. False: a bad escape or not enough room.
bool route_query_decode(struct span raw, struct span_mut *target);
