// The program: runs seeds, some after each other in one process (a new one costs as much as half a
// world), which ends with the first that breaks a law; the next go on in another.
//
//   sim [--seed N] [--count N] [--jobs N] [--steps N] [--faults-off NAME,NAME...|all] [--trace]
//       [--twice] [--cover] [--never FILE] [--stop] [--isolation]
//
// --isolation: each seed is run with and without those that harm, and honest clients may be slowed
// by a factor of ISOLATION_FACTOR at most (L9; laws.h). --stop: ends at the first that breaks a
// law. --twice: each seed runs twice, and both must have the same hash (L10). --cover: what
// happened, how often. --never: the file says of what never happened why; without a reason it is a
// failure. sim-tls (net_tls.h) compares no hashes. Prints one line for a single seed, one for each
// seed that broke a law, every PROGRESS_S how far the seeds are, the report of the first that broke
// one, one hash over all seeds, and at last `N seeds, M violations, E events/s`. Exit status 1 if
// anything failed.
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/check.h"
#include "tests/sim/cover.h"
#include "tests/sim/laws.h"
#include "tests/sim/sim_internal.h"
#include "tests/sim/sim_io.h"

enum {
    SEED_SECONDS_MAX = 60, // of processor time
    BATCH = 32,            // seeds of one process
    HEAP_BYTES = 64 << 20, // of a process, a guess
    HUGE_BYTES = 2 << 20,
    PROGRESS_S = 10,
    LOOK_US = 20000, // at whether the jobs have ended
    STEPS = 5000,
    JOBS_MAX = 64,
    // An echo waits for three turns, each of which ends behind a bounded number of sends: 3.2 times
    // as long as alone. Without that bound it is seven times and more.
    ISOLATION_FACTOR = 4,
    ISOLATION_ECHOES_MIN = 20, // that a mean can be taken of
    REASONS_MAX = 1 << 16,
    SHIFT_BYTES = 100 << 10
};

struct arguments {
    struct sim_options options;
    uint64_t count, jobs;
    const char *never;
    bool is_twice, is_cover, stops;
};

struct job { // runs every so many-th seed; in memory that is shared with its processes
    uint64_t violations, steps, first; // the first seed that broke a law
    uint64_t done;                     // seeds
    uint64_t at;                       // the newest seed begun
    uint64_t hash;                     // of the newest seed
    uint64_t hashes;                   // of all of them, in any order
    bool is_good;                      // it has ended well
    uint64_t echo_count, echo_us;      // of the newest seed: honest echoes
    uint64_t slowest;                  // L9: the worst factor so far, of 100
    uint64_t cover[SIM_COVER_MAX];
};

static void *shared_map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED);
    return memory;
}

static void on_fatal(int number) {
    if (sim_world != NULL) {
        sim_report(sim_world);
        (void)fprintf(stderr, "VIOLATION seed %llu step %llu law %s\n",
                      (unsigned long long)sim_world->options.seed,
                      (unsigned long long)sim_world->step,
                      number == SIGPROF ? "liveness: a turn does not end" : "check");
    }
    _exit(4);
}

// Worlds are opened and closed by the thousand: their memory comes in huge pages and stays with the
// process.
static void heap_prepare(void) {
    bool is_ours = mallopt(M_MMAP_THRESHOLD, 1 << 30) == 1 &&
                   mallopt(M_TRIM_THRESHOLD, 1 << 30) == 1 && mallopt(M_TOP_PAD, HEAP_BYTES) == 1;
    uint8_t *heap = is_ours ? malloc(HEAP_BYTES) : NULL; // not a sanitizer's
    if (heap != NULL) {
        uint8_t *first = heap + (HUGE_BYTES - (uintptr_t)heap % HUGE_BYTES);
        (void)madvise(first, HEAP_BYTES - HUGE_BYTES, MADV_HUGEPAGE); // otherwise it is slower
        free(heap);
    }
}

static void seed_run(const struct sim_options *options, struct job *job) {
    static const int fatal[] = {SIGABRT, SIGPROF, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (uint32_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        void (*before)(int) = signal(fatal[i], on_fatal);
        if (before != SIG_DFL) { // a sanitizer's, which says more
            (void)signal(fatal[i], before);
        }
    }
    struct itimerval limit = {.it_value = {.tv_sec = SEED_SECONDS_MAX}};
    (void)setitimer(ITIMER_PROF, &limit, NULL); // a good value: it cannot fail
    job->at = options->seed;
    job->is_good = false;
    struct sim *sim = sim_open(options);
    sim_run(sim);
    job->hash = sim->hash;
    job->hashes += sim->hash;
    job->steps += sim->step;
    job->echo_count = sim->echo_count;
    job->echo_us = sim->echo_us;
    job->is_good = true;
    sim_close(sim);
}

// This seed and those that follow at a distance of `stride`. False: the newest broke a law, or
// died.
static bool seeds_fork(struct sim_options options, uint32_t count, uint64_t stride, struct job *job,
                       size_t shift) {
    job->at = options.seed;
    job->is_good = false;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        // The second of two runs has everything at other addresses.
        void *moved = shift > 0 ? malloc(shift) : NULL;
        check(shift == 0 || (moved != NULL && shared_map(shift) != NULL));
        for (uint32_t i = 0; i < count; i++, options.seed += stride) {
            seed_run(&options, job);
            job->done++;
        }
        _exit(0);
    }
    int status = 0;
    bool has_ended = child > 0 && waitpid(child, &status, 0) == child;
    if (!has_ended || status != 0 || !job->is_good) {
        printf("seed %llu: violation (status %x)\n", (unsigned long long)job->at, status);
        return false;
    }
    return true;
}

static bool seed_fork(const struct sim_options *options, struct job *job, size_t shift) {
    uint64_t done = job->done; // the caller counts
    bool is_good = seeds_fork(*options, 1, 1, job, shift);
    job->done = done;
    return is_good;
}

// Law L9: honest echoes with and without those that harm.
static bool isolation_check(const struct sim_options *options, struct job *job) {
    struct sim_options twin = *options;
    twin.is_peaceful = true;
    if (!seed_fork(&twin, job, 0)) {
        return false;
    }
    struct job peace = *job;
    if (!seed_fork(options, job, 0)) {
        return false;
    }
    if (peace.echo_count < ISOLATION_ECHOES_MIN || job->echo_count < ISOLATION_ECHOES_MIN) {
        printf("seed %llu: violation (L9: %llu and %llu echoes say nothing)\n",
               (unsigned long long)options->seed, (unsigned long long)peace.echo_count,
               (unsigned long long)job->echo_count);
        return false;
    }
    uint64_t peace_us = peace.echo_us / peace.echo_count;
    uint64_t mean_us = job->echo_us / job->echo_count;
    uint64_t factor = mean_us * 100 / peace_us;
    job->slowest = factor > job->slowest ? factor : job->slowest;
    if (factor > ISOLATION_FACTOR * 100) {
        printf("seed %llu: violation (L9: an honest echo takes %llu us, %llu without the others)\n",
               (unsigned long long)options->seed, (unsigned long long)mean_us,
               (unsigned long long)peace_us);
        return false;
    }
    return true;
}

static bool seed_check(const struct arguments *arguments, const struct sim_options *options,
                       struct job *job) {
    if (options->is_isolation) {
        return isolation_check(options, job);
    }
    if (!seed_fork(options, job, 0)) {
        return false;
    }
    uint64_t hash = job->hash;
    if (arguments->is_twice &&
        (!seed_fork(options, job, SHIFT_BYTES) || (hash != job->hash && sim_tls_repeats()))) {
        printf("seed %llu: violation (L10: two runs differ)\n", (unsigned long long)options->seed);
        return false;
    }
    return true;
}

static void violation_add(struct job *job, uint64_t seed) {
    job->first = job->violations++ == 0 ? seed : job->first;
    job->done++;
}

static void job_run(const struct arguments *arguments, struct job *job, uint64_t number) {
    struct sim_options options = arguments->options;
    options.cover = job->cover;
    options.is_quiet = arguments->count > 1;
    bool is_alone = options.is_isolation || arguments->is_twice; // two runs of each
    uint64_t own = (arguments->count + arguments->jobs - 1 - number) / arguments->jobs;
    while (job->done < own && !(arguments->stops && job->violations > 0)) {
        options.seed = arguments->options.seed + number + job->done * arguments->jobs;
        uint64_t left = own - job->done;
        if (is_alone && seed_check(arguments, &options, job)) {
            job->done++;
        } else if (is_alone) {
            violation_add(job, options.seed);
        } else if (!seeds_fork(options, left < BATCH ? (uint32_t)left : BATCH, arguments->jobs, job,
                               0)) {
            violation_add(job, job->at);
        }
    }
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
        } else if (strcmp(argv[i], "--stop") == 0) {
            arguments->stops = true;
        } else if (strcmp(argv[i], "--isolation") == 0) {
            arguments->options.is_isolation = true;
            (void)faults_switch_off(&arguments->options, "all"); // a name that there is
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
        } else if (strcmp(argv[i], "--jobs") == 0) {
            arguments->jobs = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--never") == 0) {
            arguments->never = argv[++i];
        } else if (strcmp(argv[i], "--steps") == 0) {
            arguments->options.steps = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--faults-off") != 0 ||
                   !faults_switch_off(&arguments->options, argv[++i])) {
            return false;
        }
    }
    return arguments->jobs > 0 && arguments->jobs <= JOBS_MAX;
}

static double now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); // of a clock that exists
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void progress_print(const struct arguments *arguments, const struct job *jobs, double s) {
    uint64_t done = 0;
    uint64_t violations = 0;
    for (uint64_t i = 0; i < arguments->jobs; i++) {
        done += jobs[i].done;
        violations += jobs[i].violations;
    }
    printf("%4.0f s: %llu of %llu seeds, %llu violations so far\n", s, (unsigned long long)done,
           (unsigned long long)arguments->count, (unsigned long long)violations);
    (void)fflush(stdout);
}

// Waits for the children, one after the other; the others go on meanwhile.
static void jobs_wait(const struct arguments *arguments, struct job *jobs, const pid_t *children) {
    double begin_s = now_s();
    double told_s = begin_s;
    for (uint64_t i = 0; i < arguments->jobs;) {
        int status = 0;
        pid_t ended = waitpid(children[i], &status, WNOHANG);
        check(ended == children[i] || ended == 0);
        if (ended != 0) {
            jobs[i++].violations += status != 0;
            continue;
        }
        (void)usleep(LOOK_US); // shorter is no harm
        if (now_s() - told_s >= PROGRESS_S) {
            told_s = now_s();
            progress_print(arguments, jobs, told_s - begin_s);
        }
    }
}

static void jobs_run(const struct arguments *arguments, struct job *jobs) {
    pid_t children[JOBS_MAX];
    (void)fflush(stdout);
    for (uint64_t i = 0; i < arguments->jobs; i++) {
        children[i] = fork();
        check(children[i] >= 0);
        if (children[i] == 0) {
            job_run(arguments, &jobs[i], i);
            (void)fflush(stdout);
            _exit(0);
        }
    }
    jobs_wait(arguments, jobs, children);
}

// How many rows never happened and have no reason for it.
static uint32_t cover_check(const struct arguments *arguments, const uint64_t *cover) {
    static char reasons[REASONS_MAX];
    FILE *file = arguments->never == NULL ? NULL : fopen(arguments->never, "r");
    check(arguments->never == NULL || file != NULL);
    if (file != NULL) {
        size_t length = fread(reasons, 1, sizeof reasons - 1, file);
        reasons[length] = '\0';
        (void)fclose(file); // was only read
    }
    uint32_t unexplained = cover_print(cover, stdout, reasons);
    if (arguments->never != NULL && unexplained > 0) {
        printf("%u rows never happened, and nobody says why\n", unexplained);
        return unexplained;
    }
    return 0;
}

int main(int argc, char **argv) {
    struct arguments arguments = {.options = {.seed = 1, .steps = STEPS}, .count = 1, .jobs = 1};
    if (!arguments_read(&arguments, argc, argv)) {
        (void)fprintf(stderr, "usage: sim [--seed N] [--count N] [--jobs N] [--steps N] "
                              "[--faults-off NAME,...|all] [--trace] [--twice] [--cover] "
                              "[--never FILE] [--stop]\n");
        return 2;
    }
    heap_prepare();
    struct job *jobs = shared_map((arguments.jobs + 1) * sizeof *jobs);
    double begin_s = now_s();
    jobs_run(&arguments, jobs);
    double passed_s = now_s() - begin_s;
    struct job *sum = &jobs[arguments.jobs];
    for (uint64_t i = 0; i < arguments.jobs; i++) {
        bool is_first = jobs[i].violations > 0 && (sum->first == 0 || jobs[i].first < sum->first);
        sum->first = is_first ? jobs[i].first : sum->first;
        sum->violations += jobs[i].violations;
        sum->steps += jobs[i].steps;
        sum->hashes += jobs[i].hashes;
        sum->slowest = jobs[i].slowest > sum->slowest ? jobs[i].slowest : sum->slowest;
        for (uint32_t j = 0; j < SIM_COVER_MAX; j++) {
            sum->cover[j] += jobs[i].cover[j];
        }
    }
    if (arguments.count == 1 && sum->violations == 0) {
        printf("seed %llu hash %016llx events %llu\n", (unsigned long long)arguments.options.seed,
               (unsigned long long)jobs[0].hash, (unsigned long long)sum->steps);
    } else if (arguments.count > 1 && sum->violations > 0) { // the first of them in full
        struct sim_options options = arguments.options;
        options.seed = sum->first;
        options.cover = jobs[0].cover;
        (void)seed_fork(&options, &jobs[0], 0);
    }
    if (arguments.options.is_isolation) {
        printf("honest clients are slowed by %.2f at most\n", (double)sum->slowest / 100);
    }
    if (!sim_tls_repeats()) {
        printf("hashes are not compared: what TLS seals is never the same twice\n");
    } else if (arguments.count > 1) {
        printf("hash of all %016llx\n", (unsigned long long)sum->hashes);
    }
    uint32_t unexplained = arguments.is_cover ? cover_check(&arguments, sum->cover) : 0;
    printf("%llu seeds, %llu violations, %.0f events/s\n", (unsigned long long)arguments.count,
           (unsigned long long)sum->violations, (double)sum->steps / passed_s);
    return sum->violations > 0 || unexplained > 0;
}
