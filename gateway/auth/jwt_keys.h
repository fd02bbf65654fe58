// What jwt.c and jwt_keys.c share; nobody else includes it.
#pragma once
#include "gateway/auth/jwt.h"

struct jwt_key {
    enum signature_kind kind;
    struct signature_key numbers; // lie in `bytes`
    uint32_t id_bytes;            // 0: it has none
    uint8_t id[JWT_KEY_ID_BYTES_MAX];
    uint8_t bytes[RSA_MODULUS_BYTES_MAX + 64];
};

struct jwt_keys {
    struct jwt_options options;
    uint32_t count;
    struct jwt_key keys[JWT_KEYS_MAX];
};
