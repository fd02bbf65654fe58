#include "core/http/reply.h"
#include "tests/unit/core/http/http_test.h"

#include <signal.h>

static uint8_t buffer[REPLY_BYTES_MAX];
static const struct span_mut whole = {.data = buffer, .length = sizeof buffer};

static void expect_written(uint32_t length, const char *wanted) {
    http_test_is(span_make(buffer, length), wanted);
}

// The row that authentication will bring.
static const struct fault unauthorized = {
    .name = "unauthorized", .text = "authentication required", .http_status = 401};

Test(reply, a_plain_answer) {
    struct http_reply reply = {.status = 200,
                               .keep_alive = true,
                               .content_type = span_text("application/json"),
                               .body = span_text("{}")};
    http_reply_add(&reply, "Cache-Control", span_text("no-store"));
    expect_written(http_reply_write(&reply, whole), "HTTP/1.1 200 OK\r\n"
                                                    "Content-Type: application/json\r\n"
                                                    "Content-Length: 2\r\n"
                                                    "Cache-Control: no-store\r\n"
                                                    "\r\n"
                                                    "{}");
}

Test(reply, head_has_the_length_without_the_body) {
    struct http_reply reply = {.status = 200, .is_head = true, .body = span_text("hello")};
    expect_written(http_reply_write(&reply, whole), "HTTP/1.1 200 OK\r\n"
                                                    "Content-Length: 5\r\n"
                                                    "Connection: close\r\n"
                                                    "\r\n");
}

Test(reply, a_body_that_follows_by_itself) {
    struct http_reply reply = {.status = 200, .keep_alive = true};
    expect_written(http_reply_write_head(&reply, UINT64_MAX, whole),
                   "HTTP/1.1 200 OK\r\n"
                   "Content-Length: 18446744073709551615\r\n"
                   "\r\n");
    reply.omits_length = true;
    reply.keep_alive = false;
    expect_written(http_reply_write_head(&reply, 0, whole), "HTTP/1.1 200 OK\r\n"
                                                            "Connection: close\r\n"
                                                            "\r\n");
}

Test(reply, statuses_without_a_body_have_no_length) {
    static const char *const wanted[] = {"HTTP/1.1 100 Continue\r\n\r\n",
                                         "HTTP/1.1 204 No Content\r\n\r\n",
                                         "HTTP/1.1 304 Not Modified\r\n\r\n"};
    static const uint16_t statuses[] = {100, 204, 304};
    for (int i = 0; i < 3; i++) {
        struct http_reply reply = {.status = statuses[i], .keep_alive = true};
        expect_written(http_reply_write(&reply, whole), wanted[i]);
    }
}

Test(reply, close_joins_a_connection_field) {
    struct http_reply reply = {.status = 426, .omits_length = true};
    http_reply_add(&reply, "Connection", span_text("Upgrade"));
    expect_written(http_reply_write(&reply, whole), "HTTP/1.1 426 Upgrade Required\r\n"
                                                    "Connection: Upgrade, close\r\n"
                                                    "\r\n");
    reply.keep_alive = true;
    expect_written(http_reply_write(&reply, whole), "HTTP/1.1 426 Upgrade Required\r\n"
                                                    "Connection: Upgrade\r\n"
                                                    "\r\n");
}

// Every length that is too small gives 0 and writes nothing beyond it.
static void expect_small_targets_refused(const struct http_refusal *refusal) {
    uint32_t length = http_refusal_write(refusal, whole);
    cr_assert_gt(length, 0);
    for (uint32_t room = 0; room < length; room++) {
        uint8_t *target = malloc(room + 1);
        cr_assert_not_null(target);
        target[room] = 0x5a;
        cr_assert_eq(http_refusal_write(refusal, (struct span_mut){target, room}), 0);
        cr_assert_eq(target[room], 0x5a);
        free(target);
    }
    uint8_t *target = malloc(length);
    cr_assert_eq(http_refusal_write(refusal, (struct span_mut){target, length}), length);
    free(target);
}

Test(reply, too_small_a_target_is_zero) {
    struct http_refusal refusal = {.fault = fault_get(FAULT_websocket_version)};
    expect_small_targets_refused(&refusal);
    refusal = (struct http_refusal){.fault = fault_get(FAULT_handshake_rate),
                                    .retry_after_s = 4294967295,
                                    .origin = span_text("https://a")};
    expect_small_targets_refused(&refusal);
}

Test(reply, switching) {
    struct span key = span_text("dGhlIHNhbXBsZSBub25jZQ==");
    uint32_t length = http_reply_write_switching(key, span_empty(), span_empty(), whole);
    expect_written(length, "HTTP/1.1 101 Switching Protocols\r\n"
                           "Upgrade: websocket\r\n"
                           "Connection: Upgrade\r\n"
                           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                           "\r\n");
    length =
        http_reply_write_switching(key, span_text("chat"), span_text("permessage-deflate"), whole);
    expect_written(length, "HTTP/1.1 101 Switching Protocols\r\n"
                           "Upgrade: websocket\r\n"
                           "Connection: Upgrade\r\n"
                           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                           "Sec-WebSocket-Protocol: chat\r\n"
                           "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                           "\r\n");
    for (uint32_t room = 0; room < length; room++) {
        struct span_mut target = {.data = buffer, .length = room};
        cr_assert_eq(http_reply_write_switching(key, span_text("chat"),
                                                span_text("permessage-deflate"), target),
                     0);
    }
}

static void expect_refusal(struct http_refusal refusal, const char *wanted) {
    expect_written(http_refusal_write(&refusal, whole), wanted);
}

#define TEXT_TYPE "Content-Type: text/plain; charset=utf-8\r\n"

Test(refusal, each_status_has_what_it_owes) {
    expect_refusal((struct http_refusal){.fault = fault_get(FAULT_host_missing)},
                   "HTTP/1.1 400 Bad Request\r\n" TEXT_TYPE "Content-Length: 20\r\n"
                   "Cache-Control: no-store\r\n"
                   "Connection: close\r\n"
                   "\r\n"
                   "Host header missing\n");
    expect_refusal((struct http_refusal){.fault = &unauthorized, .keep_alive = true},
                   "HTTP/1.1 401 Unauthorized\r\n" TEXT_TYPE "Content-Length: 24\r\n"
                   "Cache-Control: no-store\r\n"
                   "WWW-Authenticate: Bearer\r\n"
                   "\r\n"
                   "authentication required\n");
    expect_refusal((struct http_refusal){.fault = fault_get(FAULT_method_not_allowed),
                                         .allow = "GET, POST",
                                         .is_head = true},
                   "HTTP/1.1 405 Method Not Allowed\r\n" TEXT_TYPE "Content-Length: 33\r\n"
                   "Cache-Control: no-store\r\n"
                   "Allow: GET, POST\r\n"
                   "Connection: close\r\n"
                   "\r\n");
    expect_refusal(
        (struct http_refusal){.fault = fault_get(FAULT_upgrade_required), .keep_alive = true},
        "HTTP/1.1 426 Upgrade Required\r\n" TEXT_TYPE "Content-Length: 33\r\n"
        "Cache-Control: no-store\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "\r\n"
        "this route speaks WebSocket only\n");
    expect_refusal((struct http_refusal){.fault = fault_get(FAULT_draining), .retry_after_s = 10},
                   "HTTP/1.1 503 Service Unavailable\r\n" TEXT_TYPE "Content-Length: 19\r\n"
                   "Cache-Control: no-store\r\n"
                   "Retry-After: 10\r\n"
                   "Connection: close\r\n"
                   "\r\n"
                   "server is draining\n");
    expect_refusal((struct http_refusal){.fault = fault_get(FAULT_address_limit),
                                         .origin = span_text("https://app.example.com")},
                   "HTTP/1.1 429 Too Many Requests\r\n" TEXT_TYPE "Content-Length: 39\r\n"
                   "Cache-Control: no-store\r\n"
                   "Access-Control-Allow-Origin: https://app.example.com\r\n"
                   "Vary: Origin\r\n"
                   "Connection: close\r\n"
                   "\r\n"
                   "too many connections from this address\n");
}

Test(refusal, an_upgrade_by_another_method_is_allowed_get) {
    struct http_refusal refusal = {.fault = fault_get(FAULT_upgrade_method)};
    uint32_t length = http_refusal_write(&refusal, whole);
    cr_assert_not_null(memmem(buffer, length, "\r\nAllow: GET\r\n", 14));
}

Test(refusal, every_row_with_a_status_can_be_written_and_named) {
    for (uint32_t id = 0; id < FAULT_COUNT; id++) {
        struct http_refusal refusal = {.fault = fault_get((enum fault_id)id), .allow = "GET"};
        if (refusal.fault->http_status == 0) {
            continue;
        }
        uint32_t length = http_refusal_write(&refusal, whole);
        cr_assert_gt(length, 0, "%s", refusal.fault->name);
        const char *text = http_status_text(refusal.fault->http_status);
        cr_assert_str_neq(text, "Unknown", "%s", refusal.fault->name);
        cr_assert_not_null(memmem(buffer, length, text, strlen(text)));
        cr_assert_not_null(
            memmem(buffer, length, refusal.fault->text, strlen(refusal.fault->text)));
        bool is_426 = refusal.fault->http_status == 426;
        const char version[] = "\r\nSec-WebSocket-Version: 13\r\n";
        cr_assert_eq(memmem(buffer, length, version, sizeof version - 1) != NULL, is_426);
    }
}

Test(reply, unknown_statuses_have_a_phrase) {
    cr_assert_str_eq(http_status_text(299), "Unknown");
    struct http_reply reply = {.status = 299, .keep_alive = true};
    expect_written(http_reply_write(&reply, whole),
                   "HTTP/1.1 299 Unknown\r\nContent-Length: 0\r\n\r\n");
}

static void write_field(const char *name, struct span value) {
    struct http_reply reply = {.status = 200};
    http_reply_add(&reply, name, value);
    http_reply_write(&reply, whole);
}

Test(reply, a_line_feed_in_a_value_is_our_bug, .signal = SIGABRT) {
    write_field("X", span_text("a\nSet-Cookie: b"));
}

Test(reply, a_carriage_return_in_a_value_is_our_bug, .signal = SIGABRT) {
    write_field("X", span_text("a\r"));
}

Test(reply, a_nul_in_a_value_is_our_bug, .signal = SIGABRT) {
    write_field("X", span_make("a\0b", 3));
}

Test(reply, a_name_that_is_no_token_is_our_bug, .signal = SIGABRT) {
    write_field("X: y", span_text("z"));
}

Test(reply, a_thirteenth_field_is_our_bug, .signal = SIGABRT) {
    struct http_reply reply = {.status = 200};
    for (int i = 0; i < 13; i++) {
        http_reply_add(&reply, "X", span_text("y"));
    }
}

Test(reply, a_body_where_none_may_be_is_our_bug, .signal = SIGABRT) {
    struct http_reply reply = {.status = 204, .body = span_text("x")};
    http_reply_write(&reply, whole);
}

Test(refusal, method_not_allowed_without_allow_is_our_bug, .signal = SIGABRT) {
    struct http_refusal refusal = {.fault = fault_get(FAULT_method_not_allowed)};
    http_refusal_write(&refusal, whole);
}
