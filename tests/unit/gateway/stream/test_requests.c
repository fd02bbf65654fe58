// Requests of the node's own routes: pages, POST, origins, limits, reload and drain.
#include "tests/unit/gateway/stream/stream_test.h"

#define CHAT                                                                                       \
    "  - {path: \"/chat/{room}\", channels: {subscribe: [\"chat.{room}\"], publish: "              \
    "\"chat.{room}\"}, limits: {message: 1KiB}}\n"
#define POST(path, fields, body)                                                                   \
    "POST " path " HTTP/1.1\r\nHost: a\r\n" fields "Content-Length: " #body "\r\n\r\n"

// One request on a fresh connection, whose answer must begin so. Returns the answer.
static const char *ask_once(struct stream_test *test, const char *request, const char *start) {
    struct stream_client client = stream_test_accept(test, "192.0.2.9");
    client_text(test, client, request);
    client_expect_start(client, start);
    const char *answer = client_take(client);
    client_leave(test, client);
    return answer;
}

Test(requests, each_verb_answers_what_it_serves_and_refuses_the_rest) {
    struct stream_test *test =
        stream_test_simple("  - {path: /, page: demo}\n  - {path: /echo, echo: {}}\n" CHAT);
    static const struct {
        const char *request, *start;
    } rows[] = {
        {GET("/", ""), "HTTP/1.1 200 "},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 "},
        {POST("/", "", 0), "HTTP/1.1 405 "},
        {GET("/nowhere", ""), "HTTP/1.1 404 "},
        {GET("/chat/../x", ""), "HTTP/1.1 400 "},
        {GET("/chat/x", ""), "HTTP/1.1 426 "},
        {"PUT /chat/x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 "},
        {"BREW /chat/x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 501 "},
        {"OPTIONS /chat/x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 "},
        {GET("/echo", ""), "HTTP/1.1 426 "},
        {UPGRADE("/"), "HTTP/1.1 40"},
        {UPGRADE("/echo"), "HTTP/1.1 101 "},
        {UPGRADE("/chat/x"), "HTTP/1.1 101 "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ask_once(test, rows[i].request, rows[i].start);
    }
    stream_test_close(test);
}

Test(requests, a_capture_over_its_bound_is_414) {
    struct stream_test *test = stream_test_simple(CHAT);
    char request[1024];
    for (uint32_t length = PLACEHOLDER_BYTES_MAX - 1; length <= PLACEHOLDER_BYTES_MAX + 1;
         length++) {
        char room[256];
        memset(room, 'r', length);
        room[length] = 0;
        snprintf(request, sizeof request, "GET /chat/%s HTTP/1.1\r\n%s", room, HANDSHAKE_FIELDS);
        ask_once(test, request,
                 length <= PLACEHOLDER_BYTES_MAX ? "HTTP/1.1 101 " : "HTTP/1.1 414 ");
    }
    stream_test_close(test);
}

Test(requests, an_echo_comes_back) {
    struct stream_test *test = stream_test_simple("  - {path: /echo, echo: {}}\n");
    struct stream_client a = client_open(test, UPGRADE("/echo"));
    client_frame(test, a, 0x81, "hello");
    client_frame(test, a, 0x01, "in ");
    client_frame(test, a, 0x80, "pieces");
    expect_messages(a, "hello", "in pieces");
    stream_test_close(test);
}

Test(requests, the_servers_order_of_subprotocols_decides) {
    struct stream_test *test =
        stream_test_simple("  - {path: /echo, echo: {}, subprotocols: [b, a]}\n");
#define OFFER(fields) "GET /echo HTTP/1.1\r\n" fields HANDSHAKE_FIELDS
    static const struct {
        const char *request, *chosen;
    } rows[] = {
        {OFFER("Sec-WebSocket-Protocol: a, b\r\n"), "\r\nSec-WebSocket-Protocol: b\r\n"},
        {OFFER("Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: a\r\n"),
         "\r\nSec-WebSocket-Protocol: a\r\n"},
    };
    for (size_t i = 0; i < 2; i++) {
        const char *answer = ask_once(test, rows[i].request, "HTTP/1.1 101 ");
        expect(strstr(answer, rows[i].chosen) != NULL, "%s", answer);
    }
    const char *answer = ask_once(test, OFFER("Sec-WebSocket-Protocol: x\r\n"), "HTTP/1.1 101 ");
    cr_assert_null(strstr(answer, "Sec-WebSocket-Protocol"));
    stream_test_close(test);
}

// --- POST

Test(post, publishes_its_body_and_says_how_many_it_reached) {
    struct stream_test *test = stream_test_simple(CHAT);
    struct stream_client a = client_open(test, UPGRADE("/chat/x"));
    struct stream_client b = client_open(test, UPGRADE("/chat/x"));
    const char *answer = ask_once(test, POST("/chat/x", "", 5) "hello", "HTTP/1.1 200 ");
    cr_assert_not_null(
        strstr(answer, "\r\n\r\n{\"items\":[{\"channel\":\"chat.x\",\"subscribers\":2}]}\n"));
    cr_assert_not_null(strstr(answer, "\r\nContent-Type: application/json\r\n"));
    expect_messages(a, "hello");
    expect_messages(b, "hello");
    ask_once(test,
             "POST /chat/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
             "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
             "HTTP/1.1 200 ");
    expect_messages(a, "hello");
    client_take(b);
    stream_test_close(test);
}

Test(post, several_on_one_connection) {
    struct stream_test *test = stream_test_simple(CHAT);
    struct stream_client a = client_open(test, UPGRADE("/chat/x"));
    struct stream_client poster = stream_test_accept(test, "192.0.2.9");
    client_text(test, poster, POST("/chat/x", "", 1) "1" POST("/chat/x", "", 1) "2");
    expect_messages(a, "1", "2");
    cr_assert_eq(client_state(test, poster), CONN_HEAD);
    client_leave(test, poster);
    stream_test_close(test);
}

Test(post, what_is_not_utf8_or_says_so_is_binary) {
    struct stream_test *test = stream_test_simple(CHAT);
    struct stream_client a = client_open(test, UPGRADE("/chat/x"));
    ask_once(test, POST("/chat/x", "", 2) "\xff\xfe", "HTTP/1.1 200 ");
    cr_assert_eq(memcmp(client_take(a), "\x82\x02\xff\xfe", 4), 0);
    ask_once(test, POST("/chat/x", "Content-Type: application/octet-stream; x=y\r\n", 2) "ab",
             "HTTP/1.1 200 ");
    cr_assert_eq(memcmp(client_take(a),
                        "\x82\x02"
                        "ab",
                        4),
                 0);
    ask_once(test, POST("/chat/x", "Content-Type: text/plain\r\n", 2) "ab", "HTTP/1.1 200 ");
    expect_messages(a, "ab");
    stream_test_close(test);
}

Test(post, of_the_wrong_kind_or_nowhere_is_refused) {
    struct stream_test *test = stream_test_simple(
        "  - {path: /t, messages: text, channels: {subscribe: [\"t\"], publish: \"t\"}}\n"
        "  - {path: /r, channels: {subscribe: [\"r\"]}}\n" CHAT);
    ask_once(test, POST("/t", "", 1) "\xff", "HTTP/1.1 400 ");
    ask_once(test, POST("/r", "", 1) "x", "HTTP/1.1 403 ");
    cr_assert_eq(test->base->counters.faults[FAULT_message_kind], 1);
    cr_assert_eq(test->base->counters.faults[FAULT_not_publishable], 1);
    stream_test_close(test);
}

Test(post, bodies_at_n_and_n_plus_1) {
    struct stream_test *test = stream_test_simple(CHAT);
    char request[2048];
    for (uint32_t length = 1023; length <= 1025; length++) {
        snprintf(request, sizeof request,
                 "POST /chat/x HTTP/1.1\r\nHost: a\r\nContent-Length: %u\r\n\r\n%0*d", length,
                 (int)length, 0);
        ask_once(test, request, length <= 1024 ? "HTTP/1.1 200 " : "HTTP/1.1 413 ");
    }
    stream_test_close(test);
}

Test(post, a_body_that_the_bus_cannot_take_is_503) {
    struct stream_test *test = stream_test_simple(CHAT);
    for (uint32_t i = 0; i < MAILBOX_ENTRIES; i++) { // its mailbox to itself is full
        struct mail mail = {.kind = MAIL_JOINED};
        cr_assert(bus_send(&test->bus, 0, &mail, span_empty(), span_empty()));
    }
    test->bus.backlog_bytes_max = 0;
    struct mail mail = {.kind = MAIL_JOINED};
    cr_assert(bus_send(&test->bus, 0, &mail, span_empty(), span_empty())); // and its backlog
    struct stream_client poster = stream_test_accept(test, "192.0.2.9");
    static const char request[] = POST("/chat/x", "", 1) "x";
    client_bytes(test, poster, request, sizeof request - 1);
    test_pump(test);
    client_expect_start(poster, "HTTP/1.1 503 ");
    client_take(poster);
    stream_test_close(test);
}

// --- origins

Test(origins, only_those_listed_pass_and_are_told_so) {
    struct stream_test *test = stream_test_simple(
        "  - {path: /c, origins: [\"https://a.example\"], channels: {subscribe: [\"c\"], publish: "
        "\"c\"}}\n");
    static const struct {
        const char *request, *start;
        bool is_echoed;
    } rows[] = {
        {"GET /c HTTP/1.1\r\nOrigin: https://a.example\r\n" HANDSHAKE_FIELDS, "HTTP/1.1 101 ",
         false},
        {"GET /c HTTP/1.1\r\nOrigin: https://b.example\r\n" HANDSHAKE_FIELDS, "HTTP/1.1 403 ",
         false},
        {"GET /c HTTP/1.1\r\nOrigin: null\r\n" HANDSHAKE_FIELDS, "HTTP/1.1 403 ", false},
        {UPGRADE("/c"), "HTTP/1.1 101 ", false}, // no browser
        {POST("/c", "Origin: https://a.example\r\n", 1) "x", "HTTP/1.1 200 ", true},
        {POST("/c", "Origin: https://b.example\r\n", 1) "x", "HTTP/1.1 403 ", false},
        {POST("/c", "Origin: https://a.example\r\nOrigin: https://a.example\r\n", 1) "x",
         "HTTP/1.1 403 ", false},
        {"OPTIONS /c HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n", "HTTP/1.1 204 ",
         true},
        {POST("/c", "Origin: https://a.example\r\n", 99999999) "", "HTTP/1.1 413 ", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *answer = ask_once(test, rows[i].request, rows[i].start);
        bool is_echoed =
            strstr(answer, "\r\nAccess-Control-Allow-Origin: https://a.example\r\n") != NULL;
        expect(is_echoed == rows[i].is_echoed, "row %zu: %s", i, answer);
    }
    stream_test_close(test);
}

// --- limits

Test(limits, connections_in_total_are_told_503) {
    struct stream_test *test = stream_test_open("  - {path: /echo, echo: {}}\n", 1,
                                                (struct admission_limits){.connections = 2});
    struct stream_client a = client_open(test, UPGRADE("/echo"));
    client_open(test, UPGRADE("/echo"));
    ask_once(test, UPGRADE("/echo"), "HTTP/1.1 503 ");
    cr_assert_eq(test->base->counters.faults[FAULT_connection_limit], 1);
    client_leave(test, a);
    client_open(test, UPGRADE("/echo"));
    stream_test_close(test);
}

Test(limits, connections_of_an_address_are_told_429) {
    struct stream_test *test =
        stream_test_open("  - {path: /echo, echo: {}}\n", 1,
                         (struct admission_limits){.connections = 100, .per_address = 2});
    struct stream_client a = client_open(test, UPGRADE("/echo"));
    client_open(test, UPGRADE("/echo"));
    struct stream_client c = stream_test_accept(test, "192.0.2.1");
    client_text(test, c, UPGRADE("/echo"));
    client_expect_start(c, "HTTP/1.1 429 ");
    client_take(c);
    client_leave(test, c);
    struct stream_client other = stream_test_accept(test, "192.0.2.2");
    client_text(test, other, UPGRADE("/echo"));
    client_expect_start(other, "HTTP/1.1 101 ");
    client_take(other);
    client_leave(test, a);
    client_open(test, UPGRADE("/echo"));
    stream_test_close(test);
}

Test(limits, those_who_wait_to_be_told_are_few) {
    struct stream_test *test = stream_test_open("  - {path: /echo, echo: {}}\n", 1,
                                                (struct admission_limits){.connections = 1});
    client_open(test, UPGRADE("/echo"));
    test->stream.doomed_count = STREAM_DOOMED_MAX - 1;
    struct stream_client told = stream_test_accept(test, "192.0.2.1");
    cr_assert_eq(client_state(test, told), CONN_HEAD);
    struct stream_client cut = stream_test_accept(test, "192.0.2.1");
    cr_assert_eq(client_state(test, cut), CONN_ENDED);
    stream_test_settle(test);
    cr_assert_eq(test->stream.doomed_count, STREAM_DOOMED_MAX);
    client_leave(test, told);
    cr_assert_eq(test->stream.doomed_count, STREAM_DOOMED_MAX - 1);
    test->stream.doomed_count = 0;
    stream_test_close(test);
}

Test(limits, of_a_route_at_n_and_n_plus_1) {
    static const char *const routes[] = {
        "  - {path: /x, echo: {}, limits: {connections: 2}}\n  - {path: /y, echo: {}}\n",
        "  - {path: /x, channels: {subscribe: [\"x\"]}, limits: {connections: 2}}\n"
        "  - {path: /y, echo: {}}\n"};
    for (int verb = 0; verb < 2; verb++) {
        struct stream_test *test = stream_test_simple(routes[verb]);
        struct stream_client a = client_open(test, UPGRADE("/x"));
        client_open(test, UPGRADE("/x"));
        ask_once(test, UPGRADE("/x"), "HTTP/1.1 503 ");
        cr_assert_eq(test->base->counters.faults[FAULT_route_limit], 1);
        client_open(test, UPGRADE("/y"));
        client_leave(test, a);
        client_open(test, UPGRADE("/x"));
        stream_test_close(test);
    }
}

Test(limits, of_an_address_on_a_route_at_n_and_n_plus_1) {
    struct stream_test *test = stream_test_simple(
        "  - {path: /x, echo: {}, limits: {per_address: 1}}\n  - {path: /y, echo: {}}\n");
    struct stream_client a = client_open(test, UPGRADE("/x"));
    struct stream_client b = stream_test_accept(test, "192.0.2.1");
    client_text(test, b, UPGRADE("/x"));
    client_expect_start(b, "HTTP/1.1 429 ");
    client_take(b);
    client_open(test, UPGRADE("/y"));
    client_leave(test, a);
    client_open(test, UPGRADE("/x"));
    stream_test_close(test);
}

Test(limits, handshakes_per_second) {
    struct stream_test *test = stream_test_open(
        "  - {path: /echo, echo: {}}\n", 1,
        (struct admission_limits){.connections = 100, .handshakes_per_second = 20});
    client_open(test, UPGRADE("/echo"));
    client_open(test, UPGRADE("/echo"));
    ask_once(test, UPGRADE("/echo"), "HTTP/1.1 503 ");
    cr_assert_eq(test->base->counters.faults[FAULT_handshake_rate], 1);
    conn_test_wait(test->base, 100);
    client_open(test, UPGRADE("/echo"));
    stream_test_close(test);
}

// --- reload and drain

Test(site, a_reload_is_for_new_requests_and_lets_the_old_one_go_with_its_last_connection) {
    struct stream_test *test =
        stream_test_simple("  - {path: /a, echo: {}}\n  - {path: /b, echo: {}}\n");
    struct stream_client a = client_open(test, UPGRADE("/a"));
    cr_assert(stream_test_site(test, "  - {path: /c, echo: {}}\n"));
    cr_assert_eq(test->sites[0]->worker_holds, 1); // a's
    ask_once(test, UPGRADE("/a"), "HTTP/1.1 404 ");
    client_frame(test, a, 0x81, "still");
    expect_messages(a, "still");
    client_open(test, UPGRADE("/c"));
    client_leave(test, a);
    cr_assert_eq(test->sites[0]->worker_holds, 0);
    stream_test_close(test);
}

Test(site, a_post_whose_body_ends_behind_a_reload_is_judged_by_the_route_that_it_began_with) {
    struct stream_test *test = stream_test_simple(
        "  - {path: /b, messages: binary, channels: {subscribe: [b], publish: b}}\n");
    struct stream_client poster = stream_test_accept(test, "192.0.2.1");
    client_text(test, poster, POST("/b", "Content-Type: application/octet-stream\r\n", 2) "a");
    // The first lets the route's rule go, the second puts another one in its place.
    cr_assert(stream_test_site(test, "  - {path: /x, echo: {}}\n"));
    cr_assert(stream_test_site(test, "  - {path: /t, messages: text, echo: {}}\n"));
    client_text(test, poster, "b");
    client_expect_start(poster, "HTTP/1.1 200 ");
    client_take(poster);
    stream_test_close(test);
}

Test(site, one_without_connections_goes_at_once) {
    struct stream_test *test = stream_test_simple("  - {path: /a, echo: {}}\n");
    cr_assert(stream_test_site(test, "  - {path: /b, echo: {}}\n"));
    cr_assert_eq(test->sites[0]->worker_holds, 0);
    cr_assert_eq(test->sites[1]->worker_holds, 1);
    stream_test_close(test);
}

Test(site, one_that_finds_no_room_for_its_rules_is_refused) {
    struct stream_test *test = stream_test_simple("  - {path: /a, echo: {}}\n");
    static const struct config_route busy;
    for (uint32_t i = 2; i < SETTINGS_MAX; i++) { // older ones with connections
        test->rules[i].route = &busy;
    }
    struct site *site = site_make(routes_open("  - {path: /b, echo: {}}\n"), 2);
    cr_assert_not(stream_site_fits(&test->stream, site));
    cr_assert_eq(test->stream.site, test->sites[0]);
    test->rules[7].route = NULL;
    cr_assert(stream_site_fits(&test->stream, site));
    stream_site_set(&test->stream, site);
    test->sites[test->site_count++] = site;
    client_open(test, UPGRADE("/b"));
    stream_test_close(test);
}

Test(drain, new_requests_are_told_503) {
    struct stream_test *test = stream_test_simple("  - {path: /, page: demo}\n");
    struct stream_client kept = stream_test_accept(test, "192.0.2.1");
    client_text(test, kept, GET("/", ""));
    client_expect_start(kept, "HTTP/1.1 200 ");
    client_take(kept);
    test->stream.is_draining = true;
    client_text(test, kept, GET("/", ""));
    client_expect_start(kept, "HTTP/1.1 503 ");
    const char *answer = client_take(kept);
    cr_assert_not_null(strstr(answer, "\r\nConnection: close\r\n"));
    cr_assert_not_null(strstr(answer, "\r\nRetry-After: "));
    stream_test_settle(test);
    cr_assert_eq(client_state(test, kept), CONN_FREE);
    stream_test_close(test);
}

// --- the pace of publishers

Test(pace, a_publisher_whose_home_is_busy_is_not_read_until_its_mail_flows) {
    struct stream_test *test =
        stream_test_open(CHAT, 2, (struct admission_limits){.connections = 1000});
    char request[512];
    for (uint32_t i = 0;; i++) {
        char name[32];
        snprintf(name, sizeof name, "chat.%u", i);
        snprintf(request, sizeof request, "GET /chat/%u HTTP/1.1\r\n%s", i, HANDSHAKE_FIELDS);
        if (bus_home(&test->bus, span_text(name)) == 1) {
            break;
        }
    }
    struct stream_client a = client_open(test, request);
    test->is_home_asleep = true;
    uint8_t frame[64];
    uint32_t sent = 0;
    while (conn_may_read(&test->base->conns, a.index)) {
        expect(sent < 2 * MAILBOX_ENTRIES, "it is read for ever");
        client_bytes(test, a, frame, frame_make(frame, 0x81, "x", 1));
        sent++;
    }
    cr_assert_geq(sent, MAILBOX_ENTRIES);
    cr_assert_eq(test->stream.paused_count, 1);
    stream_resume(&test->stream);
    cr_assert_eq(test->stream.paused_count, 1);
    test->is_home_asleep = false;
    stream_test_settle(test);
    cr_assert(conn_may_read(&test->base->conns, a.index));
    cr_assert_eq(test->stream.paused_count, 0);
    cr_assert_eq(a.output->length, sent * 3); // none was lost
    client_take(a);
    stream_test_close(test);
}

Test(pace, one_that_echoes_faster_than_it_reads_is_not_read) {
    struct stream_test *test =
        stream_test_simple("  - {path: /echo, echo: {}, backpressure: {queue: 4KiB}}\n");
    struct stream_client a = client_open(test, UPGRADE("/echo"));
    struct conns *conns = &test->base->conns;
    static char body[1001];
    memset(body, 'x', 1000);
    uint8_t frame[1100];
    uint32_t sent = 0;
    while (conn_may_read(conns, a.index)) {
        expect(sent < 10, "it is read for ever");
        client_bytes(test, a, frame, frame_make(frame, 0x81, body, 1000));
        sent++;
    }
    cr_assert_eq(client_state(test, a), CONN_OPEN);
    test_send(test, a.index); // it reads
    cr_assert(conn_may_read(conns, a.index));
    client_take(a);
    stream_test_close(test);
}
