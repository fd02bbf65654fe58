// For the tests of tokens: an arena for their documents, and tokens made here, by HMAC with a
// secret of 32 times 'k' or by whatever signature they are given.
#pragma once
#include "core/crypto/sha256.h"
#include "gateway/auth/jwt.h"
#include "tests/harness/base64url.h"
#include "tests/unit/core/conn/conn_test.h"

#define HS256_SET                                                                                  \
    "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":"                                         \
    "\"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s\"}]}"

enum { JWT_TEST_NOW_S = 1000000 };

static inline struct conn_test *jwt_test_open(void) {
    struct conn_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    conn_test_init(test, CONN_TEST_NOW_US);
    json_memory_init();
    json_memory_set(&test->arena);
    return test;
}

static inline void jwt_test_close(struct conn_test *test) {
    cr_assert_eq(test->arena.used_bytes, 0u);
    free(test);
}

static inline uint32_t base64url_write(struct span input, char *target, uint32_t room) {
    return base64url_encode(input, (struct span_mut){.data = (uint8_t *)target, .length = room});
}

// "HEADER.CLAIMS.SIGNATURE" by HMAC with SHA-256.
static inline struct span token_make(const char *header, const char *claims, char *token,
                                     uint32_t room) {
    uint32_t length = base64url_write(span_text(header), token, room);
    token[length++] = '.';
    length += base64url_write(span_text(claims), token + length, room - length);
    uint8_t digest[SHA256_BYTES];
    sha256_hmac(span_text("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"), span_make(token, length), digest);
    token[length++] = '.';
    length += base64url_write(span_make(digest, sizeof digest), token + length, room - length);
    return span_make(token, length);
}
