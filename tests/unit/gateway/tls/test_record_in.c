// What a peer may not send, and what it may: one test per rule, for every suite. The names with
// `point_` are the rules that a record layer beside its library must keep.
#include "tests/unit/gateway/tls/record_pair.h"

static uint8_t wire[PAIR_BYTES_MAX];
static uint8_t copy[PAIR_BYTES_MAX];
static struct pair pair;

static uint32_t craft(const struct crafted *crafted) {
    return pair_craft(&pair.client, crafted, wire);
}

// Head, nonce, text and tag: whatever is altered, the answer is the same, and the text is gone.
Test(record_in, point_2_every_altered_bit_gets_the_same_answer) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        uint32_t length = pair_seal(&pair.client, "attack at dawn", 14, copy);
        for (uint32_t bit = 5 * 8; bit < length * 8; bit++) {
            struct tls_record server = pair.server;
            memcpy(wire, copy, length);
            wire[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            pair_expect_fault(&server, wire, length, FAULT_tls_record_forged,
                              TLS_ALERT_BAD_RECORD_MAC);
            uint32_t before = length - 16 - 14 - (pair_rows[row].version == TLS_VERSION_13 ? 1 : 0);
            for (uint32_t i = 0; i < 14; i++) {
                cr_assert_eq(wire[before + i], 0);
            }
        }
    }
}

Test(record_in, point_2_an_altered_head_never_passes) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        uint32_t length = pair_seal(&pair.client, "attack at dawn", 14, copy);
        for (uint32_t bit = 0; bit < 5 * 8; bit++) {
            struct tls_record server = pair.server;
            memcpy(wire, copy, length);
            wire[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            struct tls_opened opened = pair_open(&server, wire, length);
            cr_assert(opened.kind == TLS_OPENED_FAULT || opened.kind == TLS_OPENED_MORE);
            cr_assert_eq(server.in.sequence, 0);
        }
    }
}

Test(record_in, point_2_cut_short_by_any_number_of_bytes) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        uint32_t length = pair_seal(&pair.client, "attack at dawn", 14, copy);
        for (uint32_t cut = 1; length - cut >= 5 + 24; cut++) {
            struct tls_record server = pair.server;
            memcpy(wire, copy, length);
            wire[4] = (uint8_t)(wire[4] - cut);
            pair_expect_fault(&server, wire, length - cut, FAULT_tls_record_forged,
                              TLS_ALERT_BAD_RECORD_MAC);
        }
    }
}

Test(record_in, reordered_replayed_and_left_out) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        uint32_t length = pair_seal(&pair.client, "one", 3, wire);
        uint32_t second = pair_seal(&pair.client, "two", 3, copy);
        struct tls_record server = pair.server;
        uint8_t kept[64];
        memcpy(kept, copy, second);
        pair_expect_fault(&server, copy, second, FAULT_tls_record_forged, TLS_ALERT_BAD_RECORD_MAC);
        server = pair.server;
        memcpy(copy, wire, length);
        pair_expect_data(&server, wire, length, "one", 3);
        struct tls_record after = server;
        pair_expect_fault(&server, copy, length, FAULT_tls_record_forged, TLS_ALERT_BAD_RECORD_MAC);
        pair_expect_data(&after, kept, second, "two", 3);
    }
}

// A record of one connection, or of the other direction, is nothing here.
Test(record_in, records_of_other_keys) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        pair.server.in.sequence = 1;
        uint32_t length = pair_seal(&pair.server, "echo", 4, wire);
        pair_expect_fault(&pair.server, wire, length, FAULT_tls_record_forged,
                          TLS_ALERT_BAD_RECORD_MAC);
    }
}

// Refused from the head alone, before there is a body to wait for.
Test(record_in, point_3_lengths_are_judged_from_the_head) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        bool is_13 = pair_rows[row].version == TLS_VERSION_13;
        uint32_t nonce = !is_13 && pair_rows[row].kind != AEAD_CHACHA20_POLY1305 ? 8 : 0;
        uint32_t most = is_13 ? 16384 + 256 : 16384 + nonce + 16;
        uint32_t least = nonce + 16;
        for (uint32_t length = 0; length < 65536; length++) {
            pair_init(&pair, row);
            uint8_t head[5] = {23, 3, 3, (uint8_t)(length >> 8), (uint8_t)length};
            struct tls_opened opened = pair_open(&pair.server, head, 5);
            if (length < least) {
                cr_assert_eq(opened.kind, TLS_OPENED_FAULT);
                cr_assert_eq(opened.fault, fault_get(FAULT_tls_record_length));
                cr_assert_eq(opened.alert, TLS_ALERT_DECODE_ERROR);
            } else if (length > most) {
                cr_assert_eq(opened.kind, TLS_OPENED_FAULT);
                cr_assert_eq(opened.alert, TLS_ALERT_RECORD_OVERFLOW);
            } else {
                cr_assert_eq(opened.kind, TLS_OPENED_MORE);
                cr_assert_eq(opened.wanted, 5 + length);
            }
            length += length > 64 && length < 16300 ? 100 : 0;
            length += length > 16800 && length < 65000 ? 300 : 0;
        }
    }
}

Test(record_in, point_3_text_of_the_most_bytes_and_one_more) {
    for (uint32_t row = 0; row < PAIR_ROWS_13; row++) {
        static uint8_t zeros[16385];
        for (uint32_t size = 16383; size <= 16385; size++) {
            pair_init(&pair, row);
            uint32_t length = craft(&(struct crafted){.type = 23, .text_bytes = size});
            if (size <= 16384) {
                pair_expect_data(&pair.server, wire, length, zeros, size);
            } else {
                pair_expect_fault(&pair.server, wire, length, FAULT_tls_record_length,
                                  TLS_ALERT_RECORD_OVERFLOW);
            }
        }
    }
}

Test(record_in, point_3_padding_is_taken_off_from_the_end) {
    static const uint32_t paddings[] = {0, 1, 255, 16384};
    for (uint32_t row = 0; row < PAIR_ROWS_13; row++) {
        for (uint32_t i = 0; i < 4; i++) {
            pair_init(&pair, row);
            uint32_t length = craft(&(struct crafted){
                .type = 23, .text = "a\0b\0", .text_bytes = 4, .padding = paddings[i]});
            pair_expect_data(&pair.server, wire, length, "a\0b\0", 4);
        }
    }
}

Test(record_in, point_3_nothing_but_zeros) {
    static const uint32_t paddings[] = {0, 1, 16384};
    for (uint32_t row = 0; row < PAIR_ROWS_13; row++) {
        for (uint32_t i = 0; i < 3; i++) {
            pair_init(&pair, row);
            uint32_t length = craft(&(struct crafted){.has_no_type = true, .padding = paddings[i]});
            pair_expect_fault(&pair.server, wire, length, FAULT_tls_record_unexpected,
                              TLS_ALERT_UNEXPECTED_MESSAGE);
        }
    }
}

static void expect_handshake(uint32_t row, struct span message, enum fault_id fault,
                             enum tls_alert alert) {
    pair_init(&pair, row);
    uint32_t length =
        craft(&(struct crafted){.type = 22, .text = message.data, .text_bytes = message.length});
    uint8_t key[32];
    memcpy(key, pair.server.in.key, 32);
    pair_expect_fault(&pair.server, wire, length, fault, alert);
    cr_assert_arr_eq(pair.server.in.key, key, 32);
    cr_assert_not(tls_record_owes(&pair.server));
}

Test(record_in, point_4_no_handshake_message_but_a_whole_key_update) {
    for (uint32_t row = 0; row < PAIR_ROWS_13; row++) {
        const enum fault_id unexpected = FAULT_tls_record_unexpected;
        for (uint32_t type = 0; type < 256; type++) {
            uint8_t message[5] = {(uint8_t)type, 0, 0, 1, 0};
            if (type != 24) {
                expect_handshake(row, span_make(message, 5), unexpected,
                                 TLS_ALERT_UNEXPECTED_MESSAGE);
            }
        }
        // In pieces, together with another, and none at all.
        const uint8_t update[10] = {24, 0, 0, 1, 0, 24, 0, 0, 1, 0};
        for (uint32_t length = 0; length <= 10; length++) {
            if (length != 5) {
                expect_handshake(row, span_make(update, length), unexpected,
                                 TLS_ALERT_UNEXPECTED_MESSAGE);
            }
        }
        const uint8_t longer[6] = {24, 0, 0, 2, 0, 0};
        expect_handshake(row, span_make(longer, 6), FAULT_tls_message_malformed,
                         TLS_ALERT_DECODE_ERROR);
        const uint8_t strange[5] = {24, 0, 0, 1, 2};
        expect_handshake(row, span_make(strange, 5), FAULT_tls_message_malformed,
                         TLS_ALERT_ILLEGAL_PARAMETER);
    }
}

Test(record_in, point_4_tls_12_does_not_renegotiate) {
    for (uint32_t row = PAIR_ROWS_13; row < PAIR_ROWS; row++) {
        const uint8_t hello[6] = {1, 0, 0, 2, 3, 3};
        expect_handshake(row, span_make(hello, 6), FAULT_tls_record_unexpected,
                         TLS_ALERT_NO_RENEGOTIATION);
        const uint8_t update[5] = {24, 0, 0, 1, 0};
        expect_handshake(row, span_make(update, 5), FAULT_tls_record_unexpected,
                         TLS_ALERT_UNEXPECTED_MESSAGE);
        expect_handshake(row, span_empty(), FAULT_tls_record_unexpected,
                         TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

static uint32_t update_craft(bool is_requested) {
    const uint8_t update[5] = {24, 0, 0, 1, is_requested ? 1 : 0};
    uint32_t length = craft(&(struct crafted){.type = 22, .text = update, .text_bytes = 5});
    // The peer's own keys go on, too: its `out` as our `in`.
    struct tls_record copy_of = pair.server;
    struct tls_opened opened = pair_open(&copy_of, memcpy(copy, wire, length), length);
    cr_assert_eq(opened.kind, TLS_OPENED_NOTHING);
    memcpy(&pair.client.out, &copy_of.in, 8 + HASH_BYTES_MAX + 32 + 12);
    return length;
}

Test(record_in, point_4_key_updates_both_ways_and_one_answer_for_several_requests) {
    for (uint32_t row = 0; row < PAIR_ROWS_13; row++) {
        pair_init(&pair, row);
        uint8_t in[32];
        uint8_t out[32];
        for (uint32_t i = 0; i < 3; i++) {
            memcpy(in, pair.server.in.key, 32);
            memcpy(out, pair.server.out.key, 32);
            uint32_t length = update_craft(i > 0);
            cr_assert_eq(pair_open(&pair.server, wire, length).kind, TLS_OPENED_NOTHING);
            cr_assert_arr_neq(pair.server.in.key, in, aead_key_bytes(pair_rows[row].kind));
            cr_assert_arr_eq(pair.server.out.key, out, 32);
            cr_assert_eq(pair.server.in.sequence, 0);
            cr_assert_eq(tls_record_owes(&pair.server), i > 0);
        }
        pair_expect_data(&pair.server, wire, pair_seal(&pair.client, "new", 3, wire), "new", 3);

        struct span_mut target = {.data = wire, .length = 2 * TLS_RECORD_CONTROL_BYTES_MAX};
        int64_t length = tls_record_seal(&pair.server, NULL, 0, target);
        cr_assert_eq(length, 5 + 5 + 1 + 16);
        cr_assert_not(tls_record_owes(&pair.server));
        cr_assert_eq(pair_open(&pair.client, wire, (uint32_t)length).kind, TLS_OPENED_NOTHING);
        cr_assert_not(tls_record_owes(&pair.client)); // or they would answer each other for ever
        pair_expect_data(&pair.client, wire, pair_seal(&pair.server, "too", 3, wire), "too", 3);
    }
}

// The answer goes before the data, under the old keys; the data behind it, under the new ones.
Test(record_in, point_4_the_answer_to_a_key_update_goes_first) {
    pair_init(&pair, 0);
    uint32_t length = update_craft(true);
    cr_assert_eq(pair_open(&pair.server, wire, length).kind, TLS_OPENED_NOTHING);
    length = pair_seal(&pair.server, "data", 4, wire);
    struct tls_opened opened = pair_open(&pair.client, wire, length);
    cr_assert_eq(opened.kind, TLS_OPENED_NOTHING);
    cr_assert_eq(opened.consumed, 27);
    pair_expect_data(&pair.client, wire + 27, length - 27, "data", 4);
}

Test(record_in, point_4_key_updates_are_bounded) {
    for (uint32_t row = 0; row < PAIR_ROWS_13; row++) {
        pair_init(&pair, row);
        for (uint32_t i = 0; i < TLS_UPDATES_MAX; i++) {
            uint32_t length = update_craft(true);
            cr_assert_eq(pair_open(&pair.server, wire, length).kind, TLS_OPENED_NOTHING);
        }
        struct tls_record full = pair.server;
        const uint8_t update[5] = {24, 0, 0, 1, 0};
        struct tls_record client = pair.client;
        uint32_t length = pair_craft(
            &client, &(struct crafted){.type = 22, .text = update, .text_bytes = 5}, wire);
        pair_expect_fault(&full, wire, length, FAULT_tls_flood, TLS_ALERT_UNEXPECTED_MESSAGE);
        // After enough other records there may be more.
        for (uint32_t i = TLS_UPDATES_MAX; i < TLS_UPDATE_WINDOW; i++) {
            pair_expect_data(&pair.server, wire, pair_seal(&pair.client, "d", 1, wire), "d", 1);
        }
        length = update_craft(false);
        cr_assert_eq(pair_open(&pair.server, wire, length).kind, TLS_OPENED_NOTHING);
    }
}

Test(record_in, point_5_no_change_of_cipher_after_the_handshake) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        uint8_t plain[6] = {20, 3, 3, 0, 1, 1};
        pair_expect_fault(&pair.server, plain, 6, FAULT_tls_record_unexpected,
                          TLS_ALERT_UNEXPECTED_MESSAGE);
        pair_init(&pair, row);
        uint32_t length = craft(&(struct crafted){.type = 20, .text = "\1", .text_bytes = 1});
        pair_expect_fault(&pair.server, wire, length, FAULT_tls_record_unexpected,
                          TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

Test(record_in, every_other_type_is_unexpected) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        for (uint32_t type = 1; type < 256; type++) {
            if (type >= 20 && type <= 23) {
                continue;
            }
            pair_init(&pair, row);
            uint32_t length =
                craft(&(struct crafted){.type = (uint8_t)type, .text = "x", .text_bytes = 1});
            pair_expect_fault(&pair.server, wire, length, FAULT_tls_record_unexpected,
                              TLS_ALERT_UNEXPECTED_MESSAGE);
        }
    }
}

Test(record_in, tls_12_of_another_version) {
    for (uint32_t row = PAIR_ROWS_13; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        uint32_t length = pair_seal(&pair.client, "x", 1, wire);
        wire[2] = 1;
        pair_expect_fault(&pair.server, wire, length, FAULT_tls_record_unexpected,
                          TLS_ALERT_PROTOCOL_VERSION);
    }
}

Test(record_in, point_6_empty_records_are_legal_but_not_without_end) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        for (uint32_t round = 0; round < 2; round++) {
            for (uint32_t i = 0; i < TLS_EMPTY_RECORDS_MAX; i++) {
                uint32_t length = craft(&(struct crafted){.type = 23});
                struct tls_opened opened = pair_open(&pair.server, wire, length);
                cr_assert_eq(opened.kind, TLS_OPENED_NOTHING);
                cr_assert_eq(opened.consumed, length);
            }
            if (round == 0) {
                uint32_t length =
                    craft(&(struct crafted){.type = 23, .text = "x", .text_bytes = 1});
                pair_expect_data(&pair.server, wire, length, "x", 1);
            }
        }
        uint32_t length = craft(&(struct crafted){.type = 23});
        pair_expect_fault(&pair.server, wire, length, FAULT_tls_flood,
                          TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

// What comes behind it is ignored, forged or not, and the way out stays open for the answer.
Test(record_in, point_7_close_notify) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        struct span_mut target = {.data = wire, .length = sizeof(wire)};
        uint32_t length = tls_record_alert(&pair.client, TLS_ALERT_CLOSE_NOTIFY, target);
        struct tls_opened opened = pair_open(&pair.server, wire, length);
        cr_assert_eq(opened.kind, TLS_OPENED_CLOSED);
        cr_assert_eq(opened.consumed, length);
        opened = pair_open(&pair.server, wire, 3000);
        cr_assert_eq(opened.kind, TLS_OPENED_CLOSED);
        cr_assert_eq(opened.consumed, 3000);
        pair_expect_data(&pair.client, wire, pair_seal(&pair.server, "bye", 3, wire), "bye", 3);
        length = tls_record_alert(&pair.server, TLS_ALERT_CLOSE_NOTIFY, target);
        cr_assert_eq(pair_open(&pair.client, wire, length).kind, TLS_OPENED_CLOSED);
    }
}

Test(record_in, alerts) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        bool is_13 = pair_rows[row].version == TLS_VERSION_13;
        for (uint32_t level = 0; level < 4; level++) {
            for (uint32_t alert = 1; alert < 256; alert++) {
                pair_init(&pair, row);
                uint8_t bytes[2] = {(uint8_t)level, (uint8_t)alert};
                uint32_t length =
                    craft(&(struct crafted){.type = 21, .text = bytes, .text_bytes = 2});
                if (alert == TLS_ALERT_USER_CANCELED || (!is_13 && level == 1)) {
                    cr_assert_eq(pair_open(&pair.server, wire, length).kind, TLS_OPENED_NOTHING);
                } else {
                    pair_expect_fault(&pair.server, wire, length, FAULT_tls_alert, TLS_ALERT_NONE);
                }
            }
        }
        for (uint32_t size = 0; size <= 4; size++) {
            pair_init(&pair, row);
            uint32_t length =
                craft(&(struct crafted){.type = 21, .text = "\1\0\1\0", .text_bytes = size});
            if (size != 2) {
                pair_expect_fault(&pair.server, wire, length, FAULT_tls_message_malformed,
                                  TLS_ALERT_DECODE_ERROR);
            }
        }
    }
}

// Warnings are counted with the empty records.
Test(record_in, warnings_without_end) {
    pair_init(&pair, 3);
    for (uint32_t i = 0; i <= TLS_EMPTY_RECORDS_MAX; i++) {
        uint32_t length = craft(&(struct crafted){.type = 21, .text = "\1\156", .text_bytes = 2});
        if (i < TLS_EMPTY_RECORDS_MAX) {
            cr_assert_eq(pair_open(&pair.server, wire, length).kind, TLS_OPENED_NOTHING);
        } else {
            pair_expect_fault(&pair.server, wire, length, FAULT_tls_flood,
                              TLS_ALERT_UNEXPECTED_MESSAGE);
        }
    }
}
