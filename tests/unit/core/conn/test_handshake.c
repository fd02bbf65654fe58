// The opening handshake and what stands around it, however the bytes are cut.
#include "tests/unit/core/conn/conn_life.h"

#include <signal.h>

Test(handshake, the_answer_is_the_rfcs) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, UPGRADE);
    cr_assert_str_eq((char *)owner->test->sent, SWITCHING);
    expect_state(owner->test, CONN_OPEN);
    cr_assert_eq(owner->test->conns.open_count, 1);
    cr_assert_eq(owner->test->counters.values[COUNTER_handshakes], 1);
    cr_assert_eq(owner->test->conns.inputs.used, 0); // an idle connection holds nothing
    cr_assert_eq(owner->test->arena.used_bytes, 0);
    owner_close(owner);
}

Test(handshake, the_chosen_subprotocol_is_named) {
    struct conn_test *test = conn_test_open();
    conn_test_feed_text(test, UPGRADE);
    conn_upgrade(&test->conns, test->index, 1, span_text("chat.v2"));
    cr_assert_not_null(strstr(conn_test_send(test), "\r\nSec-WebSocket-Protocol: chat.v2\r\n\r\n"));
    conn_test_close(test);
}

static void expect_same_life(struct owner *owner, const struct owner *whole, uint32_t first,
                             uint32_t second) {
    expect(strcmp(owner->log, whole->log) == 0, "cut at %u and %u:\n%s\ninstead of\n%s", first,
           second, owner->log, whole->log);
    expect(owner->test->sent_bytes == whole->test->sent_bytes &&
               memcmp(owner->test->sent, whole->test->sent, whole->test->sent_bytes) == 0,
           "cut at %u and %u: sent %.*s", first, second, (int)owner->test->sent_bytes,
           (char *)owner->test->sent);
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_closed_by_peer);
    owner_close(owner);
}

Test(handshake, a_whole_life_in_one_piece) {
    struct bytes life = {0};
    life_make(&life);
    struct owner *owner = live(&life, life.length, life.length);
    cr_assert_str_eq(owner->log, "request /a\nrequest /no\nrequest /take\nbody hello\n"
                                 "request /take\nbody abcde\nrequest /take\nbody \n"
                                 "request /ws upgrade\nmessage 1 5 first\nmessage 1 7 between\n"
                                 "message 2 0 \n");
    const char *sent = (const char *)owner->test->sent;
    const char *frames = strstr(sent, SWITCHING) + strlen(SWITCHING);
    static const char expected[] = "\x81\x05"
                                   "first\x8a\x04ping\x81\x07"
                                   "between\x82\x00\x88\x02\x03\xe8";
    cr_assert_eq(sent + owner->test->sent_bytes - frames, sizeof expected - 1);
    cr_assert_arr_eq(frames, expected, sizeof expected - 1);
    owner_close(owner);
}

Test(handshake, a_life_is_the_same_at_every_split_point) {
    struct bytes life = {0};
    life_make(&life);
    struct owner *whole = live(&life, life.length, life.length);
    for (uint32_t first = 0; first < life.length; first++) {
        expect_same_life(live(&life, first, life.length), whole, first, life.length);
    }
    owner_close(whole);
}

Test(handshake, a_life_is_the_same_in_three_pieces) {
    struct bytes life = {0};
    life_make(&life);
    struct owner *whole = live(&life, life.length, life.length);
    for (uint32_t first = 0; first < life.length; first += 7) {
        for (uint32_t second = first; second < life.length; second += 13) {
            expect_same_life(live(&life, first, second), whole, first, second);
        }
    }
    owner_close(whole);
}

Test(handshake, a_life_is_the_same_one_byte_at_a_time) {
    struct bytes life = {0};
    life_make(&life);
    struct owner *whole = live(&life, life.length, life.length);
    struct owner *owner = owner_open();
    for (uint32_t i = 0; i < life.length; i++) {
        expect(owner_receive(owner, life.data + i, 1), "byte %u was not read", i);
    }
    expect_same_life(owner, whole, 1, 1);
    owner_close(whole);
}

Test(handshake, bytes_behind_the_get_wait_for_the_verdict) {
    struct owner *owner = owner_open();
    struct bytes bytes = {0};
    static const char later[] = "GET /later HTTP/1.1\r\n" HANDSHAKE_FIELDS;
    bytes_add(&bytes, later, sizeof later - 1);
    bytes_frame(&bytes, 0x81, "early");
    bytes_frame(&bytes, 0x89, "p");
    owner_receive(owner, bytes.data, bytes.length);
    expect_state(owner->test, CONN_VERDICT);
    cr_assert_str_eq(owner->log, "request /later upgrade\n"); // neither read nor lost
    cr_assert_eq(owner->test->sent_bytes, 0);
    cr_assert_not(conn_may_read(&owner->test->conns, owner->test->index));
    conn_upgrade(&owner->test->conns, owner->test->index, 1, span_empty());
    owner_pump(owner);
    static const char expected[] = SWITCHING "\x81\x05"
                                             "early\x8a\x01p";
    cr_assert_eq(owner->test->sent_bytes, sizeof expected - 1);
    cr_assert_arr_eq(owner->test->sent, expected, sizeof expected - 1);
    cr_assert(conn_may_read(&owner->test->conns, owner->test->index));
    cr_assert_eq(owner->test->conns.inputs.used, 0);
    owner_close(owner);
}

Test(handshake, held_bytes_go_with_a_connection_that_ends) {
    struct owner *owner = owner_open();
    struct bytes bytes = {0};
    static const char later[] = "GET /later HTTP/1.1\r\n" HANDSHAKE_FIELDS;
    bytes_add(&bytes, later, sizeof later - 1);
    bytes_frame(&bytes, 0x81, "early");
    owner_receive(owner, bytes.data, bytes.length);
    conn_on_error(&owner->test->conns, owner->test->index, FAULT_peer_reset);
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

Test(handshake, pipelined_requests_wait_until_the_replies_are_out) {
    struct owner *owner = owner_open();
    owner->is_deaf = true; // the client does not read
    owner_receive_text(owner, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                              "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                              "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert_str_eq(owner->log, "request /1\n");
    cr_assert_not(conn_may_read(&owner->test->conns, owner->test->index));
    conn_test_send(owner->test); // one reply leaves: the next request is looked at
    owner_pump(owner);
    cr_assert_str_eq(owner->log, "request /1\nrequest /2\n");
    owner->is_deaf = false;
    conn_test_send(owner->test);
    owner_pump(owner);
    cr_assert_str_eq(owner->log, "request /1\nrequest /2\nrequest /3\n");
    cr_assert(conn_may_read(&owner->test->conns, owner->test->index));
    owner_close(owner);
}

Test(handshake, one_told_to_close_meanwhile_is_refused) {
    static const struct {
        enum fault_id fault;
        const char *start;
    } rows[] = {{FAULT_draining, "HTTP/1.1 503 "},
                {FAULT_out_of_memory, "HTTP/1.1 503 "},
                {FAULT_closed_by_operator, "HTTP/1.1 503 "}}; // a row without a status
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct conn_test *test = conn_test_open();
        conn_test_feed_text(test, UPGRADE);
        conn_close(&test->conns, test->index, &(struct conn_close_options){.fault = rows[i].fault});
        expect_state(test, CONN_VERDICT); // the exchange in progress is finished first
        conn_upgrade(&test->conns, test->index, 1, span_empty());
        conn_test_expect_start(test, rows[i].start);
        expect_state(test, CONN_ENDED);
        expect_fault(test, rows[i].fault);
        cr_assert_eq(test->counters.values[COUNTER_handshakes], 0);
        conn_test_close(test);
    }
}

Test(handshake, a_plain_request_may_not_be_upgraded, .signal = SIGABRT) {
    struct conn_test *test = conn_test_open();
    conn_test_feed_text(test, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    conn_upgrade(&test->conns, test->index, 1, span_empty());
}
