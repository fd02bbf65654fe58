// The walk over a head. The request line is line.c's, what the fields mean together framing.c's.
#include "core/http/request.h"
#include "core/base/check.h"
#include "core/http/chars.h"
#include "core/http/framing.h"
#include "core/http/line.h"

#include "core/base/pure.h"

// Takes a line off the rest, without its CR LF. False at anything else than text followed by CR LF.
static bool request_take_line(struct span *rest, struct span *line) {
    uint32_t length = http_text_length(*rest);
    if (rest->length - length < 2 || rest->data[length] != '\r' || rest->data[length + 1] != '\n') {
        return false;
    }
    *line = span_first(*rest, length);
    *rest = span_from(*rest, length + 2);
    return true;
}

// RFC 9112 5: name ":" OWS value OWS. The name ends at the first byte that is no token character,
// so a space before the colon is found here.
static const struct fault *request_parse_field(struct span line, bool is_first,
                                               struct http_field *field) {
    uint32_t length = http_class_length(line, HTTP_CHAR_TOKEN);
    if (length == 0 || length == line.length || line.data[length] != ':') {
        // White space behind the request line is no folding: there is nothing to continue (RFC
        // 9112 2.2).
        bool is_folded = !is_first && (line.data[0] == ' ' || line.data[0] == '\t');
        return fault_get(is_folded ? FAULT_field_folded : FAULT_field_malformed);
    }
    field->name = span_first(line, length);
    field->value = http_trim(span_from(line, length + 1));
    return NULL;
}

static const struct fault *request_parse_fields(struct span rest, struct http_request *request) {
    struct http_framing framing = {0};
    struct span line;
    while (request_take_line(&rest, &line)) { // at most HEADER_FIELDS_MAX times
        if (line.length == 0) {
            return rest.length == 0 ? http_framing_finish(&framing, request)
                                    : fault_get(FAULT_field_malformed);
        }
        if (request->field_count == HEADER_FIELDS_MAX) {
            return fault_get(FAULT_header_too_many);
        }
        struct http_field *field = &request->fields[request->field_count];
        const struct fault *fault = request_parse_field(line, request->field_count == 0, field);
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
    bool is_line = request_take_line(&rest, &line);
    if (is_line && line.length == 0) { // one empty line is skipped (RFC 9112 2.2)
        is_line = request_take_line(&rest, &line);
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
