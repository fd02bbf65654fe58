// Requests that are refused: each fault's status, the reply's fields, and what becomes of the
// connection.
#include "tests/unit/core/conn/conn_owner.h"

#define GET "GET / HTTP/1.1\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE GET "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"

struct row {
    enum fault_id fault;
    const char *request;
};

// Refused by the connection itself: the owner is never asked.
static const struct row rows[] = {
    {FAULT_request_line_malformed, "GET /\r\n"},
    {FAULT_target_malformed, "GET a HTTP/1.1\r\n"},
    {FAULT_version_unsupported, "GET / HTTP/2.0\r\n"},
    {FAULT_version_too_old, "GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\n" VERSION KEY "\r\n"},
    {FAULT_field_malformed, GET "Host : a\r\n\r\n"},
    {FAULT_field_folded, GET "Host: a\r\n b\r\n\r\n"},
    {FAULT_host_missing, GET "\r\n"},
    {FAULT_host_doubled, GET "Host: a\r\nHost: a\r\n\r\n"},
    {FAULT_host_malformed, GET "Host: a/b\r\n\r\n"},
    {FAULT_content_length_malformed, GET "Host: a\r\nContent-Length: 1x\r\n\r\n"},
    {FAULT_content_length_doubled, GET "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"},
    {FAULT_length_and_encoding,
     GET "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {FAULT_transfer_encoding_unknown, GET "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
    {FAULT_transfer_encoding_malformed,
     GET "Host: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"},
    {FAULT_expectation_unknown, GET "Host: a\r\nContent-Length: 1\r\nExpect: x\r\n\r\n"},
    {FAULT_tls_on_plain_port, "\x16\x03\x01"},
    {FAULT_http2_preface, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
    {FAULT_upgrade_method, "POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\n" VERSION KEY "\r\n"},
    {FAULT_upgrade_with_body, UPGRADE VERSION KEY "Content-Length: 1\r\n\r\n"},
    {FAULT_connection_token, GET "Host: a\r\nUpgrade: websocket\r\n" VERSION KEY "\r\n"},
    {FAULT_websocket_version, UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n"},
    {FAULT_websocket_key, UPGRADE VERSION "Sec-WebSocket-Key: AAAA\r\n\r\n"},
    {FAULT_websocket_protocol, UPGRADE VERSION KEY "Sec-WebSocket-Protocol: a b\r\n\r\n"},
    {FAULT_websocket_extensions, UPGRADE VERSION KEY "Sec-WebSocket-Extensions: ;\r\n\r\n"},
};

static void expect_status(struct conn_test *test, enum fault_id id) {
    const struct fault *fault = fault_get(id);
    char start[64];
    int length = snprintf(start, sizeof start, "HTTP/1.1 %u ", fault->http_status);
    const char *sent = conn_test_send(test);
    expect(strncmp(sent, start, (size_t)length) == 0, "%s: %.60s", fault->name, sent);
    expect(strstr(sent, fault->text) != NULL, "%s: the reply does not say so: %s", fault->name,
           sent);
}

Test(refusals, every_request_fault_has_its_status_and_ends_the_connection) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *name = fault_get(rows[i].fault)->name;
        struct owner *owner = owner_open();
        owner->is_deaf = true;
        owner_receive_text(owner, rows[i].request);
        expect(owner->log_bytes == 0, "%s: the owner was asked: %s", name, owner->log);
        expect_fault(owner->test, rows[i].fault);
        expect_status(owner->test, rows[i].fault);
        expect(strstr((char *)owner->test->sent, "\r\nConnection: close\r\n") != NULL ||
                   rows[i].fault == FAULT_websocket_version ||
                   rows[i].fault == FAULT_version_too_old,
               "%s: no Connection: close", name);
        conn_on_end(&owner->test->conns, owner->test->index);
        expect_state(owner->test, CONN_ENDED);
        expect(owner->test->counters.values[COUNTER_refusals] == 1, "%s", name);
        owner_close(owner);
    }
}

Test(refusals, they_do_not_depend_on_how_the_bytes_were_cut) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct owner *owner = owner_open();
        uint32_t length = (uint32_t)strlen(rows[i].request);
        for (uint32_t at = 0; at < length; at++) {
            if (!owner_receive(owner, rows[i].request + at, 1)) {
                break;
            }
        }
        expect_fault(owner->test, rows[i].fault);
        expect_status(owner->test, rows[i].fault);
        owner_close(owner);
    }
}

Test(refusals, websocket_versions_are_told_which_one_is_spoken) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n");
    expect_status(owner->test, FAULT_websocket_version);
    cr_assert_not_null(strstr((char *)owner->test->sent, "\r\nSec-WebSocket-Version: 13\r\n"));
    cr_assert_not_null(strstr((char *)owner->test->sent, "\r\nUpgrade: websocket\r\n"));
    owner_close(owner);
}

Test(refusals, a_wrong_method_is_told_the_right_one) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, rows[17].request);
    expect_status(owner->test, FAULT_upgrade_method);
    cr_assert_not_null(strstr((char *)owner->test->sent, "\r\nAllow: GET\r\n"));
    owner_close(owner);
}

// --- the owner's

static const enum fault_id owners[] = {
    FAULT_path_malformed, FAULT_method_unknown,   FAULT_not_found,       FAULT_method_not_allowed,
    FAULT_origin_refused, FAULT_upgrade_required, FAULT_address_limit,   FAULT_connection_limit,
    FAULT_route_limit,    FAULT_handshake_rate,   FAULT_draining,        FAULT_out_of_memory,
    FAULT_internal_error, FAULT_message_utf8,     FAULT_not_publishable, FAULT_message_kind,
};

Test(refusals, what_the_owner_refuses_keeps_the_connection) {
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++) {
        struct conn_test *test = conn_test_open();
        for (uint32_t round = 1; round <= 2; round++) {
            conn_test_feed_text(test, GET "Host: a\r\n\r\n");
            struct http_refusal refusal = {.fault = fault_get(owners[i]), .allow = "GET"};
            conn_refuse(&test->conns, test->index, &refusal);
            test->kept_refusals++;
            expect_status(test, owners[i]);
            expect(test->counters.faults[owners[i]] == round, "a refused request is counted");
            bool waits = strstr((char *)test->sent, "\r\nRetry-After: ") != NULL;
            uint16_t status = fault_get(owners[i])->http_status;
            expect(waits == (status == 503 || status == 429), "%s", (char *)test->sent);
            test->sent_bytes = 0;
            expect_state(test, CONN_HEAD);
        }
        conn_test_close(test);
    }
}

Test(refusals, retry_after_is_spread_within_its_bounds) {
    bool seen[RETRY_AFTER_S_MAX + 1] = {false};
    struct conn_test *test = conn_test_open();
    for (uint32_t i = 0; i < 200; i++) {
        conn_test_feed_text(test, GET "Host: a\r\n\r\n");
        struct http_refusal refusal = {.fault = fault_get(FAULT_connection_limit)};
        conn_refuse(&test->conns, test->index, &refusal);
        test->kept_refusals++;
        const char *field = strstr(conn_test_send(test), "\r\nRetry-After: ");
        cr_assert_not_null(field);
        long seconds = strtol(field + 15, NULL, 10);
        expect(seconds >= RETRY_AFTER_S_MIN && seconds <= RETRY_AFTER_S_MAX, "%ld", seconds);
        seen[seconds] = true;
        test->sent_bytes = 0;
        conn_test_release(test, test->index);
        conn_test_accept(test);
    }
    for (uint32_t s = RETRY_AFTER_S_MIN; s <= RETRY_AFTER_S_MAX; s++) {
        expect(seen[s], "%u s were never asked for", s);
    }
    conn_test_close(test);
}

Test(refusals, of_a_request_whose_body_is_unread_ends_the_connection) {
    struct conn_test *test = conn_test_open();
    conn_test_feed_text(test, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    struct http_refusal refusal = {.fault = fault_get(FAULT_not_found)};
    conn_refuse(&test->conns, test->index, &refusal);
    cr_assert_not(refusal.keep_alive);
    expect_status(test, FAULT_not_found);
    expect_state(test, CONN_DISCARD); // so that the reply is not lost in a reset
    expect_fault(test, FAULT_not_found);
    conn_test_feed_text(test, "abcGET / HTTP/1.1\r\n"); // never read as a request
    cr_assert_eq(test->counters.values[COUNTER_requests], 1);
    conn_test_close(test);
}

Test(refusals, of_a_head_that_cannot_be_read_throws_away_what_follows) {
    struct owner *owner = owner_open();
    owner->is_deaf = true;
    owner_receive_text(owner, GET "Content-Length: 9\r\n\r\n" GET); // no Host
    expect_state(owner->test, CONN_DISCARD);
    expect_status(owner->test, FAULT_host_missing);
    cr_assert_eq(owner->test->counters.values[COUNTER_requests], 1);
    static uint8_t body[1000];
    for (uint32_t bytes = 0; bytes + 2000 < DISCARD_BYTES_MAX; bytes += sizeof body) {
        cr_assert(owner_receive(owner, body, sizeof body));
    }
    expect_state(owner->test, CONN_DISCARD);
    conn_on_end(&owner->test->conns, owner->test->index);
    expect_state(owner->test, CONN_ENDED);
    owner_close(owner);
}

Test(refusals, a_head_request_gets_no_body) {
    struct conn_test *test = conn_test_open();
    conn_test_feed_text(test, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct http_refusal refusal = {.fault = fault_get(FAULT_not_found)};
    conn_refuse(&test->conns, test->index, &refusal);
    test->kept_refusals++;
    const char *sent = conn_test_send(test);
    cr_assert_not_null(strstr(sent, "\r\n\r\n"));
    cr_assert_str_eq(strstr(sent, "\r\n\r\n"), "\r\n\r\n");
    conn_test_close(test);
}

// --- limits

// A GET whose head is exactly that long, its end included.
static char *head_of(uint32_t length) {
    static const char start[] = GET "Host: a\r\nX: ";
    char *head = malloc(length + 1);
    cr_assert_not_null(head);
    memset(head, 'x', length);
    memcpy(head, start, sizeof start - 1);
    memcpy(head + length - 4, "\r\n\r\n", 5);
    return head;
}

static void expect_head(uint32_t length, uint32_t limit, uint32_t piece, bool is_fine) {
    struct owner *owner = owner_open();
    owner->test->conns.head_bytes_max = limit;
    char *head = head_of(length);
    for (uint32_t at = 0; at < length; at += piece) {
        if (!owner_receive(owner, head + at, length - at < piece ? length - at : piece)) {
            break;
        }
    }
    expect((owner->log_bytes > 0) == is_fine, "%u bytes in pieces of %u", length, piece);
    expect_state(owner->test, is_fine ? CONN_HEAD : CONN_DISCARD);
    if (!is_fine) {
        expect_fault(owner->test, FAULT_header_too_large);
        expect_status(owner->test, FAULT_header_too_large);
    }
    free(head);
    owner_close(owner);
}

Test(refusals, head_limit_at_n_minus_1_n_and_n_plus_1) {
    static const uint32_t pieces[] = {1, 100, 2048, 10000};
    for (size_t i = 0; i < 4; i++) {
        expect_head(999, 1000, pieces[i], true);
        expect_head(1000, 1000, pieces[i], true);
        expect_head(1001, 1000, pieces[i], false);
        expect_head(8191, 8192, pieces[i], true);
        expect_head(8192, 8192, pieces[i], true);
        expect_head(8193, 8192, pieces[i], false);
    }
}

Test(refusals, a_request_line_over_its_limit_is_414) {
    struct owner *owner = owner_open();
    owner->test->conns.head_bytes_max = 300;
    char line[400] = "GET /";
    memset(line + 5, 'a', sizeof line - 6);
    owner_receive_text(owner, line);
    expect_fault(owner->test, FAULT_target_too_long);
    expect_status(owner->test, FAULT_target_too_long);
    owner_close(owner);
}

Test(refusals, fields_at_n_and_n_plus_1) {
    for (uint32_t extra = 0; extra <= 1; extra++) {
        struct owner *owner = owner_open();
        owner_receive_text(owner, GET "Host: a\r\n");
        for (uint32_t i = 0; i < HEADER_FIELDS_MAX - 1 + extra; i++) {
            owner_receive_text(owner, "X: y\r\n");
        }
        owner_receive_text(owner, "\r\n");
        expect((owner->log_bytes > 0) == (extra == 0), "%u more", extra);
        if (extra == 1) {
            expect_fault(owner->test, FAULT_header_too_many);
            expect_status(owner->test, FAULT_header_too_many);
        }
        owner_close(owner);
    }
}
