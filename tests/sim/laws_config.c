// What the gateway runs with in a world: at first, and again at each reload, when everything that
// may change under its connections does, and routes stand elsewhere. Clients go on as if nothing
// had happened: what they ask for is there before and after.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/process/process.h"
#include "tests/sim/laws_state.h"

enum { CLIENTS_MIN = 16, MANY = 100000, ROUTE_BYTES = 192, ROUTE_COUNT_MAX = 28 };

struct routes {
    char lines[ROUTE_COUNT_MAX][ROUTE_BYTES];
    uint32_t count;
};

static uint32_t draw(struct sim *sim, const uint32_t *values, uint32_t count) {
    return values[prng_below(&sim->client_prng, count)];
}
#define DRAW(sim, ...)                                                                             \
    draw(sim, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

// What a reload may change.
static void rules_draw(struct sim *sim, struct laws_rules *rules) {
    rules->handshake_ms = DRAW(sim, 1000, 3000, 10000);
    rules->pong_ms = DRAW(sim, 1000, 3000, 10000);
    rules->ping_ms = rules->pong_ms + DRAW(sim, 200, 2000, 15000);
    rules->stall_ms = DRAW(sim, 1000, 5000, 30000);
    rules->drain_ms = DRAW(sim, 100, 1000, 5000);
    rules->idle_ms = DRAW(sim, 1000, 4000);
    rules->age_ms = DRAW(sim, 2000, 8000);
    rules->message_bytes = DRAW(sim, 4096, 4096, 65536);
    rules->queue_bytes = DRAW(sim, 4096, 16384, 262144);
    rules->worker_queue_mib = DRAW(sim, 1, 1, 4, 64);
    if (rules->is_heavy) {
        rules->message_bytes = 65536;
        rules->queue_bytes = 262144;
        rules->worker_queue_mib = 1;
    }
    rules->connect_ms = DRAW(sim, 300, 1000, 2000);
    rules->response_ms = DRAW(sim, 500, 2000, 5000);
    rules->kept_ms = DRAW(sim, 1000, 5000, 20000);
    rules->lines = DRAW(sim, 1, 2, 8, 256);
    rules->failures = DRAW(sim, 1, 3);
    rules->health_ms = DRAW(sim, 0, 1000, 2000);
    rules->health_count = DRAW(sim, 1, 2);
    rules->auth_ms = DRAW(sim, 500, 2000);
    rules->cache_ms = DRAW(sim, 0, 1000, 30000);
    rules->has_rate = prng_below(&sim->client_prng, 4) == 0 && !sim->options.is_isolation;
    rules->has_address = prng_below(&sim->client_prng, 3) == 0 && !sim->options.is_isolation;
}

static void clients_draw(struct sim *sim, struct laws *laws) {
    laws->client_count = CLIENTS_MIN + prng_below(&sim->client_prng, CLIENTS_MAX - CLIENTS_MIN);
    bool is_tight = prng_below(&sim->client_prng, 4) == 0;
    laws->rules.connections = is_tight ? laws->client_count - 2 : 1000;
    laws->ordinary_count = laws->client_count;
    if (sim->options.is_isolation) { // no limit is in the way of those who only want to disturb
        laws->rules.connections = MANY;
        laws->client_count += SIM_CROWD;
    }
    laws->clients = calloc(laws->client_count, sizeof *laws->clients);
    check(laws->clients != NULL);
}

__attribute__((format(printf, 2, 3))) static void route_add(struct routes *routes,
                                                            const char *format, ...) {
    check(routes->count < ROUTE_COUNT_MAX);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(routes->lines[routes->count++], ROUTE_BYTES, format, arguments);
    va_end(arguments);
    check(length > 0 && length < ROUTE_BYTES);
}

static void routes_make(struct routes *routes, const struct laws_rules *rules) {
    static const char *const plain[] = {
        "path: /, page: demo",
        "path: /echo, echo: {}",
        "path: /few, echo: {}, limits: {fragments: 4}, compression: {takeover: server}",
        "path: /text, echo: {}, messages: text",
        "path: /binary, echo: {}, messages: binary",
        "path: /protocols, echo: {}, subprotocols: [chat.v2, mqtt]",
        "path: /two, echo: {}, limits: {connections: 2}",
        "path: \"/chat/{room}\", channels: {subscribe: [\"chat.{room}\"], publish: "
        "\"chat.{room}\"}",
        "path: \"/listen/{room}\", channels: {subscribe: [\"chat.{room}\"]}, compression: "
        "{takeover: server}",
        "path: \"/textchat/{room}\", messages: text, channels: {subscribe: [\"text.{room}\"], "
        "publish: \"text.{room}\"}",
        "path: \"/quiet/{room}\", channels: {subscribe: [\"quiet.{room}\"], publish: "
        "\"quiet.{room}\", echo_self: false}",
        "path: \"/guarded/{room}\", origins: [\"https://app.test\"], channels: {subscribe: "
        "[\"guarded.{room}\"], publish: \"guarded.{room}\"}",
        "path: \"/rooms/{user}\", channels: {subscribe: [\"user.{user}\"], publish: "
        "\"user.{user}\", allow: [\"room.*\"]}",
        "path: \"/members/*\", auth: who, proxy: {upstream: web}",
        "path: \"/seats/*\", auth: who, tunnel: {upstream: feed}, subprotocols: [chat.v2]",
        "path: /me, auth: who, channels: {subscribe: [\"user.{claim.name}\"], publish: "
        "\"user.{claim.name}\"}"};
    static const char *const policies[][2] = {
        {"oldest", "drop_oldest"}, {"newest", "drop_newest"}, {"conflate", "conflate"}};
    routes->count = 0;
    for (uint32_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        route_add(routes, "%s", plain[i]);
    }
    for (uint32_t i = 0; i < 3; i++) {
        route_add(routes,
                  "path: \"/%s/{room}\", backpressure: {queue: 2KiB, policy: %s}, channels: "
                  "{subscribe: [\"%s.{room}\"], publish: \"%s.{room}\"}",
                  policies[i][0], policies[i][1], policies[i][0], policies[i][0]);
    }
    route_add(routes, "path: \"/web/*\", proxy: {upstream: web}");
    route_add(routes, "path: \"/tunnel/*\", tunnel: {upstream: feed}, subprotocols: [chat.v2]");
    route_add(routes, "path: /idle, echo: {}, limits: {idle: %ums}", rules->idle_ms);
    route_add(routes, "path: /age, echo: {}, limits: {age: %ums}", rules->age_ms);
}

// Other places, and one or two that nobody asks for.
static void routes_shuffle(struct sim *sim, struct routes *routes) {
    uint32_t further = prng_below(&sim->client_prng, 3);
    for (uint32_t i = 0; i < further; i++) {
        route_add(routes, "path: /later/%u, echo: {}", i);
    }
    for (uint32_t i = routes->count - 1; i > 0; i--) {
        uint32_t other = prng_below(&sim->client_prng, i + 1);
        char line[ROUTE_BYTES];
        memcpy(line, routes->lines[i], ROUTE_BYTES);
        memcpy(routes->lines[i], routes->lines[other], ROUTE_BYTES);
        memcpy(routes->lines[other], line, ROUTE_BYTES);
    }
}

// Servers at addresses and behind names (seam_resolve.c) for `web`, and one where nobody listens;
// for `feed` those of a name alone.
static char *upstreams_print(char *at, const char *end, const struct laws_rules *rules) {
    static const char *const names[] = {"web", "feed"};
    char health[96] = "";
    if (rules->health_ms > 0) {
        (void)snprintf(health, sizeof health,
                       ", health: {path: /health, interval: %ums, healthy: %u, unhealthy: %u}",
                       rules->health_ms, rules->health_count, rules->health_count); // fits
    }
    at += snprintf(at, (size_t)(end - at), "upstreams:\n");
    for (uint32_t i = 0; i < 2; i++) {
        at += snprintf(at, (size_t)(end - at),
                       "  %s: {servers: [%s], connect: %ums, response: %ums, idle: %ums, "
                       "retry: 300ms, failures: %u, connections: %u, resolve: 1s%s}\n",
                       names[i],
                       i == 0 ? "\"http://10.9.0.1:8000\", \"http://web.test:8000\", "
                                "\"http://10.9.0.250:8000\""
                              : "\"http://feed.test:8000\"",
                       rules->connect_ms, rules->response_ms, rules->kept_ms, rules->failures,
                       rules->lines, health);
    }
    return at;
}

// Claims and what is passed on are both the one name.
static char *auth_print(char *at, const char *end, const struct laws_rules *rules) {
    char cache[16] = "off";
    if (rules->cache_ms > 0) {
        (void)snprintf(cache, sizeof cache, "%ums", rules->cache_ms); // fits
    }
    return at + snprintf(at, (size_t)(end - at),
                         "auth:\n  who: {forward: {url: \"http://10.9.0.4:8000/check\", cache: %s, "
                         "timeout: %ums, headers: [X-Guest], claims: {name: X-User}, pass: "
                         "[X-User]}}\n",
                         cache, rules->auth_ms);
}

static void config_print(const struct sim *sim, struct laws *laws, const struct routes *routes) {
    const struct laws_rules *rules = &laws->rules;
    char *at = laws->config;
    char *end = laws->config + sizeof laws->config;
    at += snprintf(at, (size_t)(end - at), "listeners:\n");
    for (uint32_t i = 0; i < sim->listener_count; i++) {
        char text[ADDRESS_TEXT_BYTES];
        (void)address_format(&sim->listeners[i], true, text); // its length is not needed
        at += snprintf(at, (size_t)(end - at), "  - address: %s\n", text);
        if (sim->tls != NULL) {
            at += snprintf(at, (size_t)(end - at),
                           "    tls: {certificate: " SIM_PEM ", key: " SIM_PEM "%s}\n", sim->tls);
        }
    }
    char admin[ADDRESS_TEXT_BYTES];
    (void)address_format(&sim->admin, true, admin); // as above
    at += snprintf(
        at, (size_t)(end - at),
        "admin: {address: \"%s\"}\nworkers: %u\nlog: {level: debug}\n"
        "limits: {connections: %u, per_address: %s, message: %uB, header: 8KiB, handshake: %ums, "
        "handshakes_per_second: %u, channels: 4}\nkeepalive: {ping: %ums, pong: %ums}\n"
        "backpressure: {queue: %uB, worker_queue: %uMiB, stall: %ums}\ndrain: %ums\n"
        "engine: {slots: %u, buffers: 16, completions: 4096}\n",
        admin, sim->worker_count, rules->connections, rules->has_address ? "3" : "off",
        rules->message_bytes, rules->handshake_ms, rules->has_rate ? 20 : 20000, rules->ping_ms,
        rules->pong_ms, rules->queue_bytes, rules->worker_queue_mib, rules->stall_ms,
        rules->drain_ms, sim->options.is_isolation ? 1024 : 128);
    at = upstreams_print(at, end, rules);
    at = auth_print(at, end, rules);
    at += snprintf(at, (size_t)(end - at), "routes:\n");
    for (uint32_t i = 0; i < routes->count; i++) {
        at += snprintf(at, (size_t)(end - at), "  - {%s}\n", routes->lines[i]);
    }
    check(at < end);
}

const char *laws_config(struct sim *sim) {
    struct laws *laws = calloc(1, sizeof *laws);
    check(laws != NULL);
    laws->sim = sim;
    sim->laws = laws;
    laws->is_undisturbed = true;
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        laws->is_undisturbed = laws->is_undisturbed && !sim_fault_is_on(sim, (enum sim_fault_id)i);
    }
    laws->reads = laws->reloads = 1;
    laws->rules.is_heavy = prng_below(&sim->client_prng, 8) == 0;
    rules_draw(sim, &laws->rules);
    clients_draw(sim, laws);
    laws->least = laws->most = laws->rules;
    struct routes routes;
    routes_make(&routes, &laws->rules);
    config_print(sim, laws, &routes);
    return laws->config;
}

static uint32_t lesser(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

void laws_asks_bound(struct laws *laws) {
    struct asks *asks = &laws->services.asks;
    asks->connect_ms = lesser(asks->connect_ms, laws->rules.connect_ms);
    asks->response_ms = lesser(asks->response_ms, laws->rules.response_ms);
    asks->idle_ms = lesser(asks->idle_ms, laws->rules.kept_ms);
    asks->is_tight = laws->rules.connections < laws->client_count;
}

const char *laws_config_again(struct sim *sim) {
    static const char *const mistakes[] = {"  - {path: /mistake, nothing: {}}\n",
                                           "  - {path: /echo\n", "listeners: []\n"};
    struct laws *laws = sim->laws;
    struct laws_rules rules = laws->rules;
    bool is_broken = prng_below(&sim->client_prng, 4) == 0;
    laws->reads++;
    rules_draw(sim, &laws->rules);
    // Never less: a client may have sent what was allowed when it began.
    laws->rules.message_bytes = larger(laws->rules.message_bytes, rules.message_bytes);
    struct routes routes;
    routes_make(&routes, &laws->rules);
    routes_shuffle(sim, &routes);
    config_print(sim, laws, &routes);
    if (is_broken) {
        uint32_t mistake = prng_below(&sim->client_prng, sizeof mistakes / sizeof mistakes[0]);
        size_t length = strlen(laws->config);
        check(length + strlen(mistakes[mistake]) < sizeof laws->config);
        strcpy(laws->config + length, mistakes[mistake]);
        laws->rules = rules;
        cover_add(sim, COVER_LAWS + COVER_LAW_RELOAD_REFUSED);
        return laws->config;
    }
    laws->reloads++;
    laws->least.handshake_ms = lesser(laws->least.handshake_ms, laws->rules.handshake_ms);
    laws->most.handshake_ms = larger(laws->most.handshake_ms, laws->rules.handshake_ms);
    laws->least.stall_ms = lesser(laws->least.stall_ms, laws->rules.stall_ms);
    laws->most.stall_ms = larger(laws->most.stall_ms, laws->rules.stall_ms);
    laws_asks_bound(laws);
    return laws->config;
}
