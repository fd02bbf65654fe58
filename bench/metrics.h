// One figure from a Prometheus page of the server under test.
#ifndef BENCH_METRICS_H
#define BENCH_METRICS_H

#include <stdbool.h>
#include <stddef.h>

// Sums up all samples of `name` on the page at http://ADDRESS:PORT/PATH. False: no page, or no such
// sample.
bool metrics_sum(const char *url, const char *name, double *sum);
// The same for a page in memory, a C string.
bool metrics_sum_text(const char *text, const char *name, double *sum);

#endif
