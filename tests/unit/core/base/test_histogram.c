// Bucket edges, quantiles against a sorted array, and merging.
#include "core/base/histogram.h"
#include "core/base/prng.h"
#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static uint32_t bucket_of(uint64_t value) {
    static struct histogram histogram;
    memset(&histogram, 0, sizeof(histogram));
    histogram_record(&histogram, value);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram.counts[i] != 0) {
            return i;
        }
    }
    return HISTOGRAM_BUCKETS;
}

Test(histogram, small_values_have_a_bucket_each) {
    for (uint32_t value = 0; value < 16; value++) {
        cr_assert_eq(bucket_of(value), value);
        cr_assert_eq(histogram_bucket_upper(value), value);
    }
    cr_assert_eq(bucket_of(16), 16);
    cr_assert_eq(bucket_of(17), 16);
    cr_assert_eq(bucket_of(18), 17);
}

Test(histogram, buckets_meet_at_their_edges) {
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t upper = histogram_bucket_upper(i);
        uint64_t lower = i == 0 ? 0 : histogram_bucket_upper(i - 1) + 1;
        cr_assert_eq(bucket_of(upper), i);
        cr_assert_eq(bucket_of(lower), i);
        cr_assert(upper >= lower);
        cr_assert(upper - lower <= lower / 8, "bucket %u is wider than 12.5 %%", i);
    }
    cr_assert_eq(histogram_bucket_upper(HISTOGRAM_BUCKETS - 1), ((uint64_t)1 << 40) - 1);
}

Test(histogram, large_values_land_in_the_last_bucket) {
    cr_assert_eq(bucket_of((uint64_t)1 << 40), HISTOGRAM_BUCKETS - 1);
    cr_assert_eq(bucket_of(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    struct histogram histogram = {0};
    histogram_record(&histogram, UINT64_MAX);
    cr_assert_eq(histogram.maximum, UINT64_MAX);
    cr_assert_eq(histogram_quantile(&histogram, 500000), UINT64_MAX);
}

Test(histogram, no_bucket_above_the_last, .signal = SIGABRT) {
    cr_assert_eq(histogram_bucket_upper(HISTOGRAM_BUCKETS), 0);
}

Test(histogram, empty) {
    struct histogram histogram = {0};
    cr_assert_eq(histogram_quantile(&histogram, 0), 0);
    cr_assert_eq(histogram_quantile(&histogram, 1000000), 0);
    cr_assert_eq(histogram_count_below(&histogram, UINT64_MAX), 0);
}

Test(histogram, one_value_is_every_quantile) {
    struct histogram histogram = {0};
    histogram_record(&histogram, 1000);
    cr_assert_eq(histogram_quantile(&histogram, 0), 1000);
    cr_assert_eq(histogram_quantile(&histogram, 1), 1000);
    cr_assert_eq(histogram_quantile(&histogram, 1000000), 1000);
}

static int compare(const void *a, const void *b) {
    uint64_t one = *(const uint64_t *)a, two = *(const uint64_t *)b;
    return one < two ? -1 : one > two;
}

Test(histogram, quantiles_are_within_an_eighth_above) {
    enum { COUNT = 20011 };
    static uint64_t values[COUNT];
    struct histogram histogram = {0};
    struct prng prng;
    prng_init(&prng, 1);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        values[i] = prng_next(&prng) >> (24 + prng_below(&prng, 40));
        histogram_record(&histogram, values[i]);
        sum += values[i];
    }
    qsort(values, COUNT, sizeof(values[0]), compare);
    for (uint32_t per_million = 0; per_million <= 1000000; per_million += 97) {
        uint64_t rank = ((uint64_t)COUNT * per_million + 999999) / 1000000;
        uint64_t exact = values[rank == 0 ? 0 : rank - 1];
        uint64_t answer = histogram_quantile(&histogram, per_million);
        expect(answer >= exact && answer - exact <= exact / 8, "%u: %lu for %lu", per_million,
               answer, exact);
    }
    cr_assert_eq(histogram_quantile(&histogram, 1000000), values[COUNT - 1]);
    cr_assert_eq(histogram.count, COUNT);
    cr_assert_eq(histogram.sum, sum);
    cr_assert_eq(histogram.maximum, values[COUNT - 1]);
}

Test(histogram, counts_below_are_exact_at_edges) {
    struct histogram histogram = {0};
    for (uint64_t value = 0; value < 5000; value++) {
        histogram_record(&histogram, value);
    }
    for (uint32_t i = 0; histogram_bucket_upper(i) < 5000; i++) {
        uint64_t upper = histogram_bucket_upper(i);
        cr_assert_eq(histogram_count_below(&histogram, upper), upper + 1);
        cr_assert_leq(histogram_count_below(&histogram, upper - (upper > 0)), upper + 1);
    }
    cr_assert_eq(histogram_count_below(&histogram, UINT64_MAX), 5000);
    cr_assert_eq(histogram_count_below(&histogram, 0), 1);
}

Test(histogram, merging_is_recording_both) {
    struct histogram one = {0}, two = {0}, both = {0};
    struct prng prng;
    prng_init(&prng, 2);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t value = prng_next(&prng) >> (20 + prng_below(&prng, 44));
        histogram_record(i % 3 == 0 ? &one : &two, value);
        histogram_record(&both, value);
    }
    histogram_merge(&one, &two);
    cr_assert_eq(memcmp(&one, &both, sizeof(one)), 0);
    struct histogram empty = {0};
    histogram_merge(&one, &empty);
    cr_assert_eq(memcmp(&one, &both, sizeof(one)), 0);
}

Test(histogram, ranks_do_not_overflow) {
    struct histogram histogram = {0};
    histogram.counts[3] = (uint64_t)1 << 62;
    histogram.counts[100] = (uint64_t)1 << 62;
    histogram.count = (uint64_t)1 << 63;
    histogram.maximum = histogram_bucket_upper(100);
    cr_assert_eq(histogram_quantile(&histogram, 499999), 3);
    cr_assert_eq(histogram_quantile(&histogram, 500000), 3);
    cr_assert_eq(histogram_quantile(&histogram, 500001), histogram_bucket_upper(100));
}
