// The pool against a model that knows which indices are out, over a real reserved range.
#include "core/base/pool.h"
#include "core/base/prng.h"
#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

struct fixture {
    struct pool pool;
    struct memory space, book;
};

static struct memory reserve(uint64_t bytes) {
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(data, MAP_FAILED);
    return (struct memory){.data = data, .length = bytes};
}

static void fixture_open(struct fixture *fixture, uint32_t element_bytes, uint32_t limit) {
    fixture->space = reserve(pool_space_bytes(element_bytes, limit));
    fixture->book.length = pool_book_bytes(element_bytes, limit);
    fixture->book.data = malloc(fixture->book.length);
    cr_assert_not_null(fixture->book.data);
    memset(fixture->book.data, 0xa5, fixture->book.length);
    pool_init(&fixture->pool, element_bytes, limit, fixture->space, fixture->book);
}

static uint64_t resident_bytes(const struct memory *space) {
    uint64_t pages = space->length / 4096, resident = 0;
    unsigned char *map = malloc(pages);
    cr_assert_not_null(map);
    cr_assert_eq(mincore(space->data, space->length, map), 0);
    for (uint64_t i = 0; i < pages; i++) {
        resident += map[i] & 1;
    }
    free(map);
    return resident * 4096;
}

static void release_all(struct fixture *fixture) {
    struct memory step;
    while (pool_release_next(&fixture->pool, &step)) {
        cr_assert_eq(step.length, POOL_STEP_BYTES);
        cr_assert_eq(madvise(step.data, step.length, MADV_DONTNEED), 0);
    }
}

static void fixture_close(struct fixture *fixture) {
    cr_assert_eq(fixture->pool.used, 0, "nothing is left");
    release_all(fixture);
    cr_assert_leq(fixture->pool.touched_steps, 1);
    cr_assert_leq(pool_touched_bytes(&fixture->pool), POOL_STEP_BYTES);
    cr_assert_eq(munmap(fixture->space.data, fixture->space.length), 0);
    free(fixture->book.data);
}

Test(pool, sizes) {
    cr_assert_eq(pool_space_bytes(64, 1), POOL_STEP_BYTES);
    cr_assert_eq(pool_space_bytes(64, 32767), POOL_STEP_BYTES, "with index 0 a step exactly");
    cr_assert_eq(pool_space_bytes(64, 32768), 2 * POOL_STEP_BYTES);
    cr_assert_eq(pool_space_bytes(65536, UINT32_MAX), (uint64_t)1 << 48);
    cr_assert_eq(pool_book_bytes(64, 32768), 2 * sizeof(struct pool_step));
}

// Limit at -1, 0 and +1, and every element distinct and apart.
static void fill(uint32_t element_bytes, uint32_t limit) {
    struct fixture fixture;
    fixture_open(&fixture, element_bytes, limit);
    struct pool *pool = &fixture.pool;
    for (uint32_t i = 1; i <= limit; i++) {
        uint32_t index = pool_take(pool);
        expect(index != 0 && index <= limit, "%u", i);
        memset(pool_at(pool, index), (int)(i % 251), element_bytes);
        memcpy(pool_at(pool, index), &index, sizeof(index));
    }
    cr_assert_eq(pool->used, limit);
    cr_assert_eq(pool->refused_count, 0);
    cr_assert_eq(pool_take(pool), 0);
    cr_assert_eq(pool->refused_count, 1);
    // Without holes the indices are 1 to limit.
    for (uint32_t index = 1; index <= limit; index++) {
        uint32_t stored;
        memcpy(&stored, pool_at(pool, index), sizeof(stored));
        expect(stored == index, "%u", index);
        pool_give(pool, index);
    }
    cr_assert_eq(pool->used_peak, limit);
    cr_assert_neq(pool_take(pool), 0);
    cr_assert_eq(pool->used, 1);
    for (uint32_t index = 1; pool->used > 0; index++) {
        // The one taken is in the step kept at the front: the lowest.
        if (index <= limit && pool->steps[0].used == 1) {
            pool_give(pool, index);
        }
    }
    fixture_close(&fixture);
}

Test(pool, fills_to_its_limit_and_refuses) {
    fill(16, 131072 * 2 - 1);
    fill(64, 40000);
    fill(65536, 31);
    fill(65536, 32);
    fill(65536, 100);
    fill(4096, 1);
}

Test(pool, limit_zero_refuses_everything) {
    struct fixture fixture;
    fixture_open(&fixture, 64, 0);
    cr_assert_eq(pool_take(&fixture.pool), 0);
    cr_assert_eq(fixture.pool.refused_count, 1);
    fixture_close(&fixture);
}

Test(pool, the_limit_may_change) {
    struct fixture fixture;
    fixture_open(&fixture, 65536, 40);
    struct pool *pool = &fixture.pool;
    uint32_t taken[64], count = 0;
    for (; count < 40; count++) {
        taken[count] = pool_take(pool);
    }
    pool->limit = 30;
    for (; count > 30; count--) {
        cr_assert_eq(pool_take(pool), 0);
        pool_give(pool, taken[count - 1]);
    }
    cr_assert_eq(pool_take(pool), 0);
    pool_give(pool, taken[--count]);
    taken[count] = pool_take(pool);
    cr_assert_neq(taken[count++], 0);
    pool->limit = UINT32_MAX; // the range ends it: two steps of 32 less index 0
    for (uint32_t index = pool_take(pool); index != 0; index = pool_take(pool)) {
        cr_assert_lt(count, 64);
        taken[count++] = index;
    }
    cr_assert_eq(count, 63);
    while (count > 0) {
        pool_give(pool, taken[--count]);
    }
    fixture_close(&fixture);
}

// Pages are touched by use only, and given back.
Test(pool, touches_only_what_it_gives) {
    struct fixture fixture;
    fixture_open(&fixture, 256, 100000);
    struct pool *pool = &fixture.pool;
    cr_assert_eq(resident_bytes(&fixture.space), 0);
    static uint32_t taken[100000];
    for (uint32_t i = 0; i < 20000; i++) {
        taken[i] = pool_take(pool);
        memset(pool_at(pool, taken[i]), 1, 256);
    }
    uint64_t used = (uint64_t)20001 * 256;
    cr_assert_leq(resident_bytes(&fixture.space), used + 4096);
    cr_assert_eq(pool_touched_bytes(pool), resident_bytes(&fixture.space));
    for (uint32_t i = 0; i < 20000; i++) {
        pool_give(pool, taken[i]);
    }
    cr_assert_eq(pool->dirty_count, 3);
    release_all(&fixture);
    cr_assert_eq(pool->dirty_count, 1, "one empty step is kept");
    cr_assert_leq(resident_bytes(&fixture.space), POOL_STEP_BYTES);
    cr_assert_eq(pool_touched_bytes(pool), resident_bytes(&fixture.space));
    // A second population begins in the kept step and then at the front of the others.
    for (uint32_t i = 0; i < 20000; i++) {
        taken[i] = pool_take(pool);
        memset(pool_at(pool, taken[i]), 2, 256);
    }
    cr_assert_leq(resident_bytes(&fixture.space), used + 4096);
    for (uint32_t i = 0; i < 20000; i++) {
        pool_give(pool, taken[i]);
    }
    fixture_close(&fixture);
}

Test(pool, steps_in_use_are_filled_first) {
    struct fixture fixture;
    fixture_open(&fixture, 65536, 320);
    struct pool *pool = &fixture.pool;
    for (uint32_t i = 0; i < 70; i++) {
        cr_assert_neq(pool_take(pool), 0);
    }
    cr_assert_eq(pool->touched_steps, 3);
    pool_give(pool, 40); // step 1
    pool_give(pool, 41);
    pool_give(pool, 5); // step 0
    cr_assert_eq(pool_take(pool), 5, "the lowest step comes first");
    for (uint32_t i = 0; i < 2 + 64 - 39; i++) {
        uint32_t index = pool_take(pool);
        cr_assert(index < 96);
    }
    cr_assert_eq(pool->touched_steps, 3, "no new step while the old ones have room");
    for (uint32_t i = 1; i < 96 && pool->used > 0; i++) {
        pool_give(pool, i);
    }
    cr_assert_eq(pool->used, 0);
    fixture_close(&fixture);
}

struct model {
    uint8_t is_out[4096];
    uint32_t out[4096];
    uint32_t count;
};

static void check_lists(const struct pool *pool) {
    uint32_t dirty = 0, touched = 0, used = 0;
    for (uint32_t i = 0; i < pool->step_count; i++) {
        used += pool->steps[i].used;
        touched += pool->steps[i].bump > 0;
    }
    for (uint32_t next = pool->dirty_head; next != 0; next = pool->steps[next - 1].next) {
        expect(pool->steps[next - 1].used == 0 && pool->steps[next - 1].bump > 0, "%u", next);
        dirty++;
    }
    for (uint32_t next = pool->clean_head; next != 0; next = pool->steps[next - 1].next) {
        expect(pool->steps[next - 1].bump == 0, "%u", next);
    }
    expect(dirty == pool->dirty_count, "%u", dirty);
    expect(touched == pool->touched_steps, "%u", touched);
    expect(used == pool->used, "%u", used);
}

Test(pool, random_operations_agree_with_the_model) {
    static struct model model;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        struct fixture fixture;
        fixture_open(&fixture, 16384, 1000);
        struct pool *pool = &fixture.pool;
        memset(&model, 0, sizeof(model));
        for (uint32_t step = 0; step < 20000; step++) {
            uint32_t tide = step / 2500 % 2 == 0 ? 60 : 40; // the population comes and goes
            uint32_t roll = prng_below(&prng, 100);
            struct memory memory;
            if (roll == 0 && pool_release_next(pool, &memory)) {
                memset(memory.data, 0xee, memory.length); // whatever it becomes, nobody minds
            } else if (roll < tide) {
                uint32_t index = pool_take(pool);
                expect((index == 0) == (model.count == 1000), "step %u", step);
                if (index != 0) {
                    expect(!model.is_out[index], "step %u: %u twice", step, index);
                    model.is_out[index] = 1;
                    model.out[model.count++] = index;
                    memcpy(pool_at(pool, index), &index, 4);
                }
            } else if (model.count > 0) {
                uint32_t which = prng_below(&prng, model.count);
                uint32_t index = model.out[which], stored;
                memcpy(&stored, pool_at(pool, index), 4);
                expect(stored == index, "step %u: content", step);
                model.out[which] = model.out[--model.count];
                model.is_out[index] = 0;
                pool_give(pool, index);
            }
            expect(pool->used == model.count, "step %u", step);
            if (step % 100 == 0) {
                check_lists(pool);
            }
        }
        while (model.count > 0) {
            pool_give(pool, model.out[--model.count]);
        }
        check_lists(pool);
        fixture_close(&fixture);
    }
}

Test(pool, generations_are_never_zero_nor_repeated) {
    struct pool pool = {.generation = UINT32_MAX - 1};
    cr_assert_eq(pool_generation_next(&pool), UINT32_MAX);
    cr_assert_eq(pool_generation_next(&pool), 1);
    cr_assert_eq(pool_generation_next(&pool), 2);
}

Test(pool, giving_twice_is_our_bug, .signal = SIGABRT) {
    struct fixture fixture;
    fixture_open(&fixture, 64, 10);
    uint32_t index = pool_take(&fixture.pool);
    pool_give(&fixture.pool, index);
    pool_give(&fixture.pool, index);
}

Test(pool, giving_twice_while_others_are_out_is_our_bug, .signal = SIGABRT) {
    struct fixture fixture;
    fixture_open(&fixture, 64, 10);
    uint32_t index = pool_take(&fixture.pool);
    pool_take(&fixture.pool);
    pool_give(&fixture.pool, index);
    pool_give(&fixture.pool, index);
}

Test(pool, giving_what_was_never_taken_is_our_bug, .signal = SIGABRT) {
    struct fixture fixture;
    fixture_open(&fixture, 64, 10);
    uint32_t index = pool_take(&fixture.pool);
    pool_give(&fixture.pool, index + 1);
}

Test(pool, giving_none_is_our_bug, .signal = SIGABRT) {
    struct fixture fixture;
    fixture_open(&fixture, 64, 10);
    pool_take(&fixture.pool);
    pool_give(&fixture.pool, 0);
}

Test(pool, element_sizes_are_powers_of_two, .signal = SIGABRT) {
    cr_assert_eq(pool_space_bytes(48, 10), 0);
}
