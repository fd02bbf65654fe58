// The verbs proxy and tunnel: a client's request goes on to a service and its answer comes back,
// both in pieces and in bounded memory; behind a WebSocket handshake, messages both ways. What
// passes is rebuilt from what was parsed: fields that belong to one hop stay there, and who the
// client is says this gateway, not the client. Queues only; never sends. One struct proxy per
// worker.
//
//   client -> conn (RELAY) -> proxy_on_ask -> upstream_send -> service
//   client <- conn_relay_put <- proxy_on_event <- upstreams <- service
//
// Backpressure: a service that does not take its request, or its messages, pauses its own client; a
// client that does not take its answer pauses its own service.
#pragma once
#include "core/base/address.h"
#include "core/base/prng.h"
#include "core/conn/conn.h"
#include "core/ws/reader.h"
#include "gateway/config/config.h"
#include "gateway/tls/peer.h"
#include "gateway/upstream/upstream.h"

struct proxy_relay { // pooled; exists while an exchange is under way
    uint32_t client, generation;
    uint32_t exchange;    // 0: over
    uint32_t queue_bytes; // of the route: what may wait on either side
    uint32_t block;       // of an upgrade: internal.h says what, by the flags
    uint16_t flags;       // enum relay_flag
    uint8_t spare[10];
};
static_assert(sizeof(struct proxy_relay) == 32, "pool element");

struct proxy {
    struct conns *conns;
    struct upstreams *upstreams;
    struct arena *arena;
    const uint8_t *bits; // by connection index: lent
    uint8_t tls_bit;     // of those: the client speaks TLS
    uint32_t *relays;    // by connection index: a pool index, to be compared with what it points to
    struct pool pool;    // struct proxy_relay
    struct prng prng;    // for ids of requests and traces: no secrets
    uint64_t secret_key[2]; // from the entropy seam: of masks and of handshakes' keys
    uint64_t secret_count;
    uint64_t masks; // of which `mask_count` are not used yet
    uint32_t mask_count;
    // All zero between calls: the reader of every tunnel whose service is between two messages.
    struct ws_reader idle_reader;
};

// What is known of who a client is: fields that services are sent, and believe, so that a client's
// own of these names are left out. Lent.
struct proxy_identity {
    struct span names[FORWARD_FIELDS_MAX];
    struct span values[FORWARD_FIELDS_MAX]; // empty: it is not sent
    uint32_t count;
};

struct proxy_ask {
    const struct config *config;
    const struct config_route *route;
    const struct tls_peer *certificate; // that the client showed; NULL: none
    const struct proxy_identity *identity;
    struct address peer;   // who has connected to us
    struct address client; // whose request it is: the peer, or whom it names
    uint16_t settings;     // of the route
    bool is_trusted;       // what the peer says of others is believed
    bool is_upgrade;       // a WebSocket handshake, which passed http_upgrade_check
};
// A request that proxy_ask.route answers: conns->request, in VERDICT. It is relayed, or refused.
void proxy_on_request(struct proxy *proxy, uint32_t index, const struct proxy_ask *ask);
// PIECE of a connection in RELAY.
void proxy_on_ask(struct proxy *proxy, uint32_t index, const struct conn_event *event);
// MESSAGE and CLOSE of a connection that was upgraded by way of a service.
void proxy_on_message(struct proxy *proxy, uint32_t index, const struct conn_event *event);
void proxy_on_close(struct proxy *proxy, uint32_t index, const struct conn_event *event);
// Bytes that nobody outside can foretell (RFC 6455 5.3, 10.3).
uint64_t proxy_secret_next(struct proxy *proxy);
// Something of it went out.
void proxy_on_sent(struct proxy *proxy, uint32_t index);
// The connection is over.
void proxy_on_gone(struct proxy *proxy, uint32_t index);
// For struct upstream_owner; the context is the struct proxy.
void proxy_on_event(void *context, const struct upstream_event *event);
