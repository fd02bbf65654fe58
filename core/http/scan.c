// Where a head ends, in bytes that grow. Every byte is looked at once however small the pieces are;
// only a CR at the very end of the bytes is looked at again.
#include "core/base/check.h"
#include "core/http/chars.h"
#include "core/http/field_line.h"
#include "core/http/line.h"

#include "core/base/pure.h"

enum http_line_step http_line_scan(struct http_scan *scan, struct span bytes, uint32_t window) {
    struct span ahead = span_first(span_from(bytes, scan->scanned), window - scan->scanned);
    uint32_t end = scan->scanned + http_text_length(ahead);
    scan->scanned = end;
    if (end == window || (end + 1 == window && bytes.data[end] == '\r')) {
        return HTTP_LINE_CUT;
    }
    bool has_ended = bytes.data[end] == '\r' && bytes.data[end + 1] == '\n';
    return has_ended ? HTTP_LINE_ENDED : HTTP_LINE_BROKEN;
}

// Method, target and version with their two spaces, without CRLF.
enum { REQUEST_LINE_BYTES_MAX = METHOD_BYTES_MAX + 1 + TARGET_BYTES_MAX + 9 };

// The request line is the first line, or the second behind one empty line: no other line can start
// at 2 behind a CR.
static bool scan_is_in_request_line(const struct http_scan *scan, struct span bytes) {
    return scan->line_start == 0 || (scan->line_start == 2 && bytes.data[0] == '\r');
}

static enum http_scan_result scan_fail(const struct http_scan *scan, struct span bytes,
                                       const struct fault **fault) {
    bool is_request_line = scan_is_in_request_line(scan, bytes);
    *fault = fault_get(is_request_line ? FAULT_request_line_malformed : FAULT_field_malformed);
    return HTTP_SCAN_FAULT;
}

// A line whose CR LF is complete ends at `end` (of its CR).
static enum http_scan_result scan_line(struct http_scan *scan, struct span bytes, uint32_t end,
                                       const struct fault **fault) {
    struct span line = span_first(span_from(bytes, scan->line_start), end - scan->line_start);
    if (!scan_is_in_request_line(scan, bytes)) {
        return line.length == 0 ? HTTP_SCAN_DONE : HTTP_SCAN_NEED_MORE;
    }
    if (line.length == 0 && scan->line_start == 0) {
        return HTTP_SCAN_NEED_MORE;
    }
    struct http_request request;
    http_request_init(&request);
    *fault = http_line_parse(line, &request);
    return *fault == NULL ? HTTP_SCAN_NEED_MORE : HTTP_SCAN_FAULT;
}

// The bytes are used up within a line, or at the limit.
static enum http_scan_result scan_pause(const struct http_scan *scan, struct span bytes,
                                        uint32_t head_bytes_max, const struct fault **fault) {
    if (bytes.length < head_bytes_max) {
        return HTTP_SCAN_NEED_MORE;
    }
    bool is_request_line = scan_is_in_request_line(scan, bytes);
    *fault = fault_get(is_request_line ? FAULT_target_too_long : FAULT_header_too_large);
    return HTTP_SCAN_FAULT;
}

// A TLS record of type handshake, version 3.x, where a request should begin.
static enum http_scan_result scan_tls(struct span bytes, const struct fault **fault) {
    if (bytes.length == 1) {
        return HTTP_SCAN_NEED_MORE;
    }
    *fault =
        fault_get(bytes.data[1] == 0x03 ? FAULT_tls_on_plain_port : FAULT_request_line_malformed);
    return HTTP_SCAN_FAULT;
}

// A limit is met at the same byte whether the bytes came at once or one at a time.
enum http_scan_result http_scan_feed(struct http_scan *scan, struct span bytes,
                                     uint32_t head_bytes_max, uint32_t *head_bytes,
                                     const struct fault **fault) {
    check(scan->scanned <= bytes.length);
    check(scan->line_start <= scan->scanned);
    if (bytes.length > 0 && bytes.data[0] == 0x16) {
        return scan_tls(bytes, fault);
    }
    uint32_t window = bytes.length < head_bytes_max ? bytes.length : head_bytes_max;
    while (scan->scanned < window) { // every turn ends a line of two or more bytes, or returns
        enum http_line_step step = http_line_scan(scan, bytes, window);
        if (scan->scanned - scan->line_start > REQUEST_LINE_BYTES_MAX &&
            scan_is_in_request_line(scan, bytes)) {
            *fault = fault_get(FAULT_target_too_long);
            return HTTP_SCAN_FAULT;
        }
        if (step == HTTP_LINE_CUT) {
            break;
        }
        if (step == HTTP_LINE_BROKEN) {
            return scan_fail(scan, bytes, fault);
        }
        enum http_scan_result result = scan_line(scan, bytes, scan->scanned, fault);
        if (result == HTTP_SCAN_FAULT) {
            return result;
        }
        http_line_next(scan);
        if (result == HTTP_SCAN_DONE) {
            *head_bytes = scan->scanned;
            return result;
        }
    }
    return scan_pause(scan, bytes, head_bytes_max, fault);
}
