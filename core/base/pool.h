// Pools of fixed-size elements by index over a reserved range. Pages are touched on first use and
// handed back when a 2 MiB step is empty (pool_release_next). Index 0 is never given: it means
// "none". Owner: one worker.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum { POOL_STEP_BYTES = 2 << 20 };

// One per 2 MiB of the range; lives in the `book` memory given to pool_init.
struct pool_step {
    uint32_t free_head;  // index of a given-back element of this step, 0 = none
    uint32_t bump;       // elements of this step that were ever touched since it was last released
    uint32_t used;       // elements taken
    uint32_t next, prev; // neighbours in the list of its place: step number + 1, 0 = end
    uint8_t place;       // enum in pool.c: which list, or none when full
    uint8_t spare[3];
};

struct pool {
    uint8_t *base;
    struct pool_step *steps;
    uint32_t element_bytes;
    uint32_t element_shift; // element_bytes = 1 << element_shift
    uint32_t step_count;
    uint32_t limit; // elements that may be taken at once; may be changed at any time. Lowered below
                    // `used` it refuses until enough is given back; raised above the range it ends
                    // there
    uint32_t used;
    uint32_t used_peak;
    uint32_t generation; // counts takes: a stale handle never matches (wraps after 2^32 takes)
    uint32_t open_head;  // steps in use with free elements: the first choice
    uint32_t dirty_head; // steps touched and now empty: the second choice, or pool_release_next's
    uint32_t clean_head; // steps without a touched page
    uint32_t dirty_count;
    uint32_t touched_steps;
    uint64_t refused_count;
};

// Bytes of `space` and `book` that a pool of `limit` elements needs (rounded up to whole steps).
// Both hold one element more than `limit`, since index 0 is never given.
uint64_t pool_space_bytes(uint32_t element_bytes, uint32_t limit);
uint64_t pool_book_bytes(uint32_t element_bytes, uint32_t limit);
// element_bytes: a power of two from 16 to 65536, so that elements do not straddle steps. `space`
// (aligned for the elements) and `book` (8 bytes) stay the caller's. The pool writes to a page of
// `space` only once an element of it was given back; it assumes nothing about its content.
void pool_init(struct pool *pool, uint32_t element_bytes, uint32_t limit, struct memory space,
               struct memory book);
// Index of an element whose content is undefined, or 0 when the limit is reached (counted in
// refused_count). O(1). Steps in use are filled before others are touched.
uint32_t pool_take(struct pool *pool);
// The element must be taken. Its first 4 bytes are overwritten; the others can still be read, so
// that a generation kept there tells a stale handle, until the element is taken again or its step
// is released and reads as zeros. O(1).
void pool_give(struct pool *pool, uint32_t index);
// A generation for the element just taken: unique among the last 2^32 takes, never 0.
uint32_t pool_generation_next(struct pool *pool);
// An empty step whose pages may go back to the kernel (the caller then calls madvise(MADV_DONTNEED)
// or leaves it: the pool does not care), or false. One empty step is kept so that a population that
// breathes does not fault its pages again and again.
bool pool_release_next(struct pool *pool, struct memory *step);
// Bytes of pages of 4 KiB that are touched, for the memory report. One pass over the steps.
uint64_t pool_touched_bytes(const struct pool *pool);

static inline void *pool_at(const struct pool *pool, uint32_t index) {
    return pool->base + ((uint64_t)index << pool->element_shift);
}
