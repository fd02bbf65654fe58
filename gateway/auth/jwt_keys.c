// JSON Web Key Sets (RFC 7517, and RFC 7518 section 6 for what a key consists of).
#include "gateway/auth/jwt_keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/digest.h"
#include "core/crypto/secret.h"

// What a kind of key is called in a set, and which of its members are its numbers.
struct key_form {
    const char *type;       // "kty"
    const char *curve;      // "crv", NULL: it has none
    const char *members[2]; // signature_key's first and second, NULL: none
};

static const struct key_form forms[SIGNATURE_COUNT] = {
    [SIGNATURE_HS256] = {"oct", NULL, {"k", NULL}},
    [SIGNATURE_HS384] = {"oct", NULL, {"k", NULL}},
    [SIGNATURE_HS512] = {"oct", NULL, {"k", NULL}},
    [SIGNATURE_RS256] = {"RSA", NULL, {"n", "e"}},
    [SIGNATURE_RS384] = {"RSA", NULL, {"n", "e"}},
    [SIGNATURE_RS512] = {"RSA", NULL, {"n", "e"}},
    [SIGNATURE_ES256] = {"EC", "P-256", {"x", "y"}},
    [SIGNATURE_ES384] = {"EC", "P-384", {"x", "y"}},
    [SIGNATURE_EDDSA] = {"OKP", "Ed25519", {"x", NULL}},
};

struct reading {
    struct jwt_keys *keys;
    char *problem;
    size_t number; // of the key, from 1
};

__attribute__((format(printf, 2, 3))) static bool fail(const struct reading *reading,
                                                       const char *format, ...) {
    int length = snprintf(reading->problem, JWT_PROBLEM_BYTES, "key %zu ", reading->number);
    check(length > 0 && length < JWT_PROBLEM_BYTES);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reading->problem + length, (size_t)(JWT_PROBLEM_BYTES - length), format,
                    arguments); // cut where it is too long
    va_end(arguments);
    return false;
}

// A member's text; empty where it is missing or no string.
static struct span member(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value)) {
        return span_empty();
    }
    return span_make(json_string_value(value), (uint32_t)json_string_length(value));
}

static bool is_form(const json_t *object, const struct key_form *form) {
    return span_equal(member(object, "kty"), span_text(form->type)) &&
           (form->curve == NULL || span_equal(member(object, "crv"), span_text(form->curve)));
}

// The algorithm that the key says it is for; without one, the only algorithm in the configuration
// that takes such a key. SIGNATURE_COUNT: it is for none of ours. False: not clear.
static bool kind_find(const struct reading *reading, const json_t *object,
                      enum signature_kind *kind) {
    *kind = SIGNATURE_COUNT;
    struct span name = member(object, "alg");
    uint32_t found = 0;
    for (uint32_t i = 0; i < SIGNATURE_COUNT; i++) {
        bool is_allowed = (reading->keys->options.algorithms >> i & 1) != 0;
        bool is_named = name.length == 0 || signature_find(name) == i;
        if (is_allowed && is_named && is_form(object, &forms[i])) {
            *kind = (enum signature_kind)i;
            found++;
        }
    }
    return found <= 1 ||
           fail(reading, "fits several of the configured algorithms; give it an \"alg\"");
}

static bool number_read(const struct reading *reading, const json_t *object, const char *name,
                        struct span_mut *room, struct span *number) {
    int64_t length = base64url_decode(member(object, name), *room);
    if (length <= 0) {
        return fail(reading, "has no usable \"%s\" (base64url without padding)", name);
    }
    *number = span_make(room->data, (uint32_t)length);
    room->data += length;
    room->length -= (uint32_t)length;
    return true;
}

static bool key_fill(const struct reading *reading, const json_t *object, struct jwt_key *key) {
    struct span id = member(object, "kid");
    if (id.length > JWT_KEY_ID_BYTES_MAX) {
        return fail(reading, "has a \"kid\" of more than %d bytes", JWT_KEY_ID_BYTES_MAX);
    }
    memcpy(key->id, id.data == NULL ? (const uint8_t *)"" : id.data, id.length);
    key->id_bytes = id.length;
    struct span_mut room = {.data = key->bytes, .length = sizeof key->bytes};
    const struct key_form *form = &forms[key->kind];
    if (!number_read(reading, object, form->members[0], &room, &key->numbers.first)) {
        return false;
    }
    if (form->members[1] != NULL &&
        !number_read(reading, object, form->members[1], &room, &key->numbers.second)) {
        return false;
    }
    const char *problem = signature_key_problem(key->kind, &key->numbers);
    return problem == NULL || fail(reading, "(%s) %s", signature_name(key->kind), problem);
}

// False: an error. A key that is none of ours is left out.
static bool key_read(struct reading *reading, const json_t *object) {
    struct span use = member(object, "use");
    enum signature_kind kind;
    if (!json_is_object(object)) {
        return fail(reading, "is not an object");
    }
    if (!kind_find(reading, object, &kind)) {
        return false;
    }
    if (kind == SIGNATURE_COUNT || (use.length > 0 && !span_equal(use, span_text("sig")))) {
        return true;
    }
    struct jwt_keys *keys = reading->keys;
    if (keys->count == JWT_KEYS_MAX) {
        return fail(reading, "is one too many: at most %d", JWT_KEYS_MAX);
    }
    struct jwt_key *key = &keys->keys[keys->count++];
    key->kind = kind;
    return key_fill(reading, object, key);
}

static bool set_read(struct reading *reading, const struct json_document *document) {
    const json_t *list = json_object_get(document->root, "keys");
    if (!json_is_array(list)) {
        snprintf(reading->problem, JWT_PROBLEM_BYTES, "%s",
                 document->is_short       ? "out of memory"
                 : document->root == NULL ? "not JSON"
                                          : "not a key set: an object with an array \"keys\"");
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        reading->number = i + 1;
        if (!key_read(reading, json_array_get(list, i))) {
            return false;
        }
    }
    if (reading->keys->count == 0) {
        snprintf(reading->problem, JWT_PROBLEM_BYTES,
                 "no key in it is for one of the configured algorithms");
        return false;
    }
    return true;
}

struct jwt_keys *jwt_keys_read(struct span text, const struct jwt_options *options,
                               char problem[JWT_PROBLEM_BYTES]) {
    check(options->leeway_s <= JWT_LEEWAY_S_MAX);
    problem[0] = '\0';
    struct jwt_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL) {
        snprintf(problem, JWT_PROBLEM_BYTES, "out of memory");
        return NULL;
    }
    keys->options = *options;
    struct reading reading = {.keys = keys, .problem = problem};
    struct json_document document;
    json_document_open(&document, text, 0);
    bool is_read = set_read(&reading, &document);
    json_document_close(&document);
    if (!is_read) {
        jwt_keys_free(keys);
        return NULL;
    }
    return keys;
}

void jwt_keys_free(struct jwt_keys *keys) {
    if (keys != NULL) {
        secret_wipe(keys, sizeof *keys);
        free(keys);
    }
}

uint32_t jwt_keys_count(const struct jwt_keys *keys) {
    return keys->count;
}
