// Published vectors: FIPS 180 and RFC 4231. And every length around the borders of a block, by the
// hash of all those hashes.
#include "core/crypto/sha256.h"
#include "tests/unit/core/crypto/hex.h"

static uint8_t digest[SHA256_BYTES];

Test(sha256, published_digests) {
    sha256_digest(span_text("abc"), digest);
    hex_expect(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_digest(span_empty(), digest);
    hex_expect(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_digest(span_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), digest);
    hex_expect(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    static uint8_t million[1000000];
    memset(million, 'a', sizeof million);
    sha256_digest(span_make(million, sizeof million), digest);
    hex_expect(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

Test(sha256, every_length_around_the_borders_of_a_block) {
    uint8_t text[200];
    static uint8_t all[201 * SHA256_BYTES];
    for (uint32_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)i;
    }
    for (uint32_t length = 0; length <= sizeof text; length++) {
        sha256_digest(span_make(text, length), all + length * SHA256_BYTES);
    }
    sha256_digest(span_make(all, sizeof all), digest);
    // Python's hashlib: sha256(b"".join(sha256(bytes(range(n))).digest() for n in range(201)))
    hex_expect(digest, "64ef7c229fce2408b5336b6a542fea0e078c3a87d2da85cb3fc52e2008b65021");
}

Test(sha256, rfc_4231) {
    uint8_t key[131];
    memset(key, 0x0b, 20);
    sha256_hmac(span_make(key, 20), span_text("Hi There"), digest);
    hex_expect(digest, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    sha256_hmac(span_text("Jefe"), span_text("what do ya want for nothing?"), digest);
    hex_expect(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    sha256_hmac(span_make(key, sizeof key),
                span_text("Test Using Larger Than Block-Size Key - Hash Key First"), digest);
    hex_expect(digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

Test(sha256, keys_around_the_length_of_a_block) {
    // Python's hmac, key b"k" * n, message b"m", in a hash of all three.
    uint8_t key[SHA256_BLOCK_BYTES + 1];
    uint8_t all[3 * SHA256_BYTES];
    memset(key, 'k', sizeof key);
    for (uint32_t i = 0; i < 3; i++) {
        sha256_hmac(span_make(key, SHA256_BLOCK_BYTES - 1 + i), span_text("m"),
                    all + i * SHA256_BYTES);
    }
    sha256_digest(span_make(all, sizeof all), digest);
    hex_expect(digest, "6a2bff65bc81f67207496e9aacfc8ae8236e17d7724fadcb3251ff9553cd2732");
    sha256_hmac(span_empty(), span_empty(), digest);
    hex_expect(digest, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
