// What the other side of the fake io does with an operation: carries it out at once, or keeps it
// until the network has something for it; and the faults, each within the contract.
#include <errno.h>
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
    if (find(io, IO_CONNECT, op->handle) != NULL) {
        sim_fail(io->sim, "L7", "slot %u is closed while it connects", op->handle.slot);
    }
    // The FIN leaves with the end of the poll, if there is one; what is told of the slot next is
    // told after both.
    bool is_bare = slot->connection == NET_NONE; // a socket that never connected has no poll
    struct op *armed = is_bare ? NULL : op_find(io, IO_POLL, slot->connection);
    struct op *ending = is_bare ? NULL : poll_ending(ring, slot->connection);
    slot->waits = (uint8_t)(slot->waits + (ending != NULL ? 2 : 1));
    if (armed != NULL || ending != NULL) {
        (armed != NULL ? armed : ending)->closes = true;
        (armed != NULL ? armed : ending)->holds_slot = ending != NULL;
    } else if (!is_bare) {
        net_gateway_close(io->sim, slot->connection);
    }
    slot->connection = NET_NONE;
    slot->state = SLOT_FREE;
    slot->freed = ++io->frees;
    op_end(io, op, 0);
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
        if (socket_has_connection(io, op)) {
            socket_poll(io, op);
        }
        return;
    case IO_RECEIVE:
        if (socket_has_connection(io, op)) {
            socket_receive(io, op);
        }
        return;
    case IO_SEND:
    case IO_SENDMSG:
        if (socket_has_connection(io, op)) {
            socket_send(io, op);
        }
        return;
    case IO_SOCKET:
        socket_make(io, op);
        return;
    case IO_CONNECT:
        socket_connect(io, op);
        return;
    case IO_WRITE:
        file_write(io, op);
        return;
    case IO_PEER_NAME:
        if (socket_has_connection(io, op)) {
            socket_peer_name(io, op);
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
