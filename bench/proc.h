// What the server under test costs, from /proc: CPU of its threads, memory, the kernel's slabs.
// Read by path, so that it works for any process that we may look at.
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROC_SLABS_MAX = 400 };

// Run time of all threads in ns (/proc/PID/task/*/schedstat). `cpu` >= 0 counts only threads that
// are bound to exactly that CPU. False: no such process.
bool proc_cpu_ns(pid_t pid, int cpu, uint64_t *total_ns);
// The same and the PSS for a process and all its descendants.
bool proc_tree_cpu_ns(pid_t root, int cpu, uint64_t *total_ns);
uint64_t proc_tree_pss(pid_t root);
// Run time of ksoftirqd of a CPU: work the kernel did for the server without charging it. 0: not
// readable.
uint64_t proc_softirq_ns(int cpu);
// Time a CPU was not idle since boot, in ns (steps of 10 ms), whoever used it. 0: not readable.
uint64_t proc_busy_ns(int cpu);
// Proportional set size in bytes. 0: not readable.
uint64_t proc_pss(pid_t pid);
uint64_t proc_meminfo(const char *key); // bytes, 0: unknown

struct proc_slab {
    char name[32];
    uint64_t bytes;
};

struct proc_slabs {
    uint32_t count; // 0: /proc/slabinfo is not readable (needs root)
    struct proc_slab slab[PROC_SLABS_MAX];
};

void proc_slabs_read(struct proc_slabs *slabs);
// Growth of one slab from `before` to `after` in bytes, by index in `after`; may be negative.
int64_t proc_slab_growth(const struct proc_slabs *before, const struct proc_slabs *after,
                         uint32_t index);

// Binds the calling thread. False: the CPU does not exist or is not allowed.
bool proc_pin(int cpu);
// Median round trip of one cache line between two CPUs in ns; 0 when they are the same or cannot be
// used.
double proc_core_distance(int first_cpu, int second_cpu);

#endif
