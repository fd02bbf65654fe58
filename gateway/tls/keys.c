// The way out of the library: the keys and sequence numbers of a completed handshake, as its public
// calls show them, checked against the captured secrets.
#include "gateway/tls/library.h"

#include "core/crypto/secret.h"

#include <errno.h>

#if TLS_KEYS_ARE_SHOWN
struct suite_row {
    uint16_t id;
    uint8_t version;
    uint8_t kind;
    uint8_t hash;
};

// The suites that tls_record has (IANA's numbers). No other one leaves the library.
static const struct suite_row suite_rows[] = {
    {0x1301, TLS_VERSION_13, AEAD_AES_128_GCM, HASH_SHA256},
    {0x1302, TLS_VERSION_13, AEAD_AES_256_GCM, HASH_SHA384},
    {0x1303, TLS_VERSION_13, AEAD_CHACHA20_POLY1305, HASH_SHA256},
    {0xc02b, TLS_VERSION_12, AEAD_AES_128_GCM, HASH_SHA256},
    {0xc02c, TLS_VERSION_12, AEAD_AES_256_GCM, HASH_SHA384},
    {0xc02f, TLS_VERSION_12, AEAD_AES_128_GCM, HASH_SHA256},
    {0xc030, TLS_VERSION_12, AEAD_AES_256_GCM, HASH_SHA384},
    {0xcca8, TLS_VERSION_12, AEAD_CHACHA20_POLY1305, HASH_SHA256},
    {0xcca9, TLS_VERSION_12, AEAD_CHACHA20_POLY1305, HASH_SHA256},
};

static const struct suite_row *suite_find(WOLFSSL *session) {
    int id = wolfSSL_get_current_cipher_suite(session);
    uint8_t version = wolfSSL_version(session) == TLS1_3_VERSION ? TLS_VERSION_13 : TLS_VERSION_12;
    for (uint32_t i = 0; i < sizeof(suite_rows) / sizeof(suite_rows[0]); i++) {
        if (suite_rows[i].id == id && suite_rows[i].version == version) {
            return &suite_rows[i];
        }
    }
    return NULL;
}

struct shown {
    struct tls_record_half in;
    struct tls_record_half out;
};

// What the library shows of itself. The calls for sequence numbers return 1 when the number is 0,
// which is no error.
static bool keys_read(WOLFSSL *session, const struct suite_row *suite, struct shown *shown) {
    const uint8_t *in_key = wolfSSL_GetClientWriteKey(session);
    const uint8_t *out_key = wolfSSL_GetServerWriteKey(session);
    const uint8_t *in_iv = wolfSSL_GetClientWriteIV(session);
    const uint8_t *out_iv = wolfSSL_GetServerWriteIV(session);
    uint32_t key_bytes = aead_key_bytes((enum aead_kind)suite->kind);
    word64 in_sequence = 0;
    word64 out_sequence = 0;
    if (in_key == NULL || out_key == NULL || in_iv == NULL || out_iv == NULL ||
        wolfSSL_GetKeySize(session) != (int)key_bytes ||
        wolfSSL_GetPeerSequenceNumber(session, &in_sequence) < 0 ||
        wolfSSL_GetSequenceNumber(session, &out_sequence) < 0) {
        return false;
    }
    memcpy(shown->in.key, in_key, key_bytes);
    memcpy(shown->out.key, out_key, key_bytes);
    memcpy(shown->in.iv, in_iv, AEAD_NONCE_BYTES);
    memcpy(shown->out.iv, out_iv, AEAD_NONCE_BYTES);
    shown->in.sequence = in_sequence;
    shown->out.sequence = out_sequence;
    return true;
}

// TLS 1.3: the record layer's keys come from the captured secrets and must be the library's.
static bool keys_agree(const struct tls_record *record, const struct shown *shown) {
    uint32_t key_bytes = aead_key_bytes((enum aead_kind)record->kind);
    return secret_equal(record->in.key, shown->in.key, key_bytes) &&
           secret_equal(record->out.key, shown->out.key, key_bytes) &&
           secret_equal(record->in.iv, shown->in.iv, AEAD_NONCE_BYTES) &&
           secret_equal(record->out.iv, shown->out.iv, AEAD_NONCE_BYTES);
}

static uint64_t explicit_next(const struct tls_trail *trail) {
    uint64_t nonce = 0;
    for (uint32_t i = 0; i < 8; i++) {
        nonce = nonce << 8 | trail->begin[TLS_RECORD_HEAD_BYTES + i];
    }
    return nonce + 1;
}

int tls_handshake_finish(const struct tls_handshake *handshake, struct tls_record *record) {
    check(handshake->is_done);
    WOLFSSL *session = (WOLFSSL *)handshake->session;
    const struct suite_row *suite = suite_find(session);
    if (suite == NULL) {
        return -ENOTSUP;
    }
    // The library reads a record's head, then its body: what follows is still the caller's.
    uint32_t text_bytes_max = tls_handshake_text_bytes(session);
    const struct tls_capture *capture = &handshake->capture;
    uint32_t secret_bytes =
        suite->version == TLS_VERSION_13 ? hash_bytes((enum hash_kind)suite->hash) : 0;
    struct shown shown = {.in = {.sequence = 0}};
    if (text_bytes_max == 0 || capture->client_bytes != secret_bytes ||
        capture->server_bytes != secret_bytes || handshake->trail.left != 0 ||
        !keys_read(session, suite, &shown)) {
        secret_wipe(&shown, sizeof(shown));
        return -EPROTO;
    }
    memcpy(shown.in.secret, capture->client, HASH_BYTES_MAX);
    memcpy(shown.out.secret, capture->server, HASH_BYTES_MAX);
    struct tls_record_options options = {
        .in = &shown.in,
        .out = &shown.out,
        .version = (enum tls_version)suite->version,
        .kind = (enum aead_kind)suite->kind,
        .hash = (enum hash_kind)suite->hash,
        .text_bytes_max = text_bytes_max,
        .explicit_next = explicit_next(&handshake->trail),
    };
    tls_record_init(record, &options);
    bool does_agree = keys_agree(record, &shown);
    secret_wipe(&shown, sizeof(shown));
    if (!does_agree) {
        tls_record_fini(record);
        return -EPROTO;
    }
    return 0;
}

#else
int tls_handshake_finish(const struct tls_handshake *handshake, struct tls_record *record) {
    (void)handshake;
    (void)record;
    return -ENOTSUP;
}
#endif
