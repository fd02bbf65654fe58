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
    ARENA_PAGE_BYTES = 4096,           // large blocks are counted in pages: what they touch
    ARENA_SMALL_BYTES_MAX = 512 << 10, // larger blocks take whole steps of the range
    ARENA_CLASS_COUNT = 48,
};

// Of a range: 2^32 units.
#define ARENA_SPACE_BYTES_MAX ((uint64_t)256 << 30)

struct arena_step {
    uint32_t free_head;  // handle of a given-back block of this step, 0 = none
    uint32_t bump;       // small: blocks ever handed out since the step was empty. Run: its pages
    uint32_t used;       // small: blocks taken. Run (first step only): steps of the run
    uint32_t next, prev; // neighbours among the steps of the class with room: number + 1, 0 = end
    uint16_t touched;    // pages that may be touched
    uint8_t kind;        // enum in arena.c: free, small, run head, run tail
    uint8_t size_class;  // small only
    uint8_t is_listed;   // in the list of its class
    uint8_t spare[3];
};

struct arena {
    uint8_t *base;
    struct arena_step *steps;
    uint64_t *free_bits;  // one bit a step: no block in it
    uint64_t *dirty_bits; // of those: the ones with touched pages
    uint32_t step_count;
    uint32_t word_count;                   // of each bitmap
    uint32_t open_head[ARENA_CLASS_COUNT]; // per class: steps with room
    uint32_t step_hint;                    // no step below it is free
    uint32_t dirty_count;
    uint64_t limit_bytes; // sum of block sizes that may be taken at once; may be changed any time
    uint64_t used_bytes;
    uint64_t used_bytes_peak;
    uint64_t touched_bytes; // bytes of pages that may be touched
    uint64_t refused_count;
};

uint64_t arena_book_bytes(uint64_t space_bytes);
// `space`: a multiple of 2 MiB up to 256 GiB, aligned to 64 B at least, untouched or of any
// content. limit_bytes <= space.length. A large block occupies whole steps of the range but counts
// only for its pages, and small classes keep a step each: reserve a range of four times the limit
// or more (address space costs nothing) so that the limit is what refuses. `book`: aligned to 8.
void arena_init(struct arena *arena, struct memory space, struct memory book, uint64_t limit_bytes);
// A block of at least `bytes` (1 or more), aligned to 64 B; 0 when the limit or the range is
// exhausted (counted). O(1) for small blocks in steps that are open; else one pass over the bitmap
// of steps, 64 at a time.
uint32_t arena_take(struct arena *arena, uint64_t bytes);
// The first 4 bytes of a small block are overwritten.
void arena_give(struct arena *arena, uint32_t handle);
// Size of the block in bytes: what it counts for in used_bytes, and what may be written.
uint64_t arena_block_bytes(const struct arena *arena, uint32_t handle);
// What arena_block_bytes of a new block of so many bytes would be, for asking before taking.
uint64_t arena_rounded_bytes(uint64_t bytes);
// An empty step with touched pages, which the caller gives back to the kernel (MADV_DONTNEED), or
// false. One is kept. Call it at a pace (say, a few per 100 ms), or large blocks that come and go
// fault their pages anew each time.
bool arena_release_next(struct arena *arena, struct memory *step);
// As arena_release_next, but none is kept: for an arena that nothing is taken from for long.
bool arena_release_any(struct arena *arena, struct memory *step);

static inline uint8_t *arena_at(const struct arena *arena, uint32_t handle) {
    return arena->base + (uint64_t)handle * ARENA_UNIT_BYTES;
}
