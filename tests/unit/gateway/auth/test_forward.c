// Asking a service who a client is: what it is sent, what its answers mean, what is remembered.
#include "gateway/auth/forward_internal.h"
#include "tests/unit/gateway/upstream/upstream_test.h"

struct forward_test {
    struct upstream_test *base;
    struct forwards forwards;
    struct config_auth auths[2];
    struct config_forward_field fields[2];
    struct http_request request;
    uint64_t token; // of the last verdict
    char told[256]; // that verdict as text
    uint32_t told_count;
};

static const struct span cookie = {(const uint8_t *)"Cookie", 6};

static void note(struct forward_test *test, const struct forward_verdict *verdict) {
    test->told_count++;
    (void)snprintf(test->told, sizeof test->told, "%s%s %.*s %.*s",
                   verdict->is_stale ? "stale " : "", fault_get(verdict->fault)->name,
                   (int)verdict->values[0].length, (const char *)verdict->values[0].data,
                   (int)verdict->values[1].length, (const char *)verdict->values[1].data);
}

static void on_verdict(void *context, uint64_t token, const struct forward_verdict *verdict) {
    struct forward_test *test = context;
    test->token = token;
    note(test, verdict);
}

static void on_service(void *context, const struct upstream_event *event) {
    struct forward_test *test = context;
    cr_assert((event->owner & FORWARD_OWNER_TAG) != 0);
    forwards_on_event(&test->forwards, event);
}

static struct forward_test *forward_test_open(uint64_t cache_ms, uint32_t entries) {
    struct forward_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    test->base = upstream_test_open(1);
    test->base->upstreams.owner = (struct upstream_owner){.context = test, .on_event = on_service};
    test->base->servers[0][0].authority = span_text("auth:8000");
    test->fields[0] = (struct config_forward_field){.header = span_text("X-User")};
    test->fields[1] = (struct config_forward_field){.header = span_text("X-Org")};
    for (uint32_t i = 0; i < 2; i++) {
        test->auths[i] = (struct config_auth){.kind = CONFIG_AUTH_FORWARD,
                                              .forward = {.target = span_text("/check"),
                                                          .sent = &cookie,
                                                          .sent_count = 1,
                                                          .fields = test->fields,
                                                          .field_count = 2,
                                                          .cache_ms = cache_ms,
                                                          .entries = entries}};
    }
    test->base->config.auths = test->auths;
    test->base->config.auth_count = 2;
    struct forwards_memory memory;
    forwards_memory_size(&memory);
    struct memory *ranges[] = {&memory.ask_space, &memory.ask_book, &memory.entry_space,
                               &memory.entry_book, &memory.buckets};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        *ranges[i] = conn_test_reserve(ranges[i]->length);
    }
    test->forwards = (struct forwards){.upstreams = &test->base->upstreams,
                                       .arena = &test->base->base.arena,
                                       .counters = &test->base->base.counters,
                                       .owner = {.context = test, .on_verdict = on_verdict}};
    forwards_init(&test->forwards, &memory, (const uint64_t[4]){1, 2, 3, 4});
    forwards_config_set(&test->forwards, &test->base->config);
    return test;
}

// Nothing is left.
static void forward_test_close(struct forward_test *test) {
    forwards_config_set(&test->forwards, &test->base->config);
    cr_assert_eq(test->forwards.entries.used, 0);
    cr_assert_eq(test->forwards.asks.used, 0);
    cr_assert_eq(test->forwards.table.count, 0);
    upstream_test_close(test->base);
    free(test);
}

// The ask of a client with that cookie; 0: its verdict is known.
static uint32_t ask_who(struct forward_test *test, const char *who, uint32_t auth) {
    char head[512];
    (void)snprintf(head, sizeof head,
                   "POST /a?b HTTP/1.1\r\nHost: site\r\nX-Secret: s\r\nCookie: %s\r\n\r\n", who);
    cr_assert_null(http_request_parse(span_text(head), &test->request));
    struct forward_question question = {
        .request = &test->request, .auth = &test->auths[auth], .token = 77};
    cr_assert(address_parse_ip(span_text("203.0.113.7"), &question.client));
    question.client.kind = ADDRESS_IP;
    struct forward_verdict verdict;
    uint32_t number = forwards_ask(&test->forwards, &question, &verdict);
    if (number == 0) {
        note(test, &verdict);
    }
    upstreams_pump(&test->base->upstreams);
    return number;
}

static void expect_verdict(struct forward_test *test, const char *wanted) {
    expect(strcmp(test->told, wanted) == 0, "%s, not %s", test->told, wanted);
    cr_assert_eq(test->told_count, 1);
    test->told_count = 0;
}

// Takes whatever is being sent, and answers.
static void answer(struct forward_test *test, link_id id, const char *text) {
    struct fake_slot *slot = fake_at(&test->base->io, id);
    int32_t length = (int32_t)slot->sent_bytes;
    slot->sent_bytes = 0;
    fake_sent(&test->base->io, id, length);
    run(test->base);
    say(test->base, id, text);
}

static link_id connect_ask(struct forward_test *test, uint32_t number) {
    cr_assert_neq(number, 0);
    return connect_now(test->base, ask_at(&test->forwards, number)->exchange);
}

#define IN "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Org: acme\r\nx-user: bob\r\n\r\nok"

Test(forward, what_the_service_is_sent_and_what_it_says) {
    struct forward_test *test = forward_test_open(0, 1);
    link_id id = connect_ask(test, ask_who(test, "a=b", 0));
    take_sent(test->base, id,
              "GET /check HTTP/1.1\r\nHost: auth:8000\r\nX-Forwarded-Method: POST\r\n"
              "X-Forwarded-Proto: http\r\nX-Forwarded-Host: site\r\n"
              "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Uri: /a?b\r\nCookie: a=b\r\n\r\n");
    say(test->base, id, IN);
    expect_verdict(test, "none bob acme");
    cr_assert_eq(test->token, 77);
    cr_assert_neq(ask_who(test, "a=b", 0), 0); // not remembered; on the line that was kept
    answer(test, id, IN);
    expect_verdict(test, "none bob acme");
    forward_test_close(test);
}

Test(forward, what_each_answer_means) {
    static char large[FORWARD_VALUES_BYTES_MAX + 200];
    static const struct {
        const char *answer, *verdict;
    } rows[] = {
        {"HTTP/1.1 204 x\r\n\r\n", "none  "},
        {"HTTP/1.1 299 x\r\nContent-Length: 0\r\nX-User: u\r\n\r\n", "none u "},
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nX-User: u\r\n\r\n", "token_refused  "},
        {"HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n", "auth_forbidden  "},
        {"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: /\r\n\r\n", "auth_unavailable  "},
        {"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n", "auth_unavailable  "},
        {"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", "auth_unavailable  "},
        {"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "auth_unavailable  "},
        {"HTTP/1.1 200 x\r\nContent-Length: 0\r\nX-Org: a\r\nX-Org: a\r\n\r\n",
         "auth_unavailable  "},
        {"garbage", "auth_unavailable  "},
        {large, "auth_unavailable  "},
    };
    int length = snprintf(large, sizeof large, "HTTP/1.1 200 x\r\nContent-Length: 0\r\nX-Org: ");
    memset(large + length, 'x', FORWARD_VALUES_BYTES_MAX + 1);
    memcpy(large + length + FORWARD_VALUES_BYTES_MAX + 1, "\r\n\r\n", 4);
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct forward_test *test = forward_test_open(0, 1);
        test->base->upstreams.head_bytes_max = 8192;
        link_id id = connect_ask(test, ask_who(test, "a=b", 0));
        answer(test, id, rows[i].answer);
        expect_verdict(test, rows[i].verdict);
        forward_test_close(test);
    }
}

Test(forward, a_service_that_is_silent) {
    struct forward_test *test = forward_test_open(0, 1);
    link_id id = connect_ask(test, ask_who(test, "a=b", 0));
    answer(test, id, "");
    wait_ms(test->base, RESPONSE_MS + 100);
    expect_verdict(test, "auth_unavailable  ");
    cr_assert_eq(test->base->base.counters.values[COUNTER_auth_unanswered], 1);
    forward_test_close(test);
}

// The body says nothing to us; a long one costs the line.
Test(forward, a_body_as_long_as_the_limit_and_longer) {
    for (uint32_t extra = 0; extra < 2; extra++) {
        struct forward_test *test = forward_test_open(0, 1);
        link_id id = connect_ask(test, ask_who(test, "a=b", 0));
        char head[100];
        (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n",
                       FORWARD_BODY_BYTES_MAX + extra);
        answer(test, id, head);
        static char body[FORWARD_BODY_BYTES_MAX + 1];
        memset(body, 'x', sizeof body);
        say_bytes(test->base, id, body, FORWARD_BODY_BYTES_MAX + extra);
        expect_verdict(test, "none  ");
        cr_assert_eq(is_closing(test->base, id), extra == 1);
        forward_test_close(test);
    }
}

Test(forward, nobody_waits_for_it_any_more) {
    struct forward_test *test = forward_test_open(0, 1);
    uint32_t number = ask_who(test, "a=b", 0);
    link_id id = connect_ask(test, number);
    forwards_cancel(&test->forwards, number);
    cr_assert(is_closing(test->base, id));
    cr_assert_eq(test->told_count, 0);
    forward_test_close(test);
}

// --- what is remembered

// Asks, and is answered on that line; whether it had to be asked.
static bool is_asked(struct forward_test *test, link_id *id, const char *who, uint32_t auth) {
    uint32_t number = ask_who(test, who, auth);
    if (number != 0) {
        *id = *id == LINK_NONE ? connect_ask(test, number) : *id;
        answer(test, *id, IN);
    }
    expect_verdict(test, "none bob acme");
    return number != 0;
}

Test(forward, as_many_answers_as_configured_are_remembered) {
    for (uint32_t entries = 1; entries <= 4; entries++) {
        struct forward_test *test = forward_test_open(60000, entries);
        link_id id = LINK_NONE;
        char who[4][8];
        for (uint32_t i = 0; i < entries; i++) {
            (void)snprintf(who[i], sizeof who[i], "u=%u", i);
            cr_assert(is_asked(test, &id, who[i], 0));
        }
        for (uint32_t i = 0; i < entries; i++) { // at n - 1 and n all are
            cr_assert_not(is_asked(test, &id, who[i], 0));
        }
        cr_assert(is_asked(test, &id, "one=more", 0)); // the oldest makes room
        cr_assert_eq(test->forwards.entries.used, entries);
        for (uint32_t i = 1; i < entries; i++) {
            cr_assert_not(is_asked(test, &id, who[i], 0));
        }
        cr_assert(is_asked(test, &id, who[0], 0));
        forward_test_close(test);
    }
}

Test(forward, for_its_time_for_its_auth_and_for_the_same_question) {
    struct forward_test *test = forward_test_open(1000, 8);
    link_id id = LINK_NONE;
    cr_assert(is_asked(test, &id, "a", 0));
    cr_assert(is_asked(test, &id, "b", 0));
    cr_assert(is_asked(test, &id, "a", 1));
    wait_ms(test->base, 999);
    cr_assert_not(is_asked(test, &id, "a", 0));
    wait_ms(test->base, 1);
    cr_assert(is_asked(test, &id, "a", 0));
    cr_assert_not(is_asked(test, &id, "a", 0));
    cr_assert_eq(test->forwards.entries.used, 3);
    forwards_config_set(&test->forwards, &test->base->config);
    cr_assert(is_asked(test, &id, "a", 0));
    forward_test_close(test);
}

Test(forward, who_is_not_let_in_is_asked_for_anew) {
    struct forward_test *test = forward_test_open(1000, 8);
    link_id id = connect_ask(test, ask_who(test, "a", 0));
    answer(test, id, "HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n");
    expect_verdict(test, "token_refused  ");
    cr_assert(is_asked(test, &id, "a", 0));
    forward_test_close(test);
}

Test(forward, an_answer_by_a_former_configuration_says_nothing) {
    struct forward_test *test = forward_test_open(1000, 8);
    link_id id = connect_ask(test, ask_who(test, "a", 0));
    forwards_config_set(&test->forwards, &test->base->config);
    answer(test, id, IN);
    expect_verdict(test, "stale none  ");
    cr_assert_eq(test->forwards.entries.used, 0);
    forward_test_close(test);
}

Test(forward, without_memory_nobody_is_let_in) {
    struct forward_test *test = forward_test_open(1000, 8);
    uint64_t limit = test->base->base.arena.limit_bytes;
    test->base->base.arena.limit_bytes = 0;
    cr_assert_eq(ask_who(test, "a", 0), 0);
    expect_verdict(test, "auth_unavailable  ");
    test->base->base.arena.limit_bytes = limit;
    link_id id = connect_ask(test, ask_who(test, "a", 0));
    test->base->base.arena.limit_bytes = 0;
    answer(test, id, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    test->base->base.arena.limit_bytes = limit;
    expect_verdict(test, "auth_unavailable  ");
    forward_test_close(test);
}
