// Calls of the control thread (call.h), carried out in this worker's own turn.
#include <errno.h>

#include "core/base/check.h"
#include "core/hub/payload.h"
#include "core/ws/close.h"
#include "core/ws/frame.h"
#include "gateway/worker/call.h"
#include "gateway/worker/worker.h"

enum { ANSWER_BYTES_MAX = 64 << 10 }; // of one answer mail: longer answers come in several

struct answer {
    struct mail mail;
    uint32_t target;
};

static struct answer answer_begin(const struct bus_event *call) {
    return (struct answer){
        .mail = {.kind = MAIL_ANSWER, .words = {call->mail.words[0], call->mail.words[1]}},
        .target = call->source};
}

static void answer_send(struct worker *worker, struct answer *answer, struct span body,
                        bool has_more) {
    answer->mail.words[2] = body.length;
    answer->mail.words[3] = has_more;
    if (!bus_send(&worker->bus, answer->target, &answer->mail, span_empty(), body)) {
        // No memory even for an answer: the caller's deadline reports it.
        counter_add(&worker->counters, COUNTER_dropped_mailbox, 1);
    }
}

static void on_site(struct worker *worker, const struct bus_event *call) {
    struct site *site = (struct site *)(uintptr_t)call->mail.words[3];
    struct answer answer = answer_begin(call);
    // What may refuse looks first: nothing is half-applied.
    bool is_set = stream_site_fits(&worker->stream, site) &&
                  upstreams_config_set(&worker->upstreams, site->config);
    if (is_set) {
        stream_site_set(&worker->stream, site);
        forwards_config_set(&worker->forwards, site->config);
        worker->worker_queue_bytes = site->config->worker_queue_bytes;
        worker->secures.contexts = site->tls;
        upstreams_dialers_set(&worker->upstreams, site->config, site->dialers);
        worker->clients.proxies = site->proxies;
    } else { // it was counted as one that will use it
        atomic_fetch_sub_explicit(&site->worker_holds, 1, memory_order_release);
    }
    answer.mail.words[4] = is_set ? 0 : (uint64_t)-ENOSPC;
    worker->site_answer = answer.mail;
    worker->site_caller = answer.target;
    worker->owes_site_answer = true;
    worker_answer_owed(worker);
}

void worker_answer_owed(struct worker *worker) {
    bool is_sent =
        worker->owes_site_answer && bus_send(&worker->bus, worker->site_caller,
                                             &worker->site_answer, span_empty(), span_empty());
    worker->owes_site_answer = worker->owes_site_answer && !is_sent;
}

static void accept_set(struct worker *worker, bool is_accepting) {
    worker->is_accepting = is_accepting;
    link_hold_accept(&worker->clients.link, !is_accepting);
}

static void on_drain(struct worker *worker, const struct bus_event *call) {
    accept_set(worker, false);
    worker->stream.is_draining = true;
    conns_drain(&worker->clients.conns, (uint32_t)call->mail.words[3]);
    worker->drain_cursor = 1;
    struct answer answer = answer_begin(call);
    answer_send(worker, &answer, span_empty(), false);
}

static void metrics_count(const struct worker *worker, struct call_metrics *metrics) {
    for (uint32_t i = 1; i <= worker->clients.index_peak; i++) {
        metrics->by_state[conn_at(&worker->clients.conns, i)->state]++;
    }
    metrics->by_state[CONN_FREE] = 0;
}

static void metrics_memory(const struct worker *worker, struct call_metrics *metrics) {
    const struct conns *conns = &worker->clients.conns;
    uint64_t peak = worker->clients.index_peak;
    uint64_t side = sizeof(link_id) + sizeof(struct address) + sizeof(uint32_t) + 1;
    metrics->memory_tables = pool_touched_bytes(&conns->pool) + peak * side +
                             worker->clients.link.used_total * sizeof(struct link_slot);
    metrics->memory_inputs = pool_touched_bytes(&conns->inputs);
    metrics->memory_entries = pool_touched_bytes(&conns->entries);
    metrics->memory_hub = hub_bytes(&worker->hub) + pool_touched_bytes(&worker->homes);
    metrics->memory_arena_touched = worker->arena.touched_bytes;
    metrics->memory_arena_used = worker->arena.used_bytes;
    metrics->memory_rings = io_ring_bytes(worker->io);
    const struct secures *secures = worker->clients.secures;
    if (secures != NULL) {
        metrics->memory_tls = secures_touched_bytes(secures, peak);
        metrics->memory_tls_library = secures->memory.touched_bytes;
        metrics->tls_shaking = secures->shake_count;
    }
}

static void metrics_upstreams(const struct worker *worker, struct call_metrics *metrics) {
    const struct config *config = worker->stream.site->config;
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        const struct upstream *upstream = upstream_get(&worker->upstreams, i);
        struct call_upstream *line = &metrics->upstreams[i];
        *line = (struct call_upstream){.requests = upstream->requests,
                                       .failures = upstream->errors,
                                       .pending = upstream->pending - upstream->taken_over,
                                       .waiting = upstream->waiting_count,
                                       .tunnels = upstream->taken_over,
                                       .checks = upstream->checks,
                                       .checks_failed = upstream->checks_failed};
        for (uint32_t j = 0; j < upstream->server_count; j++) {
            bool is_present = upstream_server_is_present(&upstream->servers[j]);
            line->servers += is_present;
            line->servers_down += is_present && upstream->servers[j].is_down;
            line->servers_out += is_present && upstream->servers[j].breaker != UPSTREAM_CLOSED;
        }
    }
}

// Walks the connection table: a line per connection, 64 bytes each, so about a millisecond per
// 100,000.
static void on_metrics(struct worker *worker, const struct bus_event *call) {
    uint32_t block = arena_take(&worker->arena, sizeof(struct call_metrics));
    struct answer answer = answer_begin(call);
    if (block == 0) {
        answer_send(worker, &answer, span_empty(), false);
        return;
    }
    struct call_metrics *metrics = (struct call_metrics *)(void *)arena_at(&worker->arena, block);
    struct io_stats stats = io_stats(worker->io);
    *metrics = (struct call_metrics){.counters = worker->counters,
                                     .round_trip_ns = worker->round_trip_ns,
                                     .turn_ns = worker->turn_ns,
                                     .answer_ns = worker->answer_ns,
                                     .connections = worker->clients.conns.pool.used,
                                     .queued_bytes = worker->clients.conns.outboxes.held_bytes,
                                     .channels = worker->channels.used,
                                     .subscriptions = worker->hub.subscription_count,
                                     .rings = io_ring_count(worker->io),
                                     .ring_slots = io_ring_slots(worker->io),
                                     .ring_slots_used = worker->clients.link.used_total,
                                     .enters = stats.enters,
                                     .submission_full = stats.submission_full,
                                     .completion_overflows = stats.completion_overflows,
                                     .zero_copy_sends = stats.zero_copy_sends,
                                     .zero_copy_copied = stats.zero_copy_copied,
                                     .zero_copy_refused = stats.zero_copy_refused,
                                     .starved = worker->clients.link.starved_count,
                                     .uptime_ms = worker->now_us / 1000 - worker->opened_ms,
                                     .is_accepting = worker->is_accepting,
                                     .is_draining = worker->stream.is_draining};
    for (uint32_t i = 0; i < worker->bus.shared->thread_count; i++) {
        metrics->backlog_bytes += worker->bus.backlogs[i].bytes;
    }
    metrics_count(worker, metrics);
    metrics_memory(worker, metrics);
    metrics_upstreams(worker, metrics);
    answer_send(worker, &answer, span_make(metrics, sizeof *metrics), false);
    arena_give(&worker->arena, block);
}

static struct call_connection describe(const struct worker *worker, uint32_t index) {
    const struct conns *conns = &worker->clients.conns;
    const struct conn *conn = conn_at(conns, index);
    struct conn_bytes bytes = conn_bytes(conns, index);
    uint32_t subscriptions = hub_subscription_count(&worker->hub, conn->subscriptions);
    uint32_t side = sizeof(link_id) + sizeof(struct address) + sizeof(uint32_t) + 1;
    struct call_connection line = {
        .index = index,
        .generation = conn->generation,
        .worker = (uint16_t)worker->index,
        .state = conn->state,
        .is_envelope = conn_has(conn, CONN_ENVELOPE),
        .round_trip_us = conn_round_trip_us(conn),
        .age_ms = (uint32_t)conns->now_ms - conn->opened_ms,
        .silent_ms = (uint32_t)conns->now_ms - conn->read_ms,
        .queued_bytes = conn->outbox.queued_bytes,
        .subscriptions = subscriptions,
        .address = worker->clients.addresses[index],
        .table_bytes = (uint32_t)(sizeof(struct conn) + sizeof(struct link_slot)) + side,
        .input_bytes = (uint32_t)bytes.input,
        .queue_memory_bytes = (uint32_t)bytes.queued,
        .subscription_bytes = subscriptions * (uint32_t)sizeof(struct hub_subscription)};
    const struct config_route *route = stream_route(&worker->stream, index);
    if (route != NULL) {
        uint32_t length =
            route->path.text.length < CALL_ROUTE_BYTES ? route->path.text.length : CALL_ROUTE_BYTES;
        memcpy(line.route, route->path.text.data, length);
        line.route_bytes = (uint8_t)length;
    }
    return line;
}

static bool is_subscribed(const struct worker *worker, uint32_t index, struct span channel) {
    const struct hub *hub = &worker->hub;
    uint32_t at = conn_at(&worker->clients.conns, index)->subscriptions;
    // Bounded by limits.channels.
    while (at != 0) {
        const struct hub_subscription *subscription = pool_at(hub->subscriptions, at);
        if (span_equal(hub_channel_name(hub, subscription->channel), channel)) {
            return true;
        }
        at = subscription->owner_next;
    }
    return false;
}

static bool matches(const struct worker *worker, uint32_t index, const struct call_query *query) {
    const struct conn *conn = conn_at(&worker->clients.conns, index);
    if (conn->state == CONN_FREE || (query->state != 0 && conn->state != query->state - 1)) {
        return false;
    }
    if (query->has_address &&
        !address_ip_equal(&query->address, &worker->clients.addresses[index])) {
        return false;
    }
    if (query->route_bytes > 0) {
        const struct config_route *route = stream_route(&worker->stream, index);
        if (route == NULL ||
            !span_equal(route->path.text, span_make(query->route, query->route_bytes))) {
            return false;
        }
    }
    return query->channel_bytes == 0 ||
           is_subscribed(worker, index, span_make(query->channel, query->channel_bytes));
}

static bool query_read(const struct bus_event *call, struct call_query *query) {
    if (call->body.length != sizeof *query) {
        return false;
    }
    memcpy(query, call->body.data, sizeof *query);
    return true;
}

static void on_connections(struct worker *worker, const struct bus_event *call) {
    struct call_query query;
    struct answer answer = answer_begin(call);
    uint32_t block = arena_take(&worker->arena, CALL_PAGE_MAX * sizeof(struct call_connection));
    if (block == 0 || !query_read(call, &query)) {
        answer_send(worker, &answer, span_empty(), false);
        if (block != 0) {
            arena_give(&worker->arena, block);
        }
        return;
    }
    struct call_connection *lines =
        (struct call_connection *)(void *)arena_at(&worker->arena, block);
    uint32_t count = 0;
    uint32_t count_max = query.count_max < CALL_PAGE_MAX ? query.count_max : CALL_PAGE_MAX;
    for (uint32_t i = query.after_index + 1; i <= worker->clients.index_peak && count < count_max;
         i++) {
        if (matches(worker, i, &query)) {
            lines[count++] = describe(worker, i);
        }
    }
    answer_send(worker, &answer, span_make(lines, count * (uint32_t)sizeof *lines), false);
    arena_give(&worker->arena, block);
}

static void on_connection(struct worker *worker, const struct bus_event *call) {
    struct answer answer = answer_begin(call);
    uint32_t index = (uint32_t)call->mail.words[3];
    if (!clients_is_live(&worker->clients, index, (uint32_t)call->mail.words[4])) {
        answer_send(worker, &answer, span_empty(), false);
        return;
    }
    struct call_connection line = describe(worker, index);
    answer_send(worker, &answer, span_make(&line, sizeof line), false);
}

static void on_send(struct worker *worker, const struct bus_event *call) {
    struct answer answer = answer_begin(call);
    answer.mail.words[4] = CALL_SEND_GONE;
    uint32_t index = (uint32_t)call->mail.words[3];
    if (clients_is_live(&worker->clients, index, (uint32_t)call->mail.words[4])) {
        uint32_t payload = payload_frame(&worker->arena, (uint8_t)call->mail.words[5], call->body);
        if (payload != 0) {
            enum conn_send_result result = conn_send(&worker->clients.conns, index, payload, 0);
            payload_drop(&worker->arena, payload);
            answer.mail.words[4] = result == CONN_SENT_QUEUED    ? CALL_SEND_QUEUED
                                   : result == CONN_SENT_DROPPED ? CALL_SEND_DROPPED
                                                                 : CALL_SEND_GONE;
        }
    }
    answer_send(worker, &answer, span_empty(), false);
}

static void close_one(struct worker *worker, uint32_t index, uint16_t code, struct span reason) {
    conn_close(&worker->clients.conns, index,
               &(struct conn_close_options){
                   .fault = FAULT_closed_by_operator, .code = code, .reason = reason});
}

static void on_close(struct worker *worker, const struct bus_event *call) {
    struct answer answer = answer_begin(call);
    uint32_t index = (uint32_t)call->mail.words[3];
    if (clients_is_live(&worker->clients, index, (uint32_t)call->mail.words[4])) {
        close_one(worker, index, (uint16_t)call->mail.words[5], call->body);
        answer.mail.words[4] = 1;
    }
    answer_send(worker, &answer, span_empty(), false);
}

static void on_close_all(struct worker *worker, const struct bus_event *call) {
    struct answer answer = answer_begin(call);
    struct call_query query;
    bool is_read = query_read(call, &query);
    for (uint32_t i = 1; is_read && i <= worker->clients.index_peak; i++) {
        if (matches(worker, i, &query) && conn_at(&worker->clients.conns, i)->state == CONN_OPEN) {
            close_one(worker, i, (uint16_t)call->mail.words[5], span_empty());
            answer.mail.words[4]++;
        }
    }
    answer_send(worker, &answer, span_empty(), false);
}

static void on_channels(struct worker *worker, const struct bus_event *call) {
    struct answer answer = answer_begin(call);
    uint32_t block = arena_take(&worker->arena, ANSWER_BYTES_MAX);
    if (block == 0) {
        answer_send(worker, &answer, span_empty(), false);
        return;
    }
    uint8_t *bytes = arena_at(&worker->arena, block);
    uint64_t cursor = call->mail.words[3];
    uint32_t used = 0;
    uint32_t index = 0;
    for (uint64_t count = 0; count < call->mail.words[4]; count++) {
        if (used + 5 + CHANNEL_NAME_BYTES_MAX > ANSWER_BYTES_MAX) {
            break;
        }
        index = table_next(&worker->bus.names, &cursor);
        if (index == 0) {
            break;
        }
        const struct home_channel *home = pool_at(&worker->homes, index);
        struct span name = span_make(arena_at(&worker->arena, home->name_block), home->name_bytes);
        uint32_t subscribers = home->subscribers;
        memcpy(bytes + used, &subscribers, 4);
        bytes[used + 4] = (uint8_t)name.length;
        memcpy(bytes + used + 5, name.data, name.length);
        used += 5 + name.length;
    }
    answer.mail.words[4] = index == 0 ? 0 : cursor;
    answer_send(worker, &answer, span_make(bytes, used), false);
    arena_give(&worker->arena, block);
}

static void on_trace(struct worker *worker, const struct bus_event *call) {
    struct answer answer = answer_begin(call);
    const struct trace *trace = &worker->trace;
    uint32_t start = (uint32_t)(trace->count % TRACE_RECORDS);
    bool has_wrapped = trace->count > TRACE_RECORDS;
    if (has_wrapped) {
        answer_send(worker, &answer,
                    span_make(&trace->records[start],
                              (TRACE_RECORDS - start) * (uint32_t)sizeof trace->records[0]),
                    true);
    }
    answer_send(worker, &answer,
                span_make(trace->records, start * (uint32_t)sizeof trace->records[0]), false);
}

static void on_simple(struct worker *worker, const struct bus_event *call) {
    struct answer answer = answer_begin(call);
    if (call->mail.words[1] == CALL_STOP) {
        worker_stop(worker);
    } else if (call->mail.words[1] == CALL_LOG_LEVEL) {
        log_level_set(worker->log, (enum log_level)call->mail.words[3]);
    } else if (call->mail.words[1] == CALL_ACCEPT) {
        accept_set(worker, call->mail.words[3] != 0);
    } else if (call->mail.words[1] == CALL_NAMES) {
        upstreams_names_set(&worker->upstreams, call->body);
    }
    answer_send(worker, &answer, span_empty(), false);
}

void worker_on_call(struct worker *worker, const struct bus_event *event) {
    static void (*const handlers[CALL_KIND_COUNT])(struct worker *, const struct bus_event *) = {
        [CALL_SITE] = on_site,
        [CALL_DRAIN] = on_drain,
        [CALL_STOP] = on_simple,
        [CALL_METRICS] = on_metrics,
        [CALL_CONNECTIONS] = on_connections,
        [CALL_CONNECTION] = on_connection,
        [CALL_SEND] = on_send,
        [CALL_CLOSE] = on_close,
        [CALL_CLOSE_ALL] = on_close_all,
        [CALL_CHANNELS] = on_channels,
        [CALL_TRACE] = on_trace,
        [CALL_LOG_LEVEL] = on_simple,
        [CALL_ACCEPT] = on_simple,
        [CALL_NAMES] = on_simple,
    };
    check(event->mail.words[1] < CALL_KIND_COUNT);
    handlers[event->mail.words[1]](worker, event);
}
