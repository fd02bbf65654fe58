// Receiving and sending on an open socket.
#include "tests/unit/gateway/link/link_test.h"

Test(receive, a_poll_event_is_told_and_answered_by_one_receive) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    receive(test, id); // nothing was announced: nothing is asked
    expect_prepared(test, "");
    fake_polled(&test->io, id, IO_POLL_IN, true);
    struct link_event event = expect_event(test, LINK_EVENT_READABLE, id);
    cr_assert_eq(event.owner, 9);
    receive(test, id);
    receive(test, id); // one at a time
    expect_prepared(test, "receive 0.0\n");
    fake_received(&test->io, id, 5, false);
    event = expect_event(test, LINK_EVENT_BYTES, id);
    cr_assert_eq(event.bytes, 5);
    cr_assert_eq(event.data.length, 5);
    cr_assert_eq(memcmp(event.data.data, "aaaaa", 5), 0);
    link_bytes_done(&test->link, &event);
    receive(test, id); // the socket holds no more: the next event will say so
    expect_prepared(test, "");
    link_test_close(test);
}

Test(receive, while_the_socket_holds_more_it_goes_on) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    fake_polled(&test->io, id, IO_POLL_IN, true);
    expect_event(test, LINK_EVENT_READABLE, id);
    receive(test, id);
    for (int i = 0; i < 3; i++) {
        fake_received(&test->io, id, 64, i < 2);
        struct link_event event = expect_event(test, LINK_EVENT_BYTES, id);
        link_bytes_done(&test->link, &event);
        fake_forget(&test->io);
        receive(test, id);
        expect_prepared(test, i < 2 ? "receive 0.0\n" : "");
    }
    link_test_close(test);
}

Test(receive, an_event_during_a_receive_is_remembered) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    fake_polled(&test->io, id, IO_POLL_IN, true);
    expect_event(test, LINK_EVENT_READABLE, id);
    receive(test, id);
    fake_polled(&test->io, id, IO_POLL_IN, true); // more came
    expect_no_event(test);
    fake_received(&test->io, id, 5, false);
    struct link_event event = expect_event(test, LINK_EVENT_BYTES, id);
    link_bytes_done(&test->link, &event);
    fake_forget(&test->io);
    receive(test, id);
    expect_prepared(test, "receive 0.0\n");
    fake_received(&test->io, id, -EAGAIN, false); // the first had brought it already
    expect_no_event(test);
    receive(test, id);
    expect_prepared(test, "");
    link_test_close(test);
}

Test(receive, an_event_while_the_owner_does_not_read_is_remembered) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    fake_polled(&test->io, id, IO_POLL_IN, true);
    expect_event(test, LINK_EVENT_READABLE, id); // the owner is paused
    fake_forget(&test->io);
    receive(test, id); // and reads again
    expect_prepared(test, "receive 0.0\n");
    link_test_close(test);
}

Test(receive, an_event_that_came_with_an_empty_receive_is_told) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    fake_polled(&test->io, id, IO_POLL_IN, true);
    expect_event(test, LINK_EVENT_READABLE, id);
    receive(test, id);
    fake_polled(&test->io, id, IO_POLL_IN, true);
    expect_no_event(test);
    fake_received(&test->io, id, -EAGAIN, false);
    expect_event(test, LINK_EVENT_READABLE, id);
    link_test_close(test);
}

Test(receive, into_the_owners_own_memory) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    uint8_t memory[100];
    fake_polled(&test->io, id, IO_POLL_IN, true);
    expect_event(test, LINK_EVENT_READABLE, id);
    link_receive(&test->link, id, (struct span_mut){.data = memory, .length = sizeof memory});
    expect_prepared(test, "receive to target 0.0\n");
    cr_assert_eq(fake_at(&test->io, id)->target.data, memory);
    fake_received(&test->io, id, 100, true);
    cr_assert_eq(expect_event(test, LINK_EVENT_TARGET, id).bytes, 100);
    link_test_close(test);
}

Test(receive, data_and_the_peers_end_in_one_event) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    fake_polled(&test->io, id, IO_POLL_IN | IO_POLL_HANGUP, true);
    expect_event(test, LINK_EVENT_READABLE, id);
    receive(test, id);
    fake_received(&test->io, id, 5, false); // says nothing about the end behind it
    struct link_event event = expect_event(test, LINK_EVENT_BYTES, id);
    link_bytes_done(&test->link, &event);
    fake_forget(&test->io);
    receive(test, id);
    expect_prepared(test, "receive 0.0\n");
    fake_received(&test->io, id, 0, false);
    expect_event(test, LINK_EVENT_END, id);
    receive(test, id); // nothing more comes
    fake_polled(&test->io, id, IO_POLL_IN | IO_POLL_HANGUP, true);
    expect_no_event(test);
    expect_prepared(test, "");
    link_test_close(test);
}

Test(receive, a_reset) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    fake_polled(&test->io, id, IO_POLL_IN | IO_POLL_ERROR, true);
    expect_event(test, LINK_EVENT_READABLE, id);
    receive(test, id);
    fake_received(&test->io, id, -ECONNRESET, false);
    cr_assert_eq(expect_event(test, LINK_EVENT_ERROR, id).error, -ECONNRESET);
    link_test_close(test);
}

Test(receive, a_poll_that_the_kernel_ended_is_armed_again) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    fake_polled(&test->io, id, IO_POLL_IN, false);
    expect_event(test, LINK_EVENT_READABLE, id);
    expect_prepared(test, "poll 0.0\n");
    cr_assert(fake_at(&test->io, id)->is_polling);
    link_test_close(test);
}

Test(receive, a_poll_that_failed_is_an_error_and_not_armed_again) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    fake_polled(&test->io, id, -ENOMEM, false);
    cr_assert_eq(expect_event(test, LINK_EVENT_ERROR, id).error, -ENOMEM);
    expect_prepared(test, "");
    link_close(&test->link, id);
    expect_prepared(test, "close 0.0\n"); // no poll to cancel
    link_test_close(test);
}

Test(send, one_piece_or_several) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    struct span pieces[2] = {span_text("one"), span_text("two")};
    link_send(&test->link, id, pieces, 1);
    expect_prepared(test, "send 0.0\n");
    fake_sent(&test->io, id, 3);
    struct link_event event = expect_event(test, LINK_EVENT_SENT, id);
    cr_assert_eq(event.bytes, 3);
    cr_assert_eq(event.error, 0);
    cr_assert_eq(event.owner, 9);
    link_send(&test->link, id, pieces, 2);
    expect_prepared(test, "sendmsg 0.0\n");
    fake_sent(&test->io, id, -EPIPE);
    event = expect_event(test, LINK_EVENT_SENT, id);
    cr_assert_eq(event.bytes, 0);
    cr_assert_eq(event.error, -EPIPE);
    link_test_close(test);
}

Test(send, and_receive_do_not_wait_for_each_other) {
    struct link_test *test = link_test_open();
    link_id id = link_test_accept(test, 9);
    struct span piece = span_text("one");
    fake_polled(&test->io, id, IO_POLL_IN, true);
    expect_event(test, LINK_EVENT_READABLE, id);
    receive(test, id);
    link_send(&test->link, id, &piece, 1);
    fake_sent(&test->io, id, 3);
    fake_received(&test->io, id, 5, false);
    expect_event(test, LINK_EVENT_SENT, id);
    struct link_event event = expect_event(test, LINK_EVENT_BYTES, id);
    link_bytes_done(&test->link, &event);
    link_test_close(test);
}

Test(other, doorbells_and_writes_are_passed_on) {
    struct link_test *test = link_test_open();
    fake_push(&test->io, (struct io_completion){.operation = IO_DOORBELL});
    cr_assert_eq(next_event(test).kind, LINK_EVENT_DOORBELL);
    fake_push(&test->io, (struct io_completion){.operation = IO_WRITE, .slot = 77, .result = -EIO});
    struct link_event event = next_event(test);
    cr_assert_eq(event.kind, LINK_EVENT_WRITTEN);
    cr_assert_eq(event.owner, 77);
    cr_assert_eq(event.error, -EIO);
    fake_push(&test->io, (struct io_completion){.operation = IO_CONNECT});
    expect_no_event(test); // an operation that this room never prepares stops nobody
    link_test_close(test);
}
