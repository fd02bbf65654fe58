// Clients of services: through the gateway, by requests and through tunnels. What they may get is
// judged by asks.h, with what the service did to them.
#include "tests/sim/clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/laws_state.h"

enum {
    TEXT = 1,
    BINARY = 2,
    HEAD_BYTES = 48,
    EXPECTED_US = 300 * 1000, // for 100 Continue, then the body goes out without
    SIPPED_BYTES = 200000,
    BURST = 150,
    BURST_BYTES = 2000,
};

static struct asks *asks_of(struct client *client) {
    return &client->laws->services.asks;
}

static struct ask *ask_of(struct client *client) {
    return asks_get(asks_of(client), client->ask);
}

// --- requests

enum asker_verb { ASKER_GET, ASKER_HEAD, ASKER_LENGTH, ASKER_CHUNKS, ASKER_EXPECTS };

static uint32_t bytes_draw(struct client *client) {
    static const uint32_t most[] = {1, 200, 200, 200, 3000, 20000};
    return client_below(client, most[client_below(client, 6)]);
}

static void body_put(struct client *client) {
    uint32_t length = ask_of(client)->body_bytes;
    uint8_t *bytes = malloc((size_t)length + 1);
    check(bytes != NULL);
    ask_fill(client->ask, ASK_UP, 0, 0, (struct span_mut){.data = bytes, .length = length});
    uint32_t piece = client->verb == ASKER_CHUNKS ? 0 : length;
    if (piece > 0) {
        client_put(client, bytes, piece);
    }
    for (uint32_t at = piece; at < length; at += piece) {
        piece = 1 + client_below(client, length - at);
        client_text(client, "%x\r\n", piece);
        client_put(client, bytes + at, piece);
        client_text(client, "\r\n");
    }
    if (client->verb == ASKER_CHUNKS) {
        client_text(client, "0\r\n\r\n");
    }
    free(bytes);
    client->waiting = 0;
    client_flush(client);
}

static void request_begin(struct client *client, enum asker_verb verb, uint32_t answer_bytes) {
    static const enum ask_method methods[] = {ASK_GET, ASK_HEAD, ASK_POST, ASK_POST, ASK_POST};
    static const char *const words[] = {"GET", "HEAD", "POST", "POST", "POST"};
    client->verb = (uint8_t)verb;
    client->ask = asks_add(asks_of(client), methods[verb]);
    struct ask *ask = ask_of(client);
    ask->answer_bytes = answer_bytes;
    ask->body_bytes = verb >= ASKER_LENGTH ? bytes_draw(client) : 0;
    client_request(client, &(struct decoder_request){.is_head = verb == ASKER_HEAD,
                                                     .expects_continue = verb == ASKER_EXPECTS,
                                                     .takes_hints = true});
    ask->guest = client_below(client, 4) == 0 ? client_guest_next(client) : 0;
    client_text(client, "%s /%s/%u HTTP/1.1\r\nHost: gateway.test\r\n", words[verb],
                ask->guest != 0 ? "members" : "web", client->ask);
    if (ask->guest != 0) {
        client_text(client, "X-Guest: %u\r\n%s", ask->guest,
                    client_below(client, 3) == 0 ? "X-User: forged\r\n" : "");
    }
    if (client_below(client, 3) == 0) { // none of it may pass
        client_text(client, "Connection: x-hop\r\nX-Hop: 1\r\nMeta-User: forged\r\n"
                            "Grip-Sig: forged\r\nX-Forwarded-For: 1.2.3.4\r\n"
                            "Keep-Alive: timeout=9\r\n");
    }
    if (verb == ASKER_CHUNKS) {
        client_text(client, "Transfer-Encoding: chunked\r\n");
    } else if (verb >= ASKER_LENGTH) {
        client_text(client, "Content-Length: %u\r\n", ask->body_bytes);
    }
    client_text(client, verb == ASKER_EXPECTS ? "Expect: 100-continue\r\n\r\n" : "\r\n");
    client->waiting = verb >= ASKER_LENGTH;
    if (verb == ASKER_EXPECTS) {
        client_tick_in(client, EXPECTED_US);
    } else if (client->waiting != 0) {
        body_put(client);
    }
    client_flush(client);
}

static void asker_ask(struct client *client) {
    static const uint8_t verbs[] = {ASKER_GET,    ASKER_GET,    ASKER_GET,    ASKER_HEAD,
                                    ASKER_LENGTH, ASKER_CHUNKS, ASKER_EXPECTS};
    uint32_t pick = client_below(client, sizeof verbs);
    request_begin(client, (enum asker_verb)verbs[pick], bytes_draw(client));
}

void client_asker_connected(struct client *client) {
    client->left = client_below(client, 8);
    asker_ask(client);
}

void client_asker_tick(struct client *client) {
    if (client->phase != CLIENT_ASKING || client->was_said) {
        return;
    }
    if (client->ask != 0 && client->waiting != 0) {
        body_put(client); // it was not told to go on
    } else if (client->ask == 0) {
        client->left--;
        asker_ask(client);
    }
}

void client_asker_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_CONTINUE && client->ask != 0 && client->waiting != 0) {
        body_put(client);
    }
    if (event->kind != DECODER_RESPONSE || client->ask == 0) {
        return;
    }
    bool is_answer =
        asks_judge_response(asks_of(client), client->ask, event->status, event->payload);
    bool is_unsent = client->waiting != 0;
    client->ask = 0;
    if (is_answer && client->left == 0) {
        client_done(client);
    }
    if (event->is_last) {
        return; // the end follows
    }
    if (client->left == 0 || is_unsent) {
        client_over(client);
        return;
    }
    client_tick_in(client, client_pause_us(client, 1, 2000));
}

// --- tunnels

static uint32_t message_bytes_draw(struct client *client) {
    uint32_t limit = client->laws->least.message_bytes;
    uint32_t most = client_below(client, 8) == 0 ? 6000 : client->left > 20 ? BURST_BYTES : 300;
    return 1 + client_below(client, most < limit ? most : limit);
}

static void message_put(struct client *client) {
    struct ask *ask = ask_of(client);
    uint32_t length = message_bytes_draw(client);
    uint8_t *bytes = malloc(length);
    check(bytes != NULL);
    uint32_t sequence = ask->ups_sent++;
    ask_fill(client->ask, ASK_UP, sequence, 0, (struct span_mut){.data = bytes, .length = length});
    uint32_t pieces = client_below(client, 5) == 0 ? 3 : 1;
    client_message(client, ask_is_binary(client->ask, sequence) ? BINARY : TEXT,
                   span_make(bytes, length), pieces);
    free(bytes);
    client->echo_sent++;
    client->left--;
}

void client_tunneller_connected(struct client *client) {
    static const char *const offers[] = {"", "Sec-WebSocket-Protocol: mqtt, chat.v2\r\n"};
    client->left = 1 + client_below(client, 12);
    client->ask = asks_add(asks_of(client), ASK_UPGRADE);
    static const char *const places[2][2] = {{"tunnel", "web"}, {"seats", "members"}};
    bool is_guest = client_below(client, 4) == 0;
    char path[HEAD_BYTES];
    (void)snprintf(path, sizeof path, "/%s/%u", places[is_guest][client_below(client, 3) == 0],
                   client->ask); // it fits, as does what follows
    char fields[HEAD_BYTES * 2] = "";
    if (is_guest) {
        ask_of(client)->guest = client_guest_next(client);
        (void)snprintf(fields, sizeof fields, "X-Guest: %u\r\n", ask_of(client)->guest);
    }
    (void)strcat(fields, offers[client_below(client, 2)]);
    client_upgrade(client, path, fields);
}

void client_tunneller_tick(struct client *client) {
    if (client->phase != CLIENT_OPEN || client->ask == 0) {
        return;
    }
    if (client->left == 0) {
        client_done(client);
        ask_of(client)->is_left = true;
        client_leave(client);
        return;
    }
    // Some send more than a service that stands still lets through.
    uint32_t burst = client_below(client, 12) == 0 ? BURST : 1 + client_below(client, 4);
    client->left = burst > 4 ? burst : client->left;
    for (uint32_t i = 0; i < burst && client->left > 0; i++) {
        message_put(client);
    }
    client_flush(client);
}

void client_tunneller_event(struct client *client, const struct decoder_event *event) {
    if (client->ask == 0) {
        return;
    }
    switch (event->kind) {
    case DECODER_UPGRADED:
        client_tunneller_tick(client);
        return;
    case DECODER_RESPONSE:
        (void)asks_judge_response(asks_of(client), client->ask, event->status,
                                  event->payload); // it is asked for again in any case
        client->ask = 0;
        if (!event->is_last) {
            client_over(client);
        }
        return;
    case DECODER_MESSAGE:
        asks_judge_message(asks_of(client), client->ask, event->opcode == BINARY, event->payload);
        client->echo_got += event->payload.data[0] == 'e';
        if (client->echo_got == client->echo_sent && event->payload.data[0] == 'e') {
            client_tick_in(client, client_pause_us(client, 1, 3000));
        }
        return;
    case DECODER_CLOSE: // one that does not read may be closed for that
        if (!ask_of(client)->is_left && client_intents[client->kind] == CLIENT_HONEST) {
            asks_judge_close(asks_of(client), client->ask, event->status, event->payload);
        }
        return;
    default:
        return;
    }
}

// --- one that takes slowly

void client_sipper_connected(struct client *client) {
    client->left = 100;
    if (client_below(client, 2) == 0) {
        client_tunneller_connected(client);
        client->left = 100;
    } else {
        request_begin(client, ASKER_GET, client_below(client, SIPPED_BYTES));
    }
    client->read_piece = 1 + client_below(client, 500);
    client->read_pause_us = client_pause_us(client, 1, 1000);
    if (client_below(client, 3) == 0) {
        client_tick_in(client, client_pause_us(client, 1, 1000));
    }
}

void client_sipper_event(struct client *client, const struct decoder_event *event) {
    if (client->ask != 0 && ask_of(client)->method == ASK_UPGRADE) {
        client_tunneller_event(client, event);
    } else {
        client->left = 0;
        client_asker_event(client, event);
    }
}

void client_sipper_tick(struct client *client) { // it takes no more
    bool is_storm = client->sim->phase == SIM_STORM;
    if (client->phase == CLIENT_OPEN && client->left > 0) {
        client_tunneller_tick(client);
    }
    if (is_storm && client_below(client, 2) == 0) {
        client->reads = false;
    }
}

void client_asks_end(struct client *client) {
    if (client->ask != 0 && client->phase == CLIENT_ASKING &&
        client_intents[client->kind] == CLIENT_HONEST && client->sim->phase != SIM_END) {
        asks_judge_cut(asks_of(client), client->ask);
    }
}
