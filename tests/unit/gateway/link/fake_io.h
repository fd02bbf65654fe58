// For the tests of gateway/link: the operations of io.h recorded instead of carried out; the test
// completes them. It watches the contract's caller side: one receive and one send of a slot at a
// time, every buffer given back once, no accept without a free slot, nothing prepared for a slot
// after its close, and completions only of what was prepared (P1).
#pragma once
#include "gateway/link/link.h"
#include "tests/unit/expect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FAKE_RINGS = 3,
    FAKE_SLOTS = 24,
    FAKE_BUFFERS = 4, // of each ring
    FAKE_QUEUE = 4096,
    FAKE_ACCEPTS = LISTENERS_MAX * LINK_ACCEPTS,
};

enum fake_phase { FAKE_CLOSED, FAKE_OPEN, FAKE_ENDING }; // ENDING: its close is prepared

struct fake_slot {
    uint8_t phase;
    uint16_t generation;
    bool is_polling, is_receiving, is_sending, is_send_cancelling, is_cancelling, is_closing;
    bool is_connecting, is_setting;
    struct span_mut target;
    uint32_t pieces;
    uint32_t sent_bytes;
    char sent[4096]; // what was given to send since it was looked at; more is left out
};

struct io {
    uint32_t ring_count;
    uint32_t ring_max; // more are refused with -ENOSPC
    bool can_grow;
    struct fake_slot slots[FAKE_RINGS][FAKE_SLOTS];
    struct {
        bool is_armed, is_cancelling;
        uint8_t ring;
        int listener;
        struct io_peer *peer;
    } accepts[FAKE_ACCEPTS];
    uint32_t sockets[FAKE_RINGS]; // asked for and not answered
    bool is_lent[FAKE_RINGS][64];
    uint8_t buffers[FAKE_RINGS][64][64];
    uint32_t buffer_count[FAKE_RINGS];
    uint32_t listeners;
    struct io_completion queue[FAKE_QUEUE];
    uint32_t queue_first, queue_last;
    uint32_t log_bytes;
    char log[1 << 16]; // what was prepared, since fake_forget
};

static inline void fake_note(struct io *io, const char *what, struct io_handle handle) {
    int length = snprintf(io->log + io->log_bytes, sizeof io->log - io->log_bytes, "%s %u.%u\n",
                          what, handle.ring, handle.slot);
    io->log_bytes += (uint32_t)length;
    if (io->log_bytes > sizeof io->log - 100) { // long tests do not look
        io->log_bytes = 0;
    }
}

static inline void fake_forget(struct io *io) {
    io->log_bytes = 0;
    io->log[0] = 0;
}

static inline void fake_push(struct io *io, struct io_completion completion) {
    cr_assert_lt(io->queue_last - io->queue_first, (uint32_t)FAKE_QUEUE);
    io->queue[io->queue_last++ % FAKE_QUEUE] = completion;
}

static inline struct fake_slot *fake_slot(struct io *io, struct io_handle handle) {
    struct fake_slot *slot = &io->slots[handle.ring][handle.slot];
    expect(slot->phase == FAKE_OPEN, "an operation on a slot that is not open");
    return slot;
}

// --- io.h

uint32_t io_ring_count(const struct io *io) {
    return io->ring_count;
}

uint32_t io_ring_slots(const struct io *io) {
    (void)io; // all are of one size
    return FAKE_SLOTS;
}

int io_ring_open(struct io *io) {
    if (io->ring_count == io->ring_max) {
        return -ENOSPC;
    }
    return (int)io->ring_count++;
}

int io_listen(struct io *io, const struct io_listen_options *options) {
    return options->backlog == 0 ? -EADDRINUSE : (int)io->listeners++;
}

void io_listener_close(struct io *io, int listener) {
    (void)listener; // their number is enough
    io->listeners--;
}

void io_accept_one(struct io *io, uint8_t ring, int listener, uint32_t storage_index,
                   struct io_peer *peer) {
    expect(!io->accepts[storage_index].is_armed, "accept %u is armed twice", storage_index);
    uint32_t taken = io->sockets[ring];
    for (uint32_t i = 0; i < FAKE_ACCEPTS; i++) {
        taken += io->accepts[i].is_armed && io->accepts[i].ring == ring;
    }
    for (uint32_t i = 0; i < FAKE_SLOTS; i++) {
        taken += io->slots[ring][i].phase != FAKE_CLOSED;
    }
    expect(taken < FAKE_SLOTS, "an accept without a free slot (P9)");
    io->accepts[storage_index].is_armed = true;
    io->accepts[storage_index].ring = ring;
    io->accepts[storage_index].listener = listener;
    io->accepts[storage_index].peer = peer;
}

void io_accept_one_cancel(struct io *io, uint8_t ring, uint32_t storage_index) {
    expect(io->accepts[storage_index].ring == ring, "of another ring");
    expect(!io->accepts[storage_index].is_cancelling, "cancelled twice");
    io->accepts[storage_index].is_cancelling = true;
}

void io_socket(struct io *io, uint8_t ring, enum address_kind kind, bool is_v6, uint32_t token,
               uint16_t generation) {
    expect(kind != ADDRESS_NONE && generation == 0, "a socket of no kind");
    io->sockets[ring]++;
    fake_note(io, is_v6 ? "socket v6" : "socket", (struct io_handle){.ring = ring, .slot = token});
}

static inline void fake_connect(struct io *io, struct io_handle handle, const char *what) {
    struct fake_slot *slot = fake_slot(io, handle);
    expect(!slot->is_connecting && !slot->is_polling, "connected twice");
    slot->is_connecting = true;
    slot->generation = handle.generation;
    fake_note(io, what, handle);
}

void io_connect(struct io *io, struct io_handle handle, const struct io_peer *peer) {
    expect(peer->length > 0, "no address");
    fake_connect(io, handle, "connect");
}

int io_connect_unix(struct io *io, struct io_handle handle, const char *path) {
    expect(path[0] == '/', "no path");
    fake_connect(io, handle, "connect unix");
    return 0;
}

void io_connect_cancel(struct io *io, struct io_handle handle) {
    struct fake_slot *slot = fake_slot(io, handle);
    expect(slot->is_connecting && !slot->is_send_cancelling, "nothing to cancel");
    slot->is_send_cancelling = true;
    fake_note(io, "cancel connect", handle);
}

void io_set_option(struct io *io, struct io_handle handle, int level, int name, const int *value) {
    struct fake_slot *slot = fake_slot(io, handle);
    expect(level > 0 && name > 0 && *value == 1 && !slot->is_setting, "an option");
    slot->is_setting = true;
    slot->generation = handle.generation;
    fake_note(io, "set option", handle);
}

void io_poll(struct io *io, struct io_handle handle) {
    struct fake_slot *slot = fake_slot(io, handle);
    expect(!slot->is_polling, "two polls");
    slot->is_polling = true;
    slot->generation = handle.generation;
    fake_note(io, "poll", handle);
}

void io_receive(struct io *io, struct io_handle handle, struct span_mut target) {
    struct fake_slot *slot = fake_slot(io, handle);
    expect(!slot->is_receiving, "two receives");
    slot->is_receiving = true;
    slot->target = target;
    fake_note(io, target.length > 0 ? "receive to target" : "receive", handle);
}

static inline void fake_send(struct io *io, struct io_handle handle, uint32_t pieces) {
    struct fake_slot *slot = fake_slot(io, handle);
    expect(!slot->is_sending, "two sends");
    slot->is_sending = true;
    slot->pieces = pieces;
    fake_note(io, pieces == 1 ? "send" : "sendmsg", handle);
}

static inline void fake_sent_note(struct fake_slot *slot, struct span bytes) {
    if (bytes.length < sizeof slot->sent - slot->sent_bytes) {
        memcpy(slot->sent + slot->sent_bytes, bytes.data, bytes.length);
        slot->sent_bytes += bytes.length;
        slot->sent[slot->sent_bytes] = 0;
    }
}

void io_send(struct io *io, struct io_handle handle, struct span bytes) {
    expect(bytes.length > 0, "an empty send");
    fake_send(io, handle, 1);
    fake_sent_note(fake_slot(io, handle), bytes);
}

void io_sendmsg(struct io *io, struct io_handle handle, const struct span *pieces,
                uint32_t piece_count) {
    expect(piece_count > 0 && pieces[0].length > 0, "an empty sendmsg");
    fake_send(io, handle, piece_count);
    for (uint32_t i = 0; i < piece_count; i++) {
        fake_sent_note(fake_slot(io, handle), pieces[i]);
    }
}

void io_send_cancel(struct io *io, struct io_handle handle) {
    struct fake_slot *slot = fake_slot(io, handle);
    expect(!slot->is_send_cancelling, "cancelled twice"); // its completion may be on its way
    slot->is_send_cancelling = true;
    fake_note(io, "cancel send", handle);
}

void io_cancel_then_close(struct io *io, struct io_handle handle) {
    struct fake_slot *slot = fake_slot(io, handle);
    expect(!slot->is_receiving && !slot->is_sending, "in flight at the close");
    expect(!slot->is_connecting && !slot->is_setting, "in flight at the close");
    slot->phase = FAKE_ENDING;
    slot->is_cancelling = true;
    slot->is_closing = true;
    fake_note(io, "cancel and close", handle);
}

void io_close(struct io *io, struct io_handle handle) {
    struct fake_slot *slot = &io->slots[handle.ring][handle.slot];
    expect(!slot->is_closing && !slot->is_receiving && !slot->is_sending, "in flight at the close");
    expect(!slot->is_connecting && !slot->is_setting, "in flight at the close");
    slot->phase = FAKE_ENDING;
    slot->generation = handle.generation;
    slot->is_closing = true;
    fake_note(io, "close", handle);
}

bool io_next(struct io *io, struct io_completion *completion) {
    if (io->queue_first == io->queue_last) {
        return false;
    }
    *completion = io->queue[io->queue_first++ % FAKE_QUEUE];
    return true;
}

struct span_mut io_buffer(const struct io *io, uint8_t ring, uint16_t buffer_id) {
    expect(io->is_lent[ring][buffer_id], "buffer %u is not lent", buffer_id);
    return (struct span_mut){.data = (uint8_t *)io->buffers[ring][buffer_id],
                             .length = sizeof io->buffers[ring][buffer_id]};
}

void io_buffer_give(struct io *io, uint8_t ring, uint16_t buffer_id) {
    expect(io->is_lent[ring][buffer_id], "buffer %u is given back twice", buffer_id);
    io->is_lent[ring][buffer_id] = false;
}

bool io_buffers_grow(struct io *io, uint8_t ring) {
    if (!io->can_grow || io->buffer_count[ring] == 64) {
        return false;
    }
    io->buffer_count[ring] *= 2;
    return true;
}

// --- completions

static inline struct io_handle fake_handle(link_id id) {
    return (struct io_handle){.ring = (uint8_t)(id >> LINK_RING_SHIFT),
                              .slot = id & ((1u << LINK_RING_SHIFT) - 1)};
}

static inline struct fake_slot *fake_at(struct io *io, link_id id) {
    struct io_handle handle = fake_handle(id);
    return &io->slots[handle.ring][handle.slot];
}

static inline struct io_completion fake_completion(struct io *io, link_id id, uint8_t operation,
                                                   int32_t result) {
    struct io_handle handle = fake_handle(id);
    return (struct io_completion){.operation = operation,
                                  .ring = handle.ring,
                                  .slot = handle.slot,
                                  .generation = fake_at(io, id)->generation,
                                  .result = result};
}

static inline void fake_polled(struct io *io, link_id id, int32_t result, bool more) {
    expect(fake_at(io, id)->is_polling, "no poll is armed");
    fake_at(io, id)->is_polling = more;
    struct io_completion completion = fake_completion(io, id, IO_POLL, result);
    completion.more = more;
    fake_push(io, completion);
}

// A receive ends: with a buffer when it brings bytes and has no target; false when there is none
// and it ends with -ENOBUFS instead.
static inline bool fake_received(struct io *io, link_id id, int32_t result, bool is_ready) {
    struct fake_slot *slot = fake_at(io, id);
    expect(slot->is_receiving, "no receive is in flight");
    slot->is_receiving = false;
    struct io_completion completion = fake_completion(io, id, IO_RECEIVE, result);
    completion.is_socket_ready = is_ready;
    bool is_starved = false;
    if (result > 0 && slot->target.length == 0) {
        uint32_t buffer = 0;
        while (buffer < io->buffer_count[completion.ring] && io->is_lent[completion.ring][buffer]) {
            buffer++;
        }
        is_starved = buffer == io->buffer_count[completion.ring];
        if (is_starved) {
            completion.result = -ENOBUFS;
            completion.is_socket_ready = false;
        } else {
            completion.has_buffer = true;
            completion.buffer_id = (uint16_t)buffer;
            io->is_lent[completion.ring][buffer] = true;
            memset(io->buffers[completion.ring][buffer], 'a' + (int)id % 26, (size_t)result);
        }
    }
    fake_push(io, completion);
    return !is_starved;
}

static inline void fake_sent(struct io *io, link_id id, int32_t result) {
    struct fake_slot *slot = fake_at(io, id);
    expect(slot->is_sending, "no send is in flight");
    slot->is_sending = false;
    fake_push(io, fake_completion(io, id, slot->pieces == 1 ? IO_SEND : IO_SENDMSG, result));
}

static inline void fake_cancelled(struct io *io, link_id id, int32_t result) {
    struct fake_slot *slot = fake_at(io, id);
    expect(slot->is_send_cancelling || slot->is_cancelling, "nothing was cancelled");
    slot->is_send_cancelling = false;
    slot->is_cancelling = false;
    fake_push(io, fake_completion(io, id, IO_CANCEL, result));
}

static inline void fake_closed(struct io *io, link_id id, int32_t result) {
    struct fake_slot *slot = fake_at(io, id);
    expect(slot->is_closing && !slot->is_cancelling, "cancel, then close");
    slot->is_closing = false;
    if (result != -ECANCELED) {
        slot->phase = FAKE_CLOSED;
    }
    fake_push(io, fake_completion(io, id, IO_CLOSE, result));
}

// An accept ends, with a connection from 192.0.2.`host` (0: of a family nobody knows) in the lowest
// free slot of its ring, or with an error. Returns the id, or LINK_NONE.
static inline link_id fake_accepted(struct io *io, uint32_t storage_index, uint8_t host,
                                    int32_t error) {
    expect(io->accepts[storage_index].is_armed, "accept %u is not armed", storage_index);
    io->accepts[storage_index].is_armed = false;
    uint8_t ring = io->accepts[storage_index].ring;
    uint32_t number = 0;
    while (number < FAKE_SLOTS && io->slots[ring][number].phase != FAKE_CLOSED) {
        number++;
    }
    link_id id = LINK_NONE;
    if (error == 0) {
        expect(number < FAKE_SLOTS, "a client is cut (P9)");
        io->slots[ring][number] = (struct fake_slot){.phase = FAKE_OPEN};
        id = (uint32_t)ring << LINK_RING_SHIFT | number;
        struct address address = {
            .kind = ADDRESS_IP, .ip = {[10] = 0xff, 0xff, 192, 0, 2, host}, .port = 5};
        io_peer_encode(&address, io->accepts[storage_index].peer);
        if (host == 0) {
            memset(io->accepts[storage_index].peer->sockaddr, 0xee, 2);
        }
    }
    fake_push(io, (struct io_completion){.operation = IO_ACCEPT_ONE,
                                         .ring = ring,
                                         .slot = storage_index,
                                         .result = error == 0 ? (int32_t)number : error});
    return id;
}

static inline void fake_accept_cancelled(struct io *io, uint32_t storage_index) {
    expect(io->accepts[storage_index].is_cancelling, "accept %u", storage_index);
    io->accepts[storage_index].is_cancelling = false;
    fake_push(io, (struct io_completion){.operation = IO_ACCEPT_CANCEL,
                                         .ring = io->accepts[storage_index].ring,
                                         .slot = storage_index});
}

// A socket that was asked for is there, in the lowest free slot of the ring: its id; or with an
// error, LINK_NONE.
static inline link_id fake_socket(struct io *io, uint8_t ring, uint32_t token, int32_t error) {
    expect(io->sockets[ring] > 0, "no socket was asked for");
    io->sockets[ring]--;
    uint32_t number = 0;
    while (number < FAKE_SLOTS && io->slots[ring][number].phase != FAKE_CLOSED) {
        number++;
    }
    expect(number < FAKE_SLOTS, "no slot was kept for it");
    if (error == 0) {
        io->slots[ring][number] = (struct fake_slot){.phase = FAKE_OPEN};
    }
    fake_push(io, (struct io_completion){.operation = IO_SOCKET,
                                         .ring = ring,
                                         .slot = token,
                                         .result = error == 0 ? (int32_t)number : error});
    return error == 0 ? (uint32_t)ring << LINK_RING_SHIFT | number : LINK_NONE;
}

static inline void fake_connected(struct io *io, link_id id, int32_t result) {
    expect(fake_at(io, id)->is_connecting, "it is not being connected");
    fake_at(io, id)->is_connecting = false;
    fake_push(io, fake_completion(io, id, IO_CONNECT, result));
}

static inline void fake_option_set(struct io *io, link_id id, int32_t result) {
    expect(fake_at(io, id)->is_setting, "no option is being set");
    fake_at(io, id)->is_setting = false;
    fake_push(io, fake_completion(io, id, IO_SET_OPTION, result));
}
