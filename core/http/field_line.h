// One line of a head and one field of it (RFC 9112 5), the same in requests and responses: found in
// bytes that grow, taken off, parsed. Internal to core/http.
#pragma once
#include "core/base/fault.h"
#include "core/http/request.h"

enum http_line_step {
    HTTP_LINE_ENDED,  // scan->scanned stands on the CR of a line whose CR LF is complete
    HTTP_LINE_CUT,    // the bytes are used up within a line
    HTTP_LINE_BROKEN, // neither text nor CR LF follows
};
// Looks on, up to `window` bytes, for the end of the line that begins at scan->line_start.
enum http_line_step http_line_scan(struct http_scan *scan, struct span bytes, uint32_t window);
// Behind a line that has ended: the next one.
static inline void http_line_next(struct http_scan *scan) {
    scan->scanned += 2;
    scan->line_start = scan->scanned;
}

// Takes a line off the rest, without its CR LF. False at anything else than text followed by CR LF.
bool http_line_take(struct span *rest, struct span *line);
// name ":" OWS value OWS. `is_first`: it stands behind the start line, where white space is no
// folding, since there is nothing to continue (RFC 9112 2.2).
const struct fault *http_field_parse(struct span line, bool is_first, struct http_field *field);
