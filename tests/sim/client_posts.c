// Honest clients that publish one by one and wait for the answer: by POST, by the admin API, and by
// the envelope, which also subscribes and unsubscribes.
#include "tests/sim/clients.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/digest.h"
#include "tests/sim/cover.h"
#include "tests/sim/laws_state.h"

enum { TEXT = 1, FINAL = 0x80, BODY_BYTES_MAX = LEDGER_MESSAGE_BYTES_MAX * 2 + 512 };

// The next message of its publisher; the caller frees the bytes.
static uint8_t *message_next(struct client *client, uint32_t length_max, uint32_t *length) {
    uint8_t *bytes = malloc(LEDGER_MESSAGE_BYTES_MAX);
    check(bytes != NULL);
    struct ledger *ledger = &client->laws->ledger;
    client->sequence = ledger->publishers[client->publisher - 1].next;
    uint32_t wanted = client_length(client);
    *length = ledger_publish(ledger, client->publisher - 1, bytes,
                             wanted < length_max ? wanted : length_max);
    return bytes;
}

static bool is_binary(const struct client *client) {
    return ledger_is_binary(client->publisher - 1, client->sequence);
}

// It publishes to one of the first `channels`; `left` is how many requests follow the first.
static void publisher_begin(struct client *client, uint32_t channels, uint32_t requests_max) {
    client->channel = (uint8_t)client_below(client, channels);
    client->publisher =
        1 + ledger_publisher_add(&client->laws->ledger, (enum ledger_channel)client->channel);
    client->left = client_below(client, requests_max);
}

static void published(struct client *client, bool is_done) {
    struct ledger *ledger = &client->laws->ledger;
    if (is_done) {
        ledger_confirm(ledger, client->publisher - 1, client->sequence);
    } else {
        ledger_refuse(ledger, client->publisher - 1, client->sequence);
    }
}

// --- POST on a channel's route

enum post_verb { POST_PLAIN, POST_CHUNKED, POST_EXPECTS };

static void post_body(struct client *client, const uint8_t *bytes, uint32_t length) {
    if (client->verb != POST_CHUNKED) {
        client_put(client, bytes, length);
        return;
    }
    uint32_t at = 0;
    while (at < length) {
        uint32_t piece = 1 + client_below(client, length - at);
        client_text(client, "%x\r\n", piece);
        client_put(client, bytes + at, piece);
        client_text(client, "\r\n");
        at += piece;
    }
    client_text(client, "0\r\n\r\n");
}

static void post_ask(struct client *client) {
    uint32_t length;
    uint8_t *bytes = message_next(client, LEDGER_MESSAGE_BYTES_MAX, &length);
    client->verb = (uint8_t)client_below(client, 3);
    client_request(client,
                   &(struct decoder_request){.expects_continue = client->verb == POST_EXPECTS});
    client_text(client, "POST %s HTTP/1.1\r\nHost: gateway.test\r\n%s",
                ledger_channel_paths[client->channel],
                is_binary(client) ? "Content-Type: application/octet-stream\r\n" : "");
    if (client->verb == POST_CHUNKED) {
        client_text(client, "Transfer-Encoding: chunked\r\n\r\n");
    } else {
        client_text(client, "Content-Length: %u\r\n%s\r\n", length,
                    client->verb == POST_EXPECTS ? "Expect: 100-continue\r\n" : "");
    }
    if (client->verb != POST_EXPECTS) {
        post_body(client, bytes, length);
    }
    free(bytes);
    client_flush(client);
}

void client_poster_connected(struct client *client) {
    publisher_begin(client, LEDGER_CONFLATE + 1, 6);
    post_ask(client);
}

void client_poster_tick(struct client *client) {
    if (client->phase == CLIENT_ASKING && !client->was_said) {
        client->left--;
        post_ask(client);
    }
}

void client_poster_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_CONTINUE) {
        struct ledger *ledger = &client->laws->ledger;
        uint32_t publisher = client->publisher - 1;
        uint8_t *bytes = malloc(LEDGER_MESSAGE_BYTES_MAX);
        check(bytes != NULL);
        uint32_t length =
            ledger->nodes[ledger->publishers[publisher].nodes[client->sequence]].bytes;
        ledger_fill(publisher, client->sequence, bytes, length);
        client_put(client, bytes, length);
        free(bytes);
        client_flush(client);
    }
    if (event->kind != DECODER_RESPONSE) {
        return;
    }
    published(client, event->status == 200);
    if (event->status != 200) {
        client_refused(client, event);
        return;
    }
    if (client->left == 0) {
        client_done(client);
        client_over(client);
    } else if (!event->is_last) {
        client_tick_in(client, client_pause_us(client, 1, 2000));
    }
}

// --- JSON, by hand: the gateway's library allocates from a worker's memory

static uint32_t json_escape(const uint8_t *bytes, uint32_t length, uint8_t *target) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < length; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\') {
            target[at++] = '\\';
            target[at++] = bytes[i];
        } else if (bytes[i] < ' ') {
            at += (uint32_t)sprintf((char *)target + at, "\\u%04x", bytes[i]);
        } else {
            target[at++] = bytes[i];
        }
    }
    return at;
}

// Reads a JSON string's inside up to its quote. Returns the bytes read of it, or UINT32_MAX.
static uint32_t json_unescape(struct span text, uint8_t *target, uint32_t *at) {
    uint32_t i = *at;
    uint32_t length = 0;
    while (i < text.length && text.data[i] != '"') {
        if (text.data[i] != '\\') {
            target[length++] = text.data[i++];
        } else if (i + 1 < text.length && text.data[i + 1] != 'u') {
            target[length++] = text.data[i + 1];
            i += 2;
        } else {
            uint32_t value = 0;
            for (uint32_t k = i + 2; k < i + 6 && k < text.length; k++) {
                static const char digits[] = "0123456789abcdef";
                const char *digit = memchr(digits, text.data[k], 16);
                value = value * 16 + (digit == NULL ? 256u : (uint32_t)(digit - digits));
            }
            if (value > 0x1f) {
                return UINT32_MAX; // nothing else needs this form
            }
            target[length++] = (uint8_t)value;
            i += 6;
        }
    }
    *at = i + 1;
    return i < text.length ? length : UINT32_MAX;
}

// The string behind `"key":"`. Its length, or UINT32_MAX.
static uint32_t json_string(struct span text, const char *key, uint8_t *target) {
    char pattern[32];
    int length = snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
    const uint8_t *found = memmem(text.data, text.length, pattern, (size_t)length);
    if (found == NULL) {
        return UINT32_MAX;
    }
    uint32_t at = (uint32_t)(found - text.data) + (uint32_t)length;
    return json_unescape(text, target, &at);
}

// `"data":"..."` or `"base64":"..."` of the next message.
static void content_put(struct client *client, const char *text_key, uint32_t length_max) {
    uint32_t length;
    uint8_t *bytes = message_next(client, length_max, &length);
    uint8_t *escaped = malloc((size_t)length * 6 + 8);
    check(escaped != NULL);
    uint32_t written;
    if (is_binary(client)) {
        client_text(client, "\"base64\":\"");
        written = base64_encode(span_make(bytes, length),
                                (struct span_mut){.data = escaped, .length = length * 6});
    } else {
        client_text(client, "\"%s\":\"", text_key);
        written = json_escape(bytes, length, escaped);
    }
    client_put(client, escaped, written);
    client_text(client, "\"");
    free(escaped);
    free(bytes);
}

// What was put since `first` becomes the payload of one text frame.
static void frame_from(struct client *client, uint32_t first) {
    uint32_t length = client->out_bytes - first;
    uint8_t *text = malloc(length);
    check(text != NULL);
    memcpy(text, client->out + first, length);
    client->out_bytes = first;
    client_message(client, TEXT, span_make(text, length), client_below(client, 6) == 0 ? 2 : 1);
    free(text);
    client_flush(client);
}

// --- the admin API

enum admin_verb { ADMIN_ACT_PUBLISH, ADMIN_ACT_LOOK, ADMIN_ACT_CLOSE, ADMIN_ACT_RELOAD };

static void admin_ask(struct client *client) {
    static const char *const looks[] = {
        "/metrics", "/connections", "/channels",         "/trace", "/connections?state=open",
        "/live",    "/ready",       "/connections/0-1-1"};
    bool is_storm = client->sim->phase == SIM_STORM;
    uint32_t pick = client_below(client, 16);
    client->verb = pick < 10 ? ADMIN_ACT_PUBLISH : ADMIN_ACT_LOOK;
    client_request(client, &(struct decoder_request){.is_head = false});
    if (pick == 15 && is_storm) {
        client->verb = ADMIN_ACT_CLOSE;
        client_text(client,
                    "DELETE /connections?channel=%s HTTP/1.1\r\n"
                    "Host: 127.0.0.1\r\n\r\n",
                    ledger_channel_names[client_below(client, LEDGER_CHANNEL_COUNT)]);
    } else if (pick == 14 && is_storm) {
        client->verb = ADMIN_ACT_RELOAD;
        client_text(client, "POST /reload HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                            "Content-Type: application/json\r\nContent-Length: 0\r\n\r\n");
    } else if (client->verb == ADMIN_ACT_LOOK) {
        client_text(client, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                    looks[client_below(client, sizeof looks / sizeof looks[0])]);
    } else {
        uint32_t first = client_mark(client);
        client_text(client, "{\"channel\":\"%s\",", ledger_channel_names[client->channel]);
        content_put(client, "text", 20000);
        client_text(client, "}");
        uint32_t length = client->out_bytes - first;
        uint8_t *body = malloc(length);
        check(body != NULL);
        memcpy(body, client->out + first, length);
        client->out_bytes = first;
        client_text(client,
                    "POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    "Content-Type: application/json\r\nContent-Length: %u\r\n\r\n",
                    length);
        client_put(client, body, length);
        free(body);
    }
    client_flush(client);
}

void client_admin_connected(struct client *client) {
    publisher_begin(client, LEDGER_CHANNEL_COUNT, 8);
    admin_ask(client);
}

void client_admin_tick(struct client *client) {
    if (client->phase == CLIENT_ASKING && !client->was_said) {
        client->left--;
        admin_ask(client);
    }
}

void client_admin_event(struct client *client, const struct decoder_event *event) {
    if (event->kind != DECODER_RESPONSE) {
        return;
    }
    bool is_publish = client->verb == ADMIN_ACT_PUBLISH;
    if (is_publish && (event->status == 200 || event->status == 503)) {
        published(client, event->status == 200);
    }
    bool is_refused = client->verb == ADMIN_ACT_RELOAD && event->status == 400;
    bool is_fine = event->status == 200 || (!is_publish && event->status == 404) || is_refused;
    if (!is_fine) { // 503: overloaded; 504: a worker was held up
        if (event->status != 503 && event->status != 504 && event->status != 408) {
            sim_fail(client->sim, "L3", "the admin API answered %u: %.*s", event->status,
                     (int)event->payload.length, (const char *)event->payload.data);
        }
        if (!event->is_last) {
            client_over(client);
        }
        return;
    }
    if (client->left == 0) {
        client_done(client);
        client_over(client);
    } else if (!event->is_last) {
        client_tick_in(client, client_pause_us(client, 1, 2000));
    }
}

// --- the envelope

enum envelope_verb {
    ENVELOPE_SUBSCRIBE,
    ENVELOPE_UNSUBSCRIBE,
    ENVELOPE_PUBLISH,
    ENVELOPE_REFUSED, // asks for what is not allowed
};
static const char *const envelope_verbs[] = {"subscribe", "unsubscribe", "publish", "subscribe"};

static uint32_t subscription_find(const struct client *client, uint32_t channel) {
    for (uint32_t i = 0; i < CLIENT_SUBSCRIPTIONS_MAX; i++) {
        if (client->subscriptions[i].subscriber != 0 &&
            client->subscriptions[i].channel == channel) {
            return i;
        }
    }
    return CLIENT_SUBSCRIPTIONS_MAX;
}

static void envelope_subscribe(struct client *client, uint32_t channel) {
    for (uint32_t i = 0; i < CLIENT_SUBSCRIPTIONS_MAX; i++) {
        if (client->subscriptions[i].subscriber == 0) {
            client->subscriptions[i].channel = (uint8_t)channel;
            client->subscriptions[i].is_open = false;
            client->subscriptions[i].subscriber =
                1 + ledger_subscriber_add(&client->laws->ledger, (enum ledger_channel)channel, 0);
            return;
        }
    }
}

static void envelope_ask(struct client *client) {
    uint32_t first = client_mark(client);
    uint32_t channel = LEDGER_ROOM_X + client_below(client, 2);
    bool is_subscribed = subscription_find(client, channel) != CLIENT_SUBSCRIPTIONS_MAX;
    uint32_t pick = client_below(client, 8);
    client->verb = pick == 0
                       ? ENVELOPE_REFUSED
                       : (pick < 4 ? (is_subscribed ? ENVELOPE_UNSUBSCRIBE : ENVELOPE_SUBSCRIBE)
                                   : ENVELOPE_PUBLISH);
    bool is_publish = client->verb == ENVELOPE_PUBLISH;
    channel = is_publish ? client->laws->ledger.publishers[client->publisher - 1].channel : channel;
    client->channel = (uint8_t)channel;
    if (client->verb == ENVELOPE_SUBSCRIBE) {
        envelope_subscribe(client, channel);
    }
    client_text(client, "{\"%s\":\"%s\"%s", envelope_verbs[client->verb],
                client->verb == ENVELOPE_REFUSED ? "forbidden" : ledger_channel_names[channel],
                is_publish ? "," : "");
    if (is_publish) {
        uint32_t room = client->laws->least.message_bytes / 8;
        content_put(client, "data", room > 48 ? room : 48);
    }
    client_text(client, "}");
    client->waiting = 1;
    frame_from(client, first);
}

void client_envelope_connected(struct client *client) {
    client->left = 2 + client_below(client, 10);
    client_upgrade(client, "/rooms/u?envelope=json", "");
}

void client_envelope_tick(struct client *client) {
    if (!client_may_ask(client)) {
        return;
    }
    client->left--;
    envelope_ask(client);
}

// {"id","channel","data" or "base64"}
static void envelope_message(struct client *client, struct span text) {
    uint8_t *bytes = malloc((size_t)text.length + 1);
    check(bytes != NULL);
    uint32_t length = json_string(text, "channel", bytes);
    uint32_t at = CLIENT_SUBSCRIPTIONS_MAX;
    for (uint32_t i = 0; i < LEDGER_CHANNEL_COUNT && length != UINT32_MAX; i++) {
        if (span_is(span_make(bytes, length), ledger_channel_names[i])) {
            at = subscription_find(client, i);
        }
    }
    if (at == CLIENT_SUBSCRIPTIONS_MAX) {
        sim_fail(client->sim, "L1", "client %u got a message of a channel that it is not in: %.*s",
                 client->id, (int)(text.length < 160 ? text.length : 160), text.data);
    }
    bool is_base64 = false;
    length = json_string(text, "data", bytes);
    if (length == UINT32_MAX) {
        is_base64 = true;
        length = json_string(text, "base64", bytes);
    }
    int64_t decoded = length;
    if (is_base64 && length != UINT32_MAX) { // in place: it becomes shorter
        uint8_t *binary = malloc((size_t)length + 1);
        check(binary != NULL);
        decoded = base64_decode(span_make(bytes, length),
                                (struct span_mut){.data = binary, .length = length});
        memcpy(bytes, binary, decoded < 0 ? 0 : (size_t)decoded);
        free(binary);
    }
    if (length == UINT32_MAX || decoded < 0) {
        sim_fail(client->sim, "L3", "client %u got a message without content", client->id);
    }
    ledger_receive(&client->laws->ledger, client->subscriptions[at].subscriber - 1, is_base64,
                   span_make(bytes, (uint32_t)decoded));
    cover_add(client->sim, COVER_EVENTS + COVER_EVENT_MESSAGE);
    free(bytes);
}

static bool begins(struct span text, const char *word) {
    return text.length >= strlen(word) && memcmp(text.data, word, strlen(word)) == 0;
}

// The answer to the one thing that was asked.
static void envelope_answered(struct client *client, struct span text) {
    struct ledger *ledger = &client->laws->ledger;
    bool is_error = begins(text, "{\"error\":\"");
    uint32_t at = subscription_find(client, client->channel);
    static const char *const wanted[] = {"{\"subscribed\":\"room.", "{\"unsubscribed\":\"room.",
                                         "{\"published\":\"room.", "{\"error\":\"channel not"};
    if (client->waiting == 0 || (!is_error && !begins(text, wanted[client->verb]))) {
        sim_fail(client->sim, "L3", "client %u asked to %s and was answered %.*s", client->id,
                 envelope_verbs[client->verb], (int)(text.length < 160 ? text.length : 160),
                 text.data);
    }
    if (client->verb == ENVELOPE_SUBSCRIBE && !is_error) {
        client->subscriptions[at].is_open = true;
        ledger_subscriber_open(ledger, client->subscriptions[at].subscriber - 1);
    } else if (client->verb == ENVELOPE_PUBLISH) {
        published(client, !is_error);
    } else if (client->verb == ENVELOPE_SUBSCRIBE ||
               (client->verb == ENVELOPE_UNSUBSCRIBE && !is_error)) {
        ledger_subscriber_end(ledger, client->subscriptions[at].subscriber - 1);
        client->subscriptions[at].subscriber = 0;
    }
    client->waiting = 0;
    client_tick_in(client, client_pause_us(client, 1, 1000));
}

void client_envelope_event(struct client *client, const struct decoder_event *event) {
    switch (event->kind) {
    case DECODER_UPGRADED:
        client->publisher = 1 + ledger_publisher_add(&client->laws->ledger,
                                                     LEDGER_ROOM_X + client_below(client, 2));
        client_tick_in(client, client_pause_us(client, 1, 500));
        return;
    case DECODER_RESPONSE:
        client_refused(client, event);
        return;
    case DECODER_MESSAGE:
        if (begins(event->payload, "{\"id\":\"")) {
            envelope_message(client, event->payload);
        } else if (begins(event->payload, "{\"")) {
            envelope_answered(client, event->payload);
        }
        return;
    default:
        return;
    }
}
