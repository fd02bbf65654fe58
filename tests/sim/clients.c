// The life of a client's connection: connecting, reading at its pace, what every client answers,
// and the end.
#include "tests/sim/clients.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "tests/sim/cover.h"
#include "tests/sim/laws_state.h"

const char *const client_names[CLIENT_KIND_COUNT] = {
#define CLIENT(name, intent, weight, text) #name,
#include "tests/sim/client_table.h"
#undef CLIENT
};
const uint8_t client_intents[CLIENT_KIND_COUNT] = {
#define CLIENT(name, intent, weight, text) CLIENT_##intent,
#include "tests/sim/client_table.h"
#undef CLIENT
};

enum {
    READ_BYTES_MAX = 4096,
    FINAL = 0x80,
    RETRY_MS = 200,
    HOUR_US = 3600 * 1000,
    STOPPED_WINDOW_BYTES = 300,
    CALM_WINDOW_BYTES = 1 << 20,
    CALM_LATENCY_US = 1000,
};

static void on_net(struct sim *sim, void *context, uint32_t connection, enum net_event event);

const struct client_behaviour *client_behaviour(uint32_t kind) {
    return client_intents[kind] == CLIENT_HONEST ? &client_honest_behaviours[kind]
                                                 : &client_hostile_behaviours[kind];
}

uint64_t client_pause_us(struct client *client, uint32_t low_ms, uint32_t high_ms) {
    if (client->sim->phase != SIM_STORM) { // what is left is done without dawdling
        high_ms = low_ms;
    }
    uint32_t span = 0;
    while ((uint64_t)low_ms << (span + 1) <= high_ms) {
        span++;
    }
    uint64_t from_ms = (uint64_t)low_ms << client_below(client, span + 1);
    return from_ms * 1000 + client_below(client, (uint32_t)from_ms * 1000 + 1);
}

void client_init(struct client *client, struct sim *sim, uint32_t id, enum client_kind kind) {
    *client = (struct client){.sim = sim, .laws = sim->laws, .id = id, .kind = (uint8_t)kind};
    prng_init(&client->prng, (sim->options.seed << 16) + id);
    bool is_shy = client_intents[kind] != CLIENT_HONEST && id % 2 == 1;
    // Honest clients have an address each; some of the others share one.
    client->from = (struct address){.kind = ADDRESS_IP,
                                    .ip = {[10] = 0xff,
                                           0xff,
                                           10,
                                           0,
                                           (uint8_t)(1 + (id + 1) / 256),
                                           (uint8_t)(is_shy ? 250 : id + 1)}};
}

void client_fini(struct client *client) {
    if (client->phase != CLIENT_AWAY) {
        decoder_fini(&client->decoder);
    }
    free(client->out);
}

static void begin(struct sim *sim, void *context, uint64_t life) {
    struct client *client = context;
    bool is_late = sim->phase != SIM_STORM;
    bool is_wanted = !is_late || (client_intents[client->kind] == CLIENT_HONEST &&
                                  sim->phase == SIM_CALM && !client->is_done);
    if (life != client->life || client->phase != CLIENT_AWAY || !is_wanted) {
        return;
    }
    client->life++;
    client->phase = CLIENT_CONNECTING;
    client->acts = client->kind;
    client->is_late = is_late;
    client->reads = true;
    client->answers = true;
    client->was_said = client->is_read_timed = client->is_write_timed = client->has_ended = false;
    client->was_closed = false;
    client->read_piece = client->write_piece = 0;
    client->read_pause_us = client->write_pause_us = 0;
    client->out_first = client->out_bytes = 0;
    client->left = client->waiting = 0;
    client->wanted = 0;
    client->publisher = 0;
    client->ask = 0;
    client->echo_sent = client->echo_got = client->ping_sent = 0;
    memset(client->subscriptions, 0, sizeof client->subscriptions);
    decoder_init(&client->decoder);
    bool is_admin = client->kind == CLIENT_admin;
    uint32_t listener = sim->listener_count > 1 ? client_below(client, sim->listener_count) : 0;
    struct net_options options = {.from = client->from,
                                  .to = is_admin ? sim->admin : sim->listeners[listener]};
    if (client->kind == CLIENT_stopped) {
        options.to_client_bytes = STOPPED_WINDOW_BYTES; // a few messages stop its sends
    } else if (client->laws->is_undisturbed &&
               client->kind != CLIENT_crowd) { // law L9 is about the gateway's part of the way
        options.to_client_bytes = options.to_gateway_bytes = CALM_WINDOW_BYTES;
        options.latency_us = CALM_LATENCY_US;
    }
    cover_add(sim, COVER_CLIENTS + client->kind);
    sim_record(sim, SIM_RECORD_CLIENT, client->id, client->kind, client->life);
    client->connection =
        net_connect(sim, &options, (struct net_client){.on_event = on_net, .context = client});
}

void client_begin_in(struct client *client, uint64_t delay_us) {
    sim_after(client->sim, delay_us, begin, client, client->life);
}

void client_over(struct client *client) {
    if (client->phase == CLIENT_AWAY) {
        return;
    }
    struct sim *sim = client->sim;
    for (uint32_t i = 0; i < CLIENT_SUBSCRIPTIONS_MAX; i++) {
        if (client->subscriptions[i].subscriber != 0) {
            ledger_subscriber_end(&client->laws->ledger, client->subscriptions[i].subscriber - 1);
        }
    }
    if (net_state(sim, client->connection) != NET_GONE) {
        net_close(sim, client->connection);
    }
    decoder_fini(&client->decoder);
    client->phase = CLIENT_AWAY;
    client->connection = NET_NONE;
    client->life++;
    client->may_stay = false;
    client_begin_in(client, sim->phase == SIM_STORM ? client_pause_us(client, 1, 4000)
                                                    : (uint64_t)RETRY_MS * 1000);
}

void client_done(struct client *client) {
    client->is_done = client->is_done || client->sim->phase == SIM_CALM;
}

void client_leave(struct client *client) {
    if (client->phase == CLIENT_OPEN) {
        client_close_frame(client, 1000);
        client->phase = CLIENT_LEAVING;
        client_flush(client);
    } else if (client->phase == CLIENT_ASKING || client->phase == CLIENT_CONNECTING) {
        client_over(client);
    }
}

bool client_may_ask(struct client *client) {
    if (client->phase != CLIENT_OPEN || client->waiting != 0) {
        return false;
    }
    if (client->left == 0) {
        client_done(client);
        client_leave(client);
    }
    return client->phase == CLIENT_OPEN;
}

static void on_tick(struct sim *sim, void *context, uint64_t life) {
    (void)sim; // the client knows it
    struct client *client = context;
    if (life == client->life && client->phase != CLIENT_AWAY) {
        client_behaviour(client->acts)->on_tick(client);
    }
}

void client_tick_in(struct client *client, uint64_t delay_us) {
    sim_after(client->sim, delay_us, on_tick, client, client->life);
}

// --- reading

// What a client of any kind does about it, before its behaviour is asked.
static void event_common(struct client *client, const struct decoder_event *event) {
    switch (event->kind) {
    case DECODER_UPGRADED:
        client->phase = CLIENT_OPEN;
        cover_add(client->sim, COVER_EVENTS + COVER_EVENT_OPEN);
        return;
    case DECODER_RESPONSE:
        client->was_said = event->is_last;
        cover_add(client->sim, COVER_STATUS + event->status);
        return;
    case DECODER_PING:
        if (client->answers && client->phase == CLIENT_OPEN) {
            client_frame(client, FINAL | 10, event->payload);
            client_flush(client);
        }
        return;
    case DECODER_CLOSE:
        client->was_closed = true;
        cover_add(client->sim, COVER_CODES + (event->status == 0 ? 0 : event->status - 999u));
        if (client->answers && client->phase == CLIENT_OPEN) {
            client_close_frame(client, event->status);
            client->phase = CLIENT_LEAVING;
            client_flush(client);
        }
        return;
    default:
        return;
    }
}

static void feed(struct client *client, struct span bytes) {
    struct sim *sim = client->sim;
    struct decoder_event event;
    uint32_t life = client->life;
    while (life == client->life && decoder_next(&client->decoder, &bytes, &event)) {
        event_common(client, &event);
        client_behaviour(client->acts)->on_event(client, &event);
    }
    if (life == client->life && client->decoder.violation != NULL) {
        bool is_phase = strstr(client->decoder.violation, "after a Close") != NULL ||
                        strstr(client->decoder.violation, "before the 101") != NULL;
        sim_fail(sim, is_phase ? "L2" : "L3", "client %u (%s): %s", client->id,
                 client_names[client->kind], client->decoder.violation);
    }
}

static void on_read_time(struct sim *sim, void *context, uint64_t life) {
    (void)sim; // the client knows it
    struct client *client = context;
    if (life == client->life) {
        client->is_read_timed = false;
        client_read(client);
    }
}

void client_read(struct client *client) {
    struct sim *sim = client->sim;
    uint8_t bytes[READ_BYTES_MAX];
    uint32_t life = client->life;
    while (life == client->life && client->phase != CLIENT_AWAY && client->reads &&
           !client->is_read_timed) {
        bool is_paced = client->read_piece != 0;
        uint32_t room = is_paced && client->read_piece < sizeof bytes ? client->read_piece
                                                                      : (uint32_t)sizeof bytes;
        uint32_t length = net_receive(sim, client->connection, bytes, room);
        if (length == 0) {
            break;
        }
        sim_hash(sim, bytes, length);
        feed(client, span_make(bytes, length));
        if (is_paced && life == client->life && sim->phase == SIM_STORM) {
            client->is_read_timed = true;
            uint32_t most =
                client->read_pause_us > HOUR_US ? HOUR_US : (uint32_t)client->read_pause_us;
            sim_after(sim, 1 + client_below(client, most + 1), on_read_time, client, life);
        }
    }
    if (life == client->life && client->phase != CLIENT_AWAY && client->has_ended &&
        net_arrived(sim, client->connection) == 0) {
        client_asks_end(client);
        client_over(client);
    }
}

static void on_net(struct sim *sim, void *context, uint32_t connection, enum net_event event) {
    struct client *client = context;
    if (connection != client->connection || client->phase == CLIENT_AWAY) {
        return;
    }
    switch (event) {
    case NET_CONNECTED:
        if (client->phase == CLIENT_CONNECTING) {
            client->phase = CLIENT_ASKING;
            client_behaviour(client->kind)->on_connected(client);
            client_flush(client);
        }
        return;
    case NET_READABLE:
        client_read(client);
        return;
    case NET_WRITABLE:
        client_flush(client);
        return;
    case NET_END:
        client->has_ended = true;
        cover_add(sim, COVER_EVENTS + COVER_EVENT_END);
        client_read(client);
        return;
    case NET_RESET:
        client->has_ended = true;
        client->is_read_timed = false;
        cover_add(sim, COVER_EVENTS + COVER_EVENT_RESET);
        client->read_piece = 0;
        client_read(client);
        client_over(client);
        return;
    case NET_REFUSED:
        cover_add(sim, COVER_EVENTS + COVER_EVENT_REFUSED);
        client_over(client);
        return;
    default:
        return;
    }
}

void client_calm(struct client *client) {
    if (client->phase == CLIENT_AWAY) {
        client->life++;
        client_begin_in(client, client_pause_us(client, 1, 1000));
        return;
    }
    // Those that harm go away; honest ones read on, at full speed. Some that answer or read
    // nothing stay: they are in nobody's way.
    bool is_stopped =
        client->kind == CLIENT_stopped &&
        (client->phase == CLIENT_OPEN || (client->phase == CLIENT_ASKING && !client->reads));
    bool is_left = is_stopped || (client->phase == CLIENT_OPEN && client->kind == CLIENT_mute);
    if (is_left && client_below(client, 2) == 0) {
        client->reads = client->kind != CLIENT_stopped;
        return;
    }
    bool is_honest = client_intents[client->kind] == CLIENT_HONEST;
    client->reads = true;
    client->read_piece = client->write_piece = 0;
    if (!is_honest) {
        net_reset(client->sim, client->connection);
        client_over(client);
        return;
    }
    if (client->kind == CLIENT_member && ledger_has_drops(&client->laws->ledger)) {
        client_leave(client); // what it waits for may never come, and that was counted
        return;
    }
    client_flush(client);
    client_read(client);
}
