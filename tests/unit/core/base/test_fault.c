// The fault table and the counter table: what must hold for every row.
#include "core/base/counters.h"
#include "core/base/fault.h"

#include <criterion/criterion.h>
#include <string.h>

// What the gateway may send (DESIGN.md section 5, Close); 0 is "none is sent".
static bool is_sent_code(uint16_t code) {
    static const uint16_t codes[] = {0, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013};
    for (uint32_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i] == code) {
            return true;
        }
    }
    return false;
}

// What a request may be refused with (DESIGN.md section 5, Refusal), 500 for our own errors, and
// 502 and 504 for those of services.
static bool is_refusal_status(uint16_t status) {
    static const uint16_t statuses[] = {0,   400, 401, 403, 404, 405, 408, 413, 414, 417,
                                        426, 429, 431, 500, 501, 502, 503, 504, 505};
    for (uint32_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i] == status) {
            return true;
        }
    }
    return false;
}

static bool is_metric_label(const char *name) {
    return name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

Test(fault, every_row_is_complete) {
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        const struct fault *fault = fault_get((enum fault_id)i);
        cr_assert_eq(fault->id, i, "%s", fault->name);
        cr_assert_not_null(fault->name);
        cr_assert(is_metric_label(fault->name), "%s", fault->name);
        cr_assert_not_null(fault->text);
        cr_assert_gt(strlen(fault->text), 0, "%s", fault->name);
        // A Close reason has at most 123 bytes (RFC 6455 5.5 and 5.5.1).
        cr_assert_leq(strlen(fault->text), 123, "%s", fault->name);
        cr_assert(is_sent_code(fault->close_code), "%s sends %u", fault->name, fault->close_code);
        cr_assert(is_refusal_status(fault->http_status), "%s answers %u", fault->name,
                  fault->http_status);
    }
}

Test(fault, names_and_texts_are_unique) {
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        for (uint32_t j = 0; j < i; j++) {
            cr_assert_str_neq(fault_table[i].name, fault_table[j].name);
            cr_assert_str_neq(fault_table[i].text, fault_table[j].text);
        }
    }
}

Test(fault, an_id_fits_its_byte) {
    cr_assert_leq(FAULT_COUNT, 256);
}

Test(fault, rows_that_others_rely_on) {
    cr_assert_eq(fault_get(FAULT_frame_unmasked)->close_code, 1002);
    cr_assert_eq(fault_get(FAULT_message_utf8)->close_code, 1007);
    cr_assert_eq(fault_get(FAULT_message_too_big)->close_code, 1009);
    cr_assert_eq(fault_get(FAULT_slow_reader)->close_code, 1013);
    cr_assert_eq(fault_get(FAULT_draining)->close_code, 1012);
    cr_assert_eq(fault_get(FAULT_draining)->http_status, 503);
    cr_assert_eq(fault_get(FAULT_websocket_version)->http_status, 426);
    cr_assert_eq(fault_get(FAULT_peer_vanished)->close_code, 0);
    cr_assert_str_eq(fault_get(FAULT_header_too_large)->name, "header_too_large");
}

Test(counters, every_row_is_complete_and_unique) {
    for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
        cr_assert(is_metric_label(counter_texts[i].name));
        cr_assert_gt(strlen(counter_texts[i].help), 0);
        cr_assert_null(strchr(counter_texts[i].help, '\n'));
        cr_assert_null(strchr(counter_texts[i].help, '\\'));
        for (uint32_t j = 0; j < i; j++) {
            cr_assert_str_neq(counter_texts[i].name, counter_texts[j].name);
        }
    }
}

Test(counters, add_moves_only_its_counter) {
    static struct counters counters;
    counter_add(&counters, COUNTER_messages_in, 3);
    counter_add(&counters, COUNTER_messages_in, 4);
    for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
        cr_assert_eq(counters.values[i], i == COUNTER_messages_in ? 7 : 0);
    }
}
