#include "core/http/field_line.h"
#include "core/http/chars.h"

#include "core/base/pure.h"

bool http_line_take(struct span *rest, struct span *line) {
    uint32_t length = http_text_length(*rest);
    if (rest->length - length < 2 || rest->data[length] != '\r' || rest->data[length + 1] != '\n') {
        return false;
    }
    *line = span_first(*rest, length);
    *rest = span_from(*rest, length + 2);
    return true;
}

// The name ends at the first byte that is no token character, so a space before the colon is found
// here.
const struct fault *http_field_parse(struct span line, bool is_first, struct http_field *field) {
    uint32_t length = http_class_length(line, HTTP_CHAR_TOKEN);
    if (length == 0 || length == line.length || line.data[length] != ':') {
        bool is_folded = !is_first && (line.data[0] == ' ' || line.data[0] == '\t');
        return fault_get(is_folded ? FAULT_field_folded : FAULT_field_malformed);
    }
    field->name = span_first(line, length);
    field->value = http_trim(span_from(line, length + 1));
    return NULL;
}
