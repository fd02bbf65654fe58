// The network card: how many CPUs take packets in.
#include "gateway/doctor/checks.h"
#include "gateway/doctor/tree.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    INTERFACES_MAX = 64,
    INTERRUPTS_MAX = 2048, // of one device: MSI-X has no more
};

// Whether packets of the interface's one queue are spread over CPUs by software.
static bool has_steering(const char *root, const char *interface) {
    char path[TREE_PATH_BYTES];
    char text[256];
    int printed = snprintf(path, sizeof path, "sys/class/net/%s/queues/rx-0/rps_cpus", interface);
    return printed > 0 && (size_t)printed < sizeof path &&
           tree_text(root, path, text, sizeof text) && strspn(text, "0,") != strlen(text);
}

// The physical interface (one with a device) with the fewest receive queues. False: there is none.
static bool interface_find(const char *root, char *name, size_t room, uint32_t *queues) {
    char path[TREE_PATH_BYTES];
    struct dirent *entry;
    (void)snprintf(path, sizeof path, "%s/sys/class/net", root); // cut: no such folder
    DIR *folder = opendir(path);
    bool is_found = false;
    for (uint32_t i = 0; folder != NULL && i < INTERFACES_MAX && (entry = readdir(folder)); i++) {
        (void)snprintf(path, sizeof path, "sys/class/net/%.64s/device", entry->d_name); // it fits
        if (entry->d_name[0] == '.' || !tree_exists(root, path)) {
            continue;
        }
        (void)snprintf(path, sizeof path, "sys/class/net/%.64s/queues", entry->d_name); // it fits
        uint32_t count = tree_count(root, path, "rx-");
        if (!is_found || count < *queues) {
            *queues = count;
            (void)snprintf(name, room, "%.15s", entry->d_name); // IFNAMSIZ
            is_found = true;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder); // only read from
    }
    return is_found;
}

static enum verdict look_queues(const struct examination *examination, struct finding *finding) {
    char name[32];
    uint32_t queues = 0;
    uint32_t workers = examination->capacity.worker_count;
    if (!interface_find(examination->source.root, name, sizeof name, &queues)) {
        return VERDICT_COUNT;
    }
    bool is_steered = has_steering(examination->source.root, name);
    finding_now(finding, "%s: %" PRIu32 " receive queue%s%s", name, queues, queues == 1 ? "" : "s",
                is_steered ? ", RPS on" : "");
    finding_wanted(finding, "%" PRIu32 " queues, or RPS", workers);
    finding_fix(finding,
                "ethtool -L %s combined %" PRIu32 " || echo %llx "
                ">/sys/class/net/%s/queues/rx-0/rps_cpus",
                name, workers, (1ULL << (workers > 31 ? 31 : workers)) - 1, name);
    return queues >= workers || is_steered ? VERDICT_PASS : VERDICT_WARN;
}

// Interrupts of a device.
struct interrupts {
    const char *folder; // that names them, behind the interface's
    char cpu[16];       // that all of them go to; empty: nobody says
    bool is_spread;     // over several
};

// Of the interface `name` in that folder. An interrupt that nobody asked for yet has no CPU.
static void interrupts_read(const char *root, const char *name, struct interrupts *interrupts) {
    char path[TREE_PATH_BYTES];
    char text[sizeof interrupts->cpu];
    struct dirent *entry;
    (void)snprintf(path, sizeof path, "%.400s/sys/class/net/%.15s/%s", root, name,
                   interrupts->folder); // cut: no such folder
    DIR *folder = opendir(path);
    for (uint32_t i = 0; folder != NULL && i < INTERRUPTS_MAX && (entry = readdir(folder)); i++) {
        (void)snprintf(path, sizeof path, "proc/irq/%.20s/effective_affinity_list",
                       entry->d_name); // it fits
        if (entry->d_name[0] == '.' || !tree_text(root, path, text, sizeof text) || text[0] == 0) {
            continue;
        }
        bool is_first = interrupts->cpu[0] == 0;
        bool is_list = strpbrk(text, ",-") != NULL;
        interrupts->is_spread =
            interrupts->is_spread || is_list || (!is_first && strcmp(interrupts->cpu, text) != 0);
        memcpy(interrupts->cpu, text, sizeof text);
    }
    if (folder != NULL) {
        (void)closedir(folder); // only read from
    }
}

static enum verdict look_interrupts(const struct examination *examination,
                                    struct finding *finding) {
    const char *root = examination->source.root;
    char name[32];
    uint32_t queues = 0;
    if (!interface_find(root, name, sizeof name, &queues) || queues < 2) {
        return VERDICT_COUNT; // with one queue there is nothing to spread but by RPS
    }
    struct interrupts interrupts = {.folder = "device/msi_irqs"};
    interrupts_read(root, name, &interrupts);
    if (interrupts.cpu[0] == 0) { // those of a virtio device are the PCI device's above it
        interrupts.folder = "device/../msi_irqs";
        interrupts_read(root, name, &interrupts);
    }
    if (interrupts.cpu[0] == 0) {
        return VERDICT_COUNT;
    }
    finding_now(finding, "%s: on %s%s", name, interrupts.is_spread ? "several CPUs" : "CPU ",
                interrupts.is_spread ? "" : interrupts.cpu);
    finding_wanted(finding, "spread over CPUs, as the %" PRIu32 " queues are", queues);
    finding_fix(finding,
                "c=0; for i in /sys/class/net/%s/%s/*; do "
                "echo $((c++ %% %" PRIu32 ")) >/proc/irq/${i##*/}/smp_affinity_list; done",
                name, interrupts.folder, examination->machine.cpus);
    return interrupts.is_spread ? VERDICT_PASS : VERDICT_WARN;
}

void card_examine(struct examination *examination) {
    static const struct check_row rows[] = {
        {"receive queues", "with one queue one CPU takes every packet in", NULL, look_queues},
        {"interrupts", "one CPU takes every packet in, however many queues there are", NULL,
         look_interrupts},
    };
    checks_run(examination, rows, sizeof rows / sizeof rows[0]);
}
