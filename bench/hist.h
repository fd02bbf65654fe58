// A histogram of nanoseconds with 1.6 % resolution: 64 linear steps in every power of two, up to
// 2^47 ns. Histograms of several processes merge by addition. Plain memory; it may lie in a shared
// mapping. One writer.
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

enum {
    HIST_STEP_BITS = 6,
    HIST_STEPS = 1 << HIST_STEP_BITS,
    HIST_BITS_MAX = 47,
    HIST_BUCKETS = (HIST_BITS_MAX - HIST_STEP_BITS + 2) * HIST_STEPS,
};

struct hist {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t bucket[HIST_BUCKETS];
};

void hist_init(struct hist *hist);
void hist_add(struct hist *hist, uint64_t value);
void hist_merge(struct hist *target, const struct hist *source);
// The value below or at which `share` (0 to 1) of the samples lie: the upper edge of its bucket,
// never above max.
uint64_t hist_at(const struct hist *hist, double share);
double hist_mean(const struct hist *hist);

#endif
