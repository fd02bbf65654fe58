// The result of a run: rows of figures and a verdict, printed as a table for people or one JSON
// object for machines.
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/hist.h"

enum { REPORT_ROWS_MAX = 96, REPORT_PROBLEMS_MAX = 16 };

struct report_row {
    char key[48];
    const char *text; // static
    double value;
};

struct report {
    const char *mode;
    struct report_row rows[REPORT_ROWS_MAX];
    char problems[REPORT_PROBLEMS_MAX][200];
    uint32_t row_count;
    uint32_t problem_count;
};

void report_init(struct report *report, const char *mode);
// `key` is for machines, `text` for people; further rows beyond the bound are dropped.
void report_add(struct report *report, const char *key, const char *text, double value);
// p50, p99, p99.9 and the maximum in microseconds, under KEY_p50_us and so on.
void report_latency(struct report *report, const char *key, const struct hist *hist);
// Something that makes the run fail.
__attribute__((format(printf, 2, 3))) void report_problem(struct report *report, const char *format,
                                                          ...);
// Returns the exit status: 0, or 1 with problems.
int report_print(const struct report *report, bool is_json);

#endif
