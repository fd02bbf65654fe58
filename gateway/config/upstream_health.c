// `health` of an upstream: how its servers are checked.
#include "gateway/config/sections.h"

#include <stddef.h>

struct health_section {
    const struct config_node *path;
    uint64_t interval_ms, timeout_ms;
    uint32_t healthy, unhealthy;
};

enum { INTERVAL_MS_MIN = 100, COUNT_MAX = 1000 };

#define AT(member) .offset = offsetof(struct health_section, member)
static const struct schema_key health_keys[] = {
    {.name = "path", .type = SCHEMA_SCALAR, AT(path), .is_required = true},
    {.name = "interval",
     .type = SCHEMA_MS,
     AT(interval_ms),
     .minimum = INTERVAL_MS_MIN,
     .maximum = TIME_MS_MAX},
    {.name = "timeout",
     .type = SCHEMA_MS,
     AT(timeout_ms),
     .minimum = CONFIG_TIME_MS_MIN,
     .maximum = TIME_MS_MAX},
    {.name = "healthy", .type = SCHEMA_COUNT, AT(healthy), .minimum = 1, .maximum = COUNT_MAX},
    {.name = "unhealthy", .type = SCHEMA_COUNT, AT(unhealthy), .minimum = 1, .maximum = COUNT_MAX},
};
#undef AT

static const struct schema health_schema = {
    .name = "health",
    .title = "in `health`",
    .prefix = "upstreams.NAME.health.",
    .keys = health_keys,
    .key_count = sizeof(health_keys) / sizeof(health_keys[0]),
};

// As it goes into a request line: visible ASCII, no fragment.
static bool is_target(struct span path) {
    if (path.length == 0 || path.length > HEALTH_PATH_BYTES_MAX || path.data[0] != '/') {
        return false;
    }
    for (uint32_t i = 0; i < path.length; i++) {
        if (path.data[i] <= ' ' || path.data[i] > '~' || path.data[i] == '#') {
            return false;
        }
    }
    return true;
}

void config_health_read(struct config_reader *reader, const struct config_node *map,
                        struct config_health *health) {
    if (map == NULL) {
        return;
    }
    struct health_section section = {
        .interval_ms = 5000, .timeout_ms = 2000, .healthy = 2, .unhealthy = 3};
    bool is_sound = schema_read(reader, &health_schema, map, &section);
    if (section.path != NULL && !is_target(section.path->text)) {
        config_error(reader, section.path->place,
                     "`health.path` is %s, which is no path of at most %u bytes; write such as "
                     "/health",
                     config_quote(section.path->text).text, HEALTH_PATH_BYTES_MAX);
    }
    if (is_sound && config_node_find(map, "timeout") == NULL &&
        section.timeout_ms > section.interval_ms) {
        section.timeout_ms = section.interval_ms;
    }
    if (is_sound && section.timeout_ms > section.interval_ms) {
        config_error(reader, map->place,
                     "`health.timeout` is longer than its `interval`; write a shorter one");
    }
    *health =
        (struct config_health){.path = section.path == NULL ? span_empty() : section.path->text,
                               .interval_ms = section.interval_ms,
                               .timeout_ms = section.timeout_ms,
                               .healthy = section.healthy,
                               .unhealthy = section.unhealthy};
}
