#include "core/base/check.h"
#include "core/crypto/signature.h"

#include "core/base/pure.h"

static const char *const names[SIGNATURE_COUNT] = {
    [SIGNATURE_HS256] = "HS256", [SIGNATURE_HS384] = "HS384", [SIGNATURE_HS512] = "HS512",
    [SIGNATURE_RS256] = "RS256", [SIGNATURE_RS384] = "RS384", [SIGNATURE_RS512] = "RS512",
    [SIGNATURE_ES256] = "ES256", [SIGNATURE_ES384] = "ES384", [SIGNATURE_EDDSA] = "EdDSA",
};

const char *signature_name(enum signature_kind kind) {
    check(kind < SIGNATURE_COUNT);
    return names[kind];
}

enum signature_kind signature_find(struct span name) {
    uint32_t kind = 0;
    while (kind < SIGNATURE_COUNT && !span_equal(name, span_text(names[kind]))) {
        kind++;
    }
    return (enum signature_kind)kind;
}
