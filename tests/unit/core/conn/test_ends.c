// How the peer goes: its end of stream, a reset and a failed transport, in every state.
#include "tests/unit/core/conn/conn_owner.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

// A connection in that state, with something unsent when has_output (where that is possible).
static struct owner *owner_in(enum conn_state state, bool has_output) {
    struct owner *owner = owner_open();
    struct conn_test *test = owner->test;
    if (state == CONN_OPEN || state == CONN_CLOSING || state == CONN_FLUSH) {
        owner_receive_text(owner, "GET /ws HTTP/1.1\r\n" HANDSHAKE_FIELDS);
        test->sent_bytes = 0;
    }
    owner->is_deaf = has_output;
    switch (state) {
    case CONN_HEAD:
        owner_receive_text(owner, has_output ? GET("/") : "GET /unfin");
        break;
    case CONN_VERDICT:
        owner_receive_text(owner, GET("/later"));
        break;
    case CONN_BODY:
        owner_receive_text(owner, "POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
                                  "Expect: 100-continue\r\n\r\nabc");
        break;
    case CONN_OPEN:
        owner_receive(owner, "\x81\x81\0\0\0\0e\x01\x82\0\0\0\0h", 14);
        break;
    case CONN_CLOSING:
        owner_receive(owner, "\x01\x82\0\0\0\0h", 7);
        conn_close(&test->conns, test->index,
                   &(struct conn_close_options){.fault = FAULT_draining});
        break;
    case CONN_DISCARD:
        owner_receive_text(owner, "x /\r\n");
        break;
    case CONN_FLUSH:
        owner->is_deaf = true;
        owner_receive(owner, "\x88\x80\0\0\0\0", 6);
        break;
    default:
        cr_assert(false);
    }
    owner_pump(owner);
    expect_state(test, state);
    return owner;
}

struct row {
    enum conn_state state;
    bool has_output;
    enum conn_state after_end;
    enum fault_id fault_of_end;
};

static const struct row rows[] = {
    {CONN_HEAD, false, CONN_ENDED, FAULT_peer_vanished},
    {CONN_HEAD, true, CONN_FLUSH, FAULT_request_done},
    {CONN_VERDICT, false, CONN_VERDICT, FAULT_none}, // it may still read the answer
    {CONN_BODY, false, CONN_ENDED, FAULT_peer_vanished},
    {CONN_BODY, true, CONN_ENDED, FAULT_peer_vanished},
    {CONN_OPEN, false, CONN_ENDED, FAULT_peer_vanished},
    {CONN_OPEN, true, CONN_FLUSH, FAULT_peer_vanished},
    {CONN_CLOSING, false, CONN_ENDED, FAULT_draining},
    {CONN_CLOSING, true, CONN_FLUSH, FAULT_draining},
    {CONN_DISCARD, false, CONN_ENDED, FAULT_request_line_malformed},
    {CONN_DISCARD, true, CONN_FLUSH, FAULT_request_line_malformed},
    {CONN_FLUSH, true, CONN_FLUSH, FAULT_closed_by_peer},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

Test(ends, the_peers_end_in_every_state) {
    for (size_t i = 0; i < ROWS; i++) {
        struct owner *owner = owner_in(rows[i].state, rows[i].has_output);
        struct conns *conns = &owner->test->conns;
        conn_on_end(conns, owner->test->index);
        expect(conn_test_state(owner->test) == rows[i].after_end, "row %zu: %s", i,
               conn_state_name(conn_test_state(owner->test)));
        expect_fault(owner->test, rows[i].fault_of_end);
        expect(!conn_may_read(conns, owner->test->index), "row %zu: nothing more can come", i);
        if (rows[i].after_end == CONN_FLUSH) {
            cr_assert_str_neq(conn_test_send(owner->test), "");
            expect_state(owner->test, CONN_ENDED);
        }
        owner_close(owner);
    }
}

Test(ends, a_reset_in_every_state) {
    static const enum fault_id faults[] = {FAULT_peer_reset, FAULT_transport_error};
    for (size_t i = 0; i < ROWS * 2; i++) {
        const struct row *row = &rows[i / 2];
        struct owner *owner = owner_in(row->state, row->has_output);
        uint8_t before = conn_test_conn(owner->test)->fault;
        conn_on_error(&owner->test->conns, owner->test->index, faults[i % 2]);
        expect_state(owner->test, CONN_ENDED);
        expect_fault(owner->test, before == FAULT_none ? faults[i % 2] : (enum fault_id)before);
        struct span pieces[SEND_PIECES_MAX];
        expect(conn_gather(&owner->test->conns, owner->test->index, pieces) == 0,
               "there is nobody to send to");
        owner_close(owner);
    }
}

Test(ends, bytes_that_come_too_late_are_thrown_away) {
    for (size_t i = 0; i < ROWS; i++) {
        struct owner *owner = owner_in(rows[i].state, rows[i].has_output);
        struct conns *conns = &owner->test->conns;
        conn_on_error(conns, owner->test->index, FAULT_peer_reset);
        uint32_t log_bytes = owner->log_bytes;
        uint8_t bytes[] = "\x81\x81\0\0\0\0x";
        owner_feed(owner, (struct span_mut){.data = bytes, .length = 7});
        struct span_mut rest = {.data = bytes, .length = 7};
        cr_assert_eq(conn_feed(conns, owner->test->index, &rest).kind, CONN_EVENT_NONE);
        cr_assert_eq(rest.length, 0);
        conn_on_end(conns, owner->test->index);
        conn_on_error(conns, owner->test->index, FAULT_transport_error);
        expect(owner->log_bytes == log_bytes, "row %zu", i);
        owner_close(owner);
    }
}

Test(ends, a_request_whose_client_ended_its_side_is_answered) {
    struct owner *owner = owner_in(CONN_VERDICT, false);
    conn_on_end(&owner->test->conns, owner->test->index);
    struct http_reply reply = {.status = 200, .body = span_text("still")};
    conn_reply(&owner->test->conns, owner->test->index, &reply);
    cr_assert_not(reply.keep_alive);
    expect_state(owner->test, CONN_FLUSH);
    conn_test_expect_start(owner->test, "HTTP/1.1 200 ");
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_request_done);
    owner_close(owner);
}

Test(ends, an_unread_body_of_one_that_ended_its_side_is_not_waited_for) {
    struct conn_test *test = conn_test_open();
    conn_test_feed_text(test, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    conn_on_end(&test->conns, test->index);
    struct http_refusal refusal = {.fault = fault_get(FAULT_not_found)};
    conn_refuse(&test->conns, test->index, &refusal);
    expect_state(test, CONN_FLUSH);
    conn_test_expect_start(test, "HTTP/1.1 404 ");
    expect_state(test, CONN_ENDED);
    conn_test_close(test);
}

Test(ends, an_upgrade_of_one_that_ended_its_side_is_over_at_once) {
    struct conn_test *test = conn_test_open();
    conn_test_feed_text(test, "GET / HTTP/1.1\r\n" HANDSHAKE_FIELDS);
    conn_on_end(&test->conns, test->index);
    conn_upgrade(&test->conns, test->index, 1, span_empty());
    expect_state(test, CONN_ENDED);
    expect_fault(test, FAULT_peer_vanished);
    cr_assert_eq(test->conns.open_count, 0);
    conn_test_close(test);
}

Test(ends, a_short_send_is_continued_where_it_stopped) {
    for (uint32_t part = 1; part <= 12; part++) {
        struct owner *owner = owner_in(CONN_OPEN, true);
        owner_receive(owner, "i\x80\x81\0\0\0\0!", 8); // ends the unfinished message
        struct conn_test *test = owner->test;
        cr_assert(conn_test_send_part(test, part));
        while (conn_test_send_part(test, 1)) {
        }
        cr_assert_eq(test->sent_bytes, 8);
        cr_assert_arr_eq(test->sent, "\x81\1e\x81\3hi!", 8);
        cr_assert_eq(test->counters.values[COUNTER_messages_out], 2);
        owner_close(owner);
    }
}
