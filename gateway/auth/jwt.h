// JSON Web Tokens (RFC 7519) by keys of a JSON Web Key Set (RFC 7517): who a client is, before it
// is let in. A key has one algorithm, fixed when the set is read: what the token's header says only
// selects, it never decides (RFC 8725 3.1). Nothing of a token is ever logged.
#pragma once
#include "core/base/span.h"
#include "core/crypto/signature.h"
#include "gateway/auth/json_memory.h"

#include <stdbool.h>
#include <stdint.h>

enum { JWT_PROBLEM_BYTES = 160 };

struct jwt_options {      // as configured; spans are lent for as long as the set lives
    uint32_t algorithms;  // bit per enum signature_kind
    struct span audience; // empty: tokens with an audience are not for us
    struct span issuer;   // empty: any
    uint32_t leeway_s;    // at most JWT_LEEWAY_S_MAX
};

struct jwt_keys;

// Reads a JSON Web Key Set. Keys that are not for checking signatures, or of a kind that nobody
// here knows or that options.algorithms does not name, are left out (RFC 7517 section 5); a
// malformed one, one whose algorithm is not clear, and a set without any usable key are errors:
// NULL, and *problem says what to mend. Free with jwt_keys_free. Takes memory, and the thread has
// a document (json_memory.h) to read: not for a worker.
struct jwt_keys *jwt_keys_read(struct span text, const struct jwt_options *options,
                               char problem[JWT_PROBLEM_BYTES]);
void jwt_keys_free(struct jwt_keys *keys);
uint32_t jwt_keys_count(const struct jwt_keys *keys);

struct jwt_claims {
    struct json_document document; // its root is an object; json_document_close in any case
    uint64_t expires_s;            // since 1970, without leeway
};

// Whether the token is valid at `now_s` (seconds since 1970). NULL: it is, and *claims holds what
// it says. Else why not, for the log: the client is not told. Any thread that has json_memory_set;
// the keys are only read.
const char *jwt_check(const struct jwt_keys *keys, struct span token, uint64_t now_s,
                      struct jwt_claims *claims);
