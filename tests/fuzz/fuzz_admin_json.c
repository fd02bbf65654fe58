// What an operator's programs send to the admin API: bodies of JSON, and the answers to them. The
// first byte of the input chooses what is asked for, the rest is the body. Publishes go to a worker
// whose homes are real; its calls are answered with nothing. After each request nothing may be
// left.
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "gateway/admin/internal.h"
#include "gateway/auth/json_memory.h"
#include "tests/fuzz/fuzz_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 64 << 20, CONNS = 4, HOMES = 100, ROUNDS = 64 };

struct io_bell {
    uint32_t rings;
};

// Stands in for the real one of gateway/io; there is nobody to wake.
void io_doorbell_ring(struct io_doorbell doorbell) {
    doorbell.bell->rings++;
}

struct world {
    struct clients clients;
    struct arena arenas[2]; // the worker's, the control thread's
    struct counters counters[2];
    struct bus buses[2];
    struct pool homes;
    struct trace trace;
    struct histogram round_trip;
    struct conn_settings settings[1];
    struct conns_memory memory;
    struct io_bell bell;
    struct config config;
    struct admin *admin;
    uint64_t now_ms;
};

static void buses_open(struct world *world) {
    struct bus_shared *shared = bus_shared_init(reserve(bus_shared_bytes(1)), 1);
    pool_init(&world->homes, 64, HOMES, reserve(pool_space_bytes(64, HOMES)),
              reserve(pool_book_bytes(64, HOMES)));
    for (uint32_t i = 0; i < 2; i++) {
        arena_init(&world->arenas[i], reserve(ARENA_BYTES), reserve(arena_book_bytes(ARENA_BYTES)),
                   ARENA_BYTES);
        struct bus_options options = {.arena = &world->arenas[i],
                                      .counters = &world->counters[i],
                                      .shared = shared,
                                      .self = i,
                                      .backlog_bytes_max = 4 << 20};
        if (i == 0) {
            options.homes = &world->homes;
            options.buckets = reserve(table_book_bytes(HOMES));
        }
        bus_init(&world->buses[i], &options);
        bus_endpoint_set(&world->buses[i], (struct io_doorbell){.bell = &world->bell});
    }
}

static struct world *world_open(void) {
    struct world *world = calloc(1, sizeof *world);
    check(world != NULL);
    json_memory_init();
    buses_open(world);
    json_memory_set(&world->arenas[1]);
    struct conns *conns = &world->clients.conns;
    *conns = (struct conns){.arena = &world->arenas[1],
                            .settings = world->settings,
                            .counters = &world->counters[1],
                            .trace = &world->trace,
                            .round_trip = &world->round_trip,
                            .head_bytes_max = 8192,
                            .handshake_ms = 10000};
    world->memory =
        (struct conns_memory){.connection_max = CONNS, .input_max = CONNS, .entry_max = 1000};
    conns_reserve(&world->memory);
    conns_init(conns, &world->memory, 1000000);
    world->config.drain_ms = 30000;
    struct admin_options options = {.clients = &world->clients,
                                    .bus = &world->buses[1],
                                    .arena = &world->arenas[1],
                                    .worker_count = 1,
                                    .config = &world->config};
    world->admin = admin_open(&options);
    check(world->admin != NULL);
    world->now_ms = 1000;
    admin_turn(world->admin, world->now_ms);
    admin_state_set(world->admin, true, false);
    return world;
}

static void worker_answer(struct world *world, const struct mail *call) {
    struct mail mail = {.kind = MAIL_ANSWER, .words = {call->words[0], call->words[1], 0, 0, 0}};
    (void)bus_send(&world->buses[0], 1, &mail, span_empty(), span_empty()); // or it is late
}

static void settle(struct world *world, uint32_t index) {
    struct conns *conns = &world->clients.conns;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct bus_event event;
        bus_flush(&world->buses[1]);
        while (bus_next(&world->buses[0], &event)) {
            worker_answer(world, &event.mail);
        }
        bus_flush(&world->buses[0]);
        while (bus_next(&world->buses[1], &event)) {
            (void)admin_on_mail(world->admin, &event); // false: it is late
        }
        while (conn_touched_next(conns) != 0) {
            struct span pieces[SEND_PIECES_MAX];
            uint32_t count = conn_gather(conns, index, pieces);
            uint64_t sent = 0;
            for (uint32_t i = 0; i < count; i++) {
                sent += pieces[i].length;
            }
            if (count > 0) {
                conn_sent(conns, index, sent);
            }
        }
    }
}

static void feed(struct world *world, uint32_t index, struct span_mut bytes) {
    struct conns *conns = &world->clients.conns;
    while ((bytes.length > 0 || conn_wants_feed(conns, index)) && conn_may_feed(conns, index)) {
        struct conn_event event = conn_feed(conns, index, &bytes);
        if (event.kind != CONN_EVENT_NONE) {
            admin_on_ask(world->admin, index, &event);
        }
    }
    settle(world, index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const lines[] = {"POST /publish", "POST /publish/",
                                        "POST /connections/0-1-1", "POST /drain"};
    static struct world *world;
    if (world == NULL) {
        world = world_open();
    }
    if (size == 0) {
        return 0;
    }
    struct conns *conns = &world->clients.conns;
    uint32_t index = conn_open(conns);
    check(index != 0 && admin_on_open(world->admin, index));
    uint32_t room = 256 + (uint32_t)size;
    uint8_t *text = malloc(room);
    check(text != NULL);
    int length = snprintf((char *)text, room,
                          "%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n",
                          lines[data[0] % 4], size - 1);
    memcpy(text + length, data + 1, size - 1);
    feed(world, index,
         (struct span_mut){.data = text, .length = (uint32_t)length + (uint32_t)size - 1});
    struct admin_wish wish;
    while (admin_wish_next(world->admin, &wish)) {
        admin_wish_done(world->admin, wish.request, true, span_text("done"));
    }
    settle(world, index);
    conn_kill(conns, index, FAULT_killed);
    if (conn_at(conns, index)->outbox.flight_count != 0) {
        conn_sent(conns, index, 0);
    }
    admin_on_gone(world->admin, index);
    conn_release(conns, index);
    world->now_ms += 2 * ADMIN_CALL_WAIT_MS;
    admin_turn(world->admin, world->now_ms);
    settle(world, index);
    check(conns->pool.used == 0 && conns->entries.used == 0);
    free(text);
    return 0;
}
