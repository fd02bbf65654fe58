// The request line (RFC 9112 3). Internal to core/http: the scan asks as soon as the line is
// complete, so that what speaks another protocol is answered before it sends an empty line.
#pragma once
#include "core/base/fault.h"
#include "core/http/request.h"

#include <stddef.h>

// Clears all but the fields: they are 3 KiB, and field_count says which of them hold something.
static inline void http_request_init(struct http_request *request) {
    memset(request, 0, offsetof(struct http_request, fields));
}

// method SP request-target SP HTTP-version, without CR LF. Sets method, target, path, query, the
// version and, from an absolute-form target, host.
const struct fault *http_line_parse(struct span line, struct http_request *request);
