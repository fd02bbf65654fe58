// What clients send: heads and masked frames, written here without core/http and core/ws, in the
// pieces that a client's pace and the network allow.
#include "tests/sim/clients.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/digest.h"

enum { FINAL = 0x80, MASK = 0x80 };

uint32_t client_mark(struct client *client) {
    if (client->out_first == client->out_bytes) {
        client->out_first = 0;
        client->out_bytes = 0;
    }
    return client->out_bytes;
}

void client_put(struct client *client, const void *bytes, uint32_t length) {
    (void)client_mark(client); // what was sent makes room
    uint32_t wanted = client->out_bytes + length;
    if (wanted > client->out_room) {
        client->out_room = wanted < 1024 ? 1024 : wanted * 2;
        client->out = realloc(client->out, client->out_room);
        check(client->out != NULL);
    }
    memcpy(client->out + client->out_bytes, bytes, length);
    client->out_bytes = wanted;
}

void client_text(struct client *client, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    check(length >= 0 && length < (int)sizeof text);
    client_put(client, text, (uint32_t)length);
}

static void on_write_time(struct sim *sim, void *context, uint64_t life) {
    (void)sim; // the client knows it
    struct client *client = context;
    if (life == client->life) {
        client->is_write_timed = false;
        client_flush(client);
    }
}

void client_flush(struct client *client) {
    bool may_send = client->phase != CLIENT_AWAY && client->phase != CLIENT_CONNECTING;
    while (may_send && !client->is_write_timed && client->out_first < client->out_bytes) {
        uint32_t length = client->out_bytes - client->out_first;
        bool is_paced = client->write_piece != 0;
        length = is_paced && length > client->write_piece ? client->write_piece : length;
        uint32_t sent =
            net_send(client->sim, client->connection, client->out + client->out_first, length);
        client->out_first += sent;
        if (sent == 0) {
            return; // NET_WRITABLE follows
        }
        if (is_paced) {
            client->is_write_timed = true;
            sim_after(client->sim,
                      1 + prng_below(&client->prng, (uint32_t)client->write_pause_us + 1),
                      on_write_time, client, client->life);
        }
    }
}

void client_frame(struct client *client, uint8_t first, struct span payload) {
    uint8_t head[14] = {first};
    uint32_t length = 2;
    if (payload.length < 126) {
        head[1] = (uint8_t)(MASK | payload.length);
    } else if (payload.length < 65536) {
        head[1] = MASK | 126;
        head[2] = (uint8_t)(payload.length >> 8);
        head[3] = (uint8_t)payload.length;
        length = 4;
    } else {
        head[1] = MASK | 127;
        for (uint32_t i = 0; i < 4; i++) {
            head[6 + i] = (uint8_t)(payload.length >> (24 - 8 * i));
        }
        length = 10;
    }
    uint32_t key = (uint32_t)prng_next(&client->prng);
    uint8_t mask[4];
    memcpy(mask, &key, sizeof mask);
    memcpy(head + length, mask, sizeof mask);
    client_put(client, head, length + 4);
    client_put(client, payload.data, payload.length);
    for (uint32_t i = 0; i < payload.length; i++) {
        client->out[client->out_bytes - payload.length + i] ^= mask[i % 4];
    }
}

void client_message(struct client *client, uint8_t opcode, struct span payload, uint32_t pieces) {
    uint32_t piece_bytes = payload.length / pieces;
    uint8_t first = opcode;
    for (uint32_t i = 1; i < pieces; i++) {
        client_frame(client, first, span_first(payload, piece_bytes));
        payload = span_from(payload, piece_bytes);
        first = 0;
        if (client_below(client, 4) == 0) { // control frames may stand between (RFC 6455 5.4)
            client_frame(client, FINAL | 9, span_text("between"));
        }
    }
    client_frame(client, FINAL | first, payload);
}

void client_close_frame(struct client *client, uint16_t code) {
    uint8_t bytes[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    client_frame(client, FINAL | 8, span_make(bytes, code == 0 ? 0 : 2));
}

void client_request(struct client *client, const struct decoder_request *request) {
    client->request = *request;
    check(decoder_request(&client->decoder, request));
    client->asked_us = client->sim->now_us;
}

void client_upgrade(struct client *client, const char *target, const char *fields) {
    struct decoder_request request = {.is_upgrade = true};
    uint64_t random[2] = {prng_next(&client->prng), prng_next(&client->prng)};
    (void)base64_encode(span_make(random, 16), // 24 bytes
                        (struct span_mut){.data = request.key, .length = DECODER_KEY_BYTES});
    if (strstr(fields, "Sec-WebSocket-Protocol") != NULL) {
        request.subprotocols = "mqtt, chat.v2";
    }
    client_request(client, &request);
    client_text(client,
                "GET %s HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.24s\r\n"
                "%s\r\n",
                target, (const char *)request.key, fields);
}
