// HTTP/1.1 request heads (RFC 9112), strict: what could be read in two ways is refused, never
// repaired (facts: request smuggling). Pure; spans point into the caller's head bytes.
#pragma once
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

// Finds the end of a head in bytes that grow. Zero it for a new head.
struct http_scan {
    uint32_t scanned; // bytes already examined
    uint32_t line_start;
};

static_assert(sizeof(struct http_scan) == 8, "one per connection that is still to ask");

enum http_scan_result { HTTP_SCAN_NEED_MORE, HTTP_SCAN_DONE, HTTP_SCAN_FAULT };

// `bytes` is everything received since the head began (it may move between calls; it only grows).
// On DONE *head_bytes is the length of the head including its last CRLF CRLF; bytes behind it are
// the next thing. Fails fast, also while the head is unfinished: a bare CR or LF, a NUL or another
// control character, a TLS record or HTTP/2 preface at the start, anything wrong with a complete
// request line, a request line longer than METHOD_BYTES_MAX + TARGET_BYTES_MAX and its version, or
// than head_bytes_max (414), a head longer than head_bytes_max (431). The answer does not depend on
// how the bytes were cut. One empty line before the request line is skipped (RFC 9112 2.2) and is
// part of the head.
enum http_scan_result http_scan_feed(struct http_scan *scan, struct span bytes,
                                     uint32_t head_bytes_max, uint32_t *head_bytes,
                                     const struct fault **fault);

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_PATCH,
    HTTP_OPTIONS,
    HTTP_OTHER, // a valid token that is none of these: 501 unless a proxy route takes it. CONNECT
                // and TRACE are here too
};

struct http_field {
    struct span name;
    struct span value; // without surrounding white space
};

struct http_request {
    struct span method_text;
    struct span target; // as received
    struct span path;   // of the target: origin-form, or absolute-form with its authority removed;
                        // "*" for OPTIONS *. Not decoded
    struct span query;  // behind the first '?', without it; empty when there is none
    struct span host;   // Host, or the authority of an absolute-form target, which wins (RFC 9112
                        // 3.2.2: a proxy sends this one on). With its port, case as received; empty
                        // only in HTTP/1.0
    uint64_t content_length; // 0 when absent
    uint16_t field_count;
    uint8_t method;        // enum http_method
    uint8_t version_minor; // 0 or 1
    bool has_content_length;
    bool is_chunked;
    bool has_upgrade;      // Connection lists "upgrade" and an Upgrade field exists
    bool expects_continue; // 100 (Continue) is owed before the body: Expect, in 1.1, with a body
    bool keep_alive;       // what the client asks: 1.1 without close, or 1.0 with keep-alive
    struct http_field fields[HEADER_FIELDS_MAX];
};

// Parses a complete head. Checks everything that holds for any request: line syntax, field syntax,
// one valid Host, body framing (Content-Length and Transfer-Encoding), Expect, versions. NULL when
// it is fine. `request` is large (3 KiB): the caller keeps one per worker, not one per connection.
// Spans point into `head`, except the path "*" of an absolute-form OPTIONS without a path. At a
// fault the fields read so far are set (method and target for the log); nothing else may be relied
// on, and the connection ends: where the next request begins is unknown.
const struct fault *http_request_parse(struct span head, struct http_request *request);

// First field of that name (ASCII case ignored), or NULL. `from` continues behind a field found
// before (NULL: from the start).
const struct http_field *http_field_find(const struct http_request *request, const char *name,
                                         const struct http_field *from);
// The same in any list of fields.
const struct http_field *http_fields_find(const struct http_field *fields, uint32_t field_count,
                                          const char *name, const struct http_field *from);
// How many fields have that name.
uint32_t http_field_count(const struct http_request *request, const char *name);
// Takes the next element off a comma-separated list (RFC 9110 5.6.1): empty elements are skipped,
// white space trimmed, quoted strings kept whole. False at the end.
bool http_list_next(struct span *list, struct span *element);
// Whether any field of that name lists the token (ASCII case ignored).
bool http_list_has(const struct http_request *request, const char *name, const char *token);
bool http_is_token(struct span text); // RFC 9110 5.6.2, one or more characters
// RFC 9110 5.5: no control characters but HTAB, and no SP or HTAB around; also an empty one.
bool http_is_field_value(struct span text);
// The host without its port; an IPv6 address keeps its brackets.
struct span http_host_name(struct span host);
// The value of the first cookie of that name (case matters), or false (RFC 6265 5.4: name=value;
// name=value). Surrounding quotes belong to the value.
bool http_cookie_find(const struct http_request *request, struct span name, struct span *value);
