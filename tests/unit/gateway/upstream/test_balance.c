// Which server is asked, and what a new configuration keeps.
#include "tests/unit/gateway/upstream/upstream_test.h"

static uint8_t server_asked(struct upstream_test *test, uint32_t exchange) {
    cr_assert_neq(exchange, 0);
    return line_at(&test->upstreams, exchange_at(&test->upstreams, exchange)->line)->server;
}

static void drop_all(struct upstream_test *test, uint32_t count) {
    for (uint32_t i = 1; i <= count; i++) {
        uint32_t line = exchange_at(&test->upstreams, i)->line;
        upstream_drop(&test->upstreams, i, false);
        fake_socket(&test->io, 0, UPSTREAM_LINK_TAG | line, 0);
        run(test);
    }
}

Test(balance, the_fewest_exchanges_and_in_turn_among_equals) {
    struct upstream_test *test = upstream_test_open(3);
    uint32_t counts[3] = {0};
    for (uint32_t i = 0; i < 6; i++) {
        counts[server_asked(test, ask(test, i))]++;
    }
    cr_assert(counts[0] == 2 && counts[1] == 2 && counts[2] == 2);
    uint8_t server = server_asked(test, 4);
    upstream_drop(&test->upstreams, 4, false);
    cr_assert_eq(server_asked(test, ask(test, 6)), server);
    fake_socket(&test->io, 0, UPSTREAM_LINK_TAG | 4, 0);
    run(test);
    drop_all(test, 6);
    upstream_test_close(test);
}

Test(balance, a_hash_finds_the_same_server_and_uses_all_of_them) {
    struct upstream_test *test = upstream_test_open(3);
    struct upstream *upstream = &test->upstreams.items[0];
    uint32_t counts[3] = {0};
    bool has_room;
    for (uint32_t hash = 1; hash <= 3000; hash++) {
        struct upstream_exchange exchange = {.hash = hash * 2654435761u};
        uint8_t server = server_choose(upstream, &exchange, 1, &has_room);
        cr_assert_eq(server_choose(upstream, &exchange, 1, &has_room), server);
        counts[server]++;
    }
    for (uint32_t i = 0; i < 3; i++) {
        expect(counts[i] > 850 && counts[i] < 1150, "server %u has %u of 3000", i, counts[i]);
    }
    upstream_test_close(test);
}

Test(balance, a_server_that_goes_moves_only_its_own_hashes) {
    struct upstream_test *test = upstream_test_open(3);
    struct upstream *upstream = &test->upstreams.items[0];
    bool has_room;
    for (uint32_t hash = 1; hash <= 1000; hash++) {
        struct upstream_exchange exchange = {.hash = hash * 2654435761u};
        upstream->servers[1].breaker = UPSTREAM_CLOSED;
        uint8_t before = server_choose(upstream, &exchange, 1, &has_room);
        upstream->servers[1].breaker = UPSTREAM_OPEN;
        upstream->servers[1].retry_due_ms = 100;
        uint8_t after = server_choose(upstream, &exchange, 1, &has_room);
        cr_assert(before == 1 ? after != 1 : after == before);
    }
    upstream_test_close(test);
}

Test(balance, a_busy_server_is_passed_over_but_not_by_a_hash) {
    struct upstream_test *test = upstream_test_open(2);
    struct upstream *upstream = &test->upstreams.items[0];
    upstream->servers[0].open = upstream->connections_max;
    bool has_room;
    struct upstream_exchange exchange = {.hash = 0};
    upstream->servers[1].pending = 100;
    cr_assert_eq(server_choose(upstream, &exchange, 1, &has_room), 1);
    cr_assert(has_room);
    uint32_t waits = 0;
    for (uint32_t hash = 1; hash <= 100; hash++) {
        exchange.hash = hash * 2654435761u;
        waits += server_choose(upstream, &exchange, 1, &has_room) == 0;
        cr_assert_eq(has_room, server_choose(upstream, &exchange, 1, &has_room) == 1);
    }
    cr_assert(waits > 20 && waits < 80);
    upstream->servers[0].open = 0;
    upstream_test_close(test);
}

Test(balance, who_waits_is_served_whichever_of_two_free_servers_is_next_in_turn) {
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (uint32_t waiters = 1; waiters <= 2; waiters++) {
            struct upstream_test *test = upstream_test_open(2);
            test->upstreams.items[0].connections_max = 1;
            link_id ids[2] = {connect_now(test, ask(test, 1)), connect_now(test, ask(test, 2))};
            uint32_t waiting[2] = {ask(test, 3), waiters == 2 ? ask(test, 4) : 0};
            cr_assert_eq(test->upstreams.waiting_count, waiters);
            test->upstreams.items[0].turn = turn;
            upstream_drop(&test->upstreams, 1, false);
            upstream_drop(&test->upstreams, 2, false);
            upstreams_pump(&test->upstreams);
            expect(test->upstreams.waiting_count == 0, "turn %u: %u of %u are stranded", turn,
                   test->upstreams.waiting_count, waiters);
            finish(test, ids[0]);
            finish(test, ids[1]);
            for (uint32_t i = 0; i < waiters; i++) {
                connect_now(test, waiting[i]);
                upstream_drop(&test->upstreams, waiting[i], false);
            }
            upstream_test_close(test);
        }
    }
}

Test(balance, who_waits_for_a_busy_server_does_not_hold_up_others) {
    struct upstream_test *test = upstream_test_open(2);
    struct upstream *upstream = &test->upstreams.items[0];
    upstream->connections_max = 1;
    connect_now(test, ask(test, 1));
    connect_now(test, ask(test, 2));
    uint8_t kept = server_asked(test, 1); // the server of exchange 2 becomes free
    uint32_t hash = 1;
    bool has_room;
    struct upstream_exchange like = {.hash = hash};
    while (server_choose(upstream, &like, 1, &has_room) != kept) { // half of all hashes would do
        like.hash = ++hash;
    }
    uint32_t bound = ask_with(test, 3, 0, hash, false);
    uint32_t free_to_go = ask(test, 4);
    upstream_drop(&test->upstreams, 2, false);
    upstreams_pump(&test->upstreams);
    cr_assert_eq(exchange_at(&test->upstreams, bound)->line, 0);
    cr_assert_neq(server_asked(test, free_to_go), kept);
    connect_now(test, free_to_go);
    upstream_drop(&test->upstreams, free_to_go, false);
    upstream_drop(&test->upstreams, bound, false);
    upstream_drop(&test->upstreams, 1, false);
    upstream_test_close(test);
}

// --- a new configuration

static link_id use_once(struct upstream_test *test) {
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    say(test, id, "HTTP/1.1 204 x\r\n\r\n");
    test->log[0] = 0;
    return id;
}

Test(balance, what_is_defined_as_before_keeps_its_lines) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = use_once(test);
    cr_assert(upstreams_config_set(&test->upstreams, &test->config));
    ask(test, 2);
    take_sent(test, id, a_head);
    say(test, id, "HTTP/1.1 204 x\r\n\r\n");
    expect_told(test, "2 sent\n2 head 204\n2 end\n");
    upstream_test_close(test);
}

Test(balance, what_is_defined_anew_starts_anew_and_the_old_ends_with_its_exchanges) {
    struct upstream_test *test = upstream_test_open(1);
    link_id idle = use_once(test);
    uint32_t old = ask(test, 2);
    take_sent(test, idle, a_head);
    test->items[0].response_ms = 5000;
    cr_assert(upstreams_config_set(&test->upstreams, &test->config));
    uint32_t fresh = ask(test, 3);
    cr_assert_neq(exchange_at(&test->upstreams, old)->upstream,
                  exchange_at(&test->upstreams, fresh)->upstream);
    say(test, idle, "HTTP/1.1 204 x\r\n\r\n"); // answered, but not kept
    cr_assert(is_closing(test, idle));
    finish(test, idle);
    link_id other = connect_now(test, fresh);
    take_sent(test, other, a_head);
    say(test, other, "HTTP/1.1 204 x\r\n\r\n");
    expect_told(test, "2 sent\n2 head 204\n2 end\n3 sent\n3 head 204\n3 end\n");
    upstream_test_close(test);
}

Test(balance, what_is_no_longer_defined_closes_its_idle_lines) {
    struct upstream_test *test = upstream_test_open(1);
    link_id id = use_once(test);
    test->config.upstream_count = 0;
    cr_assert(upstreams_config_set(&test->upstreams, &test->config));
    cr_assert(is_closing(test, id));
    upstream_test_close(test);
}
