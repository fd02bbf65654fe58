// Clients that dawdle, lie, flood and vanish. The gateway owes them what the tables say, and owes
// everybody else that they are not noticed.
#include "tests/sim/clients.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "tests/sim/cover.h"
#include "tests/sim/laws_state.h"

enum { TEXT = 1, BINARY = 2, FINAL = 0x80, HOUR_MS = 3600 * 1000 };

static const struct client_behaviour *as(enum client_kind kind) {
    return &client_honest_behaviours[kind];
}

static void nothing(struct client *client) {
    (void)client; // no plan beyond the first
}

// --- dawdlers

static void drip_connected(struct client *client) {
    client->write_piece = 1;
    client->write_pause_us = client_pause_us(client, 1, 1000);
    as(CLIENT_echo)->on_connected(client);
    client->left = 1;
    if (client_below(client, 2) == 0) { // never the end
        client->out_bytes -= 1 + client_below(client, client->out_bytes - 1);
    }
}

static void drip_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_UPGRADED || event->kind == DECODER_MESSAGE) {
        as(CLIENT_echo)->on_event(client, event);
    } else if (event->kind == DECODER_RESPONSE && !event->is_last) {
        client_over(client);
    }
}

static void trickle_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_UPGRADED) {
        client->write_piece = 1 + client_below(client, 8);
        client->write_pause_us = client_pause_us(client, 1, 500);
        client->left = 1 + client_below(client, 2);
    }
    drip_event(client, event);
    bool stops = event->kind == DECODER_UPGRADED && client_below(client, 3) == 0;
    if (stops && client->out_bytes > client->out_first + 1) { // in the middle of a frame
        uint32_t kept = client_below(client, client->out_bytes - client->out_first);
        client->out_bytes = client->out_first + kept;
        client->answers = false;
    }
}

static void slow_connected(struct client *client) {
    client->read_piece = 1 + client_below(client, 200);
    client->read_pause_us = client_pause_us(client, 1, 1000);
    client->acts = client_below(client, 2) == 0 ? CLIENT_member : CLIENT_listener;
    as(client->acts)->on_connected(client);
}

enum stopped_verb { STOPPED_LISTENS, STOPPED_ASKS };

static void stopped_connected(struct client *client) {
    client->verb = client_below(client, 4) == 0 ? STOPPED_ASKS : STOPPED_LISTENS;
    if (client->verb == STOPPED_LISTENS) {
        as(CLIENT_listener)->on_connected(client);
        return;
    }
    client->reads = false; // a page that it does not read
    client_request(client, &(struct decoder_request){.is_head = false});
    client_text(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client_tick_in(client, client_pause_us(client, 100, 60000));
}

static void trickle_connected(struct client *client) {
    as(CLIENT_echo)->on_connected(client);
}

static void echo_tick(struct client *client) {
    as(CLIENT_echo)->on_tick(client);
}

static void stopped_event(struct client *client, const struct decoder_event *event) {
    if (client->verb == STOPPED_ASKS) {
        bool is_over = event->kind == DECODER_RESPONSE && !event->is_last;
        if (is_over) {
            client_over(client);
        }
        return;
    }
    as(CLIENT_listener)->on_event(client, event);
    if (event->kind == DECODER_UPGRADED) {
        client->reads = false;
        client->answers = client_below(client, 2) == 0;
    }
}

static void stopped_tick(struct client *client) { // the listener's event has asked for the first
    bool is_storm = client->sim->phase == SIM_STORM;
    client->reads = is_storm && !client->reads;
    if (!is_storm) { // for ever
        return;
    }
    client_tick_in(client, client_below(client, 2) == 0 ? (uint64_t)HOUR_MS * 1000
                                                        : client_pause_us(client, 100, 60000));
    client_read(client);
}

static void mute_connected(struct client *client) {
    client->answers = false;
    as(client_below(client, 2) == 0 ? CLIENT_echo : CLIENT_listener)->on_connected(client);
}

static void mute_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_RESPONSE && !event->is_last) {
        client_over(client);
    }
}

// --- a crowd: in the worlds of law L9 alone (laws.h)

enum { CROWD_TALKERS = 8, CROWD_PAUSE_US = 5000, CROWD_MESSAGE_BYTES = 60 };

static void crowd_connected(struct client *client) {
    client_upgrade(client, "/quiet/crowd", "");
}

static void crowd_tick(struct client *client) {
    if (client->phase == CLIENT_OPEN) {
        uint8_t bytes[CROWD_MESSAGE_BYTES] = {'c'};
        client_frame(client, FINAL | BINARY, span_make(bytes, sizeof bytes));
        client_flush(client);
        client_tick_in(client, CROWD_PAUSE_US);
    }
}

static void crowd_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_UPGRADED && client->id % SIM_CROWD < CROWD_TALKERS) {
        crowd_tick(client);
    } else if (event->kind == DECODER_RESPONSE && !event->is_last) {
        client_over(client);
    }
}

// --- liars

struct frame_lie {
    const char *path, *bytes;
    uint32_t length;
    uint16_t code;
    bool is_deflate; // behind an offer of permessage-deflate
};
struct head_lie {
    const char *bytes;
    uint32_t length;
    uint16_t status;
};
static const struct frame_lie frame_lies[] = {
#define FRAME_LIE(path, bytes, code) {path, bytes, sizeof(bytes) - 1, code, false},
#define DEFLATE_LIE(path, bytes, code) {path, bytes, sizeof(bytes) - 1, code, true},
#include "tests/sim/client_lies.h"
#undef DEFLATE_LIE
#undef FRAME_LIE
};
static const struct head_lie head_lies[] = {
#define HEAD_LIE(bytes, status) {bytes, sizeof(bytes) - 1, status},
#include "tests/sim/client_lies.h"
#undef HEAD_LIE
};
enum {
    FRAME_LIES = sizeof frame_lies / sizeof frame_lies[0],
    HEAD_LIES = sizeof head_lies / sizeof head_lies[0],
};

static void liar_connected(struct client *client) {
    client->lie = client_below(client, FRAME_LIES);
    client->answers = client_below(client, 2) == 0;
    bool is_deflate = frame_lies[client->lie].is_deflate;
    client_upgrade(client, frame_lies[client->lie].path,
                   is_deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
}

// Closes that have nothing to do with what the client sent.
static bool is_independent(const struct decoder_event *event) {
    uint16_t code = event->status;
    bool is_operator = code == 1000 && span_is(event->payload, "closed through the admin API");
    return code == 1001 || code == 1011 || code == 1012 || code == 1013 || is_operator;
}

static void liar_lie(struct client *client) {
    const struct frame_lie *lie = &frame_lies[client->lie];
    client->wanted = lie->code;
    client_put(client, lie->bytes, lie->length);
    uint32_t more = client_below(client, 3) == 0 ? client_below(client, 3000) : 0;
    client->left = more;
    for (uint32_t i = 0; i < more; i++) { // junk behind the lie
        uint8_t byte = (uint8_t)client_below(client, 256);
        client_put(client, &byte, 1);
    }
    client_flush(client);
}

static void liar_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_UPGRADED) {
        client_tick_in(client, client_pause_us(client, 1, 1000));
    } else if (event->kind == DECODER_RESPONSE && !event->is_last) {
        client_over(client);
    } else if (event->kind == DECODER_CLOSE && client->wanted != 0) {
        // A length in eight bytes is also larger than a small limit, whichever is seen first.
        bool is_large = (uint8_t)frame_lies[client->lie].bytes[1] == 0xff && event->status == 1009;
        // An envelope that there was no memory to look at is answered, and the junk behind it not.
        bool is_envelope = strstr(frame_lies[client->lie].path, "envelope") != NULL;
        bool is_junk = is_envelope && client->left > 0 && event->status == 1002;
        if (event->status != client->wanted && !is_independent(event) && !is_large && !is_junk) {
            sim_fail(client->sim, "L3", "lie %u was answered with %u instead of %u", client->lie,
                     event->status, client->wanted);
        }
        cover_add(client->sim, COVER_LAWS + COVER_LAW_CODE);
    }
}

static void liar_tick(struct client *client) {
    if (client->phase == CLIENT_OPEN) {
        liar_lie(client);
    }
}

static void head_large(struct client *client) { // a head that is too large in one of three ways
    uint32_t way = client_below(client, 3);
    client->wanted = way == 0 ? 414 : 431;
    client_text(client, "GET /");
    for (uint32_t i = 0; i < 9000 && way == 0; i++) {
        client_put(client, "x", 1);
    }
    client_text(client, " HTTP/1.1\r\nHost: a\r\n");
    for (uint32_t i = 0; i < 120 && way == 1; i++) {
        client_text(client, "A%u: b\r\n", i);
    }
    for (uint32_t i = 0; i < 9000 && way == 2; i++) {
        client_put(client, i == 0 ? "A:" : "aa", 2);
    }
    client_text(client, "\r\n\r\n");
}

static void badhead_connected(struct client *client) {
    client->lie = client_below(client, HEAD_LIES + 2);
    client_request(client, &(struct decoder_request){.is_head = false}); // it is answered as one
    if (client->lie >= HEAD_LIES) {
        head_large(client);
        return;
    }
    client->wanted = head_lies[client->lie].status;
    client_put(client, head_lies[client->lie].bytes, head_lies[client->lie].length);
    if (client->lie % 4 == 1 && client_below(client, 2) == 0) {
        client->write_piece = 1 + client_below(client, 30);
        client->write_pause_us = 1000;
    }
}

static void badhead_event(struct client *client, const struct decoder_event *event) {
    if (event->kind != DECODER_RESPONSE) {
        return;
    }
    bool is_later = event->status == 408 || event->status == 429 || event->status == 503;
    if (event->status != client->wanted && !is_later) {
        sim_fail(client->sim, "L3", "request %u was answered with %u instead of %u", client->lie,
                 event->status, client->wanted);
    }
    cover_add(client->sim, COVER_LAWS + COVER_LAW_STATUS);
    if (!event->is_last) {
        client_over(client);
    }
}

// --- floods

enum flood_verb { FLOOD_PING, FLOOD_FRAGMENTS, FLOOD_MESSAGES, FLOOD_PUBLISH, FLOOD_LARGE };

static void flood_large(struct client *client) {
    uint8_t *bytes = calloc(1, 60000);
    check(bytes != NULL);
    for (uint32_t i = 0; i < 8; i++) {
        client_frame(client, FINAL | BINARY, span_make(bytes, 20000 + client_below(client, 40000)));
    }
    free(bytes);
}

static void flood_connected(struct client *client) {
    client->verb = client->laws->rules.is_heavy ? FLOOD_LARGE : (uint8_t)client_below(client, 4);
    client->left = 1 + client_below(client, 5);
    client_upgrade(client, client->verb == FLOOD_PUBLISH ? "/chat/a" : "/echo", "");
}

static void flood_tick(struct client *client) {
    if (client->phase != CLIENT_OPEN || client->left == 0) {
        return;
    }
    client->left--;
    client->reads = client->left % 2 == 0 && client_below(client, 2) == 0;
    if (client->verb == FLOOD_LARGE) {
        flood_large(client);
        client_flush(client);
        client_tick_in(client, client_pause_us(client, 1, 3000));
        return;
    }
    uint32_t count = 20 + client_below(client, 200);
    uint8_t bytes[120] = {'f'};
    for (uint32_t i = 0; i < count; i++) {
        if (client->verb == FLOOD_PING) {
            client_frame(client, FINAL | 9, span_make(bytes, client_below(client, 120)));
        } else if (client->verb == FLOOD_FRAGMENTS) { // fragments without an end
            client_frame(client, i == 0 && client->waiting == 0 ? BINARY : 0, span_make(bytes, 1));
            client->waiting = 1;
        } else {
            client_frame(client, FINAL | BINARY, span_make(bytes, 1 + client_below(client, 119)));
        }
    }
    client_flush(client);
    client_tick_in(client, client_pause_us(client, 1, 3000));
}

static void flood_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_UPGRADED) {
        flood_tick(client);
    } else if (event->kind == DECODER_RESPONSE && !event->is_last) {
        client_over(client);
    }
}

static void churn_connected(struct client *client) {
    client->left = 1 + client_below(client, 6);
    client_upgrade(client, "/rooms/v?envelope=json", "");
}

static void churn_tick(struct client *client) {
    if (client->phase != CLIENT_OPEN) {
        return;
    }
    if (client->left == 0) {
        client_leave(client);
        return;
    }
    client->left--;
    static const char *const verbs[] = {"subscribe", "unsubscribe"};
    static const char *const names[] = {"room.x", "room.y", "room.1",  "room.2",   "room.3",
                                        "room.4", "room.5", "no.room", "not valid"};
    for (uint32_t i = 10 + client_below(client, 30); i > 0; i--) {
        char text[96];
        const char *name = names[client_below(client, sizeof names / sizeof names[0])];
        bool publishes = client_below(client, 5) == 0;
        int length = publishes
                         ? snprintf(text, sizeof text, "{\"publish\":\"%s\",\"data\":\"x\"}", name)
                         : snprintf(text, sizeof text, "{\"%s\":\"%s\"}",
                                    verbs[client_below(client, 2)], name);
        client_frame(client, FINAL | TEXT, span_make(text, (uint32_t)length));
    }
    client_flush(client);
    client_tick_in(client, client_pause_us(client, 1, 1000));
}

static void churn_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_UPGRADED) {
        churn_tick(client);
    } else if (event->kind == DECODER_RESPONSE && !event->is_last) {
        client_over(client);
    }
}

static void pipeliner_connected(struct client *client) {
    client->verb = (uint8_t)client_below(client, 3);
    uint32_t count = 1 + client_below(client, 4);
    for (uint32_t i = 0; i < count; i++) {
        client_request(client, &(struct decoder_request){.is_head = false});
        client_text(client, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", i % 2 == 0 ? "/" : "/none");
    }
    if (client->verb == 1) {
        client_text(client, "junk junk junk\r\n\r\n");
    } else if (client->verb == 2) { // frames behind a handshake, not waiting for the 101
        client_upgrade(client, "/echo", "");
        client_frame(client, FINAL | TEXT, span_text("early"));
        client_close_frame(client, 1000);
    }
}

static void pipeliner_event(struct client *client, const struct decoder_event *event) {
    if (event->kind == DECODER_UPGRADED) {
        client->phase = CLIENT_LEAVING;
    } else if (event->kind == DECODER_RESPONSE && client->decoder.request_count == 0 &&
               client->verb == 0 && !event->is_last) {
        client_over(client);
    }
}

// --- vanishers

static void vanish(struct sim *sim, void *context, uint64_t life) {
    struct client *client = context;
    if (life != client->life || client->phase == CLIENT_AWAY) {
        return;
    }
    switch (client_below(client, 4)) {
    case 0:
        net_reset(sim, client->connection);
        break;
    case 1:
        net_vanish(sim, client->connection);
        break;
    case 2: // reads on until the gateway ends it
        net_finish(sim, client->connection);
        return;
    default:
        break; // client_over closes
    }
    client_over(client);
}

static void vanisher_connected(struct client *client) {
    static const uint8_t kinds[] = {
        CLIENT_echo,   CLIENT_member,    CLIENT_listener, CLIENT_envelope, CLIENT_poster,
        CLIENT_reader, CLIENT_flood,     CLIENT_churn,    CLIENT_stopped,  CLIENT_liar,
        CLIENT_asker,  CLIENT_tunneller, CLIENT_sipper};
    client->acts = kinds[client_below(client, sizeof kinds)];
    sim_after(client->sim, client_pause_us(client, 1, 10000), vanish, client, client->life);
    client_behaviour(client->acts)->on_connected(client);
}

static void vanisher_event(struct client *client, const struct decoder_event *event) {
    (void)client; // acts as another kind from the first byte on
    (void)event;
}

const struct client_behaviour client_hostile_behaviours[CLIENT_KIND_COUNT] = {
    [CLIENT_drip] = {drip_connected, drip_event, echo_tick},
    [CLIENT_trickle] = {trickle_connected, trickle_event, echo_tick},
    [CLIENT_slow] = {slow_connected, mute_event, nothing},
    [CLIENT_stopped] = {stopped_connected, stopped_event, stopped_tick},
    [CLIENT_mute] = {mute_connected, mute_event, nothing},
    [CLIENT_sipper] = {client_sipper_connected, client_sipper_event, client_sipper_tick},
    [CLIENT_crowd] = {crowd_connected, crowd_event, crowd_tick},
    [CLIENT_liar] = {liar_connected, liar_event, liar_tick},
    [CLIENT_badhead] = {badhead_connected, badhead_event, nothing},
    [CLIENT_flood] = {flood_connected, flood_event, flood_tick},
    [CLIENT_churn] = {churn_connected, churn_event, churn_tick},
    [CLIENT_pipeliner] = {pipeliner_connected, pipeliner_event, nothing},
    [CLIENT_vanisher] = {vanisher_connected, vanisher_event, nothing},
};
