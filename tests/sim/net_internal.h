// What net.c (the clients' end) and net_gateway.c share.
#pragma once
#include "gateway/io/io.h"
#include "tests/sim/net_gateway.h"

enum { NET_LISTENERS_MAX = 64, NET_SERVICES_MAX = 8 };
enum direction { UP, DOWN }; // to the gateway, to the client

struct pipe {
    uint8_t *data; // a circle of `size` bytes, which grows as far as the window
    uint32_t size, capacity;
    uint64_t read, arrived, written; // positions since the beginning
    bool fin_written, fin_arrived;
    bool is_narrow;     // until the storm is over (window_small)
    bool has_hop;       // one is under way
    bool writer_waits;  // a write took less than it was given
    bool has_room_told; // an event that tells of room is under way
    bool is_told;       // DOWN: the client knows of what has arrived
};

struct connection {
    struct net_client client;
    struct net_options options;
    struct pipe pipes[2];
    struct io *io;
    uint32_t number, listener;
    uint8_t state;      // enum net_state
    bool is_accepted;   // the gateway has taken it
    bool is_gone;       // the gateway has closed it, or never took it
    bool is_reset;      // the gateway's end: a reset has arrived
    bool is_reset_told; // and was received
    bool is_vanished;   // the client's machine is off
    bool is_end_told;
    bool is_dialled; // the gateway connects it: the other end is a service
};

struct listener {
    struct address address;
    struct io *io;
    uint32_t backlog_max;
    uint32_t *backlog; // numbers, oldest first
    uint32_t count, room;
    bool is_open;
};

struct net {
    struct connection **connections; // by number; [0] unused
    uint32_t count, room;
    struct net_service services[NET_SERVICES_MAX];
    uint32_t service_count;
    struct listener listeners[NET_LISTENERS_MAX];
    uint32_t listener_count;
};

// A new one, whose pipes are open. Nothing is under way.
struct connection *net_add(struct sim *sim, const struct net_options *options,
                           struct net_client client);
uint64_t net_latency(struct sim *sim, const struct connection *connection); // of a hop, now
void net_tell(struct sim *sim, struct connection *connection, enum net_event event);
struct connection *net_get(const struct sim *sim, uint32_t number);
uint32_t net_pipe_write(struct pipe *pipe, struct span bytes);
uint32_t net_pipe_read(struct pipe *pipe, struct span_mut target);
// Sends what was written on its way, if nothing of it is under way already.
void net_hop(struct sim *sim, struct connection *connection, enum direction direction);
// Something was read: a writer that waits is told, later.
void net_room(struct sim *sim, struct connection *connection, enum direction direction);
void net_reset_client(struct sim *sim, struct connection *connection);
// Once both ends are done with it, its bytes are not needed any more.
void net_bury(struct connection *connection);
