// GET /connections and /channels: filters, limits and paging; closing and sending to one.
#include "core/ws/frame.h"
#include "tests/unit/gateway/admin/admin_test.h"

enum { LINES_PER_WORKER = 300 };

static struct call_query query_of(const struct admin_test_call *call) {
    struct call_query query;
    cr_assert_eq(call->length, sizeof query);
    memcpy(&query, call->body, sizeof query);
    return query;
}

// Each worker has the connections 1 to LINES_PER_WORKER, all of generation 9.
static void connections_answer(struct admin_test *test, const struct admin_test_call *call) {
    struct call_query query = query_of(call);
    cr_assert(query.count_max >= 1 && query.count_max <= CALL_PAGE_MAX);
    struct call_connection *lines = calloc(CALL_PAGE_MAX, sizeof *lines);
    uint32_t count = 0;
    for (uint32_t i = query.after_index + 1; i <= LINES_PER_WORKER && count < query.count_max;
         i++) {
        lines[count++] = (struct call_connection){
            .index = i, .generation = 9, .worker = (uint16_t)call->worker, .state = CONN_OPEN};
    }
    admin_test_reply(test, call, 0, lines, count * (uint32_t)sizeof *lines);
    free(lines);
}

static uint32_t count_of(const struct admin_test *test, const char *part) {
    uint32_t count = 0;
    for (const char *at = strstr(test->out, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

Test(connections, limit_at_its_bounds) {
    static const struct {
        const char *value;
        uint32_t count; // 0: refused
    } cases[] = {{"1", 1},       {"2", 2},     {"255", 255}, {"256", 256},   {"257", 257},
                 {"300", 300},   {"301", 301}, {"599", 599}, {"600", 600},   {"9999", 600},
                 {"10000", 600}, {"10001", 0}, {"0", 0},     {"", 0},        {"-1", 0},
                 {"1e3", 0},     {"0x10", 0},  {"1%20", 0},  {"99999999", 0}};
    struct admin_test *test = admin_test_open("");
    test->answer = connections_answer;
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "GET /connections?limit=%s",
                       cases[i].value); // there is room
        expect_answer(test, line, NULL, cases[i].count == 0 ? 400 : 200,
                      cases[i].count == 0 ? "limit is a number from 1 to 10000" : "\"id\"");
        expect(count_of(test, "\"id\"") == cases[i].count, "%s: %u", cases[i].value,
               count_of(test, "\"id\""));
    }
    expect_answer(test, "GET /connections", NULL, 200, "\"next\":\"0-100-9\"");
    cr_assert_eq(count_of(test, "\"id\""), ADMIN_PAGE_DEFAULT);
    admin_test_close(test);
}

// Page after page by `next` brings each connection once, whatever the page's size.
Test(connections, pages_bring_each_once) {
    struct admin_test *test = admin_test_open("");
    test->answer = connections_answer;
    static const uint32_t sizes[] = {1, 7, 100, 256, 300, 599, 600};
    for (uint32_t size = 0; size < sizeof sizes / sizeof sizes[0]; size++) {
        char line[128];
        (void)snprintf(line, sizeof line, "GET /connections?limit=%u", sizes[size]); // it fits
        uint32_t seen = 0;
        bool is_last = false;
        while (!is_last) {
            cr_assert_eq(admin_test_request(test, line, NULL), 200);
            for (const char *at = strstr(test->out, "\"id\":\""); at != NULL;
                 at = strstr(at + 1, "\"id\":\"")) {
                char id[32];
                (void)snprintf(id, sizeof id, "\"id\":\"%u-%u-9\"", seen / LINES_PER_WORKER,
                               seen % LINES_PER_WORKER + 1); // it fits
                expect(strncmp(at, id, strlen(id)) == 0, "%.20s at %u", at, seen);
                seen++;
            }
            char next[32] = {0};
            const char *at = strstr(test->out, "\"next\":\"");
            is_last = at == NULL || sscanf(at, "\"next\":\"%31[-0-9]\"", next) != 1;
            (void)snprintf(line, sizeof line, "GET /connections?limit=%u&after=%s", sizes[size],
                           next); // it fits
        }
        expect(seen == 2 * LINES_PER_WORKER, "pages of %u: %u", sizes[size], seen);
    }
    admin_test_close(test);
}

Test(connections, filters_reach_every_worker) {
    struct admin_test *test = admin_test_open("");
    expect_answer(test,
                  "GET /connections?state=open&channel=room%2E7&route=%2Fchat%2F%7Broom%7D"
                  "&address=10.0.0.7",
                  NULL, 200, "{\"connections\":[");
    cr_assert_eq(test->call_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        struct call_query query = query_of(&test->calls[i]);
        cr_assert_eq(test->calls[i].worker, i);
        cr_assert_eq(query.state, CONN_OPEN + 1);
        cr_assert(span_is(span_make(query.channel, query.channel_bytes), "room.7"));
        cr_assert(span_is(span_make(query.route, query.route_bytes), "/chat/{room}"));
        struct address address;
        cr_assert(address_parse_ip(span_text("10.0.0.7"), &address));
        cr_assert(query.has_address && address_ip_equal(&query.address, &address));
    }
    expect_answer(test, "GET /connections", NULL, 200, "{\"connections\":[");
    struct call_query none = query_of(&test->calls[0]);
    cr_assert(none.state == 0 && none.channel_bytes == 0 && none.route_bytes == 0 &&
              !none.has_address && none.after_index == 0);
    admin_test_close(test);
}

Test(connections, bad_filters_ask_nobody) {
    static const struct {
        const char *query, *part;
    } cases[] = {{"state=", "state is one of"},
                 {"state=OPEN", "state is one of"},
                 {"state=free", "state is one of"},
                 {"channel=", "channel is a channel name"},
                 {"channel=a%20b", "channel is a channel name"},
                 {"channel=%zz", "channel is a channel name"},
                 {"route=", "route is a route's path"},
                 {"address=localhost", "address is an IPv4 or IPv6"},
                 {"address=10.0.0.256", "address is an IPv4 or IPv6"},
                 {"user=u", "no route authenticates"},
                 {"after=1", "after is the id"},
                 {"after=2-1-1", "after is the id"},
                 {"after=", "after is the id"}};
    struct admin_test *test = admin_test_open("");
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[128];
        (void)snprintf(line, sizeof line, "GET /connections?%s", cases[i].query); // it fits
        expect_answer(test, line, NULL, 400, cases[i].part);
        cr_assert_eq(test->call_count, 0);
    }
    char line[400] = "GET /connections?channel=";
    for (uint32_t length = 254; length <= 256; length++) {
        memset(line + 25, 'c', length);
        line[25 + length] = 0;
        expect(admin_test_request(test, line, NULL) == (length <= 255 ? 200u : 400u), "%u", length);
    }
    admin_test_close(test);
}

static void close_answer(struct admin_test *test, const struct admin_test_call *call) {
    admin_test_reply(test, call, call->worker + 1, NULL, 0);
}

Test(connections, close) {
    struct admin_test *test = admin_test_open("");
    expect_answer(test, "DELETE /connections/1-2-3", NULL, 404, "no such connection");
    test->answer = close_answer;
    expect_answer(test, "DELETE /connections/0-2-3?code=4000&reason=go%20away", NULL, 200,
                  "{\"closed\":1}");
    const struct admin_test_call *call = &test->calls[0];
    cr_assert(call->mail.words[1] == CALL_CLOSE && call->mail.words[3] == 2);
    cr_assert(call->mail.words[4] == 3 && call->mail.words[5] == 4000);
    cr_assert(call->length == 7 && memcmp(call->body, "go away", 7) == 0);
    static const char *const bad[] = {
        "code=999",  "code=1004", "code=1005", "code=1006", "code=1015",
        "code=2999", "code=5000", "code=",     "code=x",    "reason=%ff"};
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[128];
        (void)snprintf(line, sizeof line, "DELETE /connections/0-2-3?%s", bad[i]); // it fits
        expect_answer(test, line, NULL, 400, "{\"error\":");
        cr_assert_eq(test->call_count, 0);
    }
    char line[400] = "DELETE /connections/0-2-3?reason=";
    size_t used = strlen(line);
    for (uint32_t length = 122; length <= 124; length++) {
        memset(line + used, 'r', length);
        line[used + length] = 0;
        expect(admin_test_request(test, line, NULL) == (length <= 123 ? 200u : 400u), "%u", length);
    }
    expect_answer(test, "DELETE /connections", NULL, 400, "must say which");
    expect_answer(test, "DELETE /connections?state=open", NULL, 400, "must say which");
    expect_answer(test, "DELETE /connections?channel=c", NULL, 200, "{\"closed\":3}");
    admin_test_close(test);
}

static void gone_answer(struct admin_test *test, const struct admin_test_call *call) {
    admin_test_reply(test, call, CALL_SEND_GONE, NULL, 0);
}

static void dropped_answer(struct admin_test *test, const struct admin_test_call *call) {
    admin_test_reply(test, call, CALL_SEND_DROPPED, NULL, 0);
}

Test(connections, send) {
    struct admin_test *test = admin_test_open("");
    expect_answer(test, "POST /connections/1-2-3", "{\"base64\":\"AP8=\"}", 200,
                  "{\"result\":\"queued\"}");
    const struct admin_test_call *call = &test->calls[0];
    cr_assert(call->worker == 1 && call->mail.words[1] == CALL_SEND);
    cr_assert(call->mail.words[5] == WS_BINARY && call->length == 2 && call->body[1] == 0xff);
    test->answer = dropped_answer;
    expect_answer(test, "POST /connections/1-2-3", "{\"text\":\"x\"}", 200,
                  "{\"result\":\"dropped\"}");
    test->answer = gone_answer;
    expect_answer(test, "POST /connections/1-2-3", "{\"text\":\"x\"}", 404, "not open");
    expect_answer(test, "POST /connections/1-2-3", "{}", 400, "one of text and base64");
    expect_answer(test, "POST /connections/1-2-3", "[]", 400, "the body must be");
    admin_test_close(test);
}

static void channels_answer(struct admin_test *test, const struct admin_test_call *call) {
    // Three channels on each worker, one a call: c<worker><number>.
    uint64_t at = call->mail.words[3];
    uint8_t body[8] = {(uint8_t)(at + 1),  0, 0, 0, 3, 'c', (uint8_t)('0' + call->worker),
                       (uint8_t)('0' + at)};
    admin_test_reply(test, call, at == 2 ? 0 : at + 1, body, sizeof body);
}

Test(channels, pages) {
    struct admin_test *test = admin_test_open("");
    test->answer = channels_answer;
    expect_answer(test, "GET /channels", NULL, 200, "{\"channel\":\"c12\",\"subscribers\":3}\n]}");
    cr_assert_eq(count_of(test, "\"channel\":"), 6);
    expect_answer(test, "GET /channels?limit=4", NULL, 200, "\"next\":\"281474976710657\"");
    cr_assert_eq(count_of(test, "\"channel\":"), 4);
    expect_answer(test, "GET /channels?cursor=281474976710657", NULL, 200, "c11");
    cr_assert_eq(count_of(test, "\"channel\":"), 2);
    expect_answer(test, "GET /channels?cursor=562949953421312", NULL, 400, "cursor is");
    expect_answer(test, "GET /channels?cursor=x", NULL, 400, "cursor is");
    expect_answer(test, "GET /channels?cursor=", NULL, 400, "cursor is");
    admin_test_close(test);
}
