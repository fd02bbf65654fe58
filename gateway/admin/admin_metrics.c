// GET /metrics: Prometheus text format 0.0.4, summed over the workers.
#include <stddef.h>
#include <stdlib.h>

#include "core/conn/conn.h"
#include "gateway/admin/internal.h"

void admin_metrics_begin(struct admin *admin, struct admin_request *request) {
    request->metrics = calloc(1, sizeof *request->metrics);
    if (request->metrics == NULL) {
        admin_error(admin, request, 500, "out of memory");
        return;
    }
    for (uint32_t i = 0; i < admin->options.worker_count; i++) {
        admin_call(admin, request, i, (struct mail){.words = {0, CALL_METRICS}}, span_empty());
    }
}

static void merge_counters(struct counters *sum, const struct counters *part) {
    for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
        sum->values[i] += part->values[i];
    }
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        sum->faults[i] += part->faults[i];
    }
    for (uint32_t i = 0; i < sizeof sum->close_codes_sent / sizeof sum->close_codes_sent[0]; i++) {
        sum->close_codes_sent[i] += part->close_codes_sent[i];
    }
}

// What the control thread counts for everybody: the log that it writes, the mail that it sends, the
// names that it looks up. Its own connections are the admin's, not clients.
static void merge_control(struct counters *sum, const struct counters *control) {
    static const enum counter_id ids[] = {
        COUNTER_log_write_errors,        COUNTER_dropped_mailbox,  COUNTER_mailbox_full,
        COUNTER_doorbells_sent,          COUNTER_upstream_lookups, COUNTER_upstream_lookups_failed,
        COUNTER_upstream_lookups_changed};
    for (uint32_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        sum->values[ids[i]] += control->values[ids[i]];
    }
}

static void merge_upstream(struct call_upstream *sum, const struct call_upstream *part) {
    sum->requests += part->requests;
    sum->failures += part->failures;
    sum->pending += part->pending;
    sum->waiting += part->waiting;
    sum->tunnels += part->tunnels;
    sum->servers += part->servers;
    sum->servers_out += part->servers_out;
    sum->servers_down += part->servers_down;
    sum->checks += part->checks;
    sum->checks_failed += part->checks_failed;
}

static void merge(struct call_metrics *sum, const struct call_metrics *part) {
    merge_counters(&sum->counters, &part->counters);
    histogram_merge(&sum->round_trip_ns, &part->round_trip_ns);
    histogram_merge(&sum->turn_ns, &part->turn_ns);
    histogram_merge(&sum->answer_ns, &part->answer_ns);
    for (uint32_t i = 0; i < 16; i++) {
        sum->by_state[i] += part->by_state[i];
    }
    sum->connections += part->connections;
    sum->queued_bytes += part->queued_bytes;
    sum->backlog_bytes += part->backlog_bytes;
    sum->channels += part->channels;
    sum->subscriptions += part->subscriptions;
    sum->rings += part->rings;
    sum->ring_slots += part->ring_slots * part->rings;
    sum->ring_slots_used += part->ring_slots_used;
    sum->enters += part->enters;
    sum->submission_full += part->submission_full;
    sum->completion_overflows += part->completion_overflows;
    sum->starved += part->starved;
    sum->zero_copy_sends += part->zero_copy_sends;
    sum->zero_copy_copied += part->zero_copy_copied;
    sum->zero_copy_refused += part->zero_copy_refused;
    sum->memory_tables += part->memory_tables;
    sum->memory_inputs += part->memory_inputs;
    sum->memory_entries += part->memory_entries;
    sum->memory_hub += part->memory_hub;
    sum->memory_arena_touched += part->memory_arena_touched;
    sum->memory_arena_used += part->memory_arena_used;
    sum->memory_rings += part->memory_rings;
    sum->memory_tls += part->memory_tls;
    sum->memory_tls_library += part->memory_tls_library;
    sum->tls_shaking += part->tls_shaking;
    for (uint32_t i = 0; i < UPSTREAMS_MAX; i++) {
        merge_upstream(&sum->upstreams[i], &part->upstreams[i]);
    }
    sum->uptime_ms = part->uptime_ms > sum->uptime_ms ? part->uptime_ms : sum->uptime_ms;
}

static void head_print(struct text *out, const char *name, const char *type, const char *help) {
    text_print(out, "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n", name, help, name, type);
}

static void gauge_print(struct text *out, const char *name, const char *help, uint64_t value) {
    head_print(out, name, "gauge", help);
    text_print(out, "holdfast_%s %llu\n", name, (unsigned long long)value);
}

static void counter_print(struct text *out, const char *name, const char *help, uint64_t value) {
    head_print(out, name, "counter", help);
    text_print(out, "holdfast_%s %llu\n", name, (unsigned long long)value);
}

static void counters_print(struct text *out, const struct counters *counters) {
    for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
        text_print(out,
                   "# HELP holdfast_%s_total %s\n# TYPE holdfast_%s_total "
                   "counter\nholdfast_%s_total %llu\n",
                   counter_texts[i].name, counter_texts[i].help, counter_texts[i].name,
                   counter_texts[i].name, (unsigned long long)counters->values[i]);
    }
    head_print(out, "faults_total", "counter", "Connections ended and requests refused, by cause");
    for (uint32_t i = 1; i < FAULT_COUNT; i++) {
        text_print(out, "holdfast_faults_total{fault=\"%s\"} %llu\n", fault_table[i].name,
                   (unsigned long long)counters->faults[i]);
    }
    head_print(out, "closes_total", "counter",
               "Close frames sent by code; 1006 counts connections cut without one");
    for (uint32_t i = 0;
         i < sizeof counters->close_codes_sent / sizeof counters->close_codes_sent[0]; i++) {
        if (counters->close_codes_sent[i] > 0) {
            text_print(out, "holdfast_closes_total{code=\"%u\"} %llu\n", 1000 + i,
                       (unsigned long long)counters->close_codes_sent[i]);
        }
    }
}

// Buckets at fixed bounds in seconds: those of the histogram whose upper edges they are closest to.
static void histogram_print(struct text *out, const char *name, const char *help,
                            const struct histogram *histogram) {
    static const struct {
        const char *text;
        uint64_t ns;
    } bounds[] = {{"0.00001", 10000},  {"0.0001", 100000},  {"0.001", 1000000}, {"0.005", 5000000},
                  {"0.01", 10000000},  {"0.025", 25000000}, {"0.05", 50000000}, {"0.1", 100000000},
                  {"0.25", 250000000}, {"0.5", 500000000},  {"1", 1000000000},  {"2.5", 2500000000},
                  {"5", 5000000000},   {"10", 10000000000}};
    head_print(out, name, "histogram", help);
    for (uint32_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        text_print(out, "holdfast_%s_bucket{le=\"%s\"} %llu\n", name, bounds[i].text,
                   (unsigned long long)histogram_count_below(histogram, bounds[i].ns));
    }
    text_print(out, "holdfast_%s_bucket{le=\"+Inf\"} %llu\n", name,
               (unsigned long long)histogram->count);
    text_print(out, "holdfast_%s_sum %.9f\nholdfast_%s_count %llu\n", name,
               (double)histogram->sum / 1e9, name, (unsigned long long)histogram->count);
}

static void states_print(struct text *out, const struct call_metrics *sum) {
    head_print(out, "connections", "gauge", "Connections by state");
    for (uint32_t i = CONN_HEAD; i < CONN_STATE_COUNT; i++) {
        text_print(out, "holdfast_connections{state=\"%s\"} %llu\n",
                   conn_state_name((enum conn_state)i), (unsigned long long)sum->by_state[i]);
    }
}

static void memory_print(struct text *out, const struct call_metrics *sum) {
    const struct {
        const char *owner;
        uint64_t bytes;
    } rows[] = {{"connections", sum->memory_tables},      {"inputs", sum->memory_inputs},
                {"queues", sum->memory_entries},          {"channels", sum->memory_hub},
                {"payloads", sum->memory_arena_touched},  {"tls", sum->memory_tls},
                {"tls_library", sum->memory_tls_library}, {"rings", sum->memory_rings}};
    head_print(out, "memory_bytes", "gauge",
               "User memory by owner: pages touched, rings as reserved");
    uint64_t per_connection = 0;
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        text_print(out, "holdfast_memory_bytes{owner=\"%s\"} %llu\n", rows[i].owner,
                   (unsigned long long)rows[i].bytes);
        per_connection += i + 2 < sizeof rows / sizeof rows[0] ? rows[i].bytes : 0;
    }
    gauge_print(out, "payload_bytes", "Payload memory in use", sum->memory_arena_used);
    gauge_print(out, "connection_memory_bytes",
                "User memory per connection, without rings and the TLS library",
                sum->connections == 0 ? 0 : per_connection / sum->connections);
}

// When certificates end, by the listener that shows them.
static void expiries_print(struct text *out, const struct admin *admin) {
    if (admin->expiry_count == 0) {
        return;
    }
    head_print(out, "tls_certificate_expiry_seconds", "gauge",
               "When the listener's first certificate to end does, in seconds since 1970 UTC");
    for (uint32_t i = 0; i < admin->expiry_count; i++) {
        const struct admin_expiry *expiry = &admin->expiries[i];
        text_print(out, "holdfast_tls_certificate_expiry_seconds{listener=\"%.*s\"} %lld\n",
                   (int)expiry->listener.length, (const char *)expiry->listener.data,
                   (long long)expiry->expiry_s);
    }
}

// A family with a line for each upstream, whose number lies so far into struct call_upstream.
static void upstream_family(struct text *out, const struct config *config,
                            const struct call_metrics *sum, size_t offset,
                            const char *const row[3]) {
    head_print(out, row[0], row[1], row[2]);
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        struct span name = config->upstreams[i].name;
        uint64_t value;
        memcpy(&value, (const char *)&sum->upstreams[i] + offset, sizeof value);
        text_print(out, "holdfast_%s{upstream=\"%.*s\"} %llu\n", row[0], (int)name.length,
                   (const char *)name.data, (unsigned long long)value);
    }
}

static void upstreams_print(struct text *out, const struct config *config,
                            const struct call_metrics *sum) {
    static const struct {
        size_t offset;
        const char *row[3];
    } families[] = {
        {offsetof(struct call_upstream, requests),
         {"upstream_asked_total", "counter", "Requests and handshakes, by upstream"}},
        {offsetof(struct call_upstream, failures),
         {"upstream_failed_total", "counter",
          "Connections, answers and deadlines that failed, by upstream"}},
        {offsetof(struct call_upstream, pending),
         {"upstream_pending", "gauge", "Requests without a complete answer"}},
        {offsetof(struct call_upstream, waiting),
         {"upstream_waiting", "gauge", "Of those: the ones that wait for a connection"}},
        {offsetof(struct call_upstream, tunnels),
         {"upstream_tunnels", "gauge", "WebSocket tunnels that are open"}},
        {offsetof(struct call_upstream, servers),
         {"upstream_servers", "gauge", "Servers that are known, counted on each worker"}},
        {offsetof(struct call_upstream, servers_down),
         {"upstream_servers_down", "gauge",
          "Of those: the ones that health checks took out, counted on each worker"}},
        {offsetof(struct call_upstream, checks),
         {"upstream_checks_total", "counter", "Health checks of servers, by upstream"}},
        {offsetof(struct call_upstream, checks_failed),
         {"upstream_checks_failed_total", "counter",
          "Health checks without an answer of 200 to 399 in time, by upstream"}},
        {offsetof(struct call_upstream, servers_out),
         {"upstream_servers_out", "gauge",
          "Servers that are not asked after failures in a row, counted per worker"}},
    };
    for (uint32_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        upstream_family(out, config, sum, families[i].offset, families[i].row);
    }
}

static void all_print(struct text *out, const struct admin *admin, const struct call_metrics *sum) {
    gauge_print(out, "up", "1 while the process runs", 1);
    gauge_print(out, "ready", "1 while new connections are welcome", admin->is_ready);
    gauge_print(out, "draining", "1 while connections are being closed for a restart",
                admin->is_draining);
    head_print(out, "build_info", "gauge", "Version of this build");
    text_print(out, "holdfast_build_info{version=\"%s\"} 1\n", HOLDFAST_VERSION);
    gauge_print(out, "uptime_seconds", "Seconds since the workers started", sum->uptime_ms / 1000);
    states_print(out, sum);
    gauge_print(out, "channels", "Channels with subscribers, counted per worker", sum->channels);
    gauge_print(out, "subscriptions", "Subscriptions of clients", sum->subscriptions);
    gauge_print(out, "queue_bytes", "Bytes that wait for clients", sum->queued_bytes);
    gauge_print(out, "backlog_bytes", "Bytes that wait for other threads", sum->backlog_bytes);
    gauge_print(out, "rings", "Rings in use", sum->rings);
    gauge_print(out, "ring_slots", "Direct descriptors of all rings", sum->ring_slots);
    gauge_print(out, "ring_slots_used", "Direct descriptors in use", sum->ring_slots_used);
    gauge_print(out, "receive_waiting", "Connections that wait for a receive buffer right now",
                sum->starved);
    counter_print(out, "ring_enters_total", "System calls into the rings", sum->enters);
    counter_print(out, "ring_submission_full_total",
                  "Operations that found the submission queue full and submitted it first",
                  sum->submission_full);
    counter_print(out, "ring_completion_overflows_total",
                  "Times the kernel kept completions back because the completion queue was full",
                  sum->completion_overflows);
    counter_print(out, "zero_copy_sends_total", "Sends from registered memory (engine.zero_copy)",
                  sum->zero_copy_sends);
    counter_print(out, "zero_copy_copied_total",
                  "Of those, copied by the kernel after all: the way to the peer allows no other",
                  sum->zero_copy_copied);
    counter_print(out, "zero_copy_refused_total",
                  "Times that memory could not be registered: the limit of locked memory",
                  sum->zero_copy_refused);
    gauge_print(out, "tls_handshakes_in_progress", "TLS handshakes in progress", sum->tls_shaking);
    expiries_print(out, admin);
    counters_print(out, &sum->counters);
    histogram_print(out, "ping_round_trip_seconds", "Keepalive ping to its pong",
                    &sum->round_trip_ns);
    histogram_print(out, "turn_seconds", "Work of one turn of a worker, without its wait",
                    &sum->turn_ns);
    histogram_print(out, "upstream_answer_seconds",
                    "A request for a service to the head of its answer", &sum->answer_ns);
    if (admin->options.config->upstream_count > 0) {
        upstreams_print(out, admin->options.config, sum);
    }
    memory_print(out, sum);
}

void admin_metrics_answer(struct admin *admin, struct admin_request *request,
                          const struct bus_event *event) {
    if (event->body.length == sizeof(struct call_metrics)) {
        struct call_metrics *part =
            malloc(sizeof *part); // too large for the stack's comfort, and to be aligned
        if (part != NULL) {
            memcpy(part, event->body.data, sizeof *part);
            merge(request->metrics, part);
            free(part);
        }
    }
    if (request->waiting == 0) {
        merge_control(&request->metrics->counters, admin->options.bus->counters);
        all_print(&request->out, admin, request->metrics);
        admin_answer_out(admin, request, 200, "text/plain; version=0.0.4");
    }
}
