// Log-linear histogram: 8 buckets per doubling, relative error below 12.5 %, values 0 to 2^40 - 1
// (as ns: 18 minutes). Values up to 15 have a bucket of their own. All zero = empty. Owner: one
// thread; readers get copies.
#pragma once
#include <stdint.h>

enum {
    HISTOGRAM_VALUE_BITS = 40,
    HISTOGRAM_BUCKETS = 8 * (HISTOGRAM_VALUE_BITS - 2), // 0 to 7, then 8 for each top bit 3 to 39
};

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count, sum, maximum;
};

// Values of 2^40 and above land in the last bucket; sum and maximum keep them as they are.
void histogram_record(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *target, const struct histogram *source);
// Upper edge of the bucket that holds the quantile, but never more than the largest value recorded;
// 0 when empty. per_million: 0 to 1000000 (500000 is the median).
uint64_t histogram_quantile(const struct histogram *histogram, uint32_t per_million);
// Values in buckets whose upper edge is at most `bound`: exact when `bound` is such an edge.
uint64_t histogram_count_below(const struct histogram *histogram, uint64_t bound);
// The largest value of the bucket.
uint64_t histogram_bucket_upper(uint32_t bucket);
