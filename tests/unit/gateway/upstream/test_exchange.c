// Exchanges that go well: one line after the other's use, bodies of every framing, pauses.
#include "tests/unit/gateway/upstream/upstream_test.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Test(exchange, a_request_is_sent_and_its_answer_told) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 7));
    take_sent(test, id, a_head);
    say(test, id, OK);
    expect_told(test, "7 sent\n7 head 200\n7 piece ok\n7 end\n");
    cr_assert_eq(test->answer_ns.count, 1);
    cr_assert(!is_closing(test, id));
    upstream_test_close(test);
}

Test(exchange, the_line_is_kept_for_the_next) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    say(test, id, OK);
    for (uint32_t i = 2; i < 10; i++) {
        ask(test, i);
        take_sent(test, id, a_head);
        say(test, id, OK);
    }
    cr_assert_eq(test->base.counters.values[COUNTER_upstream_connects], 1);
    cr_assert_eq(test->base.counters.values[COUNTER_upstream_reused], 8);
    upstream_test_close(test);
}

Test(exchange, an_answer_byte_by_byte) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    const char *text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for (const char *at = text; *at != 0; at++) {
        say_bytes(test, id, at, 1);
    }
    expect_told(test, "1 sent\n1 head 200\n1 piece a\n1 piece b\n1 piece c\n1 end\n");
    cr_assert(!is_closing(test, id));
    upstream_test_close(test);
}

Test(exchange, when_a_line_is_not_kept) {
    static const struct {
        const char *answer;
        uint8_t flags;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 0},
        {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 0},
        {"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n", 0}, // more than was asked for
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", UPSTREAM_ASK_UPGRADE},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct upstream_test *test = upstream_test_open(1);
        link_id id = connect_now(test, ask_with(test, 1, rows[i].flags, 0, false));
        take_sent(test, id, a_head);
        say(test, id, rows[i].answer);
        expect(strstr(test->log, "1 end\n") != NULL, "row %u: %s", i, test->log);
        expect(is_closing(test, id), "row %u", i);
        upstream_test_close(test);
    }
}

Test(exchange, an_answer_to_head_has_no_body) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask_with(test, 1, UPSTREAM_ASK_HEAD, 0, false));
    take_sent(test, id, a_head);
    say(test, id, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    expect_told(test, "1 sent\n1 head 200\n1 end\n");
    cr_assert(!is_closing(test, id));
    upstream_test_close(test);
}

Test(exchange, a_body_until_the_end) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    say(test, id, "HTTP/1.1 200 OK\r\n\r\nab");
    say(test, id, "cd");
    end(test, id, 0);
    expect_told(test, "1 sent\n1 head 200\n1 piece ab\n1 piece cd\n1 end\n");
    cr_assert(is_closing(test, id));
    upstream_test_close(test);
}

Test(exchange, interim_heads_come_before_the_answer) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    say(test, id, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n" OK);
    expect_told(test, "1 sent\n1 interim 100\n1 interim 103\n1 head 200\n1 piece ok\n1 end\n");
    upstream_test_close(test);
}

Test(exchange, a_body_follows_its_head) {
    struct upstream_test *test = upstream_test_open(1);
    uint32_t exchange = ask_with(test, 1, 0, 0, true);
    link_id id = connect_now(test, exchange);
    take_sent(test, id, a_head);
    for (uint32_t i = 0; i < 3; i++) {
        upstream_send(&test->upstreams, exchange,
                      payload_bytes(&test->base.arena, span_text("abc")));
    }
    cr_assert_eq(upstream_queued_bytes(&test->upstreams, exchange), 9);
    upstreams_pump(&test->upstreams);
    take_sent(test, id, "abcabcabc");
    wait_ms(test, 60000); // the client has not brought everything: its deadlines count
    expect_told(test, "1 sent\n1 sent\n");
    upstream_send_end(&test->upstreams, exchange);
    say(test, id, OK);
    expect_told(test, "1 head 200\n1 piece ok\n1 end\n");
    cr_assert(!is_closing(test, id));
    upstream_test_close(test);
}

Test(exchange, an_answer_before_the_body_was_sent_ends_the_line) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask_with(test, 1, 0, 0, true));
    take_sent(test, id, a_head);
    say(test, id, "HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n");
    expect_told(test, "1 sent\n1 head 413\n1 end\n");
    cr_assert(is_closing(test, id));
    upstream_test_close(test);
}

Test(exchange, a_service_that_stops_reading_may_still_answer) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    fake_sent(&test->io, id, -EPIPE);
    run(test);
    say(test, id, "HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n");
    expect_told(test, "1 sent\n1 head 400\n1 end\n");
    cr_assert(is_closing(test, id));
    upstream_test_close(test);
}

Test(exchange, paused_nothing_is_read_and_no_deadline_counts) {
    struct upstream_test *test = upstream_test_open(1);
    test->pauses_at_piece = true;
    uint32_t exchange = ask(test, 1);
    link_id id = connect_now(test, exchange);
    take_sent(test, id, a_head);
    say(test, id, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n");
    expect_told(test, "1 sent\n1 head 200\n1 piece a\n");
    wait_ms(test, 600000);
    cr_assert(!fake_at(&test->io, id)->is_receiving);
    expect_told(test, "");
    upstream_unpause(&test->upstreams, exchange); // pauses again at the next piece
    upstreams_pump(&test->upstreams);
    expect_told(test, "1 piece b\n");
    test->pauses_at_piece = false;
    upstream_unpause(&test->upstreams, exchange);
    upstreams_pump(&test->upstreams);
    say(test, id, "0\r\n\r\n");
    expect_told(test, "1 end\n");
    upstream_test_close(test);
}

Test(exchange, a_line_kept_behind_a_paused_answer_is_read_on) {
    struct upstream_test *test = upstream_test_open(1);
    test->pauses_at_piece = true; // the last one: nobody unpauses it
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    say(test, id, OK);
    expect_told(test, "1 sent\n1 head 200\n1 piece ok\n1 end\n");
    cr_assert(!is_closing(test, id));
    end(test, id, 0); // seen: the next request does not go out on a dead line
    cr_assert(is_closing(test, id));
    upstream_test_close(test);
}

Test(exchange, dropped_in_the_middle_its_line_is_closed) {
    struct upstream_test *test = upstream_test_open(1);
    test->drops_at_head = true;
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    say(test, id, OK);
    expect_told(test, "1 sent\n1 head 200\n");
    cr_assert(is_closing(test, id));
    upstream_test_close(test);
}

Test(exchange, dropped_before_it_is_connected) {
    for (uint32_t when = 0; when < 2; when++) {
        struct upstream_test *test = upstream_test_open(1);
        uint32_t exchange = ask(test, 1);
        uint32_t line = exchange_at(&test->upstreams, exchange)->line;
        link_id id = when == 0 ? LINK_NONE : give_socket(test, exchange);
        upstream_drop(&test->upstreams, exchange, false);
        if (when == 0) {
            id = fake_socket(&test->io, 0, UPSTREAM_LINK_TAG | line, 0);
            run(test);
        }
        cr_assert(is_closing(test, id));
        expect_told(test, "");
        upstream_test_close(test);
    }
}

// --- upgrades

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"

Test(exchange, after_101_the_bytes_are_the_owners) {
    struct upstream_test *test = upstream_test_open(1);
    uint32_t exchange = ask_with(test, 1, UPSTREAM_ASK_UPGRADE, 0, false);
    link_id id = connect_now(test, exchange);
    take_sent(test, id, a_head);
    say(test, id, SWITCHING "first");
    say(test, id, "second");
    expect_told(test, "1 sent\n1 head 101\n1 raw first\n1 raw second\n");
    upstream_send(&test->upstreams, exchange, payload_bytes(&test->base.arena, span_text("back")));
    upstreams_pump(&test->upstreams);
    take_sent(test, id, "back");
    upstream_alarm(&test->upstreams, exchange, 5000);
    wait_ms(test, 4900);
    expect_told(test, "1 sent\n");
    wait_ms(test, 200);
    expect_told(test, "1 due\n");
    wait_ms(test, 600000); // no other deadline
    end(test, id, 0);
    expect_told(test, "1 raw end\n");
    upstream_test_close(test);
}

Test(exchange, what_waits_may_be_flushed_at_the_end) {
    struct upstream_test *test = upstream_test_open(1);
    uint32_t exchange = ask_with(test, 1, UPSTREAM_ASK_UPGRADE, 0, false);
    link_id id = connect_now(test, exchange);
    take_sent(test, id, a_head);
    say(test, id, SWITCHING);
    upstream_send(&test->upstreams, exchange, payload_bytes(&test->base.arena, span_text("bye")));
    upstream_drop(&test->upstreams, exchange, true);
    upstreams_pump(&test->upstreams);
    cr_assert(!is_closing(test, id));
    take_sent(test, id, "bye");
    cr_assert(is_closing(test, id));
    upstream_test_close(test);
}

Test(exchange, what_is_left_half_a_second_after_a_stop_is_cut) {
    struct upstream_test *test = upstream_test_open(1);
    uint32_t waits = ask_with(test, 1, UPSTREAM_ASK_UPGRADE, 0, false);
    link_id waiting = connect_now(test, waits);
    take_sent(test, waiting, a_head);
    say(test, waiting, SWITCHING);
    upstream_alarm(&test->upstreams, waits, CLOSE_WAIT_MS); // for a Close that does not come
    uint32_t flushes = ask_with(test, 2, UPSTREAM_ASK_UPGRADE, 0, false);
    link_id flushing = connect_now(test, flushes);
    take_sent(test, flushing, a_head);
    say(test, flushing, SWITCHING);
    expect_told(test, "1 sent\n1 head 101\n2 sent\n2 head 101\n");
    upstream_send(&test->upstreams, flushes, payload_bytes(&test->base.arena, span_text("bye")));
    upstream_drop(&test->upstreams, flushes, true);
    upstreams_pump(&test->upstreams);
    upstreams_stop(&test->upstreams);
    wait_ms(test, 499);
    cr_assert(!is_closing(test, waiting) && !is_closing(test, flushing));
    expect_told(test, "");
    wait_ms(test, 1);
    cr_assert(is_closing(test, waiting) && is_closing(test, flushing));
    expect_told(test, "1 failed killed\n");
    upstream_test_close(test);
}

Test(exchange, an_upgrade_takes_no_place_of_requests) {
    struct upstream_test *test = upstream_test_open(1);
    for (uint32_t i = 0; i < 5; i++) {
        connect_now(test, ask_with(test, i, UPSTREAM_ASK_UPGRADE, 0, false));
    }
    cr_assert_eq(test->upstreams.items[0].servers[0].open, 0);
    cr_assert_eq(test->upstreams.items[0].servers[0].pending, 5);
    for (uint32_t i = 1; i <= 5; i++) {
        upstream_drop(&test->upstreams, i, false);
    }
    upstream_test_close(test);
}
