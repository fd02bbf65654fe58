// What a reload changes, and what only a restart can change. Pure comparison of two frozen
// configurations.
#pragma once
#include "gateway/config/config.h"

enum config_change_id {
    CONFIG_CHANGE_LISTENERS,
    CONFIG_CHANGE_TLS,          // certificates, keys, versions
    CONFIG_CHANGE_TLS_PRESENCE, // which listeners have it
    CONFIG_CHANGE_PROXY,        // whose PROXY headers are believed
    CONFIG_CHANGE_ADMIN,
    CONFIG_CHANGE_TOKEN,
    CONFIG_CHANGE_WORKERS,
    CONFIG_CHANGE_CONNECTIONS,
    CONFIG_CHANGE_ADMISSION, // per_address, header, handshake, handshakes_per_second
    CONFIG_CHANGE_WORKER_QUEUE,
    CONFIG_CHANGE_KERNEL,
    CONFIG_CHANGE_ENGINE,
    CONFIG_CHANGE_TRUSTED,
    CONFIG_CHANGE_UPSTREAMS,
    CONFIG_CHANGE_AUTH,   // with the keys in its files
    CONFIG_CHANGE_ROUTES, // and everything that is merged into them
    CONFIG_CHANGE_DRAIN,
    CONFIG_CHANGE_LOG_LEVEL,
    CONFIG_CHANGE_LOG_FORMAT,
    CONFIG_CHANGE_COUNT,
};

struct config_change {
    const char *sentence; // constant text
    uint8_t part;         // enum config_change_id
    bool needs_restart;
};

struct config_changes {
    struct config_change items[CONFIG_CHANGE_COUNT];
    uint32_t count; // 0: nothing changed
};

// Fills `changes` (the caller's) with one row per part that differs, in the order of the enum.
void config_diff(const struct config *old, const struct config *new,
                 struct config_changes *changes);

// Whether two routes do the same, wherever they stand in their files: then the connections of the
// one may be counted as the other's.
bool config_route_is_equal(const struct config_route *a, const struct config_route *b);
