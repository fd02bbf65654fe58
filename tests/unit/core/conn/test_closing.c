// The closing handshake from both sides, and what may still happen while it is under way.
#include "core/ws/close.h"
#include "tests/unit/core/conn/conn_owner.h"

static struct owner *open_owner(void) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "GET /ws HTTP/1.1\r\n" HANDSHAKE_FIELDS);
    owner->test->sent_bytes = 0;
    return owner;
}

static void receive_frame(struct owner *owner, uint8_t first, const void *payload,
                          uint32_t length) {
    uint8_t frame[1024];
    owner_receive(owner, frame, frame_make(frame, first, payload, length));
}

static void order_close(struct owner *owner, enum fault_id fault, uint16_t code,
                        const char *reason) {
    conn_close(
        &owner->test->conns, owner->test->index,
        &(struct conn_close_options){.fault = fault, .code = code, .reason = span_text(reason)});
    owner_pump(owner);
}

Test(closing, the_peers_close_is_answered_with_its_code) {
    static const struct {
        uint16_t code;
        uint32_t length;
    } rows[] = {{0, 0},    {1000, 2}, {1001, 2}, {1003, 20}, {1007, 2},
                {1012, 2}, {1014, 2}, {3000, 2}, {4999, 125}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct owner *owner = open_owner();
        uint8_t payload[125];
        memset(payload, 'r', sizeof payload);
        payload[0] = (uint8_t)(rows[i].code >> 8);
        payload[1] = (uint8_t)rows[i].code;
        receive_frame(owner, 0x88, payload, rows[i].length);
        uint8_t answer[] = {0x88, rows[i].length == 0 ? 0 : 2, payload[0], payload[1]};
        conn_test_expect_sent(owner->test, answer, rows[i].length == 0 ? 2 : 4);
        expect_state(owner->test, CONN_ENDED); // the server closes TCP first
        expect_fault(owner->test, FAULT_closed_by_peer);
        uint16_t counted = rows[i].code == 0 ? WS_CLOSE_NONE : rows[i].code;
        expect(owner->test->counters.close_codes_sent[counted - 1000] == 1, "%u", counted);
        owner_close(owner);
    }
}

// For owners that pass it on (settings.tells_close); in one piece, and byte by byte.
Test(closing, the_peers_close_is_told_once_and_whole) {
    for (uint32_t step = 1; step <= 16; step += 15) {
        struct owner *owner = open_owner();
        owner->test->settings[1].tells_close = true;
        uint8_t frame[16];
        uint32_t length = frame_make(frame, 0x88,
                                     "\x0f\xa0"
                                     "bye",
                                     5);
        for (uint32_t at = 0; at < length; at += step) {
            owner_receive(owner, frame + at, length - at < step ? length - at : step);
        }
        cr_assert_not_null(strstr(owner->log, "close 5 bye\n"), "%s", owner->log);
        conn_test_expect_sent(owner->test, "\x88\x02\x0f\xa0", 4);
        owner_close(owner);
    }
}

Test(closing, an_answer_to_our_close_is_not_told) {
    struct owner *owner = open_owner();
    owner->test->settings[1].tells_close = true;
    order_close(owner, FAULT_draining, 0, "");
    receive_frame(owner, 0x88, "\x03\xf4", 2);
    cr_assert_null(strstr(owner->log, "close"));
    owner_close(owner);
}

Test(closing, a_close_that_is_wrong_is_not_told) {
    struct owner *owner = open_owner();
    owner->test->settings[1].tells_close = true;
    receive_frame(owner, 0x88, "\x03\xed", 2); // 1005 is never on the wire
    cr_assert_null(strstr(owner->log, "close"));
    expect_fault(owner->test, FAULT_close_code);
    owner_close(owner);
}

Test(closing, an_exact_reason_may_be_empty) {
    struct owner *owner = open_owner();
    conn_close(&owner->test->conns, owner->test->index,
               &(struct conn_close_options){
                   .fault = FAULT_closed_by_service, .code = 4000, .is_reason_exact = true});
    owner_pump(owner);
    conn_test_expect_sent(owner->test, "\x88\x02\x0f\xa0", 4);
    owner_close(owner);
}

// Frames that somebody else has made: several in one run, in order with all else.
Test(closing, runs_of_frames_go_out_in_order) {
    struct owner *owner = open_owner();
    struct conns *conns = &owner->test->conns;
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t *room = conn_run_room(conns, owner->test->index, 3);
        cr_assert_not_null(room);
        memcpy(room,
               "\x81\x01"
               "a",
               3);
    }
    owner_pump(owner);
    conn_test_expect_sent(owner->test,
                          "\x81\x01"
                          "a\x81\x01"
                          "a\x81\x01"
                          "a",
                          9);
    expect(owner->test->counters.values[COUNTER_messages_out] == 3, "%llu",
           (unsigned long long)owner->test->counters.values[COUNTER_messages_out]);
    order_close(owner, FAULT_draining, 0, "");
    cr_assert_null(conn_run_room(conns, owner->test->index, 3));
    owner_close(owner);
}

Test(closing, nothing_behind_the_peers_close_is_looked_at) {
    struct owner *owner = open_owner();
    uint8_t frames[100];
    uint32_t length = frame_make(frames, 0x88, "\x03\xe8", 2);
    length += frame_make(frames + length, 0x81, "late", 4);
    length += frame_make(frames + length, 0x89, "late", 4);
    owner_receive(owner, frames, length);
    cr_assert_null(strstr(owner->log, "late"));
    conn_test_expect_sent(owner->test, "\x88\x02\x03\xe8", 4);
    owner_close(owner);
}

Test(closing, what_is_queued_goes_out_before_the_answer) {
    struct owner *owner = open_owner();
    owner->is_deaf = true;
    receive_frame(owner, 0x81, "echo", 4);
    receive_frame(owner, 0x88, "\x03\xe8", 2);
    expect_state(owner->test, CONN_FLUSH);
    conn_test_expect_sent(owner->test,
                          "\x81\x04"
                          "echo\x88\x02\x03\xe8",
                          10);
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

Test(closing, ours_is_answered) {
    struct owner *owner = open_owner();
    order_close(owner, FAULT_closed_by_operator, 1001, "bye");
    expect_state(owner->test, CONN_CLOSING);
    cr_assert_eq(owner->test->conns.open_count, 0);
    conn_test_expect_sent(owner->test,
                          "\x88\x05\x03\xe9"
                          "bye",
                          7);
    receive_frame(owner, 0x88, "\x03\xe9", 2);
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_closed_by_operator);
    cr_assert_eq(owner->test->sent_bytes, 0); // one Close each
    cr_assert_eq(owner->test->counters.close_codes_sent[1], 1);
    owner_close(owner);
}

Test(closing, without_a_code_it_is_the_faults_own) {
    for (int id = 1; id < FAULT_COUNT; id++) {
        const struct fault *fault = fault_get((enum fault_id)id);
        struct owner *owner = open_owner();
        order_close(owner, (enum fault_id)id, 0, "");
        if (fault->close_code == 0) { // there is nothing to say
            expect_state(owner->test, CONN_ENDED);
            expect(owner->test->counters.close_codes_sent[6] == 1, "1006 counts cuts");
        } else {
            uint8_t head[] = {0x88, (uint8_t)(2 + strlen(fault->text)),
                              (uint8_t)(fault->close_code >> 8), (uint8_t)fault->close_code};
            expect(memcmp(owner->test->sent, head, 4) == 0, "%s", fault->name);
            expect_state(owner->test, CONN_CLOSING);
        }
        expect_fault(owner->test, (enum fault_id)id);
        owner_close(owner);
    }
}

Test(closing, a_long_reason_is_cut) {
    struct owner *owner = open_owner();
    char reason[300];
    memset(reason, 'r', sizeof reason);
    reason[299] = 0;
    order_close(owner, FAULT_closed_by_operator, 1000, reason);
    cr_assert_eq(owner->test->sent_bytes, 2 + CONTROL_BYTES_MAX);
    owner_close(owner);
}

Test(closing, both_at_once) {
    struct owner *owner = open_owner();
    owner->is_deaf = true;
    order_close(owner, FAULT_draining, 0, "");
    receive_frame(owner, 0x88, "\x03\xe8", 2); // it crossed ours
    expect_state(owner->test, CONN_FLUSH);
    conn_test_send(owner->test);
    expect_state(owner->test, CONN_ENDED);
    cr_assert_eq(memcmp(owner->test->sent + 2, "\x03\xf4", 2), 0);
    expect_fault(owner->test, FAULT_draining);
    owner_close(owner);
}

Test(closing, the_second_order_changes_nothing) {
    struct owner *owner = open_owner();
    order_close(owner, FAULT_draining, 0, "");
    uint32_t sent = owner->test->sent_bytes;
    order_close(owner, FAULT_closed_by_operator, 1000, "x");
    cr_assert_eq(owner->test->sent_bytes, sent);
    expect_fault(owner->test, FAULT_draining);
    owner_close(owner);
}

Test(closing, messages_and_pings_that_cross_our_close_are_not_processed) {
    struct owner *owner = open_owner();
    order_close(owner, FAULT_draining, 0, "");
    owner->test->sent_bytes = 0;
    owner->log_bytes = 0;
    receive_frame(owner, 0x81, "late", 4);
    receive_frame(owner, 0x89, "late", 4);
    receive_frame(owner, 0x01, "la", 2); // in pieces: with memory of its own
    receive_frame(owner, 0x80, "te", 2);
    cr_assert_eq(owner->log_bytes, 0);
    cr_assert_eq(owner->test->sent_bytes, 0); // no frame behind a Close
    cr_assert_eq(owner->test->arena.used_bytes, 0);
    expect_state(owner->test, CONN_CLOSING);
    cr_assert_eq(conn_send(&owner->test->conns, owner->test->index, 0, 0), CONN_SENT_CLOSED);
    receive_frame(owner, 0x88, "", 0);
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

Test(closing, a_violation_behind_our_close_ends_it) {
    struct owner *owner = open_owner();
    order_close(owner, FAULT_draining, 0, "");
    owner->test->sent_bytes = 0;
    receive_frame(owner, 0x01, "a message in pieces, with memory of its own", 43);
    owner_receive(owner, "\x83", 1);
    expect_state(owner->test, CONN_DISCARD); // or our Close might be lost in a reset
    cr_assert_eq(owner->test->arena.used_bytes, 0);
    conn_test_wait(owner->test, DISCARD_WAIT_MS + WHEEL_TICK_MS);
    expect_state(owner->test, CONN_ENDED);
    cr_assert_eq(owner->test->sent_bytes, 0);
    expect_fault(owner->test, FAULT_draining);
    owner_close(owner);
}

Test(closing, the_peers_end_instead_of_its_close) {
    struct owner *owner = open_owner();
    order_close(owner, FAULT_age_limit, 0, "");
    conn_on_end(&owner->test->conns, owner->test->index);
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_age_limit);
    owner_close(owner);
}

Test(closing, the_peers_end_behind_our_close_leaves_it_what_is_queued) {
    struct owner *owner = open_owner();
    owner->is_deaf = true;
    receive_frame(owner, 0x81, "echo", 4);
    order_close(owner, FAULT_closed_by_operator, 1000, "x");
    conn_on_end(&owner->test->conns, owner->test->index); // its sending side alone, perhaps
    expect_state(owner->test, CONN_FLUSH);
    conn_test_expect_sent(owner->test,
                          "\x81\x04"
                          "echo\x88\x03\x03\xe8x",
                          11);
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

// --- patience

// An open connection with `count` messages queued that it does not read.
static struct owner *slow_owner(uint32_t count) {
    struct owner *owner = open_owner();
    owner->test->settings[1].stall_ms = 30000;
    owner->is_deaf = true;
    for (uint32_t i = 0; i < count; i++) {
        receive_frame(owner, 0x81, "queued", 6);
    }
    return owner;
}

Test(closing, what_is_queued_is_not_lost_on_a_connection_that_reads_slowly) {
    struct owner *owner = slow_owner(100); // seven sends
    order_close(owner, FAULT_draining, 0, "");
    struct span pieces[SEND_PIECES_MAX];
    uint32_t sends = 0;
    for (;;) {
        uint32_t count = conn_gather(&owner->test->conns, owner->test->index, pieces);
        if (count == 0) {
            break;
        }
        uint64_t bytes = 0;
        for (uint32_t i = 0; i < count; i++) {
            bytes += pieces[i].length;
        }
        conn_test_wait(owner->test, 20000); // longer than a close may take, shorter than a stall
        expect_state(owner->test, CONN_CLOSING);
        conn_sent(&owner->test->conns, owner->test->index, bytes);
        sends++;
    }
    cr_assert_eq(sends, 7);
    conn_test_wait(owner->test, CLOSE_WAIT_MS - 2 * WHEEL_TICK_MS); // now the peer's Close is due
    expect_state(owner->test, CONN_CLOSING);
    conn_test_wait(owner->test, 3 * WHEEL_TICK_MS);
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_draining);
    owner_close(owner);
}

Test(closing, nor_when_the_peer_closed_first) {
    struct owner *owner = slow_owner(3);
    receive_frame(owner, 0x88, "\x03\xe8", 2);
    struct span pieces[SEND_PIECES_MAX];
    cr_assert_eq(conn_gather(&owner->test->conns, owner->test->index, pieces), 4);
    conn_test_wait(owner->test, 29000);
    expect_state(owner->test, CONN_FLUSH);
    conn_test_wait(owner->test, 2000);
    expect_state(owner->test, CONN_ENDED); // it stalled
    owner_close(owner);
}

Test(closing, a_slow_reader_that_was_given_up_is_cut_after_the_close_deadline) {
    struct owner *owner = slow_owner(3);
    struct span pieces[SEND_PIECES_MAX];
    cr_assert_eq(conn_gather(&owner->test->conns, owner->test->index, pieces), 3);
    conn_close(&owner->test->conns, owner->test->index,
               &(struct conn_close_options){.fault = FAULT_slow_reader, .drops_waiting = true});
    conn_test_wait(owner->test, CLOSE_WAIT_MS - WHEEL_TICK_MS);
    expect_state(owner->test, CONN_CLOSING);
    conn_test_wait(owner->test, 2 * WHEEL_TICK_MS);
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

Test(closing, waiting_messages_are_dropped_when_asked_for_and_counted) {
    struct owner *owner = slow_owner(20);
    receive_frame(owner, 0x89, "p", 1);
    struct span pieces[SEND_PIECES_MAX];
    cr_assert_eq(conn_gather(&owner->test->conns, owner->test->index, pieces), SEND_PIECES_MAX);
    conn_close(&owner->test->conns, owner->test->index,
               &(struct conn_close_options){.fault = FAULT_memory_pressure, .drops_waiting = true});
    cr_assert_eq(owner->test->counters.values[COUNTER_dropped_closed], 4);
    conn_sent(&owner->test->conns, owner->test->index, SEND_PIECES_MAX * 8);
    conn_test_send(owner->test); // the pong stays, and the Close
    cr_assert_eq(memcmp(owner->test->sent, "\x8a\x01p\x88", 4), 0);
    owner_close(owner);
}
