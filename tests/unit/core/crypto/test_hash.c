// Published vectors: FIPS 180 for SHA-2, RFC 4231 for HMAC, RFC 5869 for HKDF, RFC 8448 for the
// labelled expansion.
#include "core/crypto/hash.h"
#include "tests/unit/core/crypto/hex.h"

#include <signal.h>

static uint8_t digest[HASH_ANY_BYTES_MAX];

Test(hash, published_digests) {
    hash_digest(HASH_SHA256, span_text("abc"), digest);
    hex_expect(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_digest(HASH_SHA256, span_empty(), digest);
    hex_expect(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_digest(HASH_SHA384, span_text("abc"), digest);
    hex_expect(digest, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"
                       "1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
    hash_digest(HASH_SHA512, span_text("abc"), digest);
    hex_expect(digest, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                       "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

Test(hash, rfc_4231_case_2) {
    struct span text = span_text("what do ya want for nothing?");
    hmac_digest(HASH_SHA256, span_text("Jefe"), text, digest);
    hex_expect(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    hmac_digest(HASH_SHA384, span_text("Jefe"), text, digest);
    hex_expect(digest, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47"
                       "e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649");
}

Test(hash, rfc_4231_case_6_key_longer_than_a_block) {
    uint8_t key[131];
    memset(key, 0xaa, sizeof(key));
    struct span text = span_text("Test Using Larger Than Block-Size Key - Hash Key First");
    hmac_digest(HASH_SHA256, span_make(key, sizeof(key)), text, digest);
    hex_expect(digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    hmac_digest(HASH_SHA384, span_make(key, sizeof(key)), text, digest);
    hex_expect(digest, "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f"
                       "3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952");
}

static struct span counting(uint8_t *target, uint8_t first, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        target[i] = (uint8_t)(first + i);
    }
    return span_make(target, length);
}

struct hkdf_case {
    struct span input;
    struct span salt;
    struct span info;
    const char *secret;
    const char *output;
};

static void hkdf_expect(const struct hkdf_case *row) {
    uint8_t secret[HASH_BYTES_MAX];
    uint8_t output[128];
    hkdf_extract(HASH_SHA256, row->salt, row->input, secret);
    hex_expect(secret, row->secret);
    uint32_t length = (uint32_t)strlen(row->output) / 2;
    hkdf_expand(HASH_SHA256, span_make(secret, 32), row->info,
                (struct span_mut){.data = output, .length = length});
    hex_expect(output, row->output);
}

Test(hash, rfc_5869_cases_1_to_3) {
    uint8_t input[80];
    uint8_t salt[80];
    uint8_t info[80];
    memset(input, 0x0b, 22);
    struct hkdf_case row = {
        .input = span_make(input, 22),
        .salt = counting(salt, 0, 13),
        .info = counting(info, 0xf0, 10),
        .secret = "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        .output = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                  "34007208d5b887185865",
    };
    hkdf_expect(&row);
    row.salt = span_empty();
    row.info = span_empty();
    row.secret = "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04";
    row.output = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                 "9d201395faa4b61a96c8";
    hkdf_expect(&row);
    row.input = counting(input, 0, 80);
    row.salt = counting(salt, 0x60, 80);
    row.info = counting(info, 0xb0, 80);
    row.secret = "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244";
    row.output = "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                 "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                 "cc30c58179ec3e87c14c01d5c1f3434f1d87";
    hkdf_expect(&row);
}

// RFC 8448 section 3: the client's and the server's application keys.
Test(hash, rfc_8448_traffic_keys) {
    static const char *rows[2][3] = {
        {"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
         "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9"},
        {"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
         "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984"},
    };
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t bytes[HASH_BYTES_MAX];
        uint8_t output[16];
        struct span secret = hex_read(rows[i][0], bytes, sizeof(bytes));
        hkdf_expand_label(HASH_SHA256, secret, "key", span_empty(),
                          (struct span_mut){.data = output, .length = 16});
        hex_expect(output, rows[i][1]);
        hkdf_expand_label(HASH_SHA256, secret, "iv", span_empty(),
                          (struct span_mut){.data = output, .length = 12});
        hex_expect(output, rows[i][2]);
    }
}

// RFC 8448 section 3: "derived" from the early secret, whose context is the hash of nothing.
Test(hash, rfc_8448_label_with_a_context) {
    uint8_t zeros[32] = {0};
    uint8_t secret[HASH_BYTES_MAX];
    hkdf_extract(HASH_SHA256, span_make(zeros, 1), span_make(zeros, 32), secret);
    hex_expect(secret, "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a");
    hash_digest(HASH_SHA256, span_empty(), digest);
    uint8_t output[32];
    hkdf_expand_label(HASH_SHA256, span_make(secret, 32), "derived", span_make(digest, 32),
                      (struct span_mut){.data = output, .length = 32});
    hex_expect(output, "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba");
}

Test(hash, a_label_too_long_is_our_mistake, .signal = SIGABRT) {
    uint8_t output[16];
    hkdf_expand_label(HASH_SHA256, span_text("secret"), "123456789012345678901234567890123",
                      span_empty(), (struct span_mut){.data = output, .length = 16});
}
