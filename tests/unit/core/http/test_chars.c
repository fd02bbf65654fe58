#include "core/http/chars.h"

#include <criterion/criterion.h>

static bool is_in(const char *set, int byte) {
    return byte != 0 && strchr(set, byte) != NULL;
}

static bool is_alphanumeric(int byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z');
}

Test(chars, classes_are_those_of_the_rfcs) {
    for (int byte = 0; byte < 256; byte++) {
        uint8_t b = (uint8_t)byte;
        bool is_token = is_alphanumeric(byte) || is_in("!#$%&'*+-.^_`|~", byte);
        cr_assert_eq(http_char_is(b, HTTP_CHAR_TOKEN), is_token, "token %02x", byte);
        bool is_target = byte > 0x20 && byte < 0x7f && byte != '#';
        cr_assert_eq(http_char_is(b, HTTP_CHAR_TARGET), is_target, "target %02x", byte);
        bool is_host = is_alphanumeric(byte) || is_in("-._~!$&'()*+;=", byte);
        cr_assert_eq(http_char_is(b, HTTP_CHAR_HOST), is_host, "host %02x", byte);
        cr_assert_eq(http_char_is(b, HTTP_CHAR_HEX), is_in("0123456789abcdefABCDEF", byte));
        cr_assert_eq(http_char_is(b, HTTP_CHAR_DIGIT), is_in("0123456789", byte));
    }
}

Test(chars, text_length_is_its_scalar_twin_for_every_byte_at_every_place) {
    uint8_t bytes[80];
    for (uint32_t length = 0; length <= sizeof bytes; length++) {
        memset(bytes, 'x', sizeof bytes);
        struct span s = span_make(bytes, length);
        cr_assert_eq(http_text_length(s), length);
        for (uint32_t place = 0; place < length; place++) {
            for (int byte = 0; byte < 256; byte++) {
                bytes[place] = (uint8_t)byte;
                bool is_text = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
                cr_assert_eq(http_text_length(s), is_text ? length : place);
                cr_assert_eq(http_text_length_scalar(s), is_text ? length : place);
            }
            bytes[place] = 'x';
        }
    }
}

Test(chars, trim_takes_spaces_and_tabs_only) {
    cr_assert(span_is(http_trim(span_text(" \t a b\t ")), "a b"));
    cr_assert(span_is(http_trim(span_text("a")), "a"));
    cr_assert_eq(http_trim(span_text(" \t ")).length, 0);
    cr_assert_eq(http_trim(span_empty()).length, 0);
    cr_assert(span_is(http_trim(span_text("\v a")), "\v a"));
}
