// Sockets and connections of one thread, glued: bytes from link to stage to conn, outputs back,
// deadlines, and the close. Used by a worker for its clients and by the control thread for the
// admin listener. What a connection asks is handed to the owner's `on_ask`, which only queues work
// (conn_*), as does everything here.
#pragma once
#include "core/base/address.h"
#include "core/conn/conn.h"
#include "gateway/config/config.h"
#include "gateway/link/link.h"
#include "gateway/worker/secure.h"

#include <stdbool.h>

struct clients;

struct clients_owner {
    void *context;
    // A new connection, before any of its bytes and behind its PROXY header: false ends it at once
    // without a word.
    bool (*on_open)(void *context, uint32_t index, uint32_t listener);
    void (*on_ask)(void *context, uint32_t index, const struct conn_event *event);
    void (*on_sent)(void *context, uint32_t index); // something of it went out
    // It is over; the last call about it: the owner gives back what it holds for it.
    void (*on_gone)(void *context, uint32_t index);
};

enum {
    BURST_BYTES = 64 << 10,    // of one receive of a client that sends in bursts
    BURSTS_MAX = 4,            // such receives in flight: what they bring stays in the cache
    BURSTS_WAITING_MAX = 1024, // clients that wait for one of them; more use a ring's buffer
};

// What the path of bytes remembers of a connection.
enum clients_bit {
    CLIENTS_BURSTS = 1 << 0, // its last receive filled a buffer
    CLIENTS_WAITS = 1 << 1,  // it is among those that wait for lent memory
    CLIENTS_TLS = 1 << 2,    // secure.h stands between its socket and its connection
    CLIENTS_PROXY = 1 << 3,  // its PROXY header is awaited: nothing of it was fed, on_open not
                             // called
};

struct clients {
    struct link link;
    struct conns conns;
    struct clients_owner owner;
    struct secures *secures; // NULL: no listener has a certificate
    const struct config_proxy *const
        *proxies; // by listener, NULL: none; or NULL. Frozen, the site's
    struct log *log;
    uint64_t complained_ms;            // when a client's bytes were last written about
    uint32_t *links;                   // link_id by connection index
    struct address *addresses;         // by connection index
    uint8_t *bits;                     // by connection index: enum clients_bit
    uint32_t index_peak;               // largest index ever opened
    uint32_t lent_count;               // receives into lent memory in flight
    uint32_t burst_first, burst_count; // ring of those that wait, in order
    struct {
        uint32_t index, generation;
    } bursts[BURSTS_WAITING_MAX];
    uint32_t pieces_sent; // sends since the turn began
};

// A received chunk is fed; what cannot be fed yet is held.
void clients_on_event(struct clients *clients, const struct link_event *event);
// Goes through the touched: sends, reads on, closes. After every batch of work.
void clients_pump(struct clients *clients);
// Expires timers, at most EXPIRIES_MAX.
void clients_expire(struct clients *clients);
// Feeds until the bytes are used up or an answer is awaited; then the rest is held.
void clients_feed(struct clients *clients, uint32_t index, struct span_mut bytes);
// Whether a line about a client's bytes may be logged: one a second, however many there are.
bool clients_may_complain(struct clients *clients);
// clients_proxy.c: whether a new connection has to begin with a PROXY header; it has ended if it
// may not.
bool clients_proxy_wants(struct clients *clients, uint32_t index, uint32_t listener);
struct clients_proxied {
    struct span_mut rest; // what came behind the header; lies in
    uint32_t block;       // the caller's
};
// Bytes of one whose header is awaited. True: it is complete, and its address is the client's.
bool clients_proxy_take(struct clients *clients, uint32_t index, struct span_mut received,
                        struct clients_proxied *proxied);
// Whether that index and generation is a live connection.
bool clients_is_live(const struct clients *clients, uint32_t index, uint32_t generation);
