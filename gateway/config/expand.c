#include "gateway/config/channel_byte.h"
#include "gateway/config/tree.h"

#include <stdio.h>

enum { NAME_BYTES_MAX = 127 };

// One step of the expansion: a piece of the output, and how much of the input it stands for.
struct piece {
    struct span text;
    uint32_t used;
};

static bool is_name(struct span name) {
    bool is_valid = name.length > 0 && name.length <= NAME_BYTES_MAX &&
                    !(name.data[0] >= '0' && name.data[0] <= '9');
    for (uint32_t i = 0; i < name.length; i++) {
        is_valid = is_valid && (byte_is_alphanumeric(name.data[i]) || name.data[i] == '_');
    }
    return is_valid;
}

// `rest` begins with `${`. The value stays valid until the next look-up only.
static bool variable_read(struct config_reader *reader, struct config_place place, struct span rest,
                          struct piece *piece) {
    int64_t end = span_find(rest, '}');
    struct span name = end < 0 ? span_empty() : span_first(span_from(rest, 2), (uint32_t)end - 2);
    if (!is_name(name)) {
        config_error(reader, place,
                     "%s is not of the form ${NAME}; write a name of letters, digits and _, or "
                     "$${ for a literal ${",
                     config_quote(end < 0 ? rest : span_first(rest, (uint32_t)end + 1)).text);
        return false;
    }
    char text[NAME_BYTES_MAX + 1];
    memcpy(text, name.data, name.length);
    text[name.length] = 0;
    const char *value = reader->source->environment(reader->source->context, text);
    if (value == NULL) {
        config_error(
            reader, place,
            "the environment variable %s is not set; set it, or write $${ for a literal ${", text);
        return false;
    }
    *piece = (struct piece){.text = span_text(value), .used = (uint32_t)end + 1};
    return true;
}

static bool piece_read(struct config_reader *reader, struct config_place place, struct span rest,
                       struct piece *piece) {
    if (rest.length >= 3 && memcmp(rest.data, "$${", 3) == 0) {
        *piece = (struct piece){.text = span_text("${"), .used = 3};
        return true;
    }
    if (rest.length >= 2 && memcmp(rest.data, "${", 2) == 0) {
        return variable_read(reader, place, rest, piece);
    }
    uint32_t length = 1;
    while (length < rest.length && rest.data[length] != '$') {
        length++;
    }
    *piece = (struct piece){.text = span_first(rest, length), .used = length};
    return true;
}

// The sum of all texts is bounded, or a short file could ask for gigabytes by naming a long
// variable often. Said once.
static bool count_text(struct config_reader *reader, struct config_place place, uint32_t length) {
    bool was_over = reader->expanded_bytes > CONFIG_BYTES_MAX;
    reader->expanded_bytes += length;
    bool is_over = reader->expanded_bytes > CONFIG_BYTES_MAX;
    if (is_over && !was_over) {
        config_error(reader, place, "the texts of the file have more than %u bytes; shorten them",
                     (unsigned)CONFIG_BYTES_MAX);
    }
    return !is_over;
}

bool config_expand(struct config_reader *reader, struct config_place place, struct span text,
                   struct span *expanded) {
    uint8_t buffer[CONFIG_TEXT_BYTES_MAX];
    uint32_t length = 0;
    for (uint32_t at = 0; at < text.length;) {
        struct piece piece;
        if (!piece_read(reader, place, span_from(text, at), &piece)) {
            return false;
        }
        at += piece.used;
        if (piece.text.length > sizeof(buffer) - length) {
            config_error(reader, place,
                         "a text of more than %u bytes; shorten what ${...} stands for",
                         (unsigned)CONFIG_TEXT_BYTES_MAX);
            return false;
        }
        memcpy(buffer + length, piece.text.data, piece.text.length);
        length += piece.text.length;
    }
    if (!count_text(reader, place, length)) {
        return false;
    }
    uint8_t *copy = config_keep(reader, length);
    if (copy == NULL) {
        return false;
    }
    if (length > 0) {
        memcpy(copy, buffer, length);
    }
    *expanded = span_make(copy, length);
    return true;
}
