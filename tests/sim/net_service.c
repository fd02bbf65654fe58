// Connections that the gateway begins: who answers at an address, and how the gateway hears of it.
#include <errno.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/net_internal.h"

enum { WINDOW_FEW_BYTES = 2048 };

void net_serve(struct sim *sim, const struct net_service *service) {
    struct net *net = sim->net;
    check(net->service_count < NET_SERVICES_MAX);
    net->services[net->service_count++] = *service;
}

static const struct net_service *service_find(const struct net *net,
                                              const struct address *address) {
    for (uint32_t i = 0; i < net->service_count; i++) {
        if (memcmp(&net->services[i].address, address, sizeof *address) == 0) {
            return &net->services[i];
        }
    }
    return NULL;
}

// The answer has come back to the gateway.
static void on_answer(struct sim *sim, void *context, uint64_t is_accepted) {
    struct connection *connection = context;
    if (!connection->is_gone) {
        bool is_reset = is_accepted != 0 && connection->is_reset;
        int32_t result = is_reset ? -ECONNRESET : is_accepted != 0 ? 0 : -ECONNREFUSED;
        sim_io_on_connected(sim, connection->io, connection->number, result);
    }
}

static void on_syn(struct sim *sim, void *context, uint64_t argument) {
    (void)argument;
    struct connection *connection = context;
    if (connection->state != NET_CONNECTING) {
        return; // the gateway gave it up
    }
    const struct net_service *service = service_find(sim->net, &connection->options.to);
    enum net_answer answer =
        service == NULL
            ? NET_REFUSES
            : service->on_dial(sim, service->context, connection->number, &connection->client);
    if (answer == NET_IGNORES) {
        return;
    }
    bool is_accepted = answer == NET_ACCEPTS;
    sim_after(sim, net_latency(sim, connection), on_answer, connection, is_accepted);
    connection->state = is_accepted ? NET_OPEN : NET_GONE;
    if (is_accepted) {
        net_tell(sim, connection, NET_CONNECTED);
    }
}

uint32_t net_dial(struct sim *sim, const struct address *to, struct io *io) {
    struct net_options options = {.to = *to};
    // Some services hold little, so that the gateway has to wait for them.
    options.to_client_bytes = sim_below(sim, 3) == 0 ? WINDOW_FEW_BYTES : 0;
    struct connection *connection = net_add(sim, &options, (struct net_client){.context = NULL});
    connection->io = io;
    connection->is_accepted = true; // it has a slot, from now on until that is closed
    connection->is_dialled = true;
    sim_after(sim, net_latency(sim, connection), on_syn, connection, 0);
    return connection->number;
}
