// The table of what happened over many worlds.
#include "tests/sim/cover.h"

#include <string.h>

#include "core/conn/internal.h"
#include "gateway/link/link.h"
#include "gateway/process/process.h"
#include "tests/sim/clients.h"

struct cover_table {
    FILE *out;
    const char *reasons;
    uint32_t unexplained;
};

// The rest of the line `group.name ...`, or NULL.
static const char *reason_find(const char *reasons, const char *name, int *length) {
    size_t name_length = strlen(name);
    for (const char *at = reasons; at != NULL && *at != '\0';) {
        const char *end = strchr(at, '\n');
        size_t line = end == NULL ? strlen(at) : (size_t)(end - at);
        if (line > name_length && memcmp(at, name, name_length) == 0 && at[name_length] == ' ') {
            *length = (int)(line - name_length - 1);
            return at + name_length + 1;
        }
        at = end == NULL ? NULL : end + 1;
    }
    return NULL;
}

static void row(struct cover_table *table, const char *group, const char *name, uint64_t count) {
    char full[96];
    (void)snprintf(full, sizeof full, "%s.%s", group, name); // our own short names
    if (count > 0) {
        (void)fprintf(table->out, "  %-40s %llu\n", full, (unsigned long long)count);
        return;
    }
    int length = 0;
    const char *reason = reason_find(table->reasons, full, &length);
    (void)fprintf(table->out, "  %-40s never: %.*s\n", full, reason == NULL ? 1 : length,
                  reason == NULL ? "?" : reason);
    table->unexplained += reason == NULL;
}

static void moves(struct cover_table *table, const uint64_t *cover) {
    for (uint32_t from = 0; from < CONN_STATE_COUNT; from++) {
        for (uint32_t to = 0; to < CONN_STATE_COUNT; to++) {
            char name[40];
            (void)snprintf(name, sizeof name, "%s-%s", conn_state_name((enum conn_state)from),
                           conn_state_name((enum conn_state)to)); // fits
            if (conn_may_move((enum conn_state)from, (enum conn_state)to)) {
                row(table, "conn", name, cover[COVER_MOVES + from * 16 + to]);
            }
        }
    }
    static const char *const states[LINK_STATE_COUNT] = {"free", "open", "stopping", "closing"};
    static const uint8_t arrows[][2] = {{LINK_FREE, LINK_OPEN},
                                        {LINK_OPEN, LINK_STOPPING},
                                        {LINK_STOPPING, LINK_CLOSING},
                                        {LINK_CLOSING, LINK_FREE}};
    for (uint32_t i = 0; i < sizeof arrows / sizeof arrows[0]; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "%s-%s", states[arrows[i][0]],
                       states[arrows[i][1]]); // fits
        row(table, "slot", name, cover[COVER_SLOTS + arrows[i][0] * 8u + arrows[i][1]]);
    }
}

// Only where there is real TLS (sim-tls).
static void tls(struct cover_table *table, const uint64_t *cover) {
    static const char *const sights[COVER_TLS_COUNT] = {"handshake_new", "handshake_old", "resumed",
                                                        "notified", "cut"};
    static const char *const manners[] = {
#define TLS_MANNER(name, alert, text) #name,
#include "tests/sim/tls_manners.h"
#undef TLS_MANNER
    };
    if (cover[COVER_TLS + COVER_TLS_NEW] == 0) {
        return;
    }
    for (uint32_t i = 0; i < COVER_TLS_COUNT; i++) {
        row(table, "tls", sights[i], cover[COVER_TLS + i]);
    }
    for (uint32_t i = 0; i < sizeof manners / sizeof manners[0]; i++) {
        row(table, "tls_manner", manners[i], cover[COVER_TLS_MANNERS + i]);
        row(table, "tls_alert", manners[i], cover[COVER_TLS_ALERTS + i]);
    }
}

uint32_t cover_print(const uint64_t *cover, FILE *out, const char *reasons) {
    struct cover_table table = {.out = out, .reasons = reasons};
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        row(&table, "fault", sim_fault_names[i], cover[COVER_FAULTS + i]);
    }
    for (uint32_t i = 0; i < CLIENT_KIND_COUNT; i++) {
        row(&table, "client", client_names[i], cover[COVER_CLIENTS + i]);
    }
    moves(&table, cover);
    for (uint32_t i = 1; i < FAULT_COUNT; i++) {
        row(&table, "row", fault_get((enum fault_id)i)->name, cover[COVER_ROWS + i]);
    }
    for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
        row(&table, "counter", counter_texts[i].name, cover[COVER_COUNTERS + i]);
    }
    static const char *const events[COVER_EVENT_COUNT] = {"open",    "end",     "reset",
                                                          "refused", "message", "world_done"};
    for (uint32_t i = 0; i < COVER_EVENT_COUNT; i++) {
        row(&table, "client_saw", events[i], cover[COVER_EVENTS + i]);
    }
    static const char *const laws[COVER_LAW_COUNT] = {"echo",
                                                      "code",
                                                      "status",
                                                      "deadline",
                                                      "budget",
                                                      "held_up",
                                                      "isolation",
                                                      "reload",
                                                      "reload_refused",
                                                      "reload_kept",
                                                      "service_answer",
                                                      "service_deed",
                                                      "service_message",
                                                      "auth_in",
                                                      "auth_refused",
                                                      "server_down",
                                                      "server_left",
                                                      "names"};
    for (uint32_t i = 0; i < COVER_LAW_COUNT; i++) {
        row(&table, "law", laws[i], cover[COVER_LAWS + i]);
    }
    tls(&table, cover);
    for (uint32_t status = 100; status < 600; status++) {
        if (cover[COVER_STATUS + status] > 0) {
            (void)fprintf(out, "  status %u: %llu\n", status,
                          (unsigned long long)cover[COVER_STATUS + status]);
        }
    }
    for (uint32_t code = 0; code < 4002; code++) {
        if (cover[COVER_CODES + code] > 0) {
            (void)fprintf(out, "  close code %u: %llu\n", code == 0 ? 0 : code + 999,
                          (unsigned long long)cover[COVER_CODES + code]);
        }
    }
    return table.unexplained;
}
