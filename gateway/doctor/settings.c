// Kernel settings against setting_table.h. What a namespace hides is no finding against it.
#include "gateway/doctor/examination.h"
#include "gateway/doctor/tree.h"
#include "gateway/process/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum rule { AT_LEAST, AT_MOST, EXACTLY };

enum { PAGE_BYTES = 4096 };

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high) {
    return value < low ? low : value > high ? high : value;
}

static uint64_t power_of_two(uint64_t value) {
    uint64_t power = 1;
    while (power < value && power < (1ULL << 62)) {
        power *= 2;
    }
    return power;
}

static uint64_t population(const struct examination *examination) {
    return examination->config->admission.connections;
}

static uint64_t wanted_zero(const struct examination *examination) {
    (void)examination; // the same everywhere, as below
    return 0;
}

static uint64_t wanted_one(const struct examination *examination) {
    (void)examination;
    return 1;
}

static uint64_t wanted_three(const struct examination *examination) {
    (void)examination;
    return 3;
}

static uint64_t wanted_ten(const struct examination *examination) {
    (void)examination;
    return 10;
}

static uint64_t wanted_thirty(const struct examination *examination) {
    (void)examination;
    return 30;
}

static uint64_t wanted_maps(const struct examination *examination) {
    (void)examination;
    return 65530; // the kernel's own
}

static uint64_t wanted_packets(const struct examination *examination) {
    return clamp(power_of_two(population(examination) / 64), 1000, 16384);
}

static uint64_t wanted_nr_open(const struct examination *examination) {
    return process_files_wanted(examination->config, examination->capacity.worker_count);
}

// A tenth and 64 Ki beside what is in use now.
static uint64_t wanted_file_max(const struct examination *examination) {
    uint64_t used = 0;
    (void)tree_number(examination->source.root, "proc/sys/fs/file-nr", 0,
                      &used); // unreadable: the setting is, too
    return used + population(examination) * 11 / 10 + 65536;
}

// A second's handshakes: who reconnects after an outage comes all at once.
static uint64_t wanted_backlog(const struct examination *examination) {
    uint64_t rate = examination->config->admission.handshakes_per_second;
    return clamp(power_of_two(rate), 4096, 65535);
}

// Of every connection one page in a broadcast, or full kernel buffers for one in a hundred; half as
// much again; never more than half of the memory.
static uint64_t wanted_tcp_pages(const struct examination *examination) {
    uint64_t one_each = population(examination);
    uint64_t busy = population(examination) / CAPACITY_BUSY_SHARE *
                    (examination->config->kernel_bytes / PAGE_BYTES);
    uint64_t pages = (one_each > busy ? one_each : busy) * 3 / 2;
    uint64_t half = examination->machine.memory_total / 2 / PAGE_BYTES;
    return pages < half ? pages : half;
}

static uint64_t wanted_receive_bytes(const struct examination *examination) {
    (void)examination; // a message larger than this is received all the same, in several windows
    return 1 << 20;
}

static uint64_t wanted_send_bytes(const struct examination *examination) {
    return examination->config->kernel_bytes / 2; // the kernel doubles it for its own overhead
}

// A drain closes everybody within `drain`; what one closes stays for about as long.
static uint64_t wanted_closing(const struct examination *examination) {
    return clamp(power_of_two(population(examination) / 4), 65536, 262144);
}

static uint64_t wanted_tracked(const struct examination *examination) {
    return population(examination) * 2; // and as many that are just gone
}

struct setting {
    const char *name;
    uint32_t field;
    enum rule rule;
    uint64_t (*wanted)(const struct examination *examination);
    enum verdict otherwise;
    const char *why;
    const char *source;
};

static const struct setting settings[] = {
#define SETTING(name, field, rule, wanted, otherwise, why, source)                                 \
    {name, field, rule, wanted, otherwise, why, source},
#include "gateway/doctor/setting_table.h"
#undef SETTING
};

// /proc/sys/net/core/somaxconn of net.core.somaxconn.
static void setting_path(const char *name, char *path, size_t room) {
    (void)snprintf(path, room, "proc/sys/%s", name); // names of the table are short
    for (char *at = path; *at != 0; at++) {
        *at = *at == '.' ? '/' : *at;
    }
}

// What the setting is to be set to: a setting of three numbers is written whole.
static void value_print(const struct examination *examination, const struct setting *setting,
                        uint64_t wanted, struct finding *finding) {
    char *text = finding->value;
    size_t room = sizeof finding->value;
    uint64_t low = 0;
    uint64_t middle = 0;
    char path[128];
    setting_path(setting->name, path, sizeof path);
    if (strcmp(setting->name, "net.ipv4.tcp_mem") == 0) {
        (void)snprintf(text, room, "%" PRIu64 " %" PRIu64 " %" PRIu64, wanted / 2, wanted / 4 * 3,
                       wanted); // it fits, as all below
    } else if (setting->field == 2 && tree_number(examination->source.root, path, 0, &low) &&
               tree_number(examination->source.root, path, 1, &middle)) {
        (void)snprintf(text, room, "%" PRIu64 " %" PRIu64 " %" PRIu64, low,
                       middle < wanted ? middle : wanted, wanted);
    } else {
        (void)snprintf(text, room, "%" PRIu64, wanted);
    }
}

static bool is_kept(enum rule rule, uint64_t value, uint64_t wanted) {
    switch (rule) {
    case AT_LEAST:
        return value >= wanted;
    case AT_MOST:
        return value <= wanted;
    default:
        return value == wanted;
    }
}

// Why a setting does not matter on this machine; empty: it does.
static const char *excuse_find(const struct examination *examination,
                               const struct setting *setting) {
    uint64_t tracked = 1;
    if (strcmp(setting->name, "vm.swappiness") == 0) {
        return examination->machine.swap_total == 0 ? ", no swap" : "";
    }
    if (strcmp(setting->name, "net.netfilter.nf_conntrack_max") == 0) {
        // Without rules nothing is tracked, not even the connection that an operator came by.
        (void)tree_number(examination->source.root, "proc/sys/net/netfilter/nf_conntrack_count", 0,
                          &tracked); // unreadable: tracked
        return tracked == 0 ? ", tracks nothing" : "";
    }
    return "";
}

static void setting_examine(struct examination *examination, const struct setting *setting) {
    static const char *const words[] = {"at least ", "at most ", ""};
    struct finding *finding = finding_add(examination, setting->name, setting->why);
    char path[128];
    uint64_t value = 0;
    uint64_t wanted = setting->wanted(examination);
    setting_path(setting->name, path, sizeof path);
    finding->source = setting->source;
    (void)snprintf(finding->wanted, sizeof finding->wanted, "%s%" PRIu64, words[setting->rule],
                   wanted); // it fits
    if (!tree_number(examination->source.root, path, setting->field, &value)) {
        (void)snprintf(finding->now, sizeof finding->now, "not there"); // it fits
        return;
    }
    finding->is_sysctl = true;
    finding->setting = setting->name;
    const char *excuse = excuse_find(examination, setting);
    bool is_fine = excuse[0] != 0 || is_kept(setting->rule, value, wanted);
    finding->verdict = is_fine ? VERDICT_PASS : setting->otherwise;
    (void)snprintf(finding->now, sizeof finding->now, "%" PRIu64 "%s", value, excuse); // it fits
    value_print(examination, setting, wanted, finding);
    (void)snprintf(finding->fix, sizeof finding->fix, "sysctl -w %s=\"%s\"", setting->name,
                   finding->value); // it fits
}

void settings_examine(struct examination *examination) {
    for (unsigned i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        setting_examine(examination, &settings[i]);
    }
}
