// Honest clients: echo, member, listener, reader. Each says what it expects; anything else from the
// gateway is a broken law, but for the refusals that a full or hurried gateway may give anybody.
#include "tests/sim/clients.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "tests/sim/cover.h"
#include "tests/sim/laws_state.h"

enum { TEXT = 1, BINARY = 2, FINAL = 0x80, ECHO_PUBLISHER = 0x40000000, ECHO_US_MAX = 25000 };

static bool is_patience_asked(uint16_t status) { // 408, 429, 503: come back later
    return status == 408 || status == 429 || status == 503;
}

uint32_t client_length(struct client *client) {
    static const uint32_t most[] = {200, 200, 200, 200, 200, 200, 2000, 2000, 8000, 60000};
    uint32_t limit = client->laws->least.message_bytes;
    if (client->sim->options.is_isolation) { // how long they take is what is compared
        return 48 + client_below(client, 100);
    }
    uint32_t bound = most[client_below(client, 10)];
    return 48 + client_below(client, (bound < limit ? bound : limit) - 47);
}

// A refusal of a request that is in order.
void client_refused(struct client *client, const struct decoder_event *event) {
    if (!is_patience_asked(event->status)) {
        sim_fail(client->sim, "L3", "client %u (%s) got %u for a request that is in order: %.*s",
                 client->id, client_names[client->kind], event->status, (int)event->payload.length,
                 (const char *)event->payload.data);
    }
    if (!event->is_last) {
        client_over(client);
    }
}

void client_subscribe(struct client *client, enum ledger_channel channel) {
    struct ledger *ledger = &client->laws->ledger;
    for (uint32_t i = 0; i < CLIENT_SUBSCRIPTIONS_MAX; i++) {
        if (client->subscriptions[i].subscriber == 0) {
            uint32_t own = channel == LEDGER_QUIET ? client->publisher : 0;
            uint32_t subscriber = ledger_subscriber_add(ledger, channel, own);
            ledger_subscriber_open(ledger, subscriber);
            client->subscriptions[i].channel = (uint8_t)channel;
            client->subscriptions[i].is_open = true;
            client->subscriptions[i].subscriber = subscriber + 1;
            return;
        }
    }
}

void client_publish_next(struct client *client, uint32_t pieces) {
    uint8_t *bytes = malloc(LEDGER_MESSAGE_BYTES_MAX);
    check(bytes != NULL);
    struct ledger *ledger = &client->laws->ledger;
    uint32_t publisher = client->publisher - 1;
    uint32_t sequence = ledger->publishers[publisher].next;
    uint32_t length = ledger_publish(ledger, publisher, bytes, client_length(client));
    uint8_t opcode = ledger_is_binary(publisher, sequence) ? BINARY : TEXT;
    client_message(client, opcode, span_make(bytes, length), pieces);
    free(bytes);
    client->sequence = sequence;
    client_flush(client);
}

static uint32_t pieces_draw(struct client *client) {
    return client_below(client, 5) == 0 ? 2 + client_below(client, 3) : 1;
}

// --- echo

static const char *const echo_paths[] = {"/echo",   "/few", "/protocols", "/text",
                                         "/binary", "/age", "/idle",      "/two"};

static void echo_connected(struct client *client) {
    client->verb = (uint8_t)client_below(client, sizeof echo_paths / sizeof echo_paths[0]);
    bool offers = client->verb == 2 || client_below(client, 4) == 0;
    client->left = client->sim->options.is_isolation ? UINT32_MAX : 1 + client_below(client, 10);
    client_upgrade(client, echo_paths[client->verb],
                   offers ? "Sec-WebSocket-Protocol: mqtt, chat.v2\r\n" : "");
}

static bool echo_is_binary(const struct client *client, uint32_t sequence) {
    return client->verb == 4 || (client->verb != 3 && ledger_is_binary(client->id, sequence));
}

// Some binary ones do not become shorter by compressing them.
static void echo_fill(const struct client *client, uint32_t sequence, uint8_t *bytes,
                      uint32_t length) {
    ledger_fill(ECHO_PUBLISHER | client->id, sequence, bytes, length);
    bool is_random = echo_is_binary(client, sequence) && sequence % 3 == 0;
    for (uint32_t at = LEDGER_HEADING_BYTES_MAX; is_random && at < length; at++) {
        uint32_t mixed = (sequence * 65537 + at) * 2654435761u;
        mixed = (mixed ^ mixed >> 15) * 2246822519u;
        bytes[at] = (uint8_t)(mixed >> 24);
    }
}

static void echo_tick(struct client *client) {
    if (client->phase != CLIENT_OPEN) {
        return;
    }
    bool is_over = client->sim->options.is_isolation && client->sim->phase != SIM_STORM;
    if (client->left == 0 || is_over) {
        client_done(client);
        client_leave(client);
        return;
    }
    uint8_t *bytes = malloc(LEDGER_MESSAGE_BYTES_MAX);
    check(bytes != NULL);
    uint32_t burst = 1 + client_below(client, 4);
    client->echo_bytes = 0;
    for (uint32_t i = 0; i < burst && client->left > 0; i++) {
        uint32_t length = client_length(client);
        client->echo_bytes += length;
        echo_fill(client, client->echo_sent, bytes, length);
        client_message(client, echo_is_binary(client, client->echo_sent) ? BINARY : TEXT,
                       span_make(bytes, length), pieces_draw(client));
        client->echo_sent++;
        client->left--;
    }
    free(bytes);
    client->asked_us = client->sim->now_us;
    client_flush(client);
}

// Law L9: whatever the others do, an echo takes its way there and back, a hop for every piece of
// 16 KiB, and not more than so many turns of a worker (each at most 100 us).
static void isolation_judge(struct client *client) {
    uint64_t took_us = client->sim->now_us - client->asked_us;
    uint64_t bound_us = ECHO_US_MAX + (uint64_t)client->echo_bytes / 16;
    if (!client->laws->is_undisturbed || client->kind != CLIENT_echo) {
        return;
    }
    cover_add(client->sim, COVER_LAWS + COVER_LAW_ISOLATION);
    if (client->sim->options.is_isolation) { // judged against the same world in peace: main.c
        client->sim->echo_count += client->sim->phase == SIM_STORM;
        client->sim->echo_us += client->sim->phase == SIM_STORM ? took_us : 0;
        return;
    }
    if (took_us > bound_us) {
        sim_fail(client->sim, "L9", "client %u had to wait %llu us for the echo of %u bytes",
                 client->id, (unsigned long long)took_us, client->echo_bytes);
    }
}

static void echo_message(struct client *client, const struct decoder_event *event) {
    uint32_t publisher, sequence, length;
    uint8_t *wanted = malloc(LEDGER_MESSAGE_BYTES_MAX);
    check(wanted != NULL);
    bool is_right = client->echo_got < client->echo_sent &&
                    ledger_read(event->payload, &publisher, &sequence, &length) &&
                    publisher == (ECHO_PUBLISHER | client->id) && sequence == client->echo_got &&
                    length == event->payload.length &&
                    event->opcode == (echo_is_binary(client, sequence) ? BINARY : TEXT);
    if (is_right) {
        echo_fill(client, sequence, wanted, length);
        is_right = memcmp(wanted, event->payload.data, length) == 0;
    }
    free(wanted);
    if (!is_right) {
        sim_fail(client->sim, "L1", "client %u got another message back than its %u", client->id,
                 client->echo_got);
    }
    client->echo_got++;
    cover_add(client->sim, COVER_LAWS + COVER_LAW_ECHO);
    if (client->echo_got == client->echo_sent) {
        isolation_judge(client);
        if (client->left == 0) {
            client_done(client);
        }
        bool is_isolation = client->sim->options.is_isolation;
        client_tick_in(client, client_pause_us(client, 1, is_isolation ? 50 : 8000));
    }
}

static void echo_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_UPGRADED) {
        echo_tick(client);
    } else if (event->kind == DECODER_RESPONSE) {
        client_refused(client, event);
    } else if (event->kind == DECODER_MESSAGE) {
        echo_message(client, event);
    }
}

// --- member and listener

static void member_connected(struct client *client) {
    client->channel = (uint8_t)client_below(client, LEDGER_CONFLATE + 1);
    client->left = 1 + client_below(client, 10);
    client_upgrade(client, ledger_channel_paths[client->channel], "");
}

static bool has_own_back(uint8_t channel) { // every message that it publishes
    return channel == LEDGER_CHAT_A || channel == LEDGER_CHAT_B;
}

static void member_tick(struct client *client) {
    if (client->phase != CLIENT_OPEN) {
        return;
    }
    if (client->left > 0) {
        uint32_t burst = 1 + client_below(client, 3);
        for (uint32_t i = 0; i < burst && client->left > 0; i++) {
            client->left--;
            client_publish_next(client, pieces_draw(client));
        }
        client_tick_in(client, client_pause_us(client, 1, 2000));
    } else if (has_own_back(client->channel)) {
        return; // its last message ends it
    } else if (client->ping_sent == 0) {
        client->ping_sent = 1;
        client_frame(client, FINAL | 9, span_text("done?"));
        client_flush(client);
    }
}

static void raw_message(struct client *client, const struct decoder_event *event) {
    uint32_t subscriber = client->subscriptions[0].subscriber;
    if (subscriber == 0) {
        return;
    }
    ledger_receive(&client->laws->ledger, subscriber - 1, event->opcode == BINARY, event->payload);
    cover_add(client->sim, COVER_EVENTS + COVER_EVENT_MESSAGE);
}

static void member_message(struct client *client, const struct decoder_event *event) {
    raw_message(client, event);
    uint32_t publisher, sequence, length;
    bool is_own = ledger_read(event->payload, &publisher, &sequence, &length) &&
                  publisher + 1 == client->publisher;
    if (is_own) {
        ledger_confirm(&client->laws->ledger, publisher, sequence);
        if (client->left == 0 && sequence == client->sequence) {
            client_done(client);
            client_leave(client);
        }
    }
}

static void member_event(struct client *client, const struct decoder_event *event) {
    switch (event->kind) {
    case DECODER_UPGRADED:
        client->publisher =
            1 + ledger_publisher_add(&client->laws->ledger, (enum ledger_channel)client->channel);
        client_subscribe(client, (enum ledger_channel)client->channel);
        client_tick_in(client, client_pause_us(client, 1, 500));
        return;
    case DECODER_RESPONSE:
        client_refused(client, event);
        return;
    case DECODER_MESSAGE:
        member_message(client, event);
        return;
    case DECODER_PONG:
        if (client->ping_sent != 0 && span_is(event->payload, "done?")) {
            client_done(client);
            client_leave(client);
        }
        return;
    default:
        return;
    }
}

static void listener_connected(struct client *client) {
    client->channel = (uint8_t)client_below(client, LEDGER_CONFLATE + 1);
    const char *path = ledger_channel_paths[client->channel];
    bool only_listens = has_own_back(client->channel) && client_below(client, 2) == 0;
    if (only_listens) {
        path = client->channel == LEDGER_CHAT_A ? "/listen/a" : "/listen/b";
    }
    client_upgrade(client, path, "");
}

static void listener_tick(struct client *client) {
    if (client->sim->phase == SIM_STORM) {
        client_leave(client);
    } // else it stays until the drain
}

static void listener_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_UPGRADED) {
        client_subscribe(client, (enum ledger_channel)client->channel);
        client_tick_in(client, client_pause_us(client, 20, 60000));
    } else if (event->kind == DECODER_RESPONSE) {
        client_refused(client, event);
    } else if (event->kind == DECODER_MESSAGE) {
        raw_message(client, event);
    }
}

// --- reader

static const struct {
    const char *head; // without Host and the empty line
    uint16_t status;
    bool is_head;
} pages[] = {
    {"GET / HTTP/1.1\r\n", 200, false},
    {"HEAD / HTTP/1.1\r\n", 200, true},
    {"GET /nothing/here HTTP/1.1\r\n", 404, false},
    {"GET /echo HTTP/1.1\r\n", 426, false},
    {"POST /echo HTTP/1.1\r\nContent-Length: 0\r\n", 426, false},
    {"DELETE / HTTP/1.1\r\n", 405, false},
    {"OPTIONS /chat/a HTTP/1.1\r\n", 204, false},
    {"GET /chat/a HTTP/1.1\r\nOrigin: https://elsewhere.test\r\n", 426, false},
    {"POST /guarded/a HTTP/1.1\r\nOrigin: https://elsewhere.test\r\nContent-Length: 0\r\n", 403,
     false},
    {"POST /listen/a HTTP/1.1\r\nContent-Length: 0\r\n", 403, false},
};
enum { PAGE_COUNT = sizeof pages / sizeof pages[0] };

static void reader_ask(struct client *client) {
    client->verb = (uint8_t)client_below(client, PAGE_COUNT);
    client_request(client, &(struct decoder_request){.is_head = pages[client->verb].is_head});
    client_text(client, "%sHost: gateway.test\r\n\r\n", pages[client->verb].head);
    client_flush(client);
}

static void reader_connected(struct client *client) {
    client->left = client_below(client, 6);
    reader_ask(client);
}

static void reader_tick(struct client *client) {
    if (client->phase == CLIENT_ASKING) {
        reader_ask(client);
    }
}

static void reader_event(struct client *client, const struct decoder_event *event) {
    if (event->kind != DECODER_RESPONSE) {
        return;
    }
    if (event->status != pages[client->verb].status && !is_patience_asked(event->status)) {
        sim_fail(client->sim, "L3", "client %u got %u instead of %u", client->id, event->status,
                 pages[client->verb].status);
    }
    bool is_answered = event->status == pages[client->verb].status;
    if (is_answered && client->left == 0) {
        client_done(client);
    }
    if (event->is_last) {
        return; // the end follows
    }
    if (client->left == 0 || !is_answered) {
        client_over(client);
        return;
    }
    client->left--;
    // Longer than the gateway keeps it.
    bool falls_asleep = client->sim->phase == SIM_STORM && client_below(client, 12) == 0;
    client_tick_in(client, falls_asleep ? client_pause_us(client, 80000, 80000)
                                        : client_pause_us(client, 1, 2000));
}

const struct client_behaviour client_honest_behaviours[CLIENT_KIND_COUNT] = {
    [CLIENT_echo] = {echo_connected, echo_event, echo_tick},
    [CLIENT_member] = {member_connected, member_event, member_tick},
    [CLIENT_listener] = {listener_connected, listener_event, listener_tick},
    [CLIENT_reader] = {reader_connected, reader_event, reader_tick},
    [CLIENT_envelope] = {client_envelope_connected, client_envelope_event, client_envelope_tick},
    [CLIENT_poster] = {client_poster_connected, client_poster_event, client_poster_tick},
    [CLIENT_asker] = {client_asker_connected, client_asker_event, client_asker_tick},
    [CLIENT_tunneller] = {client_tunneller_connected, client_tunneller_event,
                          client_tunneller_tick},
    [CLIENT_guest] = {client_guest_connected, client_guest_event, client_guest_tick},
    [CLIENT_admin] = {client_admin_connected, client_admin_event, client_admin_tick},
};
