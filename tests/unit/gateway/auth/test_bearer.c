// Where a token is looked for, whose word counts, and what a route's channels get of it.
#include "gateway/auth/bearer.h"
#include "tests/unit/gateway/auth/jwt_test.h"

enum { HEAD_BYTES = 16 << 10 };

struct bearer_test {
    struct conn_test *base;
    struct jwt_keys *keys;
    struct config_auth auth;
    struct config_route route;
    struct config_token_source sources[AUTH_SOURCES_MAX];
    struct span claims[CLAIMS_MAX];
    struct config_pass passes[FORWARD_FIELDS_MAX];
    struct http_request request;
    char head[HEAD_BYTES];
    char token[JWT_BYTES_MAX + 64];
    struct bearer bearer;
};

static struct bearer_test *bearer_test_open(void) {
    struct bearer_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    test->base = jwt_test_open();
    char problem[JWT_PROBLEM_BYTES];
    struct jwt_options options = {.algorithms = 1u << SIGNATURE_HS256};
    test->keys = jwt_keys_read(span_text(HS256_SET), &options, problem);
    cr_assert_not_null(test->keys, "%s", problem);
    test->auth = (struct config_auth){.sources = test->sources, .leeway_s = 10};
    test->route = (struct config_route){.auth = &test->auth, .claims = {.items = test->claims}};
    return test;
}

static void source_add(struct bearer_test *test, enum config_token_place place, const char *name) {
    test->sources[test->auth.source_count++] =
        (struct config_token_source){.place = (uint8_t)place, .name = span_text(name)};
}

static void claim_add(struct bearer_test *test, const char *name) {
    test->claims[test->route.claims.count++] = span_text(name);
}

static const char *token_of(struct bearer_test *test, const char *claims) {
    struct span token =
        token_make("{\"alg\":\"HS256\"}", claims, test->token, sizeof test->token - 1);
    test->token[token.length] = '\0';
    return test->token;
}

// `target` and `fields` with %s for the token.
static enum fault_id ask(struct bearer_test *test, const char *target, const char *fields,
                         const char *token) {
    char format[512];
    snprintf(format, sizeof format, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", target, fields);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(test->head, sizeof test->head, format, token, token);
#pragma GCC diagnostic pop
    const struct fault *fault = http_request_parse(span_text(test->head), &test->request);
    cr_assert_null(fault, "%s", fault == NULL ? "" : fault->text);
    return bearer_open(&test->bearer, test->keys, &test->route, &test->request, JWT_TEST_NOW_S);
}

static void bearer_test_close(struct bearer_test *test) {
    bearer_close(&test->bearer);
    jwt_keys_free(test->keys);
    jwt_test_close(test->base);
    free(test);
}

#define GOOD "{\"exp\":1000100,\"sub\":\"ada\"}"

static void expect_answer(struct bearer_test *test, enum fault_id found, enum fault_id wanted,
                          const char *reason) {
    expect(found == wanted, "%s instead of %s: %s", fault_get(found)->name, fault_get(wanted)->name,
           test->bearer.reason);
    expect(reason == NULL ? test->bearer.reason == NULL
                          : strstr(test->bearer.reason, reason) != NULL,
           "%s", test->bearer.reason);
    bearer_close(&test->bearer);
}

Test(bearer, is_taken_from_its_place_only) {
    static const struct {
        enum config_token_place place;
        const char *target, *fields;
    } rows[] = {
        {CONFIG_TOKEN_HEADER, "/", "Authorization: Bearer %s\r\n"},
        {CONFIG_TOKEN_HEADER, "/", "AUTHORIZATION: bearer   %s\r\n"},
        {CONFIG_TOKEN_COOKIE, "/", "Cookie: a=b; t=%s\r\n"},
        {CONFIG_TOKEN_COOKIE, "/", "Cookie: x=1\r\nCookie: t=%s\r\n"},
        {CONFIG_TOKEN_QUERY, "/?t=%s", ""},
        {CONFIG_TOKEN_QUERY, "/?a&%%74=%s&t=x", ""},
        {CONFIG_TOKEN_SUBPROTOCOL, "/", "Sec-WebSocket-Protocol: bearer.%s\r\n"},
        {CONFIG_TOKEN_SUBPROTOCOL, "/",
         "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: b, bearer.%s, c\r\n"},
    };
    for (uint32_t place = CONFIG_TOKEN_HEADER; place <= CONFIG_TOKEN_SUBPROTOCOL; place++) {
        struct bearer_test *test = bearer_test_open();
        source_add(test, (enum config_token_place)place, "t");
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            enum fault_id fault = ask(test, rows[i].target, rows[i].fields, token_of(test, GOOD));
            bool is_here = rows[i].place == place;
            expect_answer(test, fault, is_here ? FAULT_none : FAULT_token_missing,
                          is_here ? NULL : "there is no token");
        }
        bearer_test_close(test);
    }
}

Test(bearer, the_first_place_with_a_token_decides) {
    struct bearer_test *test = bearer_test_open();
    source_add(test, CONFIG_TOKEN_COOKIE, "t");
    source_add(test, CONFIG_TOKEN_HEADER, "");
    const char *good = token_of(test, GOOD);
    expect_answer(test, ask(test, "/", "Authorization: Bearer %s\r\n", good), FAULT_none, NULL);
    expect_answer(test, ask(test, "/", "Cookie: t=\r\nAuthorization: Bearer %s\r\n", good),
                  FAULT_none, NULL); // an empty one is none
    expect_answer(test, ask(test, "/", "Cookie: t=a.b.c\r\nAuthorization: Bearer %s\r\n", good),
                  FAULT_token_refused, "base64url");
    expect_answer(test, ask(test, "/", "Cookie: t=%s\r\nAuthorization: Basic x\r\n", good),
                  FAULT_none, NULL);
    bearer_test_close(test);
}

Test(bearer, what_is_no_bearer) {
    struct bearer_test *test = bearer_test_open();
    source_add(test, CONFIG_TOKEN_HEADER, "");
    const char *good = token_of(test, GOOD);
    expect_answer(test,
                  ask(test, "/", "Authorization: Bearer %s\r\nAuthorization: Bearer %s\r\n", good),
                  FAULT_token_refused, "two Authorization fields");
    static const char *const fields[] = {"Authorization: %s\r\n", "Authorization: Basic %s\r\n",
                                         "Authorization: Bearer\r\n",
                                         "Authorization: Bearers %s\r\n"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        expect_answer(test, ask(test, "/", fields[i], good), FAULT_token_refused, "is not Bearer");
    }
    expect_answer(test, ask(test, "/", "Authorization: Bearer %s \t\r\n", good), FAULT_none, NULL);
    expect_answer(test, ask(test, "/", "Authorization: Bearer %s x\r\n", good), FAULT_token_refused,
                  "base64url");
    bearer_test_close(test);
}

Test(bearer, a_parameter_that_cannot_be_decoded) {
    struct bearer_test *test = bearer_test_open();
    source_add(test, CONFIG_TOKEN_QUERY, "t");
    enum fault_id fault = ask(test, "/?t=%%zz", "", "");
    expect_answer(test, fault, FAULT_token_refused, "bad escape");
    bearer_test_close(test);
}

Test(bearer, expiry_counts_its_leeway) {
    struct bearer_test *test = bearer_test_open();
    source_add(test, CONFIG_TOKEN_HEADER, "");
    cr_assert_eq(ask(test, "/", "Authorization: Bearer %s\r\n", token_of(test, GOOD)), FAULT_none);
    cr_assert_eq(test->bearer.expires_s, 1000110);
    bearer_test_close(test);
}

static void pass_add(struct bearer_test *test, const char *header, const char *claim) {
    test->passes[test->auth.pass_count++] =
        (struct config_pass){.header = span_text(header), .claim = span_text(claim)};
    test->auth.passes = test->passes;
}

static enum fault_id ask_with(struct bearer_test *test, const char *claims) {
    char text[JWT_BYTES_MAX];
    snprintf(text, sizeof text, "{\"exp\":1000100,%s}", claims);
    return ask(test, "/", "Authorization: Bearer %s\r\n", token_of(test, text));
}

Test(bearer, what_services_are_sent) {
    struct bearer_test *test = bearer_test_open();
    source_add(test, CONFIG_TOKEN_HEADER, "");
    static const char *const names[] = {"sub", "level", "admin", "roles", "none", "null", "empty"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        pass_add(test, "X-A", names[i]);
    }
    enum fault_id fault =
        ask_with(test, "\"sub\":\"a \\u00e9\",\"level\":-7,\"admin\":true,\"roles\":[\"a\",\"b "
                       "c\",3,false],\"null\":null,\"empty\":[]");
    cr_assert_eq(fault, FAULT_none, "%s", test->bearer.reason);
    static const char *const wanted[] = {"a \xc3\xa9", "-7", "true", "a,b c,3,false", "", "", ""};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        cr_assert(span_is(test->bearer.passed[i], wanted[i]), "%s", names[i]);
    }
    bearer_test_close(test);
}

Test(bearer, a_claim_that_no_header_can_carry_lets_nobody_in) {
    struct bearer_test *test = bearer_test_open();
    source_add(test, CONFIG_TOKEN_HEADER, "");
    pass_add(test, "X-A", "sub");
    static const char *const claims[] = {
        "\"sub\":\"a\\r\\nX-B: c\"", "\"sub\":\"a\\u007fb\"", "\"sub\":\" a\"",
        "\"sub\":\"a\\t\"",          "\"sub\":1.5",           "\"sub\":{}",
        "\"sub\":[\"a,b\"]",         "\"sub\":[\"\"]",        "\"sub\":[[\"a\"]]",
    };
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        expect_answer(test, ask_with(test, claims[i]), FAULT_claim_unusable, "a header can carry");
    }
    bearer_test_close(test);
}

// n - 1, n and n + 1 bytes of them together.
Test(bearer, what_services_are_sent_is_bounded) {
    struct bearer_test *test = bearer_test_open();
    source_add(test, CONFIG_TOKEN_HEADER, "");
    pass_add(test, "X-A", "a");
    pass_add(test, "X-B", "b");
    for (uint32_t length = BEARER_PASSED_BYTES - 1; length <= BEARER_PASSED_BYTES + 1; length++) {
        char claims[BEARER_PASSED_BYTES + 64];
        snprintf(claims, sizeof claims, "\"b\":\"b\",\"a\":\"%0*d\"", (int)length - 1, 0);
        enum fault_id wanted = length <= BEARER_PASSED_BYTES ? FAULT_none : FAULT_claim_unusable;
        expect_answer(test, ask_with(test, claims), wanted,
                      wanted == FAULT_none ? NULL : "more than 4096 bytes");
    }
    bearer_test_close(test);
}

Test(bearer, claims_in_the_route_s_order) {
    struct bearer_test *test = bearer_test_open();
    source_add(test, CONFIG_TOKEN_HEADER, "");
    claim_add(test, "org");
    claim_add(test, "sub");
    claim_add(test, "number");
    const char *token = token_of(test, "{\"exp\":1000100,\"number\":-9223372036854775808,"
                                       "\"sub\":\"a\\u00e9\",\"org\":\"o\"}");
    cr_assert_eq(ask(test, "/", "Authorization: Bearer %s\r\n", token), FAULT_none);
    cr_assert_eq(test->bearer.claims.count, 3);
    cr_assert(span_is(test->bearer.claims.values[0], "o"));
    cr_assert(span_is(test->bearer.claims.values[1], "a\xc3\xa9"));
    cr_assert(span_is(test->bearer.claims.values[2], "-9223372036854775808"));
    bearer_test_close(test);
}

Test(bearer, claims_that_make_no_name) {
    struct bearer_test *test = bearer_test_open();
    source_add(test, CONFIG_TOKEN_HEADER, "");
    claim_add(test, "sub");
    static const char *const values[] = {"\"\"", "null", "true", "1.5",      "1e3",
                                         "[]",   "{}",   "[1]",  "{\"a\":1}"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char claims[64];
        snprintf(claims, sizeof claims, "{\"exp\":1000100,\"sub\":%s}", values[i]);
        expect_answer(test, ask(test, "/", "Authorization: Bearer %s\r\n", token_of(test, claims)),
                      FAULT_claim_unusable, "lacks a claim");
    }
    expect_answer(
        test, ask(test, "/", "Authorization: Bearer %s\r\n", token_of(test, "{\"exp\":1000100}")),
        FAULT_claim_unusable, "lacks a claim");
    bearer_test_close(test);
}
