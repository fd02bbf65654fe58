// Messages out: the four policies, what is touched, pausing, and indices that are used again.
#include "tests/unit/core/conn/conn_owner.h"

#include <signal.h>

static struct conn_test *open_test(enum outbox_policy policy, uint32_t queue_bytes_max) {
    struct conn_test *test = conn_test_open();
    test->settings[1].bounds =
        (struct outbox_bounds){.queue_bytes_max = queue_bytes_max, .policy = policy};
    conn_test_upgrade(test);
    return test;
}

// A text message of eight bytes: ten on the wire.
static enum conn_send_result send_text(struct conn_test *test, const char *text, uint32_t channel) {
    cr_assert_eq(strlen(text), 8);
    uint32_t payload = payload_frame(&test->arena, WS_TEXT, span_text(text));
    enum conn_send_result result = conn_send(&test->conns, test->index, payload, channel);
    payload_drop(&test->arena, payload);
    return result;
}

// The queue holds three messages; then six more come.
static struct conn_test *filled(enum outbox_policy policy, enum conn_send_result over) {
    struct conn_test *test = open_test(policy, 30);
    cr_assert_eq(send_text(test, "message1", 1), CONN_SENT_QUEUED);
    cr_assert_eq(send_text(test, "message2", 2), CONN_SENT_QUEUED);
    cr_assert_eq(send_text(test, "message3", 3), CONN_SENT_QUEUED); // at the limit
    cr_assert_eq(send_text(test, "message4", 1), over);
    return test;
}

Test(queue, close_ends_with_1013_and_drops_what_waits) {
    struct conn_test *test = filled(OUTBOX_CLOSE, CONN_SENT_CLOSED);
    expect_state(test, CONN_CLOSING);
    expect_fault(test, FAULT_slow_reader);
    cr_assert_eq(test->counters.values[COUNTER_dropped_closed], 4);
    cr_assert_eq(send_text(test, "message5", 1), CONN_SENT_CLOSED);
    conn_test_expect_start(test, "\x88\x26\x03\xf5queue limit");
    conn_test_close(test);
}

Test(queue, drop_oldest) {
    struct conn_test *test = filled(OUTBOX_DROP_OLDEST, CONN_SENT_DROPPED);
    cr_assert_eq(test->counters.values[COUNTER_dropped_oldest], 1);
    conn_test_expect_sent(test, "\x81\x08message2\x81\x08message3\x81\x08message4", 30);
    expect_state(test, CONN_OPEN);
    conn_test_close(test);
}

Test(queue, drop_newest) {
    struct conn_test *test = filled(OUTBOX_DROP_NEWEST, CONN_SENT_DROPPED);
    cr_assert_eq(test->counters.values[COUNTER_dropped_newest], 1);
    conn_test_expect_sent(test, "\x81\x08message1\x81\x08message2\x81\x08message3", 30);
    conn_test_close(test);
}

Test(queue, conflate_keeps_the_newest_of_each_channel) {
    struct conn_test *test = filled(OUTBOX_CONFLATE, CONN_SENT_DROPPED);
    cr_assert_eq(test->counters.values[COUNTER_dropped_conflated], 1);
    conn_test_expect_sent(test, "\x81\x08message4\x81\x08message2\x81\x08message3", 30);
    conn_test_close(test);
}

Test(queue, one_that_waits_for_nothing_takes_a_message_of_any_size) {
    for (int policy = OUTBOX_CLOSE; policy <= OUTBOX_CONFLATE; policy++) {
        struct conn_test *test = open_test((enum outbox_policy)policy, 30);
        uint8_t *data;
        uint32_t payload = payload_reserve(&test->arena, WS_BINARY, 100000, &data);
        memset(data, 'x', 100000);
        cr_assert_eq(conn_send(&test->conns, test->index, payload, 1), CONN_SENT_QUEUED);
        struct span pieces[SEND_PIECES_MAX];
        cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 1);
        // What is in flight does not count.
        cr_assert_eq(conn_send(&test->conns, test->index, payload, 1), CONN_SENT_QUEUED);
        payload_drop(&test->arena, payload);
        conn_sent(&test->conns, test->index, pieces[0].length);
        conn_test_close(test);
    }
}

Test(queue, delivered_and_dropped_come_to_what_was_published) {
    static const enum counter_id by_policy[] = {COUNTER_dropped_closed, COUNTER_dropped_oldest,
                                                COUNTER_dropped_newest, COUNTER_dropped_conflated};
    for (int policy = OUTBOX_CLOSE; policy <= OUTBOX_CONFLATE; policy++) {
        struct conn_test *test = open_test((enum outbox_policy)policy, 45);
        uint32_t published = 0;
        for (uint32_t i = 0; i < 1000 && conn_test_state(test) == CONN_OPEN; i++) {
            char text[16];
            snprintf(text, sizeof text, "%08u", i);
            (void)send_text(test, text, 1 + i * 7 % 5); // counted below
            published++;
            if (i % 13 == 0) {
                conn_test_send_part(test, i % 3 * 10 + 5);
            }
        }
        conn_test_send(test);
        uint64_t delivered = test->counters.values[COUNTER_messages_out];
        uint64_t dropped = test->counters.values[by_policy[policy]];
        expect(delivered + dropped == published, "policy %d: %lu + %lu is not %u", policy,
               (unsigned long)delivered, (unsigned long)dropped, published);
        cr_assert_gt(dropped, 0);
        conn_test_close(test);
    }
}

Test(queue, messages_left_at_the_end_are_counted) {
    struct conn_test *test = open_test(OUTBOX_CLOSE, 1000);
    send_text(test, "message1", 0);
    send_text(test, "message2", 0);
    struct span pieces[SEND_PIECES_MAX];
    cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 2);
    send_text(test, "message3", 0);
    struct conn_bytes bytes = conn_bytes(&test->conns, test->index);
    cr_assert_eq(bytes.queued, 10);
    conn_kill(&test->conns, test->index, FAULT_peer_reset);
    conn_sent(&test->conns, test->index, 10); // one of them had left
    conn_release(&test->conns, test->index);
    cr_assert_eq(test->counters.values[COUNTER_messages_out], 1);
    cr_assert_eq(test->counters.values[COUNTER_dropped_closed], 2);
    conn_test_close(test);
}

Test(queue, one_send_at_a_time) {
    struct conn_test *test = open_test(OUTBOX_CLOSE, 1000);
    struct span pieces[SEND_PIECES_MAX];
    cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 0);
    send_text(test, "message1", 0);
    cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 1);
    send_text(test, "message2", 0);
    cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 0);
    conn_sent(&test->conns, test->index, 10);
    cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 1);
    conn_sent(&test->conns, test->index, 10);
    conn_test_close(test);
}

Test(queue, a_send_gathers_a_bounded_number_of_bytes) {
    struct conn_test *test = open_test(OUTBOX_CLOSE, 16 << 20);
    uint8_t *data;
    uint32_t payload = payload_reserve(&test->arena, WS_BINARY, 100000, &data);
    memset(data, 'x', 100000);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(conn_send(&test->conns, test->index, payload, 1), CONN_SENT_QUEUED);
    }
    payload_drop(&test->arena, payload);
    struct span pieces[SEND_PIECES_MAX];
    cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 2); // 256 KiB
    conn_sent(&test->conns, test->index, 2 * 100010);
    conn_test_close(test);
}

// --- what may come later

static enum conn_send_result offer(struct conn_test *test, uint32_t wire_bytes) {
    uint8_t *data;
    uint32_t payload = payload_reserve(&test->arena, WS_BINARY, wire_bytes - 2, &data);
    memset(data, 'x', wire_bytes - 2);
    enum conn_send_result result = conn_offer(&test->conns, test->index, payload, 1);
    payload_drop(&test->arena, payload);
    return result;
}

static uint32_t dropped(const struct conn_test *test) {
    uint64_t count = 0;
    for (int id = COUNTER_dropped_oldest; id <= COUNTER_dropped_closed; id++) {
        count += test->counters.values[id];
    }
    return (uint32_t)count;
}

// Up to the bound it is queued; one byte over it waits for the sends to go out, under every policy.
Test(offer, at_the_bound) {
    for (int policy = OUTBOX_CLOSE; policy <= OUTBOX_DROP_NEWEST; policy++) {
        for (uint32_t bytes = 19; bytes <= 21; bytes++) {
            struct conn_test *test = open_test((enum outbox_policy)policy, 30);
            cr_assert_eq(offer(test, 10), CONN_SENT_QUEUED);
            cr_assert_eq(offer(test, bytes), bytes <= 20 ? CONN_SENT_QUEUED : CONN_SENT_LATER);
            cr_assert_eq(dropped(test), 0);
            expect_state(test, CONN_OPEN);
            conn_test_close(test);
        }
    }
}

// However many turns its burst takes, a transport that takes all of each send loses nothing.
Test(offer, a_transport_that_takes_everything_meets_no_policy) {
    for (int policy = OUTBOX_CLOSE; policy <= OUTBOX_DROP_NEWEST; policy++) {
        struct conn_test *test = open_test((enum outbox_policy)policy, 30);
        struct span pieces[SEND_PIECES_MAX];
        for (uint32_t i = 0; i < 40; i++) {
            cr_assert_eq(offer(test, 20), CONN_SENT_QUEUED);
            cr_assert_eq(offer(test, 20), CONN_SENT_LATER);
            cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 1);
            cr_assert_eq(offer(test, 20), CONN_SENT_QUEUED); // what is in flight does not count
            cr_assert_eq(offer(test, 20), CONN_SENT_LATER);  // submitted only when this turn ends
            conn_test_wait(test, 0);
            conn_sent(&test->conns, test->index, 20);
            cr_assert_eq(offer(test, 20), CONN_SENT_LATER); // now the next may be sent
            cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 1);
            conn_test_wait(test, 0);
            conn_sent(&test->conns, test->index, 20);
        }
        cr_assert_eq(dropped(test), 0);
        conn_test_close(test);
    }
}

// Only what a transport has refused is conflated, and then down to one.
Test(offer, a_burst_is_conflated_once_the_transport_refuses) {
    struct conn_test *test = open_test(OUTBOX_CONFLATE, 1000);
    struct span pieces[SEND_PIECES_MAX];
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(offer(test, 20), CONN_SENT_QUEUED);
    }
    cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 3);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(offer(test, 20), CONN_SENT_QUEUED); // nobody knows yet what becomes of them
    }
    conn_test_wait(test, 0);
    cr_assert_eq(offer(test, 20), CONN_SENT_DROPPED);
    cr_assert_eq(test->counters.values[COUNTER_dropped_conflated], 3);
    conn_sent(&test->conns, test->index, 60);
    cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 1);
    conn_sent(&test->conns, test->index, 20);
    cr_assert_eq(dropped(test), 3);
    conn_test_close(test);
}

// A send that is still there in the next turn was left by the transport: from now on the policy.
Test(offer, a_transport_that_has_refused_meets_its_policy) {
    static const enum conn_send_result results[] = {
        [OUTBOX_CLOSE] = CONN_SENT_CLOSED,
        [OUTBOX_DROP_OLDEST] = CONN_SENT_DROPPED,
        [OUTBOX_DROP_NEWEST] = CONN_SENT_DROPPED,
        [OUTBOX_CONFLATE] = CONN_SENT_DROPPED,
    };
    for (int policy = OUTBOX_CLOSE; policy <= OUTBOX_CONFLATE; policy++) {
        struct conn_test *test = open_test((enum outbox_policy)policy, 30);
        struct span pieces[SEND_PIECES_MAX];
        cr_assert_eq(offer(test, 20), CONN_SENT_QUEUED);
        cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 1);
        cr_assert_eq(offer(test, 20), CONN_SENT_QUEUED);
        cr_assert_eq(offer(test, 20), CONN_SENT_LATER);
        conn_test_wait(test, 0);
        cr_assert_eq(offer(test, 20), results[policy]);
        cr_assert_eq(dropped(test), policy == OUTBOX_CLOSE ? 2 : 1);
        conn_test_close(test);
    }
}

// With more completions waiting than a turn reads, a send may have ended unseen; not for ever.
Test(offer, completions_that_were_not_read_yet_are_waited_for) {
    struct conn_test *test = open_test(OUTBOX_DROP_NEWEST, 30);
    struct span pieces[SEND_PIECES_MAX];
    cr_assert_eq(offer(test, 20), CONN_SENT_QUEUED);
    cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 1);
    cr_assert_eq(offer(test, 20), CONN_SENT_QUEUED);
    test->conns.has_unreaped = true;
    for (uint32_t turn = 1; turn < UNREAPED_TURNS_MAX; turn++) {
        conn_test_wait(test, 0);
        cr_assert_eq(offer(test, 20), CONN_SENT_LATER);
    }
    conn_test_wait(test, 0);
    cr_assert_eq(offer(test, 20), CONN_SENT_DROPPED);
    conn_test_close(test);
}

Test(offer, one_that_closes_takes_nothing_and_holds_nobody_up) {
    struct conn_test *test = open_test(OUTBOX_CLOSE, 30);
    cr_assert_eq(offer(test, 20), CONN_SENT_QUEUED);
    conn_close(&test->conns, test->index, &(struct conn_close_options){.fault = FAULT_draining});
    cr_assert_eq(offer(test, 20), CONN_SENT_CLOSED);
    conn_test_close(test);
}

// --- pausing

Test(pause, nothing_is_read_until_it_ends) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "GET /ws HTTP/1.1\r\n" HANDSHAKE_FIELDS);
    struct conns *conns = &owner->test->conns;
    uint32_t index = owner->test->index;
    conn_pause(conns, index);
    cr_assert_not(conn_may_read(conns, index));
    uint8_t bytes[] = "\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b"; // they were on their way
    owner_feed(owner, (struct span_mut){.data = bytes, .length = 14});
    cr_assert_null(strstr(owner->log, "message"));
    cr_assert_eq(send_text(owner->test, "outwards", 0), CONN_SENT_QUEUED); // which goes on
    while (conn_touched_next(conns) != 0) {
    }
    conn_unpause(conns, index);
    cr_assert_not(conn_may_read(conns, index)); // what is held comes first
    cr_assert_eq(conn_touched_next(conns), index);
    owner_feed_held(owner);
    cr_assert_not_null(strstr(owner->log, "message 1 1 a\nmessage 1 1 b\n"));
    cr_assert(conn_may_read(conns, index));
    owner_close(owner);
}

Test(pause, one_that_closes_is_read_again) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "GET /ws HTTP/1.1\r\n" HANDSHAKE_FIELDS);
    struct conns *conns = &owner->test->conns;
    conn_pause(conns, owner->test->index);
    conn_close(conns, owner->test->index, &(struct conn_close_options){.fault = FAULT_draining});
    cr_assert(conn_may_read(conns, owner->test->index)); // for the peer's Close
    owner_receive(owner, "\x88\x80\0\0\0\0", 6);
    owner_pump(owner);
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

// --- the touched list

Test(touched, each_once_in_order) {
    struct conn_test *test = conn_test_open();
    uint32_t first = test->index;
    conn_test_accept(test);
    uint32_t second = test->index;
    conn_touch(&test->conns, first);
    conn_touch(&test->conns, second);
    cr_assert_eq(conn_touched_next(&test->conns), first);
    conn_touch(&test->conns, first); // touched again while it is looked at
    cr_assert_eq(conn_touched_next(&test->conns), second);
    cr_assert_eq(conn_touched_next(&test->conns), first);
    cr_assert_eq(conn_touched_next(&test->conns), 0);
    conn_test_close(test);
}

Test(touched, a_released_index_is_skipped_and_a_new_one_is_not) {
    struct conn_test *test = conn_test_open();
    uint32_t index = test->index;
    uint32_t generation = conn_test_conn(test)->generation;
    conn_test_release(test, index); // within the turn, still in the list
    cr_assert_eq(conn_touched_next(&test->conns), 0);
    conn_test_accept(test);
    conn_test_release(test, test->index);
    conn_test_accept(test); // twice in the list now
    cr_assert_eq(test->index, index);
    cr_assert_neq(conn_test_conn(test)->generation, generation);
    cr_assert_eq(conn_touched_next(&test->conns), index);
    cr_assert_eq(conn_touched_next(&test->conns), 0);
    conn_test_close(test);
}

Test(touched, the_list_never_overflows_within_a_turn) {
    struct conn_test *test = conn_test_open();
    for (uint32_t i = 0; i < 10 * CONN_TEST_CONNS; i++) {
        conn_test_release(test, test->index);
        conn_test_accept(test);
    }
    for (uint32_t i = 1; i < CONN_TEST_CONNS; i++) {
        conn_test_accept(test);
    }
    bool seen[CONN_TEST_CONNS + 1] = {false};
    uint32_t count = 0;
    for (uint32_t index = conn_touched_next(&test->conns); index != 0;
         index = conn_touched_next(&test->conns)) {
        expect(!seen[index], "%u twice", index);
        seen[index] = true;
        count++;
    }
    cr_assert_eq(count, CONN_TEST_CONNS);
    conn_test_close(test);
}

Test(touched, half_read_lists_are_compacted_without_losing_any) {
    struct conn_test *test = conn_test_open();
    for (uint32_t i = 1; i < CONN_TEST_CONNS; i++) {
        conn_test_accept(test);
    }
    cr_assert_neq(conn_touched_next(&test->conns), 0); // one was handled
    for (uint32_t i = 0; i < 10 * CONN_TEST_CONNS; i++) {
        uint32_t index = 2 + i % (CONN_TEST_CONNS - 1);
        conn_test_release(test, index);
        conn_test_accept(test);
    }
    uint32_t count = 0;
    while (conn_touched_next(&test->conns) != 0) {
        count++;
    }
    cr_assert_eq(count, CONN_TEST_CONNS - 1);
    conn_test_close(test);
}

// --- handles

Test(generation, of_a_stale_handle_never_matches) {
    struct conn_test *test = conn_test_open();
    uint32_t index = test->index;
    uint32_t seen[100];
    for (uint32_t i = 0; i < 100; i++) {
        seen[i] = conn_test_conn(test)->generation;
        cr_assert_neq(seen[i], 0);
        for (uint32_t before = 0; before < i; before++) {
            expect(seen[before] != seen[i], "generation %u again", seen[i]);
        }
        conn_test_release(test, index);
        cr_assert_eq(conn_at(&test->conns, index)->generation, 0); // a free one matches nobody's
        conn_test_accept(test);
    }
    conn_test_close(test);
}

Test(generation, a_connection_may_not_be_released_before_its_end, .signal = SIGABRT) {
    struct conn_test *test = conn_test_open();
    conn_release(&test->conns, test->index);
}

Test(generation, nor_with_a_send_in_flight, .signal = SIGABRT) {
    struct conn_test *test = open_test(OUTBOX_CLOSE, 1000);
    send_text(test, "message1", 0);
    struct span pieces[SEND_PIECES_MAX];
    cr_assert_eq(conn_gather(&test->conns, test->index, pieces), 1);
    conn_kill(&test->conns, test->index, FAULT_killed);
    conn_release(&test->conns, test->index);
}
