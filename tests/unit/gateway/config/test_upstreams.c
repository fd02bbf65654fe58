// Upstreams: what is read, what it falls back to, and every way one can be wrong.
#include "tests/unit/gateway/config/harness.h"

#define COUNT_OF(rows) (sizeof(rows) / sizeof((rows)[0]))
#define WEB(rest) LISTENER "upstreams: {web: {" rest "}}\n" PROXY
#define PROXY "routes: [{path: /, proxy: {upstream: web}, upgrade: false}]\n"

Test(config_upstreams, what_is_said_and_what_is_not) {
    const struct config *config = world_open(
        LISTENER "upstreams:\n"
                 "  web: {servers: [\"http://10.0.0.5:8000\"]}\n"
                 "  other: {servers: [\"http://[2001:db8::1]:81\", \"http://10.0.0.6\", "
                 "\"unix:/run/s\"], connect: 1s, response: 3s, idle: off, retry: 7s, connections: "
                 "9, queue: 0, failures: 2, balance: \"hash:cookie:sid\"}\n" PROXY);
    cr_assert_eq(config->upstream_count, 2);
    const struct config_upstream *web = &config->upstreams[0];
    cr_assert(span_is(web->name, "web") && web->server_count == 1);
    cr_assert(web->connect_ms == 2000 && web->response_ms == 10000 && web->idle_ms == 60000);
    cr_assert(web->retry_ms == 5000 && web->connections == 256 && web->queue == 1024);
    cr_assert(web->failures == 5 && web->balance == CONFIG_BALANCE_LEAST_PENDING);
    cr_assert(web->servers[0].address.address.port == 8000);
    cr_assert(span_is(web->servers[0].authority, "10.0.0.5:8000"));
    const struct config_upstream *other = &config->upstreams[1];
    cr_assert(other->connect_ms == 1000 && other->response_ms == 3000 && other->idle_ms == 0);
    cr_assert(other->retry_ms == 7000 && other->connections == 9 && other->queue == 0);
    cr_assert(other->failures == 2 && other->balance == CONFIG_BALANCE_COOKIE);
    cr_assert(span_is(other->balance_name, "sid") && other->server_count == 3);
    cr_assert_eq(other->servers[0].address.address.port, 81);
    cr_assert(span_is(other->servers[0].authority, "[2001:db8::1]:81"));
    cr_assert_eq(other->servers[1].address.address.port, 80);
    cr_assert(span_is(other->servers[1].authority, "10.0.0.6"));
    cr_assert_eq(other->servers[2].address.address.kind, ADDRESS_UNIX);
    cr_assert(span_is(other->servers[2].address.path, "/run/s"));
    cr_assert(span_is(other->servers[2].authority, "localhost"));
    cr_assert_eq(config->routes[0].verb, CONFIG_VERB_PROXY);
    cr_assert_eq(config->routes[0].upstream, 0);
    config_close(&config);
}

Test(config_upstreams, servers_by_name) {
    const struct config *config = world_open(
        LISTENER "upstreams:\n"
                 "  web: {servers: [\"http://orders.example:8080\", \"http://orders.example\", "
                 "\"http://10.0.0.6\", \"http://a_b-c.\"], resolve: 100ms}\n" PROXY);
    const struct config_upstream *web = &config->upstreams[0];
    cr_assert(web->server_count == 4 && web->resolve_ms == 100);
    cr_assert(span_is(web->servers[0].host, "orders.example"));
    cr_assert(span_is(web->servers[0].authority, "orders.example:8080"));
    cr_assert_eq(web->servers[0].address.address.kind, ADDRESS_NONE);
    cr_assert_eq(web->servers[0].address.address.port, 8080);
    cr_assert(span_is(web->servers[1].host, "orders.example"));
    cr_assert_eq(web->servers[1].address.address.port, 80);
    cr_assert_eq(web->servers[2].host.length, 0);
    cr_assert_eq(web->servers[2].address.address.kind, ADDRESS_IP);
    cr_assert(span_is(web->servers[3].host, "a_b-c."));
    config_close(&config);
    config = world_open(LISTENER "upstreams: {web: {servers: [\"http://web\"]}}\n" PROXY);
    cr_assert_eq(config->upstreams[0].resolve_ms, 30000);
    config_close(&config);
}

Test(config_upstreams, servers_by_https) {
    const struct config *config = world_open(
        LISTENER "upstreams:\n"
                 "  web: {servers: [\"https://orders.example\", \"https://10.0.0.5:8443\", "
                 "\"http://10.0.0.5\"], ca: fullchain.pem, certificate: fullchain.pem, key: "
                 "key.pem}\n"
                 "  plain: {servers: [\"http://10.0.0.5\"]}\n" PROXY);
    const struct config_upstream *web = &config->upstreams[0];
    cr_assert_eq(web->server_count, 3);
    cr_assert(web->servers[0].is_secure && web->servers[0].address.address.port == 443);
    cr_assert(span_is(web->servers[0].host, "orders.example"));
    cr_assert(span_is(web->servers[0].authority, "orders.example"));
    cr_assert(web->servers[1].is_secure && web->servers[1].address.address.port == 8443);
    cr_assert(!web->servers[2].is_secure && web->servers[2].address.address.port == 80);
    cr_assert(web->tls.is_present && !web->tls.is_system_ca);
    cr_assert(span_is(web->tls.ca, "a chain") && span_is(web->tls.key, "a key"));
    cr_assert(span_is(web->tls.key_path, "key.pem"));
    cr_assert_eq(config->upstreams[1].tls.key_path.length, 0);
    cr_assert(!config->upstreams[1].tls.is_present && config->system_ca.length == 0);
    config_close(&config);
}

Test(config_upstreams, https_that_cannot_be) {
    static const struct refusal rows[] = {
        {WEB("servers: [\"https://a\"]"),
         "f.yaml:2:29: a server is asked by https, and the system's authorities "
         "/etc/ssl/certs/ca-certificates.crt cannot be read; install ca-certificates, or write "
         "`ca: FILE`\n"},
        {WEB("servers: [\"https://a\"], ca: none.pem"),
         "f.yaml:2:47: `ca` `none.pem` cannot be read: No such file or directory; create it, or "
         "correct the path\n"},
        {WEB("servers: [\"http://a\"], ca: fullchain.pem"),
         "f.yaml:2:46: `ca`, `certificate` and `key` have no meaning without a server by https; "
         "write https://host:port, or remove them\n"},
        {WEB("servers: [\"https://a\"], ca: fullchain.pem, certificate: fullchain.pem"),
         "f.yaml:2:47: `certificate` and `key` go together; write both, or none\n"},
        {WEB("servers: [\"https://a\"], ca: fullchain.pem, key: key.pem"),
         "f.yaml:2:47: `certificate` and `key` go together; write both, or none\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_upstreams, health) {
    const struct config *config = world_open(
        LISTENER "upstreams:\n"
                 "  web: {servers: [\"http://10.0.0.5\"], health: {path: \"/up?x\", interval: "
                 "1s, timeout: 1s, healthy: 1, unhealthy: 1000}}\n"
                 "  quick: {servers: [\"http://10.0.0.5\"], health: {path: /, interval: 1s}}\n"
                 "  other: {servers: [\"http://10.0.0.5\"], health: {path: /}}\n"
                 "  none: {servers: [\"http://10.0.0.5\"]}\n" PROXY);
    const struct config_health *web = &config->upstreams[0].health;
    cr_assert(span_is(web->path, "/up?x") && web->interval_ms == 1000 && web->timeout_ms == 1000);
    cr_assert(web->healthy == 1 && web->unhealthy == 1000);
    cr_assert_eq(config->upstreams[1].health.timeout_ms, 1000, "no longer than the interval");
    const struct config_health *other = &config->upstreams[2].health;
    cr_assert(other->interval_ms == 5000 && other->timeout_ms == 2000);
    cr_assert(other->healthy == 2 && other->unhealthy == 3);
    cr_assert_eq(config->upstreams[3].health.interval_ms, 0);
    config_close(&config);
}

#define HEALTH(rest) WEB("servers: [\"http://a\"], health: {" rest "}")
#define NO_PATH(path)                                                                              \
    "f.yaml:2:57: `health.path` is `" path "`, which is no path of at most 255 bytes; write such " \
    "as /health\n"

Test(config_upstreams, health_that_is_none) {
    static const struct refusal rows[] = {
        {HEALTH("interval: 1s"), "f.yaml:2:50: `upstreams.NAME.health.path` is missing; add it\n"},
        {HEALTH("path: up"), NO_PATH("up")},
        {HEALTH("path: \"\""), NO_PATH("")},
        {HEALTH("path: \"/a b\""), NO_PATH("/a b")},
        {HEALTH("path: \"/a#b\""), NO_PATH("/a#b")},
        {HEALTH("path: /, interval: 1s, timeout: 1001ms"),
         "f.yaml:2:50: `health.timeout` is longer than its `interval`; write a shorter one\n"},
        {HEALTH("path: /, healthy: 0"),
         "f.yaml:2:69: `upstreams.NAME.health.healthy` is `0`, which is too small; write 1 to "
         "1000\n"},
        {HEALTH("path: /, interval: 99ms"),
         "f.yaml:2:70: `upstreams.NAME.health.interval` is `99ms`, which is too small; write 100ms "
         "to 480h\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_upstreams, the_longest_path_of_a_check) {
    for (uint32_t length = HEALTH_PATH_BYTES_MAX - 1; length <= HEALTH_PATH_BYTES_MAX + 1;
         length++) {
        char path[HEALTH_PATH_BYTES_MAX + 2] = "/";
        memset(path + 1, 'a', length - 1);
        path[length] = 0;
        char text[600];
        (void)snprintf(text, sizeof text, HEALTH("path: %s"), path);
        static struct config_errors errors;
        const struct config *config = world_open_span(span_text(text), &errors);
        cr_assert_eq(config != NULL, length <= HEALTH_PATH_BYTES_MAX, "%u bytes", length);
        config_close(&config);
    }
}

// Whether that is a server by name.
static bool is_read(const char *host) {
    char text[700];
    (void)snprintf(text, sizeof text,
                   LISTENER "upstreams: {web: {servers: [\"http://%s:80\"]}}\n" PROXY, host);
    static struct config_errors errors;
    const struct config *config = world_open_span(span_text(text), &errors);
    bool is_name = config != NULL && span_is(config->upstreams[0].servers[0].host, host);
    config_close(&config);
    return is_name;
}

Test(config_upstreams, names_that_are_none_and_the_longest) {
    static const char *const none[] = {".",     "a..b",  ".a",        "a b",
                                       "a,b",   "1.2.3", "1.2.3.4.5", "10.0.0.256",
                                       "a.007", "a.1.",  "*.b",       "\xc3\xa4"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        cr_assert(!is_read(none[i]), "%s", none[i]);
    }
    static const char *const names[] = {"a", "1a", "a.b.", "1.2.3.x", "xn--4ca", "7-1"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        cr_assert(is_read(names[i]), "%s", names[i]);
    }
    char name[300];
    for (uint32_t label = 62; label <= 64; label++) {
        memset(name, 'a', label);
        name[label] = 0;
        cr_assert_eq(is_read(name), label <= 63, "a label of %u", label);
    }
    for (uint32_t length = 252; length <= 254; length++) {
        for (uint32_t i = 0; i < length; i++) {
            name[i] = i % 50 == 49 ? '.' : 'a';
        }
        name[length] = 0;
        cr_assert_eq(is_read(name), length <= RESOLVE_HOST_BYTES_MAX, "a name of %u", length);
    }
}

Test(config_upstreams, every_word_of_balance) {
    static const struct {
        const char *word;
        enum config_balance balance;
    } rows[] = {{"least_pending", CONFIG_BALANCE_LEAST_PENDING},
                {"hash:address", CONFIG_BALANCE_ADDRESS},
                {"hash:path", CONFIG_BALANCE_PATH},
                {"hash:cookie:a", CONFIG_BALANCE_COOKIE},
                {"hash:header:X-User", CONFIG_BALANCE_HEADER}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[300];
        (void)snprintf(text, sizeof text,
                       LISTENER "upstreams: {web: {servers: [\"http://1.2.3.4\"], balance: "
                                "\"%s\"}}\n" PROXY,
                       rows[i].word);
        const struct config *config = world_open(text);
        cr_assert_eq(config->upstreams[0].balance, rows[i].balance, "%s", rows[i].word);
        config_close(&config);
    }
}

Test(config_upstreams, servers_that_are_none) {
    static const struct refusal rows[] = {
        {WEB("connect: 1s"), "f.yaml:2:18: `upstreams.NAME.servers` is missing; add it\n"},
        {WEB("servers: []"), "f.yaml:2:28: `servers` is empty; add one such as "
                             "\"http://10.0.0.5:8000\"\n"},
        {WEB("servers: [a]"), "f.yaml:2:29: `servers[]` is `a`, which is no server; write "
                              "http://host:port, https://host:port or unix:/path\n"},
        {WEB("servers: [\"http://web:0\"]"),
         "f.yaml:2:29: `servers[]` is `http://web:0`, which has no port of 1 to 65535; write it "
         "such as http://orders.example:8000\n"},
        {WEB("servers: [\"http://web:65536\"]"),
         "f.yaml:2:29: `servers[]` is `http://web:65536`, which has no port of 1 to 65535; write "
         "it such as http://orders.example:8000\n"},
        {WEB("servers: [\"http://web:80:80\"]"),
         "f.yaml:2:29: `servers[]` is `http://web:80:80`, which has no port of 1 to 65535; write "
         "it such as http://orders.example:8000\n"},
        {WEB("servers: [\"http://web\", \"http://web:80\"]"),
         "f.yaml:2:43: `servers[]` has `http://web:80` twice; remove one\n"},
        {WEB("servers: [\"http://web\"], resolve: 99ms"),
         "f.yaml:2:53: `upstreams.NAME.resolve` is `99ms`, which is too small; write 100ms to "
         "480h\n"},
        {WEB("servers: [\"http://1.2.3.4/\"]"),
         "f.yaml:2:29: `servers[]` is `http://1.2.3.4/`, which holds a path; write "
         "http://host:port, since requests keep their own path\n"},
        {WEB("servers: [\"http://1.2.3.4:0\"]"),
         "f.yaml:2:29: `servers[]` is `http://1.2.3.4:0`, which has no address or name "
         "behind ://; write it such as http://10.0.0.5:8000 or "
         "http://orders.example:8000\n"},
        {WEB("servers: [\"http://1.2.3.4\", \"http://1.2.3.4:80\"]"),
         "f.yaml:2:47: `servers[]` has `http://1.2.3.4:80` twice; remove one\n"},
        {WEB("servers: [\"unix:\"]"), "f.yaml:2:29: `servers[]` is `unix:`, which names no socket "
                                      "path of 1 to 107 bytes; write unix:/path\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

#define SERVER "servers: [\"http://1.2.3.4\"], "

Test(config_upstreams, values_that_are_wrong) {
    static const struct refusal rows[] = {
        {WEB(SERVER "balance: random"),
         "f.yaml:2:57: `balance` is `random`, which is none of its words; write least_pending, "
         "hash:address, hash:path, hash:cookie:NAME or hash:header:NAME\n"},
        {WEB(SERVER "balance: \"hash:cookie:\""),
         "f.yaml:2:57: `balance` is `hash:cookie:`, which is none of its words; write "
         "least_pending, hash:address, hash:path, hash:cookie:NAME or hash:header:NAME\n"},
        {LISTENER "upstreams: {\"a b\": {" SERVER
                  "}, web: {servers: [\"http://1.2.3.4\"]}}\n" PROXY,
         "f.yaml:2:13: the upstream's name is `a b`, which is no token of at most 64 bytes; write "
         "letters, digits and `-`\n"},
        {LISTENER "upstreams: {web: 5}\n" PROXY,
         "f.yaml:2:18: `upstreams.NAME` is a single value, not a map; write a map such as {key: "
         "value}\n"
         "f.yaml:3:38: there is no upstream `web`; add it to `upstreams`\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_upstreams, keys_without_meaning_for_proxy) {
    static const struct refusal rows[] = {
        {LISTENER "upstreams: {web: {servers: [\"http://1.2.3.4\"]}}\n"
                  "routes:\n"
                  "  - {path: /, proxy: {upstream: web}, upgrade: false, messages: text, "
                  "subprotocols: [a], keepalive: {ping: 1s}, compression: false}\n",
         "f.yaml:4:65: `messages` has no meaning for `proxy` with upgrade: false; remove it\n"
         "f.yaml:4:85: `subprotocols` has no meaning for `proxy` with upgrade: false; remove it\n"
         "f.yaml:4:101: `keepalive` has no meaning for `proxy` with upgrade: false; remove it\n"
         "f.yaml:4:126: `compression` has no meaning for `proxy`; remove it\n"},
        {LISTENER "upstreams: {web: {servers: [\"http://1.2.3.4\"]}}\n"
                  "routes:\n"
                  "  - {path: /a, tunnel: {upstream: web}, messages: text, origins: [], "
                  "subprotocols: [a], keepalive: {ping: 1s}, compression: false}\n"
                  "  - {path: /b, proxy: {upstream: web}, messages: text, origins: [], "
                  "subprotocols: [a], keepalive: {ping: 1s}, compression: false}\n"
                  "  - {path: /c, tunnel: {upstream: web}, upgrade: true}\n",
         "f.yaml:4:125: `compression` has no meaning for `tunnel`; remove it\n"
         "f.yaml:5:124: `compression` has no meaning for `proxy`; remove it\n"
         "f.yaml:6:50: `upgrade` has a meaning for `proxy` only; remove it\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}
