// The network as the fake io sees it: the gateway's end of each connection. For sim_io*.c alone.
#pragma once
#include "core/base/span.h"
#include "tests/sim/sim.h"

struct io; // the fake's

// What can be read off an end, as bits of gateway/io/io.h (IO_POLL_*).
uint32_t net_level(const struct sim *sim, uint32_t connection);
// Bytes taken; 0: the client's FIN; -EAGAIN; -ECONNRESET (once, then 0).
int32_t net_gateway_receive(struct sim *sim, uint32_t connection, struct span_mut target);
uint32_t net_gateway_arrived(const struct sim *sim, uint32_t connection);
// Bytes that went into the window (0: full); -EPIPE or -ECONNRESET.
int32_t net_gateway_send(struct sim *sim, uint32_t connection, struct span bytes);
// FIN behind what was sent; a reset at once if something that has arrived was not received.
void net_gateway_close(struct sim *sim, uint32_t connection);
// The network cuts it: both ends see a reset.
void net_cut(struct sim *sim, uint32_t connection);

// Connects to a service: sim_io_on_connected tells how it went, if anybody answers.
uint32_t net_dial(struct sim *sim, const struct address *to, struct io *io);

// A listener of an io; several may share an address. The number for the calls below.
uint32_t net_listen(struct sim *sim, const struct address *address, struct io *io,
                    uint32_t backlog_max);
struct address net_listener_address(const struct sim *sim, int listener);
bool net_is_listening(const struct sim *sim, const struct address *address);
// The oldest in its backlog, which is accepted by this, or NET_NONE.
uint32_t net_accept(struct sim *sim, uint32_t listener);
bool net_has_backlog(const struct sim *sim, uint32_t listener);
void net_listener_close(struct sim *sim, uint32_t listener);
struct address net_client_address(const struct sim *sim, uint32_t connection);
struct net *net_open(void);
void net_shut(struct net **net);
// At the end: connections whose gateway end was never closed.
uint32_t net_gateway_open_count(const struct sim *sim);

// Implemented by sim_*.c: something can be read, or room has come, at an accepted end.
void sim_io_on_readable(struct sim *sim, struct io *io, uint32_t connection, uint32_t bits);
void sim_io_on_room(struct sim *sim, struct io *io, uint32_t connection);
void sim_io_on_connected(struct sim *sim, struct io *io, uint32_t connection, int32_t result);
void sim_io_on_backlog(struct sim *sim, struct io *io, uint32_t listener);
