#include "tests/unit/gateway/link/link_test.h"

enum { OWNER = 1u << 31 | 5 };

static struct io_peer peer = {.length = 16};
static const struct link_target target = {.peer = &peer};

// A socket of ours, not yet connected.
static link_id socket_open(struct link_test *test) {
    cr_assert(link_socket(&test->link, ADDRESS_IP, false, OWNER));
    link_id id = fake_socket(&test->io, (uint8_t)test->link.open_ring, OWNER, 0);
    struct link_event event = expect_event(test, LINK_EVENT_SOCKET, id);
    cr_assert_eq(event.owner, (uint32_t)OWNER);
    cr_assert_eq(event.error, 0);
    fake_forget(&test->io);
    return id;
}

static link_id connected_open(struct link_test *test) {
    link_id id = socket_open(test);
    link_connect(&test->link, id, &target);
    fake_option_set(&test->io, id, 0);
    fake_connected(&test->io, id, 0);
    expect_event(test, LINK_EVENT_CONNECTED, id);
    fake_forget(&test->io);
    return id;
}

Test(connect, a_socket_is_connected_and_then_polled) {
    struct link_test *test = link_test_open();
    cr_assert(link_socket(&test->link, ADDRESS_IP, true, OWNER));
    cr_assert_not_null(strstr(test->io.log, "socket v6"));
    link_id id = fake_socket(&test->io, 0, OWNER, 0);
    expect_event(test, LINK_EVENT_SOCKET, id);
    fake_forget(&test->io);
    link_connect(&test->link, id, &target);
    expect_prepared(test, "set option 0.0\nconnect 0.0\n");
    fake_option_set(&test->io, id, -EOPNOTSUPP); // before Linux 6.7
    expect_no_event(test);
    fake_connected(&test->io, id, 0);
    struct link_event event = expect_event(test, LINK_EVENT_CONNECTED, id);
    cr_assert(event.error == 0 && event.owner == (uint32_t)OWNER);
    expect_prepared(test, "poll 0.0\n");
    link_close(&test->link, id);
    link_test_finish(test, id);
    link_test_close(test);
}

Test(connect, a_path_needs_no_option) {
    struct link_test *test = link_test_open();
    link_id id = socket_open(test);
    link_connect(&test->link, id, &(struct link_target){.path = "/run/service"});
    expect_prepared(test, "connect unix 0.0\n");
    fake_connected(&test->io, id, 0);
    expect_event(test, LINK_EVENT_CONNECTED, id);
    link_test_close(test);
}

Test(connect, it_then_lives_as_an_accepted_one) {
    struct link_test *test = link_test_open();
    link_id id = connected_open(test);
    struct span bytes = span_text("GET");
    link_send(&test->link, id, &bytes, 1);
    expect_prepared(test, "send 0.0\n");
    fake_sent(&test->io, id, 3);
    struct link_event event = expect_event(test, LINK_EVENT_SENT, id);
    cr_assert(event.bytes == 3 && event.owner == (uint32_t)OWNER);
    fake_polled(&test->io, id, IO_POLL_IN, true);
    expect_event(test, LINK_EVENT_READABLE, id);
    receive(test, id);
    cr_assert(fake_received(&test->io, id, 10, false));
    event = expect_event(test, LINK_EVENT_BYTES, id);
    cr_assert_eq(event.owner, (uint32_t)OWNER);
    link_bytes_done(&test->link, &event);
    link_close(&test->link, id);
    expect_prepared(test, "receive 0.0\nreceive 0.0\n"); // what the service still sends is read
    link_test_finish(test, id);
    link_test_close(test);
}

Test(connect, an_error_is_told_and_the_owner_closes) {
    struct link_test *test = link_test_open();
    link_id id = socket_open(test);
    link_connect(&test->link, id, &target);
    fake_option_set(&test->io, id, 0);
    fake_connected(&test->io, id, -ECONNREFUSED);
    struct link_event event = expect_event(test, LINK_EVENT_CONNECTED, id);
    cr_assert_eq(event.error, -ECONNREFUSED);
    fake_forget(&test->io);
    link_close(&test->link, id);
    expect_prepared(test, "close 0.0\n"); // there is nothing to read first
    fake_closed(&test->io, id, 0);
    event = expect_event(test, LINK_EVENT_CLOSED, id);
    cr_assert_eq(event.owner, (uint32_t)OWNER);
    link_test_close(test);
}

Test(connect, closing_before_it_is_connected_cancels) {
    struct link_test *test = link_test_open();
    link_id id = socket_open(test);
    link_connect(&test->link, id, &target);
    fake_forget(&test->io);
    link_close(&test->link, id);
    expect_prepared(test, "cancel connect 0.0\n");
    fake_cancelled(&test->io, id, 0);
    expect_no_event(test);
    fake_option_set(&test->io, id, 0);
    expect_no_event(test);
    expect_prepared(test, "");
    fake_connected(&test->io, id, -ECANCELED);
    expect_no_event(test);
    expect_prepared(test, "close 0.0\n");
    fake_closed(&test->io, id, 0);
    expect_event(test, LINK_EVENT_CLOSED, id);
    link_test_close(test);
}

Test(connect, a_cancel_that_comes_too_late_closes_what_was_connected) {
    struct link_test *test = link_test_open();
    link_id id = socket_open(test);
    link_connect(&test->link, id, &target);
    link_close(&test->link, id);
    fake_forget(&test->io);
    fake_connected(&test->io, id, 0);
    fake_option_set(&test->io, id, 0);
    expect_no_event(test);
    fake_cancelled(&test->io, id, -ENOENT);
    expect_no_event(test);
    expect_prepared(test, "close 0.0\n");
    fake_closed(&test->io, id, 0);
    expect_event(test, LINK_EVENT_CLOSED, id);
    link_test_close(test);
}

Test(connect, a_socket_that_nobody_wants_any_more_is_closed) {
    struct link_test *test = link_test_open();
    link_id id = socket_open(test);
    link_close(&test->link, id);
    expect_prepared(test, "close 0.0\n");
    fake_closed(&test->io, id, 0);
    expect_event(test, LINK_EVENT_CLOSED, id);
    link_test_close(test);
}

Test(connect, no_descriptor_is_told_and_that_is_all) {
    struct link_test *test = link_test_open();
    cr_assert(link_socket(&test->link, ADDRESS_UNIX, false, OWNER));
    fake_socket(&test->io, 0, OWNER, -ENFILE);
    struct link_event event = expect_event(test, LINK_EVENT_SOCKET, LINK_NONE);
    cr_assert(event.error == -ENFILE && event.owner == (uint32_t)OWNER);
    cr_assert_eq(test->link.armed[0], LINK_ACCEPTS);
    link_test_close(test);
}

Test(connect, a_slot_is_kept_for_each_socket_until_there_is_none) {
    struct link_test *test = link_test_open();
    uint32_t count = 0;
    while (link_socket(&test->link, ADDRESS_IP, false, OWNER)) {
        count++;
        link_turn_end(&test->link); // accepts take no slot of them: the fake checks it
    }
    cr_assert_eq(count, FAKE_RINGS * FAKE_SLOTS - LINK_ACCEPTS);
    struct link_event event;
    for (uint8_t ring = 0; ring < FAKE_RINGS; ring++) {
        while (test->io.sockets[ring] > 0) {
            fake_socket(&test->io, ring, OWNER, 0);
            cr_assert(link_next(&test->link, &event));
            cr_assert_eq(event.kind, LINK_EVENT_SOCKET);
        }
    }
    link_test_close(test);
}
