// What limits a process on a machine, as /proc and /sys say: read once, then plain numbers.
#pragma once
#include <stdbool.h>
#include <stdint.h>

// Where to look. `process` is the name of a folder of /proc: `self`, or a number.
struct machine_source {
    const char *root; // empty: this machine; else a folder with a recorded proc, sys and etc
    const char *process;
};

struct machine {
    char kernel[64]; // release, e.g. 6.1.0-18-amd64; empty: unknown
    uint32_t kernel_major, kernel_minor;
    uint64_t files_soft, files_hard;                     // RLIMIT_NOFILE
    uint64_t locked_hard;                                // RLIMIT_MEMLOCK, bytes
    uint64_t address_soft;                               // RLIMIT_AS, bytes
    uint64_t core_soft;                                  // RLIMIT_CORE, bytes
    uint64_t memory_total, memory_available, swap_total; // bytes
    uint64_t group_limit, group_used; // bytes of the tightest memory cgroup; UINT64_MAX: no limit
    uint64_t cpu_quota_milli;         // thousandths of a CPU; UINT64_MAX: no limit
    uint32_t cpus;                    // that the process may run on
    uint32_t seccomp;                 // mode: 0 none, 2 filter
    uint32_t group_version;           // of group_limit: 1 or 2
    char group_path[160];             // of the file that says group_limit, below the root
};

void machine_read(const struct machine_source *source, struct machine *machine);
// What the tightest memory cgroup leaves; UINT64_MAX: no limit.
uint64_t machine_group_left(const struct machine *machine);
