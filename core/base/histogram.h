// Log-linear histogram: 8 buckets per doubling, relative error below 12.5 %, values 0 to 2^40 - 1
// (as ns: 18 minutes).
#pragma once
#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 8 * 39 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count, sum, maximum;
};

void histogram_record(struct histogram *histogram,
                      uint64_t value); // larger values land in the last bucket
void histogram_merge(struct histogram *target, const struct histogram *source);
uint64_t histogram_quantile(const struct histogram *histogram,
                            uint32_t per_million); // upper edge of the bucket; 0 when empty
uint64_t histogram_count_below(const struct histogram *histogram,
                               uint64_t bound); // values <= bound, by bucket upper edges
uint64_t histogram_bucket_upper(uint32_t bucket);
