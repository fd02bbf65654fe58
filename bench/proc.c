#include "bench/proc.h"

#include "core/base/pause.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool read_number(const char *path, uint64_t *value) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool is_read = fscanf(file, "%" SCNu64, value) == 1;
    fclose(file);
    return is_read;
}

static bool is_bound_to(pid_t thread, int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(thread, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1 &&
           CPU_ISSET((size_t)cpu, &set);
}

bool proc_cpu_ns(pid_t pid, int cpu, uint64_t *total_ns) {
    char path[300];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return false;
    }
    *total_ns = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread <= 0 || (cpu >= 0 && !is_bound_to(thread, cpu))) {
            continue;
        }
        uint64_t run_ns = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, entry->d_name);
        if (read_number(path, &run_ns)) { // a thread may have ended meanwhile
            *total_ns += run_ns;
        }
    }
    closedir(folder);
    return true;
}

uint64_t proc_softirq_ns(int cpu) {
    static const int FIRST_PIDS = 4000; // kernel threads of the first CPUs have small numbers
    char wanted[32];
    int length = snprintf(wanted, sizeof wanted, "ksoftirqd/%d\n", cpu);
    for (int pid = 2; pid < FIRST_PIDS; pid++) {
        char path[64];
        char name[32] = "";
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        FILE *file = fopen(path, "re");
        if (file == NULL) {
            continue;
        }
        char *line = fgets(name, sizeof name, file);
        fclose(file);
        if (line != NULL && strncmp(name, wanted, (size_t)length + 1) == 0) {
            uint64_t run_ns = 0;
            snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
            return read_number(path, &run_ns) ? run_ns : 0;
        }
    }
    return 0;
}

uint64_t proc_busy_ns(int cpu) {
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) {
        return 0;
    }
    char line[512];
    char wanted[16];
    uint64_t ticks = 0;
    int length = snprintf(wanted, sizeof wanted, "cpu%d ", cpu);
    while (fgets(line, sizeof line, file) != NULL) {
        uint64_t user, nice, system, interrupt, softirq, steal;
        if (strncmp(line, wanted, (size_t)length) == 0 &&
            sscanf(line + length,
                   "%" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64,
                   &user, &nice, &system, &interrupt, &softirq, &steal) == 6) {
            ticks = user + nice + system + interrupt + softirq + steal;
            break;
        }
    }
    fclose(file);
    return ticks * (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
}

// Reads "Key:   123 kB" lines.
static uint64_t read_kilobytes(const char *path, const char *key) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    char line[256];
    uint64_t kilobytes = 0;
    size_t length = strlen(key);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, length) == 0 && line[length] == ':') {
            kilobytes = strtoull(line + length + 1, NULL, 10);
            break;
        }
    }
    fclose(file);
    return kilobytes * 1024;
}

uint64_t proc_pss(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    return read_kilobytes(path, "Pss");
}

uint64_t proc_meminfo(const char *key) {
    return read_kilobytes("/proc/meminfo", key);
}

void proc_slabs_read(struct proc_slabs *slabs) {
    slabs->count = 0;
    FILE *file = fopen("/proc/slabinfo", "re");
    if (file == NULL) {
        return;
    }
    char line[512];
    while (fgets(line, sizeof line, file) != NULL && slabs->count < PROC_SLABS_MAX) {
        struct proc_slab *slab = &slabs->slab[slabs->count];
        uint64_t active, objects, size, per_slab, pages, slab_count;
        // name active objects size per_slab pages : tunables ... : slabdata active_slabs slabs
        // shared
        const char *data = strstr(line, ": slabdata");
        if (data == NULL ||
            sscanf(line, "%31s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                   slab->name, &active, &objects, &size, &per_slab, &pages) != 6 ||
            sscanf(data, ": slabdata %*u %" SCNu64, &slab_count) != 1) {
            continue;
        }
        slab->bytes = slab_count * pages * (uint64_t)sysconf(_SC_PAGESIZE);
        slabs->count++;
    }
    fclose(file);
}

int64_t proc_slab_growth(const struct proc_slabs *before, const struct proc_slabs *after,
                         uint32_t index) {
    const struct proc_slab *slab = &after->slab[index];
    for (uint32_t i = 0; i < before->count; i++) {
        if (strcmp(before->slab[i].name, slab->name) == 0) {
            return (int64_t)slab->bytes - (int64_t)before->slab[i].bytes;
        }
    }
    return (int64_t)slab->bytes;
}

bool proc_pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

enum { BOUNCE_ROUNDS = 9, BOUNCE_COUNT = 2000 };

struct bounce {
    _Alignas(128) _Atomic uint64_t line;
    int cpu;
    bool is_pinned;
};

static void *bounce_back(void *argument) {
    struct bounce *bounce = argument;
    bounce->is_pinned = proc_pin(bounce->cpu);
    for (uint64_t i = 0; i < BOUNCE_ROUNDS * BOUNCE_COUNT; i++) {
        while (atomic_load_explicit(&bounce->line, memory_order_acquire) != 2 * i + 1) {
            cpu_pause();
        }
        atomic_store_explicit(&bounce->line, 2 * i + 2, memory_order_release);
    }
    return NULL;
}

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double proc_core_distance(int first_cpu, int second_cpu) {
    cpu_set_t saved;
    struct bounce bounce = {.cpu = second_cpu};
    pthread_t thread;
    if (first_cpu == second_cpu || sched_getaffinity(0, sizeof saved, &saved) != 0 ||
        !proc_pin(first_cpu)) {
        return 0;
    }
    if (pthread_create(&thread, NULL, bounce_back, &bounce) != 0) {
        (void)sched_setaffinity(0, sizeof saved, &saved); // it was our own set a moment ago
        return 0;
    }
    double rounds[BOUNCE_ROUNDS];
    uint64_t i = 0;
    for (uint32_t round = 0; round < BOUNCE_ROUNDS; round++) {
        double start = seconds_now();
        for (uint32_t k = 0; k < BOUNCE_COUNT; k++, i++) {
            atomic_store_explicit(&bounce.line, 2 * i + 1, memory_order_release);
            while (atomic_load_explicit(&bounce.line, memory_order_acquire) != 2 * i + 2) {
                cpu_pause();
            }
        }
        rounds[round] = (seconds_now() - start) * 1e9 / BOUNCE_COUNT;
    }
    pthread_join(thread, NULL);
    (void)sched_setaffinity(0, sizeof saved, &saved); // it was our own set a moment ago
    qsort(rounds, BOUNCE_ROUNDS, sizeof rounds[0], compare_doubles);
    return bounce.is_pinned ? rounds[BOUNCE_ROUNDS / 2] : 0;
}
