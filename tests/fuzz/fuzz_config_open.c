// Can a configuration file break its reader? Whatever the bytes are: a configuration whose values
// keep their bounds, or errors that each have a place, a problem and a remedy.
#include "core/base/check.h"
#include "gateway/config/config.h"
#include "gateway/config/config_diff.h"

#include <errno.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int load(void *context, const char *path, struct span *bytes) {
    (void)context; // one file for everyone
    *bytes = span_text("token\n");
    return path[0] == 't' ? 0 : -ENOENT;
}

static const char *environment(void *context, const char *name) {
    (void)context; // one variable for everyone
    return name[0] == 'A' ? "value {x} *" : NULL;
}

static void check_errors(const struct config_errors *errors) {
    check(errors->count <= CONFIG_ERRORS_MAX);
    unsigned last_line = 0;
    for (uint32_t i = 0; i < errors->count; i++) {
        const char *text = errors->lines[i];
        size_t length = strnlen(text, CONFIG_ERROR_BYTES);
        check(length < CONFIG_ERROR_BYTES);
        unsigned line = 0;
        unsigned column = 0;
        check(sscanf(text, "f:%u:%u: ", &line, &column) == 2);
        check(line >= last_line && line > 0 && column > 0);
        last_line = line;
        check(strchr(text, ';') != NULL || length == CONFIG_ERROR_BYTES - 1);
        for (size_t at = 0; at < length; at++) {
            check((uint8_t)text[at] >= 0x20 && text[at] != 0x7f);
        }
    }
}

static void check_route(const struct config_route *route) {
    check(route->verb < CONFIG_VERB_COUNT && route->place.line > 0);
    check(route->path.segment_count <= ROUTE_SEGMENTS_MAX);
    check(route->path.capture_count <= ROUTE_CAPTURES_MAX);
    check(route->limits.message_bytes >= 1 && route->limits.message_bytes <= MESSAGE_BYTES_MAX);
    check(route->keepalive.ping_ms == 0 || route->keepalive.pong_ms < route->keepalive.ping_ms);
    const struct config_channels *channels = &route->channels;
    check(channels->subscribe.count <= route->limits.channels);
    for (uint32_t i = 0; i < channels->allow.count; i++) {
        const struct config_template *template = &channels->allow.items[i];
        check(template->part_count > 0 || template->has_star);
        for (uint32_t part = 0; part < template->part_count; part++) {
            check(template->parts[part].capture < ROUTE_CAPTURES_MAX);
        }
    }
}

static void check_config(const struct config *config) {
    check(config->listener_count >= 1 && config->listener_count <= LISTENERS_MAX);
    check(config->route_count >= 1 && config->route_count <= ROUTES_MAX);
    check(config->workers <= WORKERS_MAX);
    check(config->drain_ms <= TIME_MS_MAX);
    check(config->worker_queue_bytes >= config->limits.message_bytes);
    for (uint32_t i = 0; i < config->route_count; i++) {
        check_route(&config->routes[i]);
    }
    struct config_changes changes;
    config_diff(config, config, &changes);
    check(changes.count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 2 * CONFIG_BYTES_MAX) {
        return 0;
    }
    static struct config_errors errors;
    const struct config_source source = {.text = span_make(data, (uint32_t)size),
                                         .file = "f",
                                         .load = load,
                                         .environment = environment};
    const struct config *config = config_open(&source, &errors);
    check((config == NULL) == (errors.count > 0));
    check_errors(&errors);
    if (config != NULL) {
        check_config(config);
        config_close(&config);
    }
    return 0;
}
