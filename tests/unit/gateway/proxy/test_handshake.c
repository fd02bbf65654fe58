// Handshakes with services: what is asked for, and which answers are an answer to it.
#include "core/hub/payload.h"
#include "gateway/proxy/internal.h"
#include "tests/unit/core/conn/conn_test.h"

#include <stdio.h>

static struct arena arena;
static struct proxy proxy;
static struct http_request request;

static void setup(void) {
    arena_init(&arena, conn_test_reserve(16 << 20), conn_test_reserve(arena_book_bytes(16 << 20)),
               16 << 20);
    proxy = (struct proxy){.arena = &arena, .secret_key = {1, 2}};
}

static void teardown(void) {
    cr_assert_eq(arena.used_bytes, 0);
}

TestSuite(handshake, .init = setup, .fini = teardown);

static uint32_t open_for(const char *fields, const struct config_route *route) {
    static char head[4096];
    (void)snprintf(head, sizeof head,
                   "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                   "%s\r\n",
                   fields);
    cr_assert_null(http_request_parse(span_text(head), &request));
    uint32_t block = handshake_open(&proxy, &request, route);
    cr_assert_neq(block, 0);
    return block;
}

static bool offers(const char *fields, const struct config_route *route, const char *wanted) {
    uint32_t block = open_for(fields, route);
    bool is_so = span_is(handshake_offers(handshake_at(&proxy, block)), wanted);
    arena_give(&arena, block);
    return is_so;
}

Test(handshake, what_is_offered_is_what_the_route_lets_through) {
    static const struct span listed[] = {{(const uint8_t *)"b", 1}, {(const uint8_t *)"c", 1}};
    static const struct config_route any = {.verb = CONFIG_VERB_TUNNEL};
    static const struct config_route some = {.subprotocols = {listed, 2}};
    cr_assert(offers("", &any, ""));
    cr_assert(
        offers("Sec-WebSocket-Protocol: a,b\r\nSec-WebSocket-Protocol: c\r\n", &any, "a, b, c"));
    cr_assert(offers("Sec-WebSocket-Protocol: a, b,c\r\n", &some, "b, c"));
    cr_assert(offers("Sec-WebSocket-Protocol: a\r\n", &some, ""));
}

// The pattern with the value in place of each `%s`.
static void fill(char *text, const char *pattern, const char *value) {
    while (*pattern != 0) {
        if (strncmp(pattern, "%s", 2) == 0) {
            text = stpcpy(text, value);
            pattern += 2;
        } else {
            *text++ = *pattern++;
        }
    }
    *text = 0;
}

// An answer, with %s for the right Sec-WebSocket-Accept.
static bool fits(const char *fields, const char *pattern, const char *subprotocol) {
    static const struct config_route any = {.verb = CONFIG_VERB_TUNNEL};
    static struct http_response response;
    static char head[4096];
    uint32_t block = open_for(fields, &any);
    uint8_t accept[WEBSOCKET_ACCEPT_BYTES + 1] = {0};
    struct handshake *handshake = handshake_at(&proxy, block);
    http_upgrade_accept(span_make(handshake->key, sizeof handshake->key), accept);
    fill(head, pattern, (const char *)accept);
    cr_assert_null(http_response_parse(span_text(head), &response), "%s", head);
    struct span chosen;
    const struct fault *fault = handshake_check(handshake, &response, &chosen);
    arena_give(&arena, block);
    cr_assert(fault == NULL || fault->id == FAULT_handshake_wrong);
    return fault == NULL && span_is(chosen, subprotocol);
}

#define SWITCH "HTTP/1.1 101 x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n"
#define RIGHT "Sec-WebSocket-Accept: %s\r\n"
#define OFFER "Sec-WebSocket-Protocol: a, bb\r\n"

Test(handshake, an_exact_answer_fits) {
    cr_assert(fits("", SWITCH RIGHT "\r\n", ""));
    cr_assert(fits(OFFER, SWITCH RIGHT "\r\n", ""));
    cr_assert(fits(OFFER, SWITCH RIGHT "Sec-WebSocket-Protocol: bb\r\n\r\n", "bb"));
}

Test(handshake, any_other_does_not) {
    static const char *const rows[] = {
        SWITCH "\r\n",
        SWITCH "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        SWITCH "Sec-WebSocket-Accept: %s=\r\n\r\n",
        SWITCH RIGHT RIGHT "\r\n",
        SWITCH "Upgrade: websocket\r\n" RIGHT "\r\n",
        "HTTP/1.0 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" RIGHT "\r\n",
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\n" RIGHT "\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n" RIGHT "\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: upgrade\r\n" RIGHT "\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: websocket, h2c\r\nConnection: upgrade\r\n" RIGHT "\r\n",
        "HTTP/1.1 200 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" RIGHT "\r\n",
        SWITCH RIGHT "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        SWITCH RIGHT "Sec-WebSocket-Extensions:\r\n\r\n",
        SWITCH RIGHT "Sec-WebSocket-Protocol: b\r\n\r\n",
        SWITCH RIGHT "Sec-WebSocket-Protocol: BB\r\n\r\n",
        SWITCH RIGHT "Sec-WebSocket-Protocol: a, bb\r\n\r\n",
        SWITCH RIGHT "Sec-WebSocket-Protocol:\r\n\r\n",
        SWITCH RIGHT "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n\r\n",
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert(!fits(OFFER, rows[i], ""), "%s", rows[i]);
        cr_assert(!fits(OFFER, rows[i], "a"), "%s", rows[i]);
    }
    cr_assert(!fits("", SWITCH RIGHT "Sec-WebSocket-Protocol: a\r\n\r\n", "a"));
}

Test(handshake, the_head_asks_for_exactly_this) {
    uint32_t block = open_for("Sec-WebSocket-Protocol: a\r\nContent-Length: 0\r\n"
                              "Sec-WebSocket-Extensions: x\r\nSec_WebSocket_Key: y\r\n",
                              &(struct config_route){.verb = CONFIG_VERB_TUNNEL});
    struct prng prng;
    prng_init(&prng, 1);
    struct address peer = {.kind = ADDRESS_UNIX};
    struct forward forward = {.request = &request,
                              .peer = &peer,
                              .handshake = handshake_at(&proxy, block),
                              .prng = &prng};
    const struct fault *fault = NULL;
    uint32_t payload = forward_head(&arena, &forward, &fault);
    cr_assert_neq(payload, 0);
    static struct http_request again;
    cr_assert_null(http_request_parse(payload_wire(&arena, payload), &again));
    struct span key;
    cr_assert_null(http_upgrade_check(&again, &key));
    cr_assert(span_equal(key, span_make(forward.handshake->key, WEBSOCKET_KEY_BYTES)));
    cr_assert(!span_is(key, "dGhlIHNhbXBsZSBub25jZQ=="), "the client's key is its own");
    cr_assert(http_list_has(&again, "sec-websocket-protocol", "a"));
    static const char *const gone[] = {"sec-websocket-extensions", "sec_websocket_key",
                                       "content-length"};
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(http_field_count(&again, gone[i]), 0, "%s", gone[i]);
    }
    payload_drop(&arena, payload);
    arena_give(&arena, block);
}

Test(handshake, no_two_keys_are_alike) {
    uint8_t last[WEBSOCKET_KEY_BYTES] = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t block = open_for("", &(struct config_route){.verb = CONFIG_VERB_TUNNEL});
        cr_assert(memcmp(last, handshake_at(&proxy, block)->key, sizeof last) != 0);
        memcpy(last, handshake_at(&proxy, block)->key, sizeof last);
        arena_give(&arena, block);
    }
}
