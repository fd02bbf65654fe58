// One line of a head and one field of it (RFC 9112 5), the same in requests and responses. Internal
// to core/http.
#pragma once
#include "core/base/fault.h"
#include "core/http/request.h"

// Takes a line off the rest, without its CR LF. False at anything else than text followed by CR LF.
bool http_line_take(struct span *rest, struct span *line);
// name ":" OWS value OWS. `is_first`: it stands behind the start line, where white space is no
// folding, since there is nothing to continue (RFC 9112 2.2).
const struct fault *http_field_parse(struct span line, bool is_first, struct http_field *field);
