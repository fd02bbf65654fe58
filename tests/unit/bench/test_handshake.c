#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bench/handshake.h"

Test(handshake, accept_is_that_of_rfc_6455_s1_3) {
    char accept[HANDSHAKE_ACCEPT_LENGTH + 1];
    handshake_accept("dGhlIHNhbXBsZSBub25jZQ==", accept);
    cr_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

Test(handshake, keys_are_24_characters_and_differ) {
    char first[HANDSHAKE_KEY_LENGTH + 1], second[HANDSHAKE_KEY_LENGTH + 1];
    handshake_key(first);
    handshake_key(second);
    cr_assert_eq(strlen(first), HANDSHAKE_KEY_LENGTH);
    cr_assert_str_neq(first, second);
}

static enum handshake_result check(const char *answer, size_t *length) {
    return handshake_check((const uint8_t *)answer, strlen(answer),
                           "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", length);
}

Test(handshake, an_answer_is_found_at_every_split_point) {
    static const char ANSWER[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "sec-websocket-accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n\r\n\x81\x02hi";
    size_t length = 0;
    size_t head = sizeof ANSWER - 1 - 4;
    for (size_t i = 0; i < sizeof ANSWER; i++) {
        enum handshake_result result =
            handshake_check((const uint8_t *)ANSWER, i, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &length);
        cr_assert_eq(result, i < head ? HANDSHAKE_MORE : HANDSHAKE_DONE);
    }
    cr_assert_eq(length, head);
}

Test(handshake, wrong_answers_are_told_apart) {
    size_t length = 0;
    cr_assert_eq(check("HTTP/1.1 503 Busy\r\n\r\n", &length), HANDSHAKE_REFUSED);
    cr_assert_eq(check("HTTP/1.1 101 X\r\n\r\n", &length), HANDSHAKE_BAD_ACCEPT);
    cr_assert_eq(
        check("HTTP/1.1 101 X\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n\r\n",
              &length),
        HANDSHAKE_BAD_ACCEPT);
}

Test(handshake, a_request_gives_its_key) {
    static const char REQUEST[] =
        "GET /echo HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char key[HANDSHAKE_KEY_LENGTH + 1];
    for (size_t i = 0; i < sizeof REQUEST - 1; i++) {
        cr_assert_eq(handshake_head((const uint8_t *)REQUEST, i, key), 0);
    }
    cr_assert_eq(handshake_head((const uint8_t *)REQUEST, sizeof REQUEST - 1, key),
                 sizeof REQUEST - 1);
    cr_assert_str_eq(key, "dGhlIHNhbXBsZSBub25jZQ==");
}

Test(handshake, a_refusal_gives_its_status_and_when_to_come_back) {
    static const char LATER[] = "HTTP/1.1 503 Busy\r\nRetry-After: 17\r\n\r\n";
    uint16_t seconds = 99;
    cr_assert_eq(handshake_refusal((const uint8_t *)LATER, sizeof LATER - 1, &seconds), 503);
    cr_assert_eq(seconds, 17);
    cr_assert_eq(handshake_refusal((const uint8_t *)"HTTP/1.1 401 X\r\n\r\n", 18, &seconds), 401);
    cr_assert_eq(seconds, 0);
    cr_assert_eq(handshake_refusal((const uint8_t *)"SSH-2.0-OpenSSH\r\n\r\n", 19, &seconds), 0);
}

Test(handshake, a_request_has_its_number_in_the_path) {
    char target[300];
    struct handshake_request request = {
        .path = "/a/{n}?b", .host = "h:1", .key = "dGhlIHNhbXBsZSBub25jZQ==", .number = 7};
    size_t length = handshake_write(target, sizeof target, &request);
    static const char HEAD[] = "GET /a/7?b HTTP/1.1\r\nHost: h:1\r\n";
    cr_assert_eq(strncmp(target, HEAD, sizeof HEAD - 1), 0);
    cr_assert_eq(length, strlen(target));
    cr_assert_str_eq(target + length - 4, "\r\n\r\n");
    cr_assert_eq(handshake_write(target, 20, &request), 19); // cut, and still a C string
}
