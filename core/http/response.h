// HTTP/1.1 response heads (RFC 9112 4 to 6), as a service sends them to us: as strict as requests,
// since what two readers could read in two ways smuggles answers as well. Pure; spans point into
// the caller's head bytes.
#pragma once
#include "core/http/body.h"
#include "core/http/request.h"

struct http_response {
    struct span reason; // text; may be empty
    uint64_t content_length;
    uint16_t status; // 100 to 599
    uint16_t field_count;
    uint8_t version_minor; // 0 or 1
    bool has_content_length;
    bool is_chunked;
    bool has_upgrade; // Connection lists "upgrade" and an Upgrade field exists
    bool keep_alive; // 1.1 without close, or 1.0 with keep-alive; says nothing of how the body ends
    struct http_field fields[HEADER_FIELDS_MAX];
};

// Finds the end of a head, as http_scan_feed does for requests. Fails fast: at the first byte that
// "HTTP/1." does not begin with, at a bare CR or LF or another control character, at a malformed
// status line (status_line_malformed), at a head longer than head_bytes_max (header_too_large).
// Nothing is skipped in front: an empty line would be a rest of the answer before.
enum http_scan_result http_response_scan(struct http_scan *scan, struct span bytes,
                                         uint32_t head_bytes_max, uint32_t *head_bytes,
                                         const struct fault **fault);

// Parses a complete head. Refused: doubled or malformed Content-Length, Content-Length beside
// Transfer-Encoding, a coding other than one `chunked`, one in HTTP/1.0, and body framing on 1xx
// and 204, which have no body (RFC 9110 8.6, RFC 9112 6.1; only Content-Length: 0 is let through).
// At a fault nothing in *response may be relied on, and the connection ends: where its next answer
// begins is unknown.
const struct fault *http_response_parse(struct span head, struct http_response *response);

// Whether a body may follow: not after 1xx, 204 and 304, nor to HEAD (RFC 9112 6.3).
bool http_response_has_body(const struct http_response *response, bool is_to_head);
// Whether only the end of the connection ends the body.
bool http_response_is_until_end(const struct http_response *response, bool is_to_head);
// Readies the reading of its body, by http_body_feed and, at the end of the stream, http_body_end.
void http_body_init_response(struct http_body *body, const struct http_response *response,
                             bool is_to_head);

// First field of that name (ASCII case ignored), or NULL; `from` as in http_field_find.
const struct http_field *http_response_field_find(const struct http_response *response,
                                                  const char *name, const struct http_field *from);
