// Exchanges that pass through: the body in pieces, the answer in pieces, and how they end.
#include "tests/unit/core/conn/conn_owner.h"

#define HOST "Host: a\r\n"
#define GET_RELAY "GET /relay HTTP/1.1\r\n" HOST "\r\n"
#define POST_RELAY(length) "POST /relay HTTP/1.1\r\n" HOST "Content-Length: " #length "\r\n\r\n"
#define CHUNKED_RELAY "POST /relay HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

static struct conns *conns_of(struct owner *owner) {
    return &owner->test->conns;
}

static void end(struct owner *owner, bool keeps_alive) {
    conn_relay_end(conns_of(owner), owner->test->index, keeps_alive);
    owner_pump(owner);
}

static void expect_log(const struct owner *owner, const char *wanted) {
    cr_assert_str_eq(owner->log, wanted, "%s", owner->log);
}

static void expect_sent(const struct owner *owner, const char *wanted) {
    expect(owner->test->sent_bytes == strlen(wanted) &&
               memcmp(owner->test->sent, wanted, strlen(wanted)) == 0,
           "sent: %.*s", (int)owner->test->sent_bytes, (const char *)owner->test->sent);
}

Test(relay, an_answer_in_pieces_and_the_next_request) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, GET_RELAY);
    expect_state(owner->test, CONN_RELAY);
    cr_assert(!conn_relay_reads(conns_of(owner), owner->test->index));
    cr_assert(!conn_relay_has_reply(conns_of(owner), owner->test->index));
    cr_assert(conn_relay_keeps(conns_of(owner), owner->test->index));
    cr_assert(owner_put(owner, ANSWER));
    cr_assert(conn_relay_has_reply(conns_of(owner), owner->test->index));
    cr_assert(owner_put(owner, "ok"));
    expect_sent(owner, ANSWER "ok");
    end(owner, true);
    expect_state(owner->test, CONN_HEAD);
    owner_receive_text(owner, "GET /2 HTTP/1.1\r\n" HOST "\r\n");
    expect_log(owner, "request /relay\nrequest /2\n");
    owner_close(owner);
}

Test(relay, a_body_comes_in_the_pieces_in_which_it_arrives) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, POST_RELAY(6) "ab");
    owner_receive_text(owner, "cde");
    owner_receive_text(owner, "f");
    expect_log(owner, "request /relay\npiece ab\npiece cde\npiece f final\n");
    cr_assert(!conn_may_read(conns_of(owner), owner->test->index));
    owner_close(owner);
}

Test(relay, chunks_are_taken_off_and_their_end_is_a_piece_of_nothing) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, CHUNKED_RELAY "3\r\nabc\r\n");
    owner_receive_text(owner, "0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
    expect_log(owner, "request /relay\npiece abc\npiece  final\n");
    owner_put(owner, ANSWER "ok");
    end(owner, true);
    cr_assert_not_null(strstr(owner->log, "request /\n"), "what was held is looked at");
    owner_close(owner);
}

Test(relay, a_fault_of_the_body_is_told_and_answered) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, CHUNKED_RELAY "3\r\nabc");
    owner_receive_text(owner, "x");
    expect_log(owner, "request /relay\npiece abc\npiece chunk_malformed\n");
    struct http_refusal refusal = {.fault = fault_get(FAULT_chunk_malformed)};
    conn_refuse(conns_of(owner), owner->test->index, &refusal);
    expect_state(owner->test, CONN_DISCARD);
    owner_close(owner);
}

Test(relay, a_paused_body_is_not_read) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, POST_RELAY(4) "a");
    conn_pause(conns_of(owner), owner->test->index);
    cr_assert(!conn_may_read(conns_of(owner), owner->test->index));
    conn_test_wait(owner->test, 60000); // the client is not to blame
    expect_state(owner->test, CONN_RELAY);
    conn_unpause(conns_of(owner), owner->test->index);
    cr_assert(owner_receive_text(owner, "bcd"));
    expect_log(owner, "request /relay\npiece a\npiece bcd final\n");
    owner_close(owner);
}

Test(relay, a_body_that_stops_is_refused) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, POST_RELAY(4) "a");
    conn_test_wait(owner->test, owner->test->conns.handshake_ms + WHEEL_TICK_MS);
    owner_pump(owner);
    cr_assert_not_null(strstr((char *)owner->test->sent, "HTTP/1.1 408 "));
    cr_assert(!owner_put(owner, ANSWER), "the answer comes too late");
    expect_fault(owner->test, FAULT_handshake_timeout);
    owner_close(owner);
}

Test(relay, a_body_that_stops_behind_a_begun_answer_is_cut) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, POST_RELAY(4) "a");
    owner_put(owner, ANSWER);
    conn_test_wait(owner->test, owner->test->conns.handshake_ms + WHEEL_TICK_MS);
    expect_state(owner->test, CONN_ENDED);
    expect_sent(owner, ANSWER);
    owner_close(owner);
}

Test(relay, the_answer_itself_has_no_deadline_here) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, GET_RELAY);
    conn_test_wait(owner->test, 300000);
    expect_state(owner->test, CONN_RELAY);
    owner_close(owner);
}

Test(relay, an_early_answer_ends_the_connection) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, POST_RELAY(4) "a");
    owner_put(owner, ANSWER "ok");
    end(owner, true);
    expect_state(owner->test, CONN_DISCARD);
    owner_close(owner);
}

Test(relay, the_owner_may_end_the_connection) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, GET_RELAY);
    owner_put(owner, ANSWER "ok");
    end(owner, false);
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_request_done);
    owner_close(owner);
}

Test(relay, an_answer_that_is_cut_sends_what_was_put) {
    struct owner *owner = owner_open();
    owner->is_deaf = true;
    owner_receive_text(owner, GET_RELAY);
    owner_put(owner, ANSWER "o");
    conn_relay_cut(conns_of(owner), owner->test->index, FAULT_internal_error);
    expect_state(owner->test, CONN_FLUSH);
    owner->is_deaf = false;
    owner_pump(owner);
    expect_state(owner->test, CONN_ENDED);
    expect_sent(owner, ANSWER "o");
    expect_fault(owner->test, FAULT_internal_error);
    owner_close(owner);
}

Test(relay, a_client_that_goes_in_its_body_is_gone) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, POST_RELAY(4) "a");
    conn_on_end(conns_of(owner), owner->test->index);
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_peer_vanished);
    cr_assert(!owner_put(owner, ANSWER));
    end(owner, true); // no effect
    owner_close(owner);
}

Test(relay, a_client_may_end_its_side_behind_a_whole_request) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, GET_RELAY);
    conn_on_end(conns_of(owner), owner->test->index);
    cr_assert(!conn_relay_keeps(conns_of(owner), owner->test->index));
    cr_assert(owner_put(owner, ANSWER "ok"));
    end(owner, true);
    expect_state(owner->test, CONN_ENDED);
    expect_sent(owner, ANSWER "ok");
    owner_close(owner);
}

Test(relay, an_upgrade_that_waited_for_a_service) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "GET /relay HTTP/1.1\r\n" HANDSHAKE_FIELDS);
    conn_test_wait(owner->test, 60000);
    conn_upgrade(conns_of(owner), owner->test->index, 1, span_empty());
    owner_pump(owner);
    expect_state(owner->test, CONN_OPEN);
    owner_close(owner);
}

Test(relay, a_close_that_is_ordered_waits_for_the_answer) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, GET_RELAY);
    conn_close(conns_of(owner), owner->test->index,
               &(struct conn_close_options){.fault = FAULT_draining});
    expect_state(owner->test, CONN_RELAY);
    cr_assert(!conn_relay_keeps(conns_of(owner), owner->test->index));
    owner_put(owner, ANSWER "ok");
    end(owner, true);
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_draining);
    owner_close(owner);
}

Test(relay, no_memory_for_a_piece_ends_it) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, GET_RELAY);
    cr_assert(!conn_relay_put(conns_of(owner), owner->test->index, 0));
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_out_of_memory);
    owner_close(owner);
}
