// Log-linear buckets: the top bit of a value chooses the group of eight, the three bits below it
// the bucket in the group.
#include "core/base/histogram.h"

#include "core/base/check.h"
#include "core/base/pure.h"

static uint32_t bucket_of(uint64_t value) {
    if (value < 8) {
        return (uint32_t)value;
    }
    if (value >> HISTOGRAM_VALUE_BITS != 0) {
        return HISTOGRAM_BUCKETS - 1;
    }
    uint32_t top = 63 - (uint32_t)__builtin_clzll(value);
    return (top - 2) * 8 + (uint32_t)(value >> (top - 3) & 7);
}

void histogram_record(struct histogram *histogram, uint64_t value) {
    histogram->counts[bucket_of(value)]++;
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->maximum) {
        histogram->maximum = value;
    }
}

void histogram_merge(struct histogram *target, const struct histogram *source) {
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        target->counts[i] += source->counts[i];
    }
    target->count += source->count;
    target->sum += source->sum;
    if (source->maximum > target->maximum) {
        target->maximum = source->maximum;
    }
}

uint64_t histogram_quantile(const struct histogram *histogram, uint32_t per_million) {
    check(per_million <= 1000000);
    if (histogram->count == 0) {
        return 0;
    }
    // The rank is count * per_million / 1000000 rounded up, without overflow, and at least 1.
    uint64_t whole = histogram->count / 1000000 * per_million;
    uint64_t part = (histogram->count % 1000000 * per_million + 999999) / 1000000;
    uint64_t rank = whole + part > 0 ? whole + part : 1;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += histogram->counts[i];
        if (seen >= rank) {
            uint64_t upper = histogram_bucket_upper(i);
            return upper < histogram->maximum ? upper : histogram->maximum;
        }
    }
    return histogram->maximum; // the last bucket has no upper edge
}

uint64_t histogram_count_below(const struct histogram *histogram, uint64_t bound) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && histogram_bucket_upper(i) <= bound; i++) {
        count += histogram->counts[i];
    }
    return count;
}

uint64_t histogram_bucket_upper(uint32_t bucket) {
    check(bucket < HISTOGRAM_BUCKETS);
    if (bucket < 8) {
        return bucket;
    }
    uint32_t top = bucket / 8 + 2;
    return ((uint64_t)(bucket % 8 + 9) << (top - 3)) - 1;
}
