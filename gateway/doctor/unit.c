// The systemd unit, where one is installed: its last word for each key, from the unit and from the
// drop-ins behind it. systemd's own rules for lists and specifiers are not needed for these keys.
#include "gateway/doctor/checks.h"
#include "gateway/doctor/tree.h"
#include "gateway/process/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DROP_INS_MAX = 32, DROP_IN_NAME_BYTES = 64, CLOSE_SPARE_S = 10 };

static const char *const unit_files[] = {"etc/systemd/system/holdfast.service",
                                         "usr/lib/systemd/system/holdfast.service",
                                         "lib/systemd/system/holdfast.service"};
static const char drop_in_folder[] = "etc/systemd/system/holdfast.service.d";

// The unit that systemd takes, or NULL.
static const char *unit_find(const char *root) {
    for (unsigned i = 0; i < sizeof unit_files / sizeof unit_files[0]; i++) {
        if (tree_exists(root, unit_files[i])) {
            return unit_files[i];
        }
    }
    return NULL;
}

// The value of the last `key=` of a file.
static bool file_value(const char *root, const char *path, const char *key, char *value,
                       size_t room) {
    char text[TREE_TEXT_BYTES];
    size_t length = strlen(key);
    bool is_found = false;
    if (!tree_text(root, path, text, sizeof text)) {
        return false;
    }
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, key, length) == 0 && line[length] == '=') {
            (void)snprintf(value, room, "%s", line + length + 1); // cut: not a value that we know
            is_found = true;
        }
    }
    return is_found;
}

static int name_compare(const void *a, const void *b) {
    return strcmp(a, b);
}

// Names of the drop-ins, in systemd's order.
static uint32_t drop_ins_list(const char *root, char names[][DROP_IN_NAME_BYTES]) {
    char path[TREE_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", root, drop_in_folder); // cut: no such folder
    DIR *folder = opendir(path);
    uint32_t count = 0;
    struct dirent *entry;
    while (folder != NULL && count < DROP_INS_MAX && (entry = readdir(folder)) != NULL) {
        size_t length = strlen(entry->d_name);
        if (length > 5 && length < DROP_IN_NAME_BYTES &&
            strcmp(entry->d_name + length - 5, ".conf") == 0) {
            memcpy(names[count++], entry->d_name, length + 1);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder); // only read from
    }
    qsort(names, count, DROP_IN_NAME_BYTES, name_compare);
    return count;
}

bool unit_value(const char *root, const char *key, char *value, size_t room) {
    const char *unit = unit_find(root);
    char names[DROP_INS_MAX][DROP_IN_NAME_BYTES];
    if (unit == NULL) {
        return false;
    }
    bool is_found = file_value(root, unit, key, value, room);
    uint32_t count = drop_ins_list(root, names);
    for (uint32_t i = 0; i < count; i++) {
        char path[TREE_PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%.*s", drop_in_folder, DROP_IN_NAME_BYTES - 1,
                       names[i]); // it fits
        is_found = file_value(root, path, key, value, room) || is_found;
    }
    return is_found;
}

// A look at one key: the value or "not set"; VERDICT_COUNT without a unit.
static enum verdict key_read(const struct examination *examination, struct finding *finding,
                             char *value, size_t room) {
    const char *root = examination->source.root;
    if (unit_find(root) == NULL) {
        return VERDICT_COUNT;
    }
    value[0] = 0;
    (void)unit_value(root, finding->name + strlen("unit: "), value, room); // not set: empty
    finding_now(finding, "%s", value[0] == 0 ? "not set" : value);
    finding->setting = finding->name + strlen("unit: ");
    return VERDICT_PASS;
}

static void plan_set(struct finding *finding, const char *value) {
    (void)snprintf(finding->value, sizeof finding->value, "%s", value); // short words
    finding_fix(finding, "systemctl edit holdfast   # [Service] %s=%s", finding->setting, value);
}

static enum verdict look_type(const struct examination *examination, struct finding *finding) {
    char value[64];
    if (key_read(examination, finding, value, sizeof value) == VERDICT_COUNT) {
        return VERDICT_COUNT;
    }
    finding_wanted(finding, "notify");
    plan_set(finding, "notify");
    return strncmp(value, "notify", 6) == 0 ? VERDICT_PASS : VERDICT_WARN;
}

static enum verdict look_kill_mode(const struct examination *examination, struct finding *finding) {
    char value[64];
    if (key_read(examination, finding, value, sizeof value) == VERDICT_COUNT) {
        return VERDICT_COUNT;
    }
    finding_wanted(finding, "mixed");
    plan_set(finding, "mixed");
    return strcmp(value, "mixed") == 0 || strcmp(value, "process") == 0 ? VERDICT_PASS
                                                                        : VERDICT_WARN;
}

// Seconds of `120`, `120s`, `2min`, `1h`; UINT64_MAX of `infinity` and of what we cannot read.
static uint64_t seconds_read(const char *text) {
    char *end = NULL;
    uint64_t number = strtoull(text, &end, 10);
    if (end == text) {
        return UINT64_MAX;
    }
    end += strspn(end, " ");
    if (strncmp(end, "min", 3) == 0) {
        return number * 60;
    }
    return *end == 'h' ? number * 3600 : *end == 0 || strcmp(end, "s") == 0 ? number : UINT64_MAX;
}

static enum verdict look_stop(const struct examination *examination, struct finding *finding) {
    char value[64];
    char text[32];
    uint64_t wanted = examination->config->drain_ms / 1000 + CLOSE_SPARE_S;
    if (key_read(examination, finding, value, sizeof value) == VERDICT_COUNT) {
        return VERDICT_COUNT;
    }
    uint64_t seconds = value[0] == 0 ? 90 : seconds_read(value); // DefaultTimeoutStopSec=
    finding_wanted(finding, "at least %" PRIu64 " s: drain, and the closes behind it", wanted);
    (void)snprintf(text, sizeof text, "%" PRIu64, wanted); // it fits
    plan_set(finding, text);
    return seconds >= wanted ? VERDICT_PASS : VERDICT_FAIL;
}

static enum verdict look_files(const struct examination *examination, struct finding *finding) {
    char value[64];
    char text[32];
    uint64_t wanted = process_files_wanted(examination->config, examination->capacity.worker_count);
    if (key_read(examination, finding, value, sizeof value) == VERDICT_COUNT) {
        return VERDICT_COUNT;
    }
    const char *hard = strchr(value, ':'); // soft:hard
    uint64_t files = strtoull(hard == NULL ? value : hard + 1, NULL, 10);
    bool is_free = strcmp(value, "infinity") == 0;
    finding_wanted(finding, "at least %" PRIu64, wanted);
    (void)snprintf(text, sizeof text, "%" PRIu64, wanted); // it fits
    plan_set(finding, text);
    return is_free || files >= wanted ? VERDICT_PASS : VERDICT_FAIL;
}

static enum verdict look_watchdog(const struct examination *examination, struct finding *finding) {
    char value[64];
    if (key_read(examination, finding, value, sizeof value) == VERDICT_COUNT) {
        return VERDICT_COUNT;
    }
    finding_wanted(finding, "10 s or more: a word comes every 2 s");
    plan_set(finding, "20");
    uint64_t seconds = value[0] == 0 ? 0 : seconds_read(value);
    return seconds >= 10 ? VERDICT_PASS : VERDICT_WARN;
}

// The log goes to standard error: to the journal, unless the unit says otherwise. Of files the
// folder is looked for: systemd opens them, as root.
static enum verdict look_log(const struct examination *examination, struct finding *finding) {
    const char *root = examination->source.root;
    char value[256];
    if (key_read(examination, finding, value, sizeof value) == VERDICT_COUNT) {
        return VERDICT_COUNT;
    }
    if (value[0] == 0 || strcmp(value, "inherit") == 0) {
        value[0] = 0;
        (void)unit_value(root, "StandardOutput", value, sizeof value); // not set: the journal
        finding_now(finding, "%.120s", value[0] == 0 ? "journal" : value);
    }
    finding_wanted(finding, "the journal, or a file whose folder is there");
    plan_set(finding, "journal");
    char *path = strchr(value, ':');
    char *slash = path == NULL ? NULL : strrchr(path, '/');
    if (slash != NULL) {
        *slash = 0;
        path += path[1] == '/' ? 2 : 1; // from the root, whose name ends without a slash
        return slash < path || tree_exists(root, path) ? VERDICT_PASS : VERDICT_WARN;
    }
    return strcmp(value, "null") == 0 ? VERDICT_WARN : VERDICT_PASS;
}

void unit_examine(struct examination *examination) {
    static const struct check_row rows[] = {
        {"unit: Type", "systemd waits for READY=1 before it starts what comes after", NULL,
         look_type},
        {"unit: KillMode", "the signal is for the process; what is left after the drain is cut",
         NULL, look_kill_mode},
        {"unit: TimeoutStopSec", "a stop that takes longer is ended with SIGKILL", NULL, look_stop},
        {"unit: LimitNOFILE", "the limit of the service, whatever this shell has", NULL,
         look_files},
        {"unit: StandardError", "the log is written there, and lost where nothing takes it", NULL,
         look_log},
        {"unit: WatchdogSec", "a process that hangs is started anew", NULL, look_watchdog},
    };
    checks_run(examination, rows, sizeof rows / sizeof rows[0]);
}
