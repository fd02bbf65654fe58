// Deadlines: one tick before they are due nothing happens, one tick after it they have acted; also
// where 32 bits of milliseconds wrap.
#include "tests/unit/core/conn/conn_clock.h"

// --- requests

Test(deadlines, a_silent_client_is_cut_without_an_answer) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = owner_at(start);
        wait_past(owner, 10000, CONN_HEAD);
        expect_state(owner->test, CONN_ENDED);
        expect_fault(owner->test, FAULT_handshake_timeout);
        cr_assert_eq(owner->test->sent_bytes, 0);
        owner_close(owner);
    }
}

Test(deadlines, half_a_head_is_answered_408_and_counts_from_the_accept) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = owner_at(start);
        conn_test_wait(owner->test, 4000);
        owner_receive_text(owner, "GET / HT");
        conn_test_wait(owner->test, 4000);
        owner_receive_text(owner, "TP/1.1\r\n");
        wait_past(owner, 2000, CONN_HEAD);
        expect_state(owner->test, CONN_DISCARD);
        expect_fault(owner->test, FAULT_handshake_timeout);
        conn_test_expect_start(owner->test, "HTTP/1.1 408 ");
        wait_past(owner, DISCARD_WAIT_MS, CONN_DISCARD);
        expect_state(owner->test, CONN_ENDED);
        owner_close(owner);
    }
}

Test(deadlines, an_idle_kept_connection_ends_silently) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = owner_at(start);
        owner_receive_text(owner, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        owner->test->sent_bytes = 0;
        wait_past(owner, KEEP_ALIVE_MS, CONN_HEAD);
        expect_state(owner->test, CONN_ENDED);
        expect_fault(owner->test, FAULT_request_idle);
        cr_assert_eq(owner->test->sent_bytes, 0);
        owner_close(owner);
    }
}

Test(deadlines, the_next_head_counts_from_its_first_byte) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = owner_at(start);
        owner_receive_text(owner, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        conn_test_wait(owner->test, 60000);
        owner->test->sent_bytes = 0;
        owner_receive_text(owner, "G");
        wait_past(owner, 10000, CONN_HEAD);
        conn_test_expect_start(owner->test, "HTTP/1.1 408 ");
        owner_close(owner);
    }
}

Test(deadlines, a_body_must_go_on) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = owner_at(start);
        owner_receive_text(owner, "POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 90\r\n\r\n");
        conn_test_wait(owner->test, 9000);
        owner_receive_text(owner, "x");
        conn_test_wait(owner->test, 9000);
        owner_receive_text(owner, "x");
        wait_past(owner, 10000, CONN_BODY);
        expect_state(owner->test, CONN_DISCARD);
        expect_fault(owner->test, FAULT_handshake_timeout);
        conn_test_expect_start(owner->test, "HTTP/1.1 408 ");
        owner_close(owner);
    }
}

Test(deadlines, a_body_must_end) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = owner_at(start);
        owner_receive_text(owner, "POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 90\r\n\r\n");
        for (uint32_t ms = 0; ms + 1000 < BODY_WAIT_MS; ms += 1000) {
            conn_test_wait(owner->test, 1000);
            owner_receive_text(owner, "x");
        }
        expect_state(owner->test, CONN_BODY);
        conn_test_wait(owner->test, 1000 + 2 * TICK);
        expect_state(owner->test, CONN_DISCARD);
        owner_close(owner);
    }
}

Test(deadlines, an_owner_that_does_not_answer_is_answered_for) {
    static const struct {
        const char *request;
        enum conn_state waits;
    } rows[] = {
        {"GET /later HTTP/1.1\r\nHost: a\r\n\r\n", CONN_VERDICT},
        {"GET /later HTTP/1.1\r\n" HANDSHAKE_FIELDS, CONN_VERDICT},
        {"POST /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", CONN_REPLY},
    };
    for (size_t i = 0; i < 3 * sizeof rows / sizeof rows[0]; i++) {
        struct owner *owner = owner_at((int)i % STARTS);
        owner_receive_text(owner, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        owner->test->sent_bytes = 0;
        conn_test_wait(owner->test, 7000);
        owner_receive_text(owner, rows[i / 3].request);
        wait_past(owner, 10000, rows[i / 3].waits); // from the question, not from the accept
        expect_state(owner->test, CONN_FLUSH);
        expect_fault(owner->test, FAULT_answer_timeout);
        const char *sent = conn_test_send(owner->test);
        cr_assert_not_null(strstr(sent, "\r\nRetry-After: "));
        cr_assert_not_null(strstr(sent, "\r\nConnection: close\r\n"));
        conn_test_expect_start(owner->test, "HTTP/1.1 503 ");
        expect_state(owner->test, CONN_ENDED);
        owner_close(owner);
    }
}

// --- idle, age, drain

Test(deadlines, idle_counts_messages_both_ways_and_nothing_else) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = open_at(start, (struct conn_settings){.idle_ms = 60000});
        owner->is_silent = true;
        conn_test_wait(owner->test, 50000);
        receive_frame(owner, 0x81, "in", 2);
        conn_test_wait(owner->test, 50000);
        uint32_t payload = payload_frame(&owner->test->arena, WS_TEXT, span_text("out"));
        cr_assert_eq(conn_send(&owner->test->conns, owner->test->index, payload, 0),
                     CONN_SENT_QUEUED);
        payload_drop(&owner->test->arena, payload);
        conn_test_wait(owner->test, 50000);
        receive_frame(owner, 0x89, "p", 1);
        wait_past(owner, 10000, CONN_OPEN);
        expect_state(owner->test, CONN_CLOSING);
        expect_fault(owner->test, FAULT_idle_timeout);
        cr_assert_eq(owner->test->counters.close_codes_sent[1], 1);
        owner_close(owner);
    }
}

Test(deadlines, age_comes_within_its_last_eighth_and_is_spread) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = open_at(start, (struct conn_settings){.age_ms = 80000});
        struct conn_test *test = owner->test;
        for (int i = 1; i < 32; i++) {
            conn_test_accept(test);
            conn_test_upgrade(test);
        }
        conn_test_wait(test, 70000 - TICK);
        cr_assert_eq(test->conns.open_count, 32);
        conn_test_wait(test, 5000);
        cr_assert_geq(test->conns.open_count, 8);
        cr_assert_leq(test->conns.open_count, 24);
        conn_test_wait(test, 5000 + 3 * TICK);
        cr_assert_eq(test->conns.open_count, 0);
        cr_assert_eq(test->counters.close_codes_sent[1], 32);
        conn_test_close(test);
        free(owner);
    }
}

// One that expires at that time of its own clock.
static struct owner *expiring_at(int start, uint64_t after_ms) {
    struct owner *owner = owner_at(start);
    struct conn_test *test = owner->test;
    test->settings[1].has_expiry = true;
    bool is_never = after_ms == UINT64_MAX;
    conn_expire(&test->conns, test->index, is_never ? UINT64_MAX : test->conns.now_ms + after_ms);
    owner_receive_text(owner, "GET /ws HTTP/1.1\r\n" HANDSHAKE_FIELDS);
    owner->test->sent_bytes = 0;
    return owner;
}

Test(deadlines, an_expired_connection_ends_with_1008_within_a_second_after) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = expiring_at(start, 3000);
        conn_test_wait(owner->test, 3000 - TICK);
        expect_state(owner->test, CONN_OPEN);
        conn_test_wait(owner->test, 1000 + 2 * TICK + 1);
        expect_state(owner->test, CONN_CLOSING);
        expect_fault(owner->test, FAULT_token_expired);
        conn_test_send(owner->test);
        cr_assert_eq(memcmp(owner->test->sent + 2, "\x03\xf0", 2), 0); // 1008
        owner_close(owner);
    }
}

Test(deadlines, an_expiry_farther_than_the_wheel_reaches_is_kept) {
    FOR_ALL_STARTS(start) {
        const uint64_t day_ms = 24 * 3600 * 1000;
        struct owner *owner = expiring_at(start, 45 * day_ms);
        for (int day = 0; day < 44; day++) {
            conn_test_wait(owner->test, day_ms);
            expect_state(owner->test, CONN_OPEN);
        }
        conn_test_wait(owner->test, day_ms + 1000 + 2 * TICK);
        expect_state(owner->test, CONN_CLOSING);
        owner_close(owner);
        owner = expiring_at(start, UINT64_MAX);
        for (int day = 0; day < 100; day++) {
            conn_test_wait(owner->test, day_ms);
            expect_state(owner->test, CONN_OPEN);
        }
        owner_close(owner);
    }
}

Test(deadlines, one_that_has_expired_while_its_verdict_was_awaited_ends_at_once) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = expiring_at(start, 0);
        conn_test_wait(owner->test, 1000 + 2 * TICK + 1);
        expect_state(owner->test, CONN_CLOSING);
        expect_fault(owner->test, FAULT_token_expired);
        owner_close(owner);
    }
}

Test(deadlines, a_drain_is_spread_over_its_time) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = open_at(start, (struct conn_settings){.ping_ms = 0});
        struct conn_test *test = owner->test;
        for (int i = 1; i < CONN_TEST_CONNS; i++) {
            conn_test_accept(test);
            conn_test_upgrade(test);
        }
        conns_drain(&test->conns, 30000);
        for (uint32_t i = 1; i <= CONN_TEST_CONNS; i++) {
            conn_drain(&test->conns, i);
        }
        uint32_t before = test->conns.open_count;
        cr_assert_eq(before, CONN_TEST_CONNS);
        for (int third = 0; third < 3; third++) {
            conn_test_wait(test, 10000 + (third == 2 ? 2 * TICK : 0));
            uint32_t closed = before - test->conns.open_count;
            expect(closed >= CONN_TEST_CONNS / 6 && closed <= CONN_TEST_CONNS / 2, "%u in third %d",
                   closed, third);
            before = test->conns.open_count;
        }
        cr_assert_eq(before, 0);
        cr_assert_eq(test->counters.close_codes_sent[12], CONN_TEST_CONNS);
        conn_test_close(test);
        free(owner);
    }
}

Test(deadlines, a_second_drain_hurries) {
    struct owner *owner = open_at(0, (struct conn_settings){.ping_ms = 0});
    conns_drain(&owner->test->conns, 3600000);
    conn_drain(&owner->test->conns, owner->test->index);
    conn_test_wait(owner->test, 1000);
    expect_state(owner->test, CONN_OPEN);
    conns_drain(&owner->test->conns, 0);
    conn_drain(&owner->test->conns, owner->test->index);
    conn_test_wait(owner->test, 2 * TICK);
    expect_state(owner->test, CONN_CLOSING);
    expect_fault(owner->test, FAULT_draining);
    owner_close(owner);
}

Test(deadlines, a_drain_finishes_the_exchange_in_progress) {
    static const struct {
        const char *request;
        enum conn_state before, after;
        const char *start;
    } rows[] = {
        {"", CONN_HEAD, CONN_ENDED, ""},
        {"GET /", CONN_HEAD, CONN_DISCARD, "HTTP/1.1 503 "},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", CONN_HEAD, CONN_ENDED, "HTTP/1.1 200 "},
        {"POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", CONN_BODY, CONN_BODY, ""},
        {"GET /later HTTP/1.1\r\nHost: a\r\n\r\n", CONN_VERDICT, CONN_VERDICT, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct owner *owner = owner_at(0);
        owner_receive_text(owner, rows[i].request);
        expect_state(owner->test, rows[i].before);
        conns_drain(&owner->test->conns, 0);
        conn_drain(&owner->test->conns, owner->test->index);
        conn_test_wait(owner->test, 2 * TICK);
        owner_pump(owner);
        expect_state(owner->test, rows[i].after);
        expect_fault(owner->test, FAULT_draining);
        conn_test_expect_start(owner->test, rows[i].start);
        if (rows[i].after == CONN_BODY) {
            owner_receive_text(owner, "hello");
            expect_state(owner->test, CONN_ENDED);
            cr_assert_not_null(strstr((char *)owner->test->sent, "\r\nConnection: close\r\n"));
        }
        owner_close(owner);
    }
}

// --- sends

Test(deadlines, a_send_that_does_not_move_is_a_stall) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = open_at(start, (struct conn_settings){.stall_ms = 30000});
        owner->is_deaf = true;
        receive_frame(owner, 0x81, "x", 1);
        conn_test_wait(owner->test, 100000); // nothing is being sent: nothing stalls
        expect_state(owner->test, CONN_OPEN);
        struct span pieces[SEND_PIECES_MAX];
        cr_assert_eq(conn_gather(&owner->test->conns, owner->test->index, pieces), 1);
        wait_past(owner, 30000, CONN_OPEN);
        expect_state(owner->test, CONN_ENDED);
        expect_fault(owner->test, FAULT_send_stalled);
        cr_assert_eq(owner->test->counters.close_codes_sent[6], 1);
        owner_close(owner);
    }
}

// One that takes 256 KiB in `stall` gets a large message whole, however long that lasts.
Test(deadlines, a_large_message_may_take_as_long_for_every_piece) {
    static const struct {
        uint32_t wire_bytes, wait_ms;
    } cases[] = {{GATHER_BYTES_MAX - 1, 30000},
                 {GATHER_BYTES_MAX, 60000},
                 {GATHER_BYTES_MAX + 1, 60000},
                 {4 * GATHER_BYTES_MAX, 150000}};
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct owner *owner = open_at(0, (struct conn_settings){.stall_ms = 30000});
        struct conns *conns = &owner->test->conns;
        uint8_t *data;
        uint32_t bytes = cases[i].wire_bytes - 10; // the head of a large frame
        uint32_t payload = payload_reserve(&owner->test->arena, WS_BINARY, bytes, &data);
        cr_assert_neq(payload, 0);
        memset(data, 'x', bytes);
        cr_assert_eq(conn_send(conns, owner->test->index, payload, 0), CONN_SENT_QUEUED);
        payload_drop(&owner->test->arena, payload);
        struct span pieces[SEND_PIECES_MAX];
        cr_assert_eq(conn_gather(conns, owner->test->index, pieces), 1);
        cr_assert_eq(pieces[0].length, cases[i].wire_bytes);
        wait_past(owner, cases[i].wait_ms, CONN_OPEN);
        expect_fault(owner->test, FAULT_send_stalled);
        owner_close(owner);
    }
}

Test(deadlines, sends_that_end_are_no_stall) {
    struct owner *owner = open_at(0, (struct conn_settings){.stall_ms = 30000});
    for (int i = 0; i < 5; i++) {
        owner->is_deaf = true;
        receive_frame(owner, 0x81, "x", 1);
        struct span pieces[SEND_PIECES_MAX];
        cr_assert_eq(conn_gather(&owner->test->conns, owner->test->index, pieces), 1);
        conn_test_wait(owner->test, 29000);
        conn_sent(&owner->test->conns, owner->test->index, 3);
    }
    expect_state(owner->test, CONN_OPEN);
    owner_close(owner);
}

Test(deadlines, a_close_that_is_not_answered_is_cut) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = open_at(start, (struct conn_settings){.ping_ms = 0});
        conn_close(&owner->test->conns, owner->test->index,
                   &(struct conn_close_options){.fault = FAULT_closed_by_operator});
        owner_pump(owner);
        wait_past(owner, CLOSE_WAIT_MS, CONN_CLOSING);
        expect_state(owner->test, CONN_ENDED);
        owner_close(owner);
    }
}

Test(deadlines, traffic_does_not_touch_the_wheel) {
    struct owner *owner = open_at(0, keepalive);
    uint32_t due = conn_test_conn(owner->test)->timer.due;
    cr_assert_neq(due, 0);
    for (int i = 0; i < 50; i++) {
        receive_frame(owner, 0x81, "x", 1);
        conns_turn(&owner->test->conns, owner->test->conns.now_us + 1000);
        cr_assert_eq(conn_test_conn(owner->test)->timer.due, due);
    }
    owner_close(owner);
}
