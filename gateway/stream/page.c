// The demo page, embedded at build time from page.html.
#include "gateway/stream/internal.h"
#include "gateway/stream/page_bytes.h"

void stream_on_page(struct stream *stream, uint32_t index) {
    struct http_reply reply = {.status = 200,
                               .content_type = span_text("text/html; charset=utf-8"),
                               .body = span_make(page_bytes, sizeof page_bytes)};
    http_reply_add(&reply, "Cache-Control", span_text("no-cache"));
    http_reply_add(&reply, "X-Content-Type-Options", span_text("nosniff"));
    http_reply_add(
        &reply, "Content-Security-Policy",
        span_text("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                  "connect-src 'self' ws: wss:; img-src data:; frame-ancestors 'none'"));
    conn_reply(stream->conns, index, &reply);
}
