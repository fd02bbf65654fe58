// What comes from the network, as the fake io tells it: connections, poll events, bytes.
#include <errno.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/sim_io.h"

// --- accepting

int slot_choose(struct io *io, const struct ring *ring) {
    int best = -1;
    bool is_latest = sim_fault(io->sim, SIM_FAULT_slot_reuse);
    for (uint32_t i = 0; i < io->options.slots; i++) {
        bool is_better = best < 0 || (is_latest && ring->slots[i].freed > ring->slots[best].freed);
        best = ring->slots[i].state == SLOT_FREE && is_better ? (int)i : best;
    }
    return best;
}

static int32_t accept_error(struct io *io, uint32_t listener) {
    static const struct {
        enum sim_fault_id fault;
        int32_t error;
        bool cuts; // the client is lost
    } rows[] = {{SIM_FAULT_accept_emfile, -EMFILE, false},
                {SIM_FAULT_accept_memory, -ENOBUFS, false},
                {SIM_FAULT_accept_enfile, -ENFILE, true},
                {SIM_FAULT_accept_aborted, -ECONNABORTED, true}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (sim_fault(io->sim, rows[i].fault)) {
            if (rows[i].cuts) {
                net_gateway_close(io->sim, net_accept(io->sim, listener));
            }
            return rows[i].error;
        }
    }
    return 0;
}

static void accept_step(struct io *io, struct op *op) {
    struct ring *ring = io->rings[op->handle.ring];
    uint32_t listener = io->listeners[op->listener].net;
    int32_t error = accept_error(io, listener);
    if (error != 0) {
        op_end(io, op, error);
        return;
    }
    uint32_t connection = net_accept(io->sim, listener);
    int slot = slot_choose(io, ring);
    if (slot < 0) { // P9: the caller counts
        if (io->sim->process != NULL) {
            sim_fail(io->sim, "engine", "an accept meets a full table of ring %u", op->handle.ring);
        }
        net_gateway_close(io->sim, connection);
        op_end(io, op, -ENFILE);
        return;
    }
    ring->slots[slot].connection = connection;
    ring->slots[slot].state = SLOT_TAKEN;
    if (op->peer != NULL) {
        struct address address = net_client_address(io->sim, connection);
        memset(op->peer, 0, sizeof *op->peer);
        if (address.kind == ADDRESS_IP) {
            io_peer_encode(&address, op->peer);
        }
    }
    op_complete(io, op, (struct io_completion){.result = slot, .more = op->operation == IO_ACCEPT});
}

void sim_io_on_backlog(struct sim *sim, struct io *io, uint32_t listener) {
    while (net_has_backlog(sim, listener)) {
        struct op *armed[LISTENERS_MAX * 64];
        uint32_t count = 0;
        for (uint32_t i = 0; i < io->submitted; i++) {
            struct op *op = io->ops[i];
            bool is_accept = op->operation == IO_ACCEPT || op->operation == IO_ACCEPT_ONE;
            if (is_accept && io->listeners[op->listener].net == listener &&
                count < sizeof armed / sizeof armed[0]) {
                armed[count++] = op;
            }
        }
        if (count == 0) {
            return;
        }
        accept_step(io, armed[sim_below(sim, count)]);
    }
}

// --- polling and receiving

void op_poll_tell(struct io *io, struct op *op, int32_t bits) {
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
        op_poll_tell(io, op, (int32_t)bits);
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

void op_receive(struct io *io, struct op *op) {
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
        op->digest = op_digest(op);
    }
    uint32_t level = net_level(sim, op->connection);
    bool has_more = (level & IO_POLL_IN) != 0 && (level & IO_POLL_ERROR) == 0; // no reset is told
    completion.is_socket_ready =
        completion.result > 0 && (has_more || sim_fault(sim, SIM_FAULT_receive_ready_lie));
    op_complete(io, op, completion);
}

// --- for laws

bool sim_io_will_tell(struct io *io, uint8_t ring_number, uint32_t slot) {
    struct ring *ring = io->rings[ring_number];
    uint32_t connection = ring->slots[slot].connection;
    bool is_quiet = net_level(io->sim, connection) == 0 && op_find(io, IO_POLL, connection) != NULL;
    if (is_quiet || io->promised > 0) {
        return true;
    }
    for (uint32_t i = 0; i < ring->pending_count; i++) {
        const struct io_completion *completion = &ring->pending[i].completion;
        bool is_its = completion->slot == slot &&
                      (completion->operation == IO_POLL || completion->operation == IO_RECEIVE);
        if (is_its) {
            return true;
        }
    }
    return false;
}

struct sim_io_left sim_io_left(const struct io *io) {
    struct sim_io_left left = {.operations = 0};
    for (uint32_t i = 0; i < io->op_count; i++) {
        left.operations +=
            io->ops[i]->operation != IO_ACCEPT_ONE && io->ops[i]->operation != IO_WRITE;
    }
    for (uint32_t i = 0; i < io->ring_count; i++) {
        for (uint32_t j = 0; j < io->rings[i]->pending_count; j++) {
            uint8_t operation = io->rings[i]->pending[j].completion.operation;
            left.completions += operation != IO_ACCEPT_ONE && operation != IO_ACCEPT_CANCEL;
        }
        for (uint32_t j = 0; j < io->rings[i]->buffer_count; j++) {
            left.buffers += io->rings[i]->buffer_states[j] != BUFFER_FREE;
        }
        for (uint32_t j = 0; j < io->options.slots; j++) {
            left.slots += io->rings[i]->slots[j].state != SLOT_FREE;
        }
    }
    return left;
}
