// What a reload changes: each part alone is seen, and nothing else.
#include "gateway/config/config_diff.h"

#include "tests/unit/gateway/config/harness.h"

static struct config_changes changes_between(const char *old_text, const char *new_text) {
    const struct config *old_config = world_open(old_text);
    const struct config *new_config = world_open(new_text);
    struct config_changes changes;
    config_diff(old_config, new_config, &changes);
    config_close(&old_config);
    config_close(&new_config);
    return changes;
}

struct row {
    const char *text;
    uint8_t part;
    bool needs_restart;
};

Test(config_diff, each_part_alone) {
    static const struct row rows[] = {
        {"listeners: [{address: 127.0.0.1:8081}]\n" ROUTE, CONFIG_CHANGE_LISTENERS, true},
        {"listeners: [{address: 127.0.0.1:8080}, {address: unix:a}]\n" ROUTE,
         CONFIG_CHANGE_LISTENERS, true},
        {BASE "admin: {address: 127.0.0.1:9090}\n", CONFIG_CHANGE_ADMIN, true},
        {BASE "workers: 2\n", CONFIG_CHANGE_WORKERS, true},
        {BASE "limits: {connections: 5}\n", CONFIG_CHANGE_CONNECTIONS, true},
        {BASE "limits: {per_address: 5}\n", CONFIG_CHANGE_ADMISSION, false},
        {BASE "limits: {header: 4KiB}\n", CONFIG_CHANGE_ADMISSION, false},
        {BASE "limits: {handshake: 4s}\n", CONFIG_CHANGE_ADMISSION, false},
        {BASE "limits: {handshakes_per_second: 4}\n", CONFIG_CHANGE_ADMISSION, false},
        {BASE "limits: {handshakes_per_address: 4}\n", CONFIG_CHANGE_ADMISSION, false},
        {BASE "limits: {messages_per_second: 4}\n", CONFIG_CHANGE_ROUTES, false},
        {BASE "limits: {bytes_per_second: 4MiB}\n", CONFIG_CHANGE_ROUTES, false},
        {"listeners: [{address: 127.0.0.1:8080, proxy_protocol: {trusted: [10.0.0.1]}}]\n" ROUTE,
         CONFIG_CHANGE_PROXY, false},
        {BASE "backpressure: {worker_queue: 1GiB}\n", CONFIG_CHANGE_WORKER_QUEUE, true},
        {BASE "backpressure: {kernel: 64KiB}\n", CONFIG_CHANGE_KERNEL, false},
        {BASE "engine: {slots: 4096}\n", CONFIG_CHANGE_ENGINE, true},
        {BASE "engine: {submissions: 512}\n", CONFIG_CHANGE_ENGINE, true},
        {BASE "engine: {completions: 8192}\n", CONFIG_CHANGE_ENGINE, true},
        {BASE "engine: {buffers: 512}\n", CONFIG_CHANGE_ENGINE, true},
        {BASE "engine: {zero_copy: true}\n", CONFIG_CHANGE_ENGINE, true},
        {BASE "trusted: [10.0.0.0/8]\n", CONFIG_CHANGE_TRUSTED, false},
        {BASE "drain: 1s\n", CONFIG_CHANGE_DRAIN, false},
        {BASE "log: {level: warn}\n", CONFIG_CHANGE_LOG_LEVEL, false},
        {BASE "log: {format: json}\n", CONFIG_CHANGE_LOG_FORMAT, true},
        {BASE "limits: {message: 2MiB}\n", CONFIG_CHANGE_ROUTES, false},
        {BASE "keepalive: {ping: 26s}\n", CONFIG_CHANGE_ROUTES, false},
        {BASE "backpressure: {policy: conflate}\n", CONFIG_CHANGE_ROUTES, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config_changes changes = changes_between(BASE, rows[i].text);
        expect(changes.count == 1, "%s: %u changes", rows[i].text, changes.count);
        expect(changes.items[0].part == rows[i].part, "%s", rows[i].text);
        expect(changes.items[0].needs_restart == rows[i].needs_restart, "%s", rows[i].text);
        size_t length = strlen(changes.items[0].sentence);
        expect(length > 10 && changes.items[0].sentence[length - 1] == '.', "%s", rows[i].text);
    }
}

#define USERS(map) "auth: {u: {jwt: {jwks_file: keys.json, " map "}}}\n"
Test(config_diff, who_may_come_in) {
    static const char former[] = BASE USERS("algorithms: [HS256]");
    static const char *const texts[] = {
        BASE,
        BASE "auth: {v: {jwt: {jwks_file: keys.json, algorithms: [HS256]}}}\n",
        BASE "auth: {u: {jwt: {jwks_file: key.pem, algorithms: [HS256]}}}\n",
        BASE USERS("algorithms: [HS256], audience: a"),
        BASE USERS("algorithms: [HS256], issuer: a"),
        BASE USERS("algorithms: [HS256], leeway: 1s"),
        BASE USERS("algorithms: [HS256], from: [\"cookie:a\"]"),
        BASE USERS("algorithms: [HS256], from: [subprotocol]"),
        BASE USERS("algorithms: [HS256], from: [header, \"query:a\"]"),
        BASE USERS("algorithms: [HS256], pass: {X-A: sub}"),
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config_changes changes = changes_between(former, texts[i]);
        expect(changes.count == 1 && changes.items[0].part == CONFIG_CHANGE_AUTH, "%s", texts[i]);
    }
    cr_assert_eq(changes_between(former, former).count, 0);
    static const char guarded[] =
        LISTENER USERS("algorithms: [HS256]") "routes: [{path: /e, echo: {}, auth: u}]\n";
    struct config_changes changes = changes_between(former, guarded);
    cr_assert(changes.count == 1 && changes.items[0].part == CONFIG_CHANGE_ROUTES);
}

Test(config_diff, nothing_changed) {
    cr_assert(changes_between(BASE, BASE).count == 0);
    // Other words for the same values, comments and places are no change.
    cr_assert(changes_between(BASE, "# x\n\n" BASE "drain: 30000ms\nlimits: {message: 1024KiB}\n")
                  .count == 0);
}

Test(config_diff, trusted_ranges) {
    static const char *const others[] = {"11.0.0.0/8", "10.0.0.0/9", "'fd00::/8'"};
    for (size_t i = 0; i < 3; i++) {
        char text[256];
        snprintf(text, sizeof(text), BASE "trusted: [%s]\n", others[i]);
        struct config_changes changes = changes_between(BASE "trusted: [10.0.0.0/8]\n", text);
        expect(changes.count == 1 && changes.items[0].part == CONFIG_CHANGE_TRUSTED, "%s", text);
    }
    cr_assert(
        changes_between(BASE "trusted: [10.0.0.0/8]\n", BASE "trusted: ['10.0.0.0/8']\n").count ==
        0);
}

Test(config_diff, another_admin_address) {
    struct config_changes changes = changes_between(BASE "admin: {address: 127.0.0.1:9090}\n",
                                                    BASE "admin: {address: 127.0.0.1:9091}\n");
    cr_assert(changes.count == 1 && changes.items[0].part == CONFIG_CHANGE_ADMIN);
}

Test(config_diff, the_last_of_several_routes) {
#define ROUTES(last) LISTENER "routes: [{path: /a, echo: {}}, {path: /b, echo: {}}, " last "]\n"
    cr_assert(
        changes_between(ROUTES("{path: /c, echo: {}}"), ROUTES("{path: /c, page: demo}")).count ==
        1);
    cr_assert(
        changes_between(ROUTES("{path: /c, echo: {}}"), ROUTES("{path: /c, echo: {}}")).count == 0);
    cr_assert(changes_between(ROUTES("{path: /c, echo: {}}"),
                              ROUTES("{path: /c, echo: {}}, {path: /d, echo: {}}"))
                  .count == 1);
}

Test(config_diff, the_token) {
    struct config_changes changes =
        changes_between(BASE "admin: {address: 127.0.0.1:9090, token_file: good.token}\n",
                        BASE "admin: {address: 127.0.0.1:9090, token_file: 256.token}\n");
    cr_assert(changes.count == 1 && changes.items[0].part == CONFIG_CHANGE_TOKEN);
    cr_assert(!changes.items[0].needs_restart);
}

Test(config_diff, each_property_of_a_route) {
#define CHANNELS(keys)                                                                             \
    LISTENER "routes: [{path: '/a/{b}', channels: {subscribe: [a], publish: b}, origins: "         \
             "['https://app.example.com'], subprotocols: [x]" keys "}]\n"
    static const char *const texts[] = {
        LISTENER "routes: [{path: '/b/{b}', channels: {subscribe: [a], publish: b}, origins: "
                 "['https://app.example.com'], subprotocols: [x]}]\n",
        LISTENER "routes: [{path: '/a/{b}', channels: {subscribe: [b], publish: b}, origins: "
                 "['https://app.example.com'], subprotocols: [x]}]\n",
        LISTENER "routes: [{path: '/a/{b}', channels: {subscribe: [a]}, origins: "
                 "['https://app.example.com'], subprotocols: [x]}]\n",
        LISTENER "routes: [{path: '/a/{b}', channels: {subscribe: [a], publish: b, allow: [c]}, "
                 "origins: ['https://app.example.com'], subprotocols: [x]}]\n",
        LISTENER "routes: [{path: '/a/{b}', channels: {subscribe: [a], publish: b, echo_self: "
                 "false}, origins: ['https://app.example.com'], subprotocols: [x]}]\n",
        LISTENER "routes: [{path: '/a/{b}', channels: {subscribe: [a], publish: b}, origins: "
                 "['http://app.example.com'], subprotocols: [x]}]\n",
        LISTENER "routes: [{path: '/a/{b}', channels: {subscribe: [a], publish: b}, "
                 "subprotocols: [x]}]\n",
        LISTENER "routes: [{path: '/a/{b}', channels: {subscribe: [a], publish: b}, origins: "
                 "['https://app.example.com'], subprotocols: [y]}]\n",
        LISTENER "routes: [{path: '/a/{b}', echo: {}, origins: ['https://app.example.com'], "
                 "subprotocols: [x]}]\n",
        CHANNELS(", host: app.example.com"),
        CHANNELS(", messages: text"),
        CHANNELS(", origins_required: true"),
        CHANNELS(", limits: {message: 1KiB}"),
        CHANNELS(", limits: {idle: 1s}"),
        CHANNELS(", limits: {age: 1s}"),
        CHANNELS(", limits: {connections: 1}"),
        CHANNELS(", limits: {per_address: 1}"),
        CHANNELS(", limits: {fragments: 1}"),
        CHANNELS(", limits: {channels: 1}"),
        CHANNELS(", keepalive: {ping: 20s}"),
        CHANNELS(", keepalive: {pong: 9s}"),
        CHANNELS(", backpressure: {queue: 1KiB}"),
        CHANNELS(", backpressure: {stall: 1s}"),
        CHANNELS(", backpressure: {policy: drop_oldest}"),
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config_changes changes = changes_between(CHANNELS(""), texts[i]);
        expect(changes.count == 1 && changes.items[0].part == CONFIG_CHANGE_ROUTES, "%s", texts[i]);
    }
    cr_assert(changes_between(CHANNELS(""), CHANNELS("")).count == 0);
}

#define TLS_LISTENER(more)                                                                         \
    "listeners: [{address: 127.0.0.1:8080, tls: {certificate: fullchain.pem, key: key.pem" more    \
    "}}]\n" ROUTE
Test(config_diff, tls) {
    struct config_changes changes = changes_between(BASE, TLS_LISTENER(""));
    cr_assert(changes.count == 1 && changes.items[0].part == CONFIG_CHANGE_TLS_PRESENCE);
    cr_assert(changes.items[0].needs_restart);
    changes = changes_between(TLS_LISTENER(""), TLS_LISTENER(", record_layer: library"));
    cr_assert(changes.count == 1 && changes.items[0].part == CONFIG_CHANGE_TLS_PRESENCE);
    changes = changes_between(TLS_LISTENER(""), TLS_LISTENER(", minimum_version: 1.3"));
    cr_assert(changes.count == 1 && changes.items[0].part == CONFIG_CHANGE_TLS);
    cr_assert(!changes.items[0].needs_restart);
    cr_assert(changes_between(TLS_LISTENER(""), TLS_LISTENER("")).count == 0);
}
