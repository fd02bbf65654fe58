// The proxy verb: a client's request goes on to a service and its answer comes back, both in pieces
// and in bounded memory. What passes is rebuilt from what was parsed: fields that belong to one hop
// stay there, and who the client is says this gateway, not the client. Queues only; never sends.
// One struct proxy per worker.
//
//   client -> conn (RELAY) -> proxy_on_ask -> upstream_send -> service
//   client <- conn_relay_put <- proxy_on_event <- upstreams <- service
//
// Backpressure: a service that does not take its request pauses its own client; a client that does
// not take its answer pauses its own service.
#pragma once
#include "core/base/address.h"
#include "core/base/prng.h"
#include "core/conn/conn.h"
#include "gateway/config/config.h"
#include "gateway/upstream/upstream.h"

struct proxy_relay { // pooled; exists while an exchange is under way
    uint32_t client, generation;
    uint32_t exchange;    // 0: over
    uint32_t queue_bytes; // of the route: what may wait on either side
    uint8_t flags;        // enum in proxy.c
    uint8_t spare[15];
};
static_assert(sizeof(struct proxy_relay) == 32, "pool element");

struct proxy {
    struct conns *conns;
    struct upstreams *upstreams;
    struct arena *arena;
    struct address *addresses; // by connection index
    const uint8_t *bits;       // by connection index: lent
    uint8_t tls_bit;           // of those: the client speaks TLS
    uint32_t *relays; // by connection index: a pool index, to be compared with what it points to
    struct pool pool; // struct proxy_relay
    struct prng prng; // for ids of requests and traces: no secrets
};

struct proxy_ask {
    const struct config *config;
    const struct config_route *route;
    uint16_t settings; // of the route
    bool is_trusted;   // what this peer says of others is believed
};
// A request that proxy_ask.route answers: conns->request, in VERDICT. It is relayed, or refused.
void proxy_on_request(struct proxy *proxy, uint32_t index, const struct proxy_ask *ask);
// PIECE of a connection in RELAY.
void proxy_on_ask(struct proxy *proxy, uint32_t index, const struct conn_event *event);
// Something of it went out.
void proxy_on_sent(struct proxy *proxy, uint32_t index);
// The connection is over.
void proxy_on_gone(struct proxy *proxy, uint32_t index);
// For struct upstream_owner; the context is the struct proxy.
void proxy_on_event(void *context, const struct upstream_event *event);
