// upstreams: services by name, their servers and how they are asked.
#include "gateway/config/sections.h"
#include "gateway/config/value.h"

#include <stddef.h>
#include <stdio.h>

enum {
    NAME_BYTES_MAX = 64, // it stands in metric labels
    HTTP_PORT = 80,
    BALANCE_NAME_BYTES_MAX = 64,
};

struct upstream_section {
    const struct config_node *servers, *balance;
    uint64_t connect_ms, response_ms, idle_ms, retry_ms;
    uint32_t connections, queue, failures;
};

#define AT(member) .offset = offsetof(struct upstream_section, member)
#define TIME(key, member)                                                                          \
    {                                                                                              \
        .name = (key), .type = SCHEMA_MS, AT(member), .minimum = CONFIG_TIME_MS_MIN,               \
        .maximum = TIME_MS_MAX                                                                     \
    }
static const struct schema_key upstream_keys[] = {
    {.name = "servers", .type = SCHEMA_LIST, AT(servers), .is_required = true},
    TIME("connect", connect_ms),
    TIME("response", response_ms),
    {.name = "idle",
     .type = SCHEMA_MS,
     AT(idle_ms),
     .minimum = CONFIG_TIME_MS_MIN,
     .maximum = TIME_MS_MAX,
     .word = "off"},
    TIME("retry", retry_ms),
    {.name = "connections",
     .type = SCHEMA_COUNT,
     AT(connections),
     .minimum = 1,
     .maximum = UPSTREAM_LINES_MAX},
    {.name = "queue", .type = SCHEMA_COUNT, AT(queue), .maximum = UPSTREAM_QUEUE_MAX},
    {.name = "failures", .type = SCHEMA_COUNT, AT(failures), .minimum = 1, .maximum = 1000},
    {.name = "balance", .type = SCHEMA_SCALAR, AT(balance)},
};
#undef TIME
#undef AT

static const struct schema upstream_schema = {
    .name = "upstream",
    .title = "in an upstream",
    .prefix = "upstreams.NAME.",
    .keys = upstream_keys,
    .key_count = sizeof(upstream_keys) / sizeof(upstream_keys[0]),
};

static bool begins_with(struct span text, const char *start) {
    struct span wanted = span_text(start);
    return text.length >= wanted.length && span_equal(span_first(text, wanted.length), wanted);
}

// `host:port`, the port may be missing. NULL, or what is wrong.
static const char *authority_read(struct config_reader *reader, struct span authority,
                                  struct config_server *server) {
    bool is_v6 = authority.length > 0 && authority.data[0] == '[';
    bool ends_v6 = authority.length > 0 && authority.data[authority.length - 1] == ']';
    bool has_port = is_v6 ? !ends_v6 : span_find(authority, ':') >= 0;
    struct span text = authority;
    if (!has_port) {
        char *whole = config_keep(reader, authority.length + 4u);
        if (whole == NULL) {
            return NULL; // said at the end
        }
        int length = snprintf(whole, authority.length + 4u, "%.*s:%u", (int)authority.length,
                              (const char *)authority.data, HTTP_PORT);
        text = span_make(whole, (uint32_t)length);
    }
    const char *problem = value_address(text, &server->address);
    if (problem != NULL || server->address.address.kind != ADDRESS_IP) {
        return "has no numeric address behind http://; write it such as http://10.0.0.5:8000, "
               "since names are not built yet in this version";
    }
    server->authority = authority;
    return NULL;
}

static const char *server_read(struct config_reader *reader, struct span text,
                               struct config_server *server) {
    if (begins_with(text, "unix:")) {
        const char *problem = value_address(text, &server->address);
        server->authority = span_text("localhost");
        return problem;
    }
    if (begins_with(text, "https://")) {
        return "asks for TLS, which is not built yet in this version; write http://host:port";
    }
    if (!begins_with(text, "http://")) {
        return "is no server; write http://host:port or unix:/path";
    }
    struct span authority = span_from(text, 7);
    if (span_find(authority, '/') >= 0) {
        return "holds a path; write http://host:port, since requests keep their own path";
    }
    return authority_read(reader, authority, server);
}

static void servers_read(struct config_reader *reader, const struct config_node *list,
                         struct config_upstream *upstream) {
    if (list == NULL || !schema_is_short(reader, "servers", list, UPSTREAM_SERVERS_MAX)) {
        return;
    }
    if (list->child_count == 0) {
        config_error(reader, list->place,
                     "`servers` is empty; add one such as \"http://10.0.0.5:8000\"");
        return;
    }
    struct config_server *servers =
        config_keep(reader, sizeof(struct config_server) * list->child_count);
    if (servers == NULL) {
        return;
    }
    uint32_t count = 0;
    for (const struct config_node *node = list->child; node != NULL; node = node->next) {
        if (!schema_is_kind(reader, "servers[]", node, CONFIG_NODE_SCALAR)) {
            continue;
        }
        const char *problem = server_read(reader, node->text, &servers[count]);
        if (problem != NULL) {
            config_error(reader, node->place, "`servers[]` is %s, which %s",
                         config_quote(node->text).text, problem);
            continue;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (value_address_is_equal(&servers[i].address, &servers[count].address)) {
                config_error(reader, node->place, "`servers[]` has %s twice; remove one",
                             config_quote(node->text).text);
            }
        }
        servers[count].place = node->place;
        count++;
    }
    upstream->servers = servers;
    upstream->server_count = count;
}

// least_pending, hash:address, hash:path, hash:cookie:NAME, hash:header:NAME.
static void balance_read(struct config_reader *reader, const struct config_node *node,
                         struct config_upstream *upstream) {
    static const struct {
        const char *text;
        enum config_balance balance;
        bool has_name;
    } words[] = {
        {"least_pending", CONFIG_BALANCE_LEAST_PENDING, false},
        {"hash:address", CONFIG_BALANCE_ADDRESS, false},
        {"hash:path", CONFIG_BALANCE_PATH, false},
        {"hash:cookie:", CONFIG_BALANCE_COOKIE, true},
        {"hash:header:", CONFIG_BALANCE_HEADER, true},
    };
    for (uint32_t i = 0; node != NULL && i < sizeof(words) / sizeof(words[0]); i++) {
        struct span word = span_text(words[i].text);
        bool is_word = words[i].has_name ? begins_with(node->text, words[i].text)
                                         : span_equal(node->text, word);
        struct span name = is_word ? span_from(node->text, word.length) : span_empty();
        bool is_named =
            name.length > 0 && name.length <= BALANCE_NAME_BYTES_MAX && config_is_token(name);
        if (is_word && is_named == words[i].has_name) {
            upstream->balance = (uint8_t)words[i].balance;
            upstream->balance_name = name;
            return;
        }
    }
    if (node != NULL) {
        config_error(reader, node->place,
                     "`balance` is %s, which is none of its words; write least_pending, "
                     "hash:address, hash:path, hash:cookie:NAME or hash:header:NAME",
                     config_quote(node->text).text);
    }
}

static void upstream_read(struct config_reader *reader, const struct config_node *key,
                          const struct config_node *map, struct config_upstream *upstream) {
    struct upstream_section section = {.connect_ms = 2000,
                                       .response_ms = 10000,
                                       .idle_ms = 60000,
                                       .retry_ms = 5000,
                                       .connections = 256,
                                       .queue = 1024,
                                       .failures = 5};
    schema_read(reader, &upstream_schema, map, &section);
    *upstream = (struct config_upstream){.name = key->text,
                                         .connect_ms = section.connect_ms,
                                         .response_ms = section.response_ms,
                                         .idle_ms = section.idle_ms,
                                         .retry_ms = section.retry_ms,
                                         .connections = section.connections,
                                         .queue = section.queue,
                                         .failures = section.failures};
    servers_read(reader, section.servers, upstream);
    balance_read(reader, section.balance, upstream);
}

void config_upstreams_read(struct config_reader *reader, const struct config_node *map,
                           struct config *config) {
    if (map == NULL) {
        return;
    }
    uint32_t count_max = map->child_count / 2; // keys and values
    if (count_max > UPSTREAMS_MAX) {
        config_error(reader, map->place, "`upstreams` has %u entries, more than %u; remove some",
                     count_max, UPSTREAMS_MAX);
        return;
    }
    struct config_upstream *upstreams =
        config_keep(reader, sizeof(struct config_upstream) * (count_max + 1u));
    if (upstreams == NULL) {
        return;
    }
    uint32_t count = 0;
    for (const struct config_node *key = map->child; key != NULL; key = key->next->next) {
        if (key->kind == CONFIG_NODE_BAD) {
            continue;
        }
        if (!config_is_token(key->text) || key->text.length > NAME_BYTES_MAX) {
            config_error(reader, key->place,
                         "the upstream's name is %s, which is no token of at most %u bytes; write "
                         "letters, digits and `-`",
                         config_quote(key->text).text, NAME_BYTES_MAX);
        } else if (schema_is_kind(reader, "upstreams.NAME", key->next, CONFIG_NODE_MAP)) {
            upstream_read(reader, key, key->next, &upstreams[count++]);
        }
    }
    config->upstreams = upstreams;
    config->upstream_count = count;
}

bool config_upstream_find(struct config_reader *reader, const struct config_node *node,
                          const struct config *config, uint16_t *upstream) {
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        if (span_equal(config->upstreams[i].name, node->text)) {
            *upstream = (uint16_t)i;
            return true;
        }
    }
    config_error(reader, node->place, "there is no upstream %s; add it to `upstreams`",
                 config_quote(node->text).text);
    return false;
}
