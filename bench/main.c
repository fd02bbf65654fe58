// holdfast-bench: a load generator for WebSocket servers, Holdfast or any other.
#include <stdio.h>
#include <stdlib.h>

#include "bench/team.h"

int main(int count, char **arguments) {
    struct options options;
    switch (options_read(&options, count, arguments)) {
    case OPTIONS_HELP:
        return 0;
    case OPTIONS_WRONG:
        return 2;
    case OPTIONS_RUN:
        break;
    }
    struct report *report = malloc(sizeof *report);
    if (report == NULL) {
        fprintf(stderr, "holdfast-bench: out of memory\n");
        return 1;
    }
    report_init(report, options_mode_name(options.mode));
    switch (options.mode) {
    case MODE_HOLD:
        mode_hold(&options, report);
        break;
    case MODE_ECHO:
        mode_echo(&options, report);
        break;
    case MODE_FANOUT:
        mode_fanout(&options, report);
        break;
    case MODE_SLOW:
        mode_slow(&options, report);
        break;
    case MODE_DRAIN:
        mode_drain(&options, report);
        break;
    case MODE_CHURN:
        mode_churn(&options, report);
        break;
    case MODE_STORM:
        mode_storm(&options, report);
        break;
    case MODE_MIX:
        mode_mix(&options, report);
        break;
    case MODE_ALL:
        break;
    }
    int status = report_print(report, options.is_json);
    free(report);
    return status;
}
