// Exchanges: from being asked for to END or FAILED.
#include "gateway/upstream/internal.h"

#include "core/base/check.h"
#include "core/hub/payload.h"

void exchange_tell(struct upstreams *upstreams, uint32_t exchange, struct upstream_event event) {
    if (exchange_is_check(upstreams, exchange)) {
        if (event.kind == UPSTREAM_HEAD) {
            health_on_head(upstreams, exchange);
        }
        return;
    }
    event.owner = exchange_at(upstreams, exchange)->owner;
    event.exchange = exchange;
    upstreams->owner.on_event(upstreams->owner.context, &event);
}

static void head_drop(struct upstreams *upstreams, struct upstream_exchange *exchange) {
    if (exchange->head != 0) {
        payload_drop(upstreams->arena, exchange->head);
        exchange->head = 0;
    }
}

// Takes it off its line, which then has none.
static void line_leave(struct upstreams *upstreams, struct upstream_exchange *exchange) {
    if (exchange->line != 0) {
        struct upstream_line *line = line_at(upstreams, exchange->line);
        server_leave(upstream_of(upstreams, line), line->server, exchange, upstreams->now_ms);
        line->exchange = 0;
        exchange->line = 0;
    }
}

// Takes it off the queue; `before` is the one in front of it, 0: it is the first.
static void waiting_unlink(struct upstreams *upstreams, uint32_t before, uint32_t number) {
    struct upstream_exchange *exchange = exchange_at(upstreams, number);
    struct upstream *upstream = &upstreams->items[exchange->upstream];
    if (before == 0) {
        upstream->waiting_first = exchange->next;
    } else {
        exchange_at(upstreams, before)->next = exchange->next;
    }
    if (upstream->waiting_last == number) {
        upstream->waiting_last = before;
    }
    exchange->next = 0;
    upstream->waiting_count--;
    upstreams->waiting_count--;
}

static void waiting_remove(struct upstreams *upstreams, uint32_t number) {
    uint32_t before = 0;
    uint32_t at = upstreams->items[exchange_at(upstreams, number)->upstream].waiting_first;
    while (at != number) { // bounded by waiting_max
        check(at != 0);
        before = at;
        at = exchange_at(upstreams, at)->next;
    }
    waiting_unlink(upstreams, before, number);
}

static void waiting_add(struct upstreams *upstreams, uint32_t number) {
    struct upstream *upstream = &upstreams->items[exchange_at(upstreams, number)->upstream];
    if (upstream->waiting_last == 0) {
        upstream->waiting_first = number;
    } else {
        exchange_at(upstreams, upstream->waiting_last)->next = number;
    }
    upstream->waiting_last = number;
    upstream->waiting_count++;
    upstreams->waiting_count++;
}

// Frees it; nobody is told.
static void exchange_free(struct upstreams *upstreams, uint32_t number) {
    struct upstream_exchange *exchange = exchange_at(upstreams, number);
    uint16_t upstream = exchange->upstream;
    line_leave(upstreams, exchange);
    head_drop(upstreams, exchange);
    upstreams->items[upstream].pending--;
    upstreams->items[upstream].taken_over -= (exchange->flags & EXCHANGE_RAW) != 0;
    pool_give(&upstreams->exchanges, number);
    upstream_settle(upstreams, upstream);
}

void exchange_end(struct upstreams *upstreams, uint32_t number, const struct fault *fault) {
    struct upstream_event event = {
        .kind = fault == NULL ? UPSTREAM_END : UPSTREAM_FAILED,
        .owner = exchange_at(upstreams, number)->owner,
        .exchange = number,
        .fault = fault,
    };
    bool is_check = exchange_is_check(upstreams, number);
    if (is_check) {
        health_on_end(upstreams, number, fault);
    }
    exchange_free(upstreams, number);
    if (!is_check) {
        upstreams->owner.on_event(upstreams->owner.context, &event);
    }
}

// Gives it a line or a place among those that wait. NULL, or why not.
static const struct fault *exchange_place(struct upstreams *upstreams, uint32_t number) {
    struct upstream_exchange *exchange = exchange_at(upstreams, number);
    struct upstream *upstream = &upstreams->items[exchange->upstream];
    bool has_room;
    uint8_t server = server_choose(upstream, exchange, upstreams->now_ms, &has_room);
    if (server == SERVER_NONE) {
        bool has_server = upstream_has_server(upstream);
        if (has_server || !upstream_is_resolving(upstream)) {
            return fault_get(has_server ? FAULT_upstream_down : FAULT_upstream_unresolved);
        }
    }
    if (has_room) {
        return line_take(upstreams, number, server) ? NULL : fault_get(FAULT_out_of_memory);
    }
    if (upstream->waiting_count >= upstream->waiting_max) {
        return fault_get(FAULT_upstream_busy);
    }
    waiting_add(upstreams, number);
    return NULL;
}

uint32_t upstream_ask(struct upstreams *upstreams, const struct upstream_ask *ask,
                      const struct fault **fault) {
    check(ask->upstream < UPSTREAMS_MAX && ask->head != 0);
    uint16_t at = upstreams->of_config[ask->upstream];
    struct upstream *upstream = &upstreams->items[at];
    check(upstream->is_used && !upstream->is_retired);
    counter_add(upstreams->counters, COUNTER_upstream_requests, 1);
    uint32_t number = pool_take(&upstreams->exchanges);
    if (number == 0) {
        payload_drop(upstreams->arena, ask->head);
        *fault = fault_get(FAULT_out_of_memory);
        return 0;
    }
    *exchange_at(upstreams, number) = (struct upstream_exchange){
        .owner = ask->owner,
        .head = ask->head,
        .hash = ask->hash,
        .asked_ms = (uint32_t)upstreams->now_ms,
        .asked_us = upstreams->now_us,
        .upstream = at,
        .flags = (uint8_t)(ask->flags | (ask->has_body ? EXCHANGE_HAS_BODY : 0)),
    };
    upstream->pending++;
    upstream->requests++;
    *fault = exchange_place(upstreams, number);
    if (*fault != NULL) {
        counter_add(upstreams->counters, COUNTER_upstream_refused, 1);
        exchange_free(upstreams, number);
        return 0;
    }
    return number;
}

void exchange_retry(struct upstreams *upstreams, uint32_t number, const struct fault *fault) {
    struct upstream_exchange *exchange = exchange_at(upstreams, number);
    exchange->tries++;
    line_leave(upstreams, exchange);
    bool may_try = exchange->tries < CONNECT_TRIES_MAX && exchange->head != 0;
    if (!may_try || exchange_place(upstreams, number) != NULL) {
        exchange_end(upstreams, number, fault);
    }
}

// One pass over those that wait, the oldest first. True: the owner was told of a failure, so that
// the queue may be another by now.
static bool serve(struct upstreams *upstreams, struct upstream *upstream) {
    uint32_t before = 0;
    uint32_t number = upstream->waiting_first;
    while (number != 0 && upstream_has_room(upstream, upstreams->now_ms)) {
        uint32_t next = exchange_at(upstreams, number)->next;
        bool has_room;
        uint8_t server =
            server_choose(upstream, exchange_at(upstreams, number), upstreams->now_ms, &has_room);
        if (!has_room) { // its servers are busy, or out: others may go elsewhere
            before = number;
        } else {
            waiting_unlink(upstreams, before, number);
            if (!line_take(upstreams, number, server)) {
                exchange_end(upstreams, number, fault_get(FAULT_out_of_memory));
                return true;
            }
        }
        number = next;
    }
    return false;
}

void exchange_serve(struct upstreams *upstreams) {
    for (uint32_t i = 0; upstreams->waiting_count > 0 && i < upstreams->item_end; i++) {
        struct upstream *upstream = &upstreams->items[i];
        while (upstream->waiting_count > 0 && serve(upstreams, upstream)) {
            // Bounded: each such pass has taken one off the queue.
        }
    }
}

// They wait in the order in which they came, all equally long.
static void expire_one(struct upstreams *upstreams, struct upstream *upstream) {
    while (upstream->waiting_first != 0) {
        uint32_t number = upstream->waiting_first;
        uint32_t waited_ms = (uint32_t)upstreams->now_ms - exchange_at(upstreams, number)->asked_ms;
        bool is_hopeless = !upstream_has_server(upstream) && !upstream_is_resolving(upstream);
        if (waited_ms < upstream->connect_ms && !is_hopeless) {
            return;
        }
        enum fault_id fault =
            upstream_has_server(upstream) ? FAULT_upstream_busy : FAULT_upstream_unresolved;
        waiting_remove(upstreams, number);
        counter_add(upstreams->counters, COUNTER_upstream_refused, 1);
        exchange_end(upstreams, number, fault_get(fault));
    }
}

void exchange_expire(struct upstreams *upstreams) {
    for (uint32_t i = 0; upstreams->waiting_count > 0 && i < upstreams->item_end; i++) {
        if (upstreams->items[i].is_used) {
            expire_one(upstreams, &upstreams->items[i]);
        }
    }
}

// --- the owner's orders

static struct upstream_line *line_of(const struct upstreams *upstreams, uint32_t exchange) {
    uint32_t line = exchange_at(upstreams, exchange)->line;
    return line == 0 ? NULL : line_at(upstreams, line);
}

void upstream_send(struct upstreams *upstreams, uint32_t exchange, uint32_t payload) {
    const struct upstream_line *line = line_of(upstreams, exchange);
    check(line != NULL && line->state >= LINE_ANSWER); // SENT was told
    line_put(upstreams, exchange_at(upstreams, exchange)->line, payload);
}

uint8_t *upstream_run_room(struct upstreams *upstreams, uint32_t exchange, uint32_t bytes) {
    const struct upstream_line *line = line_of(upstreams, exchange);
    check(line != NULL && line->state == LINE_RAW);
    return line_run_room(upstreams, exchange_at(upstreams, exchange)->line, bytes);
}

void upstream_send_end(struct upstreams *upstreams, uint32_t exchange) {
    struct upstream_line *line = line_of(upstreams, exchange);
    check(line != NULL && line->state >= LINE_ANSWER);
    line_set(line, LINE_ASKED);
    line->progress_ms = (uint32_t)upstreams->now_ms;
    line_arm(upstreams, exchange_at(upstreams, exchange)->line);
}

uint32_t upstream_queued_bytes(const struct upstreams *upstreams, uint32_t exchange) {
    const struct upstream_line *line = line_of(upstreams, exchange);
    return line == NULL ? 0 : line->outbox.queued_bytes;
}

void upstream_pause(struct upstreams *upstreams, uint32_t exchange) {
    struct upstream_line *line = line_of(upstreams, exchange);
    check(line != NULL);
    line_set(line, LINE_PAUSED);
}

void upstream_unpause(struct upstreams *upstreams, uint32_t exchange) {
    struct upstream_line *line = line_of(upstreams, exchange);
    check(line != NULL);
    if (line_has(line, LINE_PAUSED)) {
        line_clear(line, LINE_PAUSED);
        line->progress_ms = (uint32_t)upstreams->now_ms; // its silence was our doing
        line_arm(upstreams, exchange_at(upstreams, exchange)->line);
        line_touch(upstreams, exchange_at(upstreams, exchange)->line);
    }
}

void upstream_take_over(struct upstreams *upstreams, uint32_t exchange) {
    struct upstream_line *line = line_of(upstreams, exchange);
    check(line != NULL && line->state == LINE_ANSWER);
    exchange_at(upstreams, exchange)->flags |= EXCHANGE_RAW;
    upstream_of(upstreams, line)->taken_over++;
    line_move(upstreams, exchange_at(upstreams, exchange)->line, LINE_RAW);
}

void upstream_alarm(struct upstreams *upstreams, uint32_t exchange, uint32_t in_ms) {
    struct upstream_exchange *at = exchange_at(upstreams, exchange);
    check(at->line != 0 && in_ms <= TIME_MS_MAX);
    uint32_t due = (uint32_t)upstreams->now_ms + in_ms;
    at->alarm_ms = in_ms == 0 ? 0 : due + (due == 0); // 0 is none
    line_arm(upstreams, at->line);
}

void upstream_drop(struct upstreams *upstreams, uint32_t exchange, bool flushes) {
    uint32_t line = exchange_at(upstreams, exchange)->line;
    if (line == 0) {
        waiting_remove(upstreams, exchange);
    }
    exchange_free(upstreams, exchange);
    if (line != 0) {
        line_close(upstreams, line, flushes);
    }
}
