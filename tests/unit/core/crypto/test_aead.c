// Published vectors: the GCM specification's test cases (NIST SP 800-38D validation) and RFC 8439;
// then what every kind must do.
#include "core/crypto/aead.h"
#include "core/crypto/secret.h"
#include "tests/unit/core/crypto/hex.h"

struct vector {
    enum aead_kind kind;
    const char *key;
    const char *nonce;
    const char *associated;
    const char *text;
    const char *sealed;
    const char *tag;
};

#define GCM_KEY "feffe9928665731c6d6a8f9467308308"
#define GCM_NONCE "cafebabefacedbaddecaf888"
#define GCM_ASSOCIATED "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define GCM_TEXT                                                                                   \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                             \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define ZEROS_32 "00000000000000000000000000000000"

static const struct vector vectors[] = {
    // GCM test cases 1, 4, 13 and 16.
    {AEAD_AES_128_GCM, ZEROS_32, "000000000000000000000000", "", "", "",
     "58e2fccefa7e3061367f1d57a4e7455a"},
    {AEAD_AES_128_GCM, GCM_KEY, GCM_NONCE, GCM_ASSOCIATED, GCM_TEXT,
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
     "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
     "5bc94fbc3221a5db94fae95ae7121a47"},
    {AEAD_AES_256_GCM, ZEROS_32 ZEROS_32, "000000000000000000000000", "", "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {AEAD_AES_256_GCM, GCM_KEY GCM_KEY, GCM_NONCE, GCM_ASSOCIATED, GCM_TEXT,
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    // RFC 8439 2.8.2: "Ladies and Gentlemen of the class of '99: ..."
    {AEAD_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
     "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
     "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
     "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
     "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
     "637265656e20776f756c642062652069742e",
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
     "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
     "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
     "3ff4def08e4b7a9de576d26586cec64b6116",
     "1ae10b594f09e26a7e902ecbd0600691"},
};

static uint8_t key_bytes[AEAD_KEY_BYTES_MAX];
static uint8_t nonce[AEAD_NONCE_BYTES];
static uint8_t associated_bytes[64];
static uint8_t text_bytes[256];
static uint8_t tag[AEAD_TAG_BYTES];

Test(aead, published_vectors_both_ways) {
    for (uint32_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const struct vector *v = &vectors[i];
        struct span key_span = hex_read(v->key, key_bytes, sizeof(key_bytes));
        cr_assert_eq(key_span.length, aead_key_bytes(v->kind));
        hex_read(v->nonce, nonce, sizeof(nonce));
        struct span associated = hex_read(v->associated, associated_bytes, 64);
        struct span text = hex_read(v->text, text_bytes, sizeof(text_bytes));
        struct span_mut place = {.data = text_bytes, .length = text.length};
        struct aead_key key = {.bytes = key_bytes, .kind = v->kind};
        aead_seal(key, nonce, associated, place, tag);
        hex_expect(text_bytes, v->sealed);
        hex_expect(tag, v->tag);
        cr_assert(aead_open(key, nonce, associated, place, tag));
        hex_expect(text_bytes, v->text);
    }
}

// Every byte of text, tag, nonce, key and associated data counts, at sizes around the block.
Test(aead, any_altered_byte_is_found_and_the_text_wiped) {
    static const uint32_t sizes[] = {0, 1, 15, 16, 17, 63, 64, 65};
    for (uint32_t kind = 0; kind < AEAD_COUNT; kind++) {
        for (uint32_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            uint8_t all[32 + 12 + 5 + 16 + 65]; // key, nonce, associated data, tag, text
            for (uint32_t i = 0; i < sizeof(all); i++) {
                all[i] = (uint8_t)(i * 7 + kind);
            }
            struct aead_key key = {.bytes = all, .kind = (enum aead_kind)kind};
            struct span_mut text = {.data = all + 65, .length = sizes[s]};
            aead_seal(key, all + 32, span_make(all + 44, 5), text, all + 49);
            for (uint32_t at = 0; at < 65 + sizes[s]; at++) {
                if (at >= aead_key_bytes(key.kind) && at < 32) {
                    continue; // not a part of a short key
                }
                uint8_t copy[sizeof(all)];
                memcpy(copy, all, sizeof(all));
                copy[at] ^= 0x10;
                struct aead_key other = {.bytes = copy, .kind = key.kind};
                struct span_mut place = {.data = copy + 65, .length = sizes[s]};
                cr_assert_not(
                    aead_open(other, copy + 32, span_make(copy + 44, 5), place, copy + 49));
                for (uint32_t i = 0; i < sizes[s]; i++) {
                    cr_assert_eq(place.data[i], 0);
                }
            }
            cr_assert(aead_open(key, all + 32, span_make(all + 44, 5), text, all + 49));
        }
    }
}

Test(secret, equal_compares_every_byte) {
    uint8_t a[48];
    uint8_t b[48];
    memset(a, 0x5a, sizeof(a));
    memcpy(b, a, sizeof(b));
    cr_assert(secret_equal(a, b, sizeof(a)));
    cr_assert(secret_equal(a, b, 0));
    for (uint32_t i = 0; i < sizeof(a) * 8; i++) {
        b[i / 8] ^= (uint8_t)(1u << (i % 8));
        cr_assert_not(secret_equal(a, b, sizeof(a)));
        b[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
}

Test(secret, wipe_leaves_zeros_and_nothing_beside_them) {
    uint8_t bytes[10];
    memset(bytes, 0xff, sizeof(bytes));
    secret_wipe(bytes + 1, 8);
    hex_expect(bytes, "ff0000000000000000ff");
}
