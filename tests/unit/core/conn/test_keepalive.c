// Keepalive: pings, their pace, and how long a pong is awaited; at three times of the clock.
#include "tests/unit/core/conn/conn_clock.h"

Test(keepalive, a_pong_in_time_gives_the_round_trip) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = open_at(start, keepalive);
        uint8_t stamp[8];
        wait_first_ping(owner, stamp);
        cr_assert_eq(conn_round_trip_us(conn_test_conn(owner->test)), 0);
        conns_turn(&owner->test->conns, owner->test->conns.now_us + 12345);
        receive_frame(owner, 0x8a, stamp, 8);
        cr_assert_eq(conn_round_trip_us(conn_test_conn(owner->test)), 12345);
        cr_assert_eq(owner->test->round_trip.count, 1);
        cr_assert_eq(owner->test->counters.values[COUNTER_pongs_received], 1);
        // From now on exactly the interval, from ping to ping.
        conn_test_wait(owner->test, 25000 - 12 - 2 * TICK);
        owner_pump(owner);
        cr_assert_eq(owner->test->sent_bytes, 0);
        conn_test_wait(owner->test, 3 * TICK);
        owner_pump(owner);
        cr_assert_eq(owner->test->sent_bytes, 10);
        cr_assert_eq(owner->test->counters.values[COUNTER_pings_sent], 2);
        owner_close(owner);
    }
}

Test(keepalive, a_missing_pong_closes) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = open_at(start, keepalive);
        uint8_t stamp[8];
        wait_first_ping(owner, stamp);
        wait_past(owner, 10000, CONN_OPEN);
        expect_state(owner->test, CONN_CLOSING);
        expect_fault(owner->test, FAULT_pong_timeout);
        owner_pump(owner);
        cr_assert_eq(memcmp(owner->test->sent + 2, "\x03\xf3", 2), 0); // 1011
        wait_past(owner, CLOSE_WAIT_MS, CONN_CLOSING);
        expect_state(owner->test, CONN_ENDED);
        expect_fault(owner->test, FAULT_pong_timeout);
        owner_close(owner);
    }
}

// Gathers what is queued and leaves it in flight; how many bytes that is.
static uint64_t flight_begin(struct owner *owner) {
    struct span pieces[SEND_PIECES_MAX];
    uint32_t count = conn_gather(&owner->test->conns, owner->test->index, pieces);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += pieces[i].length;
    }
    return bytes;
}

Test(keepalive, a_ping_behind_a_large_send_is_awaited_from_when_it_went_out) {
    FOR_ALL_STARTS(start) {
        struct conn_settings patient = keepalive;
        patient.stall_ms = 1000000;
        struct owner *owner = open_at(start, patient);
        struct conns *conns = &owner->test->conns;
        owner->is_deaf = true;
        receive_frame(owner, 0x82, "large", 5);
        uint64_t large = flight_begin(owner);
        conn_test_wait(owner->test, 26000);
        cr_assert_eq(owner->test->counters.values[COUNTER_pings_sent], 1);
        conn_test_wait(owner->test, 50000); // it reads slowly, and has not seen the ping
        expect_state(owner->test, CONN_OPEN);
        conn_sent(conns, owner->test->index, large);
        uint64_t ping = flight_begin(owner);
        cr_assert_eq(ping, 10);
        conn_test_wait(owner->test, 50000);
        expect_state(owner->test, CONN_OPEN);
        conn_sent(conns, owner->test->index, ping / 2); // half of it
        cr_assert_eq(flight_begin(owner), ping / 2);
        conn_test_wait(owner->test, 50000);
        expect_state(owner->test, CONN_OPEN);
        conn_sent(conns, owner->test->index, ping / 2);
        wait_past(owner, 10000, CONN_OPEN);
        expect_state(owner->test, CONN_CLOSING);
        expect_fault(owner->test, FAULT_pong_timeout);
        cr_assert_eq(owner->test->counters.values[COUNTER_pings_sent], 1);
        owner_close(owner);
    }
}

Test(keepalive, a_pong_behind_a_large_send_counts_from_the_ping_s_own_time) {
    struct owner *owner = open_at(0, (struct conn_settings){.ping_ms = 25000, .pong_ms = 10000});
    owner->is_deaf = true;
    receive_frame(owner, 0x82, "large", 5);
    uint64_t large = flight_begin(owner);
    conn_test_wait(owner->test, 25000 + TICK);
    conn_test_wait(owner->test, 15000);
    conn_sent(&owner->test->conns, owner->test->index, large);
    owner->is_deaf = false;
    owner->test->sent_bytes = 0;
    conn_test_send(owner->test);
    conn_test_wait(owner->test, 5000);
    receive_frame(owner, 0x8a, owner->test->sent + 2, 8);
    cr_assert_eq(conn_round_trip_us(conn_test_conn(owner->test)), 20000000);
    cr_assert_eq(owner->test->counters.values[COUNTER_pongs_received], 1);
    owner_close(owner);
}

Test(keepalive, one_that_reads_nothing_is_the_stall_deadline_s_business) {
    struct conn_settings impatient = keepalive;
    impatient.stall_ms = 60000;
    struct owner *owner = open_at(0, impatient);
    owner->is_deaf = true;
    receive_frame(owner, 0x82, "large", 5);
    cr_assert_neq(flight_begin(owner), 0);
    wait_past(owner, 60000, CONN_OPEN);
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_send_stalled);
    cr_assert_eq(owner->test->counters.values[COUNTER_pings_sent], 1);
    owner_close(owner);
}

Test(keepalive, a_pong_of_another_ping_is_no_answer_but_a_sign_of_life) {
    struct owner *owner = open_at(0, keepalive);
    uint8_t stamp[8];
    wait_first_ping(owner, stamp);
    conn_test_wait(owner->test, 5000);
    stamp[1] ^= 0x40;
    receive_frame(owner, 0x8a, stamp, 8);
    cr_assert_eq(owner->test->counters.values[COUNTER_pongs_received], 0);
    conn_test_wait(owner->test, 10000);
    expect_state(owner->test, CONN_OPEN);
    owner_close(owner);
}

Test(keepalive, one_that_talks_is_not_pinged) {
    struct owner *owner = open_at(0, keepalive);
    for (uint32_t i = 0; i < 20; i++) {
        conn_test_wait(owner->test, 12000);
        receive_frame(owner, 0x8a, "", 0);
    }
    cr_assert_eq(owner->test->counters.values[COUNTER_pings_sent], 0);
    owner_close(owner);
}

Test(keepalive, bytes_of_a_large_message_are_a_sign_of_life) {
    struct owner *owner = open_at(0, keepalive);
    uint8_t stamp[8];
    wait_first_ping(owner, stamp);
    conn_test_wait(owner->test, 9000);
    owner_receive(owner, "\x82\xfe\x10\x00\0\0\0\0a", 9); // its pong waits behind this
    conn_test_wait(owner->test, 9000);
    owner_receive(owner, "b", 1);
    conn_test_wait(owner->test, 2000);
    expect_state(owner->test, CONN_OPEN);
    owner_close(owner);
}

// Opens a group and some of the next at once and waits for everybody's first ping. Returns when the
// first group was pinged: within two ticks, all of it.
static uint32_t group_pinged_ms(uint64_t seed) {
    struct owner *owner = open_at(0, keepalive);
    struct conn_test *test = owner->test;
    test->conns.jitter_seed = seed;
    for (int i = 1; i < CONN_TEST_CONNS; i++) {
        conn_test_accept(test);
        conn_test_upgrade(test);
    }
    uint32_t first_ms = 0;
    uint32_t last_ms = 0;
    for (uint32_t ms = 0; ms <= 25000 + TICK; ms += TICK) {
        conn_test_wait(test, TICK);
        uint32_t pinged = 0;
        for (uint32_t index = 1; index < PING_GROUP; index++) {
            pinged += conn_has(conn_at(&test->conns, index), CONN_HAS_PINGED);
        }
        first_ms = first_ms == 0 && pinged > 0 ? ms : first_ms;
        last_ms = last_ms == 0 && pinged == PING_GROUP - 1 ? ms : last_ms;
    }
    expect(last_ms != 0 && last_ms - first_ms <= TICK, "pinged from %u to %u ms", first_ms,
           last_ms);
    expect(first_ms >= 12500 - 2 * TICK, "a ping after %u ms", first_ms);
    cr_assert_eq(test->counters.values[COUNTER_pings_sent], CONN_TEST_CONNS);
    conn_test_close(test);
    free(owner);
    return first_ms;
}

Test(keepalive, neighbours_are_pinged_together_and_groups_spread_over_half_the_interval) {
    enum { GROUPS = 64 };
    uint32_t in_quarter[4] = {0};
    for (uint64_t seed = 0; seed < GROUPS; seed++) {
        uint32_t ms = group_pinged_ms(seed * 0x9e3779b97f4a7c15u);
        in_quarter[ms < 12500 ? 0 : (ms - 12500) / 3150]++;
    }
    for (int i = 0; i < 4; i++) {
        expect(in_quarter[i] >= GROUPS / 16, "%u in quarter %d", in_quarter[i], i);
    }
}

static bool is_asked(const struct conn_test *test, uint32_t index) {
    return conn_has(conn_at(&test->conns, index), CONN_PING_OUT);
}

// Whatever their round trips are, the members of a group stay together.
Test(keepalive, neighbours_stay_together) {
    struct owner *owner = open_at(0, keepalive);
    struct conn_test *test = owner->test;
    conn_test_accept(test);
    conn_test_upgrade(test);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t ms = 0; !is_asked(test, 1) && !is_asked(test, 2); ms += TICK) {
            conn_test_wait(test, TICK);
            expect(ms <= 25000 + TICK, "not asked in round %u", round);
        }
        conn_test_wait(test, TICK);
        expect(is_asked(test, 1) && is_asked(test, 2), "round %u", round);
        for (test->index = 1; test->index <= 2; test->index++) {
            conn_test_send(test);
            conn_test_wait(test, test->index * 300);
            receive_frame(owner, 0x8a, "", 0); // after 300 and 900 ms
        }
        for (uint32_t ms = 0; is_asked(test, 1) || is_asked(test, 2); ms += TICK) {
            conn_test_wait(test, TICK);
            expect(ms <= 10000 + TICK, "%u is still asked", is_asked(test, 1) ? 1 : 2);
        }
    }
    test->index = 1;
    owner_close(owner);
}

Test(keepalive, a_pong_that_lies_unread_in_the_socket_is_not_missing) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = open_at(start, keepalive);
        uint8_t stamp[8];
        wait_first_ping(owner, stamp);
        conn_test_wait(owner->test, 10000 - 2 * TICK);
        conn_on_readable(&owner->test->conns, owner->test->index);
        conn_test_wait(owner->test, 4 * TICK); // past its deadline, and no receive has ended
        expect_state(owner->test, CONN_OPEN);
        receive_frame(owner, 0x8a, stamp, 8);
        conn_test_wait(owner->test, 25000 + TICK);
        owner_pump(owner);
        cr_assert_eq(owner->test->counters.values[COUNTER_pings_sent], 2);
        wait_past(owner, 10000 - TICK, CONN_OPEN); // the next one is awaited as ever
        expect_state(owner->test, CONN_CLOSING);
        expect_fault(owner->test, FAULT_pong_timeout);
        owner_close(owner);
    }
}

Test(keepalive, a_paused_connection_is_not_asked_and_then_given_its_time) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = open_at(start, keepalive);
        struct conns *conns = &owner->test->conns;
        uint8_t stamp[8];
        wait_first_ping(owner, stamp);
        conn_pause(conns, owner->test->index); // its pong may be waiting in the socket
        conn_test_wait(owner->test, 100000);
        owner_pump(owner);
        expect_state(owner->test, CONN_OPEN);
        cr_assert_eq(owner->test->counters.values[COUNTER_pings_sent], 1);
        conn_unpause(conns, owner->test->index);
        conn_test_wait(owner->test, TICK);
        expect_state(owner->test, CONN_OPEN);
        conn_test_wait(owner->test, 25000 + TICK);
        owner_pump(owner);
        cr_assert_eq(owner->test->counters.values[COUNTER_pings_sent], 2);
        conn_test_wait(owner->test, 10000 + 2 * TICK);
        expect_state(owner->test, CONN_CLOSING);
        owner_close(owner);
    }
}

Test(keepalive, a_pong_behind_our_close_does_not_prolong_it) {
    FOR_ALL_STARTS(start) {
        struct owner *owner = open_at(start, keepalive);
        uint8_t stamp[8];
        wait_first_ping(owner, stamp);
        conn_pause(&owner->test->conns, owner->test->index);
        conn_close(&owner->test->conns, owner->test->index, // in the ping's own millisecond
                   &(struct conn_close_options){.fault = FAULT_closed_by_operator});
        conn_unpause(&owner->test->conns, owner->test->index);
        receive_frame(owner, 0x8a, stamp, 8);
        owner_pump(owner);
        wait_past(owner, CLOSE_WAIT_MS, CONN_CLOSING);
        expect_state(owner->test, CONN_ENDED);
        owner_close(owner);
    }
}
