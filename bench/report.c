#include "bench/report.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void report_init(struct report *report, const char *mode) {
    memset(report, 0, sizeof *report);
    report->mode = mode;
}

void report_add(struct report *report, const char *key, const char *text, double value) {
    if (report->row_count < REPORT_ROWS_MAX) {
        struct report_row *row = &report->rows[report->row_count++];
        snprintf(row->key, sizeof row->key, "%s", key);
        row->text = text;
        row->value = value;
    }
}

void report_latency(struct report *report, const char *key, const struct hist *hist) {
    static const struct {
        const char *suffix;
        const char *text;
        double share;
    } SHARES[] = {{"p50_us", "us, half of them within", 0.5},
                  {"p99_us", "us, 99 % within", 0.99},
                  {"p999_us", "us, 99.9 % within", 0.999},
                  {"max_us", "us at most", 1.0}};
    for (size_t i = 0; i < sizeof SHARES / sizeof SHARES[0]; i++) {
        char name[48];
        snprintf(name, sizeof name, "%.38s_%s", key, SHARES[i].suffix);
        report_add(report, name, SHARES[i].text, (double)hist_at(hist, SHARES[i].share) / 1000.0);
    }
}

void report_problem(struct report *report, const char *format, ...) {
    if (report->problem_count == REPORT_PROBLEMS_MAX) {
        return;
    }
    char *target = report->problems[report->problem_count++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(target, sizeof report->problems[0], format, arguments);
    va_end(arguments);
    for (char *c = target; *c != 0; c++) {
        // A server's words may stand in it: keep the table and the JSON in one piece.
        if ((unsigned char)*c < 32 || *c == '"' || *c == '\\' || (unsigned char)*c > 126) {
            *c = '?';
        }
    }
}

static void print_value(double value) {
    if (fabs(value - nearbyint(value)) < 1e-9 && fabs(value) < 1e15) {
        printf("%.0f", value);
    } else {
        printf(fabs(value) >= 100 ? "%.1f" : "%.3f", value);
    }
}

static void print_json(const struct report *report) {
    printf("{\"mode\":\"%s\",\"ok\":%s", report->mode,
           report->problem_count == 0 ? "true" : "false");
    for (uint32_t i = 0; i < report->row_count; i++) {
        printf(",\"%s\":", report->rows[i].key);
        print_value(report->rows[i].value);
    }
    printf(",\"problems\":[");
    for (uint32_t i = 0; i < report->problem_count; i++) {
        printf("%s\"%s\"", i == 0 ? "" : ",", report->problems[i]);
    }
    printf("]}\n");
}

int report_print(const struct report *report, bool is_json) {
    if (is_json) {
        print_json(report);
    } else {
        for (uint32_t i = 0; i < report->row_count; i++) {
            char value[32];
            double number = report->rows[i].value;
            bool is_whole = fabs(number - nearbyint(number)) < 1e-9;
            snprintf(value, sizeof value, "%.*f",
                     is_whole              ? 0
                     : fabs(number) >= 100 ? 1
                                           : 3,
                     number);
            printf("%-34s %16s  %s\n", report->rows[i].key, value, report->rows[i].text);
        }
        for (uint32_t i = 0; i < report->problem_count; i++) {
            printf("FAILED: %s\n", report->problems[i]);
        }
        if (report->problem_count == 0) {
            printf("%-34s %16s\n", "verdict", "all verified");
        }
    }
    fflush(stdout);
    return report->problem_count == 0 ? 0 : 1;
}
