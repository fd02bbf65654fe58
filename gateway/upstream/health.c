// Health checks: a GET to each server again and again, on a connection of its own. Each worker
// checks for itself: a server counts as what this worker's own way to it says, and no thread tells
// another. Checks are exchanges that no owner hears of; they are neither asked of a breaker nor
// judged by it, so that a server whose checks pass and whose requests fail still goes out.
#include "gateway/upstream/internal.h"

#include "core/base/check.h"
#include "core/hub/payload.h"

#include <stdio.h>

enum {
    HEAD_BYTES = HEALTH_PATH_BYTES_MAX + TLS_DIAL_HOST_BYTES + 128,
    STATUS_GOOD_MIN = 200,
    STATUS_GOOD_MAX = 399,
};

static struct upstream_server *checked_server(const struct upstreams *upstreams,
                                              uint32_t exchange) {
    uint32_t line = exchange_at(upstreams, exchange)->line;
    return line == 0 ? NULL : server_of(upstreams, line_at(upstreams, line));
}

// --- what a check says

static void change_log(const struct upstreams *upstreams, const struct upstream *upstream,
                       const struct upstream_server *server, const char *cause) {
    char address[ADDRESS_TEXT_BYTES];
    (void)address_format(&server->address, true, address); // its length is not needed
    log_event(upstreams->log, server->is_down ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
              server->is_down ? "server_down" : "server_up",
              log_span("upstream", span_make(upstream->name, upstream->name_bytes)),
              log_text("server", address), log_text("check", cause));
}

static void judge(const struct upstreams *upstreams, struct upstream *upstream,
                  struct upstream_server *server, bool is_good, const char *cause) {
    const struct upstream_health *health = &upstream->health;
    upstream->checks++;
    upstream->checks_failed += !is_good;
    bool confirms = is_good != server->is_down;
    server->check_count = confirms ? 0 : server->check_count + 1;
    uint32_t wanted = server->is_down ? health->healthy : health->unhealthy;
    if (server->check_count < wanted) {
        return;
    }
    server->is_down = !server->is_down;
    server->check_count = 0;
    change_log(upstreams, upstream, server, cause);
}

void health_on_head(struct upstreams *upstreams, uint32_t exchange) {
    struct upstream *upstream = &upstreams->items[exchange_at(upstreams, exchange)->upstream];
    struct upstream_server *server = checked_server(upstreams, exchange);
    uint16_t status = upstreams->response.status;
    char cause[24];
    (void)snprintf(cause, sizeof cause, "status %u", status); // three digits
    check(server != NULL && server->check == exchange);
    server->check = 0;
    judge(upstreams, upstream, server, status >= STATUS_GOOD_MIN && status <= STATUS_GOOD_MAX,
          cause);
    upstream_drop(upstreams, exchange, false);
}

void health_on_end(struct upstreams *upstreams, uint32_t exchange, const struct fault *fault) {
    struct upstream *upstream = &upstreams->items[exchange_at(upstreams, exchange)->upstream];
    struct upstream_server *server = checked_server(upstreams, exchange);
    if (server == NULL) {
        return; // it never began
    }
    server->check = 0;
    if (fault->id != FAULT_out_of_memory) { // our own want says nothing of the server
        judge(upstreams, upstream, server, false, fault->name);
    }
}

// --- asking

// Numeric hosts with their port, and in brackets where they need them.
static void authority_print(const struct upstream_server *server,
                            const struct upstream_origin *origin, char *target, size_t room) {
    char address[ADDRESS_TEXT_BYTES];
    if (origin->host_bytes > 0) {
        (void)snprintf(target, room, "%.*s:%u", origin->host_bytes, (const char *)origin->host,
                       origin->address.port); // there is room for the longest
        return;
    }
    bool is_ip = server->address.kind == ADDRESS_IP;
    (void)address_format(&server->address, true, address); // its length is not needed
    (void)snprintf(target, room, "%s", is_ip ? address : "localhost");
}

static uint32_t head_make(const struct upstreams *upstreams, const struct upstream *upstream,
                          const struct upstream_server *server) {
    char authority[TLS_DIAL_HOST_BYTES + 8];
    authority_print(server, &upstream->origins[server->origin], authority, sizeof authority);
    char head[HEAD_BYTES];
    int length =
        snprintf(head, sizeof head,
                 "GET %.*s HTTP/1.1\r\n"
                 "Host: %s\r\n"
                 "User-Agent: holdfast/" HOLDFAST_VERSION "\r\n"
                 "Connection: close\r\n"
                 "\r\n",
                 upstream->health.path_bytes, (const char *)upstream->health.path, authority);
    check(length > 0 && (size_t)length < sizeof head);
    return payload_bytes(upstreams->arena, span_make(head, (uint32_t)length));
}

static void check_begin(struct upstreams *upstreams, uint16_t at, uint8_t place) {
    struct upstream *upstream = &upstreams->items[at];
    struct upstream_server *server = &upstream->servers[place];
    uint32_t head = head_make(upstreams, upstream, server);
    uint32_t number = head == 0 ? 0 : pool_take(&upstreams->exchanges);
    if (number == 0) {
        if (head != 0) {
            payload_drop(upstreams->arena, head);
        }
        return; // the next one may find memory
    }
    *exchange_at(upstreams, number) = (struct upstream_exchange){
        .head = head,
        .asked_ms = (uint32_t)upstreams->now_ms,
        .asked_us = upstreams->now_us,
        .upstream = at,
        .flags = UPSTREAM_ASK_UPGRADE | EXCHANGE_CHECK}; // a line of its own, not counted
    upstream->pending++;
    server->check = number;
    if (!line_take(upstreams, number, place)) {
        server->check = 0;
        exchange_end(upstreams, number, fault_get(FAULT_out_of_memory));
    }
}

// Returns when the next one of this upstream is due.
static uint64_t checks_begin(struct upstreams *upstreams, uint16_t at) {
    struct upstream *upstream = &upstreams->items[at];
    uint64_t next_ms = UINT64_MAX;
    for (uint8_t i = 0; i < upstream->server_count; i++) {
        struct upstream_server *server = &upstream->servers[i];
        if (!upstream_server_is_present(server)) {
            continue;
        }
        if (upstreams->now_ms >= server->check_due_ms) {
            server->check_due_ms = upstreams->now_ms + upstream->health.interval_ms;
            if (server->check == 0) {
                check_begin(upstreams, at, i);
            }
        }
        next_ms = server->check_due_ms < next_ms ? server->check_due_ms : next_ms;
    }
    return next_ms;
}

void health_turn(struct upstreams *upstreams) {
    if (upstreams->now_ms < upstreams->check_due_ms) {
        return;
    }
    upstreams->check_due_ms = UINT64_MAX;
    for (uint16_t i = 0; i < upstreams->item_end; i++) {
        const struct upstream *upstream = &upstreams->items[i];
        if (upstream->is_used && !upstream->is_retired && upstream->health.interval_ms > 0) {
            uint64_t next_ms = checks_begin(upstreams, i);
            bool is_sooner = next_ms < upstreams->check_due_ms;
            upstreams->check_due_ms = is_sooner ? next_ms : upstreams->check_due_ms;
        }
    }
}

void health_retire(struct upstreams *upstreams, struct upstream *upstream) {
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        uint32_t number = upstream->servers[i].check;
        upstream->servers[i].check = 0;
        if (number != 0) {
            upstream_drop(upstreams, number, false);
        }
    }
}
