// The program: runs seeds, each in a process of its own, so that a broken one takes no other with
// it.
//
//   sim [--seed N] [--count N] [--steps N] [--faults-off NAME,NAME...] [--trace] [--twice]
//   [--cover]
//
// Prints one line for a single seed, a report for each seed that broke a law, and at last
// `N seeds, M violations, E events/s`. Exit status 1 if there was a violation.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/check.h"
#include "tests/sim/cover.h"
#include "tests/sim/laws.h"
#include "tests/sim/sim_internal.h"
#include "tests/sim/sim_io.h"

enum { SEED_SECONDS_MAX = 60, STEPS = 5000 };

struct arguments {
    struct sim_options options;
    uint64_t count;
    bool is_twice, is_cover;
};

struct result { // of one seed, in memory that is shared with its process
    uint64_t hash, steps;
    bool is_good;
};

static void on_fatal(int number) {
    if (sim_world != NULL) {
        sim_report(sim_world);
        (void)fprintf(stderr, "VIOLATION seed %llu step %llu law %s\n",
                      (unsigned long long)sim_world->options.seed,
                      (unsigned long long)sim_world->step,
                      number == SIGALRM ? "liveness: a turn does not end" : "check");
    }
    _exit(4);
}

static void seed_run(const struct sim_options *options, struct result *result) {
    (void)signal(SIGABRT, on_fatal);
    (void)signal(SIGALRM, on_fatal);
    (void)alarm(SEED_SECONDS_MAX);
    struct sim *sim = sim_open(options);
    sim_run(sim);
    *result = (struct result){.hash = sim->hash, .steps = sim->step, .is_good = true};
    sim_close(sim);
}

// False: it broke a law, or died.
static bool seed_fork(const struct sim_options *options, struct result *result) {
    *result = (struct result){.is_good = false};
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        seed_run(options, result);
        _exit(0);
    }
    int status = 0;
    bool is_good =
        child > 0 && waitpid(child, &status, 0) == child && status == 0 && result->is_good;
    if (!is_good) {
        printf("seed %llu: violation (status %x)\n", (unsigned long long)options->seed, status);
    }
    return is_good;
}

static bool seed_check(const struct arguments *arguments, struct result *result) {
    if (!seed_fork(&arguments->options, result)) {
        return false;
    }
    if (arguments->is_twice) {
        uint64_t hash = result->hash;
        if (!seed_fork(&arguments->options, result) || hash != result->hash) {
            printf("seed %llu: violation (L10: two runs differ)\n",
                   (unsigned long long)arguments->options.seed);
            return false;
        }
    }
    return true;
}

static bool fault_switch_off(struct sim_options *options, const char *name, size_t length) {
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        if (strlen(sim_fault_names[i]) == length && memcmp(sim_fault_names[i], name, length) == 0) {
            options->is_off[i] = true;
            return true;
        }
    }
    return length == 3 && memcmp(name, "all", 3) == 0;
}

static bool faults_switch_off(struct sim_options *options, const char *names) {
    bool is_good = true;
    for (const char *at = names; *at != '\0' && is_good;) {
        size_t length = strcspn(at, ",");
        is_good = fault_switch_off(options, at, length);
        for (uint32_t i = 0; length == 3 && memcmp(at, "all", 3) == 0 && i < SIM_FAULT_COUNT; i++) {
            options->is_off[i] = true;
        }
        at += length + (at[length] == ',');
    }
    return is_good;
}

static bool arguments_read(struct arguments *arguments, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            arguments->options.is_trace = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            arguments->is_twice = true;
        } else if (strcmp(argv[i], "--cover") == 0) {
            arguments->is_cover = true;
        } else if (value == NULL) {
            return false;
        } else if (strcmp(argv[i], "--seed") == 0) {
            arguments->options.seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--count") == 0) {
            arguments->count = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--steps") == 0) {
            arguments->options.steps = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--faults-off") != 0 ||
                   !faults_switch_off(&arguments->options, argv[++i])) {
            return false;
        }
    }
    return true;
}

static void *shared_map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED);
    return memory;
}

static double now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); // of a clock that exists
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    struct arguments arguments = {.options = {.seed = 1, .steps = STEPS}, .count = 1};
    if (!arguments_read(&arguments, argc, argv)) {
        (void)fprintf(stderr, "usage: sim [--seed N] [--count N] [--steps N] "
                              "[--faults-off NAME,...|all] [--trace] [--twice] [--cover]\n");
        return 2;
    }
    arguments.options.cover = shared_map(SIM_COVER_MAX * sizeof(uint64_t));
    struct result *result = shared_map(sizeof *result);
    uint64_t violations = 0;
    uint64_t steps = 0;
    double begin_s = now_s();
    for (uint64_t i = 0; i < arguments.count; i++) {
        violations += !seed_check(&arguments, result);
        steps += result->steps;
        if (arguments.count == 1 && result->is_good) {
            printf("seed %llu hash %016llx events %llu\n",
                   (unsigned long long)arguments.options.seed, (unsigned long long)result->hash,
                   (unsigned long long)result->steps);
        }
        arguments.options.seed++;
    }
    if (arguments.is_cover) {
        (void)cover_print(arguments.options.cover, stdout, NULL); // the reader judges
    }
    printf("%llu seeds, %llu violations, %.0f events/s\n", (unsigned long long)arguments.count,
           (unsigned long long)violations, (double)steps / (now_s() - begin_s));
    return violations > 0;
}
