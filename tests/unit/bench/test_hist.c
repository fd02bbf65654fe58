#include <criterion/criterion.h>

#include "bench/hist.h"

static struct hist left;
static struct hist right;
static struct hist both;

Test(hist, is_exact_below_64_and_within_two_percent_above) {
    for (uint64_t value = 0; value < (1ULL << 46); value = value * 5 / 4 + 1) {
        hist_init(&left);
        hist_add(&left, value);
        hist_add(&left, value * 4); // so that the answer is not just max
        uint64_t read = hist_at(&left, 0.5);
        cr_assert(read >= value, "%lu read as %lu", value, read);
        cr_assert((double)(read - value) <= (value < 64 ? 0 : (double)value / 60),
                  "%lu read as %lu", value, read);
    }
}

Test(hist, ranks_are_rounded_up) {
    hist_init(&left);
    cr_assert_eq(hist_at(&left, 0.5), 0);
    for (uint64_t value = 1; value <= 50; value++) {
        hist_add(&left, value);
    }
    cr_assert_eq(hist_at(&left, 0), 1);
    cr_assert_eq(hist_at(&left, 0.02), 1);
    cr_assert_eq(hist_at(&left, 0.021), 2);
    cr_assert_eq(hist_at(&left, 0.5), 25);
    cr_assert_eq(hist_at(&left, 0.99), 50);
    cr_assert_eq(hist_at(&left, 1), 50);
    cr_assert_float_eq(hist_mean(&left), 25.5, 1e-9);
}

Test(hist, the_largest_values_stay_inside) {
    hist_init(&left);
    hist_add(&left, UINT64_MAX);
    hist_add(&left, (1ULL << 47) + 1);
    hist_add(&left, (1ULL << 48) - 1);
    cr_assert_eq(left.count, 3);
    cr_assert_eq(hist_at(&left, 1), UINT64_MAX >> 16 < left.max ? (1ULL << 48) - 1 : left.max);
    cr_assert_eq(left.max, UINT64_MAX);
}

Test(hist, merging_equals_adding) {
    hist_init(&left);
    hist_init(&right);
    hist_init(&both);
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t value = i * i * 7919 % 1000003;
        hist_add(i % 3 == 0 ? &left : &right, value);
        hist_add(&both, value);
    }
    hist_merge(&left, &right);
    cr_assert_arr_eq(&left, &both, sizeof left);
}
