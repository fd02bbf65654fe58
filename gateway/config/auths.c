// auth: by name, how it is found out who a client is. Key files are read here, what is in them is
// judged by who opens them (gateway/process).
#include "core/crypto/signature.h"
#include "gateway/config/sections.h"

#include <stddef.h>

enum { LEEWAY_MS = 30000, AUTH_TEXT_BYTES_MAX = 256 };

struct auth_section {
    const struct config_node *jwt, *forward;
};
static const struct schema_key auth_keys[] = {
    {.name = "jwt", .type = SCHEMA_MAP, .offset = offsetof(struct auth_section, jwt)},
    {.name = "forward", .type = SCHEMA_MAP, .offset = offsetof(struct auth_section, forward)},
};
static const struct schema auth_schema = {.name = "auth",
                                          .title = "in an `auth`",
                                          .prefix = "auth.NAME.",
                                          .keys = auth_keys,
                                          .key_count = sizeof(auth_keys) / sizeof(auth_keys[0])};

struct jwt_section {
    const struct config_node *algorithms, *jwks_file, *audience, *issuer, *from, *pass;
    uint64_t leeway_ms;
};

#define AT(member) .offset = offsetof(struct jwt_section, member)
static const struct schema_key jwt_keys[] = {
    {.name = "algorithms", .type = SCHEMA_LIST, AT(algorithms), .is_required = true},
    {.name = "jwks_file", .type = SCHEMA_SCALAR, AT(jwks_file), .is_required = true},
    {.name = "audience", .type = SCHEMA_SCALAR, AT(audience)},
    {.name = "issuer", .type = SCHEMA_SCALAR, AT(issuer)},
    {.name = "leeway", .type = SCHEMA_MS, AT(leeway_ms), .maximum = JWT_LEEWAY_S_MAX * 1000},
    {.name = "from", .type = SCHEMA_LIST, AT(from)},
    {.name = "pass", .type = SCHEMA_MAP, AT(pass)},
};
#undef AT
static const struct schema jwt_schema = {.name = "jwt",
                                         .title = "in `jwt`",
                                         .prefix = "jwt.",
                                         .keys = jwt_keys,
                                         .key_count = sizeof(jwt_keys) / sizeof(jwt_keys[0])};

static void algorithms_read(struct config_reader *reader, const struct config_node *list,
                            struct config_auth *auth) {
    if (list == NULL || !schema_is_short(reader, "jwt.algorithms", list, SIGNATURE_COUNT)) {
        return;
    }
    if (list->child_count == 0) {
        config_error(reader, list->place,
                     "`jwt.algorithms` is empty; write those that your issuer uses, such as "
                     "[ES256]");
    }
    for (const struct config_node *node = list->child; node != NULL; node = node->next) {
        if (!schema_is_kind(reader, "jwt.algorithms[]", node, CONFIG_NODE_SCALAR)) {
            continue;
        }
        enum signature_kind kind = signature_find(node->text);
        struct config_quoted name = config_quote(node->text);
        if (kind == SIGNATURE_COUNT) {
            config_error(
                reader, node->place,
                "`jwt.algorithms[]` is %s, which is none that can be checked; write HS256, "
                "HS384, HS512, RS256, RS384, RS512, ES256, ES384 or EdDSA",
                name.text);
        } else if (!signature_is_built(kind)) {
            config_error(reader, node->place,
                         "this holdfast was built without TLS and cannot check %s; write HS256, or "
                         "build with -DHOLDFAST_TLS=ON",
                         name.text);
        } else {
            auth->algorithms |= 1u << kind;
        }
    }
}

static void jwks_read(struct config_reader *reader, const struct config_node *node,
                      struct config_auth *auth) {
    struct span bytes;
    if (node == NULL || !config_file_load(reader, "jwt.jwks_file", node, &bytes)) {
        return;
    }
    if (bytes.length > JWKS_BYTES_MAX) {
        config_error(reader, node->place,
                     "`jwt.jwks_file` %s has %u bytes, more than %u; leave out what is not for "
                     "signatures",
                     config_quote(node->text).text, bytes.length, JWKS_BYTES_MAX);
        return;
    }
    uint8_t *copy = config_keep(reader, (uint64_t)bytes.length + 1);
    if (copy != NULL) {
        memcpy(copy, bytes.data, bytes.length);
        auth->jwks = span_make(copy, bytes.length);
        auth->jwks_path = node->text;
        auth->place = node->place;
    }
}

static void text_read(struct config_reader *reader, const char *name,
                      const struct config_node *node, struct span *text) {
    if (node == NULL) {
        return;
    }
    if (node->text.length == 0 || node->text.length > AUTH_TEXT_BYTES_MAX) {
        config_error(reader, node->place, "`%s` has %u bytes; write 1 to %u, or leave it out", name,
                     node->text.length, AUTH_TEXT_BYTES_MAX);
        return;
    }
    *text = node->text;
}

// `header`, `subprotocol`, `cookie:NAME`, `query:NAME`. False: none of them.
static bool source_parse(struct span text, struct config_token_source *source) {
    static const struct {
        const char *word;
        enum config_token_place place;
    } words[] = {{"header", CONFIG_TOKEN_HEADER},
                 {"subprotocol", CONFIG_TOKEN_SUBPROTOCOL},
                 {"cookie:", CONFIG_TOKEN_COOKIE},
                 {"query:", CONFIG_TOKEN_QUERY}};
    for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct span word = span_text(words[i].word);
        bool has_name = word.data[word.length - 1] == ':';
        if (!has_name && span_equal(text, word)) {
            *source = (struct config_token_source){.place = (uint8_t)words[i].place};
            return true;
        }
        if (has_name && text.length > word.length &&
            span_equal(span_first(text, word.length), word)) {
            *source = (struct config_token_source){.place = (uint8_t)words[i].place,
                                                   .name = span_from(text, word.length)};
            return source->name.length <= AUTH_NAME_BYTES_MAX && config_is_token(source->name);
        }
    }
    return false;
}

static bool has_place(const struct config_auth *auth, enum config_token_place place) {
    for (uint32_t i = 0; i < auth->source_count; i++) {
        if (auth->sources[i].place == place) {
            return true;
        }
    }
    return false;
}

static void sources_read(struct config_reader *reader, const struct config_node *list,
                         struct config_auth *auth) {
    static const struct config_token_source header = {.place = CONFIG_TOKEN_HEADER};
    auth->sources = &header;
    auth->source_count = 1;
    if (list == NULL || !schema_is_short(reader, "jwt.from", list, AUTH_SOURCES_MAX)) {
        return;
    }
    if (list->child_count == 0) {
        config_error(reader, list->place, "`jwt.from` is empty; write [header], or leave it out");
    }
    struct config_token_source *sources =
        config_keep(reader, sizeof(struct config_token_source) * (list->child_count + 1));
    if (sources == NULL) {
        return;
    }
    uint32_t count = 0;
    for (const struct config_node *node = list->child; node != NULL; node = node->next) {
        if (!schema_is_kind(reader, "jwt.from[]", node, CONFIG_NODE_SCALAR)) {
            continue;
        }
        if (!source_parse(node->text, &sources[count])) {
            static_assert(AUTH_NAME_BYTES_MAX == 64, "the message says 64");
            config_error(reader, node->place,
                         "`jwt.from[]` is %s, which is no place of a token; write header, "
                         "subprotocol, \"cookie:NAME\" or \"query:NAME\" with a name of 1 to 64 "
                         "bytes",
                         config_quote(node->text).text);
            continue;
        }
        count++;
    }
    auth->sources = sources;
    auth->source_count = (uint8_t)count;
}

static bool is_passed(const struct config_auth *auth, struct span header) {
    for (uint32_t i = 0; i < auth->pass_count; i++) {
        if (span_equal_nocase(auth->passes[i].header, header)) {
            return true;
        }
    }
    return false;
}

// HEADER: claim. Which claims services are sent.
static void passes_read(struct config_reader *reader, const struct config_node *map,
                        struct config_auth *auth) {
    if (map == NULL) {
        return;
    }
    if (map->child_count / 2 > FORWARD_FIELDS_MAX) { // keys and values
        config_error(reader, map->place, "`jwt.pass` has %u entries, more than %u; remove some",
                     map->child_count / 2, FORWARD_FIELDS_MAX);
        return;
    }
    struct config_pass *passes =
        config_keep(reader, sizeof(struct config_pass) * (map->child_count / 2 + 1u));
    if (passes == NULL) {
        return;
    }
    auth->passes = passes;
    for (const struct config_node *key = map->child; key != NULL; key = key->next->next) {
        const struct config_node *claim = key->next;
        if (key->kind == CONFIG_NODE_BAD || !config_passed_name_read(reader, "jwt.pass", key) ||
            !schema_is_kind(reader, "jwt.pass.HEADER", claim, CONFIG_NODE_SCALAR)) {
            continue;
        }
        if (is_passed(auth, key->text)) {
            config_error(reader, key->place, "%s stands twice in `jwt.pass`; remove one",
                         config_quote(key->text).text);
        } else if (claim->text.length == 0 || claim->text.length > AUTH_NAME_BYTES_MAX) {
            config_error(reader, claim->place,
                         "`jwt.pass.HEADER` is %s, which names no claim; write 1 to %u bytes",
                         config_quote(claim->text).text, AUTH_NAME_BYTES_MAX);
        } else {
            passes[auth->pass_count++] =
                (struct config_pass){.header = key->text, .claim = claim->text};
        }
    }
}

static void auth_read(struct config_reader *reader, const struct config_node *key,
                      const struct config_node *map, struct config_auth *auth,
                      struct config *config) {
    struct auth_section outer = {.jwt = NULL};
    struct jwt_section section = {.leeway_ms = LEEWAY_MS};
    auth->name = key->text;
    schema_read(reader, &auth_schema, map, &outer);
    if (outer.jwt != NULL && outer.forward != NULL) {
        config_error(reader, key->place,
                     "%s has both `jwt` and `forward`; write two entries, and one of them in each "
                     "route",
                     config_quote(key->text).text);
        return;
    }
    if (outer.forward != NULL) {
        config_auth_forward_read(reader, outer.forward, auth, config);
        return;
    }
    if (outer.jwt == NULL) {
        if (map->child_count == 0) {
            config_error(reader, key->place,
                         "%s lets nobody in; add jwt: {algorithms: [ES256], jwks_file: keys.json}",
                         config_quote(key->text).text);
        }
        return;
    }
    schema_read(reader, &jwt_schema, outer.jwt, &section);
    auth->leeway_s = (uint32_t)(section.leeway_ms / 1000);
    algorithms_read(reader, section.algorithms, auth);
    jwks_read(reader, section.jwks_file, auth);
    text_read(reader, "jwt.audience", section.audience, &auth->audience);
    text_read(reader, "jwt.issuer", section.issuer, &auth->issuer);
    sources_read(reader, section.from, auth);
    passes_read(reader, section.pass, auth);
}

void config_auths_read(struct config_reader *reader, const struct config_node *map,
                       struct config *config) {
    if (map == NULL) {
        return;
    }
    uint32_t count_max = map->child_count / 2; // keys and values
    if (count_max > AUTHS_MAX) {
        config_error(reader, map->place, "`auth` has %u entries, more than %u; remove some",
                     count_max, AUTHS_MAX);
        return;
    }
    struct config_auth *auths = config_keep(reader, sizeof(struct config_auth) * (count_max + 1));
    if (auths == NULL) {
        return;
    }
    uint32_t count = 0;
    for (const struct config_node *key = map->child; key != NULL; key = key->next->next) {
        if (key->kind != CONFIG_NODE_BAD &&
            schema_is_kind(reader, "auth.NAME", key->next, CONFIG_NODE_MAP)) {
            auth_read(reader, key, key->next, &auths[count++], config);
        }
    }
    config->auths = auths;
    config->auth_count = count;
}

static const struct config_auth *auth_find(const struct config *config, struct span name) {
    for (uint32_t i = 0; i < config->auth_count; i++) {
        if (span_equal(config->auths[i].name, name)) {
            return &config->auths[i];
        }
    }
    return NULL;
}

static bool reads_cookie(const struct config_auth *auth) {
    if (auth->kind == CONFIG_AUTH_JWT) {
        return has_place(auth, CONFIG_TOKEN_COOKIE);
    }
    for (uint32_t i = 0; i < auth->forward.sent_count; i++) {
        if (span_is_nocase(auth->forward.sent[i], "cookie")) {
            return true;
        }
    }
    return false;
}

// What the route's templates ask for must be among what the service says.
static void claims_check(struct config_reader *reader, const struct config_node *node,
                         const struct config_route *route) {
    const struct config_forward *forward = &route->auth->forward;
    for (uint32_t i = 0; i < route->claims.count; i++) {
        bool is_said = false;
        for (uint32_t j = 0; j < forward->field_count; j++) {
            is_said = is_said || span_equal(forward->fields[j].claim, route->claims.items[i]);
        }
        if (!is_said) {
            config_error(reader, node->place,
                         "the route's templates need the claim %s, which %s does not say; add it "
                         "to `forward.claims`, such as claims: {sub: X-User}",
                         config_quote(route->claims.items[i]).text, config_quote(node->text).text);
        }
    }
}

void config_route_auth_read(struct config_reader *reader, const struct config_node *node,
                            const struct config *config, struct config_route *route) {
    route->auth = auth_find(config, node->text);
    if (route->auth == NULL) {
        config_error(reader, node->place, "there is no %s in `auth`; add it, or correct the name",
                     config_quote(node->text).text);
        return;
    }
    if (route->auth->kind == CONFIG_AUTH_FORWARD) {
        claims_check(reader, node, route);
    }
    // The browser of a visitor sends the cookie with the connection of any page (CSWSH).
    if (reads_cookie(route->auth) && !route->has_origins && route->verb != CONFIG_VERB_PAGE) {
        config_error(reader, node->place,
                     "%s reads a cookie, and the route has no `origins`, so that every page could "
                     "come in as its visitor; add origins: [\"https://app.example.com\"]",
                     config_quote(node->text).text);
    }
    if (has_place(route->auth, CONFIG_TOKEN_SUBPROTOCOL) && route->subprotocols.count == 0 &&
        (config_verb_kinds((enum config_verb)route->verb) & CONFIG_KIND_UPGRADE) != 0) {
        config_error(reader, node->place,
                     "%s reads the token of a subprotocol, and the route has no `subprotocols`, so "
                     "that browsers would refuse our answer; add the one that your clients speak",
                     config_quote(node->text).text);
    }
}
