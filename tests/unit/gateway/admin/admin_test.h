// For the tests of gateway/admin: the control thread's connections and bus, and two workers whose
// homes are real and whose answers to calls are the test's. A request goes in as text, the answer
// comes out as text. Nothing may be left at the end.
#pragma once
#include "gateway/admin/internal.h"
#include "gateway/auth/json_memory.h"
#include "tests/unit/core/conn/conn_test.h"

#include <stdio.h>

enum {
    ADMIN_TEST_WORKERS = 2,
    ADMIN_TEST_CONNS = 100,
    ADMIN_TEST_CALLS = 256,
    ADMIN_TEST_ARENA = 64 << 20,
    ADMIN_TEST_OUT = 4 << 20,
};

struct io_bell {
    uint32_t rings;
};

// Stands in for the real one of gateway/io; there is nobody to wake.
void io_doorbell_ring(struct io_doorbell doorbell) {
    doorbell.bell->rings++;
}

struct admin_test;

struct admin_test_call { // what a worker was asked
    uint32_t worker;
    struct mail mail;
    uint32_t length;
    uint8_t body[512];
};

struct admin_test {
    struct clients clients;
    struct arena arena; // of the control thread
    struct counters counters;
    struct trace trace;
    struct histogram round_trip;
    struct conn_settings settings[1];
    struct bus_shared *shared;
    struct bus bus;
    struct io_bell bell;
    struct {
        struct bus bus;
        struct arena arena;
        struct pool homes;
        struct counters counters;
    } workers[ADMIN_TEST_WORKERS];
    struct config config;
    struct admin *admin;
    // Answers one call; NULL: an empty answer.
    void (*answer)(struct admin_test *test, const struct admin_test_call *call);
    bool is_deaf; // workers take no mail
    struct admin_test_call calls[ADMIN_TEST_CALLS];
    uint32_t call_count;
    uint32_t opened;
    uint32_t out_bytes;
    char out[ADMIN_TEST_OUT];
};

static inline void admin_test_arena(struct arena *arena, uint64_t limit) {
    arena_init(arena, conn_test_reserve(ADMIN_TEST_ARENA),
               conn_test_reserve(arena_book_bytes(ADMIN_TEST_ARENA)), limit);
}

static inline void admin_test_bus(struct admin_test *test, struct bus *bus, uint32_t self,
                                  struct bus_options options) {
    options.shared = test->shared;
    options.self = self;
    options.backlog_bytes_max = 4 << 20;
    bus_init(bus, &options);
    bus_endpoint_set(bus, (struct io_doorbell){.bell = &test->bell});
}

static inline struct admin_test *admin_test_open(const char *token) {
    struct admin_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    json_memory_init();
    admin_test_arena(&test->arena, ADMIN_TEST_ARENA);
    json_memory_set(&test->arena);
    test->clients.conns = (struct conns){.arena = &test->arena,
                                         .settings = test->settings,
                                         .counters = &test->counters,
                                         .trace = &test->trace,
                                         .round_trip = &test->round_trip,
                                         .head_bytes_max = 8192,
                                         .handshake_ms = 10000};
    conn_test_conns(&test->clients.conns, ADMIN_TEST_CONNS, 1000, CONN_TEST_NOW_US);
    test->shared = bus_shared_init(conn_test_reserve(bus_shared_bytes(ADMIN_TEST_WORKERS)),
                                   ADMIN_TEST_WORKERS);
    admin_test_bus(test, &test->bus, ADMIN_TEST_WORKERS,
                   (struct bus_options){.arena = &test->arena, .counters = &test->counters});
    for (uint32_t i = 0; i < ADMIN_TEST_WORKERS; i++) {
        admin_test_arena(&test->workers[i].arena, ADMIN_TEST_ARENA);
        pool_init(&test->workers[i].homes, 64, 100, conn_test_reserve(pool_space_bytes(64, 100)),
                  conn_test_reserve(pool_book_bytes(64, 100)));
        admin_test_bus(test, &test->workers[i].bus, i,
                       (struct bus_options){.arena = &test->workers[i].arena,
                                            .counters = &test->workers[i].counters,
                                            .homes = &test->workers[i].homes,
                                            .buckets = conn_test_reserve(table_book_bytes(100))});
    }
    test->config.drain_ms = 30000;
    test->config.admin.token = span_text(token);
    struct admin_options options = {.clients = &test->clients,
                                    .bus = &test->bus,
                                    .arena = &test->arena,
                                    .worker_count = ADMIN_TEST_WORKERS,
                                    .config = &test->config};
    test->admin = admin_open(&options);
    cr_assert_not_null(test->admin);
    admin_turn(test->admin, 1000);
    admin_state_set(test->admin, true, false);
    return test;
}

// An answer of one worker, as gateway/worker/worker_calls.c makes it.
static inline void admin_test_reply(struct admin_test *test, const struct admin_test_call *call,
                                    uint64_t result, const void *body, uint32_t length) {
    struct mail mail = {
        .kind = MAIL_ANSWER,
        .words = {call->mail.words[0], call->mail.words[1], length, 0, result},
    };
    cr_assert(bus_send(&test->workers[call->worker].bus, ADMIN_TEST_WORKERS, &mail, span_empty(),
                       span_make(body, length)));
}

static inline void admin_test_worker(struct admin_test *test, uint32_t worker) {
    struct bus_event event;
    while (bus_next(&test->workers[worker].bus, &event)) {
        cr_assert_eq(event.mail.kind, MAIL_CALL);
        cr_assert_lt(test->call_count, ADMIN_TEST_CALLS);
        struct admin_test_call *call = &test->calls[test->call_count++];
        *call = (struct admin_test_call){
            .worker = worker, .mail = event.mail, .length = event.body.length};
        uint32_t copied = call->length < sizeof call->body ? call->length : sizeof call->body;
        if (copied > 0) {
            memcpy(call->body, event.body.data, copied);
        }
        if (test->answer != NULL) {
            test->answer(test, call);
        } else {
            admin_test_reply(test, call, 0, NULL, 0);
        }
    }
    bus_flush(&test->workers[worker].bus);
}

// Turns until nothing moves any more.
static inline void admin_test_settle(struct admin_test *test) {
    struct conns *conns = &test->clients.conns;
    for (uint32_t round = 0; round < 300; round++) {
        bus_flush(&test->bus);
        for (uint32_t i = 0; i < ADMIN_TEST_WORKERS && !test->is_deaf; i++) {
            admin_test_worker(test, i);
        }
        struct bus_event event;
        while (bus_next(&test->bus, &event)) {
            (void)admin_on_mail(test->admin, &event); // false: it is late
        }
        uint32_t index;
        while ((index = conn_touched_next(conns)) != 0) {
            struct span pieces[SEND_PIECES_MAX];
            uint32_t count = conn_gather(conns, index, pieces);
            uint64_t sent = 0;
            for (uint32_t i = 0; i < count; i++) {
                cr_assert_lt(test->out_bytes + pieces[i].length, ADMIN_TEST_OUT);
                memcpy(test->out + test->out_bytes, pieces[i].data, pieces[i].length);
                test->out_bytes += pieces[i].length;
                sent += pieces[i].length;
            }
            test->out[test->out_bytes] = 0;
            if (count > 0) {
                conn_sent(conns, index, sent);
            }
        }
    }
}

static inline uint32_t admin_test_connect(struct admin_test *test) {
    uint32_t index = conn_open(&test->clients.conns);
    cr_assert_neq(index, 0);
    cr_assert(admin_on_open(test->admin, index));
    test->opened++;
    return index;
}

static inline void admin_test_feed(struct admin_test *test, uint32_t index, const char *text) {
    struct conns *conns = &test->clients.conns;
    size_t length = strlen(text);
    uint8_t *copy = malloc(length + 1);
    memcpy(copy, text, length);
    struct span_mut bytes = {.data = copy, .length = (uint32_t)length};
    while ((bytes.length > 0 || conn_wants_feed(conns, index)) && conn_may_feed(conns, index)) {
        struct conn_event event = conn_feed(conns, index, &bytes);
        if (event.kind != CONN_EVENT_NONE) {
            admin_on_ask(test->admin, index, &event);
        }
    }
    admin_test_settle(test);
    free(copy);
}

static inline void admin_test_gone(struct admin_test *test, uint32_t index) {
    struct conns *conns = &test->clients.conns;
    conn_kill(conns, index, FAULT_killed);
    if (conn_at(conns, index)->outbox.flight_count != 0) {
        conn_sent(conns, index, 0);
    }
    admin_on_gone(test->admin, index);
    conn_release(conns, index);
}

// One request on a connection of its own: its status, and the answer in test->out.
static inline uint32_t admin_test_ask(struct admin_test *test, const char *request) {
    test->out_bytes = 0;
    test->out[0] = 0;
    test->call_count = 0;
    uint32_t index = admin_test_connect(test);
    admin_test_feed(test, index, request);
    unsigned status = 0;
    (void)sscanf(test->out, "HTTP/1.1 %u", &status); // none: 0, which no test wants
    admin_test_gone(test, index);
    return status;
}

// A request with the usual fields; `body` NULL: none.
static inline uint32_t admin_test_request(struct admin_test *test, const char *line,
                                          const char *body) {
    size_t room = 256 + strlen(line) + (body == NULL ? 0 : strlen(body));
    char *text = malloc(room);
    int length = snprintf(text, room, "%s HTTP/1.1\r\nHost: localhost:9090\r\n", line);
    if (body == NULL) {
        (void)snprintf(text + length, room - (size_t)length, "\r\n"); // there is room
    } else {
        (void)snprintf(text + length, room - (size_t)length,
                       "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                       strlen(body), body); // as well
    }
    uint32_t status = admin_test_ask(test, text);
    free(text);
    return status;
}

static inline const char *admin_test_body(const struct admin_test *test) {
    const char *body = strstr(test->out, "\r\n\r\n");
    return body == NULL ? "" : body + 4;
}

#define expect_answer(test, line, body, status, part)                                              \
    do {                                                                                           \
        uint32_t got = admin_test_request(test, line, body);                                       \
        expect(got == (uint32_t)(status) && strstr(admin_test_body(test), part) != NULL,           \
               "line %d: %s: got %u %.200s, wanted %d %s", __LINE__, line, got,                    \
               admin_test_body(test), status, part);                                               \
    } while (0)

static inline void admin_test_close(struct admin_test *test) {
    for (uint32_t i = 0; i < ADMIN_PENDING_MAX; i++) {
        expect(!test->admin->requests[i].is_active, "request %u is left", i);
    }
    admin_close(&test->admin);
    cr_assert_eq(test->arena.used_bytes, 0);
    cr_assert_eq(test->clients.conns.pool.used, 0);
    cr_assert_eq(test->clients.conns.entries.used, 0);
    free(test);
}
