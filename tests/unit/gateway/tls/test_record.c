// Sealing and opening: the records of RFC 8448, round trips, every split, limits, new keys. The
// names with `point_` are the rules that a record layer beside its library must keep.
#include "tests/unit/core/crypto/hex.h"
#include "tests/unit/gateway/tls/record_pair.h"

#include <errno.h>
#include <signal.h>

static uint8_t wire[PAIR_BYTES_MAX];
static uint8_t copy[PAIR_BYTES_MAX];
static uint8_t text[PAIR_BYTES_MAX];
static struct pair pair;

static void text_fill(void) {
    for (uint32_t i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t)(i * 31 + i / 251);
    }
}

// RFC 8448 section 3: 50 bytes each way and both alerts, byte for byte. The server's application
// data is its second record, behind a session ticket.
Test(record, rfc_8448_records) {
    struct tls_record_half client = {.sequence = 0};
    struct tls_record_half server = {.sequence = 1};
    hex_read("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", client.secret,
             sizeof(client.secret));
    hex_read("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", server.secret,
             sizeof(server.secret));
    struct tls_record_options options = {
        .in = &client,
        .out = &server,
        .version = TLS_VERSION_13,
        .kind = AEAD_AES_128_GCM,
        .hash = HASH_SHA256,
        .text_bytes_max = TLS_TEXT_BYTES_MAX,
    };
    struct tls_record record;
    tls_record_init(&record, &options);
    for (uint32_t i = 0; i < 50; i++) {
        text[i] = (uint8_t)i;
    }
    cr_assert_eq(pair_seal(&record, text, 50, wire), 72);
    hex_expect(wire, "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf9"
                     "7d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d");
    uint32_t length = tls_record_alert(&record, TLS_ALERT_CLOSE_NOTIFY,
                                       (struct span_mut){.data = wire, .length = sizeof(wire)});
    cr_assert_eq(length, 24);
    hex_expect(wire, "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9");

    struct span got = hex_read("1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b"
                               "9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aee"
                               "bb21694915e4",
                               wire, sizeof(wire));
    pair_expect_data(&record, wire, got.length, text, 50);
    got = hex_read("1703030013c9872760655666b74d7ff1153efd6db6d0b0e3", wire, sizeof(wire));
    cr_assert_eq(pair_open(&record, wire, got.length).kind, TLS_OPENED_CLOSED);
}

// Sizes around a record and around two, each as one piece and as many.
Test(record, round_trip_of_every_suite_and_size) {
    static const uint32_t sizes[] = {1, 2, 16, 16383, 16384, 16385, 32767, 32768, 32769, 70000};
    text_fill();
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        for (uint32_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            struct span pieces[5];
            uint32_t cuts[6] = {0, 0, sizes[s] / 3, sizes[s] / 3, sizes[s] / 2, sizes[s]};
            for (uint32_t i = 0; i < 5; i++) {
                pieces[i] = span_make(text + cuts[i], cuts[i + 1] - cuts[i]);
            }
            uint64_t bound = tls_record_sealed_bytes(&pair.server, sizes[s]);
            struct span_mut target = {.data = wire, .length = (uint32_t)bound};
            int64_t written = tls_record_seal(&pair.server, pieces, 5, target);
            uint32_t records = (sizes[s] + 16383) / 16384;
            cr_assert_gt(written, sizes[s] + records * 20);
            uint32_t at = 0;
            uint32_t done = 0;
            for (; at < (uint32_t)written; records--) {
                struct tls_opened opened =
                    pair_open(&pair.client, wire + at, (uint32_t)written - at);
                cr_assert_eq(opened.kind, TLS_OPENED_DATA, "%s", pair.name);
                cr_assert_arr_eq(opened.data.data, text + done, opened.data.length);
                done += opened.data.length;
                at += opened.consumed;
            }
            cr_assert_eq(done, sizes[s]);
            cr_assert_eq(records, 0);
        }
        cr_assert_eq(pair.client.in.sequence, pair.server.out.sequence);
    }
}

Test(record, nothing_sealed_is_nothing_written) {
    pair_init(&pair, 0);
    cr_assert_eq(tls_record_sealed_bytes(&pair.server, 0), 2 * TLS_RECORD_CONTROL_BYTES_MAX);
    cr_assert_eq(pair_seal(&pair.server, text, 0, wire), 0);
    cr_assert_eq(pair.server.out.sequence, 1);
}

Test(record, a_negotiated_fragment_length_is_kept) {
    text_fill();
    pair_init(&pair, 2);
    pair.server.text_bytes_max = TLS_TEXT_BYTES_MIN;
    uint32_t written = pair_seal(&pair.server, text, 1025, wire);
    static const uint32_t expected[] = {512, 512, 1};
    uint32_t at = 0;
    for (uint32_t i = 0; i < 3; i++) {
        struct tls_opened opened = pair_open(&pair.client, wire + at, written - at);
        cr_assert_eq(opened.data.length, expected[i]);
        at += opened.consumed;
    }
    cr_assert_eq(at, written);
}

// Whatever part of a record is there, it waits for the rest and changes nothing.
Test(record, every_split_point) {
    text_fill();
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        uint32_t length = pair_seal(&pair.server, text, 100, wire);
        memcpy(copy, wire, length);
        struct tls_record before = pair.client;
        for (uint32_t have = 0; have < length; have++) {
            struct tls_opened opened = pair_open(&pair.client, wire, have);
            cr_assert_eq(opened.kind, TLS_OPENED_MORE);
            cr_assert_eq(opened.consumed, 0);
            cr_assert_eq(opened.wanted, have < 5 ? 5 : length);
            cr_assert_arr_eq(wire, copy, length);
            cr_assert_arr_eq(&pair.client, &before, sizeof(before));
        }
        pair_expect_data(&pair.client, wire, length, text, 100);
    }
}

Test(record, several_records_in_one_piece_are_opened_one_by_one) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        uint32_t length = 0;
        for (uint8_t i = 0; i < 10; i++) {
            length += pair_seal(&pair.client, &i, 1, wire + length);
        }
        uint32_t at = 0;
        for (uint8_t i = 0; i < 10; i++) {
            struct tls_opened opened = pair_open(&pair.server, wire + at, length - at);
            cr_assert_eq(opened.data.length, 1);
            cr_assert_eq(opened.data.data[0], i);
            at += opened.consumed;
        }
        cr_assert_eq(at, length);
    }
}

Test(record, point_1_a_sequence_number_moves_only_after_success) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        uint32_t length = pair_seal(&pair.client, "x", 1, wire);
        cr_assert_eq(pair.client.out.sequence, 1);
        wire[length - 1] ^= 1;
        pair_expect_fault(&pair.server, wire, length, FAULT_tls_record_forged,
                          TLS_ALERT_BAD_RECORD_MAC);
        cr_assert_eq(pair.server.in.sequence, 0);
        pair.server.in.state = TLS_RECORD_OPEN;
        wire[length - 1] ^= 1;
        // The text was wiped, so only a fresh record can show that the number still stands.
        pair.client.out.sequence = 0;
        length = pair_seal(&pair.client, "x", 1, wire);
        pair_expect_data(&pair.server, wire, length, "x", 1);
        cr_assert_eq(pair.server.in.sequence, 1);
    }
}

Test(record, point_1_sequence_numbers_do_not_wrap) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        uint32_t length = pair_seal(&pair.client, "x", 1, wire);
        pair.server.in.sequence = UINT64_MAX;
        pair_expect_fault(&pair.server, wire, length, FAULT_tls_keys_used_up,
                          TLS_ALERT_INTERNAL_ERROR);
    }
}

// At the bound less 1, the bound, and beyond it; the peer follows.
Test(record, point_1_tls_13_takes_new_keys_in_time) {
    for (uint32_t row = 0; row < PAIR_ROWS_13; row++) {
        pair_init(&pair, row);
        uint8_t key[32];
        memcpy(key, pair.server.out.key, 32);
        pair.server.out.sequence = TLS_KEY_RECORDS_MAX - 1;
        pair.client.in.sequence = TLS_KEY_RECORDS_MAX - 1;
        uint32_t length = pair_seal(&pair.server, "a", 1, wire);
        cr_assert_eq(length, 5 + 1 + 1 + 16);
        pair_expect_data(&pair.client, wire, length, "a", 1);
        cr_assert_arr_eq(pair.server.out.key, key, 32);

        length = pair_seal(&pair.server, "b", 1, wire);
        cr_assert_eq(length, 5 + 5 + 1 + 16 + 5 + 1 + 1 + 16);
        cr_assert_eq(pair.server.out.sequence, 1);
        cr_assert_arr_neq(pair.server.out.key, key, aead_key_bytes(pair_rows[row].kind));
        struct tls_opened opened = pair_open(&pair.client, wire, length);
        cr_assert_eq(opened.kind, TLS_OPENED_NOTHING);
        pair_expect_data(&pair.client, wire + opened.consumed, length - opened.consumed, "b", 1);
        cr_assert_not(tls_record_owes(&pair.client)); // it was not requested
    }
}

// In the middle of a long text, too, and within the room that was asked for.
Test(record, point_1_new_keys_in_the_middle_of_a_text) {
    text_fill();
    pair_init(&pair, 0);
    pair.server.out.sequence = pair.client.in.sequence = TLS_KEY_RECORDS_MAX - 2;
    uint32_t length = pair_seal(&pair.server, text, 4 * 16384, wire);
    uint32_t done = 0;
    uint32_t updates = 0;
    for (uint32_t at = 0; at < length;) {
        struct tls_opened opened = pair_open(&pair.client, wire + at, length - at);
        if (opened.kind == TLS_OPENED_DATA) {
            cr_assert_arr_eq(opened.data.data, text + done, opened.data.length);
        }
        done += opened.data.length;
        updates += opened.kind == TLS_OPENED_NOTHING ? 1 : 0;
        at += opened.consumed;
    }
    cr_assert_eq(done, 4 * 16384);
    cr_assert_eq(updates, 1);
}

Test(record, point_1_tls_12_ends_when_its_keys_are_used_up) {
    for (uint32_t row = PAIR_ROWS_13; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        pair.server.out.sequence = TLS_OLD_RECORDS_MAX - 1;
        pair.client.in.sequence = TLS_OLD_RECORDS_MAX - 1;
        struct span piece = span_make(text, 16385); // two records
        struct span_mut target = {.data = wire, .length = sizeof(wire)};
        cr_assert_eq(tls_record_seal(&pair.server, &piece, 1, target), -EKEYEXPIRED);
        piece.length = 16384;
        cr_assert_gt(tls_record_seal(&pair.server, &piece, 1, target), 16384);
        cr_assert_eq(tls_record_seal(&pair.server, &piece, 1, target), -EKEYEXPIRED);
        cr_assert_eq(pair.server.out.sequence, TLS_OLD_RECORDS_MAX);
        cr_assert_gt(tls_record_alert(&pair.server, TLS_ALERT_CLOSE_NOTIFY, target), 0);
    }
}

// The same text twice gives two records: neither number nor nonce comes back.
Test(record, point_8_nothing_is_sealed_twice) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        uint32_t length = pair_seal(&pair.server, "again", 5, wire);
        uint64_t nonce = pair.server.explicit_next;
        cr_assert_eq(pair_seal(&pair.server, "again", 5, copy), length);
        cr_assert_arr_neq(wire, copy, length);
        cr_assert_eq(pair.server.out.sequence, 3);
        bool is_explicit = pair_rows[row].version == TLS_VERSION_12 &&
                           pair_rows[row].kind != AEAD_CHACHA20_POLY1305;
        cr_assert_eq(pair.server.explicit_next, nonce + (is_explicit ? 1 : 0));
        pair_expect_data(&pair.client, wire, length, "again", 5);
        pair_expect_data(&pair.client, copy, length, "again", 5);
    }
}

Test(record, point_8_room_too_small_is_our_mistake, .signal = SIGABRT) {
    pair_init(&pair, 0);
    struct span piece = span_text("text");
    uint32_t bound = (uint32_t)tls_record_sealed_bytes(&pair.server, 4);
    tls_record_seal(&pair.server, &piece, 1, (struct span_mut){.data = wire, .length = bound - 1});
}

// A state that moves to another worker or process goes on where it stood.
Test(record, point_9_the_state_moves_whole) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        pair_expect_data(&pair.client, wire, pair_seal(&pair.server, "1", 1, wire), "1", 1);
        struct tls_record moved;
        memcpy(&moved, &pair.server, sizeof(moved));
        tls_record_fini(&pair.server);
        pair_expect_data(&pair.client, wire, pair_seal(&moved, "2", 1, wire), "2", 1);
        pair_expect_data(&moved, wire, pair_seal(&pair.client, "3", 1, wire), "3", 1);
    }
}

Test(record, point_10_the_end_wipes_every_byte) {
    pair_init(&pair, 1);
    tls_record_fini(&pair.server);
    for (uint32_t i = 0; i < sizeof(pair.server); i++) {
        cr_assert_eq(((const uint8_t *)&pair.server)[i], 0);
    }
}

Test(record, point_11_nothing_but_aead_suites, .signal = SIGABRT) {
    struct tls_record_half half = {.sequence = 0};
    tls_record_init(&pair.server,
                    &(struct tls_record_options){.in = &half,
                                                 .out = &half,
                                                 .version = TLS_VERSION_12,
                                                 .kind = AEAD_COUNT,
                                                 .hash = HASH_SHA256,
                                                 .text_bytes_max = TLS_TEXT_BYTES_MAX});
}

Test(record, alerts_are_the_last_thing_out) {
    for (uint32_t row = 0; row < PAIR_ROWS; row++) {
        pair_init(&pair, row);
        struct span_mut target = {.data = wire, .length = TLS_RECORD_CONTROL_BYTES_MAX};
        uint32_t length = tls_record_alert(&pair.server, TLS_ALERT_BAD_RECORD_MAC, target);
        cr_assert_gt(length, 0);
        pair_expect_fault(&pair.client, wire, length, FAULT_tls_alert, TLS_ALERT_NONE);
        cr_assert_eq(tls_record_alert(&pair.server, TLS_ALERT_CLOSE_NOTIFY, target), 0);
        struct span piece = span_text("late");
        target.length = sizeof(wire);
        cr_assert_eq(tls_record_seal(&pair.server, &piece, 1, target), -EPIPE);
    }
}
