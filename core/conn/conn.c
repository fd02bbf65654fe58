// Lifetime, states and orders of a connection. Bytes in are conn_http.c and conn_ws.c, bytes out
// conn_out.c, time conn_time.c.
#include "core/base/check.h"
#include "core/conn/internal.h"
#include "core/hub/payload.h"
#include "core/ws/close.h"

#include "core/base/pure.h"

#define TO(state) (1u << CONN_##state)
// The arrows of the picture in conn.h.
static const uint16_t conn_moves[CONN_STATE_COUNT] = {
    [CONN_FREE] = TO(HEAD),
    [CONN_HEAD] = TO(VERDICT) | TO(DISCARD) | TO(FLUSH) | TO(ENDED),
    [CONN_VERDICT] =
        TO(HEAD) | TO(BODY) | TO(RELAY) | TO(OPEN) | TO(DISCARD) | TO(FLUSH) | TO(ENDED),
    [CONN_BODY] = TO(REPLY) | TO(DISCARD) | TO(ENDED),
    [CONN_REPLY] = TO(HEAD) | TO(FLUSH) | TO(ENDED),
    [CONN_RELAY] = TO(HEAD) | TO(OPEN) | TO(DISCARD) | TO(FLUSH) | TO(ENDED),
    [CONN_OPEN] = TO(CLOSING) | TO(DISCARD) | TO(FLUSH) | TO(ENDED),
    [CONN_CLOSING] = TO(DISCARD) | TO(FLUSH) | TO(ENDED),
    [CONN_DISCARD] = TO(FLUSH) | TO(ENDED),
    [CONN_FLUSH] = TO(ENDED),
    [CONN_ENDED] = TO(FREE),
};
#undef TO

const char *conn_state_name(enum conn_state state) {
    static const char *const names[CONN_STATE_COUNT] = {"free",    "head",  "verdict", "body",
                                                        "reply",   "relay", "open",    "closing",
                                                        "discard", "flush", "ended"};
    return state < CONN_STATE_COUNT ? names[state] : "?";
}

bool conn_may_move(enum conn_state from, enum conn_state to) {
    return (conn_moves[from] >> to & 1) != 0;
}

void conn_set(struct conn *conn, enum conn_flag flag) {
    conn->outbox.owner_bits = (uint16_t)(conn->outbox.owner_bits | flag);
}

void conn_clear(struct conn *conn, enum conn_flag flag) {
    conn->outbox.owner_bits = (uint16_t)(conn->outbox.owner_bits & ~(uint32_t)flag);
}

void conn_move(struct conns *conns, uint32_t index, enum conn_state to) {
    struct conn *conn = conn_at(conns, index);
    check(conn_may_move((enum conn_state)conn->state, to));
    trace_add(conns->trace, conns->now_ms, TRACE_CONN_MOVE, index,
              (uint32_t)conn->state << 8 | (uint32_t)to, conn->fault);
    conns->open_count -= conn->state == CONN_OPEN;
    if (conn->deflate_bits == CONN_DEFLATE_OWN && to != CONN_OPEN) { // nothing more is compressed
        ws_takeover_close(conns->takeover, conns->streams[index]);
        conns->streams[index] = 0;
        conn->deflate_bits = HTTP_DEFLATE_BITS_MIN; // what comes in may still be compressed
    }
    conn_clear(conn, CONN_PING_OUT); // phase_ms means something else from here on
    conn_clear(conn, CONN_PING_WAITS);
    conns->open_count += to == CONN_OPEN;
    conn->state = (uint8_t)to;
    conn->phase_ms = to == CONN_OPEN ? 0 : conn_now32(conns);
    if (to == CONN_DISCARD) {
        conn->message_ms = 0; // counts the bytes thrown away
    }
    if (to != CONN_FREE) {
        conn_touch(conns, index);
    }
    if (to != CONN_FREE && to != CONN_ENDED) {
        conn_arm(conns, index);
    }
}

static uint64_t entries_bytes(uint32_t element, uint32_t count) {
    return pool_space_bytes(element, count);
}

void conns_memory_size(struct conns_memory *memory) {
    memory->conn_space.length = entries_bytes(sizeof(struct conn), memory->connection_max);
    memory->conn_book.length = pool_book_bytes(sizeof(struct conn), memory->connection_max);
    memory->input_space.length = entries_bytes(256, memory->input_max);
    memory->input_book.length = pool_book_bytes(256, memory->input_max);
    memory->entry_space.length = entries_bytes(sizeof(struct outbox_entry), memory->entry_max);
    memory->entry_book.length = pool_book_bytes(sizeof(struct outbox_entry), memory->entry_max);
    // Twice, so that an index released and taken again within one turn seldom makes conn_touch look
    // for holes.
    memory->touched.length = ((uint64_t)memory->connection_max + 1) * 2 * sizeof(uint32_t);
}

static struct wheel_entry *timer_at(void *context, uint32_t index) {
    return &conn_at(context, index)->timer;
}

void conns_init(struct conns *conns, const struct conns_memory *memory, uint64_t now_us) {
    pool_init(&conns->pool, sizeof(struct conn), memory->connection_max, memory->conn_space,
              memory->conn_book);
    pool_init(&conns->inputs, 256, memory->input_max, memory->input_space, memory->input_book);
    pool_init(&conns->entries, sizeof(struct outbox_entry), memory->entry_max, memory->entry_space,
              memory->entry_book);
    conns->outboxes = (struct outboxes){.entries = &conns->entries, .arena = conns->arena};
    conns->touched = (uint32_t *)(void *)memory->touched.data;
    conns->touched_max = (uint32_t)(memory->touched.length / sizeof(uint32_t));
    conns->touched_count = 0;
    conns->touched_next = 0;
    conns->open_count = 0;
    conns->ping_payload = 0;
    conns->drain_over_ms = 0;
    conns->wall_s = 0;
    conns->now_us = now_us;
    conns->now_ms = now_us / 1000;
    wheel_init(&conns->wheel, timer_at, conns, conns->now_ms);
}

void conns_turn(struct conns *conns, uint64_t now_us) {
    conns->now_us = now_us;
    conns->now_ms = now_us / 1000;
    conns->turn++;
    if (conns->ping_payload != 0) {
        payload_drop(conns->arena, conns->ping_payload);
        conns->ping_payload = 0;
    }
}

void conns_set_date(struct conns *conns, uint64_t wall_ms) {
    if (wall_ms / 1000 != conns->wall_s) {
        conns->wall_s = wall_ms / 1000;
        http_date_write(conns->wall_s, conns->date);
    }
}

uint32_t conn_open(struct conns *conns) {
    uint32_t index = pool_take(&conns->pool);
    if (index == 0) {
        return 0;
    }
    struct conn *conn = conn_at(conns, index);
    memset(conn, 0, sizeof *conn);
    conn->generation = pool_generation_next(&conns->pool);
    conn->opened_ms = conn_now32(conns);
    conn->read_ms = conn->opened_ms;
    conn->message_ms = conn->opened_ms;
    conn_move(conns, index, CONN_HEAD);
    return index;
}

void conn_release(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    check(conn->state == CONN_ENDED);
    check(conn->subscriptions == 0);
    check(conn->outbox.flight_count == 0);
    uint32_t dropped = outbox_drop_all(&conns->outboxes, &conn->outbox);
    counter_add(conns->counters, COUNTER_dropped_closed, dropped);
    struct conn_input *input = conn_input_find(conns, index);
    if (input != NULL) {
        conn_input_end_exchange(conns, index);
        input = conn_input_find(conns, index);
    }
    if (input != NULL) {
        if (input->held_block != 0) {
            arena_give(conns->arena, input->held_block);
        }
        pool_give(&conns->inputs, conn->input);
        conn->input = 0;
    }
    wheel_disarm(&conns->wheel, index);
    conns->counters->faults[conn->fault]++;
    counter_add(conns->counters, COUNTER_closed, 1);
    conn_move(conns, index, CONN_FREE);
    // A touched entry of a free connection is skipped by conn_touched_next: the state says so, and
    // the flag goes with it.
    conn_clear(conn, CONN_TOUCHED);
    conn->generation = 0;
    pool_give(&conns->pool, index);
}

struct conn_input *conn_input_find(const struct conns *conns, uint32_t index) {
    uint32_t input = conn_at(conns, index)->input;
    return input == 0 ? NULL : (struct conn_input *)pool_at(&conns->inputs, input);
}

struct conn_input *conn_input_get(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    if (conn->input == 0) {
        conn->input = pool_take(&conns->inputs);
        if (conn->input == 0) {
            return NULL;
        }
        memset(pool_at(&conns->inputs, conn->input), 0, sizeof(struct conn_input));
    }
    return (struct conn_input *)pool_at(&conns->inputs, conn->input);
}

// Gives back what the input object refers to, but not what is held.
static void input_drop(struct conns *conns, const struct conn *conn, struct conn_input *input) {
    if (conn_has(conn, CONN_WAS_OPEN)) {
        ws_reader_drop(&input->reader, conns->arena);
        return;
    }
    if (input->http.head_block != 0) {
        arena_give(conns->arena, input->http.head_block);
    }
    if (input->http.body_block != 0) {
        arena_give(conns->arena, input->http.body_block);
    }
    memset(&input->http, 0, sizeof input->http);
}

void conn_input_end_exchange(struct conns *conns, uint32_t index) {
    struct conn_input *input = conn_input_find(conns, index);
    if (input != NULL) {
        input_drop(conns, conn_at(conns, index), input);
        conn_input_settle(conns, index);
    }
}

void conn_input_settle(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    struct conn_input *input = conn_input_find(conns, index);
    if (input == NULL) {
        return;
    }
    bool is_over = conn->state >= CONN_DISCARD; // whatever is unfinished stays so
    if (is_over) {
        input_drop(conns, conn, input);
    }
    bool is_idle = conn_has(conn, CONN_WAS_OPEN)
                       ? ws_reader_is_idle(&input->reader)
                       : conn->state == CONN_HEAD && input->http.head_block == 0;
    if (input->held_block == 0 && (is_idle || is_over)) {
        pool_give(&conns->inputs, conn->input);
        conn->input = 0;
    }
}

void conn_blame(struct conns *conns, uint32_t index, enum fault_id fault) {
    struct conn *conn = conn_at(conns, index);
    if (conn->fault == FAULT_none) {
        conn->fault = (uint8_t)fault;
        trace_add(conns->trace, conns->now_ms, TRACE_FAULT, index, (uint32_t)fault,
                  fault_get(fault)->close_code);
    }
}

void conn_kill(struct conns *conns, uint32_t index, enum fault_id fault) {
    struct conn *conn = conn_at(conns, index);
    check(conn->state != CONN_FREE);
    if (conn->state == CONN_ENDED) {
        return;
    }
    if (conn_has(conn, CONN_WAS_OPEN) && conn->state == CONN_OPEN) {
        conns->counters
            ->close_codes_sent[WS_CLOSE_ABNORMAL - 1000]++; // cut without a Close of ours
    }
    conn_blame(conns, index, fault);
    conn_move(conns, index, CONN_ENDED);
}

static void close_open(struct conns *conns, uint32_t index,
                       const struct conn_close_options *options) {
    struct conn *conn = conn_at(conns, index);
    const struct fault *fault = fault_get(options->fault);
    if (options->drops_waiting) {
        conn_set(conn, CONN_GIVEN_UP);
        uint32_t dropped = outbox_drop_waiting(&conns->outboxes, &conn->outbox, true);
        counter_add(conns->counters, COUNTER_dropped_closed, dropped);
    }
    conn_blame(conns, index, options->fault);
    uint16_t code = options->code != 0 ? options->code : fault->close_code;
    bool is_given = options->reason.length > 0 || options->is_reason_exact;
    struct span reason = is_given ? options->reason : span_text(fault->text);
    if (code != 0 && conn_put_close(conns, index, code, reason)) {
        conn_move(conns, index, CONN_CLOSING);
    } else if (conn->state == CONN_OPEN) {
        conn_kill(conns, index, options->fault);
    }
}

void conn_close(struct conns *conns, uint32_t index, const struct conn_close_options *options) {
    struct conn *conn = conn_at(conns, index);
    switch (conn->state) {
    case CONN_OPEN:
        close_open(conns, index, options);
        return;
    case CONN_HEAD:
        if (conn_has(conn, CONN_HEAD_BEGUN) && fault_get(options->fault)->http_status != 0) {
            conn_refuse_fault(conns, index, fault_get(options->fault));
            return;
        }
        conn_blame(conns, index, options->fault);
        conn_move(conns, index, outbox_is_empty(&conn->outbox) ? CONN_ENDED : CONN_FLUSH);
        return;
    case CONN_VERDICT:
    case CONN_BODY:
    case CONN_REPLY:
    case CONN_RELAY: // the exchange in progress is finished first
        conn_blame(conns, index, options->fault);
        conn_clear(conn, CONN_KEEP_ALIVE);
        return;
    default: // it is ending already
        return;
    }
}

void conn_pause(struct conns *conns, uint32_t index) {
    conn_set(conn_at(conns, index), CONN_PAUSED);
}

void conn_unpause(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    if (!conn_has(conn, CONN_PAUSED)) {
        return;
    }
    conn_clear(conn, CONN_PAUSED);
    conn->read_ms = conn_now32(conns); // its silence was our doing
    if (conn_has(conn, CONN_PING_OUT) && !conn_has(conn, CONN_PING_WAITS)) {
        conn_clear(conn, CONN_PING_OUT);
        conn->phase_ms = 0;
    }
    conn_touch(conns, index);
    if (conn->state != CONN_FREE && conn->state != CONN_ENDED) {
        conn_arm(conns, index);
    }
}

void conn_on_end(struct conns *conns, uint32_t index) {
    struct conn *conn = conn_at(conns, index);
    conn_set(conn, CONN_END_READ);
    bool has_output = !outbox_is_empty(&conn->outbox);
    switch (conn->state) {
    case CONN_HEAD:
        conn_blame(conns, index,
                   conn_has(conn, CONN_HAS_REQUEST) && !conn_has(conn, CONN_HEAD_BEGUN)
                       ? FAULT_request_done
                       : FAULT_peer_vanished);
        conn_move(conns, index, has_output ? CONN_FLUSH : CONN_ENDED);
        return;
    case CONN_RELAY:
        if (conn_relay_reads(conns, index)) {
            conn_kill(conns, index, FAULT_peer_vanished);
            return;
        }
        conn_clear(conn, CONN_KEEP_ALIVE);
        return;
    case CONN_VERDICT:
    case CONN_REPLY: // a client may end its side behind a whole request and still read the answer
        conn_clear(conn, CONN_KEEP_ALIVE);
        return;
    case CONN_OPEN:
        if (has_output) { // it may have ended its side alone: what was whole is still answered
            conns->counters->close_codes_sent[WS_CLOSE_ABNORMAL - 1000]++;
            conn_blame(conns, index, FAULT_peer_vanished);
            conn_input_end_exchange(conns, index);
            conn_move(conns, index, CONN_FLUSH);
            return;
        }
        conn_kill(conns, index, FAULT_peer_vanished);
        return;
    case CONN_BODY:
        conn_kill(conns, index, FAULT_peer_vanished);
        return;
    case CONN_CLOSING: // the same; its Close will not come
    case CONN_DISCARD:
        conn_move(conns, index, has_output ? CONN_FLUSH : CONN_ENDED);
        return;
    default:
        return;
    }
}

void conn_on_error(struct conns *conns, uint32_t index, enum fault_id fault) {
    conn_kill(conns, index, fault);
}

struct conn_bytes conn_bytes(const struct conns *conns, uint32_t index) {
    const struct conn *conn = conn_at(conns, index);
    struct conn_bytes bytes = {.queued = conn->outbox.queued_bytes};
    const struct conn_input *input = conn_input_find(conns, index);
    if (input != NULL) {
        bytes.input = sizeof *input;
        bool is_reader = conn_has(conn, CONN_WAS_OPEN);
        const uint32_t blocks[] = {input->held_block,
                                   is_reader ? input->reader.message_block : input->http.body_block,
                                   is_reader ? 0 : input->http.head_block};
        for (uint32_t i = 0; i < 3; i++) {
            bytes.input += blocks[i] == 0 ? 0 : arena_block_bytes(conns->arena, blocks[i]);
        }
    }
    return bytes;
}
