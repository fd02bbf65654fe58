// Whom the admin API trusts, which endpoints and methods there are, and how many may wait.
#include "tests/unit/gateway/admin/admin_test.h"

static uint32_t with_field(struct admin_test *test, const char *field) {
    char text[1024];
    (void)snprintf(text, sizeof text, "GET /channels HTTP/1.1\r\n%s\r\n", field); // there is room
    return admin_test_ask(test, text);
}

Test(trust, without_a_token_the_host_is_loopback) {
    static const struct {
        const char *host;
        uint32_t status;
    } cases[] = {{"localhost", 200},
                 {"localhost:9090", 200},
                 {"LOCALHOST", 200},
                 {"127.0.0.1", 200},
                 {"127.0.0.1:1", 200},
                 {"127.255.0.9", 200},
                 {"[::1]", 200},
                 {"[::1]:9090", 200},
                 {"128.0.0.1", 403},
                 {"example.com", 403},
                 {"localhost.example", 403},
                 {"127.0.0.1.example.com", 403},
                 {"[::2]", 403},
                 {"0.0.0.0", 403},
                 {"10.0.0.1:9090", 403},
                 {"example.com:80", 403},
                 {"localhost.evil:9090", 403}};
    struct admin_test *test = admin_test_open("");
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char field[256];
        (void)snprintf(field, sizeof field, "Host: %s\r\n", cases[i].host); // there is room
        uint32_t status = with_field(test, field);
        expect(status == cases[i].status, "%s: %u", cases[i].host, status);
        expect(status == 200 || strstr(admin_test_body(test), "{\"error\":\"") != NULL, "%s",
               test->out);
    }
    admin_test_close(test);
}

Test(trust, without_a_token_no_origin) {
    struct admin_test *test = admin_test_open("");
    cr_assert_eq(with_field(test, "Host: localhost\r\nOrigin: http://localhost\r\n"), 403);
    cr_assert_eq(with_field(test, "Host: localhost\r\nOrigin: null\r\n"), 403);
    cr_assert_eq(test->call_count, 0);
    admin_test_close(test);
}

Test(trust, without_a_token_a_body_is_json) {
    static const struct {
        const char *type;
        uint32_t status;
    } cases[] = {{"Content-Type: application/json\r\n", 200},
                 {"Content-Type: application/JSON; charset=utf-8\r\n", 200},
                 {"Content-Type: text/plain\r\n", 415},
                 {"Content-Type: application/json-seq\r\n", 415},
                 {"Content-Type: application/x-www-form-urlencoded\r\n", 415},
                 {"Content-Type: text/plain; application/json\r\n", 415},
                 {"", 415}};
    static const char *const bodies[] = {"Content-Length: 2\r\n\r\n{}",
                                         "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"};
    struct admin_test *test = admin_test_open("");
    for (uint32_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "POST /drain HTTP/1.1\r\nHost: localhost\r\n%s%s",
                       cases[i / 2].type, bodies[i % 2]); // there is room
        uint32_t index = admin_test_connect(test);
        test->out_bytes = 0;
        admin_test_feed(test, index, text);
        struct admin_wish wish;
        bool has_wish = admin_wish_next(test->admin, &wish);
        expect(has_wish == (cases[i / 2].status == 200), "%s", cases[i / 2].type);
        if (has_wish) {
            admin_wish_done(test->admin, wish.request, true, span_text("draining"));
            admin_test_settle(test);
        }
        unsigned status = 0;
        (void)sscanf(test->out, "HTTP/1.1 %u", &status); // none: 0
        expect(status == cases[i / 2].status, "%s: %u", cases[i / 2].type, status);
        admin_test_gone(test, index);
    }
    admin_test_close(test);
}

Test(trust, with_a_token_it_alone_counts) {
    static const struct {
        const char *fields;
        uint32_t status;
    } cases[] = {
        {"Authorization: Bearer secret-token\r\n", 200},
        {"Authorization: bearer secret-token\r\n", 200},
        {"Authorization: Bearer secret-token\r\nOrigin: https://elsewhere.example\r\n", 200},
        {"", 401},
        {"Authorization: Bearer \r\n", 401},
        {"Authorization: secret-token\r\n", 401},
        {"Authorization: Basic secret-token\r\n", 401},
        {"Authorization: Bearer secret-tokem\r\n", 401},
        {"Authorization: Bearer Secret-token\r\n", 401},
        {"Authorization: Bearer secret-toke\r\n", 401},
        {"Authorization: Bearer s\r\n", 401},
        {"Authorization: Bearer secret-tokens\r\n", 401},
        {"Authorization: Bearer secret-tokensecret-token\r\n", 401},
    };
    struct admin_test *test = admin_test_open("secret-token");
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char fields[512];
        (void)snprintf(fields, sizeof fields, "Host: gateway.example\r\n%s",
                       cases[i].fields); // there is room
        uint32_t status = with_field(test, fields);
        expect(status == cases[i].status, "%s: %u", cases[i].fields, status);
        bool challenges = strstr(test->out, "WWW-Authenticate: Bearer\r\n") != NULL;
        expect(challenges == (status == 401), "%s", test->out);
    }
    admin_test_close(test);
}

Test(trust, health_is_for_everybody) {
    struct admin_test *test = admin_test_open("secret-token");
    cr_assert_eq(admin_test_ask(test, "GET /live HTTP/1.1\r\nHost: a.example\r\n\r\n"), 200);
    cr_assert_eq(admin_test_ask(test, "HEAD /ready HTTP/1.1\r\nHost: a.example\r\n\r\n"), 200);
    cr_assert_eq(admin_test_ask(test, "POST /ready HTTP/1.1\r\nHost: a.example\r\n\r\n"), 405);
    admin_state_set(test->admin, false, false);
    expect_answer(test, "GET /ready", NULL, 503, "starting");
    admin_state_set(test->admin, false, true);
    expect_answer(test, "GET /ready", NULL, 503, "draining");
    expect_answer(test, "GET /live", NULL, 200, "ok");
    admin_test_close(test);
}

Test(routing, paths_and_methods) {
    static const struct {
        const char *line;
        int status;
        const char *part, *allow;
    } cases[] = {
        {"GET /nothing", 404, "no such endpoint", NULL},
        {"GET /", 404, "no such endpoint", NULL},
        {"GET /connections/", 404, "no such endpoint", NULL},
        {"GET /connections/x", 404, "worker-index-generation", NULL},
        {"GET /connections/0-1", 404, "worker-index-generation", NULL},
        {"GET /connections/0-1-2-3", 404, "worker-index-generation", NULL},
        {"GET /connections/64-1-1", 404, "worker-index-generation", NULL},
        {"GET /connections/0-1-4294967296", 404, "worker-index-generation", NULL},
        {"GET /connections/2-1-1", 404, "no such connection", NULL}, // there are workers 0 and 1
        {"DELETE /connections/2-1-1", 404, "no such connection", NULL},
        {"POST /metrics", 405, "method not allowed", "Allow: GET\r\n"},
        {"GET /publish", 405, "method not allowed", "Allow: POST\r\n"},
        {"PUT /connections", 405, "method not allowed", "Allow: GET, DELETE\r\n"},
        {"PUT /connections/0-1-1", 405, "method not allowed", "Allow: GET, POST, DELETE\r\n"},
        {"GET /drain", 405, "method not allowed", "Allow: POST\r\n"},
    };
    struct admin_test *test = admin_test_open("");
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_answer(test, cases[i].line, NULL, cases[i].status, cases[i].part);
        expect(cases[i].allow == NULL || strstr(test->out, cases[i].allow) != NULL, "%s",
               test->out);
        cr_assert_eq(test->call_count, 0);
    }
    admin_test_close(test);
}

Test(routing, ids) {
    static const struct {
        const char *text;
        bool is_fine;
    } cases[] = {{"0-0-0", true},
                 {"63-16777216-4294967295", true},
                 {"64-1-1", false},
                 {"0-16777217-1", false},
                 {"0-1-4294967296", false},
                 {"", false},
                 {"-", false},
                 {"--", false},
                 {"1-1-", false},
                 {"1--1", false},
                 {"-1-1", false},
                 {"1-1-1 ", false},
                 {"+1-1-1", false},
                 {"0x1-1-1", false}};
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct admin_id id;
        expect(admin_id_parse(span_text(cases[i].text), &id) == cases[i].is_fine, "%s",
               cases[i].text);
    }
}

Test(pending, at_n_minus_1_n_and_n_plus_1) {
    struct admin_test *test = admin_test_open("");
    test->is_deaf = true;
    uint32_t waiting[ADMIN_PENDING_MAX];
    for (uint32_t i = 0; i < ADMIN_PENDING_MAX; i++) {
        waiting[i] = admin_test_connect(test);
        admin_test_feed(test, waiting[i], "GET /channels HTTP/1.1\r\nHost: localhost\r\n\r\n");
        cr_assert_eq(test->out_bytes, 0); // taken, not answered yet
    }
    expect_answer(test, "GET /channels", NULL, 503, "too many requests are waiting");
    test->out_bytes = 0;
    test->is_deaf = false;
    test->call_count = 0;
    admin_test_settle(test);
    for (uint32_t i = 0; i < ADMIN_PENDING_MAX; i++) {
        admin_test_gone(test, waiting[i]);
    }
    expect_answer(test, "GET /channels", NULL, 200, "channels");
    admin_test_close(test);
}

Test(pending, a_worker_that_does_not_answer_is_504_and_comes_too_late) {
    struct admin_test *test = admin_test_open("");
    test->is_deaf = true;
    uint32_t index = admin_test_connect(test);
    admin_test_feed(test, index, "GET /connections HTTP/1.1\r\nHost: localhost\r\n\r\n");
    admin_turn(test->admin, 1000 + ADMIN_CALL_WAIT_MS); // not yet
    admin_test_settle(test);
    cr_assert_eq(test->out_bytes, 0);
    admin_turn(test->admin, 1001 + ADMIN_CALL_WAIT_MS);
    admin_test_settle(test);
    cr_assert_eq(strncmp(test->out, "HTTP/1.1 504 ", 13), 0);
    test->is_deaf = false;
    admin_test_settle(test); // its answer is nobody's
    admin_test_gone(test, index);
    expect_answer(test, "GET /connections", NULL, 200, "connections");
    admin_test_close(test);
}

Test(pending, who_has_gone_is_not_answered) {
    struct admin_test *test = admin_test_open("");
    test->is_deaf = true;
    uint32_t index = admin_test_connect(test);
    admin_test_feed(test, index, "GET /connections HTTP/1.1\r\nHost: localhost\r\n\r\n");
    admin_test_gone(test, index);
    index = admin_test_connect(test); // another has its index
    test->is_deaf = false;
    admin_test_settle(test);
    cr_assert_eq(test->out_bytes, 0);
    admin_test_gone(test, index);
    admin_test_close(test);
}

// The wish of a drain with that body, or its status.
static uint32_t drain(struct admin_test *test, const char *body, struct admin_wish *wish) {
    uint32_t index = admin_test_connect(test);
    char text[512];
    (void)snprintf(text, sizeof text,
                   "POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   strlen(body), body); // there is room
    test->out_bytes = 0;
    test->out[0] = 0;
    admin_test_feed(test, index, text);
    if (admin_wish_next(test->admin, wish)) {
        cr_assert_eq(wish->kind, ADMIN_WISH_DRAIN);
        admin_wish_done(test->admin, wish->request, true, span_text("draining"));
        admin_test_settle(test);
    }
    unsigned status = 0;
    (void)sscanf(test->out, "HTTP/1.1 %u", &status); // none: 0
    admin_test_gone(test, index);
    return status;
}

Test(drain, over_how_long) {
    static const struct {
        const char *body;
        uint64_t over_ms; // UINT64_MAX: refused
    } cases[] = {
        {"", 30000},
        {"{}", 30000},
        {"{\"over\":\"0s\"}", 0},
        {"{\"over\":\"250ms\"}", 250},
        {"{\"over\":\"90s\"}", 90000},
        {"{\"over\":\"5m\"}", 300000},
        {"{\"over\":\"1h\"}", 3600000},
        {"{\"over\":\"479h\"}", UINT64_C(479) * 3600000},
        {"{\"over\":\"480h\"}", UINT64_C(480) * 3600000},
        {"{\"over\":\"481h\"}", UINT64_MAX},
        {"{\"over\":\"99999999999999999999s\"}", UINT64_MAX},
        {"{\"over\":\"10\"}", UINT64_MAX},
        {"{\"over\":\"s\"}", UINT64_MAX},
        {"{\"over\":\"\"}", UINT64_MAX},
        {"{\"over\":\"-1s\"}", UINT64_MAX},
        {"{\"over\":\"1.5s\"}", UINT64_MAX},
        {"{\"over\":\"1d\"}", UINT64_MAX},
        {"{\"over\":10}", UINT64_MAX},
        {"{\"over\":null}", UINT64_MAX},
        {"[]", UINT64_MAX},
        {"10s", UINT64_MAX},
        {"{\"over\":\"1s\",\"over\":\"2s\"}", UINT64_MAX},
    };
    struct admin_test *test = admin_test_open("");
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct admin_wish wish = {.kind = ADMIN_WISH_NONE};
        uint32_t status = drain(test, cases[i].body, &wish);
        bool is_refused = cases[i].over_ms == UINT64_MAX;
        expect(status == (is_refused ? 400 : 200), "%s: %u", cases[i].body, status);
        expect(is_refused ? wish.kind == ADMIN_WISH_NONE : wish.over_ms == cases[i].over_ms, "%s",
               cases[i].body);
    }
    admin_test_close(test);
}
