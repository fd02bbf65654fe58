#include "gateway/admin/text.h"
#include "tests/unit/expect.h"

#include <jansson.h>
#include <stdlib.h>

static void expect_text(const struct text *text, const char *wanted) {
    expect(!text->is_failed && span_is(text_span(text), wanted), "wanted %s, got %.*s", wanted,
           (int)text->length, text->data);
}

Test(text, grows_as_it_is_added_to) {
    struct text text = {.data = NULL};
    text_add(&text, span_empty());
    cr_assert_eq(text_span(&text).length, 0);
    for (uint32_t i = 0; i < 10000; i++) {
        text_add(&text, span_text("0123456789"));
    }
    cr_assert_eq(text.length, 100000);
    for (uint32_t i = 0; i < text.length; i++) {
        expect(text.data[i] == (char)('0' + i % 10), "byte %u", i);
    }
    text_drop(&text);
    cr_assert_null(text.data);
    text_print(&text, "%d-%s", 5, "x"); // usable again
    expect_text(&text, "5-x");
    text_drop(&text);
}

Test(text, json_strings) {
    static const struct {
        const char *bytes;
        uint32_t length;
        const char *json;
    } rows[] = {
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
        {"\x01\n\x1f\x7f", 4, "\"\\u0001\\u000a\\u001f\x7f\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {"\xff", 1, "\"\xef\xbf\xbd\""},
        {"a\xc3", 2, "\"a\xef\xbf\xbd\""},                               // cut in a character
        {"\xc3(", 2, "\"\xef\xbf\xbd(\""},                               // what follows is kept
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, // a surrogate
        {"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 // overlong
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text text = {.data = NULL};
        text_json(&text, span_make(rows[i].bytes, rows[i].length));
        expect_text(&text, rows[i].json);
        text_drop(&text);
    }
}

Test(text, any_two_bytes_are_a_string_that_json_readers_take) {
    for (uint32_t pair = 0; pair < 65536; pair++) {
        uint8_t bytes[] = {'[', (uint8_t)(pair >> 8), (uint8_t)pair};
        struct text text = {.data = NULL};
        text_add(&text, span_text("["));
        text_json(&text, span_make(bytes + 1, 2));
        text_add(&text, span_text("]"));
        json_error_t error;
        json_t *array = json_loadb(text.data, text.length, JSON_ALLOW_NUL, &error);
        expect(array != NULL, "%04x: %s", pair, error.text);
        if (bytes[1] < 0x80 && bytes[2] < 0x80) {
            const json_t *string = json_array_get(array, 0);
            expect(json_string_length(string) == 2 &&
                       memcmp(json_string_value(string), bytes + 1, 2) == 0,
                   "%04x", pair);
        }
        json_decref(array);
        text_drop(&text);
    }
}

Test(text, what_does_not_fit_fails_and_stays_failed) {
    struct text text = {.data = NULL};
    uint8_t *piece = calloc(1, 1 << 20);
    for (uint32_t i = 0; i < TEXT_BYTES_MAX >> 20; i++) {
        text_add(&text, span_make(piece, 1 << 20));
    }
    cr_assert_not(text.is_failed); // at the bound
    text_add(&text, span_text("x"));
    cr_assert(text.is_failed);
    cr_assert_eq(text.length, TEXT_BYTES_MAX);
    free(piece);
    text_drop(&text);
    text_add(&text, span_text("a"));
    text_print(&text, "%01100d", 7); // longer than one print may be: not cut, failed
    cr_assert(text.is_failed);
    text_add(&text, span_text("b"));
    cr_assert_eq(text.length, 1);
    text_drop(&text);
}
