// Fixed-size elements by index. Every step of 2 MiB is in exactly one place:
//
//     clean --take--> open --last element taken--> full
//       ^              ^ |                           |
//       |            take give of the last         give
//       |              | v                           v
//       +--release-- dirty <------------------------ open
//
// The book is in memory that the caller hands in; the elements' pages are touched by their users
// and by give, which threads the list of free elements through them.
#include "core/base/pool.h"

#include "core/base/check.h"

#include <assert.h>

#include "core/base/pure.h"

enum pool_place { POOL_FULL, POOL_OPEN, POOL_DIRTY, POOL_CLEAN };

enum { POOL_STEP_SHIFT = 21, POOL_PAGE_BYTES = 4096, POOL_ELEMENT_BYTES_MIN = 16 };

static_assert(1 << POOL_STEP_SHIFT == POOL_STEP_BYTES, "the shift is the step's");
static_assert(sizeof(struct pool_step) == 24, "12 bytes of book per MiB");

static uint32_t *pool_head(struct pool *pool, uint8_t place) {
    return place == POOL_OPEN    ? &pool->open_head
           : place == POOL_DIRTY ? &pool->dirty_head
                                 : &pool->clean_head;
}

static void pool_unlink(struct pool *pool, uint32_t number) {
    struct pool_step *step = &pool->steps[number];
    if (step->place == POOL_FULL) {
        return;
    }
    if (step->prev == 0) {
        *pool_head(pool, step->place) = step->next;
    } else {
        pool->steps[step->prev - 1].next = step->next;
    }
    if (step->next != 0) {
        pool->steps[step->next - 1].prev = step->prev;
    }
    pool->dirty_count -= step->place == POOL_DIRTY;
    step->place = POOL_FULL;
}

// Moves the step to the front of a list, or behind the front if that is a lower step: so the lowest
// steps tend to be filled first and the highest to become empty, in O(1).
static void pool_move(struct pool *pool, uint32_t number, uint8_t place) {
    pool_unlink(pool, number);
    struct pool_step *step = &pool->steps[number];
    uint32_t *head = pool_head(pool, place);
    uint32_t front = *head;
    step->place = place;
    if (front != 0 && front - 1 < number) {
        step->prev = front;
        step->next = pool->steps[front - 1].next;
        pool->steps[front - 1].next = number + 1;
    } else {
        step->prev = 0;
        step->next = front;
        *head = number + 1;
    }
    if (step->next != 0) {
        pool->steps[step->next - 1].prev = number + 1;
    }
    pool->dirty_count += place == POOL_DIRTY;
}

static uint64_t pool_steps_for(uint32_t element_bytes, uint32_t limit) {
    check(element_bytes >= POOL_ELEMENT_BYTES_MIN && element_bytes <= 65536);
    check((element_bytes & (element_bytes - 1)) == 0);
    uint64_t bytes = ((uint64_t)limit + 1) * element_bytes;
    return (bytes + POOL_STEP_BYTES - 1) / POOL_STEP_BYTES;
}

uint64_t pool_space_bytes(uint32_t element_bytes, uint32_t limit) {
    return pool_steps_for(element_bytes, limit) * POOL_STEP_BYTES;
}

uint64_t pool_book_bytes(uint32_t element_bytes, uint32_t limit) {
    return pool_steps_for(element_bytes, limit) * sizeof(struct pool_step);
}

void pool_init(struct pool *pool, uint32_t element_bytes, uint32_t limit, struct memory space,
               struct memory book) {
    uint64_t step_count = pool_steps_for(element_bytes, limit);
    check(space.length >= step_count * POOL_STEP_BYTES);
    check(book.length >= step_count * sizeof(struct pool_step));
    check((uintptr_t)book.data % _Alignof(struct pool_step) == 0);
    check((uintptr_t)space.data % POOL_ELEMENT_BYTES_MIN == 0);
    *pool = (struct pool){
        .base = space.data,
        .steps = (struct pool_step *)(void *)book.data,
        .element_bytes = element_bytes,
        .element_shift = (uint32_t)__builtin_ctz(element_bytes),
        .step_count = (uint32_t)step_count,
        .limit = limit,
        .clean_head = 1,
    };
    memset(book.data, 0, step_count * sizeof(struct pool_step));
    for (uint32_t i = 0; i < pool->step_count; i++) {
        pool->steps[i].place = POOL_CLEAN;
        pool->steps[i].prev = i;
        pool->steps[i].next = i + 1 < pool->step_count ? i + 2 : 0;
    }
}

static uint32_t pool_step_elements(const struct pool *pool) {
    return (uint32_t)POOL_STEP_BYTES >> pool->element_shift;
}

// Elements of the step that may be taken at once: index 0 is one less in the first.
static uint32_t pool_step_room(const struct pool *pool, uint32_t number) {
    return pool_step_elements(pool) - (number == 0);
}

// The step that serves the next take, in state open, or -1 when the range is exhausted.
static int64_t pool_step_open(struct pool *pool) {
    if (pool->open_head != 0) {
        return pool->open_head - 1;
    }
    uint32_t front = pool->dirty_head != 0 ? pool->dirty_head : pool->clean_head;
    if (front == 0) {
        return -1;
    }
    uint32_t number = front - 1;
    if (pool->steps[number].place == POOL_CLEAN) {
        pool->steps[number].bump = number == 0; // index 0 is never given
        pool->touched_steps++;
    }
    pool_move(pool, number, POOL_OPEN);
    return number;
}

uint32_t pool_take(struct pool *pool) {
    int64_t found = pool->used < pool->limit ? pool_step_open(pool) : -1;
    if (found < 0) {
        pool->refused_count++;
        return 0;
    }
    uint32_t number = (uint32_t)found;
    struct pool_step *step = &pool->steps[number];
    uint32_t index = step->free_head;
    if (index != 0) {
        memcpy(&step->free_head, pool_at(pool, index), sizeof(uint32_t));
    } else {
        check(step->bump < pool_step_elements(pool));
        index = number * pool_step_elements(pool) + step->bump;
        step->bump++;
    }
    step->used++;
    if (step->used == pool_step_room(pool, number)) {
        pool_unlink(pool, number);
    }
    pool->used++;
    if (pool->used > pool->used_peak) {
        pool->used_peak = pool->used;
    }
    check(index != 0);
    return index;
}

void pool_give(struct pool *pool, uint32_t index) {
    check(index != 0);
    uint32_t number = index >> (POOL_STEP_SHIFT - pool->element_shift);
    check(number < pool->step_count);
    struct pool_step *step = &pool->steps[number];
    check(step->used > 0);
    check((index & (pool_step_elements(pool) - 1)) < step->bump);
    check(index != step->free_head);
    memcpy(pool_at(pool, index), &step->free_head, sizeof(uint32_t));
    step->free_head = index;
    step->used--;
    pool->used--;
    if (step->used == 0) {
        pool_move(pool, number, POOL_DIRTY);
    } else if (step->place == POOL_FULL) {
        pool_move(pool, number, POOL_OPEN);
    }
}

uint32_t pool_generation_next(struct pool *pool) {
    pool->generation++;
    pool->generation += pool->generation == 0;
    return pool->generation;
}

bool pool_release_next(struct pool *pool, struct memory *step) {
    if (pool->dirty_count <= 1) {
        return false;
    }
    // The front is kept, since it is what the next take will use.
    uint32_t number = pool->steps[pool->dirty_head - 1].next - 1;
    check(pool->steps[number].used == 0);
    pool_move(pool, number, POOL_CLEAN);
    pool->steps[number].free_head = 0;
    pool->steps[number].bump = 0;
    pool->touched_steps--;
    *step = (struct memory){.data = pool->base + (uint64_t)number * POOL_STEP_BYTES,
                            .length = POOL_STEP_BYTES};
    return true;
}

uint64_t pool_touched_bytes(const struct pool *pool) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < pool->step_count; i++) {
        uint64_t bytes = (uint64_t)pool->steps[i].bump << pool->element_shift;
        total += (bytes + POOL_PAGE_BYTES - 1) / POOL_PAGE_BYTES * POOL_PAGE_BYTES;
    }
    return total;
}
