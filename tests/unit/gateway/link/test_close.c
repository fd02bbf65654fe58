// The close in three steps, whatever is in flight.
#include "tests/unit/gateway/link/link_test.h"

static void discard(struct link_test *test, link_id id, int32_t result, bool is_ready) {
    fake_received(&test->io, id, result, is_ready);
    expect_no_event(test);
}

static void finish(struct link_test *test, link_id id) {
    fake_cancelled(&test->io, id, 0);
    fake_polled(&test->io, id, -ECANCELED, false);
    fake_closed(&test->io, id, 0);
    struct link_event event = expect_event(test, LINK_EVENT_CLOSED, id);
    cr_assert_eq(event.owner, 9);
    cr_assert_eq(link_slot_at(&test->link, id)->state, LINK_FREE);
    cr_assert_eq(test->link.used_total, 0);
}

Test(close, reads_what_the_peer_has_sent_and_then_cancels_and_closes) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    link_close(&test->link, id);
    expect_prepared(test, "receive 0.0\n"); // or our last bytes would turn into a reset
    discard(test, id, 64, true);
    expect_prepared(test, "receive 0.0\n");
    discard(test, id, -EAGAIN, false);
    expect_prepared(test, "cancel and close 0.0\n");
    link_close(&test->link, id); // again: nothing
    expect_prepared(test, "");
    finish(test, id);
    link_test_close(test);
}

Test(close, the_reading_ends_when_the_socket_is_empty_or_ends_or_after_its_bytes) {
    static const struct {
        int32_t result;
        bool is_ready;
    } rows[] = {{0, false}, {-EAGAIN, false}, {-ECONNRESET, false}, {5, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link_test *test = link_test_open();
        link_id id = link_test_accept(test, 9);
        link_close(&test->link, id);
        fake_forget(&test->io);
        discard(test, id, rows[i].result, rows[i].is_ready);
        expect_prepared(test, "cancel and close 0.0\n");
        finish(test, id);
        link_test_close(test);
    }
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    link_close(&test->link, id);
    for (uint32_t bytes = 0; bytes <= DISCARD_BYTES_MAX; bytes += 64) {
        expect(fake_at(&test->io, id)->is_receiving, "after %u bytes", bytes);
        discard(test, id, 64, true); // one that never stops sending
    }
    cr_assert_not(fake_at(&test->io, id)->is_receiving);
    cr_assert(fake_at(&test->io, id)->is_closing);
    finish(test, id);
    link_test_close(test);
}

Test(close, nothing_is_read_behind_the_peers_end) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    fake_polled(&test->io, id, IO_POLL_IN | IO_POLL_HANGUP, true);
    expect_event(test, LINK_EVENT_READABLE, id);
    receive(test, id);
    fake_received(&test->io, id, 0, false);
    expect_event(test, LINK_EVENT_END, id);
    fake_forget(&test->io);
    link_close(&test->link, id);
    expect_prepared(test, "cancel and close 0.0\n");
    finish(test, id);
    link_test_close(test);
}

Test(close, a_send_in_flight_is_cancelled_and_still_told) {
    for (int order = 0; order < 2; order++) {
        struct link_test *test = link_test_open();
        link_id id = link_test_accept(test, 9);
        struct span piece = span_text("some bytes");
        link_send(&test->link, id, &piece, 1);
        fake_forget(&test->io);
        link_close(&test->link, id);
        expect_prepared(test, "cancel send 0.0\n");
        if (order == 0) { // the cancel's completion first
            fake_cancelled(&test->io, id, 0);
            expect_no_event(test);
            fake_sent(&test->io, id, 4); // so much went out
        } else {
            fake_sent(&test->io, id, 4);
        }
        struct link_event event = expect_event(test, LINK_EVENT_SENT, id);
        cr_assert_eq(event.bytes, 4);
        if (order == 1) {
            expect_prepared(test, "");
            fake_cancelled(&test->io, id, -ENOENT);
            expect_no_event(test);
        }
        expect_prepared(test, "receive 0.0\n");
        discard(test, id, -EAGAIN, false);
        finish(test, id);
        link_test_close(test);
    }
}

Test(close, a_receive_in_flight_is_the_first_that_is_thrown_away) {
    for (int has_target = 0; has_target <= 1; has_target++) {
        struct link_test *test = link_test_open();
        link_id id = link_test_accept(test, 9);
        uint8_t memory[64];
        fake_polled(&test->io, id, IO_POLL_IN, true);
        expect_event(test, LINK_EVENT_READABLE, id);
        link_receive(&test->link, id,
                     (struct span_mut){.data = memory, .length = has_target ? 64 : 0});
        fake_forget(&test->io);
        link_close(&test->link, id);
        expect_prepared(test, "");
        discard(test, id, 64, true); // its buffer is given back: link_test_close looks
        expect_prepared(test, "receive 0.0\n");
        discard(test, id, -EAGAIN, false);
        finish(test, id);
        link_test_close(test);
    }
}

Test(close, while_the_poll_has_ended_by_itself_needs_no_cancel) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    link_close(&test->link, id);
    fake_polled(&test->io, id, IO_POLL_IN, false); // not armed again: it is going
    expect_no_event(test);
    fake_forget(&test->io);
    discard(test, id, -EAGAIN, false);
    expect_prepared(test, "close 0.0\n");
    fake_closed(&test->io, id, 0);
    expect_event(test, LINK_EVENT_CLOSED, id);
    link_test_close(test);
}

// The completions of the third step in every order that the contract allows: the slot is free with
// the last of them, never before.
Test(close, the_slot_is_free_with_the_last_completion_in_every_order) {
    static const char *const orders[] = {"cpx", "cxp", "pcx"};
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        struct link_test *test = link_test_open();
        link_id id = link_test_accept(test, 9);
        link_close(&test->link, id);
        discard(test, id, -EAGAIN, false);
        for (const char *at = orders[i]; *at != 0; at++) {
            expect_no_event(test);
            expect(link_slot_at(&test->link, id)->state == LINK_CLOSING, "%s: free before %s",
                   orders[i], at);
            if (*at == 'c') {
                fake_cancelled(&test->io, id, 0);
            } else if (*at == 'p') {
                fake_polled(&test->io, id, -ECANCELED, false);
            } else {
                fake_closed(&test->io, id, 0);
            }
        }
        expect_event(test, LINK_EVENT_CLOSED, id);
        link_test_close(test);
    }
}

Test(close, a_poll_event_before_the_polls_end_changes_nothing) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    link_close(&test->link, id);
    fake_polled(&test->io, id, IO_POLL_IN, true);
    expect_no_event(test);
    discard(test, id, -EAGAIN, false);
    fake_polled(&test->io, id, IO_POLL_IN | IO_POLL_HANGUP, true);
    expect_no_event(test);
    fake_polled(&test->io, id, IO_POLL_IN, false);
    expect_no_event(test);
    fake_cancelled(&test->io, id, -ENOENT);
    expect_no_event(test);
    fake_closed(&test->io, id, 0);
    expect_event(test, LINK_EVENT_CLOSED, id);
    link_test_close(test);
}

Test(close, one_whose_chain_broke_is_closed_alone) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    link_close(&test->link, id);
    discard(test, id, -EAGAIN, false);
    fake_cancelled(&test->io, id, -EINVAL);
    fake_forget(&test->io);
    fake_closed(&test->io, id, -ECANCELED);
    expect_no_event(test);
    expect_prepared(test, "close 0.0\n");
    fake_polled(&test->io, id, IO_POLL_HANGUP, false);
    expect_no_event(test);
    fake_closed(&test->io, id, 0);
    expect_event(test, LINK_EVENT_CLOSED, id);
    link_test_close(test);
}

Test(close, one_that_nobody_owns_is_not_told) {
    struct link_test *test = link_test_open();
    link_id id = fake_accepted(&test->io, 0, 7, 0);
    expect_event(test, LINK_EVENT_ACCEPTED, id);
    link_close(&test->link, id); // instead of link_own
    link_test_finish(test, id);
    cr_assert_eq(test->link.used_total, 0);
    link_test_close(test);
}

// --- completions of an older life

Test(stale, a_completion_of_an_older_life_is_counted_and_its_buffer_given_back) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    struct io_completion old[] = {
        fake_completion(&test->io, id, IO_POLL, IO_POLL_IN),
        fake_completion(&test->io, id, IO_RECEIVE, 5),
        fake_completion(&test->io, id, IO_SEND, 5),
        fake_completion(&test->io, id, IO_CANCEL, 0),
        fake_completion(&test->io, id, IO_CLOSE, 0),
    };
    old[1].has_buffer = true;
    link_close(&test->link, id);
    link_test_finish(test, id);
    for (int is_reused = 0; is_reused <= 1; is_reused++) {
        for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) {
            test->io.is_lent[0][0] = old[i].has_buffer;
            fake_push(&test->io, old[i]);
            expect_no_event(test);
            expect(!test->io.is_lent[0][0], "its buffer is still lent");
        }
        uint32_t count = (uint32_t)(sizeof old / sizeof old[0]) * (1 + (uint32_t)is_reused);
        cr_assert_eq(test->counters.values[COUNTER_completions_stale], count);
        if (is_reused == 0) {
            cr_assert_eq(link_test_accept(test, 10), id); // the same slot, a new life
        }
    }
    cr_assert_eq(link_slot_at(&test->link, id)->state, LINK_OPEN);
    cr_assert(fake_at(&test->io, id)->is_polling);
    link_test_close(test);
}

Test(stale, generations_wrap) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    link_slot_at(&test->link, id)->generation = UINT16_MAX;
    fake_at(&test->io, id)->generation = UINT16_MAX;
    link_close(&test->link, id);
    link_test_finish(test, id);
    link_test_accept(test, 9);
    cr_assert_eq(link_slot_at(&test->link, id)->generation, 0);
    link_test_close(test);
}
