// The connecting side of the fake io: sockets that were not accepted, and how they come to a
// service.
#include <errno.h>

#include "tests/sim/sim_io.h"

void socket_make(struct io *io, struct op *op) {
    struct ring *ring = io->rings[op->handle.ring];
    int slot = sim_fault(io->sim, SIM_FAULT_socket_emfile) ? -1 : slot_choose(io, ring);
    if (slot >= 0) {
        ring->slots[slot].state = SLOT_TAKEN;
    }
    op_end(io, op, slot >= 0 ? slot : -ENFILE);
}

void socket_connect(struct io *io, struct op *op) {
    struct slot *slot = &io->rings[op->handle.ring]->slots[op->handle.slot];
    struct address address;
    bool is_free = op->handle.slot < io->options.slots && slot->state == SLOT_TAKEN &&
                   slot->connection == NET_NONE;
    if (!is_free) {
        op_end(io, op, slot->state == SLOT_TAKEN ? -EISCONN : -EBADF);
        return;
    }
    bool is_ip = op->piece_count == 1 &&
                 io_peer_decode((const struct io_peer *)(const void *)op->pieces[0].data, &address);
    if (!is_ip) {
        op_end(io, op, -ECONNREFUSED);
        return;
    }
    op->connection = net_dial(io->sim, &address, io);
    slot->connection = op->connection;
}

void sim_io_on_connected(struct sim *sim, struct io *io, uint32_t connection, int32_t result) {
    (void)sim; // the io knows it
    struct op *op = op_find(io, IO_CONNECT, connection);
    if (op != NULL) {
        op_end(io, op, result);
    }
}
