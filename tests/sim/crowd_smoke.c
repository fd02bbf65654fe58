// A first crowd: clients of the echo route that say something, read it back and go.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/span.h"
#include "tests/sim/laws.h"

enum { SMOKE_CLIENTS = 16, SMOKE_MESSAGES = 20, SMOKE_BYTES = 4096 };

struct smoke {
    uint32_t index, connection, sent, rounds;
    uint8_t out[SMOKE_BYTES];
    uint32_t out_bytes, out_done;
    bool is_done;
};
static struct smoke smokes[SMOKE_CLIENTS];

const char *laws_config(struct sim *sim) {
    (void)sim;
    return "listeners:\n  - address: 127.0.0.1:8080\nadmin: {address: 127.0.0.1:9090}\nworkers: 2\n"
           "limits: {connections: 64}\nengine: {slots: 128, buffers: 16}\n"
           "log: {level: debug}\n"
           "backpressure: {worker_queue: 1MiB}\n"
           "routes:\n  - {path: /echo, echo: {}}\n";
}

static void pump(struct sim *sim, struct smoke *smoke) {
    while (smoke->out_done < smoke->out_bytes) {
        uint32_t taken = net_send(sim, smoke->connection, smoke->out + smoke->out_done,
                                  smoke->out_bytes - smoke->out_done);
        if (taken == 0) {
            return;
        }
        smoke->out_done += taken;
    }
    smoke->out_done = 0;
    smoke->out_bytes = 0;
}

static void say(struct sim *sim, struct smoke *smoke) {
    uint8_t frame[8] = {0x81, 0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2};
    if (smoke->sent++ < SMOKE_MESSAGES && smoke->out_bytes + 8 <= SMOKE_BYTES) {
        memcpy(smoke->out + smoke->out_bytes, frame, 8);
        smoke->out_bytes += 8;
        pump(sim, smoke);
    } else if (smoke->sent > SMOKE_MESSAGES) {
        smoke->is_done = true;
        net_close(sim, smoke->connection);
    }
}

static void start(struct sim *sim, void *context, uint64_t argument);

static void on_event(struct sim *sim, void *context, uint32_t connection, enum net_event event) {
    struct smoke *smoke = context;
    uint8_t bytes[512];
    uint32_t got;
    switch (event) {
    case NET_CONNECTED:
        smoke->out_bytes = (uint32_t)snprintf(
            (char *)smoke->out, SMOKE_BYTES,
            "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        pump(sim, smoke);
        return;
    case NET_READABLE:
        while ((got = net_receive(sim, connection, bytes, sizeof bytes)) > 0) {
            say(sim, smoke);
        }
        return;
    case NET_WRITABLE:
        pump(sim, smoke);
        return;
    default:
        if (event == NET_END) {
            net_close(sim, connection);
        }
        if (!smoke->is_done) {
            sim_after(sim, 1000, start, smoke, 0);
        }
    }
}

static void start(struct sim *sim, void *context, uint64_t argument) {
    (void)argument;
    struct smoke *smoke = context;
    struct net_options options = {.to = sim->listeners[0]};
    (void)address_parse_ip(span_text("127.0.0.9"), &options.from);
    smoke->sent = 0;
    smoke->out_bytes = 0;
    smoke->out_done = 0;
    smoke->connection =
        net_connect(sim, &options, (struct net_client){.on_event = on_event, .context = smoke});
}

void laws_open(struct sim *sim) {
    for (uint32_t i = 0; i < SMOKE_CLIENTS; i++) {
        smokes[i] = (struct smoke){.index = i};
        sim_after(sim, prng_below(&sim->client_prng, 5000), start, &smokes[i], 0);
    }
}

void laws_calm(struct sim *sim) {
    (void)sim;
}

bool laws_are_done(const struct sim *sim) {
    (void)sim;
    bool is_done = true;
    for (uint32_t i = 0; i < SMOKE_CLIENTS; i++) {
        is_done = is_done && smokes[i].is_done;
    }
    return is_done;
}

void laws_end(struct sim *sim) {
    (void)sim;
}

void laws_close(struct sim *sim) {
    (void)sim;
}
