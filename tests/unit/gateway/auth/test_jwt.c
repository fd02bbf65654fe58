// What makes a token valid, and that everything else is refused with its own reason.
#include "tests/unit/gateway/auth/jwt_test.h"

static const char HEADER[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";

static struct jwt_keys *keys_open(const struct jwt_options *options, const char *set) {
    char problem[JWT_PROBLEM_BYTES];
    struct jwt_keys *keys = jwt_keys_read(span_text(set), options, problem);
    cr_assert_not_null(keys, "%s", problem);
    return keys;
}

// NULL: valid.
static const char *judge(const struct jwt_keys *keys, struct span token) {
    struct jwt_claims claims;
    const char *problem = jwt_check(keys, token, JWT_TEST_NOW_S, &claims);
    json_document_close(&claims.document);
    return problem;
}

static void expect_text(const char *problem, const char *expected, const char *what) {
    if (expected == NULL) {
        cr_assert_null(problem, "%s: %s", what, problem);
    } else {
        cr_assert_not_null(problem, "%s was taken", what);
        cr_assert_str_eq(problem, expected, "%s: %s", what, problem);
    }
}

Test(jwt, what_it_claims_is_handed_on) {
    struct conn_test *test = jwt_test_open();
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256};
    struct jwt_keys *keys = keys_open(&options, HS256_SET);
    char text[1024];
    struct span token =
        token_make(HEADER, "{\"sub\":\"joe\",\"exp\":1000060.5}", text, sizeof text);
    struct jwt_claims claims;
    cr_assert_null(jwt_check(keys, token, JWT_TEST_NOW_S, &claims));
    cr_assert_eq(claims.expires_s, 1000060);
    cr_assert_str_eq(json_string_value(json_object_get(claims.document.root, "sub")), "joe");
    json_document_close(&claims.document);
    jwt_keys_free(keys);
    jwt_test_close(test);
}

struct claim_case {
    const char *claims;
    const char *problem;
};

static void expect_claims(const struct jwt_options *options, const struct claim_case *cases,
                          uint32_t count) {
    struct conn_test *test = jwt_test_open();
    struct jwt_keys *keys = keys_open(options, HS256_SET);
    for (uint32_t i = 0; i < count; i++) {
        char text[1024];
        struct span token = token_make(HEADER, cases[i].claims, text, sizeof text);
        expect_text(judge(keys, token), cases[i].problem, cases[i].claims);
    }
    jwt_keys_free(keys);
    jwt_test_close(test);
}

Test(jwt, times) {
    static const struct claim_case cases[] = {
        {"{}", "it has no expiry (exp)"},
        {"{\"exp\":\"1000001\"}", "it has no expiry (exp)"},
        {"{\"exp\":-1}", "it has no expiry (exp)"},
        {"{\"exp\":1e300}", "it has no expiry (exp)"},
        {"{\"exp\":1e12}", "it has no expiry (exp)"},
        {"{\"exp\":999999999999}", NULL},
        {"{\"exp\":999990}", "it has expired"}, // ten seconds of leeway
        {"{\"exp\":999991}", NULL},
        {"{\"exp\":2000000,\"nbf\":1000010}", NULL},
        {"{\"exp\":2000000,\"nbf\":1000011}", "it is not valid yet"},
        {"{\"exp\":2000000,\"nbf\":\"soon\"}", "its nbf is not a time"},
        {"[]", "its claims are not a JSON object"},
        {"{\"exp\":2000000", "its claims are not a JSON object"},
        {"{\"exp\":1,\"exp\":2000000}", "its claims are not a JSON object"}, // doubled
    };
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256, .leeway_s = 10};
    expect_claims(&options, cases, sizeof cases / sizeof cases[0]);
}

Test(jwt, audience_and_issuer) {
    static const struct claim_case cases[] = {
        {"{\"exp\":2000000,\"iss\":\"us\",\"aud\":\"web\"}", NULL},
        {"{\"exp\":2000000,\"iss\":\"us\",\"aud\":[\"app\",\"web\"]}", NULL},
        {"{\"exp\":2000000,\"iss\":\"us\",\"aud\":[\"app\"]}", "it is for another audience"},
        {"{\"exp\":2000000,\"iss\":\"us\",\"aud\":[]}", "it is for another audience"},
        {"{\"exp\":2000000,\"iss\":\"us\",\"aud\":{\"web\":1}}", "it is for another audience"},
        {"{\"exp\":2000000,\"iss\":\"us\",\"aud\":\"we\"}", "it is for another audience"},
        {"{\"exp\":2000000,\"iss\":\"us\"}", "it has no audience (aud)"},
        {"{\"exp\":2000000,\"aud\":\"web\"}", "it is by another issuer"},
        {"{\"exp\":2000000,\"aud\":\"web\",\"iss\":[\"us\"]}", "it is by another issuer"},
    };
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256,
                                  .audience = span_text("web"),
                                  .issuer = span_text("us")};
    expect_claims(&options, cases, sizeof cases / sizeof cases[0]);
}

// RFC 7519 4.1.3: one that is not meant is to be refused, also where nobody thought of audiences.
Test(jwt, for_somebody_else) {
    static const struct claim_case cases[] = {
        {"{\"exp\":2000000,\"aud\":\"x\"}", "it is for an audience (aud), and none is configured"}};
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256};
    expect_claims(&options, cases, 1);
}

Test(jwt, headers) {
    static const struct claim_case cases[] = {
        {"{\"alg\":\"none\"}", "its algorithm is unknown"},
        {"{\"alg\":\"hs256\"}", "its algorithm is unknown"},
        {"{}", "its algorithm is unknown"},
        {"{\"alg\":[\"HS256\"]}", "its algorithm is unknown"},
        {"{\"alg\":\"HS512\"}", "no key is known for it"},
        {"{\"alg\":\"RS256\"}", "no key is known for it"},
        {"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}",
         "its header names a critical extension"},
        {"{\"alg\":\"HS256\",\"kid\":\"x\"}", "no key is known for it"},
        {"{\"alg\":\"HS256\",\"kid\":1}", "its key id is not a short string"},
        {"{\"alg\":\"HS256\",\"alg\":\"none\"}", "its header is not a JSON object"},
        {"[]", "its header is not a JSON object"},
        {"{\"alg\":\"HS256\",\"jku\":\"http://evil.example\",\"jwk\":{}}", NULL}, // not looked at
    };
    struct conn_test *test = jwt_test_open();
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256};
    struct jwt_keys *keys = keys_open(&options, HS256_SET);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        struct span token = token_make(cases[i].claims, "{\"exp\":2000000}", text, sizeof text);
        expect_text(judge(keys, token), cases[i].problem, cases[i].claims);
    }
    jwt_keys_free(keys);
    jwt_test_close(test);
}

Test(jwt, shapes) {
    static const struct claim_case cases[] = {
        {"", "it is not three parts with dots between"},
        {"a", "it is not three parts with dots between"},
        {"a.b", "it is not three parts with dots between"},
        {"a.b.c.d", "it is not three parts with dots between"},
        {"..", "its header is not base64url"},
        {"*.e30.AA", "its header is not base64url"},
        {"eyJhbGciOiJIUzI1NiJ9.e30.", "its signature is not base64url"},
        {"eyJhbGciOiJIUzI1NiJ9.e30.A", "its signature is not base64url"},
        {"eyJhbGciOiJIUzI1NiJ9.e30.AA", "its signature is wrong"},
    };
    struct conn_test *test = jwt_test_open();
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256};
    struct jwt_keys *keys = keys_open(&options, HS256_SET);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_text(judge(keys, span_text(cases[i].claims)), cases[i].problem, cases[i].claims);
    }
    jwt_keys_free(keys);
    jwt_test_close(test);
}

// One that is cut anywhere, or has a byte changed, is refused.
Test(jwt, no_other_token_is_valid) {
    struct conn_test *test = jwt_test_open();
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256};
    struct jwt_keys *keys = keys_open(&options, HS256_SET);
    char text[1024];
    struct span token = token_make(HEADER, "{\"sub\":\"joe\",\"exp\":2000000}", text, sizeof text);
    cr_assert_null(judge(keys, token));
    for (uint32_t length = 0; length < token.length; length++) {
        cr_assert_not_null(judge(keys, span_first(token, length)), "%u bytes", length);
    }
    for (uint32_t at = 0; at < token.length; at++) {
        text[at] ^= 1;
        cr_assert_not_null(judge(keys, token), "byte %u", at);
        text[at] ^= 1;
    }
    jwt_keys_free(keys);
    jwt_test_close(test);
}

Test(jwt, so_long_a_token_may_be) {
    struct conn_test *test = jwt_test_open();
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256};
    struct jwt_keys *keys = keys_open(&options, HS256_SET);
    static char claims[JWT_BYTES_MAX];
    static char text[JWT_BYTES_MAX + 64];
    for (uint32_t wanted = JWT_BYTES_MAX - 1; wanted <= JWT_BYTES_MAX + 1; wanted++) {
        struct span token = span_empty();
        for (uint32_t padding = 5900; token.length < wanted; padding++) {
            (void)snprintf(claims, sizeof claims, "{\"exp\":2000000,\"x\":\"%0*d\"}", (int)padding,
                           0);
            token = token_make(HEADER, claims, text, sizeof text);
        }
        expect_text(judge(keys, token), token.length > JWT_BYTES_MAX ? "it is too long" : NULL,
                    "long");
    }
    jwt_keys_free(keys);
    jwt_test_close(test);
}

Test(jwt, without_memory_it_is_refused_and_nothing_is_left) {
    struct conn_test *test = jwt_test_open();
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256};
    struct jwt_keys *keys = keys_open(&options, HS256_SET);
    char text[1024];
    struct span token = token_make(HEADER, "{\"exp\":2000000}", text, sizeof text);
    test->arena.limit_bytes = 0;
    expect_text(judge(keys, token), "there was no memory to read it", "short");
    jwt_keys_free(keys);
    jwt_test_close(test);
}

// --- sets of keys

struct set_case {
    const char *set;
    const char *problem; // NULL: it is read
    uint32_t count;
};

#define EC_KEY                                                                                     \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","      \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define SECRET "\"k\":\"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s\""

Test(jwt_keys, sets) {
    static const struct set_case cases[] = {
        {"{\"keys\":[{" EC_KEY "}]}", NULL, 1},
        {"{\"keys\":[{" EC_KEY ",\"use\":\"enc\"},{" EC_KEY ",\"use\":\"sig\"}]}", NULL, 1},
        {"{\"keys\":[{\"kty\":\"future\"},{" EC_KEY "}]}", NULL, 1},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-521\"},{" EC_KEY "}]}", NULL, 1},
        {"{\"keys\":[{" EC_KEY ",\"alg\":\"ES384\"}]}",
         "no key in it is for one of the configured algorithms", 0},
        {"{\"keys\":[]}", "no key in it is for one of the configured algorithms", 0},
        {"{\"keys\":{}}", "not a key set: an object with an array \"keys\"", 0},
        {"[]", "not a key set: an object with an array \"keys\"", 0},
        {"{\"keys\":[", "not JSON", 0},
        {"{\"keys\":[7]}", "key 1 is not an object", 0},
        {"{\"keys\":[{\"kty\":\"oct\"," SECRET "}]}",
         "key 1 fits several of the configured algorithms; give it an \"alg\"", 0},
        {"{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\"," SECRET "}]}", NULL, 1},
        {"{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS512\"," SECRET "}]}",
         "key 1 (HS512) has a secret shorter than its hash", 0},
        {"{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"a===\"}]}",
         "key 1 has no usable \"k\" (base64url without padding)", 0},
        {"{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\"}]}",
         "key 1 has no usable \"k\" (base64url without padding)", 0},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
         "key 1 (ES256) has coordinates of another curve", 0},
    };
    struct conn_test *test = jwt_test_open();
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256 | 1 << SIGNATURE_HS512 |
                                                1 << SIGNATURE_ES256};
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char problem[JWT_PROBLEM_BYTES];
        struct jwt_keys *keys = jwt_keys_read(span_text(cases[i].set), &options, problem);
        expect_text(keys == NULL ? problem : NULL, cases[i].problem, cases[i].set);
        if (keys != NULL) {
            cr_assert_eq(jwt_keys_count(keys), cases[i].count, "%s", cases[i].set);
        }
        jwt_keys_free(keys);
    }
    jwt_test_close(test);
}

Test(jwt_keys, so_many_may_be_in_a_set) {
    struct conn_test *test = jwt_test_open();
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_ES256};
    static char set[8192];
    for (uint32_t count = JWT_KEYS_MAX - 1; count <= JWT_KEYS_MAX + 1; count++) {
        strcpy(set, "{\"keys\":[");
        for (uint32_t i = 0; i < count; i++) {
            strcat(set, i == 0 ? "{" EC_KEY "}" : ",{" EC_KEY "}");
        }
        strcat(set, "]}");
        char problem[JWT_PROBLEM_BYTES];
        struct jwt_keys *keys = jwt_keys_read(span_text(set), &options, problem);
        cr_assert_eq(keys != NULL, count <= JWT_KEYS_MAX, "%u: %s", count, problem);
        jwt_keys_free(keys);
    }
    cr_assert_eq(signature_find(span_text("ES256")), SIGNATURE_ES256);
    cr_assert_str_eq(signature_name(SIGNATURE_EDDSA), "EdDSA");
    jwt_test_close(test);
}

// A public key in a set that also allows HMAC is never a secret (RFC 8725 2.1).
Test(jwt_keys, a_public_key_is_no_secret) {
    struct conn_test *test = jwt_test_open();
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_HS256 | 1 << SIGNATURE_ES256};
    struct jwt_keys *keys = keys_open(&options, "{\"keys\":[{" EC_KEY "}]}");
    char text[1024];
    struct span token = token_make(HEADER, "{\"exp\":2000000}", text, sizeof text);
    expect_text(judge(keys, token), "no key is known for it", "confused");
    jwt_keys_free(keys);
    jwt_test_close(test);
}

// RFC 7515 A.3: its key, its token, and that it expired in 2011.
Test(jwt_keys, the_token_of_rfc_7515) {
    struct conn_test *test = jwt_test_open();
    struct jwt_options options = {.algorithms = 1 << SIGNATURE_ES256, .issuer = span_text("joe")};
    struct jwt_keys *keys = keys_open(&options, "{\"keys\":[{" EC_KEY "}]}");
    struct span token = span_text(
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
        "LmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISl"
        "SApmWQxfKTUJqPP3-Kg6NU1Q");
    struct jwt_claims claims;
    cr_assert_null(jwt_check(keys, token, 1300819379, &claims));
    cr_assert_eq(claims.expires_s, 1300819380);
    json_document_close(&claims.document);
    expect_text(jwt_check(keys, token, 1300819380, &claims), "it has expired", "late");
    json_document_close(&claims.document);
    jwt_keys_free(keys);
    jwt_test_close(test);
}
