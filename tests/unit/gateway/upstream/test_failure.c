// What goes wrong with services, and what becomes of the exchanges.
#include "tests/unit/gateway/upstream/upstream_test.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void refuse(struct upstream_test *test, uint32_t exchange) {
    link_id id = give_socket(test, exchange);
    fake_connected(&test->io, id, -ECONNREFUSED);
    run(test);
    finish(test, id);
}

Test(failure, malformed_answers) {
    static const char *const answers[] = {
        "garbage",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", // nobody asked for it
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
    };
    for (uint32_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct upstream_test *test = upstream_test_open(1);
        link_id id = connect_now(test, ask(test, 1));
        take_sent(test, id, a_head);
        say(test, id, answers[i]);
        expect_told(test, "1 sent\n1 failed answer_malformed\n");
        cr_assert(is_closing(test, id));
        upstream_test_close(test);
    }
}

Test(failure, a_chunk_that_breaks_in_the_middle) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    say(test, id, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naX");
    expect_told(test, "1 sent\n1 head 200\n1 piece a\n1 failed answer_malformed\n");
    upstream_test_close(test);
}

Test(failure, a_head_as_long_as_the_limit_and_longer) {
    for (uint32_t length = 1023; length <= 1025; length++) {
        struct upstream_test *test = upstream_test_open(1);
        link_id id = connect_now(test, ask(test, 1));
        take_sent(test, id, a_head);
        char head[1100];
        memset(head, 'x', sizeof head);
        memcpy(head, "HTTP/1.1 204 x\r\nA: ", 19);
        memcpy(head + length - 4, "\r\n\r\n", 4);
        say_bytes(test, id, head, length);
        expect_told(test, length > 1024 ? "1 sent\n1 failed answer_malformed\n"
                                        : "1 sent\n1 head 204\n1 end\n");
        upstream_test_close(test);
    }
}

Test(failure, too_many_interim_heads) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    for (uint32_t i = 0; i <= INTERIM_MAX; i++) {
        test->log[0] = 0;
        say(test, id, "HTTP/1.1 102 x\r\n\r\n");
        expect_told(test, i < INTERIM_MAX ? "1 interim 102\n" : "1 failed answer_malformed\n");
    }
    upstream_test_close(test);
}

Test(failure, a_service_that_ends_too_early) {
    static const char *const parts[] = {"", "HTTP/1.1 200 OK\r\nConte",
                                        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd"};
    for (uint32_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        for (int32_t result = 0; result >= -ECONNRESET; result -= ECONNRESET) {
            struct upstream_test *test = upstream_test_open(1);
            link_id id = connect_now(test, ask(test, 1));
            take_sent(test, id, a_head);
            say(test, id, parts[i]);
            end(test, id, result);
            expect(strstr(test->log, "1 failed answer_cut\n") != NULL, "part %u: %s", i, test->log);
            upstream_test_close(test);
        }
    }
}

Test(failure, a_reset_does_not_complete_a_body_until_the_end) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    say(test, id, "HTTP/1.1 200 OK\r\n\r\nab");
    end(test, id, -ECONNRESET);
    expect_told(test, "1 sent\n1 head 200\n1 piece ab\n1 failed answer_cut\n");
    upstream_test_close(test);
}

// --- deadlines

Test(failure, no_connection_in_time) {
    struct upstream_test *test = upstream_test_open(1);
    give_socket(test, ask(test, 1));
    wait_ms(test, 490);
    expect_told(test, "");
    wait_ms(test, 10 + WHEEL_TICK_MS);
    expect_told(test, "1 failed upstream_connect_timeout\n");
    upstream_test_close(test);
}

Test(failure, no_answer_in_time) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    wait_ms(test, 900); // the send takes its time, and starts it anew
    take_sent(test, id, a_head);
    wait_ms(test, RESPONSE_MS - 10);
    expect_told(test, "1 sent\n");
    wait_ms(test, 10 + WHEEL_TICK_MS);
    expect_told(test, "1 failed upstream_timeout\n");
    upstream_test_close(test);
}

Test(failure, a_pause_in_the_answer) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    say(test, id, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na");
    for (uint32_t i = 0; i < 3; i++) { // each piece starts it anew
        wait_ms(test, 1900);
        say(test, id, "b");
    }
    wait_ms(test, 2000 + WHEEL_TICK_MS);
    expect(strstr(test->log, "1 failed upstream_timeout\n") != NULL, "%s", test->log);
    upstream_test_close(test);
}

Test(failure, an_idle_line_ends_by_itself) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    say(test, id, OK);
    wait_ms(test, UPSTREAM_KEPT_MS - 100);
    cr_assert(!is_closing(test, id));
    wait_ms(test, 100 + WHEEL_TICK_MS);
    cr_assert(is_closing(test, id));
    upstream_test_close(test);
}

Test(failure, an_idle_line_that_ends_or_speaks_is_closed) {
    for (uint32_t speaks = 0; speaks < 2; speaks++) {
        struct upstream_test *test = upstream_test_open(1);
        link_id id = connect_now(test, ask(test, 1));
        take_sent(test, id, a_head);
        say(test, id, OK);
        if (speaks == 1) {
            say(test, id, "HTTP/1.1 408 x\r\n\r\n");
        } else {
            end(test, id, 0);
        }
        cr_assert(is_closing(test, id));
        finish(test, id);
        test->log[0] = 0;
        link_id other = connect_now(test, ask(test, 2));
        take_sent(test, other, a_head);
        say(test, other, OK);
        expect_told(test, "2 sent\n2 head 200\n2 piece ok\n2 end\n");
        upstream_test_close(test);
    }
}

// --- another try

Test(failure, one_that_cannot_be_connected_goes_to_another_server) {
    struct upstream_test *test = upstream_test_open(2);
    uint32_t exchange = ask(test, 1);
    uint8_t first =
        line_at(&test->upstreams, exchange_at(&test->upstreams, exchange)->line)->server;
    refuse(test, exchange);
    expect_told(test, "");
    uint8_t other =
        line_at(&test->upstreams, exchange_at(&test->upstreams, exchange)->line)->server;
    cr_assert_neq(first, other);
    link_id id = connect_now(test, exchange);
    take_sent(test, id, a_head);
    say(test, id, OK);
    expect_told(test, "1 sent\n1 head 200\n1 piece ok\n1 end\n");
    upstream_test_close(test);
}

Test(failure, when_all_have_been_tried_it_fails) {
    struct upstream_test *test = upstream_test_open(2);
    uint32_t exchange = ask(test, 1);
    refuse(test, exchange);
    refuse(test, exchange);
    expect_told(test, "1 failed upstream_unreachable\n");
    upstream_test_close(test);
}

Test(failure, a_kept_line_that_proves_dead_is_tried_again_once_if_it_is_safe) {
    for (uint32_t safe = 0; safe < 2; safe++) {
        struct upstream_test *test = upstream_test_open(1);
        link_id id = connect_now(test, ask(test, 1));
        take_sent(test, id, a_head);
        say(test, id, OK);
        test->log[0] = 0;
        uint32_t exchange = ask_with(test, 2, safe == 1 ? UPSTREAM_ASK_SAFE : 0, 0, false);
        take_sent(test, id, a_head);
        end(test, id, -ECONNRESET);
        if (safe == 0) {
            expect_told(test, "2 sent\n2 failed answer_cut\n");
        } else {
            expect_told(test, "2 sent\n");
            finish(test, id);
            link_id other = connect_now(test, exchange);
            take_sent(test, other, a_head);
            end(test, other, -ECONNRESET);
            expect_told(test, "2 sent\n2 failed answer_cut\n");
        }
        upstream_test_close(test);
    }
}

// --- the breaker

Test(failure, failures_in_a_row_take_a_server_out_and_one_request_tries_again) {
    struct upstream_test *test = upstream_test_open(1);
    for (uint32_t i = 1; i <= 3; i++) {
        refuse(test, ask(test, i));
    }
    cr_assert_eq(ask(test, 4), 0);
    expect_told(test, "1 failed upstream_unreachable\n2 failed upstream_unreachable\n"
                      "3 failed upstream_unreachable\n4 refused upstream_down\n");
    cr_assert_eq(test->base.counters.values[COUNTER_upstream_breaks], 1);
    wait_ms(test, 3000);
    uint32_t probe = ask(test, 5);
    cr_assert_neq(probe, 0);
    cr_assert_eq(ask(test, 6), 0, "only one tries");
    refuse(test, probe);
    cr_assert_eq(ask(test, 7), 0, "it failed");
    expect_told(test, "6 refused upstream_down\n5 failed upstream_unreachable\n"
                      "7 refused upstream_down\n");
    wait_ms(test, 3000);
    link_id id = connect_now(test, ask(test, 8));
    take_sent(test, id, a_head);
    say(test, id, OK);
    ask(test, 9);
    take_sent(test, id, a_head);
    say(test, id, OK);
    expect_told(test, "8 sent\n8 head 200\n8 piece ok\n8 end\n"
                      "9 sent\n9 head 200\n9 piece ok\n9 end\n");
    upstream_test_close(test);
}

Test(failure, an_answer_in_between_counts_from_zero) {
    struct upstream_test *test = upstream_test_open(1);
    for (uint32_t round = 0; round < 3; round++) {
        refuse(test, ask(test, 1));
        refuse(test, ask(test, 1));
        link_id id = connect_now(test, ask(test, 1));
        take_sent(test, id, a_head);
        say(test, id, "HTTP/1.1 204 x\r\nConnection: close\r\n\r\n");
        finish(test, id);
    }
    cr_assert_eq(test->base.counters.values[COUNTER_upstream_breaks], 0);
    upstream_test_close(test);
}

Test(failure, a_probe_whose_client_goes_away_decides_nothing) {
    struct upstream_test *test = upstream_test_open(1);
    for (uint32_t i = 1; i <= 3; i++) {
        refuse(test, ask(test, i));
    }
    wait_ms(test, 3000);
    uint32_t probe = ask(test, 5);
    upstream_drop(&test->upstreams, probe, false);
    test->log[0] = 0;
    uint32_t next = ask(test, 6);
    cr_assert_neq(next, 0, "the next one tries");
    upstream_drop(&test->upstreams, next, false);
    fake_socket(&test->io, 0, UPSTREAM_LINK_TAG | 1, 0);
    fake_socket(&test->io, 0, UPSTREAM_LINK_TAG | 2, 0);
    run(test);
    upstream_test_close(test);
}

// Whatever it says: its client is held up for it.
Test(failure, a_service_that_sends_but_takes_nothing_is_given_up_at_the_response_deadline) {
    static const char *const heads[] = {
        "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"};
    static const char *const pieces[] = {"HTTP/1.1 102 x\r\n\r\n", "1\r\nx\r\n", "x"};
    for (uint32_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct upstream_test *test = upstream_test_open(1);
        uint32_t exchange = ask_with(test, 1, i == 2 ? UPSTREAM_ASK_UPGRADE : 0, 0, i < 2);
        link_id id = connect_now(test, exchange);
        take_sent(test, id, a_head);
        say(test, id, heads[i]);
        upstream_send(&test->upstreams, exchange,
                      payload_bytes(&test->base.arena, span_text("more")));
        upstreams_pump(&test->upstreams);
        for (uint32_t ms = 0; ms < RESPONSE_MS - 200; ms += 200) {
            say(test, id, pieces[i]);
            wait_ms(test, 200);
        }
        expect(strstr(test->log, "failed") == NULL, "row %u: %s", i, test->log);
        test->log[0] = 0;
        wait_ms(test, 200);
        expect_told(test, "1 failed upstream_timeout\n");
        cr_assert(is_closing(test, id));
        upstream_test_close(test);
    }
}

Test(failure, a_head_that_trickles_is_no_answer) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    for (uint32_t ms = 0; ms < RESPONSE_MS; ms += 200) {
        say(test, id, ms == 0 ? "HTTP/1.1 200 OK\r\nA: " : "x");
        wait_ms(test, 200);
    }
    expect_told(test, "1 sent\n1 failed upstream_timeout\n");
    upstream_test_close(test);
}

// --- waiting

Test(failure, more_than_its_lines_wait_and_more_than_the_queue_are_refused) {
    struct upstream_test *test = upstream_test_open(1);
    link_id first = connect_now(test, ask(test, 1));
    connect_now(test, ask(test, 2));
    cr_assert_neq(ask(test, 3), 0);
    cr_assert_neq(ask(test, 4), 0);
    cr_assert_eq(ask(test, 5), 0);
    expect_told(test, "5 refused upstream_busy\n");
    take_sent(test, first, a_head);
    say(test, first, OK);
    take_sent(test, first, a_head); // the oldest that waits is next
    expect_told(test, "1 sent\n1 head 200\n1 piece ok\n1 end\n3 sent\n");
    upstream_drop(&test->upstreams, 4, false);
    upstream_drop(&test->upstreams, 2, false);
    upstream_drop(&test->upstreams, 3, false);
    upstream_test_close(test);
}

Test(failure, who_waits_too_long_is_refused) {
    struct upstream_test *test = upstream_test_open(1);
    connect_now(test, ask(test, 1));
    connect_now(test, ask(test, 2));
    ask(test, 3);
    cr_assert_leq(upstreams_wait_ms(&test->upstreams), 500);
    wait_ms(test, 499);
    expect_told(test, "");
    wait_ms(test, 1);
    expect_told(test, "3 failed upstream_busy\n");
    upstream_drop(&test->upstreams, 1, false);
    upstream_drop(&test->upstreams, 2, false);
    upstream_test_close(test);
}

Test(failure, a_line_that_fails_makes_room) {
    struct upstream_test *test = upstream_test_open(1);
    link_id first = connect_now(test, ask(test, 1));
    connect_now(test, ask(test, 2));
    uint32_t waiting = ask(test, 3);
    say(test, first, "garbage");
    expect_told(test, "1 failed answer_malformed\n");
    link_id third = connect_now(test, waiting);
    take_sent(test, third, a_head);
    expect_told(test, "3 sent\n");
    upstream_drop(&test->upstreams, waiting, false);
    upstream_drop(&test->upstreams, 2, false);
    upstream_test_close(test);
}

Test(failure, no_descriptor_is_our_own_want) {
    struct upstream_test *test = upstream_test_open(1);
    uint32_t exchange = ask(test, 1);
    uint32_t line = exchange_at(&test->upstreams, exchange)->line;
    fake_socket(&test->io, 0, UPSTREAM_LINK_TAG | line, -ENFILE);
    run(test);
    expect_told(test, "1 failed out_of_memory\n");
    cr_assert_eq(test->upstreams.items[0].servers[0].failures, 0);
    upstream_test_close(test);
}

Test(failure, no_memory_for_what_comes_is_not_the_service_s_fault) {
    static char long_head[1024 + 1]; // as long as the first block for it
    memset(long_head, 'x', sizeof long_head - 1);
    memcpy(long_head, "HTTP/1.1 204 x\r\nA: ", 19);
    const struct {
        const char *before, *answer;
    } rows[] = {
        {"", "HTTP/1.1 200"}, // a piece of a head is kept
        {long_head, "x"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         "1\r\na\r\n1\r\nb\r\n"}, // paused at the first piece, the other one is held
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct upstream_test *test = upstream_test_open(1);
        test->pauses_at_piece = true;
        test->upstreams.head_bytes_max = 4096;
        link_id id = connect_now(test, ask(test, 1));
        take_sent(test, id, a_head);
        say(test, id, rows[i].before);
        uint64_t limit = test->base.arena.limit_bytes;
        test->base.arena.limit_bytes = 0;
        say(test, id, rows[i].answer);
        test->base.arena.limit_bytes = limit;
        expect(strstr(test->log, "1 failed out_of_memory\n") != NULL, "row %u: %s", i, test->log);
        cr_assert(is_closing(test, id));
        cr_assert_eq(test->upstreams.items[0].servers[0].failures, 0);
        cr_assert_eq(test->upstreams.items[0].errors, 0);
        upstream_test_close(test);
    }
}

Test(failure, no_memory_for_what_is_to_be_sent) {
    struct upstream_test *test = upstream_test_open(1);
    test->base.conns.entries.limit = 0;
    connect_now(test, ask(test, 1));
    expect_told(test, "1 failed out_of_memory\n");
    upstream_test_close(test);
}
