#include "core/hub/payload.h"
#include "tests/unit/core/conn/conn_test.h"

static void expect_start(const char *got, const char *wanted) {
    cr_assert_eq(strncmp(got, wanted, strlen(wanted)), 0, "got %s", got);
}

Test(exchange, replies_and_refusals_carry_the_date) {
    struct conn_test *test = conn_test_open();
    conns_set_date(&test->conns, 784111777999);
    conn_test_feed_text(test, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct http_reply reply = {.status = 200, .body = span_text("x")};
    conn_reply(&test->conns, test->index, &reply);
    const char *sent = conn_test_send(test);
    cr_assert_not_null(strstr(sent, "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
    test->sent_bytes = 0;
    conns_set_date(&test->conns, 784111778000);
    conn_test_feed_text(test, "GET / HTTP/1.1\r\n\r\n");
    sent = conn_test_send(test);
    expect_start(sent, "HTTP/1.1 400 ");
    cr_assert_not_null(strstr(sent, "\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\n"));
    conn_test_close(test);
}

Test(exchange, without_a_clock_there_is_no_date) {
    struct conn_test *test = conn_test_open();
    conn_test_feed_text(test, "GET / HTTP/1.1\r\n\r\n");
    cr_assert_null(strstr(conn_test_send(test), "Date:"));
    conn_test_close(test);
}

static void collect(struct conn_test *test, const char *head, uint32_t bytes_max) {
    struct conn_event event = conn_test_feed_text(test, head);
    cr_assert_eq(event.kind, CONN_EVENT_REQUEST);
    conn_collect(&test->conns, test->index, bytes_max);
}

Test(exchange, a_body_announced_over_the_limit_is_refused_instead_of_asked_for) {
    struct conn_test *test = conn_test_open();
    collect(test,
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n", 10);
    expect_start(conn_test_send(test), "HTTP/1.1 413 ");
    cr_assert_eq(conn_test_state(test), CONN_DISCARD);
    conn_test_close(test);
}

Test(exchange, a_body_announced_at_the_limit_is_asked_for) {
    struct conn_test *test = conn_test_open();
    collect(test,
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n", 10);
    cr_assert_str_eq(conn_test_send(test), "HTTP/1.1 100 Continue\r\n\r\n");
    struct conn_event event = conn_test_feed_text(test, "0123456789");
    cr_assert_eq(event.kind, CONN_EVENT_BODY);
    cr_assert(span_is(event.payload, "0123456789"));
    arena_give(&test->arena, event.block);
    conn_test_close(test);
}

Test(exchange, what_was_whole_before_the_peers_end_is_still_answered) {
    struct conn_test *test = conn_test_open();
    conn_test_upgrade(test);
    static const uint8_t ping[] = {0x89, 0x82, 0, 0, 0, 0, 'h', 'i'};
    conn_test_feed(test, ping, sizeof ping);
    conn_on_end(&test->conns, test->index);
    cr_assert_eq(conn_test_state(test), CONN_FLUSH);
    cr_assert_str_eq(conn_test_send(test), "\x8a\x02hi");
    cr_assert_eq(conn_test_state(test), CONN_ENDED);
    cr_assert_eq(test->counters.close_codes_sent[6], 1); // 1006: no Close was exchanged
    conn_test_close(test);
}

Test(exchange, the_peers_end_in_the_middle_of_a_message_leaves_nothing) {
    struct conn_test *test = conn_test_open();
    conn_test_upgrade(test);
    static const uint8_t bytes[] = {0x89, 0x80, 0, 0, 0, 0, 0x01, 0x85, 0, 0, 0, 0, 'h', 'e'};
    conn_test_feed(test, bytes, sizeof bytes);
    conn_on_end(&test->conns, test->index);
    cr_assert_eq(conn_test_state(test), CONN_FLUSH);
    cr_assert_eq(test->conns.inputs.used, 0);
    conn_test_send(test);
    cr_assert_eq(conn_test_state(test), CONN_ENDED);
    conn_test_close(test);
}

Test(exchange, an_end_with_nothing_to_say_ends_at_once) {
    struct conn_test *test = conn_test_open();
    conn_test_upgrade(test);
    conn_on_end(&test->conns, test->index);
    cr_assert_eq(conn_test_state(test), CONN_ENDED);
    conn_test_close(test);
}
