#include "gateway/seam/log_format.h"

#include "core/base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum {
    UNIT_BYTES_MAX = 8,    // of one escaped byte or character, and then some
    NUMBER_BYTES_MAX = 24, // of a 64-bit number
    REST_BYTES = 16,       // a quote, `,"cut":true}` and a newline always fit
};

struct writer {
    uint8_t *data;
    uint32_t length;
    uint32_t room; // without REST_BYTES
    bool is_json;
    bool is_cut;
};

// All of the bytes or none.
static bool put(struct writer *writer, const void *bytes, uint32_t length) {
    if (writer->length + length > writer->room) { // a closing quote may have passed it already
        return false;
    }
    memcpy(writer->data + writer->length, bytes, length);
    writer->length += length;
    return true;
}

static bool put_text(struct writer *writer, const char *text) {
    return put(writer, text, (uint32_t)strlen(text));
}

// Into the reserve, at the end of the line.
static void put_rest(struct writer *writer, const char *text) {
    uint32_t length = (uint32_t)strlen(text);
    memcpy(writer->data + writer->length, text, length);
    writer->length += length;
}

// The character at `at`: its length and code point, or length 0 for a byte that begins none (RFC
// 3629).
static uint32_t character_read(struct span text, uint32_t at, uint32_t *point) {
    const uint8_t *bytes = text.data + at;
    uint32_t left = text.length - at;
    uint8_t first = bytes[0];
    uint32_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first > 0xf4 || length == 0 || length > left) {
        return 0;
    }
    *point = length == 1 ? first : first & (0x7fU >> length);
    for (uint32_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
        *point = *point << 6 | (bytes[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; // shorter forms exist below
    bool is_valid =
        *point >= least[length] && *point <= 0x10ffff && !(*point >= 0xd800 && *point <= 0xdfff);
    return is_valid ? length : 0;
}

// Characters that act on a terminal or reorder a line instead of being shown.
static bool acts(uint32_t point) {
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0xad ||
           (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2060 && point <= 0x206f) || point == 0xfeff ||
           (point >= 0xe0000 && point <= 0xe007f);
}

// One character or broken byte, escaped as the format wants it. Returns what it stands for, 0 when
// there is no room.
static uint32_t put_unit(struct writer *writer, struct span text, uint32_t at) {
    uint32_t point = 0;
    uint32_t length = character_read(text, at, &point);
    char unit[2 * UNIT_BYTES_MAX];
    const char *escaped = unit;
    if (length == 0) {
        snprintf(unit, sizeof(unit), writer->is_json ? "\\ufffd" : "\\x%02x", text.data[at]);
        return put_text(writer, escaped) ? 1 : 0;
    }
    if (point == '"' || point == '\\') {
        snprintf(unit, sizeof(unit), "\\%c", (char)point);
    } else if (point == '\n' || point == '\r' || point == '\t') {
        escaped = point == '\n' ? "\\n" : point == '\r' ? "\\r" : "\\t";
    } else if (acts(point) && point > 0xffff) { // JSON has surrogate pairs for these
        uint32_t offset = point - 0x10000;
        snprintf(unit, sizeof(unit), "\\u%04x\\u%04x", 0xd800 + (offset >> 10),
                 0xdc00 + (offset & 0x3ff));
    } else if (acts(point)) {
        snprintf(unit, sizeof(unit), "\\u%04x", point);
    } else {
        return put(writer, text.data + at, length) ? length : 0;
    }
    return put_text(writer, escaped) ? length : 0;
}

static bool is_plain(struct span text) {
    bool is_plain = text.length > 0;
    for (uint32_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        is_plain =
            is_plain && byte > ' ' && byte < 0x7f && byte != '"' && byte != '=' && byte != '\\';
    }
    return is_plain;
}

// In quotes; a text is cut where the room ends. False: not even the first quote fits.
static bool put_value(struct writer *writer, struct span text) {
    if (!writer->is_json && is_plain(text) && put(writer, text.data, text.length)) {
        return true;
    }
    if (!put_text(writer, "\"")) {
        return false;
    }
    for (uint32_t at = 0; at < text.length;) {
        uint32_t used = put_unit(writer, text, at);
        if (used == 0) {
            writer->is_cut = true;
            break;
        }
        at += used;
    }
    put_rest(writer, "\"");
    return true;
}

static bool put_name(struct writer *writer, const char *name) {
    if (!writer->is_json) {
        return put_text(writer, " ") && put_text(writer, name) && put_text(writer, "=");
    }
    return put_text(writer, ",\"") && put_text(writer, name) && put_text(writer, "\":");
}

static bool put_plain_value(struct writer *writer, const struct log_field *field) {
    char number[NUMBER_BYTES_MAX];
    switch ((enum log_kind)field->kind) {
    case LOG_KIND_NUMBER:
        snprintf(number, sizeof(number), "%" PRIu64, field->number);
        return put_text(writer, number);
    case LOG_KIND_SIGNED:
        snprintf(number, sizeof(number), "%" PRId64, (int64_t)field->number);
        return put_text(writer, number);
    case LOG_KIND_BOOL:
        return put_text(writer, field->number != 0 ? "true" : "false");
    case LOG_KIND_TEXT:
        break;
    }
    return put_value(writer, field->text);
}

static void put_field(struct writer *writer, const struct log_field *field) {
    uint32_t before = writer->length;
    if (!put_name(writer, field->name) || !put_plain_value(writer, field)) {
        writer->length = before; // a field is there with its value or not at all
        writer->is_cut = true;
    }
}

// 2026-05-01T12:00:00.123Z
static void put_time(struct writer *writer, uint64_t wall_ms) {
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    char text[64] = "1970-01-01T00:00:00";
    if (gmtime_r(&seconds, &parts) != NULL) {
        size_t length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
        check(length > 0);
    }
    char milliseconds[8];
    snprintf(milliseconds, sizeof(milliseconds), ".%03uZ", (unsigned)(wall_ms % 1000));
    put_text(writer, text);
    put_text(writer, milliseconds);
}

static void put_head(struct writer *writer, const struct log_line *line) {
    const char *level = log_level_name((enum log_level)line->level);
    const char *texts[] = {" ", level, " ", line->name, " ", line->event};
    const char *jsons[] = {"\",\"level\":\"", level,      "\",\"thread\":\"", line->name,
                           "\",\"event\":\"", line->event};
    const char *const *pieces = line->is_json ? jsons : texts;
    put_text(writer, line->is_json ? "{\"time\":\"" : "");
    put_time(writer, line->wall_ms);
    bool is_whole = true;
    for (uint32_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        is_whole &= put_text(writer, pieces[i]);
    }
    is_whole &= put_text(writer, line->is_json ? "\"" : "");
    check(is_whole); // constant texts that we chose
}

uint32_t log_format(const struct log_line *line, struct span_mut target) {
    check(target.length >= LOG_LINE_BYTES_MIN);
    struct writer writer = {
        .data = target.data, .room = target.length - REST_BYTES, .is_json = line->is_json};
    put_head(&writer, line);
    for (uint32_t i = 0; i < line->field_count && !writer.is_cut; i++) {
        put_field(&writer, &line->fields[i]);
    }
    if (writer.is_cut) {
        put_rest(&writer, line->is_json ? ",\"cut\":true" : " cut=true");
    }
    put_rest(&writer, line->is_json ? "}\n" : "\n");
    check(writer.length <= target.length);
    return writer.length;
}
