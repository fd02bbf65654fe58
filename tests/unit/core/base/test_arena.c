// The arena against a model of who holds what, over a real reserved range.
#include "core/base/arena.h"
#include "core/base/prng.h"
#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { KIB = 1024, MIB = 1024 * 1024 };

struct fixture {
    struct arena arena;
    struct memory space, book;
};

static void fixture_open(struct fixture *fixture, uint32_t steps, uint64_t limit_bytes) {
    uint64_t bytes = (uint64_t)steps * ARENA_STEP_BYTES;
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(data, MAP_FAILED);
    fixture->space = (struct memory){.data = data, .length = bytes};
    fixture->book.length = arena_book_bytes(bytes);
    fixture->book.data = malloc(fixture->book.length);
    cr_assert_not_null(fixture->book.data);
    memset(fixture->book.data, 0xa5, fixture->book.length);
    arena_init(&fixture->arena, fixture->space, fixture->book, limit_bytes);
}

static uint64_t resident_bytes(const struct fixture *fixture) {
    uint64_t pages = fixture->space.length / 4096, resident = 0;
    unsigned char *map = malloc(pages);
    cr_assert_not_null(map);
    cr_assert_eq(mincore(fixture->space.data, fixture->space.length, map), 0);
    for (uint64_t i = 0; i < pages; i++) {
        resident += map[i] & 1;
    }
    free(map);
    return resident * 4096;
}

static void release_all(struct fixture *fixture) {
    struct memory step;
    while (arena_release_next(&fixture->arena, &step)) {
        cr_assert_eq(step.length, ARENA_STEP_BYTES);
        cr_assert_eq(madvise(step.data, step.length, MADV_DONTNEED), 0);
    }
}

static void fixture_close(struct fixture *fixture) {
    struct arena *arena = &fixture->arena;
    cr_assert_eq(arena->used_bytes, 0, "nothing is left");
    release_all(fixture);
    cr_assert_leq(arena->dirty_count, 1);
    cr_assert_leq(arena->touched_bytes, ARENA_STEP_BYTES);
    struct memory step;
    while (arena_release_any(arena, &step)) {
        cr_assert_eq(step.length, ARENA_STEP_BYTES);
    }
    cr_assert_eq(arena->touched_bytes, 0);
    for (uint32_t i = 0; i < ARENA_CLASS_COUNT; i++) {
        cr_assert_eq(arena->open_head[i], 0);
    }
    for (uint32_t i = 0; i < arena->step_count; i++) {
        cr_assert_neq(arena->free_bits[i / 64] >> (i % 64) & 1, 0);
    }
    cr_assert_eq(munmap(fixture->space.data, fixture->space.length), 0);
    free(fixture->book.data);
}

// Every size gives a block at least as large, at most a quarter larger above 512 B, and the classes
// are as the header says.
Test(arena, size_classes) {
    static const uint32_t first[] = {64,  128, 192, 256,  320,  384,  448,  512,
                                     640, 768, 896, 1024, 1280, 1536, 1792, 2048};
    uint64_t before = 0;
    uint32_t classes = 0;
    for (uint32_t bytes = 1; bytes <= ARENA_SMALL_BYTES_MAX; bytes++) {
        uint64_t block = arena_rounded_bytes(bytes);
        expect(block >= bytes && block % ARENA_UNIT_BYTES == 0, "%u", bytes);
        expect(block - bytes < (bytes <= 512 ? 64 : bytes / 4), "%u", bytes);
        if (block != before) {
            expect(block > before && bytes == before + 1, "%u", bytes);
            expect(classes >= 16 || block == first[classes], "%u", bytes);
            before = block;
            classes++;
        }
    }
    cr_assert_eq(classes, ARENA_CLASS_COUNT);
    cr_assert_eq(before, ARENA_SMALL_BYTES_MAX);
    cr_assert_eq(arena_rounded_bytes(ARENA_SMALL_BYTES_MAX + 1), ARENA_SMALL_BYTES_MAX + 4096);
    cr_assert_eq(arena_rounded_bytes(16 * MIB), 16 * MIB);
}

// One class after the other: blocks are apart, aligned and inside the range; the step is full when
// no further one fits.
Test(arena, every_class_fills_its_steps) {
    for (uint32_t bytes = 64; bytes <= ARENA_SMALL_BYTES_MAX;
         bytes = (uint32_t)arena_rounded_bytes(bytes + 1)) {
        struct fixture fixture;
        fixture_open(&fixture, 2, 2 * (uint64_t)ARENA_STEP_BYTES);
        struct arena *arena = &fixture.arena;
        static uint32_t taken[2 * ARENA_STEP_BYTES / 64];
        uint32_t count = 0;
        for (uint32_t handle = arena_take(arena, bytes); handle != 0;
             handle = arena_take(arena, bytes)) {
            expect(arena_block_bytes(arena, handle) == bytes, "%u", bytes);
            uint8_t *data = arena_at(arena, handle);
            expect(data >= fixture.space.data &&
                       data + bytes <= fixture.space.data + fixture.space.length,
                   "%u", bytes);
            expect((uintptr_t)data % 64 == 0, "%u", bytes);
            memcpy(data, &handle, 4);
            memcpy(data + bytes - 4, &handle, 4);
            taken[count++] = handle;
        }
        uint32_t per_step = ARENA_STEP_BYTES / bytes;
        cr_assert_eq(count, 2 * per_step - 1, "%u", bytes);
        cr_assert_eq(arena->used_bytes, (uint64_t)count * bytes);
        cr_assert_eq(arena->refused_count, 1);
        while (count > 0) {
            uint32_t handle = taken[--count], stored[2];
            memcpy(&stored[0], arena_at(arena, handle), 4);
            memcpy(&stored[1], arena_at(arena, handle) + bytes - 4, 4);
            expect(stored[0] == handle && stored[1] == handle, "%u", bytes);
            arena_give(arena, handle);
        }
        fixture_close(&fixture);
    }
}

Test(arena, the_limit_is_exact) {
    struct fixture fixture;
    fixture_open(&fixture, 64, 10 * MIB);
    struct arena *arena = &fixture.arena;
    cr_assert_eq(arena_take(arena, 10 * MIB + 1), 0);
    cr_assert_eq(arena_take(arena, UINT64_MAX), 0);
    uint32_t large = arena_take(arena, 10 * MIB - 64);
    cr_assert_neq(large, 0, "rounds up to the limit exactly");
    cr_assert_eq(arena->used_bytes, 10 * MIB);
    cr_assert_eq(arena_take(arena, 1), 0);
    cr_assert_eq(arena->refused_count, 3);
    arena->limit_bytes += 64;
    uint32_t small = arena_take(arena, 1);
    cr_assert_neq(small, 0);
    cr_assert_eq(arena_take(arena, 1), 0);
    arena->limit_bytes = 1 * MIB; // lowered below what is used
    arena_give(arena, small);
    cr_assert_eq(arena_take(arena, 1), 0);
    arena_give(arena, large);
    cr_assert_eq(arena->used_bytes, 0);
    cr_assert_eq(arena->used_bytes_peak, 10 * MIB + 64);
    small = arena_take(arena, MIB);
    cr_assert_neq(small, 0);
    arena_give(arena, small);
    fixture_close(&fixture);
}

Test(arena, large_blocks_are_first_fit) {
    struct fixture fixture;
    fixture_open(&fixture, 200, 400 * (uint64_t)MIB);
    struct arena *arena = &fixture.arena;
    uint32_t blocks[99];
    for (uint32_t i = 0; i < 99; i++) { // steps 1 to 198 in pairs
        blocks[i] = arena_take(arena, 3 * MIB);
        cr_assert_eq(arena_at(arena, blocks[i]) - fixture.space.data,
                     (1 + 2 * (int64_t)i) * ARENA_STEP_BYTES);
        cr_assert_eq(arena_block_bytes(arena, blocks[i]), 3 * MIB);
    }
    cr_assert_eq(arena_take(arena, 3 * MIB), 0, "one step is left, and step 0");
    uint32_t last = arena_take(arena, 2 * MIB);
    cr_assert_neq(last, 0);
    cr_assert_eq(arena_take(arena, 2 * MIB), 0, "step 0 takes no large block");
    uint32_t small = arena_take(arena, 100);
    cr_assert_neq(small, 0);
    arena_give(arena, blocks[70]);
    arena_give(arena, blocks[31]);
    arena_give(arena, blocks[32]);
    uint32_t wide = arena_take(arena, 8 * MIB);
    cr_assert_eq(wide, blocks[31]);
    uint32_t pair = arena_take(arena, 4 * MIB);
    cr_assert_eq(pair, blocks[70]);
    cr_assert_eq(arena_take(arena, 1 * MIB), 0);
    arena_give(arena, wide);
    arena_give(arena, pair);
    arena_give(arena, last);
    arena_give(arena, small);
    for (uint32_t i = 0; i < 99; i++) {
        if (i != 31 && i != 32 && i != 70) {
            arena_give(arena, blocks[i]);
        }
    }
    fixture_close(&fixture);
}

Test(arena, a_range_of_one_step_serves_small_blocks) {
    struct fixture fixture;
    fixture_open(&fixture, 1, ARENA_STEP_BYTES);
    cr_assert_eq(arena_take(&fixture.arena, 1 * MIB), 0);
    uint32_t handle = arena_take(&fixture.arena, 512 * KIB);
    cr_assert_neq(handle, 0);
    arena_give(&fixture.arena, handle);
    handle = arena_take(&fixture.arena, 64);
    cr_assert_neq(handle, 0);
    arena_give(&fixture.arena, handle);
    fixture_close(&fixture);
}

// touched_bytes is what the kernel holds, as long as blocks are written from end to end.
Test(arena, touches_only_what_it_gives) {
    struct fixture fixture;
    fixture_open(&fixture, 100, 200 * (uint64_t)MIB);
    struct arena *arena = &fixture.arena;
    cr_assert_eq(resident_bytes(&fixture), 0);
    static const uint32_t sizes[] = {100, 5000, 600 * KIB, 5 * MIB, 4096, 2 * MIB, 64, 300 * KIB};
    uint32_t handles[8];
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 8; i++) {
            handles[i] = arena_take(arena, sizes[i]);
            cr_assert_neq(handles[i], 0);
            memset(arena_at(arena, handles[i]), 1, arena_block_bytes(arena, handles[i]));
        }
        cr_assert_leq(resident_bytes(&fixture), arena->touched_bytes);
        cr_assert_geq(resident_bytes(&fixture) + ARENA_STEP_BYTES, arena->touched_bytes);
        for (uint32_t i = 0; i < 8; i++) {
            arena_give(arena, handles[i]);
        }
        cr_assert_leq(resident_bytes(&fixture), arena->touched_bytes);
        release_all(&fixture);
        cr_assert_leq(resident_bytes(&fixture), arena->touched_bytes);
        cr_assert_leq(arena->touched_bytes, ARENA_STEP_BYTES);
    }
    fixture_close(&fixture);
}

Test(arena, touched_steps_are_used_before_clean_ones) {
    struct fixture fixture;
    fixture_open(&fixture, 10, 20 * (uint64_t)MIB);
    struct arena *arena = &fixture.arena;
    uint32_t low = arena_take(arena, 5 * MIB);  // steps 1 to 3
    uint32_t high = arena_take(arena, 4 * MIB); // steps 4 and 5
    arena_give(arena, low);
    release_all(&fixture); // keeps 1
    cr_assert_eq(arena->dirty_count, 1);
    arena_give(arena, high);
    static const uint32_t expected[] = {1, 4, 5, 0, 2};
    uint32_t handles[5];
    for (uint32_t i = 0; i < 5; i++) {
        handles[i] = arena_take(arena, 64 * (i + 1));
        cr_assert_eq((arena_at(arena, handles[i]) - fixture.space.data) / ARENA_STEP_BYTES,
                     expected[i]);
    }
    for (uint32_t i = 0; i < 5; i++) {
        arena_give(arena, handles[i]);
    }
    fixture_close(&fixture);
}

struct held {
    uint32_t handle;
    uint32_t stamp;
    uint64_t bytes;
};

static struct held helds[3000];

static void stamp(const struct arena *arena, const struct held *held) {
    uint8_t *data = arena_at(arena, held->handle);
    memcpy(data, &held->stamp, 4);
    memcpy(data + held->bytes / 8 * 4, &held->stamp, 4);
    memcpy(data + held->bytes - 4, &held->stamp, 4);
}

static bool is_stamped(const struct arena *arena, const struct held *held) {
    const uint8_t *data = arena_at(arena, held->handle);
    return memcmp(data, &held->stamp, 4) == 0 &&
           memcmp(data + held->bytes / 8 * 4, &held->stamp, 4) == 0 &&
           memcmp(data + held->bytes - 4, &held->stamp, 4) == 0;
}

static uint64_t random_bytes(struct prng *prng) {
    uint32_t roll = prng_below(prng, 100);
    return roll < 60   ? 4 + prng_below(prng, 2000)
           : roll < 90 ? 4 + prng_below(prng, 70000)
           : roll < 97 ? 4 + prng_below(prng, 600 * KIB)
                       : 4 + prng_below(prng, 9 * MIB);
}

static void check_invariants(const struct arena *arena, uint64_t used_bytes) {
    uint64_t touched = 0;
    uint32_t dirty = 0;
    for (uint32_t i = 0; i < arena->step_count; i++) {
        touched += (uint64_t)arena->steps[i].touched * ARENA_PAGE_BYTES;
        dirty += (uint32_t)(arena->dirty_bits[i / 64] >> (i % 64) & 1);
        expect(i >= arena->step_hint || (arena->free_bits[i / 64] >> (i % 64) & 1) == 0, "%u", i);
    }
    expect(touched == arena->touched_bytes, "%lu", touched);
    expect(dirty == arena->dirty_count, "%u", dirty);
    expect(used_bytes == arena->used_bytes, "%lu", used_bytes);
}

Test(arena, random_operations_agree_with_the_model) {
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        struct fixture fixture;
        fixture_open(&fixture, 120, 60 * (uint64_t)MIB);
        struct arena *arena = &fixture.arena;
        uint32_t count = 0;
        uint64_t used = 0, refused_by_limit = 0;
        for (uint32_t step = 0; step < 15000; step++) {
            uint32_t roll = prng_below(&prng, 100);
            uint32_t tide = step / 3000 % 2 == 0 ? 58 : 42;
            struct memory memory;
            if (roll == 0 && arena_release_next(arena, &memory)) {
                memset(memory.data, 0xee, 4096);
                cr_assert_eq(madvise(memory.data, memory.length, MADV_DONTNEED), 0);
            } else if (roll < tide && count < 3000) {
                struct held *held = &helds[count];
                uint64_t bytes = random_bytes(&prng);
                *held = (struct held){.handle = arena_take(arena, bytes), .stamp = step};
                bool fits = used + arena_rounded_bytes(bytes) <= arena->limit_bytes;
                refused_by_limit += !fits;
                expect(fits || held->handle == 0, "step %u: over the limit", step);
                // With a range of four times the limit it is the limit that refuses.
                expect(!fits || held->handle != 0, "step %u: %lu refused", step, bytes);
                if (held->handle != 0) {
                    held->bytes = arena_block_bytes(arena, held->handle);
                    expect(held->bytes == arena_rounded_bytes(bytes), "step %u", step);
                    used += held->bytes;
                    stamp(arena, held);
                    count++;
                }
            } else if (count > 0) {
                uint32_t which = prng_below(&prng, count);
                expect(is_stamped(arena, &helds[which]), "step %u", step);
                used -= helds[which].bytes;
                arena_give(arena, helds[which].handle);
                helds[which] = helds[--count];
            }
            if (step % 500 == 0) {
                check_invariants(arena, used);
            }
        }
        while (count > 0) {
            expect(is_stamped(arena, &helds[--count]), "%u", count);
            arena_give(arena, helds[count].handle);
        }
        check_invariants(arena, 0);
        cr_assert_eq(arena->refused_count, refused_by_limit);
        cr_assert_gt(refused_by_limit, 0);
        fixture_close(&fixture);
    }
}

Test(arena, giving_a_small_block_twice_is_our_bug, .signal = SIGABRT) {
    struct fixture fixture;
    fixture_open(&fixture, 4, MIB);
    uint32_t handle = arena_take(&fixture.arena, 100);
    arena_take(&fixture.arena, 100);
    arena_give(&fixture.arena, handle);
    arena_give(&fixture.arena, handle);
}

Test(arena, giving_a_large_block_twice_is_our_bug, .signal = SIGABRT) {
    struct fixture fixture;
    fixture_open(&fixture, 4, 4 * MIB);
    uint32_t handle = arena_take(&fixture.arena, MIB);
    arena_give(&fixture.arena, handle);
    arena_give(&fixture.arena, handle);
}

Test(arena, giving_the_middle_of_a_block_is_our_bug, .signal = SIGABRT) {
    struct fixture fixture;
    fixture_open(&fixture, 4, MIB);
    uint32_t handle = arena_take(&fixture.arena, 200);
    arena_give(&fixture.arena, handle + 1);
}

Test(arena, taking_nothing_is_our_bug, .signal = SIGABRT) {
    struct fixture fixture;
    fixture_open(&fixture, 4, MIB);
    arena_take(&fixture.arena, 0);
}
