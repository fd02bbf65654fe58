// The second implementation of gateway/io/io.h: preparing, submitting, taking completions. It keeps
// the contract's promises and uses every freedom that it leaves; it does not model the kernel.
// Operations are carried out when they are submitted (sim_io_run.c), and what they bring is taken
// by io_next in any order that the contract allows. io_turn never waits: the world calls the thread
// again when something has come.
#include "tests/sim/sim_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

struct sim *sim_world;

// --- opening

static void ring_open(struct io *io) {
    struct ring *ring = calloc(1, sizeof *ring);
    check(ring != NULL);
    io->rings[io->ring_count++] = ring;
    bool is_few = sim_fault(io->sim, SIM_FAULT_buffers_few);
    uint32_t count = is_few ? 1 + sim_below(io->sim, 4) : io->options.buffers;
    buffers_add(ring, at_most(count, SIM_BUFFERS_MAX));
}

// So few that a worker's population needs a second ring; what is asked for to a crowd, to the
// control thread, which has one ring, and to the contract suite, which has no process.
static uint32_t slots_choose(struct sim *sim, uint32_t ring_max) {
    if (sim_fault(sim, SIM_FAULT_slots_few)) {
        return 3 + sim_below(sim, 4);
    }
    bool is_large = ring_max == 1 || sim->options.is_isolation || sim->process == NULL;
    return is_large ? SIM_SLOTS_MAX : 5 + sim_below(sim, 8);
}

int io_open(struct io **io, const struct io_options *options) {
    *io = calloc(1, sizeof **io);
    check(*io != NULL);
    struct sim *sim = sim_world;
    (*io)->sim = sim;
    (*io)->options = *options;
    (*io)->bell.io = *io;
    (*io)->options.slots = at_most(options->slots, slots_choose(sim, options->ring_max));
    (*io)->options.ring_max = at_most(options->ring_max, RINGS_MAX);
    ring_open(*io);
    return 0;
}

void io_shut(struct io *io) {
    io->is_shut = true;
}

int io_ring_open(struct io *io) {
    if (io->ring_count == io->options.ring_max) {
        return -ENOSPC;
    }
    if (sim_fault(io->sim, SIM_FAULT_ring_refused)) {
        return -ENOMEM;
    }
    ring_open(io);
    return (int)io->ring_count - 1;
}

uint32_t io_ring_count(const struct io *io) {
    return io->ring_count;
}

uint32_t io_ring_slots(const struct io *io) {
    return io->options.slots;
}

struct io_features io_features(const struct io *io) {
    (void)io;
    return (struct io_features){.has_peer_name = true};
}

struct io_stats io_stats(const struct io *io) {
    return io->stats;
}

uint64_t io_ring_bytes(const struct io *io) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < io->ring_count; i++) {
        bytes += (uint64_t)io->rings[i]->buffer_count * RECEIVE_BUFFER_BYTES;
    }
    return bytes;
}

// --- preparing

static void submit(struct io *io) {
    while (io->submitted < io->op_count) { // carrying one out may end it, or others
        op_execute(io, io->ops[io->submitted++]);
    }
    io->stats.enters++;
}

static struct op *prepare(struct io *io, enum io_operation operation, struct io_handle handle) {
    check(handle.ring < io->ring_count);
    if (sim_fault(io->sim, SIM_FAULT_submission_full)) {
        io->stats.submission_full++;
        submit(io);
    }
    struct op *op = calloc(1, sizeof *op);
    check(op != NULL);
    if (io->op_count == io->op_room) {
        io->op_room = io->op_room * 2 + 64;
        io->ops = realloc((void *)io->ops, io->op_room * sizeof io->ops[0]);
        check(io->ops != NULL);
    }
    op->operation = (uint8_t)operation;
    op->handle = handle;
    memory_name(op);
    io->ops[io->op_count++] = op;
    return op;
}

static void accept_prepare(struct io *io, enum io_operation operation, struct io_handle handle,
                           int listener, struct io_peer *peer) {
    check(listener >= 0 && listener < LISTENERS_MAX && io->listeners[listener].is_open);
    struct op *op = prepare(io, operation, handle);
    op->listener = (uint32_t)listener;
    op->peer = peer;
}

void io_accept(struct io *io, uint8_t ring, int listener, uint16_t generation) {
    struct io_handle handle = {.slot = (uint32_t)listener, .generation = generation, .ring = ring};
    accept_prepare(io, IO_ACCEPT, handle, listener, NULL);
}

void io_accept_one(struct io *io, uint8_t ring, int listener, uint32_t storage_index,
                   struct io_peer *peer) {
    struct io_handle handle = {.slot = storage_index, .ring = ring};
    accept_prepare(io, IO_ACCEPT_ONE, handle, listener, peer);
}

void io_accept_cancel(struct io *io, uint8_t ring, int listener, uint16_t generation) {
    struct io_handle handle = {.slot = (uint32_t)listener, .generation = generation, .ring = ring};
    prepare(io, IO_ACCEPT_CANCEL, handle)->target = IO_ACCEPT;
}

void io_accept_one_cancel(struct io *io, uint8_t ring, uint32_t storage_index) {
    struct io_handle handle = {.slot = storage_index, .ring = ring};
    prepare(io, IO_ACCEPT_CANCEL, handle)->target = IO_ACCEPT_ONE;
}

void io_poll(struct io *io, struct io_handle handle) {
    prepare(io, IO_POLL, handle)->chain = ++io->chains;
}

void io_receive(struct io *io, struct io_handle handle, struct span_mut target) {
    prepare(io, IO_RECEIVE, handle)->memory = target;
}

void io_sendmsg(struct io *io, struct io_handle handle, const struct span *pieces,
                uint32_t piece_count) {
    check(piece_count > 0 && piece_count <= SEND_PIECES_MAX);
    struct op *op = prepare(io, IO_SENDMSG, handle);
    memcpy(op->pieces, pieces, piece_count * sizeof pieces[0]);
    op->piece_count = piece_count;
    for (uint32_t i = 0; i < piece_count; i++) {
        check(pieces[i].length > 0);
        op->length += pieces[i].length;
    }
    memory_name(op);
}

void io_send(struct io *io, struct io_handle handle, struct span bytes) {
    io_sendmsg(io, handle, &bytes, 1);
    io->ops[io->op_count - 1]->operation = IO_SEND;
}

void io_socket(struct io *io, uint8_t ring, enum address_kind kind, bool is_v6, uint32_t token,
               uint16_t generation) {
    (void)kind; // a socket that is not connected is the same for all of them
    (void)is_v6;
    struct io_handle handle = {.slot = token, .generation = generation, .ring = ring};
    (void)prepare(io, IO_SOCKET, handle);
}

void io_connect(struct io *io, struct io_handle handle, const struct io_peer *peer) {
    struct op *op = prepare(io, IO_CONNECT, handle);
    op->pieces[0] = span_make(peer, sizeof *peer);
    op->piece_count = 1;
    memory_name(op);
}

int io_connect_unix(struct io *io, struct io_handle handle, const char *path) {
    if (strlen(path) == 0 || strlen(path) > 107) {
        return -ENAMETOOLONG;
    }
    (void)prepare(io, IO_CONNECT, handle); // nobody listens in a file system
    return 0;
}

void io_write(struct io *io, int file, struct span bytes, uint32_t token) {
    (void)file;
    struct op *op = prepare(io, IO_WRITE, (struct io_handle){.slot = token});
    op->pieces[0] = bytes;
    op->piece_count = 1;
    op->length = bytes.length;
    memory_name(op);
}

void io_peer_name(struct io *io, struct io_handle handle, struct io_peer *peer) {
    prepare(io, IO_PEER_NAME, handle)->peer = peer;
}

void io_set_option(struct io *io, struct io_handle handle, int level, int name, const int *value) {
    (void)level; // options have no effect here
    (void)name;
    (void)value;
    (void)prepare(io, IO_SET_OPTION, handle);
}

void io_send_cancel(struct io *io, struct io_handle handle) {
    prepare(io, IO_CANCEL, handle)->target = IO_SEND;
}

void io_connect_cancel(struct io *io, struct io_handle handle) {
    prepare(io, IO_CANCEL, handle)->target = IO_CONNECT;
}

void io_cancel_then_close(struct io *io, struct io_handle handle) {
    struct op *cancel = prepare(io, IO_CANCEL, handle);
    cancel->target = IO_POLL;
    cancel->chain = ++io->chains;
    struct op *close = prepare(io, IO_CLOSE, handle);
    close->target = IO_CANCEL;
    close->chain = io->chains;
}

void io_close(struct io *io, struct io_handle handle) {
    (void)prepare(io, IO_CLOSE, handle);
}

// --- the turn

int io_turn(struct io *io, uint32_t wait_ms) {
    submit(io);
    for (uint32_t i = 0; i < io->ring_count; i++) {
        io->rings[i]->taken = 0;
    }
    io->is_bell_told = false;
    io->stats.sleeps += wait_ms > 0;
    uint64_t now_us = io->sim->now_us;
    io->wait_until_us = wait_ms == UINT32_MAX ? UINT64_MAX : now_us + wait_ms * 1000ULL;
    return 0;
}

uint64_t sim_io_wait_until(const struct io *io) {
    return io->wait_until_us;
}

bool sim_io_has_due(const struct io *io) {
    bool has = io->bell.is_rung;
    for (uint32_t i = 0; i < io->ring_count; i++) {
        for (uint32_t j = 0; j < io->rings[i]->pending_count; j++) {
            has = has || io->rings[i]->pending[j].due_us <= io->sim->now_us;
        }
    }
    return has;
}

// P5: a slot's next life is told of after the last one's end.
static bool is_held(const struct ring *ring, const struct io_completion *completion) {
    bool is_new = completion->operation == IO_ACCEPT || completion->operation == IO_ACCEPT_ONE ||
                  completion->operation == IO_SOCKET;
    return is_new && completion->result >= 0 && ring->slots[completion->result].waits > 0;
}

// One that is due: the oldest, or any whose chain has no older one.
static struct pending *choose(struct io *io, struct ring *ring) {
    uint32_t due[COMPLETIONS_TURN_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < ring->pending_count && count < COMPLETIONS_TURN_MAX; i++) {
        if (ring->pending[i].due_us <= io->sim->now_us &&
            !is_held(ring, &ring->pending[i].completion)) {
            due[count++] = i;
        }
    }
    if (count == 0) {
        return NULL;
    }
    bool is_any = count > 1 && sim_fault(io->sim, SIM_FAULT_completion_order);
    struct pending *pending = &ring->pending[due[is_any ? sim_below(io->sim, count) : 0]];
    for (uint32_t i = 0; pending->chain != 0 && i < ring->pending_count; i++) {
        if (ring->pending[i].chain == pending->chain) {
            return &ring->pending[i];
        }
    }
    return pending;
}

// What a final completion ends.
static void finish(struct io *io, const struct pending *pending) {
    const struct io_completion *completion = &pending->completion;
    struct ring *ring = io->rings[completion->ring];
    struct op *op = pending->op;
    if (completion->has_buffer) {
        ring->buffer_states[completion->buffer_id] = BUFFER_LENT;
        buffer_open(ring, completion->buffer_id, true);
    }
    bool is_close = completion->operation == IO_CLOSE && completion->result == 0;
    bool is_poll = op != NULL && op->operation == IO_POLL && op->closes;
    if (is_close || (is_poll && op->holds_slot)) { // others may name no slot, as a new socket's
        ring->slots[completion->slot].waits--;
    }
    if (op == NULL) {
        return;
    }
    if (is_close && sim_fault(io->sim, SIM_FAULT_completion_stale)) {
        op_ghost(io, op->handle);
    }
    if (is_poll) {
        net_gateway_close(io->sim, op->connection);
    }
    memory_check(io, op);
    free(op);
}

bool io_next(struct io *io, struct io_completion *completion) {
    if (io->bell.is_rung && !io->is_bell_told) {
        io->bell.is_rung = false;
        io->is_bell_told = true;
        io->stats.doorbells++;
        *completion = (struct io_completion){.operation = IO_DOORBELL, .more = true};
        return true;
    }
    for (uint32_t i = 0; i < io->ring_count; i++) {
        struct ring *ring = io->rings[i];
        struct pending *pending = ring->taken < COMPLETIONS_TURN_MAX ? choose(io, ring) : NULL;
        if (pending != NULL) {
            struct pending taken = *pending;
            ring->pending_count--;
            memmove(pending, pending + 1,
                    (size_t)(ring->pending + ring->pending_count - pending) * sizeof *pending);
            ring->taken++;
            io->stats.completions++;
            *completion = taken.completion;
            sim_record(io->sim, SIM_RECORD_COMPLETE, i << 16 | completion->operation,
                       completion->slot, completion->result);
            finish(io, &taken);
            return true;
        }
    }
    return false;
}

// --- doorbell

struct io_doorbell io_doorbell(struct io *io) {
    return (struct io_doorbell){.bell = &io->bell};
}

void io_doorbell_ring(struct io_doorbell doorbell) {
    doorbell.bell->is_rung = true;
    sim_wake(doorbell.bell->io->sim, doorbell.bell->io);
}
