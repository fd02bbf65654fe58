// What a WebSocket peer does wrong: the Close code, what is still answered, and how long the rest
// is read and thrown away.
#include "tests/unit/core/conn/conn_owner.h"

struct row {
    enum fault_id fault;
    uint16_t code;
    uint32_t length;
    const char *bytes; // masked with zeros, so that they can be read here
};
#define ROW(fault, code, bytes)                                                                    \
    { FAULT_##fault, code, sizeof bytes - 1, bytes }
#define MASK "\0\0\0\0"

static const struct row rows[] = {
    ROW(reserved_bit, 1002, "\xc1\x80" MASK),
    ROW(reserved_bit, 1002, "\xa1"),
    ROW(reserved_bit, 1002, "\x99"),
    ROW(opcode_reserved, 1002, "\x83"),
    ROW(opcode_reserved, 1002, "\x8b"),
    ROW(frame_unmasked, 1002, "\x81\x01x"),
    ROW(control_too_long, 1002, "\x89\xfe"),
    ROW(control_fragmented, 1002, "\x09"),
    ROW(length_not_minimal, 1002, "\x82\xfe\x00\x7d"),
    ROW(length_top_bit, 1002, "\x82\xff\x80"),
    ROW(continuation_unexpected, 1002, "\x80\x80" MASK),
    ROW(continuation_expected, 1002, "\x01\x81" MASK "a\x81\x81" MASK "b"),
    ROW(close_code, 1002, "\x88\x82" MASK "\x03\xed"), // 1005
    ROW(close_code, 1002, "\x88\x82" MASK "\x03\xec"), // 1004
    ROW(close_code, 1002, "\x88\x82" MASK "\x0b\xb7"), // 2999
    ROW(close_code, 1002, "\x88\x82" MASK "\x13\x88"), // 5000
    ROW(close_length, 1002, "\x88\x81" MASK "\x03"),
    ROW(close_utf8, 1007, "\x88\x83" MASK "\x03\xe8\xff"),
    ROW(message_utf8, 1007, "\x81\x85" MASK "ab\xff"),
    ROW(message_utf8, 1007, "\x81\x82" MASK "a\xc3"),
    ROW(message_too_big, 1009, "\x82\xff\0\0\0\0\0\x10\0\x01"),
    ROW(message_too_big, 1009, "\x82\xff\0\0\0\x01"),
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static struct owner *open_owner(void) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "GET /ws HTTP/1.1\r\n" HANDSHAKE_FIELDS);
    owner->test->sent_bytes = 0;
    owner->log_bytes = 0;
    owner->log[0] = 0;
    return owner;
}

// The Close frame with that code and the fault's text, from that place on and nothing behind it.
static void expect_close(const struct conn_test *test, uint32_t at, uint16_t code,
                         enum fault_id fault) {
    const char *text = fault_get(fault)->text;
    uint32_t length = (uint32_t)strlen(text);
    expect(test->sent_bytes == at + 4 + length, "%s: %u bytes sent", fault_get(fault)->name,
           test->sent_bytes);
    const uint8_t *frame = test->sent + at;
    expect(frame[0] == 0x88 && frame[1] == 2 + length, "%s: no Close", fault_get(fault)->name);
    expect((uint32_t)frame[2] << 8 == (code & 0xff00u) && frame[3] == (code & 0xff), "%s: code %u",
           fault_get(fault)->name, (uint32_t)frame[2] << 8 | frame[3]);
    expect(memcmp(frame + 4, text, length) == 0, "%s", fault_get(fault)->name);
    expect(test->counters.close_codes_sent[code - 1000] == 1, "%s", fault_get(fault)->name);
}

Test(violations, each_has_its_code_and_what_was_valid_before_is_answered) {
    for (size_t i = 0; i < ROWS; i++) {
        struct owner *owner = open_owner();
        uint8_t bytes[256];
        uint32_t length = frame_make(bytes, 0x81, "valid", 5);
        length += frame_make(bytes + length, 0x89, "too", 3);
        memcpy(bytes + length, rows[i].bytes, rows[i].length);
        length += rows[i].length;
        length += frame_make(bytes + length, 0x81, "never", 5);
        length += frame_make(bytes + length, 0x89, "never", 5);
        owner_receive(owner, bytes, length);
        expect_fault(owner->test, rows[i].fault);
        expect_state(owner->test, CONN_DISCARD);
        expect(strcmp(owner->log, "message 1 5 valid\n") == 0, "row %zu: %s", i, owner->log);
        expect(memcmp(owner->test->sent, "\x81\x05valid\x8a\x03too", 12) == 0, "row %zu", i);
        expect_close(owner->test, 12, rows[i].code, rows[i].fault);
        expect(owner->test->conns.inputs.used == 0, "row %zu", i);
        owner_close(owner);
    }
}

Test(violations, are_found_at_the_same_byte_however_they_were_cut) {
    for (size_t i = 0; i < ROWS; i++) {
        struct owner *owner = open_owner();
        for (uint32_t at = 0; at < rows[i].length && owner->test->sent_bytes == 0; at++) {
            owner_receive(owner, rows[i].bytes + at, 1);
        }
        expect_fault(owner->test, rows[i].fault);
        expect_state(owner->test, CONN_DISCARD);
        expect_close(owner->test, 0, rows[i].code, rows[i].fault);
        owner_close(owner);
    }
}

Test(violations, in_the_middle_of_a_message_its_memory_is_given_back) {
    struct owner *owner = open_owner();
    uint8_t bytes[8192 + 100];
    memset(bytes, 'x', sizeof bytes);
    uint8_t frame[8192 + 100];
    owner_receive(owner, frame, frame_make(frame, 0x01, bytes, 8192));
    cr_assert_gt(owner->test->arena.used_bytes, 8192);
    owner_receive(owner, "\x83", 1);
    expect_state(owner->test, CONN_DISCARD);
    cr_assert_eq(owner->test->arena.used_bytes, 0);
    owner_close(owner);
}

Test(violations, bad_text_fails_at_its_first_byte_in_a_fragment) {
    struct owner *owner = open_owner();
    uint8_t frame[32];
    uint32_t length = frame_make(frame, 0x01, "abc\xc3", 4);
    owner_receive(owner, frame, length);
    expect_state(owner->test, CONN_OPEN);
    length = frame_make(frame, 0x00, "(later", 6);
    owner_receive(owner, frame, 7); // the head and one byte
    expect_fault(owner->test, FAULT_message_utf8);
    owner_close(owner);
}

// --- discarding

// A violation whose Close is out.
static struct owner *discarding(void) {
    struct owner *owner = open_owner();
    owner_receive(owner, "\x83", 1);
    expect_state(owner->test, CONN_DISCARD);
    owner->test->sent_bytes = 0;
    return owner;
}

Test(discard, ends_on_the_peers_close) {
    struct owner *owner = discarding();
    owner_receive_text(owner, "garbage");
    expect_state(owner->test, CONN_DISCARD);
    uint8_t frame[32];
    owner_receive(owner, frame, frame_make(frame, 0x88, "\x03\xea", 2));
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_opcode_reserved); // the first cause stays
    cr_assert_eq(owner->test->sent_bytes, 0);
    owner_close(owner);
}

Test(discard, ends_on_the_peers_end) {
    struct owner *owner = discarding();
    conn_on_end(&owner->test->conns, owner->test->index);
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

Test(discard, ends_on_a_reset) {
    struct owner *owner = discarding();
    conn_on_error(&owner->test->conns, owner->test->index, FAULT_peer_reset);
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_opcode_reserved);
    owner_close(owner);
}

Test(discard, ends_after_its_second) {
    struct owner *owner = discarding();
    conn_test_wait(owner->test, DISCARD_WAIT_MS - WHEEL_TICK_MS);
    expect_state(owner->test, CONN_DISCARD);
    owner_receive_text(owner, "still talking"); // which does not prolong it
    conn_test_wait(owner->test, 2 * WHEEL_TICK_MS);
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

Test(discard, ends_after_its_bytes_at_n_and_n_plus_1) {
    struct owner *owner = discarding();
    uint8_t *bytes = calloc(1, DISCARD_BYTES_MAX);
    owner_receive(owner, bytes, DISCARD_BYTES_MAX);
    expect_state(owner->test, CONN_DISCARD);
    owner_receive(owner, bytes, 1);
    expect_state(owner->test, CONN_ENDED);
    free(bytes);
    owner_close(owner);
}

Test(discard, its_second_counts_from_when_our_close_is_out) {
    struct owner *owner = open_owner();
    owner->is_deaf = true;
    owner_receive(owner, "\x83", 1);
    conn_test_wait(owner->test, 3 * DISCARD_WAIT_MS); // the Close waits for the client to read
    expect_state(owner->test, CONN_DISCARD);
    conn_test_send(owner->test);
    conn_test_wait(owner->test, DISCARD_WAIT_MS - WHEEL_TICK_MS);
    expect_state(owner->test, CONN_DISCARD);
    conn_test_wait(owner->test, 2 * WHEEL_TICK_MS);
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

Test(discard, a_close_that_never_leaves_ends_it_too) {
    struct owner *owner = open_owner();
    owner->is_deaf = true;
    owner_receive(owner, "\x83", 1);
    conn_test_wait(owner->test, CLOSE_WAIT_MS + WHEEL_TICK_MS);
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

Test(discard, the_peers_end_waits_for_our_close_to_leave) {
    struct owner *owner = open_owner();
    owner->is_deaf = true;
    owner_receive(owner, "\x83", 1);
    conn_on_end(&owner->test->conns, owner->test->index);
    expect_state(owner->test, CONN_FLUSH);
    conn_test_send(owner->test);
    expect_state(owner->test, CONN_ENDED);
    expect_close(owner->test, 0, 1002, FAULT_opcode_reserved);
    owner_close(owner);
}
