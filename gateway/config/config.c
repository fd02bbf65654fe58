#include "gateway/config/config.h"

#include "core/base/check.h"
#include "gateway/config/config_within.h"
#include "gateway/config/sections.h"
#include "gateway/seam/log.h"

#include <stddef.h>
#include <stdlib.h>

// The object behind the caller's pointer.
struct config_object {
    struct config config; // first: config_close gets back to the object
    struct config_memory memory;
};

struct top_section {
    const struct config_node *listeners, *admin, *limits, *keepalive, *backpressure, *compression,
        *log, *engine, *trusted, *upstreams, *auth, *routes;
    uint64_t drain_ms;
    uint32_t workers;
};

#define AT(member) .offset = offsetof(struct top_section, member)
static const struct schema_key top_keys[] = {
    {.name = "listeners", .type = SCHEMA_LIST, AT(listeners), .is_required = true},
    {.name = "admin", .type = SCHEMA_MAP, AT(admin)},
    {.name = "workers",
     .type = SCHEMA_COUNT,
     AT(workers),
     .minimum = 1,
     .maximum = WORKERS_MAX,
     .word = "auto"},
    {.name = "limits", .type = SCHEMA_MAP, AT(limits)},
    {.name = "keepalive", .type = SCHEMA_MAP, AT(keepalive)},
    {.name = "backpressure", .type = SCHEMA_MAP, AT(backpressure)},
    {.name = "compression", .type = SCHEMA_NODE, AT(compression)},
    {.name = "drain", .type = SCHEMA_MS, AT(drain_ms), .maximum = TIME_MS_MAX},
    {.name = "log", .type = SCHEMA_MAP, AT(log)},
    {.name = "engine", .type = SCHEMA_MAP, AT(engine)},
    {.name = "trusted", .type = SCHEMA_LIST, AT(trusted)},
    {.name = "upstreams", .type = SCHEMA_MAP, AT(upstreams)},
    {.name = "auth", .type = SCHEMA_MAP, AT(auth)},
    {.name = "routes", .type = SCHEMA_LIST, AT(routes), .is_required = true},
};
#undef AT

static const struct schema top_schema = {
    .name = "top",
    .title = "at the top level",
    .prefix = "",
    .keys = top_keys,
    .inner = {&config_schema_limits, &config_schema_keepalive, &config_schema_backpressure,
              &config_schema_log, &config_schema_compression},
    .key_count = sizeof(top_keys) / sizeof(top_keys[0]),
};

static struct config_defaults defaults_read(struct config_reader *reader,
                                            const struct top_section *top) {
    struct config_defaults defaults = config_defaults_initial();
    bool is_sound = schema_read(reader, &config_schema_limits, top->limits, &defaults.limits);
    is_sound &= config_keepalive_read(reader, top->keepalive, &defaults.keepalive);
    is_sound &=
        schema_read(reader, &config_schema_backpressure, top->backpressure, &defaults.backpressure);
    config_compression_read(reader, top->compression, &defaults.compression);
    defaults.is_sound = is_sound;
    if (is_sound) {
        config_check_limits(reader,
                            &(struct config_limits_set){
                                .limits_map = top->limits,
                                .keepalive_map = top->keepalive,
                                .backpressure_map = top->backpressure,
                                .limits = &defaults.limits.route,
                                .keepalive = &defaults.keepalive,
                                .backpressure = &defaults.backpressure.route,
                                .worker_queue_bytes = defaults.backpressure.worker_queue_bytes,
                            });
    }
    return defaults;
}

static void engine_read(struct config_reader *reader, const struct config_node *map,
                        struct config_engine *engine) {
    *engine = (struct config_engine){.submissions = 1024, .completions = 4096, .buffers = 256};
    bool is_sound = schema_read(reader, &config_schema_engine, map, engine);
    if (is_sound && engine->completions < engine->submissions) {
        config_error(reader, map->place,
                     "`engine.completions` is %u and less than `engine.submissions` of %u; raise "
                     "it",
                     engine->completions, engine->submissions);
    }
}

static void log_read(struct config_reader *reader, const struct config_node *map,
                     struct config_log *log) {
    struct config_log_section section = {.level = LOG_LEVEL_INFO};
    schema_read(reader, &config_schema_log, map, &section);
    *log = (struct config_log){.level = section.level, .is_json = section.format == 1};
}

static void root_read(struct config_reader *reader, const struct config_node *root,
                      struct config *config) {
    struct top_section top = {.drain_ms = 30000};
    schema_read(reader, &top_schema, root, &top);
    struct config_defaults defaults = defaults_read(reader, &top);
    config->workers = top.workers;
    config->drain_ms = top.drain_ms;
    config->admission = defaults.limits.process;
    config->limits = defaults.limits.route;
    config->keepalive = defaults.keepalive;
    config->backpressure = defaults.backpressure.route;
    config->compression = defaults.compression;
    config->kernel_bytes = defaults.backpressure.kernel_bytes;
    config->worker_queue_bytes = defaults.backpressure.worker_queue_bytes;
    config_listeners_read(reader, top.listeners, config);
    config_admin_read(reader, top.admin, config);
    engine_read(reader, top.engine, &config->engine);
    log_read(reader, top.log, &config->log);
    config_trusted_read(reader, top.trusted, config);
    config_upstreams_read(reader, top.upstreams, config);
    config_auths_read(reader, top.auth, config);
    config_routes_read(reader, top.routes, &defaults, config);
    config_check_addresses(reader, config);
    config_check_routes(reader, config);
}

// A byte order mark says nothing in UTF-8, and libyaml would count it as a column.
static struct span skip_mark(struct span text) {
    bool has_mark = text.length >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0;
    return has_mark ? span_from(text, 3) : text;
}

const struct config *config_open_within(const struct config_source *source,
                                        struct config_errors *errors, uint64_t kept_bytes,
                                        uint64_t tree_bytes) {
    errors->count = 0;
    errors->is_cut = false;
    struct config_source marked = *source;
    marked.text = skip_mark(source->text);
    struct config_reader reader = {.source = &marked, .errors = errors};
    struct config_object *object = calloc(1, sizeof(*object));
    if (object != NULL) {
        config_memory_init(&object->memory, kept_bytes);
        config_memory_init(&reader.scratch, tree_bytes);
        reader.memory = &object->memory;
        const struct config_node *root = config_tree_read(&reader);
        if (root != NULL) {
            root_read(&reader, root, &object->config);
        }
        config_memory_fini(&reader.scratch);
    }
    if (object == NULL || reader.has_no_memory) {
        config_error(&reader, (struct config_place){.line = 1, .column = 1},
                     "not enough memory to read the file; shorten it");
    }
    config_errors_sort(&reader);
    const struct config *config = object != NULL ? &object->config : NULL;
    if (errors->count > 0) {
        config_close(&config);
    }
    check((config == NULL) == (errors->count > 0));
    return config;
}

const struct config *config_open(const struct config_source *source, struct config_errors *errors) {
    return config_open_within(source, errors, CONFIG_MEMORY_BYTES_MAX, CONFIG_MEMORY_BYTES_MAX);
}

void config_close(const struct config **config) {
    static_assert(offsetof(struct config_object, config) == 0, "config_close casts");
    struct config_object *object = (struct config_object *)*config;
    *config = NULL;
    if (object != NULL) {
        config_memory_fini(&object->memory);
        free(object);
    }
}
