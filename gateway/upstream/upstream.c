// Which upstreams there are, their memory and their turn.
#include "gateway/upstream/upstream.h"

#include "core/base/check.h"
#include "gateway/upstream/internal.h"

enum { STOP_FLUSH_MS = 500 }; // half of what a worker that stops has for its closes

void upstreams_memory_size(struct upstreams_memory *memory) {
    uint32_t line_bytes = UPSTREAM_LINE_BYTES;
    uint32_t exchange_bytes = UPSTREAM_EXCHANGE_BYTES;
    memory->line_space.length = pool_space_bytes(line_bytes, memory->line_max);
    memory->line_book.length = pool_book_bytes(line_bytes, memory->line_max);
    memory->exchange_space.length = pool_space_bytes(exchange_bytes, memory->exchange_max);
    memory->exchange_book.length = pool_book_bytes(exchange_bytes, memory->exchange_max);
    memory->secure_space.length = pool_space_bytes(UPSTREAM_TLS_BYTES, UPSTREAM_TLS_LINES_MAX);
    memory->secure_book.length = pool_book_bytes(UPSTREAM_TLS_BYTES, UPSTREAM_TLS_LINES_MAX);
    // Twice, since the place of a line that was freed stays taken until the next pump.
    memory->touched.length = 2 * ((uint64_t)memory->line_max + 1) * sizeof(uint32_t);
    memory->items.length = UPSTREAMS_ALIVE_MAX * sizeof(struct upstream);
}

static struct wheel_entry *timer_at(void *context, uint32_t index) {
    return &line_at(context, index)->timer;
}

void upstreams_init(struct upstreams *upstreams, const struct upstreams_memory *memory,
                    uint64_t now_us) {
    pool_init(&upstreams->lines, UPSTREAM_LINE_BYTES, memory->line_max, memory->line_space,
              memory->line_book);
    pool_init(&upstreams->exchanges, UPSTREAM_EXCHANGE_BYTES, memory->exchange_max,
              memory->exchange_space, memory->exchange_book);
    pool_init(&upstreams->secures, UPSTREAM_TLS_BYTES, UPSTREAM_TLS_LINES_MAX, memory->secure_space,
              memory->secure_book);
    upstreams->items = (struct upstream *)(void *)memory->items.data;
    upstreams->touched = (uint32_t *)(void *)memory->touched.data;
    upstreams->line_max = memory->line_max;
    upstreams->touched_max = (uint32_t)(memory->touched.length / sizeof(uint32_t));
    upstreams->now_us = now_us;
    upstreams->now_ms = now_us / 1000;
    wheel_init(&upstreams->wheel, timer_at, upstreams, upstreams->now_ms);
}

// --- the configuration

static void origin_make(struct upstream_origin *origin, const struct config_server *config) {
    *origin = (struct upstream_origin){.address = config->address.address,
                                       .is_secure = config->is_secure};
    if (config->address.path.length > 0) {
        check(config->address.path.length < sizeof origin->path);
        memcpy(origin->path, config->address.path.data, config->address.path.length);
    }
    if (config->host.length > 0) {
        check(config->host.length <= RESOLVE_HOST_BYTES_MAX);
        memcpy(origin->host, config->host.data, config->host.length);
        origin->host_bytes = (uint8_t)config->host.length;
    }
}

static void upstream_make(struct upstream *upstream, const struct config_upstream *config) {
    memset(upstream, 0, sizeof *upstream);
    upstream->is_used = true;
    check(config->name.length <= UPSTREAM_NAME_BYTES);
    memcpy(upstream->name, config->name.data, config->name.length);
    upstream->name_bytes = (uint8_t)config->name.length;
    upstream->connect_ms = (uint32_t)config->connect_ms;
    upstream->response_ms = (uint32_t)config->response_ms;
    upstream->idle_ms = (uint32_t)config->idle_ms;
    upstream->retry_ms = (uint32_t)config->retry_ms;
    upstream->connections_max = config->connections;
    upstream->waiting_max = config->queue;
    upstream->failures_max = config->failures;
    if (config->health.interval_ms > 0) {
        struct span path = config->health.path;
        check(path.length <= sizeof upstream->health.path);
        upstream->health = (struct upstream_health){
            .interval_ms = (uint32_t)config->health.interval_ms,
            .timeout_ms = (uint32_t)config->health.timeout_ms,
            .healthy = config->health.healthy,
            .unhealthy = config->health.unhealthy,
            .path_bytes = (uint8_t)path.length,
        };
        memcpy(upstream->health.path, path.data, path.length);
    }
    upstream->origin_count = config->server_count;
    for (uint32_t i = 0; i < config->server_count; i++) {
        origin_make(&upstream->origins[i], &config->servers[i]);
    }
    origins_place(upstream);
}

static bool origin_is_same(const struct upstream_origin *a, const struct upstream_origin *b) {
    return a->address.kind == b->address.kind && a->address.port == b->address.port &&
           memcmp(a->address.ip, b->address.ip, sizeof a->address.ip) == 0 &&
           strcmp(a->path, b->path) == 0 && a->is_secure == b->is_secure &&
           span_equal(span_make(a->host, a->host_bytes), span_make(b->host, b->host_bytes));
}

static bool health_is_same(const struct upstream_health *a, const struct upstream_health *b) {
    return a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms &&
           a->healthy == b->healthy && a->unhealthy == b->unhealthy &&
           span_equal(span_make(a->path, a->path_bytes), span_make(b->path, b->path_bytes));
}

static bool upstream_is_same(const struct upstream *a, const struct upstream *b) {
    bool is_same =
        span_equal(span_make(a->name, a->name_bytes), span_make(b->name, b->name_bytes)) &&
        a->connect_ms == b->connect_ms && a->response_ms == b->response_ms &&
        a->idle_ms == b->idle_ms && a->retry_ms == b->retry_ms &&
        a->connections_max == b->connections_max && a->waiting_max == b->waiting_max &&
        a->failures_max == b->failures_max && health_is_same(&a->health, &b->health) &&
        a->origin_count == b->origin_count;
    for (uint32_t i = 0; is_same && i < a->origin_count; i++) {
        is_same = origin_is_same(&a->origins[i], &b->origins[i]);
    }
    return is_same;
}

// One that is defined in just this way, or a free place; item_end, if those used before are taken.
static uint16_t place_find(struct upstreams *upstreams, const struct upstream *wanted) {
    uint16_t place = upstreams->item_end;
    for (uint16_t i = 0; i < upstreams->item_end; i++) {
        const struct upstream *upstream = &upstreams->items[i];
        if (upstream->is_used && !upstream->is_retired && upstream_is_same(upstream, wanted)) {
            return i;
        }
        if (!upstream->is_used && place == upstreams->item_end) {
            place = i;
        }
    }
    return place;
}

// Its idle lines are closed; others when their exchanges end.
static void upstream_retire(struct upstreams *upstreams, uint16_t at) {
    struct upstream *upstream = &upstreams->items[at];
    upstream->is_retired = true;
    health_retire(upstreams, upstream);
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        while (upstream->servers[i].idle_first != 0) { // each pass takes one out
            line_close(upstreams, upstream->servers[i].idle_first, false);
        }
    }
    upstream_settle(upstreams, at);
}

void upstream_settle(struct upstreams *upstreams, uint16_t at) {
    struct upstream *upstream = &upstreams->items[at];
    if (upstream->is_retired && upstream->lines == 0 && upstream->pending == 0) {
        upstream->is_used = false;
    }
}

bool upstreams_config_set(struct upstreams *upstreams, const struct config *config) {
    uint32_t free_count = UPSTREAMS_ALIVE_MAX;
    for (uint32_t i = 0; i < upstreams->item_end; i++) {
        free_count -= upstreams->items[i].is_used;
    }
    if (free_count < config->upstream_count) {
        return false;
    }
    bool is_kept[UPSTREAMS_ALIVE_MAX] = {false};
    upstreams->check_due_ms = 0; // new servers are checked at once
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        struct upstream wanted;
        upstream_make(&wanted, &config->upstreams[i]);
        uint16_t place = place_find(upstreams, &wanted);
        check(place < UPSTREAMS_ALIVE_MAX);
        if (!upstreams->items[place].is_used) {
            upstreams->items[place] = wanted;
            upstreams->item_end = place == upstreams->item_end ? place + 1 : upstreams->item_end;
        }
        upstreams->of_config[i] = place;
        is_kept[place] = true;
    }
    for (uint16_t i = 0; i < upstreams->item_end; i++) {
        if (upstreams->items[i].is_used && !upstreams->items[i].is_retired && !is_kept[i]) {
            upstream_retire(upstreams, i);
        }
    }
    return true;
}

void upstreams_dialers_set(struct upstreams *upstreams, const struct config *config,
                           struct tls_dialer *const *dialers) {
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        upstreams->items[upstreams->of_config[i]].dialer = dialers[i];
    }
}

void upstreams_stop(struct upstreams *upstreams) {
    for (uint16_t i = 0; i < upstreams->item_end; i++) {
        if (upstreams->items[i].is_used && !upstreams->items[i].is_retired) {
            upstream_retire(upstreams, i);
        }
    }
    upstreams->stop_due_ms = upstreams->now_ms + STOP_FLUSH_MS;
}

// What still waits for a service's Close, or sends what it takes slowly, would outlast the thread.
static void lines_cut(struct upstreams *upstreams) {
    uint32_t left = upstreams->lines.used;
    for (uint32_t number = 1; left > 0 && number <= upstreams->line_max; number++) {
        struct upstream_line *line = line_at(upstreams, number);
        if (line->state == LINE_FREE) {
            continue;
        }
        left--;
        if (line->exchange != 0) {
            exchange_end(upstreams, line->exchange, fault_get(FAULT_killed));
        }
        if (line->state != LINE_CLOSING) {
            line_close(upstreams, number, false);
        } else if (line_has(line, LINE_FLUSHES)) {
            line_clear(line, LINE_FLUSHES);
            link_close(upstreams->link, line->link);
        }
    }
}

// --- the turn

void upstreams_turn(struct upstreams *upstreams, uint64_t now_us) {
    upstreams->now_us = now_us;
    upstreams->now_ms = now_us / 1000;
}

void upstreams_expire(struct upstreams *upstreams) {
    if (upstreams->stop_due_ms != 0 && upstreams->now_ms >= upstreams->stop_due_ms) {
        lines_cut(upstreams);
    }
    exchange_expire(upstreams);
    health_turn(upstreams);
    wheel_advance(&upstreams->wheel, upstreams->now_ms);
    uint32_t line;
    for (uint32_t i = 0; i < EXPIRIES_MAX && wheel_next(&upstreams->wheel, &line); i++) {
        line_on_time(upstreams, line);
    }
}

uint32_t upstreams_wait_ms(const struct upstreams *upstreams) {
    uint32_t wait_ms = wheel_wait_ms(&upstreams->wheel, upstreams->now_ms);
    uint64_t check_ms = upstreams->check_due_ms > upstreams->now_ms
                            ? upstreams->check_due_ms - upstreams->now_ms
                            : 0;
    wait_ms = check_ms < wait_ms ? (uint32_t)check_ms : wait_ms;
    for (uint32_t i = 0; upstreams->waiting_count > 0 && i < upstreams->item_end; i++) {
        const struct upstream *upstream = &upstreams->items[i];
        if (upstream->waiting_first != 0) {
            uint32_t asked_ms = exchange_at(upstreams, upstream->waiting_first)->asked_ms;
            uint32_t waited_ms = (uint32_t)upstreams->now_ms - asked_ms;
            uint32_t left_ms =
                waited_ms < upstream->connect_ms ? upstream->connect_ms - waited_ms : 0;
            wait_ms = left_ms < wait_ms ? left_ms : wait_ms;
        }
    }
    return wait_ms;
}

const struct upstream *upstream_get(const struct upstreams *upstreams, uint32_t config_index) {
    check(config_index < UPSTREAMS_MAX);
    return &upstreams->items[upstreams->of_config[config_index]];
}
