// Values that are right each by itself and do not fit together.
#include "gateway/config/path.h"
#include "gateway/config/sections.h"
#include "gateway/config/value.h"

#include <stdio.h>

// What the two values are, unless the set's own maps write neither: then it was said where they
// were written.
static void refuse(struct config_reader *reader, const struct config_node *first,
                   const struct config_node *second, const char *text) {
    const struct config_node *node = first != NULL ? first : second;
    if (node != NULL) {
        config_error(reader, node->place, "%s", text);
    }
}

void config_check_limits(struct config_reader *reader, const struct config_limits_set *set) {
    const struct config_node *worker_queue =
        config_node_find(set->backpressure_map, "worker_queue");
    const struct config_node *message = config_node_find(set->limits_map, "message");
    const struct config_node *queue = config_node_find(set->backpressure_map, "queue");
    struct value_text total = value_bytes_text(set->worker_queue_bytes);
    char text[CONFIG_ERROR_BYTES];
    if (set->limits->message_bytes > set->worker_queue_bytes) {
        snprintf(text, sizeof(text),
                 "`limits.message` is %s and `backpressure.worker_queue` only %s, so such a "
                 "message could never be sent; lower the one or raise the other",
                 value_bytes_text(set->limits->message_bytes).text, total.text);
        refuse(reader, message, worker_queue, text);
    }
    if (set->backpressure->queue_bytes > set->worker_queue_bytes) {
        snprintf(text, sizeof(text),
                 "`backpressure.queue` is %s and `backpressure.worker_queue` only %s; lower the "
                 "one or raise the other",
                 value_bytes_text(set->backpressure->queue_bytes).text, total.text);
        refuse(reader, queue, worker_queue, text);
    }
    const struct config_node *rate = config_node_find(set->limits_map, "bytes_per_second");
    if (set->limits->bytes_per_second > 0 &&
        set->limits->bytes_per_second < set->limits->message_bytes) {
        snprintf(text, sizeof(text),
                 "`limits.bytes_per_second` is %s and `limits.message` %s, so such a message could "
                 "never come in; raise the one or lower the other",
                 value_bytes_text(set->limits->bytes_per_second).text,
                 value_bytes_text(set->limits->message_bytes).text);
        refuse(reader, rate, message, text);
    }
    const struct config_keepalive *keepalive = set->keepalive;
    if (keepalive->ping_ms > 0 && keepalive->pong_ms >= keepalive->ping_ms) {
        snprintf(text, sizeof(text),
                 "`keepalive.pong` is %s and not less than `keepalive.ping` of %s; lower it",
                 value_ms_text(keepalive->pong_ms).text, value_ms_text(keepalive->ping_ms).text);
        refuse(reader, config_node_find(set->keepalive_map, "pong"),
               config_node_find(set->keepalive_map, "ping"), text);
    }
}

static bool host_covers(const struct config_route *a, const struct config_route *b) {
    return a->host.length == 0 || span_equal(a->host, b->host);
}

static bool route_covers(const struct config_route *a, const struct config_route *b) {
    uint8_t kinds = config_route_kinds(b);
    return (config_route_kinds(a) & kinds) == kinds && host_covers(a, b) &&
           config_path_covers(&a->path, &b->path);
}

void config_check_routes(struct config_reader *reader, const struct config *config) {
    for (uint32_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        for (uint32_t j = 0; j < i; j++) {
            const struct config_route *earlier = &config->routes[j];
            if (!route_covers(earlier, route)) {
                continue;
            }
            bool is_same = span_equal(earlier->host, route->host) &&
                           config_path_is_equal(&earlier->path, &route->path);
            config_error(reader, route->place,
                         is_same ? "the route %s is already in line %u; remove one of them"
                                 : "the route %s is never reached, since the route in line %u "
                                   "takes all of it; move it above that one",
                         config_quote(route->path.text).text, earlier->place.line);
            break;
        }
    }
}

void config_check_addresses(struct config_reader *reader, const struct config *config) {
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        struct config_quoted name = config_quote(listener->address.text);
        for (uint32_t j = 0; j < i; j++) {
            if (value_address_is_equal(&config->listeners[j].address, &listener->address)) {
                config_error(reader, listener->place,
                             "the address %s is already in line %u; remove one of them", name.text,
                             config->listeners[j].place.line);
                break;
            }
        }
        if (config->admin.is_present &&
            value_address_is_equal(&config->admin.address, &listener->address)) {
            config_error(reader, listener->place,
                         "the address %s is also that of `admin` in line %u; change one of them",
                         name.text, config->admin.place.line);
        }
    }
}
