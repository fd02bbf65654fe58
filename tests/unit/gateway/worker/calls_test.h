// For the tests of worker_calls: a worker's parts over reserved memory and the fake io; the control
// thread is a bus that reads its mail.
#pragma once
#include "core/hub/payload.h"
#include "core/ws/frame.h"
#include "gateway/worker/call.h"
#include "gateway/worker/worker.h"
#include "tests/unit/core/conn/conn_test.h"
#include "tests/unit/gateway/link/fake_io.h"
#include "tests/unit/gateway/route/harness.h"
#include "tests/unit/gateway/worker/services_test.h"

enum { ARENA_BYTES = 16 << 20, CONNS = 40, NAMES = 1000, CONTROL = 1, TOKEN = 77 };

#define ROUTES                                                                                     \
    "  - {path: /echo, echo: {}}\n"                                                                \
    "  - {path: \"/chat/{room}\", channels: {subscribe: [\"chat.{room}\"]}, backpressure: "        \
    "{queue: 1KiB, policy: drop_newest}}\n"

struct io_bell {
    uint32_t rings;
};

void io_doorbell_ring(struct io_doorbell doorbell) {
    doorbell.bell->rings++;
}

struct io_stats io_stats(const struct io *io) {
    return (struct io_stats){.enters = io->ring_count * 10};
}

uint64_t io_ring_bytes(const struct io *io) {
    return io->ring_count * UINT64_C(1000);
}

struct rig {
    struct worker worker;
    struct io io;
    struct io_bell bell;
    struct bus control;
    struct arena control_arena;
    struct counters control_counters;
    struct link_slot slots[FAKE_RINGS * FAKE_SLOTS];
    struct address addresses[CONNS + 1];
    uint32_t sessions[CONNS + 1];
    uint8_t notes[CONNS + 1];
    struct stream_paused paused[2 * CONNS];
    struct conn_settings settings[SETTINGS_MAX];
    struct stream_rule rules[SETTINGS_MAX];
    struct bus_event answer; // the last one
};

static inline void arena_make(struct arena *arena) {
    arena_init(arena, conn_test_reserve(ARENA_BYTES),
               conn_test_reserve(arena_book_bytes(ARENA_BYTES)), ARENA_BYTES);
}

static inline void pool_make(struct pool *pool, uint32_t element_bytes) {
    pool_init(pool, element_bytes, NAMES, conn_test_reserve(pool_space_bytes(element_bytes, NAMES)),
              conn_test_reserve(pool_book_bytes(element_bytes, NAMES)));
}

// Every site of this test's process: they outlive what a test looks at.
static struct site *sites[8];
static uint32_t site_count;

static inline struct site *site_make(const char *routes) {
    struct site *site = calloc(1, sizeof *site);
    cr_assert(site != NULL && site_count < sizeof sites / sizeof sites[0]);
    sites[site_count++] = site;
    site->config = routes_open(routes);
    site->routes = route_table_open(site->config);
    site->route_open = calloc(site->config->route_count, sizeof *site->route_open);
    site->worker_holds = 1;
    return site;
}

static inline void bus_make(struct rig *rig) {
    struct worker *worker = &rig->worker;
    struct bus_shared *shared = bus_shared_init(conn_test_reserve(bus_shared_bytes(1)), 1);
    struct bus_options options = {.shared = shared,
                                  .arena = &worker->arena,
                                  .counters = &worker->counters,
                                  .homes = &worker->homes,
                                  .buckets = conn_test_reserve(table_book_bytes(NAMES)),
                                  .backlog_bytes_max = 16 << 20};
    bus_init(&worker->bus, &options);
    bus_endpoint_set(&worker->bus, (struct io_doorbell){.bell = &rig->bell});
    struct bus_options control = {.shared = shared,
                                  .self = CONTROL,
                                  .arena = &rig->control_arena,
                                  .counters = &rig->control_counters,
                                  .backlog_bytes_max = 16 << 20};
    bus_init(&rig->control, &control);
    bus_endpoint_set(&rig->control, (struct io_doorbell){.bell = &rig->bell});
}

static inline void parts_make(struct rig *rig) {
    struct worker *worker = &rig->worker;
    struct conns *conns = &worker->clients.conns;
    *conns = (struct conns){.arena = &worker->arena,
                            .settings = rig->settings,
                            .counters = &worker->counters,
                            .trace = &worker->trace,
                            .round_trip = &worker->round_trip_ns};
    conn_test_conns(conns, CONNS, CONNS * 100, 1000000);
    worker->clients.addresses = rig->addresses;
    pool_make(&worker->channels, sizeof(struct hub_channel));
    pool_make(&worker->subscriptions, sizeof(struct hub_subscription));
    pool_make(&worker->messages, sizeof(struct hub_message));
    pool_make(&worker->homes, 64);
    static const uint64_t key[2] = {5, 6};
    hub_init(&worker->hub, &worker->channels, &worker->subscriptions, &worker->messages,
             &worker->arena, conn_test_reserve(table_book_bytes(NAMES)), key);
    link_init(&worker->clients.link, &(struct link_options){.io = &rig->io,
                                                            .ring_max = FAKE_RINGS,
                                                            .slots = {.data = (uint8_t *)rig->slots,
                                                                      .length = sizeof rig->slots},
                                                            .counters = &worker->counters,
                                                            .trace = &worker->trace});
}

static inline struct rig *rig_open(void) {
    struct rig *rig = calloc(1, sizeof *rig);
    cr_assert_not_null(rig);
    struct worker *worker = &rig->worker;
    worker->io = &rig->io;
    rig->io.ring_count = 1;
    rig->io.ring_max = FAKE_RINGS;
    worker->now_us = 5000000;
    worker->is_accepting = true;
    arena_make(&worker->arena);
    arena_make(&rig->control_arena);
    parts_make(rig);
    bus_make(rig);
    static const struct log_options quiet = {
        .name = "test", .ring_bytes = 1 << 16, .level = LOG_LEVEL_ERROR};
    worker->log = log_open(&quiet);
    static const uint64_t key[2] = {1, 2};
    const struct admission_limits limits = {.connections = 1000};
    uint64_t length = (admission_bytes(limits.connections) + 63) / 64 * 64;
    worker->stream =
        (struct stream){.conns = &worker->clients.conns,
                        .hub = &worker->hub,
                        .bus = &worker->bus,
                        .arena = &worker->arena,
                        .log = worker->log,
                        .admission = admission_init(conn_test_reserve(length), &limits, key),
                        .addresses = rig->addresses,
                        .sessions = rig->sessions,
                        .notes = rig->notes,
                        .paused = rig->paused,
                        .paused_max = 2 * CONNS,
                        .settings = rig->settings,
                        .rules = rig->rules};
    services_make(worker, CONNS);
    stream_site_set(&worker->stream, site_make(ROUTES));
    return rig;
}

// Sends what is queued; the bytes of the last piece are returned.
static inline struct span sent(struct rig *rig, uint32_t index) {
    static uint8_t bytes[4096];
    struct span pieces[SEND_PIECES_MAX];
    uint32_t count = conn_gather(&rig->worker.clients.conns, index, pieces);
    if (count == 0) {
        return span_empty();
    }
    struct span last = pieces[count - 1];
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += pieces[i].length;
    }
    cr_assert_leq(last.length, sizeof bytes);
    memcpy(bytes, last.data, last.length);
    conn_sent(&rig->worker.clients.conns, index, total);
    return span_make(bytes, last.length);
}

// A connection from that address, open on the path.
static inline uint32_t client(struct rig *rig, const char *path, const char *address) {
    struct conns *conns = &rig->worker.clients.conns;
    uint32_t index = conn_open(conns);
    cr_assert(address_parse_ip(span_text(address), &rig->addresses[index]));
    rig->addresses[index].kind = ADDRESS_IP;
    cr_assert(stream_on_open(&rig->worker.stream, index));
    uint32_t *peak = &rig->worker.clients.index_peak;
    *peak = index > *peak ? index : *peak;
    char request[512];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" HANDSHAKE_FIELDS, path);
    struct span_mut bytes = {.data = (uint8_t *)request, .length = (uint32_t)length};
    struct conn_event event = conn_feed(conns, index, &bytes);
    stream_on_ask(&rig->worker.stream, index, &event);
    struct bus_event mail;
    while (bus_next(&rig->worker.bus, &mail)) {
        stream_on_mail(&rig->worker.stream, &mail);
    }
    cr_assert_eq(conn_at(conns, index)->state, CONN_OPEN);
    sent(rig, index); // the 101
    return index;
}

static inline uint32_t generation_of(const struct rig *rig, uint32_t index) {
    return conn_at(&rig->worker.clients.conns, index)->generation;
}

static inline bool answer_next(struct rig *rig, enum call_kind kind) {
    bus_flush(&rig->worker.bus);
    if (!bus_next(&rig->control, &rig->answer)) {
        return false;
    }
    const struct mail *mail = &rig->answer.mail;
    cr_assert_eq(mail->kind, MAIL_ANSWER);
    cr_assert_eq(mail->words[0], TOKEN);
    cr_assert_eq(mail->words[1], (uint64_t)kind);
    cr_assert_eq(mail->words[2], rig->answer.body.length);
    return true;
}

// Makes the call and takes its first answer.
static const struct bus_event *call(struct rig *rig, enum call_kind kind, const uint64_t words[3],
                                    struct span body) {
    struct bus_event event = {.source = CONTROL,
                              .mail = {.kind = MAIL_CALL, .words = {TOKEN, kind, body.length}}};
    memcpy(event.mail.words + 3, words, 3 * sizeof words[0]);
    event.body = body;
    worker_on_call(&rig->worker, &event);
    cr_assert(answer_next(rig, kind), "no answer");
    return &rig->answer;
}
#define WORDS(...) ((const uint64_t[3]){__VA_ARGS__})

static const struct bus_event *call_query(struct rig *rig, enum call_kind kind,
                                          const struct call_query *query, uint64_t code) {
    return call(rig, kind, WORDS(0, 0, code), span_make(query, sizeof *query));
}

static inline void sites_free(void) {
    while (site_count > 0) {
        struct site *site = sites[--site_count];
        route_table_close(&site->routes);
        config_close(&site->config);
        free(site->route_open);
        free(site);
    }
}

static inline void rig_close(struct rig *rig) {
    struct conns *conns = &rig->worker.clients.conns;
    cr_assert_not(answer_next(rig, CALL_KIND_COUNT), "an answer too many");
    for (uint32_t index = 1; index <= CONNS; index++) {
        if (conn_at(conns, index)->state != CONN_FREE) {
            conn_kill(conns, index, FAULT_killed);
            stream_on_gone(&rig->worker.stream, index);
            conn_release(conns, index);
        }
    }
    struct bus_event mail;
    while (bus_next(&rig->worker.bus, &mail)) {
    }
    cr_assert_eq(rig->worker.arena.used_bytes, 0);
    cr_assert_eq(rig->control_arena.used_bytes, 0);
    cr_assert_eq(rig->worker.homes.used, 0);
    log_close(&rig->worker.log);
    free(rig);
    sites_free();
}
