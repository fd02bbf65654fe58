// Fixed loads on the whole gateway, driven through io.h by the simulator, so that an instruction
// counter sees the same run each time. Each load is one function, guard_NAME: the counter is set to
// zero when it is entered and read when it returns (tests/guard/run). What a load needs beforehand
// happens outside it. One worker, no faults, no laws: tests/sim looks for mistakes, this for
// weight.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/http/upgrade.h"
#include "tests/sim/laws.h"
#include "tests/sim/sim_internal.h"
#include "tests/sim/sim_io.h"

enum {
    CLIENTS = 64,
    ECHO_ROUNDS = 32,
    FANOUT_ROUNDS = 24,
    TUNNEL_ROUNDS = 24,
    PING_INTERVALS = 8,
    SMALL_BYTES = 20,
    LARGE_BYTES = 1024,
    KEY_BYTES = 24, // of Sec-WebSocket-Key
    LATENCY_US = 200,
    EVENTS_MAX = 4000000, // of one load: more means that it hangs
};

static const char CONFIG[] = "listeners:\n"
                             "  - address: 127.0.0.1:8080\n"
                             "admin: {address: \"127.0.0.1:9090\"}\n"
                             "workers: 1\n"
                             "log: {level: warn}\n"
                             "keepalive: {ping: 2s, pong: 1s}\n"
                             "limits: {handshakes_per_second: 1000000}\n"
                             "engine: {slots: 256, buffers: 128, completions: 4096}\n"
                             "upstreams: {mirror: {servers: [\"http://127.0.0.1:8000\"]}}\n"
                             "routes:\n"
                             "  - {path: /echo, echo: {}}\n"
                             "  - {path: /chat, channels: {subscribe: [chat], publish: chat}}\n"
                             "  - {path: /tunnel, tunnel: {upstream: mirror}}\n";

// In the place of core/base/prng.c: no jitter, every delay is the middle one. So the run does not
// depend on how often something was drawn, and the figures move with the code alone.
void prng_init(struct prng *prng, uint64_t seed) {
    prng->state[0] = seed;
}

uint64_t prng_next(struct prng *prng) {
    return prng->state[0];
}

uint32_t prng_below(struct prng *prng, uint32_t bound) {
    check(prng != NULL && bound > 0);
    return bound / 2;
}

struct guest { // one client
    uint32_t connection;
    bool is_open;  // upgraded
    bool is_ended; // the gateway's FIN has come
    uint64_t frames, pings;
    uint32_t have;
    uint8_t bytes[8192];
};

// A WebSocket service's end of a tunnel: it sends every message back.
struct mirror {
    uint32_t connection;
    bool is_open; // upgraded
    uint32_t have;
    uint8_t bytes[8192];
};

struct guard {
    struct sim *sim;
    struct guest guests[CLIENTS];
    struct mirror mirrors[CLIENTS];
    uint32_t mirror_count;
    uint64_t cover[SIM_COVER_MAX];
};
static struct guard guard; // one in a process

static void send_all(struct guest *guest, const void *bytes, uint32_t length) {
    uint32_t sent = net_send(guard.sim, guest->connection, bytes, length);
    check(sent == length); // the windows are larger than any load
}

// A masked frame; the mask is zero, which costs the gateway what any other does.
static void send_frame(struct guest *guest, uint8_t first, const uint8_t *payload,
                       uint32_t length) {
    uint8_t frame[LARGE_BYTES + 8] = {first};
    uint32_t at = 2;
    check(length <= LARGE_BYTES);
    frame[1] = (uint8_t)(0x80 | (length < 126 ? length : 126));
    if (length >= 126) {
        frame[at++] = (uint8_t)(length >> 8);
        frame[at++] = (uint8_t)length;
    }
    memset(frame + at, 0, 4);
    at += 4;
    if (length > 0) {
        memcpy(frame + at, payload, length);
    }
    send_all(guest, frame, at + length);
}

// The length of the frame at `bytes`, 0 when it is not whole.
static uint32_t frame_length(const uint8_t *bytes, uint32_t have) {
    if (have < 2) {
        return 0;
    }
    uint32_t payload = bytes[1];
    uint32_t header = payload < 126 ? 2 : 4;
    if (have < header) {
        return 0;
    }
    check(payload < 127);
    payload = payload == 126 ? (uint32_t)bytes[2] << 8 | bytes[3] : payload;
    return have < header + payload ? 0 : header + payload;
}

static void take(struct guest *guest) {
    uint32_t at = 0;
    if (!guest->is_open) {
        const uint8_t *end = memmem(guest->bytes, guest->have, "\r\n\r\n", 4);
        if (end == NULL) {
            return;
        }
        check(memcmp(guest->bytes, "HTTP/1.1 101", 12) == 0);
        guest->is_open = true;
        at = (uint32_t)(end - guest->bytes) + 4;
    }
    uint32_t length;
    while ((length = frame_length(guest->bytes + at, guest->have - at)) > 0) {
        if (guest->bytes[at] == 0x89) {
            guest->pings++;
            send_frame(guest, 0x8A, guest->bytes + at + 2, length - 2);
        } else {
            guest->frames++;
        }
        at += length;
    }
    guest->have -= at;
    memmove(guest->bytes, guest->bytes + at, guest->have);
}

static void on_event(struct sim *sim, void *context, uint32_t connection, enum net_event event) {
    struct guest *guest = context;
    check(event != NET_REFUSED && event != NET_RESET && event != NET_WRITABLE);
    if (event == NET_END) {
        guest->is_ended = true;
        net_close(sim, connection);
    } else if (event == NET_READABLE) {
        uint32_t got;
        while ((got = net_receive(sim, connection, guest->bytes + guest->have,
                                  (uint32_t)sizeof guest->bytes - guest->have)) > 0) {
            guest->have += got;
            take(guest);
        }
    }
}

// --- The service.

static void mirror_send(const struct mirror *mirror, const void *bytes, uint32_t length) {
    uint32_t sent = net_send(guard.sim, mirror->connection, bytes, length);
    check(sent == length);
}

// The answer to the handshake at the front of the bytes. Returns the request's length, 0: it is not
// whole.
static uint32_t mirror_upgrade(struct mirror *mirror) {
    static const char field[] = "Sec-WebSocket-Key: ";
    const uint8_t *end = memmem(mirror->bytes, mirror->have, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    const uint8_t *key = memmem(mirror->bytes, mirror->have, field, sizeof field - 1);
    check(key != NULL);
    uint8_t accept[WEBSOCKET_ACCEPT_BYTES];
    char answer[256];
    http_upgrade_accept(span_make(key + sizeof field - 1, KEY_BYTES), accept);
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n\r\n",
                          (int)sizeof accept, (const char *)accept);
    mirror_send(mirror, answer, (uint32_t)length);
    mirror->is_open = true;
    return (uint32_t)(end - mirror->bytes) + 4;
}

// Sends the frame at `bytes` back, if it is whole, without its mask. Returns its length.
static uint32_t mirror_frame(const struct mirror *mirror, const uint8_t *bytes, uint32_t have) {
    uint8_t frame[LARGE_BYTES + 4];
    uint32_t payload = have < 2 ? 0 : bytes[1] & 0x7F;
    uint32_t header = payload < 126 ? 2 : 4;
    if (have < header + 4) {
        return 0;
    }
    payload = header == 4 ? (uint32_t)bytes[2] << 8 | bytes[3] : payload;
    check(payload <= LARGE_BYTES);
    if (have < header + 4 + payload) {
        return 0;
    }
    memcpy(frame, bytes, header);
    frame[1] &= 0x7F;
    for (uint32_t i = 0; i < payload; i++) {
        frame[header + i] = bytes[header + 4 + i] ^ bytes[header + (i & 3)];
    }
    mirror_send(mirror, frame, header + payload);
    return header + 4 + payload;
}

static void on_mirror(struct sim *sim, void *context, uint32_t connection, enum net_event event) {
    struct mirror *mirror = context;
    check(event != NET_REFUSED && event != NET_RESET && event != NET_WRITABLE);
    if (event == NET_END) {
        net_close(sim, connection);
    }
    uint32_t got;
    while (event == NET_READABLE &&
           (got = net_receive(sim, connection, mirror->bytes + mirror->have,
                              (uint32_t)sizeof mirror->bytes - mirror->have)) > 0) {
        mirror->have += got;
        uint32_t at = mirror->is_open ? 0 : mirror_upgrade(mirror);
        uint32_t length;
        while (mirror->is_open &&
               (length = mirror_frame(mirror, mirror->bytes + at, mirror->have - at)) > 0) {
            at += length;
        }
        mirror->have -= at;
        memmove(mirror->bytes, mirror->bytes + at, mirror->have);
    }
}

static enum net_answer on_dial(struct sim *sim, void *context, uint32_t connection,
                               struct net_client *client) {
    (void)sim;
    (void)context; // there is one world, and one service
    check(guard.mirror_count < CLIENTS);
    struct mirror *mirror = &guard.mirrors[guard.mirror_count++];
    mirror->connection = connection;
    *client = (struct net_client){.on_event = on_mirror, .context = mirror};
    return NET_ACCEPTS;
}

// --- The clients.

static void connect_all(void) {
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct guest *guest = &guard.guests[i];
        *guest = (struct guest){0};
        struct net_options options = {.from = guard.sim->listeners[0],
                                      .to = guard.sim->listeners[0],
                                      .to_gateway_bytes = 1 << 16,
                                      .to_client_bytes = 1 << 16,
                                      .latency_us = LATENCY_US};
        options.from.port = 0;
        guest->connection = net_connect(
            guard.sim, &options, (struct net_client){.on_event = on_event, .context = guest});
    }
}

// Runs the world until every guest has that many frames, is open, has ended: whichever is asked.
static void until(bool (*is_done)(const struct guest *guest, uint64_t count), uint64_t count) {
    for (uint32_t i = 0, done = 0; done < CLIENTS; i++) {
        check(i < EVENTS_MAX);
        bool has_stepped = sim_step(guard.sim);
        check(has_stepped);
        while (done < CLIENTS && is_done(&guard.guests[done], count)) {
            done++;
        }
    }
}

static bool is_open(const struct guest *guest, uint64_t count) {
    (void)count; // being open has no number
    return guest->is_open;
}

static bool is_ended(const struct guest *guest, uint64_t count) {
    (void)count; // nor has having ended
    return guest->is_ended;
}

static bool has_frames(const struct guest *guest, uint64_t count) {
    return guest->frames >= count;
}

static bool has_pings(const struct guest *guest, uint64_t count) {
    return guest->pings >= count;
}

static bool is_connected(const struct guest *guest, uint64_t count) {
    (void)count;
    return net_is_accepted(guard.sim, guest->connection);
}

static void upgrade_all(const char *path) {
    char request[256];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n",
                          path);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        send_all(&guard.guests[i], request, (uint32_t)length);
    }
    until(is_open, 0);
}

// --- The loads. Each prints how often it did what it is named after.

static void echo(uint32_t bytes, uint32_t rounds) {
    static const uint8_t payload[LARGE_BYTES] = {1};
    uint64_t before = guard.guests[0].frames;
    for (uint32_t round = 1; round <= rounds; round++) {
        for (uint32_t i = 0; i < CLIENTS; i++) {
            send_frame(&guard.guests[i], 0x82, payload, bytes);
        }
        until(has_frames, before + round);
    }
}

__attribute__((noinline)) static uint64_t guard_handshake(void) {
    connect_all();
    until(is_connected, 0);
    upgrade_all("/echo");
    return CLIENTS;
}

__attribute__((noinline)) static uint64_t guard_echo_small(void) {
    echo(SMALL_BYTES, ECHO_ROUNDS);
    return (uint64_t)CLIENTS * ECHO_ROUNDS;
}

__attribute__((noinline)) static uint64_t guard_echo_large(void) {
    echo(LARGE_BYTES, ECHO_ROUNDS);
    return (uint64_t)CLIENTS * ECHO_ROUNDS;
}

__attribute__((noinline)) static uint64_t guard_ping(void) {
    uint64_t before = guard.guests[0].pings;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        guard.guests[i].pings = before; // some may be one ahead: the last load took its time
    }
    until(has_pings, before + PING_INTERVALS);
    return (uint64_t)CLIENTS * PING_INTERVALS;
}

static void close_all(void) {
    for (uint32_t i = 0; i < CLIENTS; i++) {
        send_frame(&guard.guests[i], 0x88, (const uint8_t *)"\x03\xe8", 2);
    }
    until(is_ended, 0);
}

__attribute__((noinline)) static uint64_t guard_close(void) {
    close_all();
    return CLIENTS;
}

__attribute__((noinline)) static uint64_t guard_fanout(void) {
    static const uint8_t payload[SMALL_BYTES] = {1};
    uint64_t before = guard.guests[0].frames;
    for (uint32_t round = 1; round <= FANOUT_ROUNDS; round++) {
        send_frame(&guard.guests[round % CLIENTS], 0x82, payload, SMALL_BYTES);
        until(has_frames, before + round);
    }
    return (uint64_t)CLIENTS * FANOUT_ROUNDS;
}

// Not as often as guard_echo_small: the compiler would make one function of the two.
__attribute__((noinline)) static uint64_t guard_tunnel(void) {
    echo(SMALL_BYTES, TUNNEL_ROUNDS);
    return (uint64_t)CLIENTS * TUNNEL_ROUNDS;
}

static void world_begin(void) {
    struct sim *sim = calloc(1, sizeof *sim);
    check(sim != NULL);
    guard.sim = sim;
    sim->options.cover = guard.cover;
    sim->now_us = 1000000;
    sim->wall_ms = 1700000000000ULL;
    sim->phase = SIM_CALM; // no faults
    sim_world = sim;
    sim->net = net_open();
    sim->worker_count = 1;
    bool is_good = address_parse_ip(span_text("127.0.0.1"), &sim->listeners[0]);
    check(is_good);
    sim->admin = sim->listeners[0];
    sim->listeners[0].port = 8080;
    sim->listener_count = 1;
    sim->admin.port = 9090;
    sim->config_text = CONFIG;
    world_open(sim);
    struct net_service service = {.on_dial = on_dial, .address = sim->listeners[0]};
    service.address.port = 8000;
    net_serve(sim, &service);
}

int main(void) {
    world_begin();
    (void)printf("handshake %llu\n", (unsigned long long)guard_handshake());
    (void)printf("echo_small %llu\n", (unsigned long long)guard_echo_small());
    (void)printf("echo_large %llu\n", (unsigned long long)guard_echo_large());
    (void)printf("ping %llu\n", (unsigned long long)guard_ping());
    (void)printf("close %llu\n", (unsigned long long)guard_close());
    connect_all();
    until(is_connected, 0);
    upgrade_all("/chat");
    (void)printf("fanout %llu\n", (unsigned long long)guard_fanout());
    close_all();
    connect_all();
    until(is_connected, 0);
    upgrade_all("/tunnel");
    (void)printf("tunnel %llu\n", (unsigned long long)guard_tunnel());
    return fflush(stdout) == 0 ? 0 : 1;
}
