// The path of bytes between a socket and its connection: a link over the fake io, connections, and
// an owner that answers requests with their path and echoes messages.
#include "core/hub/payload.h"
#include "core/ws/frame.h"
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
    bool refuses; // on_open says no
    bool is_slow; // requests are not answered
    uint32_t opened, gone, sent, messages;
};

static bool on_open(void *context, uint32_t index, uint32_t listener) {
    struct rig *rig = context;
    rig->opened++;
    cr_assert_eq(listener, 0);
    cr_assert_eq(rig->addresses[index].ip[15], 7);
    return !rig->refuses;
}

static void on_message(struct rig *rig, uint32_t index, const struct conn_event *event) {
    uint32_t payload = payload_frame(&rig->arena, event->opcode, event->payload);
    conn_send(&rig->clients.conns, index, payload, 0);
    payload_drop(&rig->arena, payload);
    if (event->block != 0) {
        arena_give(&rig->arena, event->block);
    }
    rig->messages++;
}

static void on_ask(void *context, uint32_t index, const struct conn_event *event) {
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

static void on_sent(void *context, uint32_t index) {
    struct rig *rig = context;
    cr_assert_neq(conn_at(&rig->clients.conns, index)->state, CONN_FREE);
    rig->sent++;
}

static void on_gone(void *context, uint32_t index) {
    struct rig *rig = context;
    cr_assert_eq(conn_at(&rig->clients.conns, index)->state, CONN_ENDED);
    rig->gone++;
}

static void conns_make(struct rig *rig) {
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

static struct rig *rig_open(void) {
    struct rig *rig = calloc(1, sizeof *rig);
    cr_assert_not_null(rig);
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
static void turn(struct rig *rig) {
    struct link_event event;
    while (link_next(&rig->clients.link, &event)) {
        clients_on_event(&rig->clients, &event);
    }
    clients_expire(&rig->clients);
    clients_pump(&rig->clients);
    link_turn_end(&rig->clients.link);
}

static void wait(struct rig *rig, uint64_t ms) {
    conns_turn(&rig->clients.conns, rig->clients.conns.now_us + ms * 1000);
    turn(rig);
}

static link_id accept(struct rig *rig) {
    uint32_t index = 0;
    while (!rig->io.accepts[index].is_armed) {
        index++;
    }
    link_id id = fake_accepted(&rig->io, index, 7, 0);
    turn(rig);
    return id;
}

// The peer's bytes, in as many receives as they need; what they caused is done.
static void peer_sends(struct rig *rig, link_id id, const void *bytes, uint32_t length) {
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

static void peer_says(struct rig *rig, link_id id, const char *text) {
    peer_sends(rig, id, text, (uint32_t)strlen(text));
}

// The send in flight goes out whole.
static void peer_reads(struct rig *rig, link_id id) {
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

static enum conn_state state_of(const struct rig *rig, link_id id) {
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    return (enum conn_state)conn_at(&rig->clients.conns, index)->state;
}

static link_id open_socket(struct rig *rig) {
    link_id id = accept(rig);
    peer_says(rig, id, UPGRADE);
    peer_reads(rig, id);
    cr_assert_eq(state_of(rig, id), CONN_OPEN);
    return id;
}

static void finish(struct rig *rig, link_id id) {
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

static void rig_close(struct rig *rig) {
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
    free(rig);
}

Test(clients, a_request_is_answered_and_the_next_one_read) {
    struct rig *rig = rig_open();
    link_id id = accept(rig);
    for (int i = 0; i < 3; i++) {
        peer_says(rig, id, GET);
        cr_assert_not(fake_at(&rig->io, id)->is_receiving); // not before its reply is out
        peer_reads(rig, id);
        cr_assert_eq(state_of(rig, id), CONN_HEAD);
    }
    cr_assert_eq(rig->sent, 3);
    cr_assert_eq(rig->counters.values[COUNTER_bytes_in], 3 * (sizeof GET - 1));
    rig_close(rig);
}

Test(clients, messages_in_pieces_and_into_their_own_memory) {
    struct rig *rig = rig_open();
    link_id id = open_socket(rig);
    uint32_t length = 20000;
    uint8_t *frame = malloc(length + FRAME_HEAD_BYTES_MAX);
    static const uint8_t key[4] = {0};
    uint32_t head = ws_frame_head_encode_masked(frame, WS_BINARY, 0, length, key);
    memset(frame + head, 'x', length);
    peer_sends(rig, id, frame, head + length);
    cr_assert_eq(rig->messages, 1);
    peer_reads(rig, id);
    cr_assert_eq(rig->counters.values[COUNTER_messages_out], 1);
    free(frame);
    rig_close(rig);
}

Test(clients, bytes_behind_the_get_are_held_until_the_verdict) {
    struct rig *rig = rig_open();
    rig->is_slow = true;
    link_id id = accept(rig);
    peer_says(rig, id, GET GET);
    cr_assert_eq(state_of(rig, id), CONN_VERDICT);
    fake_polled(&rig->io, id, IO_POLL_IN, true); // more is there: it waits in the socket
    turn(rig);
    cr_assert_not(fake_at(&rig->io, id)->is_receiving);
    struct http_reply reply = {.status = 200};
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    conn_reply(&rig->clients.conns, index, &reply);
    clients_pump(&rig->clients);
    peer_reads(rig, id);
    cr_assert_eq(state_of(rig, id), CONN_VERDICT); // of the second
    conn_reply(&rig->clients.conns, index, &reply);
    clients_pump(&rig->clients);
    peer_reads(rig, id);
    cr_assert(fake_at(&rig->io, id)->is_receiving); // what waited
    rig_close(rig);
}

Test(clients, a_paused_one_is_not_read_and_loses_nothing) {
    struct rig *rig = rig_open();
    link_id id = open_socket(rig);
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    fake_polled(&rig->io, id, IO_POLL_IN, true);
    turn(rig);
    conn_pause(&rig->clients.conns, index); // with a receive in flight
    static const uint8_t frames[] = {0x81, 0x81, 0, 0, 0, 0, 'a', 0x81, 0x81, 0, 0, 0, 0, 'b'};
    fake_received(&rig->io, id, sizeof frames, true);
    memcpy(rig->io.buffers[0][0], frames, sizeof frames);
    turn(rig);
    cr_assert_eq(rig->messages, 0);
    cr_assert_not(fake_at(&rig->io, id)->is_receiving);
    conn_unpause(&rig->clients.conns, index);
    clients_pump(&rig->clients);
    cr_assert_eq(rig->messages, 2);
    cr_assert(fake_at(&rig->io, id)->is_receiving);
    rig_close(rig);
}

Test(clients, the_peers_end_and_errors_end_the_connection) {
    static const struct {
        int32_t result;
        enum fault_id fault;
    } rows[] = {{0, FAULT_peer_vanished},
                {-ECONNRESET, FAULT_peer_reset},
                {-EPIPE, FAULT_peer_reset},
                {-ETIMEDOUT, FAULT_transport_error}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig *rig = rig_open();
        link_id id = open_socket(rig);
        fake_polled(&rig->io, id, IO_POLL_IN, true);
        turn(rig);
        fake_received(&rig->io, id, rows[i].result, false);
        turn(rig);
        finish(rig, id);
        cr_assert_eq(rig->gone, 1);
        cr_assert_eq(rig->counters.faults[rows[i].fault], 1);
        rig_close(rig);
    }
}

Test(clients, a_failed_send_ends_the_connection) {
    static const struct {
        int32_t result;
        enum fault_id fault;
    } rows[] = {{-EPIPE, FAULT_peer_reset},
                {-ECONNRESET, FAULT_peer_reset},
                {-ENOBUFS, FAULT_transport_error}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig *rig = rig_open();
        link_id id = accept(rig);
        peer_says(rig, id, GET);
        fake_sent(&rig->io, id, rows[i].result);
        turn(rig);
        finish(rig, id);
        cr_assert_eq(rig->counters.faults[rows[i].fault], 1);
        rig_close(rig);
    }
}

Test(clients, a_short_send_goes_on) {
    struct rig *rig = rig_open();
    link_id id = accept(rig);
    peer_says(rig, id, GET);
    fake_sent(&rig->io, id, 10);
    turn(rig);
    peer_reads(rig, id);
    cr_assert_eq(state_of(rig, id), CONN_HEAD);
    rig_close(rig);
}

Test(clients, one_that_the_owner_does_not_want_is_closed_without_a_word) {
    struct rig *rig = rig_open();
    rig->refuses = true;
    link_id id = accept(rig);
    cr_assert_eq(state_of(rig, id), CONN_ENDED);
    finish(rig, id);
    cr_assert_eq(rig->gone, 1);
    cr_assert_eq(rig->counters.faults[FAULT_connection_limit], 1);
    rig_close(rig);
}

// A client whose last receive filled a buffer.
static link_id open_burst(struct rig *rig) {
    link_id id = open_socket(rig);
    rig->bits[link_slot_at(&rig->clients.link, id)->owner] |= CLIENTS_BURSTS;
    return id;
}

static bool receives_lent(struct rig *rig, link_id id) {
    const struct fake_slot *slot = fake_at(&rig->io, id);
    return slot->is_receiving && slot->target.length == BURST_BYTES;
}

Test(clients, those_that_send_in_bursts_take_turns_and_the_dead_lose_theirs) {
    struct rig *rig = rig_open();
    enum { COUNT = BURSTS_MAX + 3 };
    link_id ids[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        ids[i] = open_burst(rig);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        fake_polled(&rig->io, ids[i], IO_POLL_IN, true);
        turn(rig);
        cr_assert_eq(receives_lent(rig, ids[i]), i < BURSTS_MAX, "client %u", i);
    }
    cr_assert_eq(rig->clients.burst_count, 3);
    conn_kill(&rig->clients.conns, link_slot_at(&rig->clients.link, ids[BURSTS_MAX])->owner,
              FAULT_killed);
    turn(rig);
    finish(rig, ids[BURSTS_MAX]);
    cr_assert(fake_received(&rig->io, ids[0], -EAGAIN, false)); // one place is free
    turn(rig);
    cr_assert(receives_lent(rig, ids[BURSTS_MAX + 1]));
    cr_assert_not(fake_at(&rig->io, ids[BURSTS_MAX + 2])->is_receiving);
    fake_polled(&rig->io, ids[0], IO_POLL_IN, true); // behind the one that waits longest
    turn(rig);
    cr_assert_not(fake_at(&rig->io, ids[0])->is_receiving);
    cr_assert(fake_received(&rig->io, ids[1], -EAGAIN, false));
    turn(rig);
    cr_assert(receives_lent(rig, ids[BURSTS_MAX + 2]));
    cr_assert(fake_received(&rig->io, ids[2], -EAGAIN, false));
    turn(rig);
    cr_assert(receives_lent(rig, ids[0]));
    rig_close(rig);
}

Test(clients, one_more_than_there_is_room_for_is_closed) {
    struct rig *rig = rig_open();
    for (uint32_t i = 0; i < CONNS; i++) {
        accept(rig);
    }
    link_id id = accept(rig);
    cr_assert_eq(link_slot_at(&rig->clients.link, id)->state, LINK_STOPPING);
    finish(rig, id);
    cr_assert_eq(rig->opened, CONNS);
    rig_close(rig);
}

Test(clients, a_send_in_flight_when_time_is_up_is_cancelled) {
    struct rig *rig = rig_open();
    rig->settings[0].stall_ms = 30000;
    link_id id = accept(rig);
    peer_says(rig, id, GET);
    wait(rig, 30100);
    cr_assert(fake_at(&rig->io, id)->is_send_cancelling);
    finish(rig, id);
    cr_assert_eq(rig->counters.faults[FAULT_send_stalled], 1);
    rig_close(rig);
}

Test(clients, a_handle_of_a_connection_that_is_gone_is_dead) {
    struct rig *rig = rig_open();
    link_id id = open_socket(rig);
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    uint32_t generation = conn_at(&rig->clients.conns, index)->generation;
    cr_assert(clients_is_live(&rig->clients, index, generation));
    cr_assert_not(clients_is_live(&rig->clients, index, generation + 1));
    cr_assert_not(clients_is_live(&rig->clients, 0, 0));
    cr_assert_not(clients_is_live(&rig->clients, 5, 1)); // never opened
    conn_kill(&rig->clients.conns, index, FAULT_killed);
    turn(rig);
    finish(rig, id);
    cr_assert_not(clients_is_live(&rig->clients, index, generation));
    accept(rig);
    cr_assert_not(clients_is_live(&rig->clients, index, generation));
    rig_close(rig);
}
