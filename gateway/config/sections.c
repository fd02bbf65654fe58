// The tables of the sections that hold plain values.
#include "gateway/config/sections.h"

#include <stddef.h>

#define COUNT_OF(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))
#define PLAIN(key, kind, at)                                                                       \
    { .name = (key), .type = (kind), .offset = (at) }
#define NUMBER_OR(key, kind, at, low, high, zero)                                                  \
    {                                                                                              \
        .name = (key), .type = (kind), .offset = (at), .minimum = (low), .maximum = (high),        \
        .word = (zero)                                                                             \
    }
#define NUMBER(key, kind, at, low, high) NUMBER_OR(key, kind, at, low, high, NULL)
#define NAME(key, at, words)                                                                       \
    { .name = (key), .type = SCHEMA_NAME, .offset = (at), .names = (words) }
#define LIMIT(member) offsetof(struct config_limits_section, member)
#define KEEPALIVE(member) offsetof(struct config_keepalive, member)
#define PRESSURE(member) offsetof(struct config_backpressure_section, member)
#define COMPRESSION(member) offsetof(struct config_compression, member)
#define ENGINE(member) offsetof(struct config_engine, member)
#define LOG(member) offsetof(struct config_log_section, member)

enum { COMPRESSION_LEVEL = 1, COMPRESSION_THRESHOLD = 256 };
enum { MS_MIN = CONFIG_TIME_MS_MIN, MS_MAX = TIME_MS_MAX };
#define MIB_BYTES ((uint64_t)1 << 20)
#define CLIENTS_MAX ((uint64_t)CONNECTIONS_MAX * WORKERS_MAX)

static const char *const policy_names[] = {[CONFIG_POLICY_CLOSE] = "close",
                                           [CONFIG_POLICY_DROP_OLDEST] = "drop_oldest",
                                           [CONFIG_POLICY_DROP_NEWEST] = "drop_newest",
                                           [CONFIG_POLICY_CONFLATE] = "conflate",
                                           NULL};

static const struct schema_key limits_keys[] = {
    NUMBER("connections", SCHEMA_COUNT, LIMIT(process.connections), 1, CLIENTS_MAX),
    NUMBER_OR("per_address", SCHEMA_COUNT, LIMIT(process.per_address), 1, CLIENTS_MAX, "off"),
    NUMBER("message", SCHEMA_BYTES, LIMIT(route.message_bytes), 1, MESSAGE_BYTES_MAX),
    NUMBER("header", SCHEMA_BYTES, LIMIT(process.header_bytes), HEADER_BYTES_MIN, HEADER_BYTES_MAX),
    NUMBER("handshake", SCHEMA_MS, LIMIT(process.handshake_ms), MS_MIN, MS_MAX),
    NUMBER("handshakes_per_second", SCHEMA_COUNT, LIMIT(process.handshakes_per_second), 1,
           HANDSHAKES_PER_SECOND_MAX),
    NUMBER_OR("handshakes_per_address", SCHEMA_COUNT, LIMIT(process.handshakes_per_address), 1,
              HANDSHAKES_PER_ADDRESS_MAX, "off"),
    NUMBER_OR("messages_per_second", SCHEMA_COUNT, LIMIT(route.messages_per_second), 1,
              MESSAGES_PER_SECOND_MAX, "off"),
    NUMBER_OR("bytes_per_second", SCHEMA_BYTES, LIMIT(route.bytes_per_second), 1,
              BYTES_PER_SECOND_MAX, "off"),
    NUMBER("channels", SCHEMA_COUNT, LIMIT(route.channels), 1, CHANNELS_PER_CONNECTION_MAX),
    NUMBER("fragments", SCHEMA_COUNT, LIMIT(route.fragments), 1, FRAGMENTS_MAX),
    NUMBER_OR("idle", SCHEMA_MS, LIMIT(route.idle_ms), MS_MIN, MS_MAX, "off"),
    NUMBER_OR("age", SCHEMA_MS, LIMIT(route.age_ms), MS_MIN, MS_MAX, "off"),
};
const struct schema config_schema_limits = {.name = "limits",
                                            .title = "in `limits`",
                                            .prefix = "limits.",
                                            .keys = limits_keys,
                                            .key_count = COUNT_OF(limits_keys)};

static const struct schema_key limits_route_keys[] = {
    NUMBER_OR("connections", SCHEMA_COUNT, LIMIT(route.connections), 1, CLIENTS_MAX, "off"),
    NUMBER_OR("per_address", SCHEMA_COUNT, LIMIT(route.per_address), 1, CLIENTS_MAX, "off"),
    NUMBER("message", SCHEMA_BYTES, LIMIT(route.message_bytes), 1, MESSAGE_BYTES_MAX),
    NUMBER_OR("messages_per_second", SCHEMA_COUNT, LIMIT(route.messages_per_second), 1,
              MESSAGES_PER_SECOND_MAX, "off"),
    NUMBER_OR("bytes_per_second", SCHEMA_BYTES, LIMIT(route.bytes_per_second), 1,
              BYTES_PER_SECOND_MAX, "off"),
    NUMBER("channels", SCHEMA_COUNT, LIMIT(route.channels), 1, CHANNELS_PER_CONNECTION_MAX),
    NUMBER("fragments", SCHEMA_COUNT, LIMIT(route.fragments), 1, FRAGMENTS_MAX),
    NUMBER_OR("idle", SCHEMA_MS, LIMIT(route.idle_ms), MS_MIN, MS_MAX, "off"),
    NUMBER_OR("age", SCHEMA_MS, LIMIT(route.age_ms), MS_MIN, MS_MAX, "off"),
};
const struct schema config_schema_limits_route = {.name = "limits",
                                                  .title = "in a route's `limits`",
                                                  .prefix = "limits.",
                                                  .keys = limits_route_keys,
                                                  .key_count = COUNT_OF(limits_route_keys),
                                                  .global = &config_schema_limits};

static const struct schema_key keepalive_keys[] = {
    NUMBER_OR("ping", SCHEMA_MS, KEEPALIVE(ping_ms), MS_MIN, MS_MAX, "off"),
    NUMBER("pong", SCHEMA_MS, KEEPALIVE(pong_ms), MS_MIN, MS_MAX),
};
const struct schema config_schema_keepalive = {.name = "keepalive",
                                               .title = "in `keepalive`",
                                               .prefix = "keepalive.",
                                               .keys = keepalive_keys,
                                               .key_count = COUNT_OF(keepalive_keys)};

static const struct schema_key backpressure_keys[] = {
    NUMBER("queue", SCHEMA_BYTES, PRESSURE(route.queue_bytes), QUEUE_BYTES_MIN, QUEUE_BYTES_MAX),
    NUMBER("kernel", SCHEMA_BYTES, PRESSURE(kernel_bytes), QUEUE_BYTES_MIN, QUEUE_BYTES_MAX),
    NUMBER("worker_queue", SCHEMA_BYTES, PRESSURE(worker_queue_bytes),
           WORKER_QUEUE_MIB_MIN *MIB_BYTES, WORKER_QUEUE_MIB_MAX *MIB_BYTES),
    NUMBER("stall", SCHEMA_MS, PRESSURE(route.stall_ms), MS_MIN, MS_MAX),
    NAME("policy", PRESSURE(route.policy), policy_names),
};
const struct schema config_schema_backpressure = {.name = "backpressure",
                                                  .title = "in `backpressure`",
                                                  .prefix = "backpressure.",
                                                  .keys = backpressure_keys,
                                                  .key_count = COUNT_OF(backpressure_keys)};

static const struct schema_key backpressure_route_keys[] = {
    NUMBER("queue", SCHEMA_BYTES, PRESSURE(route.queue_bytes), QUEUE_BYTES_MIN, QUEUE_BYTES_MAX),
    NUMBER("stall", SCHEMA_MS, PRESSURE(route.stall_ms), MS_MIN, MS_MAX),
    NAME("policy", PRESSURE(route.policy), policy_names),
};
const struct schema config_schema_backpressure_route = {.name = "backpressure",
                                                        .title = "in a route's `backpressure`",
                                                        .prefix = "backpressure.",
                                                        .keys = backpressure_route_keys,
                                                        .key_count =
                                                            COUNT_OF(backpressure_route_keys),
                                                        .global = &config_schema_backpressure};

static const char *const takeover_names[] = {"off", "server", NULL}; // enum config_takeover
static const struct schema_key compression_keys[] = {
    NUMBER("level", SCHEMA_COUNT, COMPRESSION(level), 1, DEFLATE_LEVEL_MAX),
    NUMBER("threshold", SCHEMA_BYTES, COMPRESSION(threshold_bytes), 1, MESSAGE_BYTES_MAX),
    NAME("takeover", COMPRESSION(takeover), takeover_names),
};
const struct schema config_schema_compression = {.name = "compression",
                                                 .title = "in `compression`",
                                                 .prefix = "compression.",
                                                 .keys = compression_keys,
                                                 .key_count = COUNT_OF(compression_keys)};

static const struct schema_key engine_keys[] = {
    NUMBER_OR("slots", SCHEMA_COUNT, ENGINE(slots), RING_SLOTS_MIN, RING_SLOTS_MAX, "auto"),
    NUMBER("submissions", SCHEMA_POWER, ENGINE(submissions), RING_ENTRIES_MIN,
           RING_SUBMISSIONS_MAX),
    NUMBER("completions", SCHEMA_POWER, ENGINE(completions), RING_ENTRIES_MIN,
           RING_COMPLETIONS_MAX),
    NUMBER("buffers", SCHEMA_POWER, ENGINE(buffers), RING_ENTRIES_MIN, RING_BUFFERS_MAX),
    PLAIN("zero_copy", SCHEMA_BOOL, ENGINE(zero_copy)),
};
const struct schema config_schema_engine = {.name = "engine",
                                            .title = "in `engine`",
                                            .prefix = "engine.",
                                            .keys = engine_keys,
                                            .key_count = COUNT_OF(engine_keys)};

static const char *const level_names[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_names[] = {"text", "json", NULL};
static const struct schema_key log_keys[] = {
    NAME("level", LOG(level), level_names),
    NAME("format", LOG(format), format_names),
};
const struct schema config_schema_log = {.name = "log",
                                         .title = "in `log`",
                                         .prefix = "log.",
                                         .keys = log_keys,
                                         .key_count = COUNT_OF(log_keys)};

struct config_defaults config_defaults_initial(void) {
    return (struct config_defaults){
        .limits = {.route = {.message_bytes = MIB_BYTES,
                             .fragments = FRAGMENTS_MAX,
                             .channels = 64},
                   .process = {.header_bytes = 8192,
                               .handshake_ms = 10000,
                               .connections = 1000000,
                               .handshakes_per_second = 20000}},
        .keepalive = {.ping_ms = 25000, .pong_ms = 10000},
        .backpressure = {.route = {.queue_bytes = 256 << 10,
                                   .stall_ms = 30000,
                                   .policy = CONFIG_POLICY_CLOSE},
                         .kernel_bytes = 128 << 10,
                         .worker_queue_bytes = 512 * MIB_BYTES},
        .compression = {.threshold_bytes = COMPRESSION_THRESHOLD, .level = COMPRESSION_LEVEL},
        .is_sound = true,
    };
}

bool config_keepalive_read(struct config_reader *reader, const struct config_node *map,
                           struct config_keepalive *keepalive) {
    bool is_sound = schema_read(reader, &config_schema_keepalive, map, keepalive);
    bool is_late = keepalive->ping_ms > 0 && keepalive->pong_ms >= keepalive->ping_ms;
    if (is_late && config_node_find(map, "pong") == NULL) {
        keepalive->pong_ms = keepalive->ping_ms / 2; // who only shortens the ping means this
    }
    return is_sound;
}

void config_compression_read(struct config_reader *reader, const struct config_node *node,
                             struct config_compression *compression) {
    if (node == NULL || node->kind == CONFIG_NODE_BAD) {
        return;
    }
    if (node->kind == CONFIG_NODE_SCALAR && span_is(node->text, "false")) {
        compression->level = 0;
        return;
    }
    if (node->kind != CONFIG_NODE_MAP) {
        config_error(reader, node->place,
                     "`compression` is neither a map nor `false`; write {level: %u, threshold: "
                     "%uB}, or false",
                     COMPRESSION_LEVEL, COMPRESSION_THRESHOLD);
        return;
    }
    if (compression->level == 0) {
        compression->level = COMPRESSION_LEVEL;
    }
    schema_read(reader, &config_schema_compression, node, compression);
}
