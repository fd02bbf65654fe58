// Runs all checks, and counts.
#include "gateway/doctor/examination.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/doctor/checks.h"

struct finding *finding_add(struct examination *examination, const char *name, const char *why) {
    check(examination->finding_count < FINDINGS_MAX);
    struct finding *finding = &examination->findings[examination->finding_count++];
    memset(finding, 0, sizeof *finding);
    finding->name = name;
    finding->why = why;
    return finding;
}

void checks_run(struct examination *examination, const struct check_row *rows, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct finding *finding = finding_add(examination, rows[i].name, rows[i].why);
        if (rows[i].fix != NULL) {
            finding_fix(finding, "%s", rows[i].fix);
        }
        finding->verdict = rows[i].look(examination, finding);
        if (finding->verdict == VERDICT_COUNT) {
            examination->finding_count--;
        }
    }
}

void examination_run(struct examination *examination) {
    examination->finding_count = 0;
    memset(examination->counts, 0, sizeof examination->counts);
    machine_read(&examination->source, &examination->machine);
    capacity_compute(examination->source.root, &examination->machine, examination->config,
                     &examination->capacity);
    process_examine(examination);
    settings_examine(examination);
    system_examine(examination);
    card_examine(examination);
    access_examine(examination);
    unit_examine(examination);
    for (uint32_t i = 0; i < examination->finding_count; i++) {
        examination->counts[examination->findings[i].verdict]++;
    }
}

void finding_now(struct finding *finding, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding->now, sizeof finding->now, format, arguments);
    va_end(arguments);
}

void finding_wanted(struct finding *finding, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding->wanted, sizeof finding->wanted, format, arguments);
    va_end(arguments);
}

void finding_fix(struct finding *finding, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding->fix, sizeof finding->fix, format, arguments);
    va_end(arguments);
}
