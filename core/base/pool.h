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
    uint32_t free_head;  // index of a free element of this step, 0 = none given back yet
    uint32_t bump;       // elements of this step that were ever touched since it was last released
    uint32_t used;       // elements taken
    uint32_t next, prev; // list of steps that can serve a take
    uint8_t is_listed;   // in the list above
    uint8_t is_dirty;    // touched and now empty: waiting for pool_release_next
    uint8_t spare[2];
};

struct pool {
    uint8_t *base;
    struct pool_step *steps;
    uint32_t element_bytes;
    uint32_t element_shift; // element_bytes = 1 << element_shift
    uint32_t step_count;
    uint32_t limit; // elements that may be taken at once; lowering it below `used` refuses until
                    // given back
    uint32_t used;
    uint32_t used_peak;
    uint32_t generation; // counts takes: a stale handle never matches (wraps after 2^32 takes)
    uint32_t open_head;  // steps with free elements
    uint32_t dirty_count;
    uint32_t touched_steps;
    uint64_t refused_count;
};

// Bytes of `space` and `book` that a pool of `limit` elements needs (rounded up to whole steps).
uint64_t pool_space_bytes(uint32_t element_bytes, uint32_t limit);
uint64_t pool_book_bytes(uint32_t element_bytes, uint32_t limit);
// element_bytes: a power of two from 16 to 65536, so that elements do not straddle steps. `space`
// must be zero or never touched; both stay the caller's.
void pool_init(struct pool *pool, uint32_t element_bytes, uint32_t limit, struct memory space,
               struct memory book);
// Index of an element whose content is undefined, or 0 when the limit is reached (counted in
// refused_count).
uint32_t pool_take(struct pool *pool);
void pool_give(struct pool *pool, uint32_t index);
// A generation for the element just taken: unique among the last 2^32 takes, never 0.
uint32_t pool_generation_next(struct pool *pool);
// An empty step whose pages may go back to the kernel (the caller then calls madvise(MADV_DONTNEED)
// or zeroes it), or false. One empty step is kept so that a population that breathes does not fault
// its pages again and again.
bool pool_release_next(struct pool *pool, struct memory *step);
// Bytes of pages that are touched, for the memory report.
uint64_t pool_touched_bytes(const struct pool *pool);

static inline void *pool_at(const struct pool *pool, uint32_t index) {
    return pool->base + ((uint64_t)index << pool->element_shift);
}
