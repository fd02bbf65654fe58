// What a configuration that is right becomes: defaults, every key, and the bounds that are allowed.
#include "tests/unit/gateway/config/harness.h"

#include "gateway/seam/log.h"

static bool text_is(struct span text, const char *expected) {
    return span_is(text, expected);
}

Test(config, says_the_defaults) {
    const struct config *config = world_open(BASE);
    cr_assert(config->workers == 0);
    cr_assert(config->drain_ms == 30000);
    cr_assert(!config->admin.is_present);
    cr_assert(config->trusted_count == 0);
    cr_assert(config->admission.connections == 1000000);
    cr_assert(config->admission.per_address == 0);
    cr_assert(config->admission.header_bytes == 8192);
    cr_assert(config->admission.handshake_ms == 10000);
    cr_assert(config->admission.handshakes_per_second == 20000);
    cr_assert(config->kernel_bytes == 128 << 10);
    cr_assert(config->worker_queue_bytes == 512 << 20);
    cr_assert(config->engine.slots == 0 && config->engine.submissions == 1024);
    cr_assert(config->engine.completions == 4096 && config->engine.buffers == 256);
    cr_assert(!config->engine.zero_copy);
    cr_assert(config->log.level == LOG_LEVEL_INFO && !config->log.is_json);
    cr_assert(config->listener_count == 1 && config->route_count == 1);
    const struct config_route *route = &config->routes[0];
    cr_assert(route->limits.message_bytes == 1 << 20 && route->limits.channels == 64);
    cr_assert(route->limits.fragments == 65536);
    cr_assert(route->limits.idle_ms == 0 && route->limits.age_ms == 0);
    cr_assert(route->limits.connections == 0 && route->limits.per_address == 0);
    cr_assert(route->keepalive.ping_ms == 25000 && route->keepalive.pong_ms == 10000);
    cr_assert(route->backpressure.queue_bytes == 256 << 10);
    cr_assert(route->backpressure.stall_ms == 30000);
    cr_assert(route->backpressure.policy == CONFIG_POLICY_CLOSE);
    cr_assert(route->host.length == 0 && route->messages == CONFIG_MESSAGES_ANY);
    cr_assert(!route->has_origins && !route->origins_required);
    config_close(&config);
    cr_assert(config == NULL);
    config_close(&config); // a second time is allowed
}

Test(config, takes_every_global_key) {
    const struct config *config =
        world_open(BASE "workers: 3\n"
                        "drain: 2m\n"
                        "limits: {connections: 5, per_address: 6, message: 7B, header: 2KiB}\n"
                        "keepalive: {ping: 20s, pong: 1500ms}\n"
                        "backpressure: {queue: 2KiB, kernel: 3KiB, worker_queue: 1GiB, stall: 1s, "
                        "policy: conflate}\n"
                        "compression: {level: 9, threshold: 1KiB, takeover: off}\n"
                        "log: {level: debug, format: json}\n"
                        "admin: {address: 0.0.0.0:9090, token_file: good.token}\n"
                        "engine: {slots: 4096, submissions: 64, completions: 128, buffers: 32, "
                        "zero_copy: true}\n"
                        "trusted: [10.0.0.0/8, 'fd00::/8', 127.0.0.1]\n");
    cr_assert(config->workers == 3 && config->drain_ms == 120000);
    cr_assert(config->admission.connections == 5 && config->admission.per_address == 6);
    cr_assert(config->admission.header_bytes == 2048);
    cr_assert(config->compression.level == 9 && config->compression.threshold_bytes == 1024);
    cr_assert(config->kernel_bytes == 3072 && config->worker_queue_bytes == 1 << 30);
    cr_assert(config->log.level == LOG_LEVEL_DEBUG && config->log.is_json);
    cr_assert(text_is(config->admin.token, "secret-token"));
    cr_assert(text_is(config->admin.token_path, "good.token"));
    cr_assert(config->admin.is_present && config->admin.address.address.port == 9090);
    cr_assert(config->engine.slots == 4096 && config->engine.submissions == 64);
    cr_assert(config->engine.completions == 128 && config->engine.buffers == 32);
    cr_assert(config->engine.zero_copy);
    cr_assert(config->trusted_count == 3 && config->trusted[1].prefix_bits == 8);
    const struct config_route *route = &config->routes[0];
    cr_assert(route->limits.message_bytes == 7 && route->limits.per_address == 0);
    cr_assert(route->keepalive.ping_ms == 20000 && route->keepalive.pong_ms == 1500);
    cr_assert(route->backpressure.queue_bytes == 2048 && route->backpressure.stall_ms == 1000);
    cr_assert(route->backpressure.policy == CONFIG_POLICY_CONFLATE);
    config_close(&config);
}

Test(config, reads_the_other_global_limits) {
    const struct config *config =
        world_open(BASE "limits: {handshake: 3s, handshakes_per_second: 4, channels: 5, fragments: "
                        "6, idle: 1h, age: 2h, per_address: off}\n"
                        "workers: auto\nengine: {slots: auto}\n");
    cr_assert(config->admission.handshake_ms == 3000);
    cr_assert(config->admission.handshakes_per_second == 4);
    cr_assert(config->admission.per_address == 0);
    const struct config_limits *limits = &config->routes[0].limits;
    cr_assert(limits->channels == 5 && limits->fragments == 6);
    cr_assert(limits->idle_ms == 3600000 && limits->age_ms == 7200000);
    config_close(&config);
}

Test(config, takes_every_route_key) {
    const struct config *config =
        world_open(LISTENER "keepalive: {ping: 30s}\n"
                            "routes:\n"
                            "  - path: \"/c/{room}/{user}\"\n"
                            "    host: App.Example.com\n"
                            "    channels: {subscribe: ['a.{user}.{room}', b], publish: '{room}', "
                            "allow: ['x.{user}.*', "
                            "'*'], echo_self: false}\n"
                            "    messages: text\n"
                            "    origins: ['https://app.example.com', null, 'http://[::1]:8000']\n"
                            "    origins_required: true\n"
                            "    subprotocols: [two, one]\n"
                            "    limits: {connections: 1, per_address: 2, message: 3B, fragments: "
                            "4, channels: 5, idle: "
                            "6s, age: 7s}\n"
                            "    keepalive: {pong: 8s}\n"
                            "    backpressure: {queue: 9KiB, stall: 10s, policy: drop_newest}\n"
                            "    compression: false\n");
    const struct config_route *route = &config->routes[0];
    cr_assert(route->verb == CONFIG_VERB_CHANNELS && route->place.line == 4);
    cr_assert(text_is(route->host, "app.example.com"));
    cr_assert(route->path.segment_count == 3 && route->path.capture_count == 2);
    cr_assert(text_is(route->path.segments[0].text, "c"));
    cr_assert(text_is(route->path.segments[2].text, "user"));
    const struct config_channels *channels = &route->channels;
    cr_assert(channels->subscribe.count == 2 && channels->allow.count == 2);
    const struct config_template *template = &channels->subscribe.items[0];
    cr_assert(template->part_count == 4 && !template->has_star);
    cr_assert(template->parts[0].kind == CONFIG_PART_LITERAL);
    cr_assert(text_is(template->parts[0].text, "a."));
    cr_assert(template->parts[1].kind == CONFIG_PART_CAPTURE && template->parts[1].capture == 1);
    cr_assert(template->parts[3].kind == CONFIG_PART_CAPTURE && template->parts[3].capture == 0);
    cr_assert(channels->publish.part_count == 1 && channels->publish.parts[0].capture == 0);
    cr_assert(channels->allow.items[0].has_star && channels->allow.items[0].part_count == 3);
    cr_assert(channels->allow.items[1].has_star && channels->allow.items[1].part_count == 0);
    cr_assert(!channels->echo_self && route->messages == CONFIG_MESSAGES_TEXT);
    cr_assert(route->has_origins && route->origins_required && route->origins.count == 3);
    cr_assert(route->origins.items[0].port == 443 && route->origins.items[1].is_null);
    cr_assert(text_is(route->origins.items[2].host, "[::1]"));
    cr_assert(route->origins.items[2].port == 8000);
    cr_assert(route->subprotocols.count == 2);
    cr_assert(text_is(route->subprotocols.items[0], "two"));
    cr_assert(route->limits.connections == 1 && route->limits.per_address == 2);
    cr_assert(route->limits.message_bytes == 3 && route->limits.fragments == 4);
    cr_assert(route->limits.channels == 5 && route->limits.idle_ms == 6000);
    cr_assert(route->limits.age_ms == 7000);
    cr_assert(route->keepalive.ping_ms == 30000 && route->keepalive.pong_ms == 8000);
    cr_assert(route->backpressure.queue_bytes == 9216 && route->backpressure.stall_ms == 10000);
    cr_assert(route->backpressure.policy == CONFIG_POLICY_DROP_NEWEST);
    config_close(&config);
}

Test(config, a_pong_that_is_not_written_follows_its_ping) {
    const struct config *config =
        world_open(LISTENER "keepalive: {ping: 8s}\n"
                            "routes:\n"
                            "  - {path: /a, echo: {}}\n"
                            "  - {path: /b, echo: {}, keepalive: {ping: 3s}}\n"
                            "  - {path: /c, echo: {}, keepalive: {ping: off}}\n"
                            "  - {path: /d, echo: {}, keepalive: {ping: 1m}}\n");
    static const uint64_t pongs[] = {4000, 1500, 4000, 4000};
    for (uint32_t i = 0; i < 4; i++) {
        expect(config->routes[i].keepalive.pong_ms == pongs[i], "route %u", i);
    }
    cr_assert(config->routes[2].keepalive.ping_ms == 0);
    config_close(&config);
}

Test(config, a_ping_of_just_the_default_pong) {
    const struct config *config = world_open(BASE "keepalive: {ping: 10s}\n");
    cr_assert(config->keepalive.pong_ms == 5000);
    config_close(&config);
}

Test(config, routes_that_only_look_unreachable) {
    const struct config *config = world_open(LISTENER "routes:\n"
                                                      "  - {path: '/{x}', echo: {}}\n"
                                                      "  - {path: /, echo: {}}\n"
                                                      "  - {path: '/{x}/', echo: {}}\n"
                                                      "  - {path: '/{x}/y', echo: {}}\n"
                                                      "  - {path: '/a/*', echo: {}}\n"
                                                      "  - {path: /a, page: demo}\n"
                                                      "  - {path: '/*', echo: {}}\n");
    cr_assert(config->route_count == 7);
    config_close(&config);
}

Test(config, reads_addresses) {
    const struct config *config =
        world_open("listeners: [{address: 10.1.2.3:65535}, {address: '[2001:db8::1]:1'}, {address: "
                   "unix:/run/a.sock}, {address: unix:b}]\n" ROUTE);
    cr_assert(config->listener_count == 4);
    cr_assert(address_is_v4(&config->listeners[0].address.address));
    cr_assert(config->listeners[0].address.address.port == 65535);
    cr_assert(config->listeners[1].address.address.ip[0] == 0x20);
    cr_assert(config->listeners[1].address.address.port == 1);
    cr_assert(config->listeners[2].address.address.kind == ADDRESS_UNIX);
    cr_assert(text_is(config->listeners[2].address.path, "/run/a.sock"));
    cr_assert(text_is(config->listeners[3].address.path, "b"));
    cr_assert(config->listeners[1].place.line == 1 && config->listeners[1].place.column == 50);
    config_close(&config);
}

Test(config, literal_segments_are_kept_as_requests_compare) {
    const struct config *config =
        world_open(LISTENER "routes:\n"
                            "  - {path: '/%65cho/caf%c3%a9/%7e', echo: {}}\n"
                            "  - {path: '/', page: demo}\n"
                            "  - {path: '/a/', page: demo}\n"
                            "  - {path: '/*', page: demo}\n");
    const struct config_path *path = &config->routes[0].path;
    cr_assert(text_is(path->segments[0].text, "echo"));
    cr_assert(text_is(path->segments[1].text, "caf%C3%A9"));
    cr_assert(text_is(path->segments[2].text, "~"));
    cr_assert(config->routes[1].path.segment_count == 1);
    cr_assert(config->routes[1].path.segments[0].text.length == 0);
    cr_assert(config->routes[2].path.segment_count == 2);
    cr_assert(config->routes[3].path.segment_count == 0 && config->routes[3].path.has_rest);
    config_close(&config);
}

Test(config, allows_each_bound_itself) {
    static const char *const texts[] = {
        BASE "workers: 1\n",
        BASE "workers: 64\n",
        BASE "drain: 0s\n",
        BASE "drain: 480h\n",
        BASE
        "limits: {message: 1B, header: 1KiB, handshake: 10ms, idle: 10ms, age: 10ms, channels: "
        "1, fragments: 1, connections: 1, per_address: 1, handshakes_per_second: 1}\n",
        BASE "limits: {message: 64MiB, header: 64KiB, handshake: 480h, idle: 480h, age: 480h, "
             "channels: 4096, fragments: 65536, connections: 1073741824, per_address: 1073741824, "
             "handshakes_per_second: 10000000}\n",
        BASE "engine: {slots: 128, submissions: 16, completions: 16, buffers: 16}\n",
        BASE "engine: {slots: 65536, submissions: 32768, completions: 65536, buffers: 32768}\n",
        BASE "backpressure: {queue: 1KiB, kernel: 1KiB, worker_queue: 1MiB, stall: 10ms}\n",
        BASE "backpressure: {queue: 1GiB, kernel: 1GiB, worker_queue: 256GiB, stall: 480h}\n",
        BASE "admin: {address: 127.0.0.1:9090, token_file: 256.token}\n",
        BASE "admin: {address: '[::1]:9090'}\nlog: {}\nlimits: {}\ntrusted: []\n",
        LISTENER "routes: [{path: '/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}', echo: {}, origins: []}]\n",
        LISTENER "routes: [{path: "
                 "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a, page: demo}]\n",
        LISTENER "routes: [{path: '/{12345678901234567890123456789012}', echo: {}}]\n",
    };
    for (uint32_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const struct config *config = world_open(texts[i]);
        config_close(&config);
    }
}

Test(config, expands_the_environment_after_parsing) {
    const struct config *config = world_open(
        LISTENER
        "drain: ${DRAIN}\n"
        "routes:\n"
        "  - {path: \"/a/${DRAIN}\", echo: {}, subprotocols: [\"a${EMPTY}b\", $$, a$b]}\n");
    cr_assert(config->drain_ms == 5000);
    cr_assert(text_is(config->routes[0].path.text, "/a/5s"));
    cr_assert(text_is(config->routes[0].subprotocols.items[0], "ab"));
    cr_assert(text_is(config->routes[0].subprotocols.items[1], "$$"));
    cr_assert(text_is(config->routes[0].subprotocols.items[2], "a$b"));
    config_close(&config);
}

Test(config, the_demo_is_a_configuration) {
    struct config_errors *errors = errors_take();
    const struct config *config = world_open_span(config_demo_text(), errors);
    cr_assert(config != NULL, "%s", errors->lines[0]);
    cr_assert(config->listeners[0].address.address.port == 8080);
    cr_assert(address_is_loopback(&config->listeners[0].address.address));
    cr_assert(config->admin.address.address.port == 9090 && config->admin.token.length == 0);
    cr_assert(config->route_count == 3);
    cr_assert(config->routes[0].verb == CONFIG_VERB_PAGE);
    cr_assert(text_is(config->routes[0].page, "demo"));
    cr_assert(config->routes[1].verb == CONFIG_VERB_ECHO);
    cr_assert(config->routes[2].verb == CONFIG_VERB_CHANNELS);
    cr_assert(text_is(config->routes[2].channels.subscribe.items[0].text, "chat.{room}"));
    cr_assert(text_is(config->routes[2].channels.publish.text, "chat.{room}"));
    cr_assert(config->routes[2].channels.echo_self);
    config_close(&config);
    free(errors);
}

Test(config, keeps_nothing_of_its_source) {
    char *text = strdup(LISTENER "routes: [{path: /abc, echo: {}, subprotocols: [xyz]}]\n");
    const struct config *config = world_open(text);
    memset(text, '#', strlen(text));
    free(text);
    cr_assert(text_is(config->routes[0].path.text, "/abc"));
    cr_assert(text_is(config->routes[0].path.segments[0].text, "abc"));
    cr_assert(text_is(config->routes[0].subprotocols.items[0], "xyz"));
    config_close(&config);
}

Test(config, verbs_answer_their_kinds) {
    cr_assert(config_verb_kinds(CONFIG_VERB_ECHO) == CONFIG_KIND_UPGRADE);
    cr_assert(config_verb_kinds(CONFIG_VERB_PAGE) == (CONFIG_KIND_GET | CONFIG_KIND_HEAD));
    cr_assert(strcmp(config_verb_name(CONFIG_VERB_CHANNELS), "channels") == 0);
}
