// For fuzz_conn_life: some connections over reserved memory, their clients, their transport and the
// clock.
#pragma once
#include "core/base/check.h"
#include "core/conn/conn.h"
#include "core/ws/frame.h"
#include "tests/fuzz/conn_output.h"
#include "tests/fuzz/fuzz_memory.h"

#include <stdlib.h>

enum {
    WORLD_CONNS = 3,
    WORLD_ENTRIES = 200,
    WORLD_ARENA_BYTES = 64 << 20,
    WORLD_CLIENT_BYTES = 1 << 18, // of one client's stream that wait to be received
};

struct client {
    uint8_t *bytes; // sent and not received
    uint32_t length;
    bool has_ended;
    struct output output;
    struct span_mut target; // a receive into it is in flight
    uint64_t flight_bytes;
    struct span pieces[SEND_PIECES_MAX];
    uint32_t piece_count;
};

struct world {
    struct conns conns;
    struct arena arena;
    struct counters counters;
    struct trace trace;
    struct histogram round_trip;
    struct conn_settings settings[2];
    struct memory arena_space, arena_book;
    struct conns_memory memory;
    struct client clients[WORLD_CONNS + 1];
    bool is_upgrade[WORLD_CONNS + 1];
    uint32_t opened;
    uint32_t index; // the connection that the operations mean
};

static inline void world_accept(struct world *world) {
    uint32_t index = conn_open(&world->conns);
    check(index != 0 && index <= WORLD_CONNS);
    world->opened++;
    struct client *client = &world->clients[index];
    client->length = 0;
    client->has_ended = false;
    client->output.length = 0;
    client->target = (struct span_mut){.data = NULL, .length = 0};
    client->flight_bytes = 0;
    client->piece_count = 0;
}

static inline void world_reserve_all(struct world *world) {
    world->arena_space = reserve(WORLD_ARENA_BYTES);
    world->arena_book = reserve(arena_book_bytes(WORLD_ARENA_BYTES));
    world->memory = (struct conns_memory){
        .connection_max = WORLD_CONNS, .input_max = WORLD_CONNS, .entry_max = WORLD_ENTRIES};
    conns_reserve(&world->memory);
    for (uint32_t i = 1; i <= WORLD_CONNS; i++) {
        world->clients[i].bytes = malloc(WORLD_CLIENT_BYTES);
        check(world->clients[i].bytes != NULL);
    }
}

static inline void world_open(struct world *world, uint8_t first, uint8_t second) {
    if (world->arena_space.data == NULL) {
        world_reserve_all(world);
    }
    arena_init(&world->arena, world->arena_space, world->arena_book, WORLD_ARENA_BYTES);
    memset(&world->counters, 0, sizeof world->counters);
    static const uint32_t limits[4] = {10, 200, 5000, 1 << 20};
    world->settings[0] = (struct conn_settings){.stall_ms = 30000};
    world->settings[1] =
        (struct conn_settings){.ping_ms = 25000,
                               .pong_ms = 10000,
                               .idle_ms = (first & 1) != 0 ? 60000 : 0,
                               .age_ms = (first & 2) != 0 ? 300000 : 0,
                               .stall_ms = 30000,
                               .reader = {.message_bytes_max = limits[first >> 2 & 3],
                                          .fragments_max = 1u + (first >> 4 & 7),
                                          .head = {.expects_mask = true}},
                               .bounds = {.queue_bytes_max = limits[second & 3],
                                          .policy = (enum outbox_policy)(second >> 2 & 3)},
                               .refuses_text = (second & 0x30) == 0x30,
                               .refuses_binary = (second & 0x30) == 0x20};
    struct conns *conns = &world->conns;
    memset(conns, 0, sizeof *conns);
    conns->arena = &world->arena;
    conns->settings = world->settings;
    conns->counters = &world->counters;
    conns->trace = &world->trace;
    conns->round_trip = &world->round_trip;
    conns->head_bytes_max = 300;
    conns->handshake_ms = 10000;
    uint64_t now_us = (second & 0x80) != 0 ? 4294960000000 : 1000000; // soon the low half wraps
    memset(world->memory.conn_space.data, 0, (WORLD_CONNS + 1) * sizeof(struct conn));
    conns_init(conns, &world->memory, now_us);
    world->opened = 0;
    for (uint32_t i = 0; i < WORLD_CONNS; i++) {
        world_accept(world);
    }
    world->index = 1;
}

static inline void client_add(struct world *world, const void *bytes, uint32_t length) {
    struct client *client = &world->clients[world->index];
    if (length > 0 && length <= WORLD_CLIENT_BYTES - client->length) {
        memcpy(client->bytes + client->length, bytes, length);
        client->length += length;
    }
}

// Messages come back as they are; requests wait for the answer that the program gives.
static inline void world_on_ask(struct world *world, uint32_t index,
                                const struct conn_event *event) {
    if (event->kind == CONN_EVENT_REQUEST) {
        world->is_upgrade[index] = event->is_upgrade;
    }
    uint32_t payload = 0;
    if (event->kind == CONN_EVENT_MESSAGE) {
        payload = payload_frame(&world->arena, event->opcode, event->payload);
    }
    if (payload != 0) {
        (void)conn_send(&world->conns, index, payload, 0); // any result is fine
        payload_drop(&world->arena, payload);
    }
    if (event->block != 0) {
        arena_give(&world->arena, event->block);
    }
}

static inline void world_feed(struct world *world, uint32_t index, struct span_mut bytes) {
    struct conns *conns = &world->conns;
    uint32_t rounds = 0;
    while (bytes.length > 0 || conn_wants_feed(conns, index)) {
        if (!conn_may_feed(conns, index)) {
            conn_hold(conns, index, bytes);
            return;
        }
        uint32_t before = bytes.length;
        uint8_t state = conn_at(conns, index)->state;
        struct conn_event event = conn_feed(conns, index, &bytes);
        check(bytes.length < before || event.kind != CONN_EVENT_NONE ||
              conn_at(conns, index)->state != state);
        check(rounds++ < 1 << 20);
        world_on_ask(world, index, &event);
    }
}

static inline void world_feed_held(struct world *world, uint32_t index) {
    if (conn_may_feed(&world->conns, index)) {
        uint32_t block;
        struct span_mut held = conn_held_take(&world->conns, index, &block);
        world_feed(world, index, held);
        if (block != 0) {
            arena_give(&world->arena, block);
        }
    }
}

// The receive into the message's own memory ends: whatever happened meanwhile, the memory was the
// kernel's.
static inline void world_received(struct world *world, uint32_t index, uint32_t length) {
    struct client *client = &world->clients[index];
    struct span_mut target = client->target;
    if (target.length == 0) {
        return;
    }
    client->target = (struct span_mut){.data = NULL, .length = 0};
    const struct conn *conn = conn_at(&world->conns, index);
    check(conn->state == CONN_OPEN || conn->state == CONN_CLOSING || conn->state == CONN_ENDED);
    check(conn->input != 0);
    length = length < target.length ? length : target.length;
    length = length < client->length ? length : client->length;
    memcpy(target.data, client->bytes, length);
    client->length -= length;
    memmove(client->bytes, client->bytes + length, client->length);
    struct conn_event event = conn_feed_target(&world->conns, index, length);
    world_on_ask(world, index, &event);
}

// One receive of at most that many bytes.
static inline void world_receive(struct world *world, uint32_t length) {
    uint32_t index = world->index;
    struct conns *conns = &world->conns;
    struct client *client = &world->clients[index];
    if (client->target.length > 0) {
        world_received(world, index, length);
        return;
    }
    if (!conn_may_read(conns, index) || client->length == 0) {
        return;
    }
    struct span_mut target = conn_receive_target(conns, index);
    uint32_t room = target.length > 0 ? target.length : RECEIVE_BUFFER_BYTES;
    length = length < room ? length : room;
    length = length < client->length ? length : client->length;
    if (target.length > 0) {
        client->target = target;
        return; // it stays in flight until the next receive
    }
    uint8_t *copy = malloc(length);
    check(copy != NULL);
    memcpy(copy, client->bytes, length);
    client->length -= length;
    memmove(client->bytes, client->bytes + length, client->length);
    world_feed(world, index, (struct span_mut){.data = copy, .length = length});
    free(copy);
}

static inline void world_end(struct world *world) {
    struct client *client = &world->clients[world->index];
    if (conn_may_read(&world->conns, world->index) && !client->has_ended &&
        client->target.length == 0) {
        client->has_ended = true;
        client->length = 0;
        conn_on_end(&world->conns, world->index);
    }
}

static inline void gather(struct world *world, uint32_t index) {
    struct client *client = &world->clients[index];
    uint32_t count = conn_gather(&world->conns, index, client->pieces);
    if (count > 0) {
        check(client->flight_bytes == 0); // one send at a time
        client->piece_count = count;
        for (uint32_t i = 0; i < count; i++) {
            check(client->pieces[i].length > 0);
            client->flight_bytes += client->pieces[i].length;
        }
    }
}

static inline void sent(struct world *world, uint32_t index, uint64_t bytes_max) {
    struct client *client = &world->clients[index];
    if (client->flight_bytes == 0) {
        return;
    }
    uint64_t bytes = client->flight_bytes < bytes_max ? client->flight_bytes : bytes_max;
    uint64_t left = bytes;
    for (uint32_t i = 0; i < client->piece_count; i++) {
        uint32_t length =
            client->pieces[i].length < left ? client->pieces[i].length : (uint32_t)left;
        output_add(&client->output, span_first(client->pieces[i], length));
        left -= length;
    }
    client->flight_bytes = 0;
    conn_sent(&world->conns, index, bytes);
}

static inline void world_gather(struct world *world) {
    gather(world, world->index);
}

static inline void world_sent(struct world *world, uint64_t bytes_max) {
    sent(world, world->index, bytes_max);
}

static inline void world_release(struct world *world, uint32_t index) {
    struct client *client = &world->clients[index];
    world_received(world, index, 0);
    sent(world, index, 0); // cancelled
    bool has_unsent = !outbox_is_empty(&conn_at(&world->conns, index)->outbox);
    output_check(&client->output, has_unsent);
    conn_release(&world->conns, index);
}

// As the worker goes through the touched; what has ended makes room for the next.
static inline void world_pump(struct world *world) {
    struct conns *conns = &world->conns;
    uint32_t rounds = 0;
    for (uint32_t index = conn_touched_next(conns); index != 0; index = conn_touched_next(conns)) {
        check(rounds++ < 1 << 16);
        if (conn_at(conns, index)->state == CONN_ENDED) {
            world_release(world, index);
            continue;
        }
        world_feed_held(world, index);
        gather(world, index);
        sent(world, index, UINT64_MAX);
    }
}

static inline void world_wait(struct world *world, uint32_t ms) {
    struct conns *conns = &world->conns;
    ms = ms < 1000000 ? ms : 1000000;
    conns_turn(conns, conns->now_us + ms * UINT64_C(1000));
    wheel_advance(&conns->wheel, conns->now_ms);
    uint32_t index;
    while (wheel_next(&conns->wheel, &index)) {
        conn_on_time(conns, index);
    }
}

// After every operation: nothing waits without a deadline, and the sums are right.
static inline void world_check(struct world *world) {
    struct conns *conns = &world->conns;
    uint32_t open_count = 0;
    uint64_t queued = 0;
    for (uint32_t index = 1; index <= WORLD_CONNS; index++) {
        const struct conn *conn = conn_at(conns, index);
        bool is_owners = conn->state == CONN_FREE || conn->state == CONN_ENDED ||
                         (conn->state == CONN_OPEN && conn_has(conn, CONN_PAUSED));
        check(is_owners || wheel_is_armed(&conn->timer));
        check(conn->state < CONN_CLOSING || conn->fault != FAULT_none);
        open_count += conn->state == CONN_OPEN;
        queued += conn->outbox.queued_bytes;
    }
    check(open_count == conns->open_count);
    check(queued == conns->outboxes.held_bytes);
}

// Before every operation: as many connections as there may be.
static inline void world_refill(struct world *world) {
    while (world->conns.pool.used < WORLD_CONNS) {
        world_accept(world);
    }
}

static inline void world_close(struct world *world) {
    struct conns *conns = &world->conns;
    for (uint32_t index = 1; index <= WORLD_CONNS; index++) {
        if (conn_at(conns, index)->state != CONN_FREE) {
            conn_kill(conns, index, FAULT_killed);
            world_release(world, index);
        }
    }
    conns_turn(conns, conns->now_us);
    check(world->arena.used_bytes == 0);
    check(conns->pool.used == 0);
    check(conns->inputs.used == 0);
    check(conns->entries.used == 0);
    check(conns->wheel.armed_count == 0);
    check(conns->open_count == 0);
    check(world->counters.values[COUNTER_closed] == world->opened);
    check(world->counters.faults[FAULT_none] == 0);
}
