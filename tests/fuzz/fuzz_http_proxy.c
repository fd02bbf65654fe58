// Can the bytes of a PROXY header be read two ways? However they are cut, a prefix asks for more or
// says the same as the whole, and nothing behind the header matters.
#include "core/base/check.h"
#include "core/http/proxy_header.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 4096) {
        return 0;
    }
    struct proxy_header whole;
    enum proxy_verdict verdict = proxy_header_read(span_make(data, (uint32_t)size), &whole);
    check((verdict == PROXY_MALFORMED) == (whole.problem != NULL));
    check(verdict != PROXY_MORE || size < PROXY_V2_HEAD_BYTES + PROXY_V2_BODY_BYTES_MAX);
    bool is_complete = verdict == PROXY_SOURCE || verdict == PROXY_NO_SOURCE;
    check(!is_complete || (whole.bytes > 0 && whole.bytes <= size));
    check((verdict == PROXY_SOURCE) == (whole.source.kind != ADDRESS_NONE) ||
          verdict == PROXY_MALFORMED);
    for (uint32_t length = 0; length < size; length++) {
        struct proxy_header part;
        enum proxy_verdict early = proxy_header_read(span_make(data, length), &part);
        if (is_complete) {
            check(early == (length < whole.bytes ? PROXY_MORE : verdict));
        } else if (verdict == PROXY_MORE) {
            check(early == PROXY_MORE);
        } else {
            check(early == PROXY_MORE || early == PROXY_MALFORMED);
        }
    }
    return 0;
}
