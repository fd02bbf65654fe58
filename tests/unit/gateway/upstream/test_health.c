// Health checks: when they are made, what they say, and what they leave alone.
#include "tests/unit/gateway/upstream/upstream_test.h"

enum { INTERVAL_MS = 1000, TIMEOUT_MS = 300, HEALTHY = 2, UNHEALTHY = 3 };

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define CHECK(host)                                                                                \
    "GET /up?x HTTP/1.1\r\nHost: " host "\r\nUser-Agent: holdfast/" HOLDFAST_VERSION               \
    "\r\nConnection: close\r\n\r\n"

// `web` with that many servers, each checked.
static struct upstream_test *health_open(uint32_t server_count) {
    struct upstream_test *test = upstream_test_open(server_count);
    test->items[0].health = (struct config_health){.path = span_text("/up?x"),
                                                   .interval_ms = INTERVAL_MS,
                                                   .timeout_ms = TIMEOUT_MS,
                                                   .healthy = HEALTHY,
                                                   .unhealthy = UNHEALTHY};
    cr_assert(upstreams_config_set(&test->upstreams, &test->config));
    return test;
}

static struct upstream *web(struct upstream_test *test) {
    return &test->upstreams.items[test->upstreams.of_config[0]];
}

static struct upstream_server *server(struct upstream_test *test, uint32_t number) {
    return &web(test)->servers[number];
}

// The check of that server is answered so; a negative `status`: its connection is refused.
static void answer(struct upstream_test *test, uint32_t number, int status) {
    uint32_t check_number = server(test, number)->check;
    cr_assert_neq(check_number, 0, "server %u is not being checked", number);
    link_id id = give_socket(test, check_number);
    if (status < 0) {
        fake_connected(&test->io, id, -ECONNREFUSED);
        run(test);
    } else {
        char text[80];
        (void)snprintf(text, sizeof text, "HTTP/1.1 %d x\r\nContent-Length: 2\r\n\r\n", status);
        fake_connected(&test->io, id, 0);
        run(test);
        fake_sent(&test->io, id, (int32_t)fake_at(&test->io, id)->sent_bytes);
        fake_at(&test->io, id)->sent_bytes = 0;
        run(test);
        say(test, id, text);
    }
    cr_assert(is_closing(test, id), "a line of a check is not kept");
    cr_assert_eq(server(test, number)->check, 0);
    finish(test, id);
}

Test(health, a_check_at_once_and_then_every_interval) {
    struct upstream_test *test = health_open(1);
    wait_ms(test, 1);
    uint32_t first = server(test, 0)->check;
    cr_assert_neq(first, 0);
    link_id id = connect_now(test, first);
    take_sent(test, id, CHECK("192.0.2.1:80"));
    say(test, id, OK);
    cr_assert(is_closing(test, id));
    finish(test, id);
    cr_assert_eq(upstreams_wait_ms(&test->upstreams), INTERVAL_MS);
    wait_ms(test, INTERVAL_MS - 1);
    cr_assert_eq(server(test, 0)->check, 0);
    wait_ms(test, 1);
    cr_assert_neq(server(test, 0)->check, 0);
    answer(test, 0, 200);
    cr_assert(web(test)->checks == 2 && web(test)->checks_failed == 0);
    cr_assert(web(test)->requests == 0 && web(test)->errors == 0);
    cr_assert_eq(test->answer_ns.count, 0);
    expect_told(test, "");
    upstream_test_close(test);
}

Test(health, the_timeout_counts_from_when_a_socket_is_asked_for) {
    struct upstream_test *test = health_open(1); // `connect` is longer
    wait_ms(test, 1);
    uint32_t check_number = server(test, 0)->check;
    cr_assert_neq(check_number, 0);
    uint32_t line = exchange_at(&test->upstreams, check_number)->line;
    cr_assert_leq(upstreams_wait_ms(&test->upstreams), TIMEOUT_MS + WHEEL_TICK_MS);
    wait_ms(test, TIMEOUT_MS + 2 * WHEEL_TICK_MS);
    cr_assert_eq(server(test, 0)->check, 0);
    cr_assert_eq(web(test)->checks_failed, 1);
    link_id id = fake_socket(&test->io, 0, UPSTREAM_LINK_TAG | line, 0); // nobody wants it now
    run(test);
    cr_assert(is_closing(test, id));
    finish(test, id);
    upstream_test_close(test);
}

Test(health, which_answers_are_good) {
    static const struct {
        int status;
        bool is_good;
    } rows[] = {{200, true}, {399, true}, {400, false}, {503, false}, {-1, false}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct upstream_test *test = health_open(1);
        wait_ms(test, 1);
        answer(test, 0, rows[i].status);
        expect(web(test)->checks_failed == !rows[i].is_good, "status %d", rows[i].status);
        upstream_test_close(test);
    }
}

Test(health, down_after_so_many_bad_ones_in_a_row_and_up_after_so_many_good_ones) {
    struct upstream_test *test = health_open(2);
    static const int statuses[] = {500, 500, 200, 500, 500, 500, 200, 500, 200, 200};
    static const bool is_down[] = {false, false, false, false, false,
                                   true,  true,  true,  true,  false};
    for (uint32_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        wait_ms(test, i == 0 ? 1 : INTERVAL_MS);
        answer(test, 0, statuses[i]);
        answer(test, 1, 200);
        expect(server(test, 0)->is_down == is_down[i], "after check %u", i);
        bool has_room;
        struct upstream_exchange exchange = {.hash = 0};
        server(test, 1)->pending = 100; // the other one is asked only where it must be
        uint8_t chosen = server_choose(web(test), &exchange, test->upstreams.now_ms, &has_room);
        server(test, 1)->pending = 0;
        expect(chosen == is_down[i], "server %u is asked after check %u", chosen, i);
    }
    upstream_test_close(test);
}

Test(health, without_a_server_that_is_up_requests_are_refused) {
    struct upstream_test *test = health_open(1);
    for (uint32_t i = 0; i < UNHEALTHY; i++) {
        wait_ms(test, i == 0 ? 1 : INTERVAL_MS);
        answer(test, 0, -1);
    }
    ask(test, 1);
    expect_told(test, "1 refused upstream_down\n");
    upstream_test_close(test);
}

Test(health, an_answer_that_does_not_come_in_time) {
    struct upstream_test *test = health_open(1);
    wait_ms(test, 1);
    link_id id = connect_now(test, server(test, 0)->check);
    take_sent(test, id, CHECK("192.0.2.1:80"));
    wait_ms(test, TIMEOUT_MS - 1);
    cr_assert(!is_closing(test, id));
    wait_ms(test, WHEEL_TICK_MS);
    cr_assert(is_closing(test, id));
    cr_assert_eq(web(test)->checks_failed, 1);
    finish(test, id);
    wait_ms(test, INTERVAL_MS); // and one that hangs before its connection
    id = give_socket(test, server(test, 0)->check);
    wait_ms(test, TIMEOUT_MS + WHEEL_TICK_MS);
    cr_assert(is_closing(test, id));
    finish(test, id);
    cr_assert_eq(web(test)->checks_failed, 2);
    upstream_test_close(test);
}

Test(health, a_breaker_is_not_told_and_does_not_matter) {
    struct upstream_test *test = health_open(1);
    server(test, 0)->failures = 2;
    wait_ms(test, 1);
    answer(test, 0, 200);
    cr_assert_eq(server(test, 0)->failures, 2);
    wait_ms(test, INTERVAL_MS);
    answer(test, 0, -1);
    cr_assert(server(test, 0)->failures == 2 && server(test, 0)->breaker == UPSTREAM_CLOSED);
    server(test, 0)->breaker = UPSTREAM_OPEN;
    server(test, 0)->retry_due_ms = 0; // a request would be its probe
    wait_ms(test, INTERVAL_MS);
    answer(test, 0, 200);
    cr_assert_eq(server(test, 0)->breaker, UPSTREAM_OPEN);
    upstream_test_close(test);
}

Test(health, checks_take_no_place_of_requests) {
    struct upstream_test *test = health_open(1);
    wait_ms(test, 1);
    cr_assert(server(test, 0)->check != 0 && server(test, 0)->pending == 0);
    cr_assert_eq(server(test, 0)->open, 0);
    answer(test, 0, 200);
    upstream_test_close(test);
}

Test(health, an_upgrade_that_nobody_asked_for_is_no_good_answer) {
    struct upstream_test *test = health_open(1);
    wait_ms(test, 1);
    link_id id = connect_now(test, server(test, 0)->check);
    take_sent(test, id, CHECK("192.0.2.1:80"));
    say(test, id, "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    cr_assert(is_closing(test, id));
    cr_assert_eq(web(test)->checks_failed, 1);
    finish(test, id);
    upstream_test_close(test);
}

Test(health, a_check_under_way_ends_with_its_configuration) {
    struct upstream_test *test = health_open(1);
    wait_ms(test, 1);
    link_id id = connect_now(test, server(test, 0)->check);
    test->items[0].health.healthy = 9; // defined in another way: it is made anew
    cr_assert(upstreams_config_set(&test->upstreams, &test->config));
    cr_assert(is_closing(test, id));
    finish(test, id);
    wait_ms(test, 1);
    answer(test, 0, 200);
    upstream_test_close(test);
}

Test(health, servers_by_name_are_checked_as_they_come) {
    struct upstream_test *test = health_open(1);
    test->servers[0][0] =
        (struct config_server){.address = {.address = {.kind = ADDRESS_NONE, .port = 8080}},
                               .host = span_text("web.test")};
    cr_assert(upstreams_config_set(&test->upstreams, &test->config));
    wait_ms(test, 1);
    struct address address = {.kind = ADDRESS_IP, .ip = {[10] = 0xff, 0xff, 192, 0, 2, 9}};
    uint8_t table[UPSTREAM_NAME_RECORD_MAX];
    uint32_t bytes = upstream_name_write(table, span_text("web.test"), &address, 1);
    upstreams_names_set(&test->upstreams, span_make(table, bytes));
    wait_ms(test, 1);
    link_id id = connect_now(test, server(test, 0)->check);
    take_sent(test, id, CHECK("web.test:8080"));
    say(test, id, OK);
    finish(test, id);
    upstream_test_close(test);
}
