// routes: one verb each, their own limits on top of the global ones.
#include "core/base/check.h"
#include "gateway/config/path.h"
#include "gateway/config/sections.h"

#include <stddef.h>
#include <stdio.h>

struct route_section {
    const struct config_node *path, *host, *echo, *channels, *proxy, *tunnel;
    const struct config_node *origins, *subprotocols, *auth;
    const struct config_node *limits, *keepalive, *backpressure, *compression;
    uint8_t page; // index into page_names
    uint8_t messages;
    bool origins_required;
    bool upgrade;
};

struct channels_section {
    const struct config_node *subscribe, *publish, *allow;
    bool echo_self;
};

static const char *const page_names[] = {"demo", NULL};
static const char *const messages_names[] = {[CONFIG_MESSAGES_ANY] = "any",
                                             [CONFIG_MESSAGES_TEXT] = "text",
                                             [CONFIG_MESSAGES_BINARY] = "binary",
                                             NULL};

#define AT(member) .offset = offsetof(struct route_section, member)
static const struct schema_key route_keys[] = {
    {.name = "path", .type = SCHEMA_SCALAR, AT(path), .is_required = true},
    {.name = "host", .type = SCHEMA_SCALAR, AT(host)},
    {.name = "page", .type = SCHEMA_NAME, AT(page), .names = page_names},
    {.name = "echo", .type = SCHEMA_MAP, AT(echo)},
    {.name = "channels", .type = SCHEMA_MAP, AT(channels)},
    {.name = "proxy", .type = SCHEMA_MAP, AT(proxy)},
    {.name = "tunnel", .type = SCHEMA_MAP, AT(tunnel)},
    {.name = "messages", .type = SCHEMA_NAME, AT(messages), .names = messages_names},
    {.name = "auth", .type = SCHEMA_SCALAR, AT(auth)},
    {.name = "origins", .type = SCHEMA_LIST, AT(origins)},
    {.name = "origins_required", .type = SCHEMA_BOOL, AT(origins_required)},
    {.name = "subprotocols", .type = SCHEMA_LIST, AT(subprotocols)},
    {.name = "upgrade", .type = SCHEMA_BOOL, AT(upgrade)},
    {.name = "limits", .type = SCHEMA_MAP, AT(limits)},
    {.name = "keepalive", .type = SCHEMA_MAP, AT(keepalive)},
    {.name = "backpressure", .type = SCHEMA_MAP, AT(backpressure)},
    {.name = "compression", .type = SCHEMA_NODE, AT(compression)},
};
#undef AT

#define AT(member) .offset = offsetof(struct channels_section, member)
static const struct schema_key channels_keys[] = {
    {.name = "subscribe", .type = SCHEMA_LIST, AT(subscribe)},
    {.name = "publish", .type = SCHEMA_SCALAR, AT(publish)},
    {.name = "allow", .type = SCHEMA_LIST, AT(allow)},
    {.name = "echo_self", .type = SCHEMA_BOOL, AT(echo_self)},
};
#undef AT

static const struct schema channels_schema = {
    .name = "channels",
    .title = "in `channels`",
    .prefix = "channels.",
    .keys = channels_keys,
    .key_count = sizeof(channels_keys) / sizeof(channels_keys[0]),
};

static const struct schema route_schema = {
    .name = "route",
    .title = "in a route",
    .prefix = "",
    .keys = route_keys,
    .inner = {&config_schema_limits, &config_schema_keepalive, &config_schema_backpressure,
              &channels_schema, &config_schema_compression},
    .key_count = sizeof(route_keys) / sizeof(route_keys[0]),
};

// All verbs of the language, also those that are not built yet: those are refused elsewhere, but
// they count. The built ones come first, in the order of enum config_verb.
static const char *const verbs[] = {
    [CONFIG_VERB_PAGE] = "page",         [CONFIG_VERB_ECHO] = "echo",
    [CONFIG_VERB_CHANNELS] = "channels", [CONFIG_VERB_PROXY] = "proxy",
    [CONFIG_VERB_TUNNEL] = "tunnel",     "events"};
enum { VERB_COUNT = sizeof(verbs) / sizeof(verbs[0]) };

const char *config_verb_name(enum config_verb verb) {
    check(verb < CONFIG_VERB_COUNT);
    return verbs[verb];
}

uint8_t config_verb_kinds(enum config_verb verb) {
    static const uint8_t kinds[CONFIG_VERB_COUNT] = {
        [CONFIG_VERB_PAGE] = CONFIG_KIND_GET | CONFIG_KIND_HEAD,
        [CONFIG_VERB_ECHO] = CONFIG_KIND_UPGRADE,
        [CONFIG_VERB_CHANNELS] = CONFIG_KIND_UPGRADE | CONFIG_KIND_POST | CONFIG_KIND_OPTIONS,
        [CONFIG_VERB_PROXY] = CONFIG_KIND_GET | CONFIG_KIND_HEAD | CONFIG_KIND_POST |
                              CONFIG_KIND_OPTIONS | CONFIG_KIND_OTHER,
        [CONFIG_VERB_TUNNEL] = CONFIG_KIND_UPGRADE,
    };
    check(verb < CONFIG_VERB_COUNT);
    return kinds[verb];
}

uint8_t config_route_kinds(const struct config_route *route) {
    uint8_t kinds = config_verb_kinds((enum config_verb)route->verb);
    return route->tunnels_upgrades ? kinds | CONFIG_KIND_UPGRADE : kinds;
}

// One route on its way.
struct route_state {
    struct config_reader *reader;
    const struct config_node *map;
    const struct config_defaults *defaults;
    const struct config *config; // its upstreams and auths are read
    struct route_section section;
    struct config_route route;
    bool has_path; // route.path is what the file says
};

// The route's one verb; VERB_COUNT when there is none or more than one (an error was added).
static uint32_t verb_find(const struct route_state *state) {
    uint32_t found = VERB_COUNT;
    for (uint32_t verb = 0; verb < VERB_COUNT; verb++) {
        const struct config_node *node = config_node_find(state->map, verbs[verb]);
        if (node == NULL) {
            continue;
        }
        if (found != VERB_COUNT) {
            config_error(state->reader, state->map->place,
                         "a route has both `%s` and `%s`; write one verb per route", verbs[found],
                         verbs[verb]);
            return VERB_COUNT;
        }
        found = verb;
    }
    if (found == VERB_COUNT) {
        config_error(state->reader, state->map->place,
                     "a route does nothing; add one of page, echo, channels, proxy "
                     "and tunnel");
    }
    return found;
}

// Keys that have no meaning for the verb.
static void check_keys(const struct route_state *state, uint32_t verb) {
    enum { OF_PAGE = 1, OF_PROXY = 2, OF_UPGRADES = 4, OF_TUNNEL = 8 };
    static const struct {
        const char *key;
        uint8_t of; // beside echo and channels, for which each has one
    } rows[] = {{"messages", OF_UPGRADES | OF_TUNNEL},
                {"origins", OF_PROXY | OF_UPGRADES | OF_TUNNEL},
                {"subprotocols", OF_UPGRADES | OF_TUNNEL},
                {"origins_required", OF_PROXY | OF_UPGRADES | OF_TUNNEL},
                {"keepalive", OF_UPGRADES | OF_TUNNEL},
                {"backpressure", OF_PROXY | OF_UPGRADES | OF_TUNNEL},
                {"compression", 0}};
    uint8_t of_proxy = state->section.upgrade ? OF_UPGRADES : OF_PROXY;
    uint8_t of = verb == CONFIG_VERB_PAGE     ? OF_PAGE
                 : verb == CONFIG_VERB_PROXY  ? of_proxy
                 : verb == CONFIG_VERB_TUNNEL ? OF_TUNNEL
                                              : 0;
    for (uint32_t i = 0; of != 0 && i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct config_node *node = config_node_find(state->map, rows[i].key);
        if (node != NULL && (rows[i].of & of) == 0) {
            config_error(state->reader, node->place,
                         of == OF_PROXY && (rows[i].of & OF_UPGRADES) != 0
                             ? "`%s` has no meaning for `%s` with upgrade: false; remove it"
                             : "`%s` has no meaning for `%s`; remove it",
                         rows[i].key, verbs[verb]);
        }
    }
    const struct config_node *upgrade = config_node_find(state->map, "upgrade");
    if (upgrade != NULL && verb < CONFIG_VERB_COUNT && verb != CONFIG_VERB_PROXY) {
        config_error(state->reader, upgrade->place,
                     "`upgrade` has a meaning for `proxy` only; remove it");
    }
}

static void templates_read(struct route_state *state, const char *name,
                           const struct config_node *list,
                           const struct config_template_rules *rules,
                           struct config_templates *templates) {
    if (list == NULL || !schema_is_short(state->reader, name, list, ROUTE_TEMPLATES_MAX)) {
        return;
    }
    struct config_template *items =
        config_keep(state->reader, sizeof(struct config_template) * list->child_count);
    if (items == NULL) {
        return;
    }
    char entry[64];
    snprintf(entry, sizeof(entry), "%s[]", name);
    uint32_t count = 0;
    for (const struct config_node *node = list->child; node != NULL; node = node->next) {
        if (schema_is_kind(state->reader, entry, node, CONFIG_NODE_SCALAR) &&
            config_template_read(state->reader, entry, node, rules, &items[count])) {
            count++;
        }
    }
    *templates = (struct config_templates){.items = items, .count = count};
}

static void claims_keep(struct route_state *state, const struct config_claims *claims) {
    struct span *items = config_keep(state->reader, sizeof(struct span) * (claims->count + 1));
    if (items != NULL) {
        memcpy(items, claims->items, sizeof(struct span) * claims->count);
        state->route.claims = (struct config_spans){.items = items, .count = claims->count};
    }
}

static void channels_read(struct route_state *state) {
    struct channels_section section = {.echo_self = true};
    struct config_channels *channels = &state->route.channels;
    const struct config_node *map = state->section.channels;
    if (map == NULL) {
        return;
    }
    schema_read(state->reader, &channels_schema, map, &section);
    struct config_claims claims = {.count = 0};
    bool has_auth = state->section.auth != NULL;
    struct config_template_rules rules = {.path = state->has_path ? &state->route.path : NULL,
                                          .claims = has_auth ? &claims : NULL};
    templates_read(state, "channels.subscribe", section.subscribe, &rules, &channels->subscribe);
    if (section.publish != NULL) {
        config_template_read(state->reader, "channels.publish", section.publish, &rules,
                             &channels->publish);
    }
    rules.may_have_star = true;
    templates_read(state, "channels.allow", section.allow, &rules, &channels->allow);
    channels->echo_self = section.echo_self;
    claims_keep(state, &claims);
    bool is_empty = config_node_find(map, "subscribe") == NULL &&
                    config_node_find(map, "publish") == NULL &&
                    config_node_find(map, "allow") == NULL;
    if (is_empty) {
        config_error(state->reader, map->place,
                     "`channels` names no channel; add subscribe, publish or allow");
    }
}

// A message that a connection's own stream compressed must be sent: the next one refers to it.
static void check_takeover(const struct route_state *state) {
    const struct config_node *own = state->section.compression;
    if (state->route.compression.level != 0 &&
        state->route.compression.takeover == CONFIG_TAKEOVER_SERVER &&
        state->route.backpressure.policy != CONFIG_POLICY_CLOSE) {
        config_error(state->reader, own != NULL ? own->place : state->map->place,
                     "`compression.takeover` is `server` and `backpressure.policy` may drop "
                     "messages; write compression: {takeover: off}, or policy: close");
    }
}

// Of `proxy` and of `tunnel`.
struct service_section {
    const struct config_node *upstream;
};
static const struct schema_key service_keys[] = {
    {.name = "upstream",
     .type = SCHEMA_SCALAR,
     .offset = offsetof(struct service_section, upstream),
     .is_required = true},
};
static const struct schema proxy_schema = {.name = "proxy",
                                           .title = "in `proxy`",
                                           .prefix = "proxy.",
                                           .keys = service_keys,
                                           .key_count = 1};
static const struct schema tunnel_schema = {.name = "tunnel",
                                            .title = "in `tunnel`",
                                            .prefix = "tunnel.",
                                            .keys = service_keys,
                                            .key_count = 1};

static void service_read(struct route_state *state, const struct schema *schema,
                         const struct config_node *map) {
    if (map == NULL) {
        return;
    }
    struct service_section section = {.upstream = NULL};
    schema_read(state->reader, schema, map, &section);
    if (section.upstream != NULL) {
        (void)config_upstream_find(state->reader, section.upstream, state->config,
                                   &state->route.upstream); // an error keeps the whole file out
    }
}

static void limits_read(struct route_state *state) {
    struct config_reader *reader = state->reader;
    const struct route_section *section = &state->section;
    struct config_limits_section limits = state->defaults->limits;
    struct config_backpressure_section backpressure = state->defaults->backpressure;
    state->route.keepalive = state->defaults->keepalive;
    bool is_sound = schema_read(reader, &config_schema_limits_route, section->limits, &limits);
    is_sound &= config_keepalive_read(reader, section->keepalive, &state->route.keepalive);
    is_sound &= schema_read(reader, &config_schema_backpressure_route, section->backpressure,
                            &backpressure);
    state->route.compression = state->defaults->compression;
    config_compression_read(reader, section->compression, &state->route.compression);
    state->route.limits = limits.route;
    state->route.backpressure = backpressure.route;
    check_takeover(state);
    uint32_t channel_count = state->route.channels.subscribe.count;
    if (!is_sound || !state->defaults->is_sound) {
        return;
    }
    if (channel_count > limits.route.channels) {
        config_error(reader, state->section.channels->place,
                     "`channels.subscribe` has %u entries and `limits.channels` is %u; raise the "
                     "limit, or subscribe to fewer",
                     channel_count, limits.route.channels);
    }
    bool has_own =
        section->limits != NULL || section->keepalive != NULL || section->backpressure != NULL;
    if (has_own) {
        config_check_limits(reader, &(struct config_limits_set){
                                        .limits_map = section->limits,
                                        .keepalive_map = section->keepalive,
                                        .backpressure_map = section->backpressure,
                                        .limits = &state->route.limits,
                                        .keepalive = &state->route.keepalive,
                                        .backpressure = &state->route.backpressure,
                                        .worker_queue_bytes = backpressure.worker_queue_bytes,
                                    });
    }
}

// False: the route cannot be compared with others.
static bool route_read(struct route_state *state) {
    struct route_section *section = &state->section;
    struct config_route *route = &state->route;
    schema_read(state->reader, &route_schema, state->map, section);
    route->place = state->map->place;
    uint32_t verb = verb_find(state);
    check_keys(state, verb);
    state->has_path =
        section->path != NULL && config_path_read(state->reader, section->path, &route->path);
    bool has_host =
        section->host == NULL || config_host_read(state->reader, section->host, &route->host);
    if (section->echo != NULL && section->echo->child_count > 0) {
        config_error(state->reader, section->echo->place, "`echo` has no keys; write echo: {}");
    }
    channels_read(state);
    service_read(state, &proxy_schema, section->proxy);
    service_read(state, &tunnel_schema, section->tunnel);
    if (section->origins != NULL) {
        route->has_origins = true;
        config_origins_read(state->reader, section->origins, &route->origins);
    }
    if (section->subprotocols != NULL) {
        config_subprotocols_read(state->reader, section->subprotocols, &route->subprotocols);
    }
    limits_read(state);
    route->origins_required = section->origins_required;
    route->messages = section->messages;
    route->verb = (uint8_t)verb;
    route->tunnels_upgrades = verb == CONFIG_VERB_PROXY && section->upgrade;
    route->page = verb == CONFIG_VERB_PAGE ? span_text(page_names[section->page]) : span_empty();
    if (section->auth != NULL) {
        config_route_auth_read(state->reader, section->auth, state->config, route);
    }
    return state->has_path && has_host && verb < CONFIG_VERB_COUNT;
}

void config_routes_read(struct config_reader *reader, const struct config_node *list,
                        const struct config_defaults *defaults, struct config *config) {
    if (list == NULL || !schema_is_short(reader, "routes", list, ROUTES_MAX)) {
        return;
    }
    if (list->child_count == 0) {
        config_error(reader, list->place,
                     "`routes` is empty; add one such as - {path: /echo, echo: {}}");
    }
    struct config_route *routes =
        config_keep(reader, sizeof(struct config_route) * list->child_count);
    if (routes == NULL) {
        return;
    }
    uint32_t count = 0;
    for (const struct config_node *node = list->child; node != NULL; node = node->next) {
        struct route_state state = {
            .reader = reader, .map = node, .defaults = defaults, .config = config};
        state.section.upgrade = true;
        if (schema_is_kind(reader, "routes[]", node, CONFIG_NODE_MAP) && route_read(&state)) {
            routes[count++] = state.route;
        }
    }
    config->routes = routes;
    config->route_count = count;
}
