// What the laws ask of the fake io.
#include "tests/sim/sim_io.h"

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
