// Two ends of a connection that share keys, and a second, independent writing of records for what
// the record layer itself would never seal.
#pragma once
#include "core/base/prng.h"
#include "gateway/tls/record.h"

struct pair_row {
    const char *name;
    enum tls_version version;
    enum aead_kind kind;
    enum hash_kind hash;
};

static const struct pair_row pair_rows[] = {
    {"1.3 AES-128-GCM", TLS_VERSION_13, AEAD_AES_128_GCM, HASH_SHA256},
    {"1.3 AES-256-GCM", TLS_VERSION_13, AEAD_AES_256_GCM, HASH_SHA384},
    {"1.3 ChaCha20", TLS_VERSION_13, AEAD_CHACHA20_POLY1305, HASH_SHA256},
    {"1.2 AES-128-GCM", TLS_VERSION_12, AEAD_AES_128_GCM, HASH_SHA256},
    {"1.2 AES-256-GCM", TLS_VERSION_12, AEAD_AES_256_GCM, HASH_SHA384},
    {"1.2 ChaCha20", TLS_VERSION_12, AEAD_CHACHA20_POLY1305, HASH_SHA256},
};

enum {
    PAIR_ROWS = sizeof(pair_rows) / sizeof(pair_rows[0]),
    PAIR_ROWS_13 = 3, // the first ones
    PAIR_BYTES_MAX = 80000,
};

struct pair {
    struct tls_record client;
    struct tls_record server;
    const char *name;
};

static inline void pair_init(struct pair *pair, uint32_t row) {
    struct tls_record_half up = {.sequence = 0};
    struct tls_record_half down = {.sequence = 1}; // as after one session ticket
    struct prng prng;
    prng_init(&prng, 7 + row);
    for (uint32_t i = 0; i < HASH_BYTES_MAX; i++) {
        up.secret[i] = (uint8_t)prng_next(&prng);
        down.secret[i] = (uint8_t)prng_next(&prng);
        up.key[i % AEAD_KEY_BYTES_MAX] = (uint8_t)prng_next(&prng);
        down.key[i % AEAD_KEY_BYTES_MAX] = (uint8_t)prng_next(&prng);
        up.iv[i % AEAD_NONCE_BYTES] = (uint8_t)prng_next(&prng);
        down.iv[i % AEAD_NONCE_BYTES] = (uint8_t)prng_next(&prng);
    }
    struct tls_record_options options = {
        .in = &up,
        .out = &down,
        .version = pair_rows[row].version,
        .kind = pair_rows[row].kind,
        .hash = pair_rows[row].hash,
        .text_bytes_max = TLS_TEXT_BYTES_MAX,
        .explicit_next = 0x1122334455667788,
    };
    tls_record_init(&pair->server, &options);
    options.in = &down;
    options.out = &up;
    tls_record_init(&pair->client, &options);
    pair->name = pair_rows[row].name;
}

struct crafted {
    uint8_t type;        // TLS 1.3: the inner one
    uint32_t text_bytes; // zeros, if `text` is NULL
    const void *text;
    uint32_t padding; // TLS 1.3
    bool has_no_type; // TLS 1.3: nothing but text and padding
};

// Writes a record as the peer `record` could, whatever it says; returns its length.
static inline uint32_t pair_craft(struct tls_record *record, const struct crafted *crafted,
                                  uint8_t *target) {
    bool is_13 = record->version == TLS_VERSION_13;
    uint32_t before = !is_13 && record->kind != AEAD_CHACHA20_POLY1305 ? 13 : 5;
    uint8_t *text = target + before;
    memset(text, 0, crafted->text_bytes);
    if (crafted->text != NULL) {
        memcpy(text, crafted->text, crafted->text_bytes);
    }
    uint32_t length = crafted->text_bytes;
    if (is_13 && !crafted->has_no_type) {
        text[length++] = crafted->type;
    }
    memset(text + length, 0, crafted->padding);
    length += crafted->padding;
    uint32_t body = before - 5 + length + 16;
    uint8_t head[5] = {is_13 ? 23 : crafted->type, 3, 3, (uint8_t)(body >> 8), (uint8_t)body};
    memcpy(target, head, 5);
    uint8_t sequence[8];
    for (uint32_t i = 0; i < 8; i++) {
        sequence[i] = (uint8_t)(record->out.sequence >> (56 - 8 * i));
    }
    uint8_t nonce[12];
    memcpy(nonce, record->out.iv, 12);
    for (uint32_t i = 0; i < 8; i++) {
        nonce[4 + i] ^= sequence[i];
    }
    uint8_t associated[13];
    memcpy(associated, sequence, 8);
    memcpy(associated + 8, head, 3);
    associated[11] = (uint8_t)(length >> 8);
    associated[12] = (uint8_t)length;
    if (before == 13) {
        memcpy(nonce + 4, sequence, 8); // any number serves, once
        memcpy(target + 5, sequence, 8);
    }
    struct aead_key key = {.bytes = record->out.key, .kind = (enum aead_kind)record->kind};
    aead_seal(key, nonce, is_13 ? span_make(head, 5) : span_make(associated, 13),
              (struct span_mut){.data = text, .length = length}, text + length);
    record->out.sequence++;
    return 5 + body;
}
