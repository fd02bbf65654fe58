#include "core/http/upgrade.h"
#include "core/base/check.h"
#include "core/http/chars.h"

#include "core/base/pure.h"

// RFC 6455 4.1: 16 bytes in base64.
enum { WEBSOCKET_KEY_BYTES = 24 };

bool http_wants_websocket(const struct http_request *request) {
    return http_list_has(request, "upgrade", "websocket");
}

// The only field of that name, or NULL when there is none or more than one.
static const struct http_field *upgrade_single(const struct http_request *request,
                                               const char *name) {
    const struct http_field *field = http_field_find(request, name, NULL);
    if (field == NULL || http_field_find(request, name, field) != NULL) {
        return NULL;
    }
    return field;
}

// 22 characters of the alphabet and "==". The last character's four unused bits may be set: RFC
// 6455 4.1 prints such a key as its example, and the key is hashed as text, never decoded.
static bool upgrade_key_is_valid(struct span key) {
    if (key.length != WEBSOCKET_KEY_BYTES || !span_is(span_from(key, 22), "==")) {
        return false;
    }
    for (uint32_t i = 0; i < 22; i++) {
        uint8_t byte = key.data[i];
        bool is_letter = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
        if (!is_letter && !(byte >= '0' && byte <= '9') && byte != '+' && byte != '/') {
            return false;
        }
    }
    return true;
}

// RFC 6455 11.3.4: one or more tokens, no two alike.
static bool upgrade_protocols_are_valid(const struct http_request *request) {
    if (http_field_find(request, "sec-websocket-protocol", NULL) == NULL) {
        return true;
    }
    struct span names[SUBPROTOCOLS_MAX];
    uint32_t count = 0;
    struct http_list_cursor cursor = {0};
    struct span name;
    while (http_subprotocol_next(request, &cursor, &name)) {
        if (!http_is_token(name) || count == SUBPROTOCOLS_MAX) {
            return false;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (span_equal(names[i], name)) {
                return false;
            }
        }
        names[count] = name;
        count++;
    }
    return count > 0;
}

static bool upgrade_extensions_are_valid(const struct http_request *request) {
    if (http_field_find(request, "sec-websocket-extensions", NULL) == NULL) {
        return true;
    }
    uint32_t count = 0;
    struct http_list_cursor cursor = {0};
    struct span name;
    struct span params;
    while (http_extension_next(request, &cursor, &name, &params)) {
        if (!http_is_token(name)) {
            return false;
        }
        struct http_param param;
        while (http_param_next(&params, &param)) {
            if (!param.is_valid) {
                return false;
            }
        }
        count++;
    }
    return count > 0;
}

// The first that fails is the answer, so the order is from what makes the request another kind of
// request to details.
const struct fault *http_upgrade_check(const struct http_request *request, struct span *key) {
    if (request->version_minor == 0) {
        return fault_get(FAULT_version_too_old);
    }
    if (request->method != HTTP_GET) {
        return fault_get(FAULT_upgrade_method);
    }
    if (request->is_chunked || request->content_length > 0) {
        return fault_get(FAULT_upgrade_with_body);
    }
    if (!http_wants_websocket(request)) {
        return fault_get(FAULT_upgrade_token);
    }
    if (!request->has_upgrade) {
        return fault_get(FAULT_connection_token);
    }
    const struct http_field *version = upgrade_single(request, "sec-websocket-version");
    if (version == NULL || !span_is(version->value, "13")) {
        return fault_get(FAULT_websocket_version);
    }
    const struct http_field *key_field = upgrade_single(request, "sec-websocket-key");
    if (key_field == NULL || !upgrade_key_is_valid(key_field->value)) {
        return fault_get(FAULT_websocket_key);
    }
    if (!upgrade_protocols_are_valid(request)) {
        return fault_get(FAULT_websocket_protocol);
    }
    if (!upgrade_extensions_are_valid(request)) {
        return fault_get(FAULT_websocket_extensions);
    }
    *key = key_field->value;
    return NULL;
}

// RFC 6455 4.2.2: base64 of the SHA-1 of the key followed by this GUID.
void http_upgrade_accept(struct span key, uint8_t accept_text[WEBSOCKET_ACCEPT_BYTES]) {
    static const char guid[36] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    check(key.length == WEBSOCKET_KEY_BYTES);
    uint8_t text[WEBSOCKET_KEY_BYTES + sizeof guid];
    memcpy(text, key.data, WEBSOCKET_KEY_BYTES);
    memcpy(text + WEBSOCKET_KEY_BYTES, guid, sizeof guid);
    uint8_t digest[SHA1_BYTES];
    sha1_digest(span_make(text, sizeof text), digest);
    struct span_mut target = {.data = accept_text, .length = WEBSOCKET_ACCEPT_BYTES};
    uint32_t length = base64_encode(span_make(digest, sizeof digest), target);
    check(length == WEBSOCKET_ACCEPT_BYTES);
}

// The next list element over all fields of that name.
static bool upgrade_list_next(const struct http_request *request, const char *name,
                              struct http_list_cursor *cursor, struct span *element) {
    if (cursor->field == NULL) {
        cursor->field = http_field_find(request, name, NULL);
        cursor->rest = cursor->field == NULL ? span_empty() : cursor->field->value;
    }
    while (cursor->field != NULL) {
        if (http_list_next(&cursor->rest, element)) {
            return true;
        }
        const struct http_field *next = http_field_find(request, name, cursor->field);
        if (next == NULL) { // stays at its end, so asking again says the same
            return false;
        }
        cursor->field = next;
        cursor->rest = next->value;
    }
    return false;
}

bool http_subprotocol_next(const struct http_request *request, struct http_list_cursor *cursor,
                           struct span *name) {
    return upgrade_list_next(request, "sec-websocket-protocol", cursor, name);
}

// Index of the first semicolon outside quoted strings, or the length.
static uint32_t param_length(struct span s) {
    bool is_quoted = false;
    for (uint32_t i = 0; i < s.length; i++) {
        if (s.data[i] == '"') {
            is_quoted = !is_quoted;
        } else if (s.data[i] == '\\' && is_quoted && i + 1 < s.length) {
            i++;
        } else if (s.data[i] == ';' && !is_quoted) {
            return i;
        }
    }
    return s.length;
}

bool http_extension_next(const struct http_request *request, struct http_list_cursor *cursor,
                         struct span *name, struct span *params) {
    struct span element;
    if (!upgrade_list_next(request, "sec-websocket-extensions", cursor, &element)) {
        return false;
    }
    uint32_t length = param_length(element);
    *name = http_trim(span_first(element, length));
    *params = span_from(element, length);
    return true;
}

// Whether the inside of a quoted string is, with its escapes removed, a token (RFC 6455 9.1).
static bool param_quoted_is_token(struct span inner) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < inner.length; i++) {
        if (inner.data[i] == '\\') {
            i++;
        }
        if (i == inner.length || !http_char_is(inner.data[i], HTTP_CHAR_TOKEN)) {
            return false;
        }
        count++;
    }
    return count > 0;
}

bool http_param_next(struct span *params, struct http_param *param) {
    if (params->length == 0) {
        return false;
    }
    *param = (struct http_param){0};
    check(params->data[0] == ';'); // http_extension_next and this function leave nothing else
    struct span rest = span_from(*params, 1);
    uint32_t length = param_length(rest);
    struct span text = span_first(rest, length);
    *params = span_from(rest, length);
    int64_t equals = span_find(text, '=');
    param->has_value = equals >= 0;
    param->name = http_trim(equals < 0 ? text : span_first(text, (uint32_t)equals));
    param->is_valid = http_is_token(param->name);
    if (!param->has_value) {
        return true;
    }
    struct span value = http_trim(span_from(text, (uint32_t)equals + 1));
    bool is_quoted =
        value.length >= 2 && value.data[0] == '"' && value.data[value.length - 1] == '"';
    param->value = is_quoted ? span_first(span_from(value, 1), value.length - 2) : value;
    param->is_valid &=
        is_quoted ? param_quoted_is_token(param->value) : http_is_token(param->value);
    return true;
}
