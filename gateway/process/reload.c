// Reload: parse and check in full, then hand the new site to every worker; the old one lives until
// the last connection routed by it is gone.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/config/config_diff.h"
#include "gateway/process/files.h"
#include "gateway/process/process.h"

enum { RELOAD_SENTENCE_BYTES = 160 }; // what config_diff.c says of one part, on average

struct site *site_open(struct process *process, const struct config *config, uint32_t number,
                       const struct site *former) {
    struct site *site = calloc(1, sizeof *site);
    if (site == NULL) {
        return NULL;
    }
    site->config = config;
    site->number = number;
    site->routes = route_table_open(config);
    site->route_open = calloc(config->route_count + 1, sizeof site->route_open[0]);
    bool has_tls = site_tls_open(process, site, former);
    site_proxies_set(process, site);
    bool has_keys = site_keys_open(site);
    bool has_dialers = site_dialers_open(site);
    if (site->routes == NULL || site->route_open == NULL || !has_tls || !has_keys || !has_dialers) {
        site_close(&site);
        return NULL;
    }
    return site;
}

void site_close(struct site **site) {
    if (*site == NULL) {
        return;
    }
    if ((*site)->routes != NULL) {
        route_table_close(&(*site)->routes);
    }
    site_tls_close(*site);
    site_keys_close(*site);
    site_dialers_close(*site);
    free((void *)(*site)->route_open);
    free(*site);
    *site = NULL;
}

void process_sites_sweep(struct process *process) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < process->old_site_count; i++) {
        struct site *site = process->old_sites[i];
        if (atomic_load_explicit(&site->worker_holds, memory_order_acquire) > 0) {
            process->old_sites[kept++] = site;
            continue;
        }
        const struct config *config = site->config;
        site_close(&site);
        config_close(&config);
    }
    process->old_site_count = kept;
}

static void reload_answer(struct process *process, uint32_t request, bool is_done,
                          const char *text) {
    if (request != 0 && process->admin != NULL) {
        admin_wish_done(process->admin, request, is_done, span_text(text));
    }
}

static void errors_report(struct process *process, uint32_t request,
                          const struct config_errors *errors) {
    static const uint32_t room = 64 << 10;
    char *text = malloc(room);
    uint32_t used = 0;
    for (uint32_t i = 0; i < errors->count; i++) {
        log_event(process->log, LOG_LEVEL_ERROR, "reload_refused",
                  log_text("error", errors->lines[i]));
        int printed =
            text == NULL ? 0 : snprintf(text + used, room - used, "%s\n", errors->lines[i]);
        used += printed > 0 && (uint32_t)printed < room - used ? (uint32_t)printed : 0;
    }
    reload_answer(process, request, false, text == NULL ? "out of memory" : text);
    free(text);
}

// What is found different but needs a restart is said, and the rest is applied.
static void changes_log(struct process *process, const struct config *config) {
    struct config_changes changes;
    config_diff(process->config, config, &changes);
    for (uint32_t i = 0; i < changes.count; i++) {
        log_event(process->log, changes.items[i].needs_restart ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
                  "reload_change", log_text("change", changes.items[i].sentence),
                  log_bool("needs_restart", changes.items[i].needs_restart));
    }
}

// False: refused, and answered.
static bool reload_begin(struct process *process, uint32_t request) {
    if (process->old_site_count == sizeof process->old_sites / sizeof process->old_sites[0]) {
        reload_answer(
            process, request, false,
            "too many earlier configurations still have connections; drain or close them first");
        log_event(process->log, LOG_LEVEL_ERROR, "reload_refused",
                  log_text("error", "too many earlier configurations still have connections"));
        return false;
    }
    struct config_errors *errors = calloc(1, sizeof *errors);
    const struct config *config =
        errors == NULL ? NULL : files_config_open(process->config_path, errors);
    if (config == NULL) {
        if (errors != NULL) {
            errors_report(process, request, errors);
        }
        free(errors);
        return false;
    }
    free(errors);
    struct site *site = site_open(process, config, process->site_number + 1, process->site);
    if (site == NULL || !process_names_set(process, config)) {
        site_close(&site);
        config_close(&config);
        reload_answer(process, request, false, "out of memory");
        return false;
    }
    changes_log(process, config);
    atomic_store(&site->worker_holds, process->worker_count);
    process->reload.site = site;
    process->reload.request = request;
    process->reload.waiting = process->worker_count;
    process->reload.is_active = true;
    process->reload.is_refused = false;
    process_call_all(process, PROCESS_TOKEN_RELOAD, CALL_SITE, (uint64_t)(uintptr_t)site);
    process_names_tell(process);
    return true;
}

void process_reload(struct process *process, uint32_t request) {
    if (process->reload.is_active) {
        reload_answer(process, request, false, "a reload is in progress; try again");
        return;
    }
    notify_reloading();
    if (!reload_begin(process, request)) {
        notify_send("READY=1"); // with the configuration that it has
    }
}

static void limits_apply(struct process *process, const struct config *config) {
    // The total stays: tables were sized from it (config_diff says that it needs a restart).
    struct admission_limits limits = {
        .connections = process->config->admission.connections,
        .per_address = config->admission.per_address,
        .handshakes_per_second = config->admission.handshakes_per_second,
        .handshakes_per_address = config->admission.handshakes_per_address};
    admission_limits_set(process->admission, &limits);
    process_call_all(process, PROCESS_TOKEN_OTHER, CALL_LOG_LEVEL, config->log.level);
    log_level_set(process->log, (enum log_level)config->log.level);
    if (process->admin != NULL) {
        admin_config_set(process->admin, config);
        site_tls_tell(process, process->reload.site);
    }
}

// The result and, a line each, what only a restart will change. `room` holds every sentence.
static void result_print(const struct process *process, const struct config *config,
                         const char *text, char *target, size_t room) {
    struct config_changes changes;
    config_diff(process->config, config, &changes);
    size_t used = (size_t)snprintf(target, room, "%s", text);
    for (uint32_t i = 0; i < changes.count && used < room; i++) {
        if (changes.items[i].needs_restart) {
            used += (size_t)snprintf(target + used, room - used, "\n%s", changes.items[i].sentence);
        }
    }
}

void process_on_site_answer(struct process *process, const struct mail *mail) {
    check(process->reload.is_active && process->reload.waiting > 0);
    process->reload.is_refused = process->reload.is_refused || mail->words[4] != 0;
    process->reload.waiting--;
    if (process->reload.waiting > 0) {
        return;
    }
    process->reload.is_active = false;
    struct site *site = process->reload.site;
    // A worker that had no room keeps the old site for new requests; the next reload brings them
    // together again.
    process->old_sites[process->old_site_count++] = process->site;
    limits_apply(process, site->config);
    const char *text =
        process->reload.is_refused
            ? "not applied on every worker: too many routes of earlier configurations are in use"
            : "reloaded";
    char result[CONFIG_CHANGE_COUNT * RELOAD_SENTENCE_BYTES];
    result_print(process, site->config, text, result, sizeof result);
    process->site = site;
    process->site_number = site->number;
    process->config = site->config;
    log_event(process->log, process->reload.is_refused ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
              "reloaded", log_number("number", site->number), log_text("result", text));
    notify_send("READY=1");
    reload_answer(process, process->reload.request, !process->reload.is_refused, result);
}
