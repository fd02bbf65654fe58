// For the tests of gateway/worker/clients: a link over the fake io, connections, and an owner that
// answers requests with their path and echoes messages.
#pragma once
#include "core/hub/payload.h"
#include "core/ws/frame.h"
#include "gateway/seam/log.h"
#include "gateway/worker/clients.h"
#include "tests/unit/core/conn/conn_test.h"
#include "tests/unit/gateway/link/fake_io.h"

enum { ARENA_BYTES = 16 << 20, CONNS = 20 };

struct rig {
    struct io io;
    struct clients clients;
    struct arena arena;
    struct counters counters;
    struct trace trace;
    struct histogram round_trip;
    struct conn_settings settings[2];
    struct link_slot slots[FAKE_RINGS * FAKE_SLOTS];
    link_id links[CONNS + 1];
    struct address addresses[CONNS + 1];
    uint8_t bits[CONNS + 1];
    uint8_t host; // of the address that on_open is to see
    bool refuses; // on_open says no
    bool is_slow; // requests are not answered
    uint32_t opened, gone, sent, messages;
};

static inline bool on_open(void *context, uint32_t index, uint32_t listener) {
    struct rig *rig = context;
    rig->opened++;
    cr_assert_eq(listener, 0);
    cr_assert_eq(rig->addresses[index].ip[15], rig->host);
    return !rig->refuses;
}

static inline void on_message(struct rig *rig, uint32_t index, const struct conn_event *event) {
    uint32_t payload = payload_frame(&rig->arena, event->opcode, event->payload);
    conn_send(&rig->clients.conns, index, payload, 0);
    payload_drop(&rig->arena, payload);
    if (event->block != 0) {
        arena_give(&rig->arena, event->block);
    }
    rig->messages++;
}

static inline void on_ask(void *context, uint32_t index, const struct conn_event *event) {
    struct rig *rig = context;
    struct conns *conns = &rig->clients.conns;
    if (event->kind == CONN_EVENT_MESSAGE) {
        on_message(rig, index, event);
    } else if (event->is_upgrade) {
        conn_upgrade(conns, index, 1, span_empty());
    } else if (event->kind == CONN_EVENT_REQUEST && !rig->is_slow) {
        struct http_reply reply = {.status = 200, .body = conns->request.path};
        conn_reply(conns, index, &reply);
    }
}

static inline void on_sent(void *context, uint32_t index) {
    struct rig *rig = context;
    cr_assert_neq(conn_at(&rig->clients.conns, index)->state, CONN_FREE);
    rig->sent++;
}

static inline void on_gone(void *context, uint32_t index) {
    struct rig *rig = context;
    cr_assert_eq(conn_at(&rig->clients.conns, index)->state, CONN_ENDED);
    rig->gone++;
}

static inline void conns_make(struct rig *rig) {
    struct conns *conns = &rig->clients.conns;
    arena_init(&rig->arena, conn_test_reserve(ARENA_BYTES),
               conn_test_reserve(arena_book_bytes(ARENA_BYTES)), ARENA_BYTES);
    rig->settings[1] = (struct conn_settings){.reader = {.message_bytes_max = 1 << 20,
                                                         .fragments_max = 10,
                                                         .head = {.expects_mask = true}},
                                              .bounds = {.queue_bytes_max = 1 << 20}};
    *conns = (struct conns){.arena = &rig->arena,
                            .settings = rig->settings,
                            .counters = &rig->counters,
                            .trace = &rig->trace,
                            .round_trip = &rig->round_trip,
                            .head_bytes_max = 8192,
                            .handshake_ms = 10000};
    conn_test_conns(conns, CONNS, CONNS * 100, 1000000);
}

static inline struct rig *rig_open(void) {
    struct rig *rig = calloc(1, sizeof *rig);
    cr_assert_not_null(rig);
    rig->host = 7;
    rig->io.ring_count = 1;
    rig->io.ring_max = FAKE_RINGS;
    for (uint32_t ring = 0; ring < FAKE_RINGS; ring++) {
        rig->io.buffer_count[ring] = 16;
    }
    conns_make(rig);
    struct link_options options = {
        .io = &rig->io,
        .ring_max = FAKE_RINGS,
        .slots = {.data = (uint8_t *)rig->slots, .length = sizeof rig->slots},
        .counters = &rig->counters,
        .trace = &rig->trace};
    link_init(&rig->clients.link, &options);
    static const struct log_options quiet = {
        .name = "test", .ring_bytes = 1 << 16, .level = LOG_LEVEL_WARN};
    rig->clients.log = log_open(&quiet);
    rig->clients.links = rig->links;
    rig->clients.addresses = rig->addresses;
    rig->clients.bits = rig->bits;
    rig->clients.owner = (struct clients_owner){.context = rig,
                                                .on_open = on_open,
                                                .on_ask = on_ask,
                                                .on_sent = on_sent,
                                                .on_gone = on_gone};
    cr_assert_eq(link_listen(&rig->clients.link, &(struct io_listen_options){.backlog = 1}), 0);
    link_turn_end(&rig->clients.link);
    return rig;
}

// One turn: what completed is handled, what was touched is sent.
static inline void turn(struct rig *rig) {
    struct link_event event;
    while (link_next(&rig->clients.link, &event)) {
        clients_on_event(&rig->clients, &event);
    }
    clients_expire(&rig->clients);
    clients_pump(&rig->clients);
    link_turn_end(&rig->clients.link);
}

static inline void wait(struct rig *rig, uint64_t ms) {
    conns_turn(&rig->clients.conns, rig->clients.conns.now_us + ms * 1000);
    turn(rig);
}

static inline link_id rig_accept(struct rig *rig) {
    uint32_t index = 0;
    while (!rig->io.accepts[index].is_armed) {
        index++;
    }
    link_id id = fake_accepted(&rig->io, index, 7, 0);
    turn(rig);
    return id;
}

// The peer's bytes, in as many receives as they need; what they caused is done.
static inline void peer_sends(struct rig *rig, link_id id, const void *bytes, uint32_t length) {
    struct io *io = &rig->io;
    const uint8_t *at = bytes;
    fake_polled(io, id, IO_POLL_IN, true);
    turn(rig);
    while (length > 0) {
        struct fake_slot *slot = fake_at(io, id);
        cr_assert(slot->is_receiving, "%u bytes are not read", length);
        uint32_t room = slot->target.length > 0 ? slot->target.length : 64;
        uint32_t taken = length < room ? length : room;
        bool has_target = slot->target.length > 0;
        if (has_target) {
            memcpy(slot->target.data, at, taken);
        }
        cr_assert(fake_received(io, id, (int32_t)taken, length > taken));
        if (!has_target) {
            const struct io_completion *last = &io->queue[(io->queue_last - 1) % FAKE_QUEUE];
            memcpy(io->buffers[last->ring][last->buffer_id], at, taken);
        }
        at += taken;
        length -= taken;
        turn(rig);
    }
}

static inline void peer_says(struct rig *rig, link_id id, const char *text) {
    peer_sends(rig, id, text, (uint32_t)strlen(text));
}

// The send in flight goes out whole.
static inline void peer_reads(struct rig *rig, link_id id) {
    cr_assert(fake_at(&rig->io, id)->is_sending, "nothing is being sent");
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    const struct conns *conns = &rig->clients.conns;
    const struct outbox *outbox = &conn_at(conns, index)->outbox;
    uint32_t bytes = 0;
    uint32_t entry = outbox->first;
    for (uint32_t i = 0; i < outbox->flight_count; i++) {
        const struct outbox_entry *at = pool_at(&conns->entries, entry);
        bytes += payload_at(&rig->arena, at->payload)->wire_bytes - at->sent_bytes;
        entry = at->next;
    }
    fake_sent(&rig->io, id, (int32_t)bytes);
    turn(rig);
}

#define GET "GET /path HTTP/1.1\r\nHost: a\r\n\r\n"
#define UPGRADE "GET / HTTP/1.1\r\n" HANDSHAKE_FIELDS

static inline enum conn_state state_of(const struct rig *rig, link_id id) {
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    return (enum conn_state)conn_at(&rig->clients.conns, index)->state;
}

static inline link_id open_socket(struct rig *rig) {
    link_id id = rig_accept(rig);
    peer_says(rig, id, UPGRADE);
    peer_reads(rig, id);
    cr_assert_eq(state_of(rig, id), CONN_OPEN);
    return id;
}

static inline void finish(struct rig *rig, link_id id) {
    struct fake_slot *slot = fake_at(&rig->io, id);
    for (uint32_t i = 0; i < 20 && slot->phase != FAKE_CLOSED; i++) {
        if (slot->is_sending) {
            fake_sent(&rig->io, id, -ECANCELED);
        } else if (slot->is_receiving) {
            fake_received(&rig->io, id, -EAGAIN, false);
        } else if (slot->is_send_cancelling || slot->is_cancelling) {
            fake_cancelled(&rig->io, id, 0);
        } else if (slot->is_polling) {
            fake_polled(&rig->io, id, -ECANCELED, false);
        } else if (slot->is_closing) {
            fake_closed(&rig->io, id, 0);
        }
        turn(rig);
    }
}

static inline void rig_close(struct rig *rig) {
    struct conns *conns = &rig->clients.conns;
    for (uint32_t index = 1; index <= CONNS; index++) {
        if (conn_at(conns, index)->state != CONN_FREE) {
            conn_kill(conns, index, FAULT_killed);
            turn(rig);
            finish(rig, rig->links[index]);
        }
    }
    conns_turn(conns, conns->now_us);
    cr_assert_eq(rig->gone, rig->opened); // each was told once
    cr_assert_eq(conns->pool.used, 0);
    cr_assert_eq(conns->inputs.used, 0);
    cr_assert_eq(conns->entries.used, 0);
    cr_assert_eq(rig->arena.used_bytes, 0);
    cr_assert_eq(rig->clients.link.used_total, 0);
    for (uint32_t i = 0; i < FAKE_RINGS * 64; i++) {
        expect(!rig->io.is_lent[i / 64][i % 64], "buffer %u is still lent", i);
    }
    log_close(&rig->clients.log);
    free(rig);
}
