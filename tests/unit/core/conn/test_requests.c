// Requests one after the other on one connection: keep-alive, HEAD, bodies and their limits.
#include "tests/unit/core/conn/conn_owner.h"

#define HOST "Host: a\r\n"

static uint32_t count(const char *text, const char *part) {
    uint32_t found = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        found++;
    }
    return found;
}

Test(requests, a_connection_is_kept_as_the_client_asks) {
    static const struct {
        const char *request;
        bool is_kept;
    } rows[] = {{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
                {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false},
                {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", false},
                {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", false},
                {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct owner *owner = owner_open();
        owner_receive_text(owner, rows[i].request);
        expect_state(owner->test, rows[i].is_kept ? CONN_HEAD : CONN_ENDED);
        const char *sent = (const char *)owner->test->sent;
        expect(strstr(sent, "HTTP/1.1 200 OK\r\n") == sent, "row %zu: %s", i, sent);
        expect((strstr(sent, "\r\nConnection: close\r\n") == NULL) == rows[i].is_kept, "row %zu",
               i);
        if (!rows[i].is_kept) {
            expect_fault(owner->test, FAULT_request_done);
        }
        owner_close(owner);
    }
}

Test(requests, what_follows_a_connection_close_is_not_looked_at) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                              "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert_str_eq(owner->log, "request /1\n");
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

Test(requests, many_in_one_piece_are_answered_in_order) {
    struct owner *owner = owner_open();
    char requests[1024] = "";
    char log[256] = "";
    for (int i = 0; i < 10; i++) {
        snprintf(requests + strlen(requests), 100, "GET /%d HTTP/1.1\r\n" HOST "\r\n", i);
        snprintf(log + strlen(log), 24, "request /%d\n", i);
    }
    owner_receive_text(owner, requests);
    cr_assert_str_eq(owner->log, log);
    cr_assert_eq(count((char *)owner->test->sent, "HTTP/1.1 200 OK\r\n"), 10);
    for (int i = 0; i < 9; i++) {
        char body[] = {'/', (char)('0' + i), 'H', 0};
        cr_assert_not_null(strstr((char *)owner->test->sent, body), "reply %d out of order", i);
    }
    cr_assert_eq(owner->test->counters.values[COUNTER_requests], 10);
    owner_close(owner);
}

Test(requests, a_head_request_is_answered_without_a_body) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "HEAD /four HTTP/1.1\r\n" HOST "\r\n");
    const char *sent = (const char *)owner->test->sent;
    cr_assert_not_null(strstr(sent, "\r\nContent-Length: 5\r\n"));
    cr_assert_str_eq(strstr(sent, "\r\n\r\n"), "\r\n\r\n");
    owner->test->sent_bytes = 0;
    owner_receive_text(owner, "GET /four HTTP/1.1\r\n" HOST "\r\n"); // the next one has one again
    cr_assert_str_eq(strstr((char *)owner->test->sent, "\r\n\r\n"), "\r\n\r\n/four");
    owner_close(owner);
}

Test(requests, an_empty_line_before_a_request_is_skipped) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
    cr_assert_str_eq(owner->log, "request /\n");
    owner_close(owner);
}

Test(requests, a_reply_may_come_much_later) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "GET /later HTTP/1.1\r\n" HOST "\r\n"
                              "GET /2 HTTP/1.1\r\n" HOST "\r\n");
    expect_state(owner->test, CONN_VERDICT);
    struct http_reply reply = {.status = 200, .body = span_text("at last")};
    conn_reply(&owner->test->conns, owner->test->index, &reply);
    owner_pump(owner);
    cr_assert_str_eq(owner->log, "request /later\nrequest /2\n");
    owner_close(owner);
}

// --- bodies

static void expect_body(const char *request, const char *log, const char *start,
                        enum conn_state state) {
    uint32_t length = (uint32_t)strlen(request);
    for (uint32_t cut = 0; cut < length; cut++) {
        struct owner *owner = owner_open();
        owner_receive(owner, request, cut);
        owner_receive(owner, request + cut, length - cut);
        expect(strcmp(owner->log, log) == 0, "cut at %u: %s", cut, owner->log);
        const char *sent = (const char *)owner->test->sent;
        expect(strncmp(sent, start, strlen(start)) == 0, "cut at %u: %s", cut, sent);
        expect_state(owner->test, state);
        owner_close(owner);
    }
}

Test(requests, a_body_with_a_length) {
    expect_body("POST /take HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\nhello world",
                "request /take\nbody hello world\n", "HTTP/1.1 200 ", CONN_HEAD);
}

Test(requests, a_body_of_no_bytes) {
    expect_body("POST /take HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
                "request /take\nbody \n", "HTTP/1.1 200 ", CONN_HEAD);
    expect_body("POST /take HTTP/1.1\r\n" HOST "\r\n", "request /take\nbody \n", "HTTP/1.1 200 ",
                CONN_HEAD);
    expect_body("POST /take HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "request /take\nbody \n", "HTTP/1.1 200 ", CONN_HEAD);
}

Test(requests, a_chunked_body) {
    expect_body("POST /take HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nT: z\r\n\r\n",
                "request /take\nbody hello world\n", "HTTP/1.1 200 ", CONN_HEAD);
}

Test(requests, a_malformed_chunk_ends_the_connection) {
    expect_body("POST /take HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nx\r\n",
                "request /take\n", "HTTP/1.1 400 ", CONN_DISCARD);
}

Test(requests, a_request_behind_a_body_is_the_next_request) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "POST /take HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                              "GET /next HTTP/1.1\r\n" HOST "\r\n");
    cr_assert_str_eq(owner->log, "request /take\nbody abc\nrequest /next\n");
    owner_close(owner);
}

Test(requests, an_unread_body_is_never_a_request) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 50\r\n\r\n"
                              "GET /smuggled HTTP/1.1\r\n" HOST "\r\n");
    cr_assert_str_eq(owner->log, "request /x\n");
    cr_assert_not_null(strstr((char *)owner->test->sent, "\r\nConnection: close\r\n"));
    expect_state(owner->test, CONN_DISCARD);
    owner_close(owner);
}

static void expect_limit(uint32_t bytes, bool is_chunked, bool is_fine) {
    struct owner *owner = owner_open();
    char request[1024];
    int head = snprintf(request, sizeof request, "POST /take HTTP/1.1\r\n" HOST);
    if (is_chunked) { // in two chunks, so that only their sum breaks the limit
        head +=
            snprintf(request + head, 100, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%.*s\r\n%x\r\n",
                     50u, 50, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", bytes - 50);
    } else {
        head += snprintf(request + head, 100, "Content-Length: %u\r\n\r\n", bytes);
    }
    owner_receive(owner, request, (uint32_t)head);
    expect((conn_test_state(owner->test) == CONN_BODY) == is_fine,
           "the announced length decides: %u", bytes);
    if (is_fine) {
        memset(request, 'x', sizeof request);
        owner_receive(owner, request, is_chunked ? bytes - 50 : bytes);
        if (is_chunked) {
            owner_receive_text(owner, "\r\n0\r\n\r\n");
        }
        expect_state(owner->test, CONN_HEAD);
        expect(strstr((char *)owner->test->sent, "HTTP/1.1 200 ") != NULL, "%u", bytes);
    } else {
        expect_fault(owner->test, FAULT_body_too_large);
        expect(strstr((char *)owner->test->sent, "HTTP/1.1 413 ") != NULL, "%u", bytes);
    }
    owner_close(owner);
}

Test(requests, body_limit_at_n_minus_1_n_and_n_plus_1) {
    for (int is_chunked = 0; is_chunked <= 1; is_chunked++) {
        expect_limit(OWNER_BODY_BYTES_MAX - 1, is_chunked != 0, true);
        expect_limit(OWNER_BODY_BYTES_MAX, is_chunked != 0, true);
        expect_limit(OWNER_BODY_BYTES_MAX + 1, is_chunked != 0, false);
    }
}

Test(requests, a_body_is_asked_for_once_when_the_client_waits) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "POST /take HTTP/1.1\r\n" HOST
                              "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    cr_assert_str_eq((char *)owner->test->sent, "HTTP/1.1 100 Continue\r\n\r\n");
    owner->test->sent_bytes = 0;
    owner_receive_text(owner, "abc");
    cr_assert_eq(count((char *)owner->test->sent, "HTTP/1.1"), 1);
    cr_assert_not_null(strstr((char *)owner->test->sent, "HTTP/1.1 200 "));
    owner_close(owner);
}

Test(requests, one_refused_is_not_told_to_continue) {
    struct conn_test *test = conn_test_open();
    conn_test_feed_text(test, "POST / HTTP/1.1\r\n" HOST
                              "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    struct http_refusal refusal = {.fault = fault_get(FAULT_origin_refused)};
    conn_refuse(&test->conns, test->index, &refusal);
    conn_test_expect_start(test, "HTTP/1.1 403 ");
    conn_test_close(test);
}

Test(requests, a_large_body_grows_its_memory_and_gives_it_back) {
    struct conn_test *test = conn_test_open();
    conn_test_feed_text(test, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n");
    conn_collect(&test->conns, test->index, 1000000);
    char piece[1000];
    struct conn_event event = {.kind = CONN_EVENT_NONE};
    for (uint32_t i = 0; i < 1000; i++) {
        memset(piece, 'a' + (int)(i % 26), sizeof piece);
        event = conn_test_feed(test, piece, sizeof piece);
        expect((event.kind == CONN_EVENT_BODY) == (i == 999), "piece %u", i);
    }
    cr_assert_eq(event.payload.length, 1000000);
    for (uint32_t i = 0; i < 1000000; i++) {
        expect(event.payload.data[i] == 'a' + i / 1000 % 26, "byte %u", i);
    }
    arena_give(&test->arena, event.block);
    struct http_reply reply = {.status = 204};
    conn_reply(&test->conns, test->index, &reply);
    conn_test_close(test);
}

Test(requests, what_is_unfinished_is_counted_as_its_memory) {
    struct conn_test *test = conn_test_open();
    conn_test_feed_text(test, "GET /");
    struct conn_bytes bytes = conn_bytes(&test->conns, test->index);
    cr_assert_eq(bytes.input, sizeof(struct conn_input) + test->arena.used_bytes);
    conn_test_feed_text(test, " HTTP/1.1\r\n" HOST "\r\n");
    conn_hold(&test->conns, test->index, (struct span_mut){.data = (uint8_t[]){1, 2}, .length = 2});
    bytes = conn_bytes(&test->conns, test->index);
    cr_assert_eq(bytes.input, sizeof(struct conn_input) + test->arena.used_bytes);
    conn_test_close(test);
}
