// How many idle plain connections a machine holds under a configuration, whatever its
// limits.connections allows, by each of the things that may run out. The figures behind it were
// measured: tools/tuning/guide.md has them and the commands.
#pragma once
#include "gateway/config/config.h"
#include "gateway/doctor/machine.h"

enum {
    // Kernel slabs of one accepted TCP socket with an armed multishot poll, Linux 6.18: socket
    // 2520,
    // inode 861, file 195, dentry 194, security blobs 56, poll request 256, descriptor 40.
    CAPACITY_KERNEL_BYTES = 4122,
    // Of these, what a control group of version 1 is charged with: all but the socket (measured).
    // Version 2 is charged with all of it on newer kernels, so it counts in full.
    CAPACITY_GROUP_1_BYTES = 1602,
    CAPACITY_USER_BYTES = 128,        // the budget of DESIGN.md section 4; 109 measured
    CAPACITY_TLS_BYTES = 256,         // more with TLS, by the same budget
    CAPACITY_SUBSCRIPTION_BYTES = 32, // each
    CAPACITY_PROCESS_BYTES = 4 << 20, // empty: measured 2.3 MiB with two workers
    CAPACITY_SPARE_BYTES = 128 << 20, // left to everything else, at least,
    CAPACITY_SPARE_SHARE = 20,        // and at least a twentieth of the memory
    CAPACITY_PING_NS = 8600,          // server CPU of a ping and its pong at 100,000
    CAPACITY_CPU_SHARE_PERCENT = 70,  // of a worker's CPU that pings may take
    CAPACITY_BUSY_SHARE = 100,        // one client in so many has its kernel buffers full
    CAPACITY_PLAIN_FILES = 32,        // descriptors of the process beside rings and listeners
    CAPACITY_TERMS_MAX = 8,
};

// Of one thing that may run out.
struct capacity_term {
    const char *name;
    uint64_t connections; // UINT64_MAX: no bound
    char how[160];
};

struct capacity {
    struct capacity_term terms[CAPACITY_TERMS_MAX];
    uint32_t term_count;
    uint32_t first;        // the least of them
    uint64_t connections;  // of it
    uint64_t with_tls;     // the same with TLS
    uint64_t busy;         // by memory, when clients in CAPACITY_BUSY_SHARE have full buffers
    uint64_t tables;       // by descriptor tables
    uint64_t pinged;       // by the CPU time of keepalive pings
    uint64_t held;         // by memory: of the machine, and of the control group
    uint64_t held_tls;     // the same with TLS
    uint64_t each_bytes;   // memory of one idle connection, kernel's and ours
    uint32_t worker_count; // threads that will serve
    uint64_t ring_slots;   // direct descriptors of each ring
};

void capacity_compute(const char *root, const struct machine *machine, const struct config *config,
                      struct capacity *capacity);
