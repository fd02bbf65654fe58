// The grammar of Host and of an authority (RFC 9110 7.2, RFC 3986 3.2.2). Internal to core/http.
#pragma once
#include "core/base/span.h"

// uri-host [":" port], not empty: a registered name, an IPv4 address or an IPv6 address in
// brackets; the port is up to five digits and at most 65535, or empty. Stricter than the grammar in
// one place: ',' is refused, because "a,b" is also what two Host fields joined look like. IPvFuture
// and zones are refused.
bool http_host_is_valid(struct span text);
