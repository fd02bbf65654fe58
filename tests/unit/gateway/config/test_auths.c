// `auth`: what is read, and every way it can be wrong with the exact line.
#include "core/crypto/signature.h"
#include "tests/unit/gateway/config/harness.h"

#define COUNT_OF(rows) (sizeof(rows) / sizeof((rows)[0]))
#define JWT(map) "auth: {u: {jwt: {" map "}}}\n"
#define KEYS "jwks_file: keys.json"

Test(config_auths, defaults) {
    const struct config *config =
        world_open(LISTENER JWT("algorithms: [HS256], " KEYS) "routes: [{path: /e, echo: {}, auth: "
                                                              "u}, {path: /f, echo: {}}]\n");
    cr_assert_eq(config->auth_count, 1);
    const struct config_auth *auth = &config->auths[0];
    cr_assert(span_is(auth->name, "u"));
    cr_assert_eq(auth->jwks.length, JWKS_BYTES_MAX);
    cr_assert_eq(auth->algorithms, 1u << SIGNATURE_HS256);
    cr_assert_eq(auth->leeway_s, 30);
    cr_assert(auth->audience.length == 0 && auth->issuer.length == 0);
    cr_assert_eq(auth->source_count, 1);
    cr_assert_eq(auth->sources[0].place, CONFIG_TOKEN_HEADER);
    cr_assert_eq(config->routes[0].auth, auth);
    cr_assert_null(config->routes[1].auth);
    config_close(&config);
}

Test(config_auths, everything_that_can_be_said) {
#define BESIDE                                                                                     \
    KEYS ", audience: web, issuer: 'https://id.test/', leeway: 60s, from: [header, "               \
         "'cookie:__Host-t', 'query:access_token', subprotocol], pass: {X-User: sub, X-Roles: "    \
         "'https://id.test/roles'}"
    bool has_all = signature_is_built(SIGNATURE_ES256);
    const struct config *config =
        world_open(has_all ? LISTENER JWT("algorithms: [HS256, ES256, EdDSA], " BESIDE) ROUTE
                           : LISTENER JWT("algorithms: [HS256], " BESIDE) ROUTE);
    const struct config_auth *auth = &config->auths[0];
    uint32_t others = 1u << SIGNATURE_ES256 | 1u << SIGNATURE_EDDSA;
    cr_assert_eq(auth->algorithms, 1u << SIGNATURE_HS256 | (has_all ? others : 0));
    cr_assert(span_is(auth->audience, "web") && span_is(auth->issuer, "https://id.test/"));
    cr_assert_eq(auth->leeway_s, 60);
    cr_assert_eq(auth->source_count, 4);
    cr_assert(auth->sources[1].place == CONFIG_TOKEN_COOKIE &&
              span_is(auth->sources[1].name, "__Host-t"));
    cr_assert(auth->sources[2].place == CONFIG_TOKEN_QUERY &&
              span_is(auth->sources[2].name, "access_token"));
    cr_assert_eq(auth->sources[3].place, CONFIG_TOKEN_SUBPROTOCOL);
    cr_assert_eq(auth->pass_count, 2);
    cr_assert(span_is(auth->passes[0].header, "X-User") && span_is(auth->passes[0].claim, "sub"));
    cr_assert(span_is(auth->passes[1].claim, "https://id.test/roles"));
    config_close(&config);
}

Test(config_auths, refusals) {
    static const struct refusal rows[] = {
        {BASE "auth: []\n",
         "f.yaml:3:7: `auth` is a list, not a map; write a map such as {key: value}\n"},
        {BASE "auth: {u: {}}\n",
         "f.yaml:3:8: `u` lets nobody in; add jwt: {algorithms: [ES256], jwks_file: keys.json}\n"},
        {BASE JWT("algoritms: [HS256]"),
         "f.yaml:3:17: `jwt.algorithms` is missing; add it\n"
         "f.yaml:3:17: `jwt.jwks_file` is missing; add it\n"
         "f.yaml:3:18: unknown key `algoritms` in `jwt`; did you mean `algorithms`?\n"},
        {BASE JWT("algorithms: [], jwks_file: none.json, from: []"),
         "f.yaml:3:30: `jwt.algorithms` is empty; write those that your issuer uses, such as "
         "[ES256]\n"
         "f.yaml:3:45: `jwt.jwks_file` `none.json` cannot be read: No such file or directory; "
         "create it, or correct the path\n"
         "f.yaml:3:62: `jwt.from` is empty; write [header], or leave it out\n"},
        {BASE JWT("algorithms: [none, hs256], jwks_file: large.json, audience: '', leeway: 61s"),
         "f.yaml:3:31: `jwt.algorithms[]` is `none`, which is none that can be checked; write "
         "HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384 or EdDSA\n"
         "f.yaml:3:37: `jwt.algorithms[]` is `hs256`, which is none that can be checked; write "
         "HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384 or EdDSA\n"
         "f.yaml:3:56: `jwt.jwks_file` `large.json` has 65537 bytes, more than 65536; leave out "
         "what is not for signatures\n"
         "f.yaml:3:78: `jwt.audience` has 0 bytes; write 1 to 256, or leave it out\n"
         "f.yaml:3:90: `jwt.leeway` is `61s`, which is too large; write 0ms to 1m\n"},
        {BASE JWT("algorithms: [HS256], " KEYS ", from: [Header, 'cookie:', 'cookie:a b', "
                  "'query:a=b', 'header:a']"),
         "f.yaml:3:68: `jwt.from[]` is `Header`, which is no place of a token; write header, "
         "subprotocol, \"cookie:NAME\" or \"query:NAME\" with a name of 1 to 64 bytes\n"
         "f.yaml:3:76: `jwt.from[]` is `cookie:`, which is no place of a token; write header, "
         "subprotocol, \"cookie:NAME\" or \"query:NAME\" with a name of 1 to 64 bytes\n"
         "f.yaml:3:87: `jwt.from[]` is `cookie:a b`, which is no place of a token; write header, "
         "subprotocol, \"cookie:NAME\" or \"query:NAME\" with a name of 1 to 64 bytes\n"
         "f.yaml:3:101: `jwt.from[]` is `query:a=b`, which is no place of a token; write header, "
         "subprotocol, \"cookie:NAME\" or \"query:NAME\" with a name of 1 to 64 bytes\n"
         "f.yaml:3:114: `jwt.from[]` is `header:a`, which is no place of a token; write header, "
         "subprotocol, \"cookie:NAME\" or \"query:NAME\" with a name of 1 to 64 bytes\n"},
        {BASE JWT("algorithms: [HS256], " KEYS ", pass: {Host: sub, 'X A': sub, X-User: a, x-user: "
                  "b, X-C: '', X-D: []}"),
         "f.yaml:3:68: `jwt.pass` is `Host`, which is no header that may be named here; write one "
         "of 1 to 64 bytes that belongs to no single connection, such as X-User\n"
         "f.yaml:3:79: `jwt.pass` is `X A`, which is no header that may be named here; write one "
         "of 1 to 64 bytes that belongs to no single connection, such as X-User\n"
         "f.yaml:3:102: `x-user` stands twice in `jwt.pass`; remove one\n"
         "f.yaml:3:118: `jwt.pass.HEADER` is ``, which names no claim; write 1 to 64 bytes\n"
         "f.yaml:3:127: `jwt.pass.HEADER` is a list, not a single value; write one value, and "
         "quote it if it "
         "holds `{` or `[`\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

#define GUARDED(from, route)                                                                       \
    LISTENER JWT("algorithms: [HS256], " KEYS ", from: [" from "]") "routes: [{path: /e, " route   \
                                                                    "}]\n"

Test(config_auths, routes_that_may_not_use_it) {
    static const struct refusal rows[] = {
        {GUARDED("header", "echo: {}, auth: v"),
         "f.yaml:3:37: there is no `v` in `auth`; add it, or correct the name\n"},
        {GUARDED("header, 'cookie:t'", "echo: {}, auth: u"),
         "f.yaml:3:37: `u` reads a cookie, and the route has no `origins`, so that every page "
         "could come in as its visitor; add origins: [\"https://app.example.com\"]\n"},
        {GUARDED("subprotocol", "echo: {}, auth: u"),
         "f.yaml:3:37: `u` reads the token of a subprotocol, and the route has no `subprotocols`, "
         "so that browsers would refuse our answer; add the one that your clients speak\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
    static const char *const fine[] = {
        GUARDED("'cookie:t'", "echo: {}, auth: u, origins: ['https://a.test']"),
        GUARDED("'cookie:t'", "page: demo, auth: u"),
        GUARDED("subprotocol", "echo: {}, auth: u, subprotocols: [chat]"),
        GUARDED("subprotocol", "page: demo, auth: u"),
    };
    for (size_t i = 0; i < COUNT_OF(fine); i++) {
        const struct config *config = world_open(fine[i]);
        config_close(&config);
    }
}

// n - 1, n and n + 1 claims that are passed on.
Test(config_auths, what_is_passed_on_is_bounded) {
    for (uint32_t count = FORWARD_FIELDS_MAX - 1; count <= FORWARD_FIELDS_MAX + 1; count++) {
        char passes[512] = "X-0: c";
        for (uint32_t i = 1; i < count; i++) {
            snprintf(passes + strlen(passes), sizeof passes - strlen(passes), ", X-%u: c", i);
        }
        char text[1024];
        snprintf(text, sizeof text, LISTENER JWT("algorithms: [HS256], " KEYS ", pass: {%s}") ROUTE,
                 passes);
        if (count > FORWARD_FIELDS_MAX) {
            world_refuses_span(span_text(text),
                               "f.yaml:2:67: `jwt.pass` has 17 entries, more than 16; remove "
                               "some\n");
            continue;
        }
        const struct config *config = world_open(text);
        cr_assert_eq(config->auths[0].pass_count, count);
        config_close(&config);
    }
}

// n - 1, n and n + 1 different claims; the same one again is none more.
Test(config_auths, claims_of_a_route_are_bounded) {
    for (uint32_t count = CLAIMS_MAX - 1; count <= CLAIMS_MAX + 1; count++) {
        char templates[1024] = "";
        for (uint32_t i = 0; i < count; i++) {
            snprintf(templates + strlen(templates), sizeof(templates) - strlen(templates),
                     "{claim.c%u}", i);
        }
        char text[2048];
        snprintf(text, sizeof(text),
                 GUARDED("header", "auth: u, channels: {subscribe: ['{claim.c0}'], publish: '%s'}"),
                 templates);
        if (count > CLAIMS_MAX) {
            world_refuses_span(span_text(text),
                               "f.yaml:3:77: `channels.publish`: `{claim.c16}` is one claim "
                               "too many; write at most 16 different ones in a route\n");
            continue;
        }
        const struct config *config = world_open(text);
        cr_assert_eq(config->routes[0].claims.count, count);
        cr_assert(span_is(config->routes[0].claims.items[1], "c1"));
        cr_assert_eq(config->routes[0].channels.publish.parts[1].claim, 1);
        config_close(&config);
    }
}

#define FORWARD(map) "auth: {s: {forward: {" map "}}}\n"
#define URL "url: 'http://auth.example:8000/check?a=b'"

Test(config_auths, a_service_that_is_asked) {
    const struct config *config = world_open(LISTENER FORWARD(
        URL ", cache: 30s, entries: 7, timeout: 1500ms, headers: [Cookie], claims: "
            "{sub: X-User, org: X-Org}, pass: [x-user, X-More]") "upstreams: {web: "
                                                                 "{servers: "
                                                                 "[\"http://"
                                                                 "127.0.0.1:1\"]}"
                                                                 "}\n" ROUTE);
    const struct config_auth *auth = &config->auths[0];
    const struct config_forward *forward = &auth->forward;
    cr_assert_eq(auth->kind, CONFIG_AUTH_FORWARD);
    cr_assert(span_is(forward->target, "/check?a=b"));
    cr_assert(forward->cache_ms == 30000 && forward->entries == 7);
    cr_assert(forward->sent_count == 1 && span_is(forward->sent[0], "Cookie"));
    cr_assert_eq(forward->field_count, 3);
    cr_assert(span_is(forward->fields[0].claim, "sub") && forward->fields[0].passes);
    cr_assert(span_is(forward->fields[1].header, "X-Org") && !forward->fields[1].passes);
    cr_assert(forward->fields[2].claim.length == 0 && forward->fields[2].passes);
    cr_assert_eq(config->upstream_count, 2); // its service stands behind those of the file
    const struct config_upstream *upstream = &config->upstreams[forward->upstream];
    cr_assert(span_is(upstream->name, "auth:s"));
    cr_assert(span_is(upstream->servers[0].host, "auth.example"));
    cr_assert(span_is(upstream->servers[0].authority, "auth.example:8000"));
    cr_assert_eq(upstream->response_ms, 1500);
    cr_assert(span_is(config->upstreams[0].name, "web"));
    config_close(&config);
}

Test(config_auths, a_service_that_is_asked_by_https) {
    const struct config *config =
        world_open(LISTENER FORWARD("url: 'https://auth.example/check', ca: fullchain.pem, "
                                    "certificate: fullchain.pem, key: key.pem") ROUTE);
    const struct config_forward *forward = &config->auths[0].forward;
    const struct config_upstream *upstream = &config->upstreams[forward->upstream];
    cr_assert(span_is(forward->target, "/check"));
    cr_assert(upstream->servers[0].is_secure && upstream->servers[0].address.address.port == 443);
    cr_assert(span_is(upstream->servers[0].host, "auth.example"));
    cr_assert(upstream->tls.is_present && !upstream->tls.is_system_ca);
    cr_assert(span_is(upstream->tls.ca, "a chain") && span_is(upstream->tls.key, "a key"));
    config_close(&config);
}

Test(config_auths, a_service_s_defaults) {
    const struct config *config = world_open(LISTENER FORWARD("url: 'http://127.0.0.1'") ROUTE);
    const struct config_forward *forward = &config->auths[0].forward;
    cr_assert(span_is(forward->target, "/"));
    cr_assert(forward->cache_ms == 0 && forward->entries == 1024 && forward->field_count == 0);
    cr_assert(forward->sent_count == 2 && span_is(forward->sent[0], "Authorization") &&
              span_is(forward->sent[1], "Cookie"));
    config_close(&config);
}

Test(config_auths, refusals_of_a_service) {
    static const struct refusal rows[] = {
        {BASE FORWARD(""), "f.yaml:3:21: `forward.url` is missing; add it\n"},
        {BASE FORWARD("url: 'ftp://a/b'"),
         "f.yaml:3:27: `forward.url` is `ftp://a/b`, which is no URL of a service; write "
         "http://host:port/path or https://host:port/path\n"},
        {BASE FORWARD("url: 'https://'"),
         "f.yaml:3:27: `forward.url` is `https://`, which is no URL of a service; write "
         "http://host:port/path or https://host:port/path\n"},
        {BASE FORWARD(URL ", ca: a.pem"),
         "f.yaml:3:69: `ca`, `certificate` and `key` have no meaning without a server by https; "
         "write https://host:port, or remove them\n"},
        {BASE FORWARD("url: 'http://a:1/b c'"),
         "f.yaml:3:27: `forward.url` is `http://a:1/b c`, which holds a byte that no path may; "
         "write it escaped\n"},
        {BASE FORWARD(URL ", pass: [Connection, X-Forwarded-For]"),
         "f.yaml:3:72: `forward.pass[]` is `Connection`, which is no header that may be named "
         "here; write one of 1 to 64 bytes that belongs to no single connection, such as X-User\n"
         "f.yaml:3:84: `forward.pass[]` is `X-Forwarded-For`, which is no header that may be "
         "named here; write one of 1 to 64 bytes that belongs to no single connection, such as "
         "X-User\n"},
        {BASE FORWARD(URL ", claims: {a: X-User, b: x-user}"),
         "f.yaml:3:88: `x-user` is two claims; name each header once in `claims`\n"},
        {LISTENER FORWARD(URL ", headers: [X-A]") "routes: [{path: /m, channels: {subscribe: "
                                                  "['u.{claim.sub}']}, auth: s}]\n",
         "f.yaml:3:69: the route's templates need the claim `sub`, which `s` does not say; add it "
         "to `forward.claims`, such as claims: {sub: X-User}\n"},
        {LISTENER FORWARD(URL) "routes: [{path: /m, echo: {}, auth: s}]\n",
         "f.yaml:3:37: `s` reads a cookie, and the route has no `origins`, so that every page "
         "could "
         "come in as its visitor; add origins: [\"https://app.example.com\"]\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}
