// The wheel against a naive model: an array of deadlines that is looked through at every step.
#include "core/base/prng.h"
#include "core/base/wheel.h"
#include "tests/unit/expect.h"

#include <criterion/criterion.h>

enum { ELEMENTS = 300 };

static const uint64_t horizon_ms = ((uint64_t)64 * 64 * 64 * 64 - 2) * WHEEL_TICK_MS;

static struct wheel_entry entries[ELEMENTS];

static struct wheel_entry *entry_at(void *context, uint32_t index) {
    struct wheel_entry *array = context;
    return &array[index];
}

static void fixture_init(struct wheel *wheel, uint64_t now_ms) {
    memset(entries, 0, sizeof(entries));
    wheel_init(wheel, entry_at, entries, now_ms);
}

static uint64_t tick_up_ms(uint64_t ms) {
    return (ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS * WHEEL_TICK_MS;
}

static void assert_nothing_is_left(const struct wheel *wheel) {
    cr_assert_eq(wheel->armed_count, 0);
    cr_assert_eq(wheel->ready_final, 0);
    for (uint32_t i = 0; i < sizeof(wheel->heads) / sizeof(wheel->heads[0]); i++) {
        expect(wheel->heads[i] == 0, "list %u", i);
    }
    for (uint32_t i = 0; i < WHEEL_LEVELS; i++) {
        cr_assert_eq(wheel->occupied[i], 0);
    }
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        expect(entries[i].due == 0 && entries[i].next == 0 && entries[i].prev == 0, "%u", i);
    }
    cr_assert_eq(wheel_wait_ms(wheel, 0), UINT32_MAX);
}

Test(wheel, fires_at_the_tick_and_not_before) {
    struct wheel wheel;
    uint32_t index = 0;
    for (uint64_t ahead = 1; ahead < (uint64_t)1 << 28; ahead = ahead * 3 / 2 + 1) {
        uint64_t start = 1000003, due = tick_up_ms(start + ahead);
        fixture_init(&wheel, start);
        wheel_arm(&wheel, 7, start + ahead);
        cr_assert(wheel_is_armed(&entries[7]));
        wheel_advance(&wheel, due - 1);
        cr_assert_not(wheel_next(&wheel, &index), "ahead %lu", ahead);
        wheel_advance(&wheel, due);
        cr_assert(wheel_next(&wheel, &index), "ahead %lu", ahead);
        cr_assert_eq(index, 7);
        cr_assert_not(wheel_next(&wheel, &index));
        assert_nothing_is_left(&wheel);
    }
}

Test(wheel, the_past_fires_at_the_next_advance_even_in_the_same_tick) {
    struct wheel wheel;
    uint32_t index = 0;
    fixture_init(&wheel, 5000);
    wheel_arm(&wheel, 1, 0);
    wheel_arm(&wheel, 2, 4992); // the tick that 5000 is in
    wheel_arm(&wheel, 3, 4993); // the next one
    cr_assert_not(wheel_next(&wheel, &index), "only advance makes ready");
    cr_assert_eq(wheel_wait_ms(&wheel, 5000), 0);
    wheel_advance(&wheel, 5000);
    cr_assert(wheel_next(&wheel, &index));
    cr_assert(wheel_next(&wheel, &index));
    cr_assert_not(wheel_next(&wheel, &index));
    cr_assert_eq(wheel_wait_ms(&wheel, 5000), 8);
    wheel_advance(&wheel, 5008);
    cr_assert(wheel_next(&wheel, &index));
    cr_assert_eq(index, 3);
    assert_nothing_is_left(&wheel);
}

Test(wheel, a_clock_that_steps_back_moves_nothing) {
    struct wheel wheel;
    uint32_t index = 0;
    fixture_init(&wheel, 10000);
    wheel_arm(&wheel, 1, 10100);
    wheel_advance(&wheel, 0);
    cr_assert_not(wheel_next(&wheel, &index));
    wheel_arm(&wheel, 2, 50);
    wheel_advance(&wheel, 60);
    cr_assert(wheel_next(&wheel, &index));
    cr_assert_eq(index, 2);
    wheel_advance(&wheel, 10112);
    cr_assert(wheel_next(&wheel, &index));
    assert_nothing_is_left(&wheel);
}

Test(wheel, ready_entries_come_in_order_and_can_be_moved_or_disarmed) {
    struct wheel wheel;
    uint32_t index = 0;
    fixture_init(&wheel, 0);
    for (uint32_t i = 0; i < 6; i++) {
        wheel_arm(&wheel, i, 16 * (i + 1));
    }
    wheel_advance(&wheel, 1000);
    cr_assert_eq(wheel_wait_ms(&wheel, 1000), 0);
    wheel_disarm(&wheel, 0);     // the first
    wheel_disarm(&wheel, 5);     // the last
    wheel_arm(&wheel, 3, 1500);  // one in the middle moves on
    wheel_arm(&wheel, 4, 900);   // the last again: late
    wheel_advance(&wheel, 1000); // late joins behind
    wheel_arm(&wheel, 5, 1000);
    static const uint32_t expected[] = {1, 2, 4};
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(wheel_next(&wheel, &index));
        cr_assert_eq(index, expected[i]);
    }
    cr_assert_not(wheel_next(&wheel, &index));
    cr_assert_eq(wheel.armed_count, 2);
    wheel_disarm(&wheel, 5);
    wheel_disarm(&wheel, 3);
    wheel_disarm(&wheel, 3);
    assert_nothing_is_left(&wheel);
}

Test(wheel, beyond_the_horizon_fires_at_the_horizon) {
    struct wheel wheel;
    uint32_t index = 0;
    static const uint64_t starts[] = {0, 16 * 63, 123456789, (uint64_t)1 << 50};
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t start = starts[i] / WHEEL_TICK_MS * WHEEL_TICK_MS;
        fixture_init(&wheel, start);
        wheel_arm(&wheel, 0, UINT64_MAX);
        wheel_arm(&wheel, 1, start + horizon_ms + 1);
        wheel_arm(&wheel, 2, start + horizon_ms);
        wheel_arm(&wheel, 3, start + horizon_ms - 1);
        wheel_advance(&wheel, start + horizon_ms - 1);
        cr_assert_not(wheel_next(&wheel, &index));
        wheel_advance(&wheel, start + horizon_ms);
        for (uint32_t j = 0; j < 4; j++) {
            cr_assert(wheel_next(&wheel, &index));
        }
        assert_nothing_is_left(&wheel);
    }
}

// A wait never ends after an entry is due; following the waits finds it in few wakes.
Test(wheel, waits_are_never_late_and_few) {
    struct prng prng;
    prng_init(&prng, 3);
    struct wheel wheel;
    for (uint32_t round = 0; round < 20000; round++) {
        uint64_t now = prng_next(&prng) >> (24 + prng_below(&prng, 30));
        fixture_init(&wheel, now);
        uint64_t due = now + (prng_next(&prng) >> (37 + prng_below(&prng, 26)));
        wheel_arm(&wheel, 0, due);
        uint32_t index, wakes = 0;
        wheel_advance(&wheel, now);
        while (!wheel_next(&wheel, &index)) {
            uint32_t wait = wheel_wait_ms(&wheel, now);
            now += wait;
            wakes++;
            expect(wait > 0 && wakes <= WHEEL_LEVELS, "round %u: %u wakes", round, wakes);
            expect(now <= tick_up_ms(due), "round %u: late", round);
            wheel_advance(&wheel, now);
        }
        expect(now >= due, "round %u: early", round);
    }
}

struct model {
    uint64_t due_ms[ELEMENTS]; // rounded up to a tick
    bool is_armed[ELEMENTS];
    bool is_ready[ELEMENTS];
    uint64_t now_ms;
};

static void model_arm(struct model *model, uint32_t index, uint64_t due_ms) {
    uint64_t now_tick_ms = model->now_ms / WHEEL_TICK_MS * WHEEL_TICK_MS;
    uint64_t due = tick_up_ms(due_ms);
    model->due_ms[index] = due < now_tick_ms + horizon_ms ? due : now_tick_ms + horizon_ms;
    model->is_armed[index] = true;
    model->is_ready[index] = false;
}

static void model_advance(struct model *model, uint64_t now_ms) {
    model->now_ms = now_ms;
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        model->is_ready[i] |= model->is_armed[i] && model->due_ms[i] <= now_ms;
    }
}

static void assert_wait(const struct wheel *wheel, const struct model *model, uint32_t step) {
    uint64_t nearest = UINT64_MAX;
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        if (model->is_armed[i] && model->due_ms[i] < nearest) {
            nearest = model->due_ms[i];
        }
    }
    uint32_t wait = wheel_wait_ms(wheel, model->now_ms);
    if (nearest == UINT64_MAX) {
        expect(wait == UINT32_MAX, "step %u", step);
    } else if (nearest <= model->now_ms) {
        expect(wait == 0, "step %u", step);
    } else {
        expect(wait <= nearest - model->now_ms, "step %u: late", step);
    }
}

static void take_some(struct wheel *wheel, struct model *model, uint32_t budget, uint32_t step) {
    uint32_t index;
    while (budget > 0 && wheel_next(wheel, &index)) {
        expect(model->is_ready[index] && model->is_armed[index], "step %u: %u", step, index);
        model->is_ready[index] = model->is_armed[index] = false;
        budget--;
    }
    for (uint32_t i = 0; budget > 0 && i < ELEMENTS; i++) {
        expect(!model->is_ready[i], "step %u: %u was not given", step, i);
    }
}

static uint64_t random_ms(struct prng *prng) {
    return prng_next(prng) >> (34 + prng_below(prng, 30)); // up to 12 days, mostly short
}

static void play(uint64_t seed, uint64_t start_ms) {
    static struct model model;
    struct wheel wheel;
    struct prng prng;
    prng_init(&prng, seed);
    memset(&model, 0, sizeof(model));
    model.now_ms = start_ms;
    fixture_init(&wheel, start_ms);
    for (uint32_t step = 0; step < 4000; step++) {
        uint32_t index = prng_below(&prng, ELEMENTS);
        uint32_t roll = prng_below(&prng, 100);
        if (roll < 55) {
            uint64_t due = model.now_ms + random_ms(&prng);
            due = roll < 4 ? due - (due < 1000 ? due : prng_below(&prng, 1000)) : due;
            wheel_arm(&wheel, index, due);
            model_arm(&model, index, due);
        } else if (roll < 70) {
            wheel_disarm(&wheel, index);
            model.is_armed[index] = model.is_ready[index] = false;
        } else {
            uint64_t jump = roll < 97 ? prng_below(&prng, 200) : random_ms(&prng);
            jump = roll == 80 ? wheel_wait_ms(&wheel, model.now_ms) % (1u << 30) : jump;
            model_advance(&model, model.now_ms + jump);
            wheel_advance(&wheel, model.now_ms);
            take_some(&wheel, &model, prng_below(&prng, 40), step);
        }
        assert_wait(&wheel, &model, step);
    }
    model_advance(&model, model.now_ms + horizon_ms + 100);
    wheel_advance(&wheel, model.now_ms);
    take_some(&wheel, &model, UINT32_MAX, UINT32_MAX);
    assert_nothing_is_left(&wheel);
}

Test(wheel, random_operations_agree_with_the_model) {
    for (uint64_t seed = 0; seed < 60; seed++) {
        play(seed, seed * 7919);
    }
}

// Where a group of each level begins, and where ticks stop fitting in 32 bits. (Deadlines near the
// latter are checked by the next test, since one of them is a tick late.)
Test(wheel, random_operations_around_the_edges_of_groups) {
    for (uint64_t seed = 0; seed < 40; seed++) {
        uint64_t edge = (uint64_t)1 << (seed % 4 * 6 + 6);
        play(seed + 1000, (edge - 1) * WHEEL_TICK_MS - seed);
    }
}

Test(wheel, ticks_beyond_32_bits) {
    struct wheel wheel;
    uint32_t index = 0;
    const uint64_t edge = (uint64_t)1 << 32; // in ticks
    for (uint64_t ahead = 1; ahead < 400; ahead++) {
        for (uint64_t due = edge - 4; due <= edge + 4; due++) {
            fixture_init(&wheel, (due - ahead) * WHEEL_TICK_MS);
            wheel_arm(&wheel, 5, due * WHEEL_TICK_MS);
            expect(wheel_is_armed(&entries[5]), "ahead %lu", ahead);
            wheel_advance(&wheel, due * WHEEL_TICK_MS - 1);
            expect(!wheel_next(&wheel, &index), "ahead %lu", ahead);
            // The one tick whose stored form would be 0 fires one later.
            uint64_t fires = due == edge - 1 ? due + 1 : due;
            wheel_advance(&wheel, fires * WHEEL_TICK_MS);
            expect(wheel_next(&wheel, &index), "ahead %lu due %lu", ahead, due);
        }
    }
    fixture_init(&wheel, (edge - 1) * WHEEL_TICK_MS);
    wheel_arm(&wheel, 5, 0);
    cr_assert(wheel_is_armed(&entries[5]));
    wheel_arm(&wheel, 6, UINT64_MAX);
    wheel_disarm(&wheel, 6);
    wheel_advance(&wheel, (edge - 1) * WHEEL_TICK_MS);
    cr_assert(wheel_next(&wheel, &index));
    assert_nothing_is_left(&wheel);
    fixture_init(&wheel, (edge - 1) * WHEEL_TICK_MS - horizon_ms);
    wheel_arm(&wheel, 5, UINT64_MAX);
    wheel_advance(&wheel, edge * WHEEL_TICK_MS);
    cr_assert(wheel_next(&wheel, &index));
    assert_nothing_is_left(&wheel);
}

static uint64_t looked_at;

static struct wheel_entry *counting_entry_at(void *context, uint32_t index) {
    looked_at++;
    return entry_at(context, index);
}

// A machine that slept ten minutes, or ten days, pays for the entries that it has and no more.
Test(wheel, a_jump_costs_its_entries) {
    struct wheel wheel;
    static const uint64_t jumps[] = {600000, 864000000, (uint64_t)1 << 52};
    for (uint32_t i = 0; i < 3; i++) {
        memset(entries, 0, sizeof(entries));
        wheel_init(&wheel, counting_entry_at, entries, 0);
        for (uint32_t j = 0; j < ELEMENTS; j++) {
            wheel_arm(&wheel, j, (uint64_t)j * 9000);
        }
        looked_at = 0;
        wheel_advance(&wheel, jumps[i]);
        cr_assert_leq(looked_at, 4 * ELEMENTS, "%lu", looked_at);
        uint32_t index;
        while (wheel_next(&wheel, &index)) {
            wheel_disarm(&wheel, index);
        }
        if (i > 0) {
            assert_nothing_is_left(&wheel);
        }
    }
}
