// What the files of this room share. Not for others.
#pragma once
#include "core/http/writer.h"
#include "gateway/proxy/proxy.h"

enum relay_flag {
    RELAY_SENDS_CHUNKS = 1 << 0,   // the request's body
    RELAY_ANSWERS_CHUNKS = 1 << 1, // the answer's
    RELAY_TO_HEAD = 1 << 2,
    RELAY_IS_OLD = 1 << 3,        // an HTTP/1.0 client: no chunks, no 1xx, and the connection ends
    RELAY_BEGUN = 1 << 4,         // the head is out: the client's body is read
    RELAY_HOLDS_SERVICE = 1 << 5, // it is paused: its client takes no more at present
    RELAY_KEEPS = 1 << 6,         // the head said that the connection stays
    RELAY_UNTIL_END = 1 << 7,     // only the end of the connection ends the answer
    RELAY_UPGRADES = 1 << 8,      // a handshake: `block` is a struct handshake
    RELAY_TUNNEL = 1 << 9,        // after the 101: `block` is a struct ws_reader, or 0
    RELAY_LEAVING = 1 << 10,      // a tunnel without its client: our Close is out, or was answered
    RELAY_PINGED = 1 << 11,       // a tunnel: our ping was not answered
    RELAY_HEARD = 1 << 12,        // a tunnel: something has come since the last alarm
};

static inline struct proxy_relay *relay_at(const struct proxy *proxy, uint32_t relay) {
    return (struct proxy_relay *)pool_at(&proxy->pool, relay);
}
static inline bool relay_has(const struct proxy_relay *relay, enum relay_flag flag) {
    return (relay->flags & flag) != 0;
}
static inline void relay_set(struct proxy_relay *relay, enum relay_flag flag) {
    relay->flags = (uint16_t)(relay->flags | (uint32_t)flag);
}
static inline void relay_clear(struct proxy_relay *relay, enum relay_flag flag) {
    relay->flags = (uint16_t)(relay->flags & ~(uint32_t)flag);
}
// The relay of that connection, or 0.
uint32_t relay_find(const struct proxy *proxy, uint32_t index);
// Its exchange is over, or dropped.
void relay_free(struct proxy *proxy, uint32_t number);
// The exchange cannot go on for the client's or our own sake, before the end of an answer.
void relay_abort(struct proxy *proxy, uint32_t number, const struct fault *fault);
// Whether more than this part of its queue waits for the client.
bool client_is_behind(const struct proxy *proxy, const struct proxy_relay *relay, uint32_t part);

// --- fields.c

// What the Connection fields of a head name; lent from it.
struct hop_options {
    struct span items[CONNECTION_OPTIONS_MAX];
    uint32_t count;
};
void hop_options_read(struct hop_options *options, const struct http_field *fields,
                      uint32_t field_count);
// Fields that belong to one hop (RFC 9110 7.6.1), those that a Connection field of the same head
// names, and those that we write anew.
bool hop_has(const struct hop_options *options, struct span name);

struct handshake;
struct forward {
    const struct http_request *request;
    const struct address *peer;
    const struct handshake *handshake; // or NULL
    struct span authority;             // of a server, for a request without Host
    struct prng *prng;
    const struct tls_peer *certificate;    // that the client showed; NULL: none
    const struct proxy_identity *identity; // NULL: nothing is known
    bool is_trusted;
    bool is_tls; // the client speaks it
};
// The head that goes to the service: a payload, or 0 and *fault.
uint32_t forward_head(struct arena *arena, const struct forward *forward,
                      const struct fault **fault);

struct backward {
    const struct http_response *response;
    struct span date; // for an answer without one
    bool is_to_head;
    bool is_chunked; // its body goes on in chunks
    bool closes;     // the connection ends behind it
};
// The head that goes to the client: a payload, or 0: no memory.
uint32_t backward_head(struct arena *arena, const struct backward *backward);

// --- handshake.c

// In an arena block until the service has answered; the subprotocols offered behind it, as a list.
struct handshake {
    uint8_t key[WEBSOCKET_KEY_BYTES];
    uint32_t offers_bytes;
};
static inline struct handshake *handshake_at(const struct proxy *proxy, uint32_t block) {
    return (struct handshake *)(void *)arena_at(proxy->arena, block);
}
// Of the request, with those of its subprotocols that the route lists. 0: no memory.
uint32_t handshake_open(struct proxy *proxy, const struct http_request *request,
                        const struct config_route *route);
struct span handshake_offers(const struct handshake *handshake);
// Whether this head is a 101 to exactly that (RFC 6455 4.1). NULL: it is, and *subprotocol is its
// choice, in the response.
const struct fault *handshake_check(const struct handshake *handshake,
                                    const struct http_response *response, struct span *subprotocol);

// --- tunnel.c

// The answer to a handshake. False: it is to be relayed like any other.
bool tunnel_on_head(struct proxy *proxy, uint32_t relay, const struct http_response *response);
// RAW, RAW_END, DUE, SENT and FAILED of a tunnel.
void tunnel_on_event(struct proxy *proxy, uint32_t relay, const struct upstream_event *event);
// Its client's connection is over.
void tunnel_on_gone(struct proxy *proxy, uint32_t relay);
