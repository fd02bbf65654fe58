// Can a token that its key did not make be valid, or a stranger's JSON break the reader? The first
// byte chooses: the rest is a token; or a header and claims, a line each, which are signed with the
// right secret so that the claims are reached; or a set of keys.
#include "core/base/arena.h"
#include "core/base/check.h"
#include "core/crypto/hash.h"
#include "gateway/auth/jwt.h"
#include "tests/harness/base64url.h"

#include <stdlib.h>

enum { ARENA_BYTES = 64 << 20, TEXT_BYTES_MAX = 8192, NOW_S = 1000000, LEEWAY_S = 10 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct arena arena;
static struct jwt_keys *keys;
static const char secret[] = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
static const char set[] = "{\"keys\":["
                          "{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":"
                          "\"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s\"},"
                          "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec\",\"x\":"
                          "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
                          "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static struct memory reserve(uint64_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    check(memory != NULL);
    return (struct memory){.data = memory, .length = bytes};
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    arena_init(&arena, reserve(ARENA_BYTES), reserve(arena_book_bytes(ARENA_BYTES)), ARENA_BYTES);
    json_memory_init();
    json_memory_set(&arena);
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256 | 1 << SIGNATURE_ES256,
                                  .leeway_s = LEEWAY_S};
    char problem[JWT_PROBLEM_BYTES];
    keys = jwt_keys_read(span_text(set), &options, problem);
    check(keys != NULL);
    return 0;
}

static uint32_t encode(struct span input, uint8_t *target) {
    return base64url_encode(input, (struct span_mut){.data = target, .length = 2 * TEXT_BYTES_MAX});
}

static bool is_valid(struct span token) {
    struct jwt_claims claims;
    const char *problem = jwt_check(keys, token, NOW_S, &claims);
    if (problem == NULL) {
        check(json_is_object(claims.document.root));
        check(json_number_value(json_object_get(claims.document.root, "exp")) >= NOW_S - LEEWAY_S);
        check(claims.expires_s + LEEWAY_S > NOW_S);
        check(json_object_get(claims.document.root, "aud") == NULL);
    }
    json_document_close(&claims.document);
    check(arena.used_bytes == 0);
    return problem == NULL;
}

// Signs what the fuzzer wrote; then no other signature may do.
static void signed_token(struct span text) {
    static uint8_t token[5 * TEXT_BYTES_MAX];
    uint32_t line = 0;
    while (line < text.length && text.data[line] != '\n') {
        line++;
    }
    uint32_t length = encode(span_first(text, line), token);
    token[length++] = '.';
    length += encode(span_from(text, line < text.length ? line + 1 : line), token + length);
    uint8_t digest[HASH_ANY_BYTES_MAX];
    hmac_digest(HASH_SHA256, span_text(secret), span_make(token, length), digest);
    token[length++] = '.';
    uint32_t signature = length;
    length += encode(span_make(digest, 32), token + length);
    if (is_valid(span_make(token, length))) {
        token[signature] = token[signature] == 'A' ? 'B' : 'A';
        check(!is_valid(span_make(token, length)));
    }
}

static void key_set(struct span text) {
    struct jwt_options options = {.algorithms = (1 << SIGNATURE_COUNT) - 1};
    char problem[JWT_PROBLEM_BYTES];
    struct jwt_keys *read = jwt_keys_read(text, &options, problem);
    check((read == NULL) == (problem[0] != '\0'));
    check(read == NULL || (jwt_keys_count(read) >= 1 && jwt_keys_count(read) <= JWT_KEYS_MAX));
    jwt_keys_free(read);
    check(arena.used_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > TEXT_BYTES_MAX) {
        return 0;
    }
    struct span text = span_make(data + 1, (uint32_t)size - 1);
    switch (data[0] % 3) {
    case 0:
        (void)is_valid(text); // of 256 bits only a token in the corpus can be valid
        break;
    case 1:
        signed_token(text);
        break;
    default:
        key_set(text);
        break;
    }
    return 0;
}
