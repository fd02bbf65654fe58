// The findings as an aligned table, as JSON, and as a plan.
#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gateway/auth/json_memory.h"
#include "gateway/doctor/examination.h"

static const char *const verdict_words[] = {"PASS", "WARN", "FAIL"};
static const char *const verdict_colours[] = {"\033[32m", "\033[33m", "\033[31m"};

// 1,048,576
static const char *number_print(uint64_t number, char text[32]) {
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%" PRIu64, number); // it fits
    char *at = text;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) {
            *at++ = ',';
        }
        *at++ = digits[i];
    }
    *at = 0;
    return text;
}

static void capacity_print(const struct examination *examination) {
    const struct capacity *capacity = &examination->capacity;
    char text[32];
    char tls[32];
    char configured[32];
    (void)printf("\nThis host holds %s plain or %s TLS idle connections (%s are configured); the "
                 "first limit is %s.\n",
                 number_print(capacity->connections, text), number_print(capacity->with_tls, tls),
                 number_print(examination->config->admission.connections, configured),
                 capacity->terms[capacity->first].name);
    for (uint32_t i = 0; i < capacity->term_count; i++) {
        const struct capacity_term *term = &capacity->terms[i];
        (void)printf("  %-20s %15s   %s\n", term->name, number_print(term->connections, text),
                     term->how);
    }
    (void)printf("  %-20s %15s   queues of one client in %d full\n", "memory, busy",
                 number_print(capacity->busy, text), CAPACITY_BUSY_SHARE);
}

void print_table(const struct examination *examination, bool has_colour) {
    int name_width = 0;
    int now_width = 0;
    for (uint32_t i = 0; i < examination->finding_count; i++) {
        int name = (int)strlen(examination->findings[i].name);
        int now = (int)strlen(examination->findings[i].now);
        name_width = name > name_width ? name : name_width;
        now_width = now > now_width && now <= 32 ? now : now_width;
    }
    for (uint32_t i = 0; i < examination->finding_count; i++) {
        const struct finding *finding = &examination->findings[i];
        (void)printf("%s%s%s  %-*s  %-*s  %s\n",
                     has_colour ? verdict_colours[finding->verdict] : "",
                     verdict_words[finding->verdict], has_colour ? "\033[0m" : "", name_width,
                     finding->name, now_width, finding->now, finding->wanted);
        if (finding->verdict != VERDICT_PASS) {
            (void)printf("      %s\n", finding->why);
        }
        if (finding->verdict != VERDICT_PASS && finding->fix[0] != 0) {
            (void)printf("      fix: %s\n", finding->fix);
        }
    }
    capacity_print(examination);
    (void)printf("\n%" PRIu32 " passed, %" PRIu32 " warnings, %" PRIu32 " failed\n",
                 examination->counts[VERDICT_PASS], examination->counts[VERDICT_WARN],
                 examination->counts[VERDICT_FAIL]);
}

static json_t *finding_json(const struct finding *finding) {
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", finding->name, "verdict",
                               verdict_words[finding->verdict], "now", finding->now, "wanted",
                               finding->wanted, "why", finding->why);
    if (object != NULL && finding->verdict != VERDICT_PASS && finding->fix[0] != 0) {
        (void)json_object_set_new(object, "fix", json_string(finding->fix)); // else it lacks a fix
    }
    return object;
}

static json_t *capacity_json(const struct examination *examination) {
    const struct capacity *capacity = &examination->capacity;
    json_t *terms = json_array();
    for (uint32_t i = 0; i < capacity->term_count; i++) {
        const struct capacity_term *term = &capacity->terms[i];
        json_t *object = json_pack("{s:s, s:I, s:s}", "name", term->name, "connections",
                                   (json_int_t)term->connections, "how", term->how);
        if (json_array_append_new(terms, object) != 0) {
            json_decref(terms);
            return NULL;
        }
    }
    return json_pack("{s:I, s:I, s:I, s:s, s:I, s:I, s:o}", "with_tls",
                     (json_int_t)capacity->with_tls, "connections",
                     (json_int_t)capacity->connections, "configured",
                     (json_int_t)examination->config->admission.connections, "first_limit",
                     capacity->terms[capacity->first].name, "busy", (json_int_t)capacity->busy,
                     "bytes_per_connection", (json_int_t)capacity->each_bytes, "terms", terms);
}

bool print_json(const struct examination *examination) {
    json_memory_unbound(); // what is behind us read the configuration, and its tokens' keys
    json_t *checks = json_array();
    for (uint32_t i = 0; i < examination->finding_count; i++) {
        if (json_array_append_new(checks, finding_json(&examination->findings[i])) != 0) {
            json_decref(checks);
            return false;
        }
    }
    json_t *object = json_pack(
        "{s:i, s:i, s:i, s:o, s:o}", "passed", (int)examination->counts[VERDICT_PASS], "warnings",
        (int)examination->counts[VERDICT_WARN], "failed", (int)examination->counts[VERDICT_FAIL],
        "capacity", capacity_json(examination), "checks", checks);
    bool is_printed = object != NULL && json_dumpf(object, stdout, JSON_INDENT(1)) == 0;
    json_decref(object);
    (void)printf("\n");
    return is_printed;
}

// Sysctl files are read line by line: the reason above its setting.
static void sysctl_print(const struct finding *finding) {
    (void)printf("# %s (%s; here: %s)\n%s = %s\n", finding->why,
                 finding->source == NULL ? "Documentation/" : finding->source, finding->now,
                 finding->setting, finding->value);
}

static void unit_print(const struct finding *finding) {
    (void)printf("# %s (here: %s)\n%s=%s\n", finding->why, finding->now, finding->setting,
                 finding->value);
}

static bool is_planned(const struct finding *finding, bool is_sysctl) {
    return finding->verdict != VERDICT_PASS && finding->setting != NULL && finding->value[0] != 0 &&
           finding->is_sysctl == is_sysctl;
}

// The descriptor limit stands for two findings: of this shell, and of the unit.
static bool is_repeated(const struct examination *examination, uint32_t index) {
    for (uint32_t i = 0; i < index; i++) {
        const struct finding *finding = &examination->findings[i];
        if (is_planned(finding, examination->findings[index].is_sysctl) &&
            strcmp(finding->setting, examination->findings[index].setting) == 0) {
            return true;
        }
    }
    return false;
}

static void part_print(const struct examination *examination, bool is_sysctl) {
    for (uint32_t i = 0; i < examination->finding_count; i++) {
        const struct finding *finding = &examination->findings[i];
        if (is_planned(finding, is_sysctl) && !is_repeated(examination, i)) {
            (is_sysctl ? sysctl_print : unit_print)(finding);
        }
    }
}

void print_plan(const struct examination *examination) {
    (void)printf("#!/bin/sh\n"
                 "# What `holdfast doctor` found wrong here, for %" PRIu32 " connections. Read it, "
                 "then run it as root.\n"
                 "set -e\n"
                 "cat >/etc/sysctl.d/90-holdfast.conf <<'END'\n",
                 examination->config->admission.connections);
    part_print(examination, true);
    (void)printf("END\n"
                 "sysctl --quiet --system\n"
                 "mkdir -p /etc/systemd/system/holdfast.service.d\n"
                 "cat >/etc/systemd/system/holdfast.service.d/90-limits.conf <<'END'\n"
                 "[Service]\n");
    part_print(examination, false);
    (void)printf("END\n"
                 "if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi\n");
    for (uint32_t i = 0; i < examination->finding_count; i++) {
        const struct finding *finding = &examination->findings[i];
        if (finding->verdict != VERDICT_PASS && finding->setting == NULL && finding->fix[0] != 0) {
            (void)printf("# by hand, %s: %s\n", finding->name, finding->fix);
        }
    }
}
