// One examination: what is known about machine and configuration, and the findings. A finding is
// PASS, WARN (it works, less well than it could) or FAIL (what is configured will not be held).
#pragma once
#include "gateway/doctor/capacity.h"

enum verdict { VERDICT_PASS, VERDICT_WARN, VERDICT_FAIL, VERDICT_COUNT };

enum {
    FINDING_TEXT_BYTES = 160,
    FINDING_FIX_BYTES = 320,
    FINDINGS_MAX = 80,
    TROUBLES_COUNT = 6,
};

struct finding {
    const char *name;
    const char *why;     // a sentence
    const char *setting; // of sysctl or of the unit: `value` is what the plan writes; NULL: neither
    const char *source;  // of a sysctl: where it is described
    enum verdict verdict;
    bool is_sysctl;
    char value[64];
    char now[FINDING_TEXT_BYTES];
    char wanted[FINDING_TEXT_BYTES];
    char fix[FINDING_FIX_BYTES]; // a command for the shell; empty: none that is always right
};

// What only system calls say. Not asked about a recorded machine.
struct examination_probe {
    bool is_asked;
    int ring_error;     // 0: a ring was opened
    bool has_peer_name; // SO_PEERNAME on the ring
    bool is_clock_synchronized;
    int64_t now_s; // since 1970 UTC; also for a recorded machine
};

struct examination {
    struct machine_source source;
    struct examination_probe probe;
    const struct config *config;
    const char *config_path;                  // of its file; NULL: the demo
    uint64_t troubles_before[TROUBLES_COUNT]; // watched_s ago
    uint32_t watched_s;                       // 0: they are counted since boot
    struct machine machine;
    struct capacity capacity;
    struct finding findings[FINDINGS_MAX];
    uint32_t finding_count;
    uint32_t counts[VERDICT_COUNT];
};

// Examines; all up to watched_s is set, all else is overwritten.
void examination_run(struct examination *examination);

// Its parts: each adds its findings.
void settings_examine(struct examination *examination);
void process_examine(struct examination *examination);
void system_examine(struct examination *examination);
void card_examine(struct examination *examination);
void access_examine(struct examination *examination);
void unit_examine(struct examination *examination);
// system.c: counters of the kernel that say that a limit was met; UINT64_MAX: it has no such one.
void troubles_read(const char *root, uint64_t counts[TROUBLES_COUNT]);
// A new finding with nothing said yet; verdict PASS.
struct finding *finding_add(struct examination *examination, const char *name, const char *why);

// --- what is printed
void print_table(const struct examination *examination, bool has_colour);
// False: no memory.
bool print_json(const struct examination *examination);
// A shell script that writes what is wrong into a sysctl file and a systemd drop-in.
void print_plan(const struct examination *examination);
