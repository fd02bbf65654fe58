#include "core/http/response.h"
#include "core/base/check.h"
#include "core/http/chars.h"
#include "core/http/field_line.h"
#include "core/http/framing.h"

#include <stddef.h>

#include "core/base/pure.h"

enum {
    VERSION_BYTES = 8,                         // "HTTP/1.1"
    STATUS_LINE_BYTES_MIN = VERSION_BYTES + 4, // and " 200"
};

// HTTP-version SP 3DIGIT [ SP reason-phrase ]. Servers that leave the second space out with the
// reason exist, and nothing can be misread in it.
static const struct fault *status_line_parse(struct span line, struct http_response *response) {
    const struct fault *fault = fault_get(FAULT_status_line_malformed);
    if (line.length < STATUS_LINE_BYTES_MIN || memcmp(line.data, "HTTP/1.", 7) != 0 ||
        !http_char_is(line.data[7], HTTP_CHAR_DIGIT) || line.data[8] != ' ') {
        return fault;
    }
    struct span digits = span_first(span_from(line, VERSION_BYTES + 1), 3);
    struct span rest = span_from(line, STATUS_LINE_BYTES_MIN);
    if (http_class_length(digits, HTTP_CHAR_DIGIT) != digits.length ||
        (rest.length > 0 && rest.data[0] != ' ')) {
        return fault;
    }
    response->version_minor = line.data[7] == '0' ? 0 : 1;
    response->status = (uint16_t)((digits.data[0] - '0') * 100 + (digits.data[1] - '0') * 10 +
                                  (digits.data[2] - '0'));
    response->reason = rest.length > 0 ? span_from(rest, 1) : rest;
    return response->status >= 100 && response->status <= 599 ? NULL : fault;
}

static bool begins_as_http(struct span bytes) {
    static const char start[] = "HTTP/1.";
    uint32_t length = bytes.length < sizeof start - 1 ? bytes.length : (uint32_t)sizeof start - 1;
    return length == 0 || memcmp(bytes.data, start, length) == 0;
}

static enum http_scan_result scan_fail(const struct http_scan *scan, const struct fault **fault) {
    *fault = fault_get(scan->line_start == 0 ? FAULT_status_line_malformed : FAULT_field_malformed);
    return HTTP_SCAN_FAULT;
}

// A line whose CR LF is complete ends at `end` (of its CR).
static enum http_scan_result scan_line(const struct http_scan *scan, struct span bytes,
                                       uint32_t end, const struct fault **fault) {
    struct span line = span_first(span_from(bytes, scan->line_start), end - scan->line_start);
    if (scan->line_start > 0) {
        return line.length == 0 ? HTTP_SCAN_DONE : HTTP_SCAN_NEED_MORE;
    }
    struct http_response response;
    memset(&response, 0, offsetof(struct http_response, fields));
    *fault = status_line_parse(line, &response);
    return *fault == NULL ? HTTP_SCAN_NEED_MORE : HTTP_SCAN_FAULT;
}

enum http_scan_result http_response_scan(struct http_scan *scan, struct span bytes,
                                         uint32_t head_bytes_max, uint32_t *head_bytes,
                                         const struct fault **fault) {
    check(scan->scanned <= bytes.length);
    check(scan->line_start <= scan->scanned);
    if (!begins_as_http(bytes)) {
        return scan_fail(scan, fault);
    }
    uint32_t window = bytes.length < head_bytes_max ? bytes.length : head_bytes_max;
    while (scan->scanned < window) { // every turn ends a line of two or more bytes, or returns
        enum http_line_step step = http_line_scan(scan, bytes, window);
        if (step == HTTP_LINE_CUT) {
            break;
        }
        if (step == HTTP_LINE_BROKEN) {
            return scan_fail(scan, fault);
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
    if (bytes.length < head_bytes_max) {
        return HTTP_SCAN_NEED_MORE;
    }
    *fault = fault_get(FAULT_header_too_large);
    return HTTP_SCAN_FAULT;
}

static bool is_bodiless_status(uint16_t status) {
    return status < 200 || status == 204;
}

// What the fields say together.
static const struct fault *response_finish(const struct http_framing *framing,
                                           struct http_response *response) {
    struct http_length length;
    const struct fault *fault = http_framing_length(framing, response->version_minor, &length);
    if (fault != NULL) {
        return fault;
    }
    bool has_framing = length.is_chunked || length.content_length > 0;
    if (has_framing && is_bodiless_status(response->status)) {
        return fault_get(FAULT_status_with_body);
    }
    response->content_length = length.content_length;
    response->has_content_length = length.has_content_length;
    response->is_chunked = length.is_chunked;
    response->has_upgrade = framing->lists_upgrade && framing->has_upgrade_field;
    response->keep_alive =
        !framing->lists_close && (response->version_minor == 1 || framing->lists_keep_alive);
    return NULL;
}

const struct fault *http_response_parse(struct span head, struct http_response *response) {
    memset(response, 0, offsetof(struct http_response, fields));
    struct http_framing framing = {0};
    struct span rest = head;
    struct span line;
    if (!http_line_take(&rest, &line)) {
        return fault_get(FAULT_status_line_malformed);
    }
    const struct fault *fault = status_line_parse(line, response);
    while (fault == NULL && http_line_take(&rest, &line)) { // at most HEADER_FIELDS_MAX times
        if (line.length == 0) {
            return rest.length == 0 ? response_finish(&framing, response)
                                    : fault_get(FAULT_field_malformed);
        }
        if (response->field_count == HEADER_FIELDS_MAX) {
            return fault_get(FAULT_header_too_many);
        }
        struct http_field *field = &response->fields[response->field_count];
        fault = http_field_parse(line, response->field_count == 0, field);
        if (fault == NULL) {
            fault = http_framing_note(&framing, field);
        }
        if (fault == NULL) {
            response->field_count++;
        }
    }
    return fault != NULL ? fault : fault_get(FAULT_field_malformed);
}

bool http_response_has_body(const struct http_response *response, bool is_to_head) {
    return !is_to_head && !is_bodiless_status(response->status) && response->status != 304;
}

bool http_response_is_until_end(const struct http_response *response, bool is_to_head) {
    return http_response_has_body(response, is_to_head) && !response->is_chunked &&
           !response->has_content_length;
}

const struct http_field *http_response_field_find(const struct http_response *response,
                                                  const char *name, const struct http_field *from) {
    return http_fields_find(response->fields, response->field_count, name, from);
}
