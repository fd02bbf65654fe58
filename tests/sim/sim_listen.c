// The listening side of the fake io: its listeners, and who of their backlogs is accepted when.
#include <errno.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/sim_io.h"

enum { PORT_FIRST = 10000 };

int io_listen(struct io *io, const struct io_listen_options *options) {
    struct address address =
        options->file > 0 ? net_listener_address(io->sim, options->file - 1) : options->address;
    if (options->file == 0 && !options->is_shared && net_is_listening(io->sim, &address)) {
        return -EADDRINUSE;
    }
    if (options->unix_path != NULL) { // its name is what stands for it
        address = (struct address){.kind = ADDRESS_UNIX};
        memcpy(address.ip, options->unix_path, at_most((uint32_t)strlen(options->unix_path), 16));
    }
    for (int i = 0; i < LISTENERS_MAX; i++) {
        if (!io->listeners[i].is_open) {
            if (address.kind == ADDRESS_IP && address.port == 0) {
                address.port = (uint16_t)(PORT_FIRST + sim_below(io->sim, 10000));
            }
            io->listeners[i].address = address;
            io->listeners[i].net =
                net_listen(io->sim, &address, io, at_most(options->backlog, 4096));
            io->listeners[i].is_open = true;
            return i;
        }
    }
    return -ENOSPC;
}

int io_listener_file(const struct io *io, int listener) {
    return (int)io->listeners[listener].net + 1;
}

struct address io_listener_address(const struct io *io, int listener) {
    return io->listeners[listener].address;
}

void io_listener_close(struct io *io, int listener) {
    check(io->listeners[listener].is_open);
    net_listener_close(io->sim, io->listeners[listener].net);
    io->listeners[listener].is_open = false;
}

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
