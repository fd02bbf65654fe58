// The request line and the walk over a head; what the fields mean together is framing.c's.
#include "core/http/request.h"
#include "core/base/check.h"
#include "core/http/chars.h"
#include "core/http/framing.h"
#include "core/http/host.h"

#include <stddef.h>

#include "core/base/pure.h"

static const struct fault *request_parse_line(struct span line, struct http_request *request);
static const struct fault *request_parse_target(struct http_request *request);

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
    memset(request, 0, offsetof(struct http_request, fields));
    struct span rest = head;
    struct span line;
    bool is_line = request_take_line(&rest, &line);
    if (is_line && line.length == 0) { // one empty line is skipped (RFC 9112 2.2)
        is_line = request_take_line(&rest, &line);
    }
    if (!is_line) {
        return fault_get(FAULT_request_line_malformed);
    }
    const struct fault *fault = request_parse_line(line, request);
    if (fault == NULL) {
        fault = request_parse_target(request);
    }
    if (fault == NULL) {
        fault = request_parse_fields(rest, request);
    }
    check(request->field_count <= HEADER_FIELDS_MAX);
    return fault;
}

static enum http_method request_method(struct span text) {
    static const struct {
        const char *text;
        enum http_method method;
    } methods[] = {
        {"GET", HTTP_GET},         {"POST", HTTP_POST},     {"HEAD", HTTP_HEAD},
        {"PUT", HTTP_PUT},         {"DELETE", HTTP_DELETE}, {"PATCH", HTTP_PATCH},
        {"OPTIONS", HTTP_OPTIONS},
    };
    for (uint32_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (span_is(text, methods[i].text)) { // methods are case-sensitive (RFC 9110 9.1)
            return methods[i].method;
        }
    }
    return HTTP_OTHER;
}

// RFC 9112 2.3: "HTTP/" DIGIT "." DIGIT, in this case only.
static const struct fault *request_parse_version(struct span text, struct http_request *request) {
    if (text.length != 8 || memcmp(text.data, "HTTP/", 5) != 0 ||
        !http_char_is(text.data[5], HTTP_CHAR_DIGIT) || text.data[6] != '.' ||
        !http_char_is(text.data[7], HTTP_CHAR_DIGIT)) {
        return fault_get(FAULT_request_line_malformed);
    }
    if (text.data[5] != '1') {
        return fault_get(FAULT_version_unsupported);
    }
    // A higher minor version is read as the highest that we know (RFC 9110 2.5).
    request->version_minor = text.data[7] == '0' ? 0 : 1;
    return NULL;
}

// RFC 9112 3: method SP request-target SP HTTP-version.
static const struct fault *request_parse_line(struct span line, struct http_request *request) {
    if (span_is(line, "PRI * HTTP/2.0")) {
        return fault_get(FAULT_http2_preface);
    }
    uint32_t length = http_class_length(line, HTTP_CHAR_TOKEN);
    if (length == 0 || length == line.length || line.data[length] != ' ') {
        return fault_get(FAULT_request_line_malformed);
    }
    request->method_text = span_first(line, length);
    request->method = (uint8_t)request_method(request->method_text);
    if (length > METHOD_BYTES_MAX) {
        return fault_get(FAULT_method_unknown);
    }
    line = span_from(line, length + 1);
    length = http_class_length(line, HTTP_CHAR_TARGET);
    request->target = span_first(line, length);
    if (length > TARGET_BYTES_MAX) {
        return fault_get(FAULT_target_too_long);
    }
    if (length == 0 || length == line.length || line.data[length] == '\t') {
        return fault_get(FAULT_request_line_malformed);
    }
    if (line.data[length] != ' ') { // '#' or a byte that must be escaped
        return fault_get(FAULT_target_malformed);
    }
    return request_parse_version(span_from(line, length + 1), request);
}

// Sets path and query from the origin-form.
static void request_split_path(struct span target, struct http_request *request) {
    int64_t mark = span_find(target, '?');
    request->path = mark < 0 ? target : span_first(target, (uint32_t)mark);
    request->query = mark < 0 ? span_empty() : span_from(target, (uint32_t)mark + 1);
}

// Length of "http://" or "https://" at the start (schemes ignore case), or 0.
static uint32_t request_scheme_length(struct span target) {
    if (target.length >= 7 && span_is_nocase(span_first(target, 7), "http://")) {
        return 7;
    }
    return target.length >= 8 && span_is_nocase(span_first(target, 8), "https://") ? 8 : 0;
}

// scheme "://" authority path-abempty [ "?" query ]. User information is refused with the authority
// (RFC 9110 4.2.4).
static const struct fault *request_parse_absolute(struct http_request *request) {
    uint32_t scheme = request_scheme_length(request->target);
    if (scheme == 0) {
        return fault_get(FAULT_target_malformed);
    }
    struct span rest = span_from(request->target, scheme);
    uint32_t length = 0;
    while (length < rest.length && rest.data[length] != '/' && rest.data[length] != '?') {
        length++;
    }
    request->host = span_first(rest, length);
    if (!http_host_is_valid(request->host)) {
        return fault_get(FAULT_target_malformed);
    }
    rest = span_from(rest, length);
    request_split_path(rest, request);
    if (request->path.length > 0) {
        return NULL;
    }
    // An empty path is "/", the last byte of the scheme's "://"; for OPTIONS without a query it is
    // "*" (RFC 9112 3.2.4).
    request->path = span_make(request->target.data + scheme - 1, 1);
    if (request->method == HTTP_OPTIONS && rest.length == 0) {
        request->path = span_text("*");
    }
    return NULL;
}

// RFC 9112 3.2. The authority-form belongs to CONNECT, which no server but a forward proxy takes.
static const struct fault *request_parse_target(struct http_request *request) {
    if (span_is(request->method_text, "CONNECT")) {
        return fault_get(FAULT_method_unknown);
    }
    if (request->target.data[0] == '/') {
        request_split_path(request->target, request);
        return NULL;
    }
    if (span_is(request->target, "*")) {
        request->path = request->target;
        return request->method == HTTP_OPTIONS ? NULL : fault_get(FAULT_target_malformed);
    }
    return request_parse_absolute(request);
}
