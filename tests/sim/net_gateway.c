// The gateway's end of the network: listeners with their backlogs, and what io.h's operations do.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/net_internal.h"

uint32_t net_level(const struct sim *sim, uint32_t number) {
    const struct connection *connection = net_get(sim, number);
    const struct pipe *up = &connection->pipes[UP];
    if (connection->is_reset) {
        return IO_POLL_IN | IO_POLL_HANGUP | IO_POLL_ERROR;
    }
    uint32_t bits = up->arrived > up->read ? IO_POLL_IN : 0;
    return up->fin_arrived ? bits | IO_POLL_IN | IO_POLL_HANGUP : bits;
}

int32_t net_gateway_receive(struct sim *sim, uint32_t number, struct span_mut target) {
    struct connection *connection = net_get(sim, number);
    struct pipe *up = &connection->pipes[UP];
    // As Linux does: what had arrived before the reset is received before it is told.
    if (connection->is_reset && up->arrived == up->read) {
        bool is_first = !connection->is_reset_told;
        connection->is_reset_told = true;
        return is_first ? -ECONNRESET : 0;
    }
    uint32_t taken = net_pipe_read(up, target);
    if (taken > 0) {
        net_room(sim, connection, UP);
        return (int32_t)taken;
    }
    return up->fin_arrived ? 0 : -EAGAIN;
}

uint32_t net_gateway_arrived(const struct sim *sim, uint32_t number) {
    const struct pipe *up = &net_get(sim, number)->pipes[UP];
    return (uint32_t)(up->arrived - up->read);
}

int32_t net_gateway_send(struct sim *sim, uint32_t number, struct span bytes) {
    struct connection *connection = net_get(sim, number);
    check(!connection->is_gone);
    if (connection->is_reset) {
        return sim_below(sim, 2) == 0 ? -EPIPE : -ECONNRESET;
    }
    uint32_t taken = net_pipe_write(&connection->pipes[DOWN], bytes);
    net_hop(sim, connection, DOWN);
    return (int32_t)taken;
}

void net_gateway_close(struct sim *sim, uint32_t number) {
    struct connection *connection = net_get(sim, number);
    check(!connection->is_gone);
    connection->is_gone = true;
    if (connection->state == NET_CONNECTING) { // dialled, and nobody has answered
        connection->state = NET_GONE;
        net_bury(connection);
        return;
    }
    if (net_gateway_arrived(sim, number) > 0 && !connection->is_reset) {
        net_reset_client(sim, connection);
    }
    connection->pipes[DOWN].fin_written = true;
    net_hop(sim, connection, DOWN);
    net_bury(connection);
}

struct address net_client_address(const struct sim *sim, uint32_t number) {
    return net_get(sim, number)->options.from;
}

uint32_t net_gateway_open_count(const struct sim *sim) {
    uint32_t count = 0;
    for (uint32_t i = 1; i < sim->net->count; i++) {
        const struct connection *connection = sim->net->connections[i];
        count += connection->is_accepted && !connection->is_gone;
    }
    return count;
}

uint32_t net_listen(struct sim *sim, const struct address *address, struct io *io,
                    uint32_t backlog_max) {
    struct net *net = sim->net;
    check(net->listener_count < NET_LISTENERS_MAX);
    net->listeners[net->listener_count] = (struct listener){
        .address = *address, .io = io, .backlog_max = backlog_max, .is_open = true};
    return net->listener_count++;
}

struct address net_listener_address(const struct sim *sim, int listener) {
    return sim->net->listeners[listener].address;
}

bool net_is_listening(const struct sim *sim, const struct address *address) {
    for (uint32_t i = 0; i < sim->net->listener_count; i++) {
        const struct listener *listener = &sim->net->listeners[i];
        if (listener->is_open && memcmp(&listener->address, address, sizeof *address) == 0) {
            return true;
        }
    }
    return false;
}

bool net_has_backlog(const struct sim *sim, uint32_t listener) {
    return sim->net->listeners[listener].count > 0;
}

uint32_t net_accept(struct sim *sim, uint32_t number) {
    struct listener *listener = &sim->net->listeners[number];
    if (listener->count == 0) {
        return NET_NONE;
    }
    uint32_t accepted = listener->backlog[0];
    listener->count--;
    memmove(listener->backlog, listener->backlog + 1, listener->count * sizeof(uint32_t));
    net_get(sim, accepted)->is_accepted = true;
    return accepted;
}

void net_listener_close(struct sim *sim, uint32_t number) {
    struct listener *listener = &sim->net->listeners[number];
    listener->is_open = false;
    for (uint32_t i = 0; i < listener->count; i++) {
        struct connection *connection = net_get(sim, listener->backlog[i]);
        connection->is_gone = true;
        net_reset_client(sim, connection);
    }
    listener->count = 0;
}
