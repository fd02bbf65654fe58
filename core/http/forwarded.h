// Which client a trusted proxy speaks for: X-Forwarded-For, or (where there is none) Forwarded (RFC
// 7239). Each proxy adds the address that it was reached from on the right, so that what stands
// left of the first untrusted one is that client's own invention. Pure; any thread.
#pragma once
#include "core/base/address.h"
#include "core/http/request.h"

// The rightmost address that is not in one of the ranges; where all are, the leftmost. Beyond the
// last FORWARDED_HOPS_MAX, and from anything on that is no address, nothing is looked at. False:
// there is none.
bool http_forwarded_find(const struct http_request *request, const struct address_range *trusted,
                         uint32_t trusted_count, struct address *client);
