// Close payloads: every code, every length, reasons at the edge of a character.
#include "core/base/limits.h"
#include "core/ws/close.h"

#include <criterion/criterion.h>
#include <signal.h>

static bool code_expected(uint32_t code) {
    static const uint16_t fine[] = {1000, 1001, 1002, 1003, 1007, 1008,
                                    1009, 1010, 1011, 1012, 1013, 1014};
    for (uint32_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        if (fine[i] == code) {
            return true;
        }
    }
    return code >= 3000 && code < 5000;
}

Test(ws_close, every_code) {
    for (uint32_t code = 0; code <= UINT16_MAX; code++) {
        cr_assert_eq(ws_close_code_is_valid((uint16_t)code), code_expected(code), "%u", code);
        uint8_t bytes[2] = {(uint8_t)(code >> 8), (uint8_t)code};
        uint16_t decoded;
        struct span reason;
        const struct fault *fault = ws_close_decode(span_make(bytes, 2), &decoded, &reason);
        if (code_expected(code)) {
            cr_assert(fault == NULL && decoded == code && reason.length == 0);
        } else {
            cr_assert(fault != NULL && fault->id == FAULT_close_code);
            cr_assert_eq(decoded, WS_CLOSE_NONE);
        }
    }
}

Test(ws_close, empty_and_one_byte) {
    uint16_t code;
    struct span reason;
    cr_assert_null(ws_close_decode(span_empty(), &code, &reason));
    cr_assert(code == WS_CLOSE_NONE && reason.length == 0);
    const struct fault *fault = ws_close_decode(span_text("\x03"), &code, &reason);
    cr_assert(fault != NULL && fault->id == FAULT_close_length);
}

Test(ws_close, reasons) {
    static const struct {
        const char *payload;
        int32_t fault; // -1: none
    } rows[] = {
        {"\x03\xe8going away", -1},
        {"\x03\xe8\xc3\xa9t\xc3\xa9", -1},
        {"\x03\xe8\xf0\x9f\x98\x80", -1},
        {"\x03\xe8\xc3", FAULT_close_utf8},
        {"\x03\xe8\xff", FAULT_close_utf8},
        {"\x03\xe8\xed\xa0\x80", FAULT_close_utf8},
        {"\x03\xe8\xc0\x80", FAULT_close_utf8},
        {"\x03\xed\xff", FAULT_close_code}, // 1005: the code comes first
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint16_t code;
        struct span reason;
        struct span payload = span_text(rows[i].payload);
        const struct fault *fault = ws_close_decode(payload, &code, &reason);
        cr_assert_eq(fault == NULL ? -1 : (int32_t)fault->id, rows[i].fault, "row %u", i);
        if (fault == NULL) {
            cr_assert_eq(code, 1000);
            cr_assert(span_equal(reason, span_from(payload, 2)));
        }
    }
}

Test(ws_close, round_trip_at_every_length) {
    char text[200];
    memset(text, 'x', sizeof text);
    for (uint32_t length = 0; length <= sizeof text; length++) {
        uint8_t payload[CONTROL_BYTES_MAX];
        uint32_t bytes = ws_close_encode(payload, 1001, span_make(text, length));
        uint32_t kept = length < 123 ? length : 123;
        cr_assert_eq(bytes, 2 + kept);
        uint16_t code;
        struct span reason;
        cr_assert_null(ws_close_decode(span_make(payload, bytes), &code, &reason));
        cr_assert(code == 1001 && span_equal(reason, span_make(text, kept)));
    }
}

Test(ws_close, a_long_reason_is_cut_between_characters) {
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (uint32_t kind = 0; kind < 3; kind++) {
        for (uint32_t lead = 100; lead <= 123; lead++) { // plain bytes in front shift the edge
            char text[400];
            uint32_t length = lead;
            uint32_t width = kind + 2;
            memset(text, 'a', lead);
            while (length + width <= sizeof text) {
                memcpy(text + length, characters[kind], width);
                length += width;
            }
            uint8_t payload[CONTROL_BYTES_MAX];
            uint32_t bytes = ws_close_encode(payload, 1008, span_make(text, length));
            cr_assert_eq(bytes, 2 + lead + (123 - lead) / width * width);
            uint16_t code;
            struct span reason;
            cr_assert_null(ws_close_decode(span_make(payload, bytes), &code, &reason));
        }
    }
}

Test(ws_close, none_writes_nothing) {
    uint8_t payload[CONTROL_BYTES_MAX];
    cr_assert_eq(ws_close_encode(payload, WS_CLOSE_NONE, span_text("ignored")), 0);
    cr_assert_eq(ws_close_encode(payload, 1000, span_empty()), 2);
    cr_assert_eq(memcmp(payload, "\x03\xe8", 2), 0);
}

Test(ws_close, sending_1006_is_our_bug, .signal = SIGABRT) {
    uint8_t payload[CONTROL_BYTES_MAX];
    ws_close_encode(payload, WS_CLOSE_ABNORMAL, span_empty());
}
