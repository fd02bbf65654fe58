// Can any order of bytes, answers, sends, deadlines and refusals of memory break a connection? The
// input is a program: each byte chooses an operation of the client, the owner, the transport or the
// clock. Whatever it does, what was sent must be legal HTTP and then legal frames, no connection
// may wait without a deadline, and in the end everything is given back.
#include "core/base/check.h"
#include "core/hub/payload.h"
#include "core/ws/close.h"
#include "tests/fuzz/conn_output.h"
#include "tests/fuzz/conn_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 2000, SETTLE_MAX = 400, JUMP_MS_MAX = 200000 };

struct program {
    const uint8_t *at, *end;
};

static uint8_t next_byte(struct program *program) {
    return program->at < program->end ? *program->at++ : 0;
}

static uint32_t next_length(struct program *program) {
    static const uint32_t scale[4] = {1, 1, 16, 300};
    uint8_t byte = next_byte(program);
    return (byte & 63) * scale[byte >> 6];
}

// --- the client: bytes to be received later, in pieces

static void client_text(struct world *world, uint8_t choice) {
#define UPGRADE_FIELDS                                                                             \
    "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"        \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    static const char *const texts[8] = {
        "GET / HTTP/1.1\r\n" UPGRADE_FIELDS,
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
    };
    client_add(world, texts[choice & 7], (uint32_t)strlen(texts[choice & 7]));
}

static void client_frame(struct world *world, struct program *program) {
    uint8_t first = next_byte(program);
    uint8_t kind = next_byte(program);
    if ((kind & 7) != 0) { // mostly legal ones
        static const uint8_t legal[16] = {0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a,
                                          0x88, 0x81, 0x00, 0x80, 0x89, 0x82, 0x01, 0x81};
        first = legal[first & 15];
    }
    uint32_t length = next_length(program);
    if ((first & 8) != 0 && length > CONTROL_BYTES_MAX) {
        length = CONTROL_BYTES_MAX;
    }
    uint8_t head[FRAME_HEAD_BYTES_MAX];
    const uint8_t key[4] = {kind, 0, (uint8_t)(kind * 7), 3};
    uint32_t head_bytes = ws_frame_head_encode_masked(head, first & 15, 0, length, key);
    head[0] = first;
    client_add(world, head, head_bytes);
    for (uint32_t i = 0; i < length; i++) {
        uint8_t byte = 'x';
        if (first == 0x88 && i < 2) {
            byte = i == 0 ? 3 : (uint8_t)(0xe8 + (kind & 15)); // 1000 to 1015
        } else if ((kind & 0xf0) == 0xf0) {
            byte = (uint8_t)(kind + i);
        }
        byte ^= key[i % 4];
        client_add(world, &byte, 1);
    }
}

// --- the owner

static void answer(struct world *world, struct program *program) {
    struct conns *conns = &world->conns;
    uint32_t index = world->index;
    struct conn *conn = conn_at(conns, index);
    uint8_t choice = next_byte(program);
    if (conn->state != CONN_VERDICT && conn->state != CONN_REPLY) {
        return;
    }
    bool is_upgrade = conn->state == CONN_VERDICT && world->is_upgrade[index];
    if (is_upgrade && (choice & 3) != 0) {
        conn_upgrade(conns, index, 1, (choice & 4) != 0 ? span_text("chat") : span_empty());
    } else if (conn->state == CONN_VERDICT && (choice & 3) == 1) {
        conn_collect(conns, index, (choice >> 2) * 4u);
    } else if ((choice & 3) == 2) {
        static const enum fault_id faults[4] = {FAULT_not_found, FAULT_connection_limit,
                                                FAULT_method_not_allowed, FAULT_upgrade_required};
        struct http_refusal refusal = {.fault = fault_get(faults[choice >> 2 & 3]), .allow = "GET"};
        conn_refuse(conns, index, &refusal);
    } else {
        static const uint8_t body[3000] = {'b'};
        struct http_reply reply = {.status = 200, .body = span_make(body, choice * 10u)};
        conn_reply(conns, index, &reply);
    }
}

static void send_message(struct world *world, struct program *program) {
    uint8_t choice = next_byte(program);
    uint32_t length = next_length(program);
    uint8_t *data;
    uint32_t payload =
        payload_reserve(&world->arena, (choice & 1) != 0 ? WS_TEXT : WS_BINARY, length, &data);
    if (payload == 0) {
        return;
    }
    memset(data, 'm', length);
    (void)conn_send(&world->conns, world->index, payload, choice >> 1 & 3); // any result is fine
    payload_drop(&world->arena, payload);
}

static void order_close(struct world *world, struct program *program) {
    uint8_t choice = next_byte(program);
    struct conn_close_options options = {.fault = (enum fault_id)(1 + choice % (FAULT_COUNT - 1)),
                                         .drops_waiting = choice > 128};
    if (fault_get(options.fault)->close_code == 0) { // one that only a request is refused with
        options.fault = FAULT_closed_by_operator;
        options.code = 1000;
        options.reason = span_text("as ordered");
    }
    conn_close(&world->conns, world->index, &options);
}

static void limit_memory(struct world *world, struct program *program) {
    uint8_t choice = next_byte(program);
    world->arena.limit_bytes = (choice & 1) != 0 ? WORLD_ARENA_BYTES : (choice & 0xf0u) * 64u;
    world->conns.entries.limit = (choice & 2) != 0 ? WORLD_ENTRIES : choice >> 4;
    world->conns.inputs.limit = (choice & 4) != 0 ? WORLD_CONNS : choice >> 6;
}

// Bytes of the input as they are.
static void client_raw(struct world *world, struct program *program) {
    uint32_t length = next_length(program);
    uint32_t left = (uint32_t)(program->end - program->at);
    length = length < left ? length : left;
    client_add(world, program->at, length);
    program->at += length;
}

static void step(struct world *world, struct program *program) {
    struct conns *conns = &world->conns;
    uint32_t index = world->index;
    uint8_t operation = next_byte(program);
    switch (operation & 15) {
    case 0:
        client_raw(world, program);
        return;
    case 1:
        client_text(world, operation >> 4);
        return;
    case 2:
    case 3:
        client_frame(world, program);
        return;
    case 4:
        world_receive(world, next_length(program) + 1);
        return;
    case 5:
        world_receive(world, UINT32_MAX);
        return;
    case 6:
        answer(world, program);
        return;
    case 7:
        world_gather(world);
        world_sent(world, (operation & 16) != 0 ? UINT64_MAX : next_length(program));
        return;
    case 8: // a send begins and stays in flight
        world_gather(world);
        return;
    case 9:
        world_wait(world, (operation & 16) != 0 ? wheel_wait_ms(&conns->wheel, conns->now_ms)
                                                : next_length(program));
        return;
    case 10:
        if (conn_at(conns, index)->state == CONN_OPEN) {
            if ((operation & 16) != 0) {
                conn_pause(conns, index);
            } else {
                conn_unpause(conns, index);
            }
        }
        return;
    case 11:
        send_message(world, program);
        return;
    case 12:
        order_close(world, program);
        return;
    case 13:
        if ((operation & 16) != 0) {
            world_end(world);
        } else if ((operation & 32) != 0) {
            conn_on_error(conns, index, FAULT_peer_reset);
        } else {
            world->index = 1 + (index % WORLD_CONNS);
        }
        return;
    case 14:
        conns_drain(conns, next_length(program));
        conn_drain(conns, index);
        return;
    default:
        limit_memory(world, program);
        return;
    }
}

// Nobody does anything any more: every connection that its owner does not hold back ends by itself.
static void settle(struct world *world) {
    struct conns *conns = &world->conns;
    world->arena.limit_bytes = WORLD_ARENA_BYTES;
    for (uint32_t i = 0; i < SETTLE_MAX; i++) {
        world_pump(world);
        uint32_t wait_ms = wheel_wait_ms(&conns->wheel, conns->now_ms);
        if (wait_ms == UINT32_MAX) {
            break;
        }
        world_wait(world, wait_ms < JUMP_MS_MAX ? wait_ms : JUMP_MS_MAX);
    }
    for (uint32_t index = 1; index <= WORLD_CONNS; index++) {
        const struct conn *conn = conn_at(conns, index);
        bool is_paused = conn->state == CONN_OPEN && conn_has(conn, CONN_PAUSED);
        check(conn->state == CONN_FREE || is_paused);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4 || size > 1 << 16) {
        return 0;
    }
    static struct world world;
    struct program program = {.at = data, .end = data + size};
    uint8_t choice = next_byte(&program);
    world_open(&world, choice, next_byte(&program));
    for (uint32_t i = 0; i < STEPS_MAX && program.at < program.end; i++) {
        world_refill(&world);
        step(&world, &program);
        world_check(&world);
        if ((choice & 0x80) == 0) {
            world_pump(&world);
        }
    }
    settle(&world);
    world_close(&world);
    return 0;
}
