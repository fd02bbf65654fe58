// The walk over a head. The request line is line.c's, what the fields mean together framing.c's.
#include "core/http/request.h"
#include "core/base/check.h"
#include "core/http/field_line.h"
#include "core/http/framing.h"
#include "core/http/line.h"

#include "core/base/pure.h"

static const struct fault *request_parse_fields(struct span rest, struct http_request *request) {
    struct http_framing framing = {0};
    struct span line;
    while (http_line_take(&rest, &line)) { // at most HEADER_FIELDS_MAX times
        if (line.length == 0) {
            return rest.length == 0 ? http_framing_finish(&framing, request)
                                    : fault_get(FAULT_field_malformed);
        }
        if (request->field_count == HEADER_FIELDS_MAX) {
            return fault_get(FAULT_header_too_many);
        }
        struct http_field *field = &request->fields[request->field_count];
        const struct fault *fault = http_field_parse(line, request->field_count == 0, field);
        if (fault == NULL) {
            fault = http_framing_note(&framing, field);
        }
        if (fault != NULL) {
            return fault;
        }
        request->field_count++;
    }
    return fault_get(FAULT_field_malformed);
}

const struct fault *http_request_parse(struct span head, struct http_request *request) {
    http_request_init(request);
    struct span rest = head;
    struct span line;
    bool is_line = http_line_take(&rest, &line);
    if (is_line && line.length == 0) { // one empty line is skipped (RFC 9112 2.2)
        is_line = http_line_take(&rest, &line);
    }
    if (!is_line) {
        return fault_get(FAULT_request_line_malformed);
    }
    const struct fault *fault = http_line_parse(line, request);
    if (fault == NULL) {
        fault = request_parse_fields(rest, request);
    }
    check(request->field_count <= HEADER_FIELDS_MAX);
    return fault;
}
