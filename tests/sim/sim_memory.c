// Whose memory is whose, for law L5 and the half of L7 that the fake io can see: receive buffers
// are poisoned but while a receive fills them and while they are lent, and what an operation names
// must be as it was from its preparation to its end (P3). None of it is the ring's.
#include "tests/sim/sim_io.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, length) ((void)(address), (void)(length))
#define ASAN_UNPOISON_MEMORY_REGION(address, length) ((void)(address), (void)(length))
#endif

enum { POISON = 0xdb };

void buffer_open(struct ring *ring, uint32_t buffer, bool is_open) {
    if (is_open) {
        ASAN_UNPOISON_MEMORY_REGION(ring->buffers[buffer], RECEIVE_BUFFER_BYTES);
    } else {
        ASAN_POISON_MEMORY_REGION(ring->buffers[buffer], RECEIVE_BUFFER_BYTES);
    }
}

void buffers_add(struct ring *ring, uint32_t count) {
    for (; ring->buffer_count < count; ring->buffer_count++) {
        uint8_t *buffer = malloc(RECEIVE_BUFFER_BYTES);
        check(buffer != NULL);
        memset(buffer, POISON, RECEIVE_BUFFER_BYTES);
        ring->buffers[ring->buffer_count] = buffer;
        buffer_open(ring, ring->buffer_count, false);
    }
}

struct span_mut io_buffer(const struct io *io, uint8_t ring, uint16_t buffer_id) {
    if (io->rings[ring]->buffer_states[buffer_id] != BUFFER_LENT) {
        sim_fail(io->sim, "L5", "buffer %u of ring %u is looked at and not lent", buffer_id, ring);
    }
    return (struct span_mut){.data = io->rings[ring]->buffers[buffer_id],
                             .length = RECEIVE_BUFFER_BYTES};
}

void io_buffer_give(struct io *io, uint8_t ring, uint16_t buffer_id) {
    if (io->rings[ring]->buffer_states[buffer_id] != BUFFER_LENT) {
        sim_fail(io->sim, "L5", "buffer %u of ring %u is given back and not lent", buffer_id, ring);
    }
    io->rings[ring]->buffer_states[buffer_id] = BUFFER_FREE;
    memset(io->rings[ring]->buffers[buffer_id], POISON, RECEIVE_BUFFER_BYTES);
    buffer_open(io->rings[ring], buffer_id, false);
}

// Every send of the fake may end late (P10).
int io_memory_lend(struct io *io, struct memory memory) {
    check(io->rings[0] != NULL && memory.length > 0);
    return 0;
}

static bool lies_in(struct memory pages, const uint8_t *data, uint32_t length) {
    uintptr_t start = (uintptr_t)pages.data;
    uintptr_t at = (uintptr_t)data;
    return length > 0 && at < start + pages.length && at + length > start;
}

// L7: nothing that is under way names them.
void io_memory_return(struct io *io, struct memory pages) {
    for (uint32_t i = 0; i < io->op_count; i++) {
        const struct op *op = io->ops[i];
        bool is_named = lies_in(pages, op->memory.data, op->memory.length);
        for (uint32_t j = 0; j < op->piece_count; j++) {
            is_named = is_named || lies_in(pages, op->pieces[j].data, op->pieces[j].length);
        }
        if (is_named) {
            sim_fail(io->sim, "L7", "pages go back while operation %u of slot %u names them",
                     op->operation, op->handle.slot);
        }
    }
}

bool io_buffers_grow(struct io *io, uint8_t ring) {
    uint32_t bound = at_most(io->options.buffers_max, SIM_BUFFERS_MAX);
    uint32_t count = io->rings[ring]->buffer_count;
    if (count * 2 > bound || sim_fault(io->sim, SIM_FAULT_buffers_no_growth)) {
        return false;
    }
    buffers_add(io->rings[ring], count * 2);
    return true;
}

int buffer_find(const struct ring *ring) {
    for (uint32_t i = 0; i < ring->buffer_count; i++) {
        if (ring->buffer_states[i] == BUFFER_FREE) {
            return (int)i;
        }
    }
    return -1;
}

// FNV-1a over what an operation names, eight bytes at a time.
static uint64_t op_digest(const struct op *op) {
    uint64_t hash = 14695981039346656037u;
    for (uint32_t i = 0; i < op->piece_count; i++) {
        const struct span piece = op->pieces[i];
        uint32_t at = 0;
        for (; at + 8 <= piece.length; at += 8) {
            uint64_t word;
            memcpy(&word, piece.data + at, sizeof word);
            hash = (hash ^ word) * 1099511628211u;
        }
        for (; at < piece.length; at++) {
            hash = (hash ^ piece.data[at]) * 1099511628211u;
        }
    }
    return hash;
}

void memory_name(struct op *op) {
    op->digest = op_digest(op);
}

void memory_check(const struct io *io, const struct op *op) {
    if (op_digest(op) != op->digest) {
        sim_fail(io->sim, "L7", "memory of operation %u of slot %u was written to while in flight",
                 op->operation, op->handle.slot);
    }
}

void sim_io_free(struct io *io) {
    for (uint32_t i = 0; i < io->op_count; i++) {
        free(io->ops[i]);
    }
    for (uint32_t i = 0; i < io->ring_count; i++) {
        struct ring *ring = io->rings[i];
        for (uint32_t j = 0; j < ring->pending_count; j++) {
            free(ring->pending[j].op);
        }
        for (uint32_t j = 0; j < ring->buffer_count; j++) {
            buffer_open(ring, j, true);
            free(ring->buffers[j]);
        }
        free(ring->pending);
        free(ring);
    }
    free((void *)io->ops);
    free(io);
}
