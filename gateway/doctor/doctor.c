// Options, and what only system calls can say.
#include "gateway/doctor/doctor.h"

#include <sys/resource.h>
#include <sys/timex.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/doctor/examination.h"
#include "gateway/io/io.h"
#include "gateway/process/files.h"
#include "gateway/seam/clock.h"

static const char usage[] =
    "usage: holdfast doctor [-c FILE] [--json | --fix-plan] [--strict] [--pid PID]\n"
    "                       [--root DIR | --watch S]\n"
    "\n"
    "What this machine allows and what the configuration asks for: each check with the value now,\n"
    "the wanted one and the command that fixes it; then how many connections fit.\n"
    "\n"
    "  -c FILE      the configuration; without it the built-in demo\n"
    "  --json       one JSON object\n"
    "  --fix-plan   a shell script that writes a sysctl file and a systemd drop-in\n"
    "  --strict     warnings fail, too\n"
    "  --pid PID    limits and control group of that process instead of this shell's\n"
    "  --root DIR   a recorded proc, sys and etc instead of this machine's\n"
    "  --watch S    troubles that the kernel counts within S seconds, instead of all since boot\n"
    "\n"
    "Exit status: 0 nothing failed, 1 something did, 2 wrong usage.\n";

enum { WATCH_DIGITS_MAX = 4 };

struct doctor_options {
    const char *config_path;
    const char *root;
    const char *process;
    const char *watch; // NULL: not
    bool is_json, is_plan, is_strict;
};

static bool is_number(const char *text) {
    return text[0] != 0 && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 10;
}

// Seconds of `--watch`; 0: not a number of them, or more than some hours.
static uint32_t watch_read(const char *text) {
    return is_number(text) && strlen(text) <= WATCH_DIGITS_MAX ? (uint32_t)strtoul(text, NULL, 10)
                                                               : 0;
}

// 0, or the exit status.
static int options_parse(struct doctor_options *options, int count, char **arguments) {
    *options = (struct doctor_options){.root = "", .process = "self"};
    const struct {
        const char *name;
        const char **text;
        bool *flag;
    } known[] = {
        {"-c", &options->config_path, NULL},     {"--config", &options->config_path, NULL},
        {"--root", &options->root, NULL},        {"--pid", &options->process, NULL},
        {"--json", NULL, &options->is_json},     {"--fix-plan", NULL, &options->is_plan},
        {"--strict", NULL, &options->is_strict}, {"--watch", &options->watch, NULL},
    };
    for (int i = 2; i < count; i++) {
        bool is_known = false;
        for (unsigned k = 0; k < sizeof known / sizeof known[0] && !is_known; k++) {
            if (strcmp(arguments[i], known[k].name) != 0) {
                continue;
            }
            is_known = known[k].flag != NULL || i + 1 < count;
            if (known[k].flag != NULL) {
                *known[k].flag = true;
            } else if (is_known) {
                *known[k].text = arguments[++i];
            }
        }
        if (!is_known) {
            (void)fprintf(stderr, "holdfast: unknown or incomplete option %s\n\n%s", arguments[i],
                          usage);
            return 2;
        }
    }
    bool has_process = strcmp(options->process, "self") == 0 || is_number(options->process);
    // A recorded machine does not go on counting.
    bool has_watch =
        options->watch == NULL || (options->root[0] == 0 && watch_read(options->watch) > 0);
    if (!has_process || !has_watch || (options->is_json && options->is_plan)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    return 0;
}

// Opens a ring as a worker would, after raising the limit as the process does at start.
static void probe_ask(struct examination_probe *probe) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); // up to the hard limit it is always allowed
    }
    struct io_options options = {.slots = 128,
                                 .submissions = 16,
                                 .completions = 32,
                                 .buffers = 16,
                                 .buffers_max = 16,
                                 .ring_max = 1};
    struct io *io = NULL;
    probe->is_asked = true;
    probe->ring_error = io_open(&io, &options);
    if (probe->ring_error == 0) {
        probe->has_peer_name = io_features(io).has_peer_name;
        io_shut(io);
    }
    struct timex time = {.modes = 0}; // reads only
    probe->is_clock_synchronized = adjtimex(&time) >= 0 && (time.status & STA_UNSYNC) == 0;
}

static const struct config *config_load(const char *path) {
    struct config_errors *errors = calloc(1, sizeof *errors);
    const struct config *config = errors == NULL ? NULL : files_config_open(path, errors);
    for (uint32_t i = 0; errors != NULL && i < errors->count; i++) {
        (void)fprintf(stderr, "%s\n", errors->lines[i]);
    }
    free(errors);
    return config;
}

static int report(const struct doctor_options *options, const struct examination *examination) {
    if (options->is_plan) {
        print_plan(examination);
    } else if (options->is_json) {
        if (!print_json(examination)) {
            (void)fprintf(stderr, "holdfast: no memory\n");
            return 1;
        }
    } else {
        print_table(examination, isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL);
    }
    bool is_failed = examination->counts[VERDICT_FAIL] > 0 ||
                     (options->is_strict && examination->counts[VERDICT_WARN] > 0);
    return is_failed ? 1 : 0;
}

int doctor_main(int argument_count, char **arguments) {
    struct doctor_options options;
    int status = options_parse(&options, argument_count, arguments);
    if (status != 0) {
        return status;
    }
    struct examination *examination = calloc(1, sizeof *examination);
    if (examination == NULL) {
        return 1;
    }
    examination->config = config_load(options.config_path);
    if (examination->config == NULL) {
        free(examination);
        return 1;
    }
    examination->config_path = options.config_path;
    examination->source = (struct machine_source){.root = options.root, .process = options.process};
    examination->probe.now_s = (int64_t)(clock_wall_ms() / 1000);
    if (options.root[0] == 0) {
        probe_ask(&examination->probe);
    }
    if (options.watch != NULL) {
        examination->watched_s = watch_read(options.watch);
        troubles_read(options.root, examination->troubles_before);
        (void)sleep(examination->watched_s); // a signal that does not end it cuts it short
    }
    examination_run(examination);
    status = report(&options, examination);
    config_close(&examination->config);
    free(examination);
    return status;
}
