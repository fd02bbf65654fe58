// Limits of a process stand in its own folder of /proc, and of its control groups in /sys: version
// 2 (one tree), version 1 (a tree for each controller), or, in a container, at the root of either.
#include "gateway/doctor/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/doctor/tree.h"

enum { GROUP_DEPTH_MAX = 32, KIB = 1024 };

static void kernel_read(const char *root, struct machine *machine) {
    if (!tree_text(root, "proc/sys/kernel/osrelease", machine->kernel, sizeof machine->kernel)) {
        machine->kernel[0] = 0;
        return;
    }
    char *end = NULL;
    machine->kernel_major = (uint32_t)strtoul(machine->kernel, &end, 10);
    machine->kernel_minor = *end == '.' ? (uint32_t)strtoul(end + 1, NULL, 10) : 0;
}

static uint64_t limit_read(const struct machine_source *source, const char *key, uint32_t field) {
    char path[64];
    uint64_t value = UINT64_MAX; // a kernel that does not say so limits nothing
    (void)snprintf(path, sizeof path, "proc/%.20s/limits", source->process); // it fits
    return tree_field(source->root, path, key, field, &value) ? value : UINT64_MAX;
}

// `0-3,8` has five.
static uint32_t list_count(const char *text) {
    uint32_t count = 0;
    // Bounded by the text: every pass goes on behind a number, or ends.
    while (*text >= '0' && *text <= '9') {
        char *end = NULL;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        count += last >= first ? (uint32_t)(last - first + 1) : 0;
        text = *end == ',' ? end + 1 : end;
    }
    return count;
}

static void status_read(const struct machine_source *source, struct machine *machine) {
    char path[64];
    char text[TREE_TEXT_BYTES];
    (void)snprintf(path, sizeof path, "proc/%.20s/status", source->process); // it fits
    uint64_t seccomp = 0;
    (void)tree_field(source->root, path, "Seccomp:", 0, &seccomp); // a kernel without it has none
    machine->seccomp = (uint32_t)seccomp;
    machine->cpus = 1;
    if (tree_text(source->root, path, text, sizeof text)) {
        const char *list = strstr(text, "Cpus_allowed_list:");
        uint32_t count =
            list == NULL ? 0 : list_count(list + strlen("Cpus_allowed_list:") + 1); // behind a tab
        machine->cpus = count > 0 ? count : 1;
    }
}

// The process' path in the tree of a controller (NULL: in version 2's). False: in none.
static bool group_path(const struct machine_source *source, const char *controller, char *path,
                       size_t room) {
    char file[64];
    char text[TREE_TEXT_BYTES];
    (void)snprintf(file, sizeof file, "proc/%.20s/cgroup", source->process); // it fits
    if (!tree_text(source->root, file, text, sizeof text)) {
        return false;
    }
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *names = strchr(line, ':');
        char *at = names == NULL ? NULL : strchr(names + 1, ':');
        if (at == NULL) {
            continue;
        }
        *at = 0;
        bool is_ours = controller == NULL ? names[1] == 0 : strcmp(names + 1, controller) == 0;
        if (is_ours) {
            (void)snprintf(path, room, "%s", strcmp(at + 1, "/") == 0 ? "" : at + 1); // cut: a
            return true; // path that does not exist
        }
    }
    return false;
}

// Calls `look` for the process' group and each group above it, the root last.
struct group_walk {
    const char *root;
    const char *base; // where the tree is mounted
    struct machine *machine;
    void (*look)(const struct group_walk *walk, const char *folder);
};

static void group_walk(const struct group_walk *walk, char *path) {
    char folder[TREE_PATH_BYTES];
    for (uint32_t i = 0; i < GROUP_DEPTH_MAX; i++) {
        (void)snprintf(folder, sizeof folder, "%s%s", walk->base, path); // cut: does not exist
        walk->look(walk, folder);
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            return;
        }
        *slash = 0;
    }
}

static bool group_number(const struct group_walk *walk, const char *folder, const char *name,
                         uint32_t field, uint64_t *value) {
    char path[TREE_PATH_BYTES];
    int printed = snprintf(path, sizeof path, "%s/%s", folder, name);
    return printed > 0 && (size_t)printed < sizeof path &&
           tree_number(walk->root, path, field, value);
}

// Names of a version.
struct group_files {
    const char *limit, *used;
    const char *cache; // key of memory.stat: pages that may be taken back
    uint32_t version;
};

// The tightest is the one with the least left. Version 1 writes "no limit" as a number that no
// memory has.
static void memory_look(const struct group_walk *walk, const char *folder,
                        const struct group_files *files) {
    struct machine *machine = walk->machine;
    uint64_t limit = 0;
    uint64_t used = 0;
    uint64_t cache = 0;
    char path[TREE_PATH_BYTES + 16];
    if (!group_number(walk, folder, files->limit, 0, &limit) || limit >= machine->memory_total ||
        !group_number(walk, folder, files->used, 0, &used)) {
        return;
    }
    (void)snprintf(path, sizeof path, "%s/memory.stat", folder); // there is room
    (void)tree_field(walk->root, path, files->cache, 0, &cache); // without it: nothing to take back
    used -= cache < used ? cache : used;
    uint64_t left = limit > used ? limit - used : 0;
    uint64_t left_before = machine_group_left(machine);
    if (left < left_before) {
        machine->group_limit = limit;
        machine->group_used = used;
        (void)snprintf(machine->group_path, sizeof machine->group_path, "/%s/%s", folder,
                       files->limit); // cut: shown only
        machine->group_version = files->version;
    }
}

static void memory_look_2(const struct group_walk *walk, const char *folder) {
    static const struct group_files files = {"memory.max", "memory.current", "inactive_file", 2};
    memory_look(walk, folder, &files);
}

static void memory_look_1(const struct group_walk *walk, const char *folder) {
    static const struct group_files files = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                             "total_inactive_file", 1};
    memory_look(walk, folder, &files);
}

static void quota_take(struct machine *machine, uint64_t quota, uint64_t period) {
    if (quota != UINT64_MAX && period > 0 && quota * 1000 / period < machine->cpu_quota_milli) {
        machine->cpu_quota_milli = quota * 1000 / period;
    }
}

static void cpu_look_2(const struct group_walk *walk, const char *folder) {
    uint64_t quota = 0;
    uint64_t period = 0;
    if (group_number(walk, folder, "cpu.max", 0, &quota) &&
        group_number(walk, folder, "cpu.max", 1, &period)) {
        quota_take(walk->machine, quota, period);
    }
}

static void cpu_look_1(const struct group_walk *walk, const char *folder) {
    uint64_t quota = 0; // -1, which is no number here: no limit
    uint64_t period = 0;
    if (group_number(walk, folder, "cpu.cfs_quota_us", 0, &quota) &&
        group_number(walk, folder, "cpu.cfs_period_us", 0, &period)) {
        quota_take(walk->machine, quota, period);
    }
}

static void groups_read(const struct machine_source *source, struct machine *machine) {
    static const struct {
        const char *controller, *base;
        void (*look)(const struct group_walk *walk, const char *folder);
    } trees[] = {
        {NULL, "sys/fs/cgroup", memory_look_2},
        {NULL, "sys/fs/cgroup", cpu_look_2},
        {"memory", "sys/fs/cgroup/memory", memory_look_1},
        {"cpu", "sys/fs/cgroup/cpu", cpu_look_1},
        {"cpu,cpuacct", "sys/fs/cgroup/cpu,cpuacct", cpu_look_1},
    };
    machine->group_limit = UINT64_MAX;
    machine->cpu_quota_milli = UINT64_MAX;
    for (unsigned i = 0; i < sizeof trees / sizeof trees[0]; i++) {
        struct group_walk walk = {
            .root = source->root, .base = trees[i].base, .machine = machine, .look = trees[i].look};
        char path[256];
        if (group_path(source, trees[i].controller, path, sizeof path)) {
            group_walk(&walk, path);
        }
    }
}

static uint64_t memory_field(const char *root, const char *key) {
    uint64_t kib = 0;
    return tree_field(root, "proc/meminfo", key, 0, &kib) ? kib * KIB : 0;
}

void machine_read(const struct machine_source *source, struct machine *machine) {
    memset(machine, 0, sizeof *machine);
    kernel_read(source->root, machine);
    machine->files_soft = limit_read(source, "Max open files", 0);
    machine->files_hard = limit_read(source, "Max open files", 1);
    machine->locked_hard = limit_read(source, "Max locked memory", 1);
    machine->address_soft = limit_read(source, "Max address space", 0);
    machine->core_soft = limit_read(source, "Max core file size", 0);
    machine->memory_total = memory_field(source->root, "MemTotal:");
    machine->memory_available = memory_field(source->root, "MemAvailable:");
    machine->swap_total = memory_field(source->root, "SwapTotal:");
    status_read(source, machine);
    groups_read(source, machine);
}

uint64_t machine_group_left(const struct machine *machine) {
    if (machine->group_limit == UINT64_MAX) {
        return UINT64_MAX;
    }
    return machine->group_limit > machine->group_used ? machine->group_limit - machine->group_used
                                                      : 0;
}
