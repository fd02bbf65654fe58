// One token: its three parts, the key that made it, and what it claims.
#include "gateway/auth/jwt_keys.h"

#include "core/base/digest.h"

struct token {
    struct span header, claims, signature; // as they stand in it, in base64url
    struct span signed_part;               // header and claims with the dot between
};

// Two dots (RFC 7515 7.1).
static bool token_split(struct span text, struct token *token) {
    uint32_t dots[2];
    uint32_t count = 0;
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.data[i] == '.') {
            if (count == 2) {
                return false;
            }
            dots[count++] = i;
        }
    }
    if (count != 2) {
        return false;
    }
    token->header = span_first(text, dots[0]);
    token->claims = span_make(text.data + dots[0] + 1, dots[1] - dots[0] - 1);
    token->signed_part = span_first(text, dots[1]);
    token->signature = span_from(text, dots[1] + 1);
    return true;
}

static struct span text_of(const json_t *value) {
    return json_is_string(value)
               ? span_make(json_string_value(value), (uint32_t)json_string_length(value))
               : span_empty();
}

// --- the header

struct header {
    enum signature_kind kind;
    uint32_t id_bytes;
    uint8_t id[JWT_KEY_ID_BYTES_MAX];
};

// NULL, or what is wrong with it.
static const char *header_judge(const json_t *root, struct header *header) {
    if (!json_is_object(root)) {
        return "its header is not a JSON object";
    }
    if (json_object_get(root, "crit") != NULL) { // RFC 7515 4.1.11: we understand no extension
        return "its header names a critical extension";
    }
    header->kind = signature_find(text_of(json_object_get(root, "alg")));
    if (header->kind == SIGNATURE_COUNT) { // "none" among them
        return "its algorithm is unknown";
    }
    const json_t *id = json_object_get(root, "kid");
    struct span text = text_of(id);
    if (id != NULL && (!json_is_string(id) || text.length > JWT_KEY_ID_BYTES_MAX)) {
        return "its key id is not a short string";
    }
    header->id_bytes = text.length;
    memcpy(header->id, text.length == 0 ? (const uint8_t *)"" : text.data, text.length);
    return NULL;
}

static const char *header_read(struct span encoded, struct header *header) {
    uint8_t text[JWT_BYTES_MAX];
    int64_t length = base64url_decode(encoded, (struct span_mut){text, sizeof text});
    if (length <= 0) {
        return "its header is not base64url";
    }
    struct json_document document;
    json_document_open(&document, span_make(text, (uint32_t)length), 0);
    const char *problem =
        document.is_short ? "there was no memory to read it" : header_judge(document.root, header);
    json_document_close(&document);
    return problem;
}

// --- the signature

static bool is_candidate(const struct jwt_key *key, const struct header *header) {
    if (key->kind != header->kind) {
        return false;
    }
    return header->id_bytes == 0 ||
           span_equal(span_make(header->id, header->id_bytes), span_make(key->id, key->id_bytes));
}

static const char *signature_judge(const struct jwt_keys *keys, const struct header *header,
                                   const struct token *token) {
    uint8_t bytes[RSA_MODULUS_BYTES_MAX];
    int64_t length = base64url_decode(token->signature, (struct span_mut){bytes, sizeof bytes});
    if (length <= 0) {
        return "its signature is not base64url";
    }
    struct span signature = span_make(bytes, (uint32_t)length);
    bool has_candidate = false;
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct jwt_key *key = &keys->keys[i];
        if (is_candidate(key, header)) {
            has_candidate = true;
            if (signature_is_valid(key->kind, &key->numbers, token->signed_part, signature)) {
                return NULL;
            }
        }
    }
    return has_candidate ? "its signature is wrong" : "no key is known for it";
}

// --- the claims

enum { SECONDS_MAX = 1000000000 }; // times 1000: year 33658, so that sums cannot overflow

// A NumericDate (RFC 7519 section 2): seconds, perhaps with a fraction. False: it is none.
static bool date_read(const json_t *value, uint64_t *seconds) {
    double number = json_number_value(value); // 0 for what is no number
    if (!json_is_number(value) || !(number >= 0 && number < (double)SECONDS_MAX * 1000)) {
        return false;
    }
    *seconds = (uint64_t)number;
    return true;
}

static const char *times_judge(const struct jwt_options *options, const json_t *claims,
                               uint64_t now_s, uint64_t *expires_s) {
    const json_t *expiry = json_object_get(claims, "exp");
    const json_t *start = json_object_get(claims, "nbf");
    uint64_t start_s = 0;
    if (!date_read(expiry, expires_s)) {
        return "it has no expiry (exp)";
    }
    if (start != NULL && !date_read(start, &start_s)) {
        return "its nbf is not a time";
    }
    if (now_s >= *expires_s + options->leeway_s) { // RFC 7519 4.1.4: on or after is too late
        return "it has expired";
    }
    return now_s + options->leeway_s < start_s ? "it is not valid yet" : NULL;
}

// RFC 7519 4.1.3: a string or an array of them; whoever is not in it must refuse.
static const char *audience_judge(struct span wanted, const json_t *audience) {
    if (audience == NULL) {
        return wanted.length == 0 ? NULL : "it has no audience (aud)";
    }
    if (wanted.length == 0) {
        return "it is for an audience (aud), and none is configured";
    }
    bool is_ours = span_equal(text_of(audience), wanted);
    for (size_t i = 0; i < json_array_size(audience); i++) { // 0 for what is no array
        is_ours = is_ours || span_equal(text_of(json_array_get(audience, i)), wanted);
    }
    return is_ours ? NULL : "it is for another audience";
}

static const char *claims_judge(const struct jwt_options *options, uint64_t now_s,
                                struct jwt_claims *claims) {
    const json_t *root = claims->document.root;
    if (!json_is_object(root)) {
        return "its claims are not a JSON object";
    }
    const char *problem = times_judge(options, root, now_s, &claims->expires_s);
    if (problem != NULL) {
        return problem;
    }
    bool is_issuer = options->issuer.length == 0 ||
                     span_equal(text_of(json_object_get(root, "iss")), options->issuer);
    return is_issuer ? audience_judge(options->audience, json_object_get(root, "aud"))
                     : "it is by another issuer";
}

const char *jwt_check(const struct jwt_keys *keys, struct span token, uint64_t now_s,
                      struct jwt_claims *claims) {
    *claims = (struct jwt_claims){.expires_s = 0};
    struct token parts;
    struct header header = {.id_bytes = 0};
    if (token.length > JWT_BYTES_MAX) {
        return "it is too long";
    }
    if (!token_split(token, &parts)) {
        return "it is not three parts with dots between";
    }
    const char *problem = header_read(parts.header, &header);
    // The signature before the claims: what a stranger wrote is not looked into further.
    problem = problem != NULL ? problem : signature_judge(keys, &header, &parts);
    if (problem != NULL) {
        return problem;
    }
    uint8_t text[JWT_BYTES_MAX];
    int64_t length = base64url_decode(parts.claims, (struct span_mut){text, sizeof text});
    if (length <= 0) {
        return "its claims are not base64url";
    }
    json_document_open(&claims->document, span_make(text, (uint32_t)length), 0);
    return claims->document.is_short ? "there was no memory to read it"
                                     : claims_judge(&keys->options, now_s, claims);
}
