// One line: both forms, hostile bytes, and every length around the room.
#include "gateway/seam/log_format.h"

#include "core/base/limits.h"
#include "core/base/prng.h"
#include "core/base/utf8.h"

#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <stdio.h>

static uint8_t buffer[LOG_LINE_BYTES_MAX + 1];

static struct span format_into(const struct log_field *fields, uint32_t count, bool is_json,
                               uint32_t room) {
    const struct log_line line = {.name = "worker-0",
                                  .event = "closed",
                                  .fields = fields,
                                  .wall_ms = 1767225599007,
                                  .field_count = count,
                                  .level = LOG_LEVEL_INFO,
                                  .is_json = is_json};
    buffer[room] = 0xee;
    uint32_t length = log_format(&line, (struct span_mut){.data = buffer, .length = room});
    expect(buffer[room] == 0xee, "wrote behind its room of %u", room);
    expect(length <= room && buffer[length - 1] == '\n', "length %u", length);
    return span_make(buffer, length);
}

static void becomes(const struct log_field *fields, uint32_t count, bool is_json,
                    const char *expected) {
    struct span line = format_into(fields, count, is_json, LOG_LINE_BYTES_MAX);
    expect(span_is(line, expected), "%.*s\nexpected:\n%s", (int)line.length,
           (const char *)line.data, expected);
}

#define TEXT_HEAD "2025-12-31T23:59:59.007Z info worker-0 closed"
#define JSON_HEAD                                                                                  \
    "{\"time\":\"2025-12-31T23:59:59.007Z\",\"level\":\"info\",\"thread\":\"worker-0\","           \
    "\"event\":\"closed\""

Test(log_format, every_kind_of_field) {
    const struct log_field fields[] = {
        log_text("id", "0-5-1"),         log_text("cause", "no answer to a ping"),
        log_number("bytes", UINT64_MAX), log_signed("status", INT64_MIN),
        log_bool("is_tls", true),        log_bool("is_old", false),
        log_span("empty", span_empty()),
    };
    becomes(fields, 7, false,
            TEXT_HEAD " id=0-5-1 cause=\"no answer to a ping\" bytes=18446744073709551615 "
                      "status=-9223372036854775808 is_tls=true is_old=false empty=\"\"\n");
    becomes(fields, 7, true,
            JSON_HEAD ",\"id\":\"0-5-1\",\"cause\":\"no answer to a "
                      "ping\",\"bytes\":18446744073709551615,\"status\":-9223372036854775808,"
                      "\"is_tls\":true,\"is_old\":false,\"empty\":\"\"}\n");
    becomes(NULL, 0, false, TEXT_HEAD "\n");
    becomes(NULL, 0, true, JSON_HEAD "}\n");
}

struct escape {
    const char *bytes;
    const char *text;
    const char *json;
};

Test(log_format, escapes) {
    static const struct escape rows[] = {
        {"a\"b", "\"a\\\"b\"", "\"a\\\"b\""},
        {"a\\b", "\"a\\\\b\"", "\"a\\\\b\""},
        {"a=b", "\"a=b\"", "\"a=b\""},
        {"a\nb\r\t", "\"a\\nb\\r\\t\"", "\"a\\nb\\r\\t\""},
        {"\x01\x1b[2J\x7f", "\"\\u0001\\u001b[2J\\u007f\"", "\"\\u0001\\u001b[2J\\u007f\""},
        {"\xc3\xa9", "\"\xc3\xa9\"", "\"\xc3\xa9\""},
        {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\""},
        // Controls and reordering characters beyond ASCII
        {"\xc2\x85", "\"\\u0085\"", "\"\\u0085\""},
        {"\xe2\x80\xae", "\"\\u202e\"", "\"\\u202e\""},
        {"\xe2\x80\xa8", "\"\\u2028\"", "\"\\u2028\""},
        {"\xef\xbb\xbf", "\"\\ufeff\"", "\"\\ufeff\""},
        {"\xf3\xa0\x80\x81", "\"\\udb40\\udc01\"", "\"\\udb40\\udc01\""},
        // What is not UTF-8: a lone continuation, a cut character, overlong, a surrogate, too large
        {"\x80", "\"\\x80\"", "\"\\ufffd\""},
        {"\xc3", "\"\\xc3\"", "\"\\ufffd\""},
        {"\xc3(", "\"\\xc3(\"", "\"\\ufffd(\""},
        {"\xc0\xaf", "\"\\xc0\\xaf\"", "\"\\ufffd\\ufffd\""},
        {"\xe0\x80\xaf", "\"\\xe0\\x80\\xaf\"", "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\"", "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\"", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {"\xff\xfe", "\"\\xff\\xfe\"", "\"\\ufffd\\ufffd\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct log_field field = log_text("v", rows[i].bytes);
        char expected[512];
        snprintf(expected, sizeof(expected), TEXT_HEAD " v=%s\n", rows[i].text);
        becomes(&field, 1, false, expected);
        snprintf(expected, sizeof(expected), JSON_HEAD ",\"v\":%s}\n", rows[i].json);
        becomes(&field, 1, true, expected);
    }
    const struct log_field nul = log_span("v", span_make("a\0b", 3));
    becomes(&nul, 1, false, TEXT_HEAD " v=\"a\\u0000b\"\n");
}

// RFC 3629 by arithmetic.
static uint32_t encode(uint32_t point, uint8_t bytes[4]) {
    if (point < 0x80) {
        bytes[0] = (uint8_t)point;
        return 1;
    }
    uint32_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (uint32_t i = length - 1; i > 0; i--) {
        bytes[i] = (uint8_t)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    bytes[0] = (uint8_t)((0xf0U << (4 - length)) | point);
    return length;
}

// The characters that must not reach a terminal, as ranges.
static bool is_hidden(uint32_t point) {
    static const uint32_t ranges[][2] = {{0, 0x1f},        {0x7f, 0x9f},      {0xad, 0xad},
                                         {0x200b, 0x200f}, {0x2028, 0x202e},  {0x2060, 0x206f},
                                         {0xfeff, 0xfeff}, {0xe0000, 0xe007f}};
    bool is_in = false;
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        is_in |= point >= ranges[i][0] && point <= ranges[i][1];
    }
    return is_in;
}

// Whether the only value of the line came through as it is.
static bool is_raw(struct span bytes) {
    const struct log_field field = log_span("v", bytes);
    struct span line = format_into(&field, 1, true, LOG_LINE_BYTES_MIN);
    struct span value = span_from(line, (uint32_t)strlen(JSON_HEAD ",\"v\":\""));
    return span_equal(span_first(value, value.length - 3), bytes);
}

Test(log_format, every_code_point) {
    for (uint32_t point = 0; point <= 0x10ffff; point++) {
        uint8_t bytes[4];
        struct span text = span_make(bytes, encode(point, bytes));
        bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
        bool is_shown = !is_surrogate && !is_hidden(point) && point != '"' && point != '\\';
        expect(is_raw(text) == is_shown, "U+%04X", point);
    }
}

Test(log_format, every_start_of_a_character_is_taken_as_the_automaton_takes_it) {
    static const uint8_t ends[][2] = {{0x80, 0x80}, {0xbf, 0xbf}, {0x80, 0x7f}, {0xc0, 0x80}};
    for (uint32_t first = 0xa0; first < 256; first++) {
        for (uint32_t second = 0; second < 256; second++) {
            for (uint32_t i = 0; i < 4; i++) {
                uint8_t bytes[] = {(uint8_t)first, (uint8_t)second, ends[i][0], ends[i][1]};
                for (uint32_t length = 1; length <= 4; length++) {
                    struct span text = span_make(bytes, length);
                    expect(utf8_is_valid(text) || !is_raw(text), "%02x %02x, %u bytes", first,
                           second, length);
                }
            }
        }
    }
}

// One line of valid UTF-8 without a control byte inside; as JSON, with balanced quotes.
static void check_line(struct span line, bool is_json) {
    expect(utf8_is_valid(line), "not UTF-8");
    uint32_t quotes = 0;
    for (uint32_t i = 0; i + 1 < line.length; i++) {
        expect(line.data[i] >= 0x20 && line.data[i] != 0x7f, "control byte at %u", i);
        if (line.data[i] == '\\') {
            i++; // the escaped byte
        } else {
            quotes += line.data[i] == '"';
        }
    }
    expect(quotes % 2 == 0, "open quote: %.*s", (int)line.length, (const char *)line.data);
    expect(!is_json || line.data[line.length - 2] == '}', "no end");
}

Test(log_format, any_bytes_make_a_clean_line) {
    struct prng prng;
    prng_init(&prng, 7);
    for (uint32_t round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        uint32_t length = prng_below(&prng, sizeof(bytes) + 1);
        for (uint32_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)prng_next(&prng);
        }
        const struct log_field fields[] = {log_span("a", span_make(bytes, length)),
                                           log_number("n", round)};
        bool is_json = round % 2 == 1;
        uint32_t room = LOG_LINE_BYTES_MIN + prng_below(&prng, 256);
        check_line(format_into(fields, 2, is_json, room), is_json);
    }
}

static bool is_cut(struct span line, bool is_json) {
    const char *mark = is_json ? ",\"cut\":true}\n" : " cut=true\n";
    uint32_t length = (uint32_t)strlen(mark);
    return line.length >= length && span_is(span_from(line, line.length - length), mark);
}

// The line is whole from the length on at which it and the reserve fit, and cut below.
static void check_rooms(const struct log_field *fields, uint32_t count, bool is_json) {
    uint32_t whole = format_into(fields, count, is_json, LOG_LINE_BYTES_MAX).length;
    uint32_t first_whole = 0;
    for (uint32_t room = LOG_LINE_BYTES_MIN; room <= whole + 32; room++) {
        struct span line = format_into(fields, count, is_json, room);
        check_line(line, is_json);
        bool cut = is_cut(line, is_json);
        expect(cut || line.length == whole, "%u of %u bytes in %u", line.length, whole, room);
        expect(cut || room >= whole, "more than its room");
        if (!cut && first_whole == 0) {
            first_whole = room;
        }
        expect(first_whole == 0 || !cut, "cut at %u, whole at %u", room, first_whole);
    }
    expect(first_whole >= whole && first_whole <= whole + 16, "whole at %u, %u bytes", first_whole,
           whole);
}

Test(log_format, every_room_around_every_end) {
    static uint8_t long_text[600];
    memset(long_text, 'x', sizeof(long_text));
    const struct log_field plain[] = {log_span("a", span_make(long_text, 300)),
                                      log_number("number", 12345), log_bool("flag", true)};
    check_rooms(plain, 3, false);
    check_rooms(plain, 3, true);
    memset(long_text, 0xff, sizeof(long_text)); // each byte becomes 4 or 6
    const struct log_field hostile[] = {log_span("a", span_make(long_text, 100)),
                                        log_span("b", span_make(long_text, 3))};
    check_rooms(hostile, 2, false);
    check_rooms(hostile, 2, true);
}

Test(log_format, the_start_of_time_and_a_day_far_ahead) {
    struct log_line line = {.name = "a", .event = "b", .level = LOG_LEVEL_ERROR};
    struct span_mut target = {.data = buffer, .length = LOG_LINE_BYTES_MIN};
    uint32_t length = log_format(&line, target);
    cr_assert(span_is(span_make(buffer, length), "1970-01-01T00:00:00.000Z error a b\n"));
    line.wall_ms = UINT64_MAX; // a broken clock
    length = log_format(&line, target);
    cr_assert(length > 0 && buffer[length - 1] == '\n');
}
