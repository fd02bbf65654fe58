// Who comes in, and how much it may say: the address that a trusted peer names, rates, and memory.
#include "gateway/stream/internal.h"
#include "tests/unit/gateway/stream/stream_test.h"

#define FROM(client) "GET /echo HTTP/1.1\r\nX-Forwarded-For: " client "\r\n" HANDSHAKE_FIELDS
#define ECHO_ROUTE "  - {path: /echo, echo: {}}\n"
#define TRUSTED "trusted: [192.0.2.9, 10.0.0.0/8]\n"

// One handshake from 192.0.2.9, whose answer must begin so.
static struct stream_client proxied(struct stream_test *test, const char *request,
                                    const char *start) {
    struct stream_client client = stream_test_accept(test, "192.0.2.9");
    client_text(test, client, request);
    client_expect_start(client, start);
    client_take(client);
    return client;
}

static void expect_address(const struct stream_test *test, struct stream_client client,
                           const char *wanted) {
    char text[ADDRESS_TEXT_BYTES];
    address_format(&test->addresses[client.index], false, text);
    expect(strcmp(text, wanted) == 0, "%s instead of %s", text, wanted);
}

Test(gate, a_trusted_peer_s_client_is_whose_limits_count) {
    struct stream_test *test = stream_test_open(
        ECHO_ROUTE TRUSTED, 1, (struct admission_limits){.connections = 100, .per_address = 2});
    struct stream_client first =
        proxied(test, FROM("1.1.1.1, 203.0.113.1, 10.1.1.1"), "HTTP/1.1 101 ");
    expect_address(test, first, "203.0.113.1");
    proxied(test, FROM("203.0.113.1"), "HTTP/1.1 101 ");
    struct stream_client refused = proxied(test, FROM("203.0.113.1"), "HTTP/1.1 429 ");
    cr_assert_eq(test->base->counters.faults[FAULT_address_limit], 1);
    client_leave(test, refused);
    struct stream_client second = proxied(test, FROM("203.0.113.2"), "HTTP/1.1 101 ");
    expect_address(test, second, "203.0.113.2");
    struct stream_client own = proxied(test, UPGRADE("/echo"), "HTTP/1.1 101 ");
    expect_address(test, own, "192.0.2.9");
    struct stream_client inner = proxied(test, FROM("10.1.1.1"), "HTTP/1.1 101 ");
    expect_address(test, inner, "10.1.1.1"); // trusted itself: not counted
    client_leave(test, first);
    proxied(test, FROM("203.0.113.1"), "HTTP/1.1 101 ");
    stream_test_close(test);
}

Test(gate, an_untrusted_peer_names_nobody) {
    struct stream_test *test = stream_test_simple(ECHO_ROUTE);
    struct stream_client client = proxied(test, FROM("203.0.113.1"), "HTTP/1.1 101 ");
    expect_address(test, client, "192.0.2.9");
    stream_test_close(test);
}

// What a proxy's connection carries next is perhaps another client's.
Test(gate, a_handshake_refused_under_a_client_s_name_ends_the_connection) {
    struct stream_test *test = stream_test_open(
        ECHO_ROUTE TRUSTED, 1,
        (struct admission_limits){.connections = 100, .handshakes_per_second = 10});
    proxied(test, FROM("203.0.113.1"), "HTTP/1.1 101 ");
    struct stream_client client = stream_test_accept(test, "192.0.2.9");
    client_text(test, client, FROM("203.0.113.1"));
    client_expect_start(client, "HTTP/1.1 503 ");
    cr_assert_not_null(strstr(client_take(client), "\r\nConnection: close\r\n"));
    stream_test_close(test);
}

Test(gate, handshakes_of_an_address_at_n_and_n_plus_1) {
    struct stream_test *test = stream_test_open(
        ECHO_ROUTE TRUSTED, 1,
        (struct admission_limits){.connections = 100, .handshakes_per_address = 2});
    proxied(test, FROM("203.0.113.1"), "HTTP/1.1 101 ");
    proxied(test, FROM("203.0.113.1"), "HTTP/1.1 101 ");
    proxied(test, FROM("203.0.113.1"), "HTTP/1.1 429 ");
    cr_assert_eq(test->base->counters.faults[FAULT_address_rate], 1);
    proxied(test, FROM("203.0.113.2"), "HTTP/1.1 101 ");
    for (int i = 0; i < 5; i++) { // a trusted peer's own are not counted
        proxied(test, UPGRADE("/echo"), "HTTP/1.1 101 ");
    }
    conn_test_wait(test->base, 500);
    proxied(test, FROM("203.0.113.1"), "HTTP/1.1 101 ");
    stream_test_close(test);
}

Test(gate, when_memory_is_short_who_is_in_stays_and_others_wait) {
    struct stream_test *test = stream_test_simple(ECHO_ROUTE);
    struct stream_client inside = client_open(test, UPGRADE("/echo"));
    test->stream.is_full = true;
    struct stream_client outside = stream_test_accept(test, "192.0.2.1");
    client_text(test, outside, UPGRADE("/echo"));
    client_expect_start(outside, "HTTP/1.1 503 ");
    cr_assert_not_null(strstr(client_take(outside), "\r\nRetry-After: "));
    cr_assert_eq(test->base->counters.faults[FAULT_memory_mark], 1);
    client_frame(test, inside, 0x81, "hello");
    cr_assert_eq(client_state(test, inside), CONN_OPEN);
    test->stream.is_full = false;
    client_open(test, UPGRADE("/echo"));
    stream_test_close(test);
}

static void say(struct stream_test *test, struct stream_client client, uint32_t count,
                const char *text) {
    for (uint32_t i = 0; i < count; i++) {
        client_frame(test, client, 0x81, text);
    }
}

Test(gate, messages_a_second_at_n_minus_1_n_and_n_plus_1) {
    for (uint32_t count = 6; count <= 8; count++) {
        struct stream_test *test =
            stream_test_simple("  - {path: /echo, echo: {}, limits: {messages_per_second: 7}}\n");
        struct stream_client client = client_open(test, UPGRADE("/echo"));
        say(test, client, count, "x");
        cr_assert_eq(client_state(test, client), count <= 7 ? CONN_OPEN : CONN_CLOSING);
        stream_test_close(test);
    }
}

// Also by way of a service, where the upgrade is the proxy's.
Test(gate, who_becomes_a_route_s_has_said_nothing_yet_whoever_had_its_number_before) {
    struct stream_test *test =
        stream_test_simple("  - {path: /echo, echo: {}, limits: {messages_per_second: 7}}\n");
    struct stream_client client = stream_test_accept(test, "192.0.2.1");
    uint16_t settings = test->stream.settings_of_route[0];
    test->rates[client.index] = (struct stream_rate){
        .messages = 7000000, .at_us = test->base->conns.now_us}; // a second's worth
    const struct fault *fault = NULL;
    cr_assert(rule_enter(&test->stream, client.index, settings, &fault));
    conn_at(&test->base->conns, client.index)->settings = settings & (SETTINGS_MAX - 1u);
    const struct config_route *route = stream_route(&test->stream, client.index);
    cr_assert(stream_rate_passes(&test->stream, client.index, route, 1));
    rule_leave(&test->stream, client.index);
    conn_at(&test->base->conns, client.index)->settings = 0;
    stream_test_close(test);
}

Test(gate, a_part_of_a_second_is_worth_a_part_of_the_messages) {
    struct stream_test *test =
        stream_test_simple("  - {path: /echo, echo: {}, limits: {messages_per_second: 10}}\n");
    struct stream_client client = client_open(test, UPGRADE("/echo"));
    say(test, client, 10, "x");
    conn_test_wait(test->base, 300);
    say(test, client, 3, "x");
    cr_assert_eq(client_state(test, client), CONN_OPEN);
    conn_test_wait(test->base, 5000); // saved up is no more than a second's worth
    say(test, client, 10, "x");
    cr_assert_eq(client_state(test, client), CONN_OPEN);
    say(test, client, 1, "x");
    cr_assert_eq(client_state(test, client), CONN_CLOSING);
    cr_assert_eq(conn_at(test->stream.conns, client.index)->fault, FAULT_message_rate);
    stream_test_close(test);
}

Test(gate, bytes_a_second_at_n_and_n_plus_1) {
    struct stream_test *test = stream_test_simple(
        "  - {path: /echo, echo: {}, limits: {bytes_per_second: 10B, message: 10B}}\n");
    struct stream_client client = client_open(test, UPGRADE("/echo"));
    say(test, client, 2, "12345");
    cr_assert_eq(client_state(test, client), CONN_OPEN);
    conn_test_wait(test->base, 100);
    say(test, client, 1, "1");
    cr_assert_eq(client_state(test, client), CONN_OPEN);
    say(test, client, 1, "1");
    cr_assert_eq(client_state(test, client), CONN_CLOSING);
    stream_test_close(test);
}
