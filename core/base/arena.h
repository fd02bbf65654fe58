// Payload memory of one worker: contiguous blocks of any size out of a reserved range, by 32-bit
// handle. Small sizes come from 2 MiB steps of one size class (four classes per doubling, 64 B to
// 512 KiB), larger ones are runs of whole steps. Empty steps go back to the kernel. Owner: one
// worker; no block is shared between threads.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ARENA_STEP_BYTES = 2 << 20,
    ARENA_UNIT_BYTES = 64,             // handles count units: 2^32 of them reach 256 GiB
    ARENA_SMALL_BYTES_MAX = 512 << 10, // larger blocks take whole steps
    ARENA_CLASS_COUNT = 64,
};

struct arena_step {
    uint32_t free_head; // handle of a given-back block of this step, 0 = none
    uint32_t bump;      // blocks ever handed out of this step since it was last released
    uint32_t used;      // blocks taken (small), or steps of the run (first step of a large block)
    uint32_t next, prev;
    uint8_t kind; // enum in arena.c: free, small, run head, run tail, dirty
    uint8_t size_class;
    uint8_t is_listed;
    uint8_t spare;
};

struct arena {
    uint8_t *base;
    struct arena_step *steps;
    uint32_t step_count;
    uint32_t open_head[ARENA_CLASS_COUNT]; // per class: steps with room
    uint32_t step_hint;                    // where the search for free steps begins
    uint32_t dirty_count;
    uint64_t limit_bytes; // sum of block sizes that may be taken at once
    uint64_t used_bytes;
    uint64_t used_bytes_peak;
    uint64_t touched_bytes;
    uint64_t refused_count;
};

uint64_t arena_book_bytes(uint64_t space_bytes);
// `space`: a multiple of 2 MiB, aligned to 64 B at least, untouched or zero. limit_bytes <=
// space.length.
void arena_init(struct arena *arena, struct memory space, struct memory book, uint64_t limit_bytes);
// A block of at least `bytes` (1 to limit), aligned to 64 B; 0 when the limit or the range is
// exhausted (counted).
uint32_t arena_take(struct arena *arena, uint64_t bytes);
void arena_give(struct arena *arena, uint32_t handle);
// Size of the block in bytes: what it counts for in used_bytes, and what may be written.
uint64_t arena_block_bytes(const struct arena *arena, uint32_t handle);
bool arena_release_next(struct arena *arena, struct memory *step);

static inline uint8_t *arena_at(const struct arena *arena, uint32_t handle) {
    return arena->base + (uint64_t)handle * ARENA_UNIT_BYTES;
}
