// Vectors: RFC 7515 appendix A (HS256, ES256) and RFC 8037 appendix A.4 (Ed25519), and one for each
// algorithm made by python3-cryptography 38 over the text "holdfast".
#include "core/crypto/signature.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/base/digest.h"

struct row {
    enum signature_kind kind;
    const char *first, *second, *signature; // base64url; NULL: none
};

static const struct row rows[] = {
    {SIGNATURE_HS256,
     "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8"
     "PT4_QA",
     NULL, "LCs7o8rlp_Nagn3Z7etJSIaI6TB9FMzwVDGdvblhHvg"},
    {SIGNATURE_HS384,
     "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8"
     "PT4_QA",
     NULL, "pRfBUSJ0R_c1zXJAlb_BbqcoJh1WpfsBf5s0v6UTvDstK8YnHqLhPkdf7j0XxYO7"},
    {SIGNATURE_HS512,
     "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8"
     "PT4_QA",
     NULL,
     "lTdCPvNIX2E4bXywrIrzBJ0zcMExdeBOuv8aynBzGiw0Zzh7t1Tm1hK9T47sUi8Yz1AD85NBTWV0Fsvb"
     "ZTmeJg"},
    {SIGNATURE_RS256,
     "r4Pq7jBUNq2Mik_louqXr302RWmtFzYbWMJ2ylda7weLKGYFxvP1RZhIsPLjDerHGybq57Ai0vfsOiue"
     "gq27qNiGiB7mGyYOGKzEneFbOdf0UKCYicNIGboSy82GYa8Z8AJ_P9EoMzczlAgc3wnLFysSeKsqt_uX"
     "7yP5r9DZd4hGyFipVTDlQNiVqhRrMMZzk3sQRqrwRcYBJYHvtCuyw9ZIejhfR-nPTPxhEGtOri58Bbij"
     "8wGtEY6auACIIMtQqs88vxZHvwIzQ9e6cQoWyrgkg5KkVejozUFu0cfuEeu9g_V4HMBviERmmmqhpeue"
     "-R2_0hdnHSV4aVBuUTu5ZQ",
     "AQAB",
     "XVb3S5h6dnu_HiiuqU3BSdSUw4LC85cJSByaEeyJX-H05wOqDiLFZzCfNon8201TBTs7R0jq-Yw06f84"
     "53EZ-llkZ34CN-YEKbIvSBhm44ygnSF3g59oCqMZUfDiKZeXNWcy5KCYKj9-8Jw_gTTxPD52JqNJfkl6"
     "yIeds5F1rs2b7vI1qjO9buEOq4gSbTFe7P8fgjwK42x8J-1qbN35uS8aiXg_SloIga7DfnYL3dRdZCxu"
     "5hL1B7GNKtYj_2CIAilEgwQYSYEGW1uIthACpUM077QNR73PEi0zs-hoXYPPvae2DELRmX_dJZ8bD0ji"
     "iPsBK054Er8Nt_zJWLxriQ"},
    {SIGNATURE_RS384,
     "r4Pq7jBUNq2Mik_louqXr302RWmtFzYbWMJ2ylda7weLKGYFxvP1RZhIsPLjDerHGybq57Ai0vfsOiue"
     "gq27qNiGiB7mGyYOGKzEneFbOdf0UKCYicNIGboSy82GYa8Z8AJ_P9EoMzczlAgc3wnLFysSeKsqt_uX"
     "7yP5r9DZd4hGyFipVTDlQNiVqhRrMMZzk3sQRqrwRcYBJYHvtCuyw9ZIejhfR-nPTPxhEGtOri58Bbij"
     "8wGtEY6auACIIMtQqs88vxZHvwIzQ9e6cQoWyrgkg5KkVejozUFu0cfuEeu9g_V4HMBviERmmmqhpeue"
     "-R2_0hdnHSV4aVBuUTu5ZQ",
     "AQAB",
     "Fv7_34QSEkY2-Ycpy2eYgf8p1sftS2zmo3HjpGvktKeLjtcAzmRPHaYcjo9ZY7aNOYPuoT9NdfpkUSJl"
     "D8qkfOFu8EwRYVuH0DKmn4fFtMdhSKdsG7HZoiZ9w3B5LtfHu05LN9SdI692gygo5YLbWg5p3W-n4Fn1"
     "Pmi33IE2M_SURfmUpvZ9m4l4pa3RL6A476Npnd6-ERIYGW6H5a1r7q_50gr5AO8LIKqM7P_a_wLhQnP1"
     "Z__iJc6nrqUhzdJPjGCMY7m0fOcAIFKikom3F09ne_OPq47iZlVZm4rqLvlagwKi4qtVCgoLIXt1yvRb"
     "y95AGllNqfgj61JNsvIRUw"},
    {SIGNATURE_RS512,
     "r4Pq7jBUNq2Mik_louqXr302RWmtFzYbWMJ2ylda7weLKGYFxvP1RZhIsPLjDerHGybq57Ai0vfsOiue"
     "gq27qNiGiB7mGyYOGKzEneFbOdf0UKCYicNIGboSy82GYa8Z8AJ_P9EoMzczlAgc3wnLFysSeKsqt_uX"
     "7yP5r9DZd4hGyFipVTDlQNiVqhRrMMZzk3sQRqrwRcYBJYHvtCuyw9ZIejhfR-nPTPxhEGtOri58Bbij"
     "8wGtEY6auACIIMtQqs88vxZHvwIzQ9e6cQoWyrgkg5KkVejozUFu0cfuEeu9g_V4HMBviERmmmqhpeue"
     "-R2_0hdnHSV4aVBuUTu5ZQ",
     "AQAB",
     "dJ62JB_OHaP6yOFcCqDD8ON33VfgV5WjzbNvrNF-jE7O_xu4vbMw1dyD4cdIX04ZgBHj1_ZMPDQbKuQY"
     "0GWt2YP5vm0EDWUNgkL9opzhVX1MOjo0aGlrM6jRysi5JmMVzcJ1D0NxkqNttibp3f-RGpcjaj-xubvm"
     "ycMazkPTHnl9bfXcqzgUObzIVjXBESHRbtN2COev-Vie1XATpxKNSkfJB9RGkARgwtAhcsOLmpPWTdDS"
     "LWshM-DkRbmfvPvrYooZhjI28VgN8s4GnTjPUvkAhnT_yuRbaHM9jgG6cgGc44I7Tn-T3zOwbslRx1O9"
     "uKrm3BnAxC5fAg9rhiXPkw"},
    {SIGNATURE_ES256, "oILAqI7bkMtB6wJzHFRH9hgolvJrBq1PDLwsGvcIXBA",
     "x920y7b9WUsKjKHWISJmyTNI2EjAAkNRPhiBOXNNsMA",
     "c61qjLwkBWy-XOczlIjW5PR8xtIXB2c9W6_CPQ1XUcc85z0XyMy_oz5Wdrh-aI1OnqzDK47po5Old945"
     "uDcJhQ"},
    {SIGNATURE_ES384, "zxBEfUdVIjPEwaIDMkBWNgDgHDQDmRHUs2beIotyIfoeBwMQiTsi4BvdpTsY6zpn",
     "mn7hOtx4F2fitDz8szFK55qYvKjc1WXFTCfx2LtjAcFE8EwPjstQcGV0EOQK8j3Y",
     "AsgwUfR5G589Jk8AESQiCxHUw6OuZe6hdeYsTDGF4BbjzgbYGwatbdHdUxZQIeh8YqCg-5ZqM9cVnvGY"
     "fQlmhRzS2y9fseitwd-f5eTyNVOLEqqr6PW2QRtSw8uiRrX3"},
    {SIGNATURE_EDDSA, "JfmJbazQWXx5ARI_JYLglIp6NE5iMAs3jcAIG30zqwk", NULL,
     "w1qLYJW6pD2KG-0v3lFrN2UWEJtz8_qXaMgczREDK7O8J8mu76axM3v91pfBgDBnvgPW8EJnyRIdLOdM"
     "9t2IDg"},
};

static const struct row rfc_hs256 = {
    SIGNATURE_HS256,
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", NULL,
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"};
static const struct row rfc_es256 = {
    SIGNATURE_ES256, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"};
static const struct row rfc_eddsa = {
    SIGNATURE_EDDSA, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", NULL,
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"};
#define RFC_7515_CLAIMS                                                                            \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"

struct decoded {
    uint8_t bytes[3][512 + 8]; // with room for one byte more
    struct signature_key key;
    struct span signature;
};

static struct span decode(const char *text, uint8_t target[520]) {
    if (text == NULL) {
        return span_empty();
    }
    int64_t length = base64url_decode(span_text(text), (struct span_mut){target, 512});
    cr_assert_gt(length, 0, "%s", text);
    return span_make(target, (uint32_t)length);
}

static void row_decode(const struct row *row, struct decoded *decoded) {
    decoded->key.first = decode(row->first, decoded->bytes[0]);
    decoded->key.second = decode(row->second, decoded->bytes[1]);
    decoded->signature = decode(row->signature, decoded->bytes[2]);
}

static void expect_valid(const struct row *row, const char *message) {
    struct decoded decoded;
    row_decode(row, &decoded);
    cr_assert_null(signature_key_problem(row->kind, &decoded.key));
    cr_assert(signature_is_valid(row->kind, &decoded.key, span_text(message), decoded.signature),
              "kind %d", (int)row->kind);
}

Test(signature, published_vectors) {
    expect_valid(&rfc_hs256, "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_7515_CLAIMS);
    expect_valid(&rfc_es256, "eyJhbGciOiJFUzI1NiJ9." RFC_7515_CLAIMS);
    expect_valid(&rfc_eddsa, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
}

Test(signature, every_algorithm) {
    cr_assert_eq(sizeof rows / sizeof rows[0], SIGNATURE_COUNT);
    for (uint32_t i = 0; i < SIGNATURE_COUNT; i++) {
        cr_assert_eq(rows[i].kind, i);
        expect_valid(&rows[i], "holdfast");
    }
}

// Every byte of message and signature counts.
Test(signature, a_changed_bit_is_found) {
    for (uint32_t i = 0; i < SIGNATURE_COUNT; i++) {
        struct decoded decoded;
        row_decode(&rows[i], &decoded);
        char message[] = "holdfast";
        for (uint32_t at = 0; at < sizeof message - 1; at++) {
            message[at] ^= 1;
            cr_assert_not(signature_is_valid(rows[i].kind, &decoded.key, span_text(message),
                                             decoded.signature));
            message[at] ^= 1;
        }
        for (uint32_t at = 0; at < decoded.signature.length; at++) {
            decoded.bytes[2][at] ^= 0x10;
            cr_assert_not(signature_is_valid(rows[i].kind, &decoded.key, span_text(message),
                                             decoded.signature),
                          "kind %u byte %u", i, at);
            decoded.bytes[2][at] ^= 0x10;
        }
    }
}

Test(signature, of_a_wrong_length) {
    for (uint32_t i = 0; i < SIGNATURE_COUNT; i++) {
        struct decoded decoded;
        row_decode(&rows[i], &decoded);
        uint32_t length = decoded.signature.length;
        decoded.bytes[2][length] = 0;
        uint32_t wrong[] = {0, 1, length - 1, length + 1};
        for (uint32_t k = 0; k < 4; k++) {
            struct span signature = span_make(decoded.bytes[2], wrong[k]);
            cr_assert_not(
                signature_is_valid(rows[i].kind, &decoded.key, span_text("holdfast"), signature));
        }
    }
}

// CVE-2022-21449: r and s of zero were valid for every message and key.
Test(signature, zeros_sign_nothing) {
    for (uint32_t i = SIGNATURE_RS256; i < SIGNATURE_COUNT; i++) {
        struct decoded decoded;
        row_decode(&rows[i], &decoded);
        memset(decoded.bytes[2], 0, decoded.signature.length);
        cr_assert_not(signature_is_valid(rows[i].kind, &decoded.key, span_text("holdfast"),
                                         decoded.signature));
    }
}

Test(signature, a_point_that_is_not_on_the_curve_is_refused) {
    struct decoded decoded;
    row_decode(&rfc_es256, &decoded);
    decoded.bytes[1][0] ^= 1;
    cr_assert_not(signature_is_valid(SIGNATURE_ES256, &decoded.key,
                                     span_text("eyJhbGciOiJFUzI1NiJ9." RFC_7515_CLAIMS),
                                     decoded.signature));
}

struct key_case {
    enum signature_kind kind;
    uint32_t first, second; // bytes
    const char *problem;
};

Test(signature, keys_of_the_wrong_size) {
    static const struct key_case cases[] = {
        {SIGNATURE_HS256, 31, 0, "has a secret shorter than its hash"},
        {SIGNATURE_HS256, 32, 0, NULL},
        {SIGNATURE_HS512, 63, 0, "has a secret shorter than its hash"},
        {SIGNATURE_HS512, 64, 0, NULL},
        {SIGNATURE_RS256, 255, 3, "has fewer than 2048 bits"},
        {SIGNATURE_RS256, 256, 3, NULL},
        {SIGNATURE_RS256, 512, 4, NULL},
        {SIGNATURE_RS256, 513, 3, "has more than 4096 bits"},
        {SIGNATURE_RS256, 256, 0, "has an exponent that is not 1 to 4 bytes"},
        {SIGNATURE_RS256, 256, 5, "has an exponent that is not 1 to 4 bytes"},
        {SIGNATURE_ES256, 32, 31, "has coordinates of another curve"},
        {SIGNATURE_ES256, 48, 48, "has coordinates of another curve"},
        {SIGNATURE_ES384, 48, 48, NULL},
        {SIGNATURE_EDDSA, 31, 0, "is not 32 bytes"},
        {SIGNATURE_EDDSA, 32, 0, NULL},
    };
    uint8_t bytes[520];
    memset(bytes, 1, sizeof bytes);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct signature_key key = {span_make(bytes, cases[i].first),
                                    span_make(bytes, cases[i].second)};
        const char *problem = signature_key_problem(cases[i].kind, &key);
        if (cases[i].problem == NULL) {
            cr_assert_null(problem, "case %u: %s", i, problem);
        } else {
            cr_assert_str_eq(problem, cases[i].problem, "case %u", i);
        }
    }
}
