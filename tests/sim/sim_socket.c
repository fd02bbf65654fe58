// What a socket does with an operation of the fake io, and what the network then makes of it: the
// faults of sending, polling and receiving, each within the contract. And files, which only take.
#include <errno.h>
#include <stdio.h>

#include "tests/sim/sim_io.h"

// Operations on a socket: the connection behind it, or what the kernel says of none.
bool socket_has_connection(struct io *io, struct op *op) {
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

void socket_send(struct io *io, struct op *op) {
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

void socket_poll(struct io *io, struct op *op) {
    uint32_t level = net_level(io->sim, op->connection);
    bool is_spurious = level == 0 && sim_fault(io->sim, SIM_FAULT_poll_spurious);
    if (level != 0 || is_spurious) {
        poll_tell(io, op, (int32_t)(is_spurious ? IO_POLL_IN : level));
    }
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

void socket_receive(struct io *io, struct op *op) {
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

void socket_peer_name(struct io *io, struct op *op) {
    struct address address = net_client_address(io->sim, op->connection);
    io_peer_encode(&address, op->peer);
    op_end(io, op, (int32_t)op->peer->length);
}

// --- files

void file_write(struct io *io, struct op *op) {
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
