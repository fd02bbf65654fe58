// Blocks of any size. A step of 2 MiB is free (clean or dirty), or holds small blocks of one class,
// or is part of a run that is one large block. Two bitmaps of steps find a free step or run lowest
// first, so what is in use stays dense and the high steps become empty. The book is in memory that
// the caller hands in.
#include "core/base/arena.h"

#include "core/base/check.h"

#include <assert.h>

#include "core/base/pure.h"

enum arena_kind { ARENA_FREE, ARENA_SMALL, ARENA_RUN_HEAD, ARENA_RUN_TAIL };

enum {
    ARENA_STEP_UNITS = ARENA_STEP_BYTES / ARENA_UNIT_BYTES,
    ARENA_STEP_PAGES = ARENA_STEP_BYTES / ARENA_PAGE_BYTES,
    ARENA_SMALL_UNITS_MAX = ARENA_SMALL_BYTES_MAX / ARENA_UNIT_BYTES,
};

static_assert(sizeof(struct arena_step) == 28, "14 bytes of book per MiB");
static_assert(ARENA_STEP_PAGES <= UINT16_MAX, "a step's pages are counted in 16 bits");
static_assert(ARENA_SMALL_UNITS_MAX == 8 << 10 && ARENA_CLASS_COUNT == 8 + 4 * 10,
              "classes of 1 to 8 units, then four for each of ten doublings");

// Classes 0 to 7 are 1 to 8 units; then four per doubling: 10, 12, 14, 16, 20, 24, 28, 32, ...
static uint32_t arena_class_of(uint32_t units) {
    if (units <= 8) {
        return units - 1;
    }
    uint32_t top = 31 - (uint32_t)__builtin_clz(units - 1);
    return 8 + (top - 3) * 4 + ((units - 1) >> (top - 2)) - 4;
}

static uint32_t arena_class_units(uint32_t size_class) {
    if (size_class < 8) {
        return size_class + 1;
    }
    return (5 + size_class % 4) << (size_class / 4 - 1);
}

static uint32_t bits_word(uint32_t number) {
    return number / 64;
}

static uint64_t bits_mask(uint32_t number) {
    return (uint64_t)1 << (number % 64);
}

uint64_t arena_book_bytes(uint64_t space_bytes) {
    uint64_t steps = space_bytes / ARENA_STEP_BYTES;
    uint64_t words = (steps + 63) / 64;
    return 2 * words * sizeof(uint64_t) + steps * sizeof(struct arena_step);
}

void arena_init(struct arena *arena, struct memory space, struct memory book,
                uint64_t limit_bytes) {
    check(space.length > 0 && space.length % ARENA_STEP_BYTES == 0);
    check(space.length <= ARENA_SPACE_BYTES_MAX);
    check((uintptr_t)space.data % ARENA_UNIT_BYTES == 0);
    check((uintptr_t)book.data % sizeof(uint64_t) == 0);
    check(book.length >= arena_book_bytes(space.length));
    check(limit_bytes <= space.length);
    uint32_t step_count = (uint32_t)(space.length / ARENA_STEP_BYTES);
    uint32_t word_count = (step_count + 63) / 64;
    memset(book.data, 0, arena_book_bytes(space.length));
    uint64_t *words = (uint64_t *)(void *)book.data;
    *arena = (struct arena){
        .base = space.data,
        .steps = (struct arena_step *)(void *)(words + (size_t)2 * word_count),
        .free_bits = words,
        .dirty_bits = words + word_count,
        .step_count = step_count,
        .word_count = word_count,
        .limit_bytes = limit_bytes,
    };
    for (uint32_t i = 0; i < step_count; i++) {
        arena->free_bits[bits_word(i)] |= bits_mask(i);
    }
}

// Takes a free step out of the bitmaps.
static void arena_step_occupy(struct arena *arena, uint32_t number, uint8_t kind) {
    check(arena->steps[number].kind == ARENA_FREE);
    arena->steps[number].kind = kind;
    arena->free_bits[bits_word(number)] &= ~bits_mask(number);
    if ((arena->dirty_bits[bits_word(number)] & bits_mask(number)) != 0) {
        arena->dirty_bits[bits_word(number)] &= ~bits_mask(number);
        arena->dirty_count--;
    }
    if (number == arena->step_hint) {
        arena->step_hint++;
    }
}

static void arena_step_vacate(struct arena *arena, uint32_t number) {
    struct arena_step *step = &arena->steps[number];
    *step = (struct arena_step){.kind = ARENA_FREE, .touched = step->touched};
    arena->free_bits[bits_word(number)] |= bits_mask(number);
    arena->dirty_bits[bits_word(number)] |= bits_mask(number);
    arena->dirty_count++;
    if (number < arena->step_hint) {
        arena->step_hint = number;
    }
}

static void arena_step_touch(struct arena *arena, uint32_t number, uint32_t pages) {
    struct arena_step *step = &arena->steps[number];
    check(pages <= ARENA_STEP_PAGES);
    if (pages > step->touched) {
        arena->touched_bytes += (uint64_t)(pages - step->touched) * ARENA_PAGE_BYTES;
        step->touched = (uint16_t)pages;
    }
}

static void arena_list(struct arena *arena, uint32_t number) {
    struct arena_step *step = &arena->steps[number];
    uint32_t *head = &arena->open_head[step->size_class];
    uint32_t front = *head;
    // Behind the front if that is a lower step: the lowest tend to be filled first.
    if (front != 0 && front - 1 < number) {
        step->prev = front;
        step->next = arena->steps[front - 1].next;
        arena->steps[front - 1].next = number + 1;
    } else {
        step->prev = 0;
        step->next = front;
        *head = number + 1;
    }
    if (step->next != 0) {
        arena->steps[step->next - 1].prev = number + 1;
    }
    step->is_listed = 1;
}

static void arena_unlist(struct arena *arena, uint32_t number) {
    struct arena_step *step = &arena->steps[number];
    check(step->is_listed);
    if (step->prev == 0) {
        arena->open_head[step->size_class] = step->next;
    } else {
        arena->steps[step->prev - 1].next = step->next;
    }
    if (step->next != 0) {
        arena->steps[step->next - 1].prev = step->prev;
    }
    step->is_listed = 0;
}

// The lowest set bit of `bits` at or above `first`, or -1.
static int64_t arena_bits_find(const struct arena *arena, const uint64_t *bits, uint32_t first) {
    if (first >= arena->step_count) {
        return -1;
    }
    uint64_t word = bits[bits_word(first)] & ~(bits_mask(first) - 1);
    for (uint32_t i = bits_word(first);;) {
        if (word != 0) {
            return (int64_t)i * 64 + __builtin_ctzll(word);
        }
        if (++i == arena->word_count) {
            return -1;
        }
        word = bits[i];
    }
}

// The lowest clear bit of the free map at or above `first`, at most the step count: bits above the
// last step are never set.
static uint32_t arena_run_end(const struct arena *arena, uint32_t first) {
    uint64_t word = ~arena->free_bits[bits_word(first)] & ~(bits_mask(first) - 1);
    for (uint32_t i = bits_word(first);;) {
        if (word != 0) {
            return i * 64 + (uint32_t)__builtin_ctzll(word);
        }
        if (++i == arena->word_count) {
            return arena->step_count;
        }
        word = ~arena->free_bits[i];
    }
}

// The first of `count` free steps in a row, lowest first, or -1. Step 0 is left out: a run there
// would have handle 0. Each word of the bitmap is looked at once per run that ends in it: at most
// 2048 words for 256 GiB.
static int64_t arena_run_find(const struct arena *arena, uint32_t count) {
    int64_t first =
        arena_bits_find(arena, arena->free_bits, arena->step_hint > 0 ? arena->step_hint : 1);
    while (first >= 0) {
        uint32_t end = arena_run_end(arena, (uint32_t)first);
        if (end - (uint32_t)first >= count) {
            return first;
        }
        first = arena_bits_find(arena, arena->free_bits, end);
    }
    return -1;
}

static uint32_t arena_take_run(struct arena *arena, uint64_t pages) {
    uint64_t count = (pages + ARENA_STEP_PAGES - 1) / ARENA_STEP_PAGES;
    int64_t found = count < arena->step_count ? arena_run_find(arena, (uint32_t)count) : -1;
    if (found < 0) {
        return 0;
    }
    uint32_t first = (uint32_t)found;
    uint64_t rest = pages;
    for (uint32_t i = 0; i < count; i++) {
        arena_step_occupy(arena, first + i, i == 0 ? ARENA_RUN_HEAD : ARENA_RUN_TAIL);
        uint32_t here = rest < ARENA_STEP_PAGES ? (uint32_t)rest : ARENA_STEP_PAGES;
        arena_step_touch(arena, first + i, here);
        rest -= here;
    }
    check(rest == 0);
    arena->steps[first].used = (uint32_t)count;
    arena->steps[first].bump = (uint32_t)pages;
    return first * ARENA_STEP_UNITS;
}

// A step of this class with room, made from a free one if there is none; -1 when the range is
// exhausted. Steps with touched pages are preferred to clean ones.
static int64_t arena_step_open(struct arena *arena, uint32_t size_class) {
    if (arena->open_head[size_class] != 0) {
        return arena->open_head[size_class] - 1;
    }
    const uint64_t *bits = arena->dirty_count > 0 ? arena->dirty_bits : arena->free_bits;
    int64_t found = arena_bits_find(arena, bits, arena->step_hint);
    if (found >= 0) {
        uint32_t number = (uint32_t)found;
        arena_step_occupy(arena, number, ARENA_SMALL);
        arena->steps[number].size_class = (uint8_t)size_class;
        arena->steps[number].bump = number == 0; // handle 0 is never given
        arena_list(arena, number);
    }
    return found;
}

static uint32_t arena_take_small(struct arena *arena, uint32_t units) {
    uint32_t size_class = arena_class_of(units);
    int64_t found = arena_step_open(arena, size_class);
    if (found < 0) {
        return 0;
    }
    uint32_t number = (uint32_t)found;
    struct arena_step *step = &arena->steps[number];
    uint32_t block_units = arena_class_units(size_class);
    uint32_t block_count = ARENA_STEP_UNITS / block_units;
    uint32_t handle = step->free_head;
    if (handle != 0) {
        memcpy(&step->free_head, arena_at(arena, handle), sizeof(uint32_t));
    } else {
        check(step->bump < block_count);
        handle = number * ARENA_STEP_UNITS + step->bump * block_units;
        step->bump++;
        uint64_t end = (uint64_t)step->bump * block_units * ARENA_UNIT_BYTES;
        arena_step_touch(arena, number,
                         (uint32_t)((end + ARENA_PAGE_BYTES - 1) / ARENA_PAGE_BYTES));
    }
    step->used++;
    if (step->used == block_count - (number == 0)) {
        arena_unlist(arena, number);
    }
    return handle;
}

uint64_t arena_rounded_bytes(uint64_t bytes) {
    check(bytes > 0);
    if (bytes > ARENA_SMALL_BYTES_MAX) {
        return (bytes + ARENA_PAGE_BYTES - 1) / ARENA_PAGE_BYTES * ARENA_PAGE_BYTES;
    }
    uint32_t units = (uint32_t)((bytes + ARENA_UNIT_BYTES - 1) / ARENA_UNIT_BYTES);
    return (uint64_t)arena_class_units(arena_class_of(units)) * ARENA_UNIT_BYTES;
}

uint32_t arena_take(struct arena *arena, uint64_t bytes) {
    check(bytes > 0);
    uint32_t handle = 0;
    uint64_t block = bytes <= arena->limit_bytes ? arena_rounded_bytes(bytes) : UINT64_MAX;
    if (block <= arena->limit_bytes && arena->used_bytes <= arena->limit_bytes - block) {
        handle = bytes > ARENA_SMALL_BYTES_MAX
                     ? arena_take_run(arena, block / ARENA_PAGE_BYTES)
                     : arena_take_small(arena, (uint32_t)(block / ARENA_UNIT_BYTES));
    }
    if (handle == 0) {
        arena->refused_count++;
        return 0;
    }
    arena->used_bytes += block;
    if (arena->used_bytes > arena->used_bytes_peak) {
        arena->used_bytes_peak = arena->used_bytes;
    }
    return handle;
}

static void arena_give_small(struct arena *arena, uint32_t number, uint32_t handle) {
    struct arena_step *step = &arena->steps[number];
    uint32_t block_units = arena_class_units(step->size_class);
    uint32_t unit = handle % ARENA_STEP_UNITS;
    check(unit % block_units == 0);
    check(unit / block_units < step->bump);
    check(step->used > 0);
    check(handle != step->free_head);
    memcpy(arena_at(arena, handle), &step->free_head, sizeof(uint32_t));
    step->free_head = handle;
    step->used--;
    if (step->used == 0) {
        if (step->is_listed) {
            arena_unlist(arena, number);
        }
        arena_step_vacate(arena, number);
    } else if (!step->is_listed) {
        arena_list(arena, number);
    }
}

void arena_give(struct arena *arena, uint32_t handle) {
    check(handle != 0);
    uint32_t number = handle / ARENA_STEP_UNITS;
    check(number < arena->step_count);
    uint64_t block = arena_block_bytes(arena, handle);
    check(arena->used_bytes >= block);
    arena->used_bytes -= block;
    if (arena->steps[number].kind == ARENA_SMALL) {
        arena_give_small(arena, number, handle);
        return;
    }
    uint32_t count = arena->steps[number].used;
    for (uint32_t i = 0; i < count; i++) {
        check(arena->steps[number + i].kind == (i == 0 ? ARENA_RUN_HEAD : ARENA_RUN_TAIL));
        arena_step_vacate(arena, number + i);
    }
}

uint64_t arena_block_bytes(const struct arena *arena, uint32_t handle) {
    const struct arena_step *step = &arena->steps[handle / ARENA_STEP_UNITS];
    if (step->kind == ARENA_SMALL) {
        return (uint64_t)arena_class_units(step->size_class) * ARENA_UNIT_BYTES;
    }
    check(step->kind == ARENA_RUN_HEAD);
    check(handle % ARENA_STEP_UNITS == 0);
    return (uint64_t)step->bump * ARENA_PAGE_BYTES;
}

bool arena_release_next(struct arena *arena, struct memory *step) {
    return arena->dirty_count > 1 && arena_release_any(arena, step);
}

bool arena_release_any(struct arena *arena, struct memory *step) {
    if (arena->dirty_count == 0) {
        return false;
    }
    // The highest: takes prefer the lowest.
    uint32_t word = arena->word_count - 1;
    while (arena->dirty_bits[word] == 0) {
        check(word > 0);
        word--;
    }
    uint32_t number = word * 64 + 63 - (uint32_t)__builtin_clzll(arena->dirty_bits[word]);
    arena->dirty_bits[word] &= ~bits_mask(number);
    arena->dirty_count--;
    arena->touched_bytes -= (uint64_t)arena->steps[number].touched * ARENA_PAGE_BYTES;
    arena->steps[number].touched = 0;
    *step = (struct memory){.data = arena->base + (uint64_t)number * ARENA_STEP_BYTES,
                            .length = ARENA_STEP_BYTES};
    return true;
}
