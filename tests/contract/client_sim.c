// Clients in the simulator's network, and its world in place of waiting: nothing moves but by its
// events. No faults here: this shows that the fake keeps the promises, not that it breaks none.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/contract/client.h"
#include "tests/contract/contract.h"
#include "tests/sim/sim_internal.h"
#include "tests/sim/sim_io.h"

enum { MS_US = 1000, CLIENTS_MAX = 4096, EVENTS_MAX = 1000000, SERVERS_MAX = 4 };

static struct {
    uint64_t cover[SIM_COVER_MAX];
    struct sim sim;
    bool is_reset[CLIENTS_MAX];    // by connection: the reset is still to be told
    uint32_t dialled[SERVERS_MAX]; // by server: the newest connection that nobody has accepted
    enum server_manner manners[SERVERS_MAX];
    uint32_t server_count;
} world;

const char *contract_kind(void) {
    return "fake";
}

void contract_begin(void) {
    world.sim.options.cover = world.cover;
    world.sim.now_us = 1000000;
    prng_init(&world.sim.prng, 1);
    world.sim.net = net_open();
    sim_world = &world.sim;
}

void sim_wake(struct sim *sim, struct io *io) {
    (void)sim; // contract_wait looks after every event
    (void)io;
}

// Goes on until `is_over` or until that much time has passed.
static void world_run(uint64_t wait_us, bool (*is_over)(const void *context), const void *context) {
    uint64_t until_us = world.sim.now_us + wait_us;
    for (uint32_t i = 0; i < EVENTS_MAX && !is_over(context); i++) {
        if (!sim_step_until(&world.sim, until_us)) {
            return;
        }
    }
}

static bool never(const void *context) {
    (void)context;
    return false;
}

// As loopback does it: what was sent is there when the call returns.
static void world_settle(void) {
    world_run(MS_US, never, NULL);
}

static bool io_is_due(const void *context) {
    return sim_io_has_due(context);
}

void contract_wait(struct io *io, uint32_t wait_ms) {
    world_run((uint64_t)wait_ms * MS_US, io_is_due, io);
}

static void on_event(struct sim *sim, void *context, uint32_t connection, enum net_event event) {
    (void)sim;
    (void)context;
    if (event == NET_RESET) {
        world.is_reset[connection] = true;
    }
}

static bool is_connected(const void *context) {
    const struct client *client = context;
    return net_state(&world.sim, (uint32_t)client->file) != NET_CONNECTING;
}

static struct client connect_from(const struct address *address, const char *source) {
    struct net_options options = {
        .to = *address, .to_gateway_bytes = 1 << 20, .to_client_bytes = 1 << 20, .latency_us = 10};
    expect(address_parse_ip(span_text(source), &options.from), "core/base");
    struct net_client owner = {.on_event = on_event};
    struct client client = {.file = (int)net_connect(&world.sim, &options, owner)};
    world_run(RIG_WAIT_MS * MS_US, is_connected, &client);
    expect(net_state(&world.sim, (uint32_t)client.file) == NET_OPEN, "refused");
    return client;
}

struct client client_connect(const struct address *address) {
    return connect_from(address, address_is_v4(address) ? "127.0.0.1" : "::1");
}

struct client client_connect_from(const struct address *address, uint32_t source_v4) {
    char text[32];
    (void)snprintf(text, sizeof text, "%u.%u.%u.%u", source_v4 >> 24, source_v4 >> 16 & 255,
                   source_v4 >> 8 & 255, source_v4 & 255); // fits
    return connect_from(address, text);
}

struct client client_connect_unix(const char *path) {
    struct address address = {.kind = ADDRESS_UNIX};
    memcpy(address.ip, path, strlen(path) < 16 ? strlen(path) : 16);
    return connect_from(&address, "127.0.0.1");
}

struct address client_address(struct client client) {
    return net_client_address(&world.sim, (uint32_t)client.file);
}

static bool has_room(const void *context) {
    const struct client *client = context;
    return net_send_room(&world.sim, (uint32_t)client->file) > 0;
}

void client_send(struct client client, const void *bytes, uint32_t length) {
    uint32_t done = 0;
    while (done < length) {
        world_run(RIG_WAIT_MS * MS_US, has_room, &client);
        uint32_t sent = net_send(&world.sim, (uint32_t)client.file, (const uint8_t *)bytes + done,
                                 length - done);
        expect(sent > 0, "sent %u of %u", done, length);
        done += sent;
    }
    world_settle();
}

static bool is_readable(const void *context) {
    uint32_t number = (uint32_t)((const struct client *)context)->file;
    return net_arrived(&world.sim, number) > 0 || net_has_ended(&world.sim, number) ||
           world.is_reset[number];
}

int64_t client_receive(struct client client, void *bytes, uint32_t length, uint32_t wait_ms) {
    uint32_t number = (uint32_t)client.file;
    world_run((uint64_t)wait_ms * MS_US, is_readable, &client);
    uint32_t taken = net_receive(&world.sim, number, bytes, length);
    if (taken > 0) {
        return taken;
    }
    if (world.is_reset[number]) {
        world.is_reset[number] = false;
        return -ECONNRESET;
    }
    return net_has_ended(&world.sim, number) ? 0 : -EAGAIN;
}

void client_finish(struct client client) {
    net_finish(&world.sim, (uint32_t)client.file);
    world_settle();
}

void client_reset(struct client client) {
    net_reset(&world.sim, (uint32_t)client.file);
    world_settle();
}

void client_close(struct client client) {
    net_close(&world.sim, (uint32_t)client.file);
    world_settle();
}

static enum net_answer on_dial(struct sim *sim, void *context, uint32_t connection,
                               struct net_client *client) {
    (void)sim; // there is one
    uint32_t number = (uint32_t)((uint32_t *)context - world.dialled);
    *client = (struct net_client){.on_event = on_event};
    world.dialled[number] = connection;
    return world.manners[number] == SERVER_TAKES ? NET_ACCEPTS : NET_IGNORES;
}

struct server server_open(enum server_manner manner) {
    struct server server = {.file = (int)world.server_count};
    expect(world.server_count < SERVERS_MAX, "too many");
    expect(address_parse_ip(span_text("127.0.0.1"), &server.address), "core/base");
    server.address.port = (uint16_t)(7000 + world.server_count);
    world.manners[world.server_count] = manner;
    struct net_service service = {.address = server.address,
                                  .on_dial = on_dial,
                                  .context = &world.dialled[world.server_count++]};
    if (manner != SERVER_REFUSES) {
        net_serve(&world.sim, &service);
    }
    return server;
}

static bool is_dialled(const void *context) {
    return world.dialled[((const struct server *)context)->file] != NET_NONE;
}

struct client server_accept(const struct server *server) {
    world_run(RIG_WAIT_MS * MS_US, is_dialled, server);
    expect(is_dialled(server), "nobody has connected");
    struct client client = {.file = (int)world.dialled[server->file]};
    world.dialled[server->file] = NET_NONE;
    return client;
}

void server_close(const struct server *server) {
    (void)server; // its connections are the test's
}
