// Checks that are no kernel setting: rows of a name, a reason, a remedy, and a look that reads the
// present value and judges it.
#pragma once
#include "gateway/doctor/examination.h"

#include <stddef.h>

struct check_row {
    const char *name;
    const char *why;
    const char *fix; // a command; NULL: `look` writes it where there is one
    // Fills in `now` and `wanted`, and returns the verdict. VERDICT_COUNT: it does not apply here,
    // and is not shown.
    enum verdict (*look)(const struct examination *examination, struct finding *finding);
};

void checks_run(struct examination *examination, const struct check_row *rows, uint32_t count);

// unit.c: what the systemd unit and its drop-ins say of `key`. False: nothing, or there is no unit.
bool unit_value(const char *root, const char *key, char *value, size_t room);

// printf into the finding's texts, cut where they end: they are shown only.
__attribute__((format(printf, 2, 3))) void finding_now(struct finding *finding, const char *format,
                                                       ...);
__attribute__((format(printf, 2, 3))) void finding_wanted(struct finding *finding,
                                                          const char *format, ...);
__attribute__((format(printf, 2, 3))) void finding_fix(struct finding *finding, const char *format,
                                                       ...);
