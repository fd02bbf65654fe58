#include "bench/hist.h"

#include <string.h>

void hist_init(struct hist *hist) {
    memset(hist, 0, sizeof *hist);
}

static uint32_t bucket_of(uint64_t value) {
    if (value < HIST_STEPS) {
        return (uint32_t)value;
    }
    uint32_t exponent = 63U - (uint32_t)__builtin_clzll(value);
    if (exponent > HIST_BITS_MAX) {
        return HIST_BUCKETS - 1;
    }
    uint32_t step = (uint32_t)(value >> (exponent - HIST_STEP_BITS)) & (HIST_STEPS - 1);
    return (exponent - HIST_STEP_BITS + 1) * HIST_STEPS + step;
}

// The largest value that falls into a bucket.
static uint64_t bucket_edge(uint32_t bucket) {
    if (bucket < HIST_STEPS) {
        return bucket;
    }
    uint32_t shift = bucket / HIST_STEPS - 1;
    uint64_t step = bucket % HIST_STEPS;
    return ((HIST_STEPS + step + 1) << shift) - 1;
}

void hist_add(struct hist *hist, uint64_t value) {
    hist->count++;
    hist->sum += value;
    if (value > hist->max) {
        hist->max = value;
    }
    hist->bucket[bucket_of(value)]++;
}

void hist_merge(struct hist *target, const struct hist *source) {
    target->count += source->count;
    target->sum += source->sum;
    if (source->max > target->max) {
        target->max = source->max;
    }
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        target->bucket[i] += source->bucket[i];
    }
}

uint64_t hist_at(const struct hist *hist, double share) {
    if (hist->count == 0) {
        return 0;
    }
    // The rank is rounded up: p50 of one sample is that sample, p99.9 of 1000 is the 999th.
    double exact = share * (double)hist->count;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact || rank == 0) {
        rank++;
    }
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        seen += hist->bucket[i];
        if (seen >= rank) {
            uint64_t edge = bucket_edge(i);
            return edge < hist->max ? edge : hist->max;
        }
    }
    return hist->max;
}

double hist_mean(const struct hist *hist) {
    return hist->count == 0 ? 0.0 : (double)hist->sum / (double)hist->count;
}
