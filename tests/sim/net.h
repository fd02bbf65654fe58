// The network of the simulator as clients and services see it: connections to the gateway's
// listeners, and from the gateway to services; bytes that travel in order, bounded windows, ends
// and resets. The gateway's side of it is seen through io.h alone (sim_io.c). The admin API is
// reached the same way: connect to sim->admin and speak HTTP.
//
// Nothing calls back within a call of the client's: what happens is an event of its own, later.
//
//   net_connect --> CONNECTING --(NET_CONNECTED)--> OPEN --net_finish--> FINISHED (still receives)
//                       |                            |                     |
//                       '-(NET_REFUSED)-> GONE <-----+---------------------+
//                                                 net_close, net_reset, or (NET_RESET)
//
// The gateway's FIN is told by NET_END, in any state but GONE; the connection stays as it is until
// the client closes it. After GONE the number is dead: no event comes, calls do nothing.
#pragma once
#include "core/base/address.h"

#include <stdbool.h>
#include <stdint.h>

struct sim;

enum net_event {
    NET_CONNECTED, // the connection stands (it may still wait in the backlog)
    NET_REFUSED,   // nobody listens there, or the backlog is full
    NET_READABLE,  // bytes have arrived: net_receive until it returns 0. By edges: told once for
                   // what has arrived since it last returned 0
    NET_WRITABLE,  // after net_send took less than it was given: there is room again
    NET_END,       // the gateway's FIN has arrived, behind all its bytes (some may be unread)
    NET_RESET,     // the connection was reset; what had arrived can still be received in this event
    NET_EVENT_COUNT
};

enum net_state { NET_CONNECTING, NET_OPEN, NET_FINISHED, NET_GONE };

struct net_client {
    void (*on_event)(struct sim *sim, void *context, uint32_t connection, enum net_event event);
    void *context;
};

struct net_options {
    struct address from; // its port 0: one is chosen
    struct address to;   // sim->listeners[i] or sim->admin
    // What the two directions hold, bytes; 0: the seed chooses (window_small, or 64 KiB).
    uint32_t to_gateway_bytes; // sent and not yet received by the gateway
    uint32_t to_client_bytes;  // sent by the gateway and not yet received by the client
    uint32_t latency_us;       // of a hop, one way, before jitter; 0: the seed chooses
};

// Somebody to whom the gateway connects. Asked as a connection arrives; it speaks from then on as
// `client` says, with the calls below: it is the other end of the connection, as a client is.
enum net_answer {
    NET_ACCEPTS, // NET_CONNECTED follows
    NET_REFUSES,
    NET_IGNORES, // nobody ever answers
};
struct net_service {
    struct address address;
    enum net_answer (*on_dial)(struct sim *sim, void *context, uint32_t connection,
                               struct net_client *client);
    void *context;
};
void net_serve(struct sim *sim, const struct net_service *service);

enum { NET_NONE = 0 }; // no connection has this number

// The storm is over: what it narrowed is as wide as others. 81 bytes a hop of 25 ms would take
// longer than SIM_CALM_US for 300 KB that a service has still to send.
// Whoever waits for room learns of it as before, when bytes are taken.
void net_calm(struct sim *sim);

// Begins to connect. The connection's number (never reused within a world); its events begin later.
uint32_t net_connect(struct sim *sim, const struct net_options *options, struct net_client client);
// Sends as many of the bytes as the window takes; they arrive in order, later, in pieces of any
// size. Returns how many that were: 0 when not OPEN or full.
uint32_t net_send(struct sim *sim, uint32_t connection, const void *bytes, uint32_t length);
uint32_t net_send_room(const struct sim *sim, uint32_t connection);
// Takes what has arrived, in order, at most `length`. 0: nothing there.
uint32_t net_receive(struct sim *sim, uint32_t connection, void *bytes, uint32_t length);
// What has arrived and was not taken. A client that does not read simply leaves it: the gateway's
// sends then wait for room.
uint32_t net_arrived(const struct sim *sim, uint32_t connection);
bool net_has_ended(const struct sim *sim, uint32_t connection); // NET_END was told
enum net_state net_state(const struct sim *sim, uint32_t connection);
// FIN behind what was sent; goes on receiving.
void net_finish(struct sim *sim, uint32_t connection);
// FIN behind what was sent, and no more receiving: what arrives from now on is answered by a reset,
// as is what has arrived and was not taken. GONE.
void net_close(struct sim *sim, uint32_t connection);
// RST at once: what is on the way in either direction is lost. GONE.
void net_reset(struct sim *sim, uint32_t connection);
// The client's machine is off: nothing it does or is sent has an effect any more, and the gateway
// is told nothing. Its own sends fail silently. GONE, without FIN or RST.
void net_vanish(struct sim *sim, uint32_t connection);
// Totals of one connection since it began, for laws: bytes taken by the client, and by the gateway.
uint64_t net_bytes_to_client(const struct sim *sim, uint32_t connection);
uint64_t net_bytes_to_gateway(const struct sim *sim, uint32_t connection);
// Whether the gateway's end has been reset, by the other end or by the network.
bool net_is_reset(const struct sim *sim, uint32_t connection);
// Whether the gateway has accepted it (its accept completion was made).
bool net_is_accepted(const struct sim *sim, uint32_t connection);
