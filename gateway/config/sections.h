// The sections of the file: limits, keepalive, backpressure, engine, log; listeners, admin,
// trusted; routes. Each read by its table, on top of defaults. Inside this room only.
#pragma once
#include "gateway/config/schema.h"

// limits: some hold for the process, the others for each route.
struct config_limits_section {
    struct config_limits route;
    struct config_admission process;
};

struct config_backpressure_section {
    struct config_backpressure route;
    uint64_t kernel_bytes;
    uint64_t worker_queue_bytes;
};

extern const struct schema config_schema_limits;
extern const struct schema config_schema_limits_route;
extern const struct schema config_schema_keepalive;
extern const struct schema config_schema_backpressure;
extern const struct schema config_schema_backpressure_route;
extern const struct schema config_schema_compression;
extern const struct schema config_schema_engine;
extern const struct schema config_schema_log;

struct config_log_section {
    uint8_t level;  // enum log_level
    uint8_t format; // 0: text, 1: json
};

// What routes fall back to.
struct config_defaults {
    struct config_limits_section limits;
    struct config_keepalive keepalive;
    struct config_backpressure_section backpressure;
    struct config_compression compression;
    bool is_sound; // false: the values are not what the file says, and not to be compared
};

struct config_defaults config_defaults_initial(void);

// Reads `keepalive`; a pong that the map does not say is lowered to half of its ping.
bool config_keepalive_read(struct config_reader *reader, const struct config_node *map,
                           struct config_keepalive *keepalive);

// Reads `compression`, a map or `false`, on top of what *compression is. A map turns it on.
void config_compression_read(struct config_reader *reader, const struct config_node *node,
                             struct config_compression *compression);

// Each fills its part of *config; errors are added.
void config_listeners_read(struct config_reader *reader, const struct config_node *list,
                           struct config *config);
// The contents of the file that the node names, lent until the next call. False: an error was
// added.
bool config_file_load(struct config_reader *reader, const char *name,
                      const struct config_node *node, struct span *bytes);
// The same, kept with the configuration; nothing where no node is.
void config_file_keep(struct config_reader *reader, const char *name,
                      const struct config_node *node, struct span *bytes);
void config_tls_read(struct config_reader *reader, const struct config_node *map,
                     struct config_tls *tls);
void config_admin_read(struct config_reader *reader, const struct config_node *map,
                       struct config *config);
void config_trusted_read(struct config_reader *reader, const struct config_node *list,
                         struct config *config);
void config_routes_read(struct config_reader *reader, const struct config_node *list,
                        const struct config_defaults *defaults, struct config *config);

void config_upstreams_read(struct config_reader *reader, const struct config_node *map,
                           struct config *config);
// upstream_servers.c: its `servers`.
void config_servers_read(struct config_reader *reader, const struct config_node *list,
                         struct config_upstream *upstream);
// upstream_tls.c: its `ca`, `certificate` and `key`; behind its servers.
struct config_upstream_tls_section {
    const struct config_node *ca, *certificate, *key;
};
void config_upstream_tls_read(struct config_reader *reader,
                              const struct config_upstream_tls_section *section,
                              struct config *config, struct config_upstream *upstream);
void config_health_read(struct config_reader *reader, const struct config_node *map,
                        struct config_health *health);
// auth_forward.c: the name of a header that a service is sent or says. False: an error was added.
bool config_passed_name_read(struct config_reader *reader, const char *key,
                             const struct config_node *node);
// One server, as one of them is written: NULL, or what is wrong with the text.
const char *config_server_read(struct config_reader *reader, struct span text,
                               struct config_server *server);
// The number of the upstream that the node names. False: an error was added.
bool config_upstream_find(struct config_reader *reader, const struct config_node *node,
                          const struct config *config, uint16_t *upstream);
void config_auths_read(struct config_reader *reader, const struct config_node *map,
                       struct config *config);
// auth_forward.c: `forward` of one of them; adds its service to the upstreams, which are read.
void config_auth_forward_read(struct config_reader *reader, const struct config_node *map,
                              struct config_auth *auth, struct config *config);
// What the node names, among those that were read; the route's other keys are read.
void config_route_auth_read(struct config_reader *reader, const struct config_node *node,
                            const struct config *config, struct config_route *route);
bool config_is_token(struct span text); // RFC 9110 5.6.2

// One route's lists: origins, subprotocols, host.
void config_origins_read(struct config_reader *reader, const struct config_node *list,
                         struct config_origins *origins);
void config_subprotocols_read(struct config_reader *reader, const struct config_node *list,
                              struct config_spans *subprotocols);
bool config_host_read(struct config_reader *reader, const struct config_node *node,
                      struct span *host);

// Values that do not fit together, where one of them is written in one of the set's maps.
struct config_limits_set {
    const struct config_node *limits_map, *keepalive_map, *backpressure_map; // or NULL
    const struct config_limits *limits;
    const struct config_keepalive *keepalive;
    const struct config_backpressure *backpressure;
    uint64_t worker_queue_bytes;
};
void config_check_limits(struct config_reader *reader, const struct config_limits_set *set);
// Routes that no request can reach.
void config_check_routes(struct config_reader *reader, const struct config *config);
void config_check_addresses(struct config_reader *reader, const struct config *config);
