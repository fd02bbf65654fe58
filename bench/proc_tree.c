// A server of several processes: one and all its descendants.
#include "bench/proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TREE_MAX = 256 };

struct tree {
    pid_t pids[TREE_MAX];
    uint32_t count;
};

// The parent of a process, 0: not readable.
static pid_t parent_of(pid_t pid) {
    char path[64];
    char line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    char *text = fgets(line, sizeof line, file);
    fclose(file);
    const char *end = text == NULL ? NULL : strrchr(text, ')'); // a name may hold anything
    int parent = 0;
    return end != NULL && sscanf(end + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}

static bool has_pid(const struct tree *tree, pid_t pid) {
    for (uint32_t i = 0; i < tree->count; i++) {
        if (tree->pids[i] == pid) {
            return true;
        }
    }
    return false;
}

// Adds those whose parent is in the tree. Returns how many came; /proc lists parents before their
// children almost always, so few passes find all.
static uint32_t tree_grow(struct tree *tree) {
    uint32_t before = tree->count;
    DIR *folder = opendir("/proc");
    if (folder == NULL) {
        return 0;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL && tree->count < TREE_MAX;
         entry = readdir(folder)) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && !has_pid(tree, pid) && has_pid(tree, parent_of(pid))) {
            tree->pids[tree->count++] = pid;
        }
    }
    closedir(folder);
    return tree->count - before;
}

static void tree_read(struct tree *tree, pid_t root) {
    tree->pids[0] = root;
    tree->count = 1;
    while (tree_grow(tree) > 0) { // ends: every pass adds some of at most TREE_MAX
    }
}

bool proc_tree_cpu_ns(pid_t root, int cpu, uint64_t *total_ns) {
    struct tree tree;
    bool is_found = false;
    *total_ns = 0;
    tree_read(&tree, root);
    for (uint32_t i = 0; i < tree.count; i++) {
        uint64_t one_ns = 0;
        if (proc_cpu_ns(tree.pids[i], cpu, &one_ns)) {
            *total_ns += one_ns;
            is_found = true;
        }
    }
    return is_found;
}

uint64_t proc_tree_pss(pid_t root) {
    struct tree tree;
    uint64_t sum = 0;
    tree_read(&tree, root);
    for (uint32_t i = 0; i < tree.count; i++) {
        sum += proc_pss(tree.pids[i]);
    }
    return sum;
}
