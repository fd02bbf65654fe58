#include "gateway/config/reader.h"

#include "core/base/check.h"
#include "core/base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

enum { FILE_BYTES_MAX = 200 }; // of a line: what is wrong must still fit behind it

void config_error(struct config_reader *reader, struct config_place place, const char *format,
                  ...) {
    struct config_errors *errors = reader->errors;
    if (errors->count == CONFIG_ERRORS_MAX) {
        errors->is_cut = true;
        return;
    }
    uint32_t index = errors->count++;
    reader->places[index] = place;
    char *line = errors->lines[index];
    int head = snprintf(line, CONFIG_ERROR_BYTES, "%.*s:%u:%u: ", FILE_BYTES_MAX,
                        reader->source->file, place.line, place.column);
    check(head > 0 && head < CONFIG_ERROR_BYTES);
    va_list arguments;
    va_start(arguments, format);
    int body =
        vsnprintf(line + head, CONFIG_ERROR_BYTES - (size_t)head, format, arguments); // cut is fine
    va_end(arguments);
    check(body > 0);
}

static bool place_is_before(struct config_place a, struct config_place b) {
    return a.line != b.line ? a.line < b.line : a.column < b.column;
}

void config_errors_sort(struct config_reader *reader) {
    for (uint32_t end = 1; end < reader->errors->count; end++) {
        for (uint32_t at = end; at > 0; at--) {
            struct config_place *places = &reader->places[at - 1];
            if (!place_is_before(places[1], places[0])) {
                break;
            }
            struct config_place place = places[0];
            places[0] = places[1];
            places[1] = place;
            char line[CONFIG_ERROR_BYTES];
            memcpy(line, reader->errors->lines[at - 1], CONFIG_ERROR_BYTES);
            memcpy(reader->errors->lines[at - 1], reader->errors->lines[at], CONFIG_ERROR_BYTES);
            memcpy(reader->errors->lines[at], line, CONFIG_ERROR_BYTES);
        }
    }
}

void *config_keep(struct config_reader *reader, uint64_t bytes) {
    void *taken = config_memory_take(reader->memory, bytes);
    reader->has_no_memory |= taken == NULL;
    return taken;
}

void *config_scratch(struct config_reader *reader, uint64_t bytes) {
    void *taken = config_memory_take(&reader->scratch, bytes);
    reader->has_no_memory |= taken == NULL;
    return taken;
}

struct config_quoted config_quote(struct span text) {
    enum { SHOWN_BYTES_MAX = 96 };
    struct config_quoted quoted;
    bool is_utf8 = utf8_is_valid(text);
    uint32_t length = 0;
    bool is_cut = false;
    quoted.text[length++] = '`';
    for (uint32_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        bool is_start = byte < 0x80 || byte >= 0xc0; // a cut must not split a character
        if (length > SHOWN_BYTES_MAX && is_start) {
            is_cut = true;
            break;
        }
        bool is_c1 = (byte == 0xc2 && i + 1 < text.length && text.data[i + 1] < 0xa0) ||
                     (byte < 0xa0 && i > 0 && text.data[i - 1] == 0xc2);
        bool is_shown = byte >= 0x20 && byte != 0x7f && (byte < 0x80 || (is_utf8 && !is_c1));
        if (is_shown) {
            quoted.text[length++] = (char)byte;
        } else {
            static const char digits[] = "0123456789abcdef";
            quoted.text[length++] = '\\';
            quoted.text[length++] = 'x';
            quoted.text[length++] = digits[byte >> 4];
            quoted.text[length++] = digits[byte & 15];
        }
    }
    check(length + 5 <= sizeof(quoted.text));
    memcpy(quoted.text + length, is_cut ? "...`" : "`", is_cut ? 5 : 2);
    return quoted;
}
