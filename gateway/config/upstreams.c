// upstreams: services by name, their servers and how they are asked.
#include "gateway/config/sections.h"
#include "gateway/config/value.h"

#include <stddef.h>

enum {
    NAME_BYTES_MAX = 64,  // it stands in metric labels
    RESOLVE_MS_MIN = 100, // oftener, the look-ups themselves are a load
    BALANCE_NAME_BYTES_MAX = 64,
};

struct upstream_section {
    const struct config_node *servers, *balance, *health;
    struct config_upstream_tls_section tls;
    uint64_t connect_ms, response_ms, idle_ms, retry_ms, resolve_ms;
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
    {.name = "resolve",
     .type = SCHEMA_MS,
     AT(resolve_ms),
     .minimum = RESOLVE_MS_MIN,
     .maximum = TIME_MS_MAX},
    {.name = "connections",
     .type = SCHEMA_COUNT,
     AT(connections),
     .minimum = 1,
     .maximum = UPSTREAM_LINES_MAX},
    {.name = "queue", .type = SCHEMA_COUNT, AT(queue), .maximum = UPSTREAM_QUEUE_MAX},
    {.name = "failures", .type = SCHEMA_COUNT, AT(failures), .minimum = 1, .maximum = 1000},
    {.name = "balance", .type = SCHEMA_SCALAR, AT(balance)},
    {.name = "health", .type = SCHEMA_MAP, AT(health)},
    {.name = "ca", .type = SCHEMA_SCALAR, AT(tls.ca)},
    {.name = "certificate", .type = SCHEMA_SCALAR, AT(tls.certificate)},
    {.name = "key", .type = SCHEMA_SCALAR, AT(tls.key)},
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
                          struct config *config, struct config_upstream *upstream) {
    struct upstream_section section = {.connect_ms = 2000,
                                       .response_ms = 10000,
                                       .idle_ms = 60000,
                                       .retry_ms = 5000,
                                       .resolve_ms = 30000,
                                       .connections = 256,
                                       .queue = 1024,
                                       .failures = 5};
    schema_read(reader, &upstream_schema, key->next, &section);
    *upstream = (struct config_upstream){.name = key->text,
                                         .connect_ms = section.connect_ms,
                                         .response_ms = section.response_ms,
                                         .idle_ms = section.idle_ms,
                                         .retry_ms = section.retry_ms,
                                         .resolve_ms = section.resolve_ms,
                                         .connections = section.connections,
                                         .queue = section.queue,
                                         .failures = section.failures};
    config_servers_read(reader, section.servers, upstream);
    config_upstream_tls_read(reader, &section.tls, config, upstream);
    balance_read(reader, section.balance, upstream);
    config_health_read(reader, section.health, &upstream->health);
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
            upstream_read(reader, key, config, &upstreams[count++]);
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
