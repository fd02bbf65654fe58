// For the tests of gateway/stream: one worker's connections, hub, bus and stream over a
// configuration, stepped by hand as gateway/worker does. Clients are texts in and texts out.
// Everything must be given back at the end.
#pragma once
#include "core/hub/payload.h"
#include "core/ws/frame.h"
#include "gateway/auth/json_memory.h"
#include "gateway/stream/internal.h"
#include "tests/unit/core/conn/conn_test.h"
#include "tests/unit/gateway/link/fake_io.h"
#include "tests/unit/gateway/route/harness.h"

enum {
    STREAM_TEST_CONNS = CONN_TEST_CONNS,
    STREAM_TEST_NAMES = 1000,
    STREAM_TEST_MESSAGES = 10000,
};

struct io_bell {
    uint32_t rings;
};

// Stands in for the real one of gateway/io; there is nobody to wake.
void io_doorbell_ring(struct io_doorbell doorbell) {
    doorbell.bell->rings++;
}

struct stream_client {
    uint32_t index;
    uint32_t generation;
    struct stream_output *output; // what it received
};

struct stream_output {
    uint32_t length;
    char bytes[1 << 16];
};

struct stream_test {
    struct conn_test *base; // conns and arena
    struct hub hub;
    struct bus bus;
    struct stream stream;
    struct pool channels, subscriptions, messages, homes;
    struct bus_shared *shared;
    struct io_bell bell;
    struct admission *admission;
    struct site *sites[4];
    uint32_t site_count;
    uint32_t worker_count;
    bool is_home_asleep; // of worker 1, where there is one: its mail stays where it is
    struct bus other;    // worker 1
    struct pool other_homes;
    struct counters other_counters;
    struct address addresses[STREAM_TEST_CONNS + 1];
    uint32_t sessions[STREAM_TEST_CONNS + 1];
    uint8_t notes[STREAM_TEST_CONNS + 1];
    struct stream_rate rates[STREAM_TEST_CONNS + 1];
    struct stream_paused paused[2 * STREAM_TEST_CONNS];
    struct conn_settings settings[SETTINGS_MAX];
    struct stream_rule rules[SETTINGS_MAX];
    struct stream_output outputs[STREAM_TEST_CONNS + 1];
    struct proxy proxy; // that nothing is passed to
    uint32_t relays[STREAM_TEST_CONNS + 1];
};

static inline struct site *site_make(const struct config *config, uint32_t number) {
    struct site *site = calloc(1, sizeof *site);
    cr_assert_not_null(site);
    site->config = config;
    site->routes = route_table_open(config);
    site->number = number;
    site->route_open = calloc(config->route_count, sizeof *site->route_open);
    site->worker_holds = 1;
    cr_assert(site->routes != NULL && site->route_open != NULL);
    return site;
}

// `more`: further lines of the configuration, e.g. limits. False: no room for its rules.
static inline bool stream_test_site(struct stream_test *test, const char *routes) {
    struct site *site = site_make(routes_open(routes), test->site_count + 1);
    test->sites[test->site_count++] = site;
    if (!stream_site_fits(&test->stream, site)) {
        return false;
    }
    stream_site_set(&test->stream, site);
    return true;
}

static inline void pool_make(struct pool *pool, uint32_t element_bytes, uint32_t limit) {
    pool_init(pool, element_bytes, limit, conn_test_reserve(pool_space_bytes(element_bytes, limit)),
              conn_test_reserve(pool_book_bytes(element_bytes, limit)));
}

static inline void bus_make(struct stream_test *test, struct bus *bus, uint32_t self,
                            struct pool *homes, struct counters *counters) {
    pool_make(homes, 64, STREAM_TEST_NAMES);
    struct bus_options options = {.shared = test->shared,
                                  .self = self,
                                  .arena = &test->base->arena,
                                  .counters = counters,
                                  .homes = homes,
                                  .buckets = conn_test_reserve(table_book_bytes(STREAM_TEST_NAMES)),
                                  .backlog_bytes_max = 16 << 20};
    bus_init(bus, &options);
    bus_endpoint_set(bus, (struct io_doorbell){.bell = &test->bell});
}

static inline struct admission *admission_make(struct admission_limits limits) {
    uint64_t length = (admission_bytes(limits.connections) + 63) / 64 * 64;
    uint8_t *data = aligned_alloc(64, length);
    cr_assert_not_null(data);
    memset(data, 0, length);
    static const uint64_t key[2] = {1, 2};
    return admission_init((struct memory){.data = data, .length = length}, &limits, key);
}

// worker_count 2: half of the channels have their home on a second worker, which only keeps homes.
static inline struct stream_test *stream_test_open(const char *routes, uint32_t worker_count,
                                                   struct admission_limits limits) {
    struct stream_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    test->base = calloc(1, sizeof *test->base);
    conn_test_init(test->base, CONN_TEST_NOW_US);
    struct conns *conns = &test->base->conns;
    conns->settings = test->settings;
    json_memory_init();
    json_memory_set(&test->base->arena);
    pool_make(&test->channels, sizeof(struct hub_channel), STREAM_TEST_NAMES);
    pool_make(&test->subscriptions, sizeof(struct hub_subscription), STREAM_TEST_NAMES);
    pool_make(&test->messages, sizeof(struct hub_message), STREAM_TEST_MESSAGES);
    static const uint64_t key[2] = {5, 6};
    hub_init(&test->hub, &test->channels, &test->subscriptions, &test->messages, &test->base->arena,
             conn_test_reserve(table_book_bytes(STREAM_TEST_NAMES)), key);
    test->worker_count = worker_count;
    test->shared = bus_shared_init(conn_test_reserve(bus_shared_bytes(worker_count)), worker_count);
    bus_make(test, &test->bus, 0, &test->homes, &test->base->counters);
    if (worker_count == 2) {
        bus_make(test, &test->other, 1, &test->other_homes, &test->other_counters);
    }
    test->admission = admission_make(limits);
    static const struct log_options quiet = {
        .name = "test", .ring_bytes = 1 << 16, .level = LOG_LEVEL_ERROR};
    test->proxy = (struct proxy){.conns = conns, .relays = test->relays};
    test->stream = (struct stream){.conns = conns,
                                   .hub = &test->hub,
                                   .bus = &test->bus,
                                   .arena = &test->base->arena,
                                   .log = log_open(&quiet),
                                   .admission = test->admission,
                                   .proxy = &test->proxy,
                                   .addresses = test->addresses,
                                   .sessions = test->sessions,
                                   .notes = test->notes,
                                   .rates = test->rates,
                                   .paused = test->paused,
                                   .paused_max = 2 * STREAM_TEST_CONNS,
                                   .settings = test->settings,
                                   .rules = test->rules};
    cr_assert(stream_test_site(test, routes));
    return test;
}

static inline struct stream_test *stream_test_simple(const char *routes) {
    return stream_test_open(routes, 1, (struct admission_limits){.connections = 1000});
}

// --- the worker's part

static inline void test_feed(struct stream_test *test, uint32_t index, struct span_mut bytes) {
    struct conns *conns = &test->base->conns;
    while (bytes.length > 0 || conn_wants_feed(conns, index)) {
        if (!conn_may_feed(conns, index)) {
            conn_hold(conns, index, bytes);
            return;
        }
        struct conn_event event = conn_feed(conns, index, &bytes);
        if (event.kind != CONN_EVENT_NONE) {
            stream_on_ask(&test->stream, index, &event);
        }
    }
}

static inline void test_release(struct stream_test *test, uint32_t index) {
    stream_on_gone(&test->stream, index);
    conn_release(&test->base->conns, index);
}

static inline void test_send(struct stream_test *test, uint32_t index) {
    struct span pieces[SEND_PIECES_MAX];
    uint32_t count = conn_gather(&test->base->conns, index, pieces);
    struct stream_output *output = &test->outputs[index];
    uint64_t sent = 0;
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_lt(output->length + pieces[i].length, sizeof output->bytes);
        memcpy(output->bytes + output->length, pieces[i].data, pieces[i].length);
        output->length += pieces[i].length;
        output->bytes[output->length] = 0;
        sent += pieces[i].length;
    }
    if (count > 0) {
        conn_sent(&test->base->conns, index, sent);
        stream_on_sent(&test->stream, index);
    }
}

static inline void test_pump(struct stream_test *test) {
    struct conns *conns = &test->base->conns;
    for (uint32_t index = conn_touched_next(conns); index != 0; index = conn_touched_next(conns)) {
        if (conn_at(conns, index)->state == CONN_ENDED) {
            test_release(test, index);
            continue;
        }
        if (conn_may_feed(conns, index)) {
            uint32_t block;
            struct span_mut held = conn_held_take(conns, index, &block);
            test_feed(test, index, held);
            if (block != 0) {
                arena_give(conns->arena, block);
            }
        }
        test_send(test, index);
    }
}

static inline void test_fan_out(struct stream_test *test) {
    struct hub_delivery delivery;
    while (hub_fanout_next(&test->hub, &delivery)) {
        for (uint32_t i = 0; i < delivery.count; i++) {
            conn_send(&test->base->conns, delivery.subscriber, delivery.payloads[i], delivery.key);
        }
    }
}

// Turns until nothing moves any more.
static inline void stream_test_settle(struct stream_test *test) {
    for (uint32_t round = 0; round < 50; round++) {
        struct bus_event event;
        while (bus_next(&test->bus, &event)) {
            stream_on_mail(&test->stream, &event);
        }
        stream_resume(&test->stream);
        test_fan_out(test);
        test_pump(test);
        bus_flush(&test->bus);
        if (test->worker_count == 2 && !test->is_home_asleep) {
            while (bus_next(&test->other, &event)) {
            }
            bus_flush(&test->other);
        }
    }
}

// --- clients

static inline struct stream_client stream_test_accept(struct stream_test *test,
                                                      const char *address) {
    struct conns *conns = &test->base->conns;
    uint32_t index = conn_open(conns);
    cr_assert_neq(index, 0);
    test->base->opened++;
    cr_assert(address_parse_ip(span_text(address), &test->addresses[index]));
    test->addresses[index].kind = ADDRESS_IP;
    test->outputs[index].length = 0;
    test->outputs[index].bytes[0] = 0;
    struct stream_client client = {.index = index,
                                   .generation = conn_at(conns, index)->generation,
                                   .output = &test->outputs[index]};
    if (!stream_on_open(&test->stream, index)) {
        conn_kill(conns, index, FAULT_connection_limit);
    }
    return client;
}

static inline bool client_is_live(const struct stream_test *test, struct stream_client client) {
    const struct conn *conn = conn_at(&test->base->conns, client.index);
    return conn->generation == client.generation && conn->state != CONN_FREE;
}

static inline enum conn_state client_state(const struct stream_test *test,
                                           struct stream_client client) {
    return client_is_live(test, client)
               ? (enum conn_state)conn_at(&test->base->conns, client.index)->state
               : CONN_FREE;
}

// Receives without settling what follows from it.
static inline void client_bytes(struct stream_test *test, struct stream_client client,
                                const void *bytes, uint32_t length) {
    uint8_t *copy = malloc(length);
    cr_assert_not_null(copy);
    memcpy(copy, bytes, length);
    test_feed(test, client.index, (struct span_mut){.data = copy, .length = length});
    free(copy);
}

static inline void client_text(struct stream_test *test, struct stream_client client,
                               const char *text) {
    client_bytes(test, client, text, (uint32_t)strlen(text));
    stream_test_settle(test);
}

static inline void client_frame(struct stream_test *test, struct stream_client client,
                                uint8_t first, const char *payload) {
    static uint8_t frame[1 << 16];
    uint32_t length = (uint32_t)strlen(payload);
    cr_assert_lt(length, sizeof frame - FRAME_HEAD_BYTES_MAX);
    client_bytes(test, client, frame, frame_make(frame, first, payload, length));
    stream_test_settle(test);
}

// Takes what was received so far and forgets it. Valid until the next call.
static inline const char *client_take(struct stream_client client) {
    static char taken[1 << 16];
    memcpy(taken, client.output->bytes, client.output->length + 1);
    client.output->length = 0;
    client.output->bytes[0] = 0;
    return taken;
}

// Exactly these short text messages, one behind the other.
static inline void client_expect(struct stream_client client, const char *const *messages) {
    const char *at = client.output->bytes;
    const char *end = at + client.output->length;
    for (; *messages != NULL; messages++) {
        uint32_t length = (uint32_t)strlen(*messages);
        uint32_t head = length < 126 ? 2 : 4;
        expect(at + head + length <= end && (uint8_t)at[0] == 0x81, "no message left for %s",
               *messages);
        expect(memcmp(at + head, *messages, length) == 0, "wanted %s, got %.*s", *messages,
               (int)(end - at - head), at + head);
        at += head + length;
    }
    expect(at == end, "%.*s is too much", (int)(end - at), at);
    client_take(client);
}
#define expect_messages(client, ...) client_expect(client, (const char *const[]){__VA_ARGS__, NULL})
#define expect_nothing(client) client_expect(client, (const char *const[]){NULL})

static inline void client_expect_start(struct stream_client client, const char *start) {
    expect(strncmp(client.output->bytes, start, strlen(start)) == 0, "wanted %s, got %.300s", start,
           client.output->bytes);
}

#define GET(path, fields) "GET " path " HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define UPGRADE(path) "GET " path " HTTP/1.1\r\n" HANDSHAKE_FIELDS

static inline struct stream_client client_open(struct stream_test *test, const char *request) {
    struct stream_client client = stream_test_accept(test, "192.0.2.1");
    client_text(test, client, request);
    client_expect_start(client, "HTTP/1.1 101 ");
    client_take(client);
    return client;
}

static inline void client_leave(struct stream_test *test, struct stream_client client) {
    if (client_is_live(test, client)) {
        conn_kill(&test->base->conns, client.index, FAULT_peer_vanished);
        stream_test_settle(test);
    }
}

static inline void stream_test_close(struct stream_test *test) {
    test->is_home_asleep = false;
    for (uint32_t index = 1; index <= STREAM_TEST_CONNS; index++) {
        if (conn_at(&test->base->conns, index)->state != CONN_FREE) {
            conn_kill(&test->base->conns, index, FAULT_killed);
        }
    }
    stream_test_settle(test);
    cr_assert_eq(test->stream.paused_count, 0);
    cr_assert_eq(test->stream.doomed_count, 0);
    cr_assert_eq(admission_open_count(test->admission), 0);
    cr_assert_eq(test->channels.used, 0);
    cr_assert_eq(test->subscriptions.used, 0);
    cr_assert_eq(test->messages.used, 0);
    cr_assert_eq(test->homes.used, 0);
    cr_assert_eq(test->other_homes.used, 0);
    for (uint32_t i = 0; i < test->site_count; i++) {
        for (uint32_t route = 0; route < test->sites[i]->config->route_count; route++) {
            cr_assert_eq(test->sites[i]->route_open[route], 0);
        }
        cr_assert_eq(test->sites[i]->worker_holds, test->sites[i] == test->stream.site);
    }
    test->base->kept_refusals = 0;
    cr_assert_eq(test->base->arena.used_bytes, 0, "%lu bytes are left",
                 (unsigned long)test->base->arena.used_bytes);
    cr_assert_eq(test->base->conns.pool.used, 0);
    cr_assert_eq(test->base->conns.inputs.used, 0);
    cr_assert_eq(test->base->conns.entries.used, 0);
    for (uint32_t i = 0; i < test->site_count; i++) {
        route_table_close(&test->sites[i]->routes);
        config_close(&test->sites[i]->config);
        free(test->sites[i]->route_open);
        free(test->sites[i]);
    }
    log_close(&test->stream.log);
    free(test->admission);
    free(test->base);
    free(test);
}
