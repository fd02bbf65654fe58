// Bytes, ends and resets between clients and the gateway. Each direction is a bounded pipe: what is
// written travels in hops, one under way at a time, so that bytes stay in order; a reset overtakes.
#include "tests/sim/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/io/io.h"
#include "tests/sim/net_internal.h"

enum { WINDOW_BYTES = 64 << 10, PIPE_BYTES_MIN = 4096, PORT_FIRST = 20000 };

struct net *net_open(void) {
    struct net *net = calloc(1, sizeof *net);
    check(net != NULL);
    net->count = 1;
    return net;
}

void net_shut(struct net **net) {
    for (uint32_t i = 1; i < (*net)->count; i++) {
        free((*net)->connections[i]->pipes[UP].data);
        free((*net)->connections[i]->pipes[DOWN].data);
        free((*net)->connections[i]);
    }
    for (uint32_t i = 0; i < (*net)->listener_count; i++) {
        free((*net)->listeners[i].backlog);
    }
    free((void *)(*net)->connections);
    free(*net);
    *net = NULL;
}

void net_calm(struct sim *sim) {
    for (uint32_t i = 1; i < sim->net->count; i++) {
        for (uint32_t j = 0; j < 2; j++) {
            struct pipe *pipe = &sim->net->connections[i]->pipes[j];
            pipe->capacity = pipe->is_narrow ? WINDOW_BYTES : pipe->capacity;
        }
    }
}

struct connection *net_get(const struct sim *sim, uint32_t number) {
    check(number > 0 && number < sim->net->count);
    return sim->net->connections[number];
}

uint64_t net_latency(struct sim *sim, const struct connection *connection) {
    uint32_t base = connection->options.latency_us;
    uint64_t extra = sim_fault(sim, SIM_FAULT_hop_slow) ? 1000000 : 0;
    return base + sim_below(sim, base + 1) + extra;
}

void net_tell(struct sim *sim, struct connection *connection, enum net_event event) {
    sim_record(sim, SIM_RECORD_NET, connection->number, event, connection->state);
    connection->client.on_event(sim, connection->client.context, connection->number, event);
}

// --- pipes

static uint32_t pipe_room(const struct pipe *pipe) {
    return pipe->data == NULL ? 0 : pipe->capacity - (uint32_t)(pipe->written - pipe->read);
}

static void pipe_copy_out(const struct pipe *pipe, uint64_t position, uint8_t *target,
                          uint32_t length) {
    uint32_t at = (uint32_t)(position % pipe->size);
    uint32_t first = length < pipe->size - at ? length : pipe->size - at;
    memcpy(target, pipe->data + at, first);
    memcpy(target + first, pipe->data, length - first);
}

static void pipe_copy_in(const struct pipe *pipe, uint64_t position, const uint8_t *bytes,
                         uint32_t length) {
    uint32_t at = (uint32_t)(position % pipe->size);
    uint32_t first = length < pipe->size - at ? length : pipe->size - at;
    memcpy(pipe->data + at, bytes, first);
    memcpy(pipe->data, bytes + first, length - first);
}

// Memory for all of the window at once would be megabytes a connection, most of them never used:
// under ASan that was 48 of the 49 s of contract_slot_fake.
static void pipe_grow(struct pipe *pipe, uint32_t length) {
    uint32_t held = (uint32_t)(pipe->written - pipe->read);
    if (held + length <= pipe->size) {
        return;
    }
    struct pipe larger = *pipe;
    while (larger.size < held + length) {
        larger.size = larger.size < pipe->capacity / 2 ? larger.size * 2 : pipe->capacity;
    }
    larger.data = malloc(larger.size);
    uint8_t *bytes = malloc(held + 1);
    check(larger.data != NULL && bytes != NULL);
    pipe_copy_out(pipe, pipe->read, bytes, held);
    pipe_copy_in(&larger, pipe->read, bytes, held);
    free(bytes);
    free(pipe->data);
    *pipe = larger;
}

uint32_t net_pipe_write(struct pipe *pipe, struct span bytes) {
    uint32_t room = pipe_room(pipe);
    uint32_t taken = bytes.length < room ? bytes.length : room;
    if (taken > 0) {
        pipe_grow(pipe, taken);
        pipe_copy_in(pipe, pipe->written, bytes.data, taken);
        pipe->written += taken;
    }
    pipe->writer_waits = taken < bytes.length;
    return taken;
}

uint32_t net_pipe_read(struct pipe *pipe, struct span_mut target) {
    uint64_t there = pipe->data == NULL ? 0 : pipe->arrived - pipe->read;
    uint32_t taken = target.length < there ? target.length : (uint32_t)there;
    if (taken > 0) {
        pipe_copy_out(pipe, pipe->read, target.data, taken);
        pipe->read += taken;
    }
    return taken;
}

// Both ends are done with it: its bytes are not needed any more.
void net_bury(struct connection *connection) {
    if (connection->is_gone && connection->state == NET_GONE) {
        for (uint32_t i = 0; i < 2; i++) {
            free(connection->pipes[i].data);
            connection->pipes[i].data = NULL;
        }
    }
}

// --- resets

static void on_reset_at_client(struct sim *sim, void *context, uint64_t argument) {
    (void)argument;
    struct connection *connection = context;
    if (connection->state != NET_GONE) {
        connection->state = NET_GONE;
        net_tell(sim, connection, NET_RESET);
    }
    net_bury(connection);
}

static void on_reset_at_gateway(struct sim *sim, void *context, uint64_t argument) {
    (void)argument;
    struct connection *connection = context;
    if (connection->is_gone || connection->is_reset) {
        return;
    }
    connection->is_reset = true;
    sim_record(sim, SIM_RECORD_HOP, connection->number, 0, -ECONNRESET);
    if (connection->is_accepted) {
        sim_io_on_readable(sim, connection->io, connection->number,
                           IO_POLL_IN | IO_POLL_HANGUP | IO_POLL_ERROR);
        sim_io_on_room(sim, connection->io, connection->number);
    }
}

void net_reset_client(struct sim *sim, struct connection *connection) {
    if (!connection->is_vanished) {
        sim_after(sim, net_latency(sim, connection), on_reset_at_client, connection, 0);
    }
}

static void reset_gateway(struct sim *sim, struct connection *connection) {
    sim_after(sim, net_latency(sim, connection), on_reset_at_gateway, connection, 0);
}

void net_cut(struct sim *sim, uint32_t number) {
    struct connection *connection = net_get(sim, number);
    on_reset_at_gateway(sim, connection, 0);
    net_reset_client(sim, connection);
}

// --- hops

static void on_hop(struct sim *sim, void *context, uint64_t argument);

void net_hop(struct sim *sim, struct connection *connection, enum direction direction) {
    struct pipe *pipe = &connection->pipes[direction];
    bool has_more = pipe->arrived < pipe->written || (pipe->fin_written && !pipe->fin_arrived);
    if (!pipe->has_hop && has_more && pipe->data != NULL) {
        pipe->has_hop = true;
        sim_after(sim, net_latency(sim, connection), on_hop, connection, direction);
    }
}

static void on_end_at_client(struct sim *sim, void *context, uint64_t argument) {
    (void)argument;
    struct connection *connection = context;
    if (connection->state != NET_GONE && !connection->is_end_told) {
        connection->is_end_told = true;
        net_tell(sim, connection, NET_END);
    }
    net_bury(connection);
}

static void arrive_at_client(struct sim *sim, struct connection *connection, uint32_t bytes,
                             bool is_end) {
    if (connection->state == NET_GONE) {
        if (bytes > 0) {
            reset_gateway(sim, connection);
        }
        return;
    }
    if (is_end) {
        sim_after(sim, 0, on_end_at_client, connection, 0);
    }
    if (bytes > 0 && !connection->pipes[DOWN].is_told) {
        connection->pipes[DOWN].is_told = true;
        net_tell(sim, connection, NET_READABLE);
    }
}

static void arrive_at_gateway(struct sim *sim, struct connection *connection, uint32_t bytes,
                              bool is_end) {
    if (connection->is_gone) {
        if (bytes > 0) {
            net_reset_client(sim, connection);
        }
        return;
    }
    if (connection->is_accepted) {
        uint32_t bits = IO_POLL_IN | (is_end ? IO_POLL_HANGUP : 0);
        sim_io_on_readable(sim, connection->io, connection->number, bits);
    }
}

static void on_hop(struct sim *sim, void *context, uint64_t argument) {
    struct connection *connection = context;
    struct pipe *pipe = &connection->pipes[argument];
    pipe->has_hop = false;
    bool is_cut = connection->is_vanished || connection->is_reset || pipe->data == NULL ||
                  (argument == DOWN && connection->state == NET_GONE && connection->is_gone);
    if (is_cut) {
        return;
    }
    if (sim_fault(sim, SIM_FAULT_peer_reset)) {
        net_cut(sim, connection->number);
        return;
    }
    uint32_t left = (uint32_t)(pipe->written - pipe->arrived);
    uint32_t bytes = left;
    if (left > 1 && sim_fault(sim, SIM_FAULT_hop_fragment)) {
        bytes = 1;
    } else if (left > 1 && sim_below(sim, 4) == 0) {
        bytes = 1 + sim_below(sim, left);
    }
    pipe->arrived += bytes;
    bool is_end = pipe->fin_written && !pipe->fin_arrived && bytes == left &&
                  (bytes == 0 || sim_fault(sim, SIM_FAULT_receive_after_hangup));
    pipe->fin_arrived = pipe->fin_arrived || is_end;
    sim_record(sim, SIM_RECORD_HOP, connection->number, bytes, (int64_t)(argument * 2 + is_end));
    net_hop(sim, connection, (enum direction)argument);
    if (argument == UP) {
        arrive_at_gateway(sim, connection, bytes, is_end);
    } else {
        arrive_at_client(sim, connection, bytes, is_end);
    }
    net_bury(connection);
}

// --- room

static void on_room(struct sim *sim, void *context, uint64_t argument) {
    struct connection *connection = context;
    struct pipe *pipe = &connection->pipes[argument];
    pipe->has_room_told = false;
    if (argument == DOWN && !connection->is_gone) {
        sim_io_on_room(sim, connection->io, connection->number);
    } else if (argument == UP && connection->state == NET_OPEN) {
        net_tell(sim, connection, NET_WRITABLE);
    }
}

// Something was read: a writer that waits is told, later.
void net_room(struct sim *sim, struct connection *connection, enum direction direction) {
    struct pipe *pipe = &connection->pipes[direction];
    if (pipe->writer_waits && !pipe->has_room_told && !connection->is_vanished) {
        pipe->writer_waits = direction == DOWN;
        pipe->has_room_told = true;
        sim_after(sim, net_latency(sim, connection), on_room, connection, direction);
    }
}

// --- the client's end

static void on_syn(struct sim *sim, void *context, uint64_t argument) {
    (void)argument;
    struct connection *connection = context;
    struct net *net = sim->net;
    uint32_t found[NET_LISTENERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < net->listener_count; i++) {
        const struct listener *listener = &net->listeners[i];
        if (listener->is_open && listener->count < listener->backlog_max &&
            memcmp(&listener->address, &connection->options.to, sizeof listener->address) == 0) {
            found[count++] = i;
        }
    }
    if (connection->state != NET_CONNECTING) {
        return; // it gave up
    }
    if (count == 0) {
        connection->state = NET_GONE;
        connection->is_gone = true;
        net_tell(sim, connection, NET_REFUSED);
        net_bury(connection);
        return;
    }
    connection->state = NET_OPEN;
    connection->listener = found[sim_below(sim, count)];
    struct listener *listener = &net->listeners[connection->listener];
    if (listener->count == listener->room) {
        listener->room = listener->room * 2 + 16;
        listener->backlog = realloc(listener->backlog, listener->room * sizeof(uint32_t));
        check(listener->backlog != NULL);
    }
    listener->backlog[listener->count++] = connection->number;
    connection->io = listener->io;
    sim_io_on_backlog(sim, listener->io, connection->listener);
    net_tell(sim, connection, NET_CONNECTED);
}

static void pipe_open(struct sim *sim, struct pipe *pipe, uint32_t wanted) {
    pipe->is_narrow = wanted == 0 && sim_fault(sim, SIM_FAULT_window_small);
    pipe->capacity = wanted != 0       ? wanted
                     : pipe->is_narrow ? 64 + sim_below(sim, 4096)
                                       : WINDOW_BYTES;
    pipe->size = pipe->capacity < PIPE_BYTES_MIN ? pipe->capacity : PIPE_BYTES_MIN;
    pipe->data = malloc(pipe->size);
    check(pipe->data != NULL);
}

struct connection *net_add(struct sim *sim, const struct net_options *options,
                           struct net_client client) {
    static const uint32_t latencies[] = {30, 30, 200, 2000, 20000};
    struct net *net = sim->net;
    struct connection *connection = calloc(1, sizeof *connection);
    check(connection != NULL);
    if (net->count >= net->room) {
        net->room = net->room * 2 + 64;
        net->connections =
            realloc((void *)net->connections, net->room * sizeof net->connections[0]);
        check(net->connections != NULL);
    }
    *connection = (struct connection){.client = client, .options = *options, .number = net->count};
    if (options->latency_us == 0) {
        connection->options.latency_us = latencies[sim_below(sim, 5)];
    }
    if (options->from.port == 0) {
        connection->options.from.port = (uint16_t)(PORT_FIRST + connection->number % 40000);
    }
    pipe_open(sim, &connection->pipes[UP], options->to_gateway_bytes);
    pipe_open(sim, &connection->pipes[DOWN], options->to_client_bytes);
    net->connections[net->count++] = connection;
    return connection;
}

uint32_t net_connect(struct sim *sim, const struct net_options *options, struct net_client client) {
    struct connection *connection = net_add(sim, options, client);
    sim_after(sim, net_latency(sim, connection), on_syn, connection, 0);
    return connection->number;
}

uint32_t net_send(struct sim *sim, uint32_t number, const void *bytes, uint32_t length) {
    struct connection *connection = net_get(sim, number);
    if (connection->state != NET_OPEN) {
        return 0;
    }
    uint32_t taken = net_pipe_write(&connection->pipes[UP], span_make(bytes, length));
    net_hop(sim, connection, UP);
    return taken;
}

uint32_t net_send_room(const struct sim *sim, uint32_t number) {
    const struct connection *connection = net_get(sim, number);
    return connection->state == NET_OPEN ? pipe_room(&connection->pipes[UP]) : 0;
}

uint32_t net_receive(struct sim *sim, uint32_t number, void *bytes, uint32_t length) {
    struct connection *connection = net_get(sim, number);
    struct pipe *pipe = &connection->pipes[DOWN];
    uint32_t taken = net_pipe_read(pipe, (struct span_mut){.data = bytes, .length = length});
    if (taken > 0) {
        sim_hash(sim, bytes, taken);
        net_room(sim, connection, DOWN);
    }
    pipe->is_told = pipe->read < pipe->arrived;
    return taken;
}

uint32_t net_arrived(const struct sim *sim, uint32_t number) {
    const struct pipe *pipe = &net_get(sim, number)->pipes[DOWN];
    return pipe->data == NULL ? 0 : (uint32_t)(pipe->arrived - pipe->read);
}

bool net_has_ended(const struct sim *sim, uint32_t number) {
    return net_get(sim, number)->is_end_told;
}

enum net_state net_state(const struct sim *sim, uint32_t number) {
    return (enum net_state)net_get(sim, number)->state;
}

void net_finish(struct sim *sim, uint32_t number) {
    struct connection *connection = net_get(sim, number);
    if (connection->state == NET_OPEN) {
        connection->state = NET_FINISHED;
        connection->pipes[UP].fin_written = true;
        net_hop(sim, connection, UP);
    }
}

void net_close(struct sim *sim, uint32_t number) {
    struct connection *connection = net_get(sim, number);
    if (connection->state == NET_CONNECTING) {
        connection->is_gone = true;
    } else if (connection->state != NET_GONE) {
        net_finish(sim, number);
        if (net_arrived(sim, number) > 0) {
            reset_gateway(sim, connection);
        }
    }
    connection->state = NET_GONE;
    net_bury(connection);
}

void net_reset(struct sim *sim, uint32_t number) {
    struct connection *connection = net_get(sim, number);
    if (connection->state == NET_CONNECTING) {
        connection->is_gone = true;
    } else if (connection->state != NET_GONE) {
        reset_gateway(sim, connection);
    }
    connection->state = NET_GONE;
    net_bury(connection);
}

void net_vanish(struct sim *sim, uint32_t number) {
    struct connection *connection = net_get(sim, number);
    connection->is_gone = connection->is_gone || connection->state == NET_CONNECTING;
    connection->is_vanished = true;
    connection->state = NET_GONE;
    net_bury(connection);
}

uint64_t net_bytes_to_client(const struct sim *sim, uint32_t number) {
    return net_get(sim, number)->pipes[DOWN].read;
}

uint64_t net_bytes_to_gateway(const struct sim *sim, uint32_t number) {
    return net_get(sim, number)->pipes[UP].read;
}

bool net_is_accepted(const struct sim *sim, uint32_t number) {
    return net_get(sim, number)->is_accepted;
}

bool net_is_reset(const struct sim *sim, uint32_t number) {
    return net_get(sim, number)->is_reset;
}
