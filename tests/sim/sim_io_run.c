// What the other side of the fake io does with an operation: carries it out at once, or keeps it
// until the network has something for it; and the faults, each within the contract.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/sim_io.h"

enum { LATE_US = 20000 };

// --- completions

bool op_is_kind(const struct op *op, uint8_t operation) {
    return op->operation == operation || (operation == IO_SEND && op->operation == IO_SENDMSG);
}

static void on_due(struct sim *sim, void *context, uint64_t argument) {
    (void)argument;
    sim_wake(sim, context);
}

static void push(struct io *io, struct op *op, struct io_completion completion, uint64_t delay_us) {
    struct ring *ring = io->rings[completion.ring];
    uint64_t due_us = io->sim->now_us + delay_us;
    bool is_send = op_is_kind(op, IO_SEND);
    if (sim_fault(io->sim, SIM_FAULT_completion_late) ||
        (is_send && sim_fault(io->sim, SIM_FAULT_send_slow))) {
        due_us += sim_below(io->sim, LATE_US);
    }
    for (uint32_t i = 0; op->chain != 0 && i < ring->pending_count; i++) {
        bool is_later = ring->pending[i].chain == op->chain && ring->pending[i].due_us > due_us;
        due_us = is_later ? ring->pending[i].due_us : due_us;
    }
    if (ring->pending_count == ring->pending_room) {
        ring->pending_room = ring->pending_room * 2 + 64;
        ring->pending = realloc(ring->pending, ring->pending_room * sizeof ring->pending[0]);
        check(ring->pending != NULL);
    }
    ring->pending[ring->pending_count++] = (struct pending){.completion = completion,
                                                            .due_us = due_us,
                                                            .chain = op->chain,
                                                            .op = completion.more ? NULL : op};
    if (due_us > io->sim->now_us) {
        sim_after(io->sim, due_us - io->sim->now_us, on_due, io, 0);
    } else {
        sim_wake(io->sim, io);
    }
}

// Out of the list of operations; its completion holds it now.
static void unlist(struct io *io, const struct op *op) {
    for (uint32_t i = 0; i < io->op_count; i++) {
        if (io->ops[i] == op) {
            io->op_count--;
            io->submitted -= i < io->submitted;
            memmove((void *)&io->ops[i], (void *)&io->ops[i + 1],
                    (io->op_count - i) * sizeof io->ops[0]);
            return;
        }
    }
    check(false);
}

void op_complete(struct io *io, struct op *op, struct io_completion completion) {
    completion.operation = op->operation;
    completion.ring = op->handle.ring;
    completion.generation = op->handle.generation;
    completion.slot = op->handle.slot;
    if (!completion.more) {
        unlist(io, op);
    }
    push(io, op, completion, 0);
}

void op_ghost(struct io *io, struct io_handle handle) {
    struct op *ghost = calloc(1, sizeof *ghost);
    check(ghost != NULL);
    *ghost = (struct op){.operation = IO_POLL, .handle = handle};
    memory_name(ghost);
    struct io_completion completion = {.operation = IO_POLL,
                                       .ring = handle.ring,
                                       .generation = handle.generation,
                                       .slot = handle.slot,
                                       .result = IO_POLL_IN};
    push(io, ghost, completion, sim_below(io->sim, LATE_US));
}

void op_end(struct io *io, struct op *op, int32_t result) {
    op_complete(io, op, (struct io_completion){.result = result});
}

static struct op *find(struct io *io, uint8_t operation, struct io_handle handle) {
    for (uint32_t i = 0; i < io->submitted; i++) {
        struct op *op = io->ops[i];
        if (op_is_kind(op, operation) && op->handle.ring == handle.ring &&
            op->handle.slot == handle.slot && op->handle.generation == handle.generation) {
            return op;
        }
    }
    return NULL;
}

struct op *op_find(struct io *io, uint8_t operation, uint32_t connection) {
    for (uint32_t i = 0; i < io->submitted; i++) {
        if (op_is_kind(io->ops[i], operation) && io->ops[i]->connection == connection) {
            return io->ops[i];
        }
    }
    return NULL;
}

// --- sending

static bool send_step(struct io *io, struct op *op) {
    uint64_t offset = 0;
    int32_t result = 1;
    memory_check(io, op);
    for (uint32_t i = 0; i < op->piece_count && result > 0; i++) {
        const struct span piece = op->pieces[i];
        while (op->sent < offset + piece.length && result > 0) {
            uint32_t done = (uint32_t)(op->sent - offset);
            result = net_gateway_send(io->sim, op->connection, span_from(piece, done));
            op->sent += result > 0 ? (uint64_t)result : 0;
        }
        offset += piece.length;
    }
    if (result < 0) {
        bool tells_count = op->sent > 0 && sim_fault(io->sim, SIM_FAULT_send_reset_short);
        op_end(io, op, tells_count ? (int32_t)op->sent : result);
        return true;
    }
    if (op->sent == op->length) {
        op_end(io, op, (int32_t)op->length);
        return true;
    }
    return false;
}

void sim_io_on_room(struct sim *sim, struct io *io, uint32_t connection) {
    struct op *op = op_find(io, IO_SEND, connection);
    bool is_reset = op != NULL && (net_level(sim, connection) & IO_POLL_ERROR) != 0;
    if (op != NULL && (!op->is_stuck || is_reset)) {
        (void)send_step(io, op);
    }
}

void sim_io_calm(struct io *io) {
    for (uint32_t i = 0; i < io->submitted; i++) {
        struct op *op = io->ops[i];
        if (op->is_stuck) {
            op->is_stuck = false;
            i -= send_step(io, op);
        }
    }
}

static void send(struct io *io, struct op *op) {
    if (sim_fault(io->sim, SIM_FAULT_send_broken)) {
        op_end(io, op, -EPIPE);
        net_cut(io->sim, op->connection);
        return;
    }
    op->is_stuck = sim_fault(io->sim, SIM_FAULT_send_stuck);
    if (!op->is_stuck) {
        (void)send_step(io, op);
    }
}

// --- polling and receiving

static void poll_tell(struct io *io, struct op *op, int32_t bits) {
    struct ring *ring = io->rings[op->handle.ring];
    for (uint32_t i = 0; i < ring->pending_count; i++) {
        struct io_completion *completion = &ring->pending[i].completion;
        bool is_of_it = ring->pending[i].chain == op->chain && completion->more;
        if (is_of_it && completion->result > 0 && bits > 0 && sim_below(io->sim, 2) == 0) {
            completion->result |= bits; // one event for both
            return;
        }
    }
    if (sim_fault(io->sim, SIM_FAULT_poll_error)) {
        op_end(io, op, -ENOMEM);
        return;
    }
    bool ends = sim_fault(io->sim, SIM_FAULT_poll_ends);
    op_complete(io, op, (struct io_completion){.result = bits, .more = !ends});
}

void sim_io_on_readable(struct sim *sim, struct io *io, uint32_t connection, uint32_t bits) {
    (void)sim;
    struct op *op = op_find(io, IO_POLL, connection);
    if (op != NULL) {
        poll_tell(io, op, (int32_t)bits);
    }
}

static void on_event(struct sim *sim, void *context, uint64_t argument) {
    struct io *io = context;
    io->promised--;
    if (!io->is_shut) {
        sim_io_on_readable(sim, io, (uint32_t)argument, IO_POLL_IN);
    }
}

static uint32_t receive_length(struct io *io, uint32_t there) {
    if (there > 1 && sim_fault(io->sim, SIM_FAULT_receive_byte)) {
        return 1;
    }
    bool is_short = there > 1 && sim_fault(io->sim, SIM_FAULT_receive_short);
    return is_short ? 1 + sim_below(io->sim, there - 1) : UINT32_MAX;
}

static void receive(struct io *io, struct op *op) {
    struct sim *sim = io->sim;
    struct ring *ring = io->rings[op->handle.ring];
    bool wants_buffer = op->memory.length == 0;
    int buffer = wants_buffer ? buffer_find(ring) : -1;
    if (wants_buffer && buffer < 0) {
        op_end(io, op, -ENOBUFS);
        return;
    }
    uint32_t there = net_gateway_arrived(sim, op->connection);
    if (there > 0 && sim_fault(sim, SIM_FAULT_receive_again)) {
        io->promised++;
        sim_after(sim, sim_below(sim, 1000), on_event, io, op->connection);
        op_end(io, op, -EAGAIN);
        return;
    }
    struct span_mut target = op->memory;
    if (wants_buffer) {
        buffer_open(ring, (uint32_t)buffer, true);
        target = (struct span_mut){.data = ring->buffers[buffer], .length = RECEIVE_BUFFER_BYTES};
    }
    uint32_t length = receive_length(io, there);
    target.length = target.length < length ? target.length : length;
    struct io_completion completion = {.result = net_gateway_receive(sim, op->connection, target)};
    if (wants_buffer) {
        completion.has_buffer =
            completion.result > 0 || sim_fault(sim, SIM_FAULT_receive_empty_buffer);
        completion.buffer_id = (uint16_t)buffer;
        ring->buffer_states[buffer] = completion.has_buffer ? BUFFER_FILLED : BUFFER_FREE;
        buffer_open(ring, (uint32_t)buffer, false);
    } else if (completion.result > 0) { // what was received stays until it is taken
        op->pieces[0] = span_make(target.data, (uint32_t)completion.result);
        op->piece_count = 1;
        memory_name(op);
    }
    uint32_t level = net_level(sim, op->connection);
    bool has_end = (level & IO_POLL_IN) != 0 && (level & IO_POLL_ERROR) == 0; // no reset is told
    bool has_more = has_end || net_gateway_arrived(sim, op->connection) > 0;
    completion.is_socket_ready =
        completion.result > 0 && (has_more || sim_fault(sim, SIM_FAULT_receive_ready_lie));
    op_complete(io, op, completion);
}

// --- cancelling and closing

static void poll_cancel(struct io *io, struct op *op, struct op *poll) {
    if (poll == NULL) {
        op_end(io, op, -ENOENT);
        return;
    }
    bool is_late = sim_fault(io->sim, SIM_FAULT_cancel_late);
    bool is_running = !is_late && sim_fault(io->sim, SIM_FAULT_cancel_running);
    bool is_first = is_late || sim_fault(io->sim, SIM_FAULT_close_order);
    int32_t ended = is_late ? IO_POLL_IN : -ECANCELED;
    if (is_first) {
        op_end(io, poll, ended);
    }
    op_end(io, op, is_late ? -ENOENT : is_running ? -EALREADY : 0);
    if (!is_first) {
        op_end(io, poll, ended);
    }
}

static void cancel(struct io *io, struct op *op) {
    struct op *named = find(io, op->target, op->handle);
    if (op->operation == IO_CANCEL && op->target == IO_POLL) {
        poll_cancel(io, op, named);
        return;
    }
    if (named == NULL) {
        op_end(io, op, -ENOENT);
        return;
    }
    op_end(io, op, sim_fault(io->sim, SIM_FAULT_cancel_running) ? -EALREADY : 0);
    op_end(io, named, named->sent > 0 ? (int32_t)named->sent : -ECANCELED);
}

// A poll of that connection whose end was not taken yet.
static struct op *poll_ending(const struct ring *ring, uint32_t connection) {
    for (uint32_t i = 0; i < ring->pending_count; i++) {
        struct op *op = ring->pending[i].op;
        if (op != NULL && op->operation == IO_POLL && op->connection == connection) {
            return op;
        }
    }
    return NULL;
}

static void close(struct io *io, struct op *op) {
    struct ring *ring = io->rings[op->handle.ring];
    struct slot *slot = &ring->slots[op->handle.slot];
    if (slot->state != SLOT_TAKEN) {
        op_end(io, op, -EBADF);
        return;
    }
    if (op_find(io, IO_SEND, slot->connection) != NULL) {
        sim_fail(io->sim, "L7", "slot %u is closed with a send in flight", op->handle.slot);
    }
    // The FIN leaves with the end of the poll, if there is one; what is told of the slot next is
    // told after both.
    struct op *armed = op_find(io, IO_POLL, slot->connection);
    struct op *ending = poll_ending(ring, slot->connection);
    slot->waits = (uint8_t)(slot->waits + (ending != NULL ? 2 : 1));
    if (armed != NULL || ending != NULL) {
        (armed != NULL ? armed : ending)->closes = true;
        (armed != NULL ? armed : ending)->holds_slot = ending != NULL;
    } else if (slot->connection != NET_NONE) {
        net_gateway_close(io->sim, slot->connection);
    }
    slot->connection = NET_NONE;
    slot->state = SLOT_FREE;
    slot->freed = ++io->frees;
    op_end(io, op, 0);
}

static void write_out(struct io *io, struct op *op) {
    struct span bytes = op->pieces[0];
    sim_hash(io->sim, bytes.data, bytes.length);
    if (io->sim->options.is_trace) {
        (void)fwrite(bytes.data, 1, bytes.length, stderr); // for the reader of a trace only
    }
    if (sim_fault(io->sim, SIM_FAULT_write_fails)) {
        op_end(io, op, -ENOSPC);
        return;
    }
    bool is_short = sim_fault(io->sim, SIM_FAULT_write_short);
    op_end(io, op, (int32_t)(is_short ? 1 + sim_below(io->sim, bytes.length) : bytes.length));
}

static void socket(struct io *io, struct op *op) {
    struct ring *ring = io->rings[op->handle.ring];
    int slot = slot_choose(io, ring);
    if (slot >= 0) {
        ring->slots[slot].state = SLOT_TAKEN;
    }
    op_end(io, op, slot >= 0 ? slot : -ENFILE);
}

// Operations on a socket: the connection behind it, or what the kernel says of none.
static bool has_connection(struct io *io, struct op *op) {
    const struct slot *slot = &io->rings[op->handle.ring]->slots[op->handle.slot];
    bool is_taken = op->handle.slot < io->options.slots && slot->state == SLOT_TAKEN;
    if (!is_taken || slot->connection == NET_NONE) {
        op_end(io, op, is_taken ? -ENOTCONN : -EBADF);
        return false;
    }
    uint8_t alike = op_is_kind(op, IO_SEND) ? IO_SEND : op->operation;
    if (op_find(io, alike, slot->connection) != NULL) {
        sim_fail(io->sim, "L1", "two of operation %u are in flight on slot %u", op->operation,
                 op->handle.slot);
    }
    op->connection = slot->connection;
    return true;
}

void op_execute(struct io *io, struct op *op) {
    sim_record(io->sim, SIM_RECORD_PREPARE, (uint32_t)op->handle.ring << 16 | op->operation,
               op->handle.slot, (int64_t)op->length);
    switch (op->operation) {
    case IO_ACCEPT:
    case IO_ACCEPT_ONE:
        sim_io_on_backlog(io->sim, io, io->listeners[op->listener].net);
        return;
    case IO_ACCEPT_CANCEL:
    case IO_CANCEL:
        cancel(io, op);
        return;
    case IO_POLL:
        if (has_connection(io, op)) {
            uint32_t level = net_level(io->sim, op->connection);
            bool is_spurious = level == 0 && sim_fault(io->sim, SIM_FAULT_poll_spurious);
            if (level != 0 || is_spurious) {
                poll_tell(io, op, (int32_t)(is_spurious ? IO_POLL_IN : level));
            }
        }
        return;
    case IO_RECEIVE:
        if (has_connection(io, op)) {
            receive(io, op);
        }
        return;
    case IO_SEND:
    case IO_SENDMSG:
        if (has_connection(io, op)) {
            send(io, op);
        }
        return;
    case IO_SOCKET:
        socket(io, op);
        return;
    case IO_CONNECT:
        op_end(io, op, -ECONNREFUSED);
        return;
    case IO_WRITE:
        write_out(io, op);
        return;
    case IO_PEER_NAME:
        if (has_connection(io, op)) {
            struct address address = net_client_address(io->sim, op->connection);
            io_peer_encode(&address, op->peer);
            op_end(io, op, (int32_t)op->peer->length);
        }
        return;
    case IO_SET_OPTION:
        op_end(io, op, 0);
        return;
    case IO_CLOSE:
        close(io, op);
        return;
    default:
        check(false);
    }
}
