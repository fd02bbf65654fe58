// Looking fields up, lists and cookies.
#include "core/base/check.h"
#include "core/http/chars.h"
#include "core/http/request.h"

#include "core/base/pure.h"

const struct http_field *http_fields_find(const struct http_field *fields, uint32_t field_count,
                                          const char *name, const struct http_field *from) {
    uint32_t start = from == NULL ? 0 : (uint32_t)(from - fields) + 1;
    check(start <= field_count);
    struct span text = span_text(name);
    for (uint32_t i = start; i < field_count; i++) {
        const struct http_field *field = &fields[i];
        if (field->name.length == text.length && span_equal_nocase(field->name, text)) {
            return field;
        }
    }
    return NULL;
}

const struct http_field *http_field_find(const struct http_request *request, const char *name,
                                         const struct http_field *from) {
    return http_fields_find(request->fields, request->field_count, name, from);
}

uint32_t http_field_count(const struct http_request *request, const char *name) {
    uint32_t count = 0;
    const struct http_field *field = http_field_find(request, name, NULL);
    while (field != NULL) {
        count++;
        field = http_field_find(request, name, field);
    }
    return count;
}

// Index of the first comma outside quoted strings, or the length. A quoted string without an end
// reaches to the end.
static uint32_t list_element_length(struct span list) {
    bool is_quoted = false;
    for (uint32_t i = 0; i < list.length; i++) {
        uint8_t byte = list.data[i];
        if (byte == '"') {
            is_quoted = !is_quoted;
        } else if (byte == '\\' && is_quoted && i + 1 < list.length) {
            i++; // a quoted pair: the next byte stands for itself (RFC 9110 5.6.4)
        } else if (byte == ',' && !is_quoted) {
            return i;
        }
    }
    return list.length;
}

bool http_list_next(struct span *list, struct span *element) {
    while (list->length > 0) {
        uint32_t length = list_element_length(*list);
        *element = http_trim(span_first(*list, length));
        *list = span_from(*list, length < list->length ? length + 1 : length);
        if (element->length > 0) {
            return true;
        }
    }
    return false;
}

bool http_list_has(const struct http_request *request, const char *name, const char *token) {
    const struct http_field *field = http_field_find(request, name, NULL);
    while (field != NULL) {
        struct span list = field->value;
        struct span element;
        while (http_list_next(&list, &element)) {
            if (span_is_nocase(element, token)) {
                return true;
            }
        }
        field = http_field_find(request, name, field);
    }
    return false;
}

bool http_is_token(struct span text) {
    return text.length > 0 && http_class_length(text, HTTP_CHAR_TOKEN) == text.length;
}

bool http_is_field_value(struct span text) {
    return http_text_length(text) == text.length && http_trim(text).length == text.length;
}

// The value of the pair `name=value`, or false.
static bool cookie_is(struct span pair, struct span name, struct span *value) {
    int64_t equals = span_find(pair, '=');
    if (equals < 0 || !span_equal(http_trim(span_first(pair, (uint32_t)equals)), name)) {
        return false;
    }
    *value = http_trim(span_from(pair, (uint32_t)equals + 1));
    return true;
}

bool http_cookie_find(const struct http_request *request, struct span name, struct span *value) {
    const struct http_field *field = http_field_find(request, "cookie", NULL);
    while (field != NULL) {
        struct span rest = field->value;
        while (rest.length > 0) {
            int64_t end = span_find(rest, ';');
            uint32_t length = end < 0 ? rest.length : (uint32_t)end;
            if (cookie_is(span_first(rest, length), name, value)) {
                return true;
            }
            rest = span_from(rest, end < 0 ? length : length + 1);
        }
        field = http_field_find(request, "cookie", field);
    }
    return false;
}
