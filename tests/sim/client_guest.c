// A client whose route asks a service who it is: what it shows, and one that joins the channel of
// its own name.
#include "tests/sim/clients.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/cover.h"
#include "tests/sim/laws_state.h"

enum { TEXT = 1, AGAIN = 3, TEXT_BYTES = 96 };

uint32_t client_guest_next(struct client *client) {
    struct guests *guests = &client->laws->services.guests;
    bool may_again = client->guest != 0 && client->sim->phase == SIM_STORM;
    if (!may_again || client_below(client, AGAIN) != 0) {
        client->guest = guests_add(guests);
    }
    return client->guest;
}

void client_guest_connected(struct client *client) {
    char fields[TEXT_BYTES];
    (void)snprintf(fields, sizeof fields, "X-Guest: %u\r\n%s", client_guest_next(client),
                   client_below(client, 3) == 0 ? "X-User: forged\r\n" : ""); // fits
    client->left = 1 + client_below(client, 4);
    client_upgrade(client, "/me?envelope=json", fields);
}

void client_guest_tick(struct client *client) {
    if (!client_may_ask(client)) {
        return;
    }
    char name[GUEST_NAME_BYTES];
    guest_name(client->guest, name);
    char text[TEXT_BYTES];
    int length = snprintf(text, sizeof text, "{\"publish\":\"user.%s\",\"data\":\"mine\"}", name);
    check(length > 0 && length < (int)sizeof text);
    client->left--;
    client->waiting = 1;
    client_message(client, TEXT, span_make(text, (uint32_t)length), 1);
    client_flush(client);
}

static bool begins(struct span text, const char *word) {
    return text.length >= strlen(word) && memcmp(text.data, word, strlen(word)) == 0;
}

// Its channel is the one of its name: what it publishes there comes back, and nothing else does.
static void told(struct client *client, struct span text) {
    char name[GUEST_NAME_BYTES];
    guest_name(client->guest, name);
    char published[TEXT_BYTES];
    char channel[TEXT_BYTES];
    (void)snprintf(published, sizeof published, "{\"published\":\"user.%s\",\"subscribers\":",
                   name); // fits, as the next one
    (void)snprintf(channel, sizeof channel, "\"channel\":\"user.%s\",\"data\":\"mine\"}", name);
    bool is_message = begins(text, "{\"id\":\"");
    bool is_right =
        is_message ? text.length > strlen(channel) &&
                         span_is(span_from(text, text.length - (uint32_t)strlen(channel)), channel)
                   : client->waiting != 0 &&
                         (begins(text, published) || begins(text, "{\"error\":\"overloaded\"") ||
                          begins(text, "{\"error\":\"out of memory\""));
    if (!is_right) {
        sim_fail(client->sim, "auth", "guest %u was told %.*s", client->guest,
                 (int)(text.length < 160 ? text.length : 160), text.data);
    }
    if (!is_message) {
        client->waiting = 0;
        client_tick_in(client, client_pause_us(client, 1, 1000));
    }
}

void client_guest_event(struct client *client, const struct decoder_event *event) {
    const struct guests *guests = &client->laws->services.guests;
    char name[GUEST_NAME_BYTES];
    switch (event->kind) {
    case DECODER_UPGRADED: // its name is in what follows
        guest_name(client->guest, name);
        guests_judge_in(guests, client->guest, span_text(name));
        client->waiting = 0;
        client_tick_in(client, client_pause_us(client, 1, 500));
        return;
    case DECODER_RESPONSE:
        if (event->status == 401 || event->status == 403) {
            guests_judge_refused(guests, client->guest, event->status, true);
            if (!event->is_last) {
                client_over(client);
            }
            return;
        }
        client_refused(client, event);
        return;
    case DECODER_MESSAGE:
        told(client, event->payload);
        return;
    default:
        return;
    }
}
