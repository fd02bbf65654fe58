#include "gateway/admin/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/utf8.h"

// Room for `bytes` more.
static bool text_grow(struct text *text, uint64_t bytes) {
    uint64_t wanted = text->length + bytes;
    if (text->is_failed || wanted > TEXT_BYTES_MAX) {
        text->is_failed = true;
        return false;
    }
    if (wanted <= text->room) {
        return true;
    }
    uint64_t room = text->room * 2 > wanted ? text->room * 2 : wanted + 1024;
    char *data = realloc(text->data, room);
    if (data == NULL) {
        text->is_failed = true;
        return false;
    }
    text->data = data;
    text->room = (uint32_t)room;
    return true;
}

void text_add(struct text *text, struct span bytes) {
    if (bytes.length > 0 && text_grow(text, bytes.length)) {
        memcpy(text->data + text->length, bytes.data, bytes.length);
        text->length += bytes.length;
    }
}

void text_print(struct text *text, const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int printed = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (printed < 0 || (size_t)printed >= sizeof line) {
        text->is_failed =
            true; // our formats are short: a cut line would be wrong without saying so
        return;
    }
    text_add(text, span_make(line, (uint32_t)printed));
}

// Length of the character at `at`, or 0 when it is not UTF-8.
static uint32_t character_bytes(struct span bytes, uint32_t at) {
    for (uint32_t length = 1; length <= 4 && at + length <= bytes.length; length++) {
        if (utf8_is_valid(span_make(bytes.data + at, length))) {
            return length;
        }
    }
    return 0;
}

void text_json(struct text *text, struct span bytes) {
    text_add(text, span_text("\""));
    for (uint32_t i = 0; i < bytes.length;) {
        uint8_t byte = bytes.data[i];
        uint32_t length = character_bytes(bytes, i);
        if (length == 0) {
            text_add(text, span_text("\xef\xbf\xbd"));
            i++;
        } else if (byte == '"' || byte == '\\') {
            text_print(text, "\\%c", byte);
            i++;
        } else if (byte < 0x20) {
            text_print(text, "\\u%04x", byte);
            i++;
        } else {
            text_add(text, span_make(bytes.data + i, length));
            i += length;
        }
    }
    text_add(text, span_text("\""));
}

void text_drop(struct text *text) {
    free(text->data);
    *text = (struct text){.data = NULL};
}
