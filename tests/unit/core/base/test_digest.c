// Published vectors: FIPS 180 and RFC 3174 for SHA-1, RFC 6455 for the accept key, RFC 4648 for
// base64, the SipHash paper and its reference table.
#include "core/base/digest.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static void assert_sha1(struct span input, const char *expected) {
    uint8_t digest[SHA1_BYTES];
    sha1_digest(input, digest);
    char text[2 * SHA1_BYTES + 1];
    for (uint32_t i = 0; i < SHA1_BYTES; i++) {
        snprintf(text + (size_t)i * 2, 3, "%02x", digest[i]);
    }
    cr_assert_str_eq(text, expected);
}

Test(digest, sha1_published_vectors) {
    assert_sha1(span_empty(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_sha1(span_text("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_sha1(span_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    uint8_t *million = malloc(1000000);
    cr_assert_not_null(million);
    memset(million, 'a', 1000000);
    assert_sha1(span_make(million, 1000000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    free(million);
}

// Around the sizes where the padding needs a second block.
Test(digest, sha1_padding_edges) {
    uint8_t zeros[128] = {0};
    assert_sha1(span_make(zeros, 55), "8e8832c642a6a38c74c17fc92ccedc266c108e6c");
    assert_sha1(span_make(zeros, 56), "9438e360f578e12c0e0e8ed28e2c125c1cefee16");
    assert_sha1(span_make(zeros, 63), "0b8bf9fc37ad802cefa6733ec62b09d5f43a1b75");
    assert_sha1(span_make(zeros, 64), "c8d7d0ef0eedfa82d2ea1aa592845b9a6d4b02b7");
    assert_sha1(span_make(zeros, 65), "f0fa45906bd0f4c3668fcd0d8f68d4b298b30e5b");
}

// RFC 6455 1.3.
Test(digest, websocket_accept_key) {
    uint8_t digest[SHA1_BYTES];
    uint8_t text[28];
    sha1_digest(span_text("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"), digest);
    uint32_t length = base64_encode(span_make(digest, SHA1_BYTES),
                                    (struct span_mut){.data = text, .length = sizeof(text)});
    cr_assert(span_is(span_make(text, length), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

// From the reference implementation (vectors.h of SipHash-2-4, 64 bits): key 00 to 0f, input 00,
// 01, 02 and so on. The last one is the paper's example.
Test(digest, siphash_published_vectors) {
    static const uint64_t expected[16] = {
        0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
        0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
        0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
        0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
    };
    static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    uint8_t input[16];
    for (uint32_t i = 0; i < 16; i++) {
        cr_assert_eq(siphash(key, span_make(input, i)), expected[i], "length %u", i);
        input[i] = (uint8_t)i;
    }
}

Test(digest, siphash_depends_on_the_key) {
    static const uint64_t one[2] = {1, 0}, two[2] = {0, 1};
    cr_assert_neq(siphash(one, span_text("x")), siphash(two, span_text("x")));
}

static void assert_base64(const char *plain, const char *encoded) {
    uint8_t text[64], back[64];
    uint32_t length = base64_encode(span_text(plain), (struct span_mut){text, sizeof(text)});
    cr_assert(span_is(span_make(text, length), encoded), "%s", encoded);
    cr_assert_eq(length, base64_encoded_bytes((uint32_t)strlen(plain)));
    int64_t decoded = base64_decode(span_text(encoded), (struct span_mut){back, sizeof(back)});
    cr_assert_eq(decoded, (int64_t)strlen(plain));
    cr_assert(span_is(span_make(back, (uint32_t)decoded), plain));
}

// RFC 4648 section 10.
Test(digest, base64_published_vectors) {
    assert_base64("", "");
    assert_base64("f", "Zg==");
    assert_base64("fo", "Zm8=");
    assert_base64("foo", "Zm9v");
    assert_base64("foob", "Zm9vYg==");
    assert_base64("fooba", "Zm9vYmE=");
    assert_base64("foobar", "Zm9vYmFy");
    assert_base64("\xfb\xff\xbf", "+/+/");
}

static int64_t decode(const char *text) {
    uint8_t target[64];
    return base64_decode(span_text(text), (struct span_mut){target, sizeof(target)});
}

Test(digest, base64_decode_is_strict) {
    static const char *const malformed[] = {
        "Zg",   "Zg=",      "Z",    "Z===",     "====",       "=",         "Zg==Zg==", "Zm=v",
        "Zh==", "Zm9=",     "Zm 9", "Zm9v\n",   "Zm9v\r\n",   " Zm9v",     "Zm9v=",    "Zm9v====",
        "-_-_", "Zm9v Zg=", "Zg=a", "Zm9\x80v", "Z\xc3\xa9=", "Zm9vYg=\n",
    };
    for (uint32_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        cr_assert_eq(decode(malformed[i]), -1, "%s", malformed[i]);
    }
}

Test(digest, base64_decode_respects_the_target) {
    uint8_t target[4] = {0, 0, 0, 0x55};
    cr_assert_eq(base64_decode(span_text("Zm9v"), (struct span_mut){target, 2}), -1);
    cr_assert_eq(base64_decode(span_text("Zm9v"), (struct span_mut){target, 3}), 3);
    cr_assert_eq(target[3], 0x55);
    cr_assert_eq(base64_decode(span_text("Zm8="), (struct span_mut){target, 2}), 2);
    cr_assert_eq(base64_decode(span_text("Zg=="), (struct span_mut){target, 0}), -1);
}

static int64_t decode_url(const char *text, uint8_t target[64]) {
    return base64url_decode(span_text(text), (struct span_mut){target, 64});
}

Test(digest, base64url_is_strict) {
    uint8_t target[64];
    cr_assert_eq(decode_url("", target), 0);
    cr_assert_eq(decode_url("Zg", target), 1);
    cr_assert_eq(decode_url("Zm8", target), 2);
    cr_assert_eq(decode_url("Zm9v", target), 3);
    cr_assert_eq(decode_url("Zm9vYg", target), 4);
    cr_assert_eq(memcmp(target, "foob", 4), 0);
    cr_assert_eq(decode_url("-_-_", target), 3);
    cr_assert_eq(memcmp(target, "\xfb\xff\xbf", 3), 0);
    static const char *const malformed[] = {"Z",  "Zm9vY", "Zg==", "Zm8=", "+/+/",
                                            "Zh", "Zm9",   "Zm 9", "Zg\n", "Zm\x80v"};
    for (uint32_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        cr_assert_eq(decode_url(malformed[i], target), -1, "%s", malformed[i]);
    }
    cr_assert_eq(base64url_decode(span_text("Zm9v"), (struct span_mut){target, 2}), -1);
    cr_assert_eq(base64url_decode(span_text("Zm9v"), (struct span_mut){target, 3}), 3);
}

Test(digest, base64_every_byte_in_every_place_round_trips) {
    for (uint32_t length = 1; length <= 6; length++) {
        for (uint32_t place = 0; place < length; place++) {
            for (uint32_t byte = 0; byte < 256; byte++) {
                uint8_t plain[6] = {0}, text[8], back[6];
                plain[place] = (uint8_t)byte;
                uint32_t encoded =
                    base64_encode(span_make(plain, length), (struct span_mut){text, 8});
                int64_t decoded =
                    base64_decode(span_make(text, encoded), (struct span_mut){back, 6});
                cr_assert_eq(decoded, length);
                cr_assert_eq(memcmp(plain, back, length), 0);
            }
        }
    }
}

// Exactly one spelling decodes to each byte.
Test(digest, base64_every_pair_of_digits) {
    uint32_t valid = 0;
    for (uint32_t a = 0; a < 256; a++) {
        for (uint32_t b = 0; b < 256; b++) {
            uint8_t text[4] = {(uint8_t)a, (uint8_t)b, '=', '='}, target[3];
            valid += base64_decode(span_make(text, 4), (struct span_mut){target, 3}) == 1;
        }
    }
    cr_assert_eq(valid, 256);
}
