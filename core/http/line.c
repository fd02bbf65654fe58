#include "core/http/line.h"
#include "core/http/chars.h"
#include "core/http/host.h"

#include "core/base/pure.h"

// RFC 9112 2.3: "HTTP/" DIGIT "." DIGIT, in this case only.
static const struct fault *line_parse_version(struct span text, struct http_request *request) {
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

// Sets path and query from the origin-form.
static void line_split_path(struct span target, struct http_request *request) {
    int64_t mark = span_find(target, '?');
    request->path = mark < 0 ? target : span_first(target, (uint32_t)mark);
    request->query = mark < 0 ? span_empty() : span_from(target, (uint32_t)mark + 1);
}

// Length of "http://" or "https://" at the start (schemes ignore case), or 0.
static uint32_t line_scheme_length(struct span target) {
    if (target.length >= 7 && span_is_nocase(span_first(target, 7), "http://")) {
        return 7;
    }
    return target.length >= 8 && span_is_nocase(span_first(target, 8), "https://") ? 8 : 0;
}

// scheme "://" authority path-abempty [ "?" query ]. User information is refused with the authority
// (RFC 9110 4.2.4).
static const struct fault *line_parse_absolute(struct http_request *request) {
    uint32_t scheme = line_scheme_length(request->target);
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
    line_split_path(rest, request);
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
static const struct fault *line_parse_target(struct http_request *request) {
    if (span_is(request->method_text, "CONNECT")) {
        return fault_get(FAULT_method_unknown);
    }
    if (request->target.data[0] == '/') {
        line_split_path(request->target, request);
        return NULL;
    }
    if (span_is(request->target, "*")) {
        request->path = request->target;
        return request->method == HTTP_OPTIONS ? NULL : fault_get(FAULT_target_malformed);
    }
    return line_parse_absolute(request);
}

static enum http_method line_method(struct span text) {
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

const struct fault *http_line_parse(struct span line, struct http_request *request) {
    if (span_is(line, "PRI * HTTP/2.0")) {
        return fault_get(FAULT_http2_preface);
    }
    uint32_t length = http_class_length(line, HTTP_CHAR_TOKEN);
    if (length == 0 || length == line.length || line.data[length] != ' ') {
        return fault_get(FAULT_request_line_malformed);
    }
    request->method_text = span_first(line, length);
    request->method = (uint8_t)line_method(request->method_text);
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
    const struct fault *fault = line_parse_version(span_from(line, length + 1), request);
    return fault != NULL ? fault : line_parse_target(request);
}
