// The demo page, embedded at build time from page.html.
#include "gateway/stream/page_bytes.h"
#include "gateway/stream/stream.h"

struct span stream_page(void) {
    return span_make(page_bytes, sizeof page_bytes);
}
