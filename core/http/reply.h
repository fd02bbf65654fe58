// Replies that we write ourselves: 101, refusals, small answers. Pure: into the caller's bytes.
#pragma once
#include "core/base/fault.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct http_reply_field {
    const char *name;
    struct span value; // checked: no CR, LF or NUL
};

struct http_reply {
    uint16_t status;
    bool keep_alive;          // false adds "Connection: close"
    bool is_head;             // answer to HEAD: Content-Length without the body
    bool omits_length;        // 101, or a stream that ends with the connection
    struct span content_type; // empty: none
    struct span date;         // of the Date field, IMF-fixdate (http/date.h); empty: none
    struct span body;
    struct http_reply_field fields[12];
    uint32_t field_count;
};

void http_reply_add(struct http_reply *reply, const char *name, struct span value);
// Writes head and body; returns the length, or 0 when `target` is too small.
uint32_t http_reply_write(const struct http_reply *reply, struct span_mut target);
// The head alone, for a body that follows by itself: Content-Length is body_bytes.
uint32_t http_reply_write_head(const struct http_reply *reply, uint64_t body_bytes,
                               struct span_mut target);
// 101 Switching Protocols with accept key and, when not empty, the chosen subprotocol and
// extensions.
uint32_t http_reply_write_switching(struct span key, struct span subprotocol,
                                    struct span extensions, struct span_mut target);

struct http_refusal {
    const struct fault *fault;
    const char *allow;      // for 405, e.g. "GET, POST"; else NULL
    uint32_t retry_after_s; // for 429 and 503, already jittered; 0 = none
    struct span origin;     // allowed Origin to echo as Access-Control-Allow-Origin, or empty
    struct span date;       // as in struct http_reply
    bool keep_alive;
    bool is_head;
};
// A refusal: plain text body with the fault's text; 426 carries Upgrade: websocket, Connection:
// Upgrade and Sec-WebSocket-Version: 13 (RFC 6455 4.4, RFC 9110 15.5.22); 405 carries Allow; 429
// and 503 carry Retry-After; 401 carries WWW-Authenticate: Bearer.
uint32_t http_refusal_write(const struct http_refusal *refusal, struct span_mut target);
const char *http_status_text(uint16_t status); // reason phrase; "Unknown" for others
