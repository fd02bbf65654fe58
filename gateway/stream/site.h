// A configuration in use: what workers read to answer requests. Frozen; made by the control thread
// at start and at reload. An older one lives as long as connections that were routed by it.
#pragma once
#include "gateway/config/config.h"
#include "gateway/route/route.h"

#include <stdatomic.h>
#include <stdint.h>

struct tls_context;
struct tls_dialer;
struct jwt_keys;

struct site {
    const struct config *config;
    struct route_table *routes;
    struct tls_context *tls[LISTENERS_MAX]; // by listener, in the order they were opened; NULL:
                                            // plain
    const struct config_proxy *proxies[LISTENERS_MAX]; // by listener, as tls; NULL: none
    struct tls_dialer *dialers[UPSTREAMS_MAX];         // of config->upstreams; NULL: none by https
    struct tls_dialer *system_dialer; // of those who trust the system's authorities
    struct jwt_keys *keys[AUTHS_MAX]; // of config->auths
    uint32_t number;                  // 1 for the first, counting reloads
    _Atomic uint32_t *route_open;     // connections per route, all workers (admission)
    _Atomic uint32_t
        worker_holds; // workers that still have connections of it or use it for new ones
};
