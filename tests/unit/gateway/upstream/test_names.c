// Servers behind names: they come, go and come back, and their lines end by themselves.
#include "tests/unit/gateway/upstream/upstream_test.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static uint8_t table[UPSTREAM_SERVERS_MAX * UPSTREAM_NAME_RECORD_MAX];

static struct address address_of(uint32_t number) {
    return (struct address){.kind = ADDRESS_IP,
                            .ip = {[10] = 0xff, 0xff, 198, 51, 100, (uint8_t)number}};
}

// Adds a record with the addresses `first` to `first + count - 1`.
static uint32_t record_add(uint32_t used, const char *host, uint32_t first, uint32_t count) {
    struct address addresses[RESOLVE_ADDRESSES_MAX];
    for (uint32_t i = 0; i < count; i++) {
        addresses[i] = address_of(first + i);
    }
    return used + upstream_name_write(table + used, span_text(host), addresses, count);
}

static void name_set(struct upstream_test *test, const char *host, uint32_t first, uint32_t count) {
    upstreams_names_set(&test->upstreams, span_make(table, record_add(0, host, first, count)));
    wait_ms(test, 1);
}

// `web` with that many servers, each by a name of its own: a, b, c...
static struct upstream_test *names_open(uint32_t name_count) {
    static struct config_server servers[UPSTREAM_SERVERS_MAX];
    static char hosts[UPSTREAM_SERVERS_MAX];
    struct upstream_test *test = upstream_test_open(1);
    for (uint32_t i = 0; i < name_count; i++) {
        hosts[i] = (char)('a' + i);
        servers[i] =
            (struct config_server){.address = {.address = {.kind = ADDRESS_NONE, .port = 80}},
                                   .host = span_make(&hosts[i], 1)};
    }
    test->items[0].servers = servers;
    test->items[0].server_count = name_count;
    cr_assert(upstreams_config_set(&test->upstreams, &test->config));
    return test;
}

static struct upstream *web(struct upstream_test *test) {
    return &test->upstreams.items[test->upstreams.of_config[0]];
}

static uint32_t present_count(struct upstream_test *test) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < web(test)->server_count; i++) {
        count += upstream_server_is_present(&web(test)->servers[i]);
    }
    return count;
}

// The last byte of the address that a line goes to.
static uint8_t address_asked(struct upstream_test *test, uint32_t exchange) {
    return server_of(&test->upstreams,
                     line_at(&test->upstreams, exchange_at(&test->upstreams, exchange)->line))
        ->address.ip[15];
}

Test(names, a_request_waits_for_the_first_answer) {
    struct upstream_test *test = names_open(1);
    uint32_t exchange = ask(test, 1);
    cr_assert_eq(web(test)->waiting_count, 1);
    name_set(test, "a", 1, 1);
    link_id id = connect_now(test, exchange);
    take_sent(test, id, a_head);
    say(test, id, OK);
    expect_told(test, "1 sent\n1 head 200\n1 piece ok\n1 end\n");
    upstream_test_close(test);
}

Test(names, no_answer_in_time_and_a_first_answer_in_vain) {
    struct upstream_test *test = names_open(1);
    ask(test, 1);
    wait_ms(test, 499);
    expect_told(test, "");
    wait_ms(test, 1);
    expect_told(test, "1 failed upstream_unresolved\n");
    ask(test, 2);
    name_set(test, "other", 1, 1); // is not its name
    expect_told(test, "");
    name_set(test, "a", 0, 0);
    expect_told(test, "2 failed upstream_unresolved\n");
    ask(test, 3);
    expect_told(test, "3 refused upstream_unresolved\n");
    name_set(test, "a", 1, 1); // at last
    cr_assert_eq(address_asked(test, ask(test, 4)), 1);
    upstream_drop(&test->upstreams, 1, false);
    fake_socket(&test->io, 0, UPSTREAM_LINK_TAG | 1, 0);
    run(test);
    upstream_test_close(test);
}

Test(names, several_addresses_are_several_servers) {
    struct upstream_test *test = names_open(1);
    name_set(test, "a", 1, 3);
    cr_assert_eq(present_count(test), 3);
    uint8_t seen = 0;
    for (uint32_t i = 1; i <= 3; i++) {
        seen = (uint8_t)(seen | 1u << address_asked(test, ask(test, i)));
    }
    cr_assert_eq(seen, 0xe);
    for (uint32_t i = 1; i <= 3; i++) {
        upstream_drop(&test->upstreams, i, false);
        fake_socket(&test->io, 0, UPSTREAM_LINK_TAG | i, 0);
        run(test);
    }
    upstream_test_close(test);
}

Test(names, an_idle_line_to_an_address_that_left_is_closed) {
    struct upstream_test *test = names_open(1);
    name_set(test, "a", 1, 1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    say(test, id, OK);
    cr_assert(!is_closing(test, id));
    name_set(test, "a", 0, 0); // a failure: the last good answer stays
    cr_assert(!is_closing(test, id));
    name_set(test, "a", 2, 1);
    cr_assert(is_closing(test, id));
    cr_assert_eq(present_count(test), 1);
    finish(test, id);
    cr_assert_eq(web(test)->servers[0].address.kind, ADDRESS_NONE, "its place is free");
    upstream_test_close(test);
}

Test(names, a_request_to_an_address_that_left_ends_by_itself) {
    struct upstream_test *test = names_open(1);
    name_set(test, "a", 1, 1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    name_set(test, "a", 2, 1);
    cr_assert(!is_closing(test, id));
    cr_assert_eq(address_asked(test, ask(test, 2)), 2, "new ones go to the new address");
    say(test, id, OK);
    expect_told(test, "1 sent\n1 head 200\n1 piece ok\n1 end\n");
    cr_assert(is_closing(test, id), "the line is not kept");
    finish(test, id);
    upstream_drop(&test->upstreams, 2, false);
    fake_socket(&test->io, 0, UPSTREAM_LINK_TAG | 2, 0);
    run(test);
    upstream_test_close(test);
}

Test(names, an_upgraded_line_to_an_address_that_left_lives_on) {
    struct upstream_test *test = names_open(1);
    name_set(test, "a", 1, 1);
    link_id id = connect_now(test, ask_with(test, 1, UPSTREAM_ASK_UPGRADE, 0, false));
    take_sent(test, id, a_head);
    say(test, id, "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    name_set(test, "a", 2, 1);
    say(test, id, "bytes");
    expect_told(test, "1 sent\n1 head 101\n1 raw bytes\n");
    end(test, id, 0);
    expect_told(test, "1 raw end\n");
    finish(test, id);
    upstream_test_close(test);
}

Test(names, an_address_that_comes_back_has_its_place_again) {
    struct upstream_test *test = names_open(1);
    name_set(test, "a", 1, 1);
    link_id id = connect_now(test, ask(test, 1));
    take_sent(test, id, a_head);
    name_set(test, "a", 2, 1);
    name_set(test, "a", 1, 1);
    cr_assert_eq(web(test)->servers[0].address.ip[15], 1);
    say(test, id, OK);
    cr_assert(!is_closing(test, id), "the line is kept");
    upstream_test_close(test);
}

Test(names, as_many_as_an_upstream_may_have_and_more) {
    for (uint32_t sum = UPSTREAM_SERVERS_MAX - 1; sum <= UPSTREAM_SERVERS_MAX + 1; sum++) {
        struct upstream_test *test = names_open(3);
        uint32_t used = record_add(0, "a", 1, RESOLVE_ADDRESSES_MAX);
        used = record_add(used, "b", 21, sum - RESOLVE_ADDRESSES_MAX - 1);
        used = record_add(used, "c", 41, 1);
        upstreams_names_set(&test->upstreams, span_make(table, used));
        uint32_t wanted = sum < UPSTREAM_SERVERS_MAX ? sum : UPSTREAM_SERVERS_MAX;
        cr_assert_eq(present_count(test), wanted);
        uint32_t of_c = 0;
        for (uint32_t i = 0; i < web(test)->server_count; i++) {
            of_c += web(test)->servers[i].address.ip[15] == 41;
        }
        cr_assert_eq(of_c, 1, "no name is left without a server");
        upstreams_names_set(&test->upstreams, span_make(table, used)); // again
        cr_assert_eq(present_count(test), wanted);
        upstream_test_close(test);
    }
}

Test(names, without_a_free_place_a_new_address_waits_for_one) {
    for (uint32_t gone = UPSTREAM_PLACES_MAX - 1; gone <= UPSTREAM_PLACES_MAX; gone++) {
        struct upstream_test *test = names_open(1);
        for (uint32_t i = 0; i < gone; i++) { // each has left and still has a line
            web(test)->servers[i] =
                (struct upstream_server){.address = address_of(i + 1), .lines = 1, .is_gone = true};
            web(test)->servers[i].address.port = 80;
        }
        web(test)->server_count = gone;
        name_set(test, "a", 100, 1);
        cr_assert_eq(present_count(test), gone < UPSTREAM_PLACES_MAX);
        name_set(test, "a", 1, 1); // had a place
        cr_assert_eq(present_count(test), 1);
        name_set(test, "a", 100, 1);
        for (uint32_t i = 0; i < gone; i++) {
            web(test)->servers[i].lines = 0;
            server_settle(&web(test)->servers[i]);
        }
        name_set(test, "a", 100, 1);
        cr_assert_eq(present_count(test), 1);
        upstream_test_close(test);
    }
}

Test(names, a_hash_goes_by_address_and_not_by_the_order_of_answers) {
    struct upstream_test *test = names_open(1);
    struct upstream_test *other = names_open(1);
    name_set(test, "a", 1, 3);
    name_set(other, "a", 3, 1); // comes to the same three, by another way
    name_set(other, "a", 1, 3);
    bool has_room;
    for (uint32_t hash = 1; hash <= 300; hash++) {
        struct upstream_exchange exchange = {.hash = hash * 2654435761u};
        uint8_t one = server_choose(web(test), &exchange, 1, &has_room);
        uint8_t two = server_choose(web(other), &exchange, 1, &has_room);
        cr_assert_eq(web(test)->servers[one].address.ip[15],
                     web(other)->servers[two].address.ip[15]);
    }
    upstream_test_close(test);
    upstream_test_close(other);
}

Test(names, a_configuration_that_says_the_same_keeps_them) {
    struct upstream_test *test = names_open(2);
    uint32_t used = record_add(record_add(0, "a", 1, 2), "b", 7, 1);
    upstreams_names_set(&test->upstreams, span_make(table, used));
    cr_assert(upstreams_config_set(&test->upstreams, &test->config));
    cr_assert_eq(present_count(test), 3);
    static const char other = 'z';
    struct config_server *servers = (struct config_server *)(uintptr_t)test->items[0].servers;
    servers[1].host = span_make(&other, 1); // another name: it is made anew
    cr_assert(upstreams_config_set(&test->upstreams, &test->config));
    cr_assert_eq(present_count(test), 0);
    upstreams_names_set(&test->upstreams, span_make(table, used));
    cr_assert_eq(present_count(test), 2);
    upstream_test_close(test);
}
