// What clients send: heads and masked frames, written here without core/http and core/ws, in the
// pieces that a client's pace and the network allow.
#include "tests/sim/clients.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "core/base/check.h"
#include "core/base/digest.h"

enum { FINAL = 0x80, COMPRESSED = 0x40, MASK = 0x80, TAIL_BYTES = 4, OFFER_BYTES_MAX = 256 };

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

// permessage-deflate by zlib (RFC 7692 7.2.1). The caller frees the bytes.
static struct span deflated(struct client *client, struct span payload) {
    z_stream stream = {0};
    int level = (int)client_below(client, 10);
    int bits = (int)decoder_deflate_bits(&client->decoder);
    check(deflateInit2(&stream, level, Z_DEFLATED, -(bits == 8 ? 9 : bits),
                       1 + (int)client_below(client, 9), Z_DEFAULT_STRATEGY) == Z_OK);
    uint32_t room = (uint32_t)deflateBound(&stream, payload.length) + 16;
    uint8_t *bytes = malloc(room + payload.length);
    check(bytes != NULL);
    memcpy(bytes + room, payload.data, payload.length); // zlib's input is not const
    stream.next_in = bytes + room;
    stream.avail_in = payload.length;
    stream.next_out = bytes;
    stream.avail_out = room;
    // Some begin a new block in the middle, as a client that flushes what it has.
    bool has_blocks = client_below(client, 4) == 0;
    if (has_blocks) {
        stream.avail_in = payload.length / 2;
        check(deflate(&stream, Z_BLOCK) == Z_OK);
        stream.avail_in += payload.length - payload.length / 2;
    }
    check(deflate(&stream, Z_SYNC_FLUSH) == Z_OK && stream.avail_in == 0 && stream.avail_out > 0);
    (void)deflateEnd(&stream); // it says that the stream was not ended
    return span_make(bytes, room - stream.avail_out - TAIL_BYTES);
}

void client_message(struct client *client, uint8_t opcode, struct span payload, uint32_t pieces) {
    bool is_compressed =
        decoder_deflate_bits(&client->decoder) != 0 && client_below(client, 4) != 0;
    uint8_t *bytes = NULL;
    if (is_compressed) {
        payload = deflated(client, payload);
        bytes = (uint8_t *)(uintptr_t)payload.data;
        opcode |= COMPRESSED;
    }
    pieces = pieces > payload.length ? 1 : pieces;
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
    free(bytes);
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

// The line that offers permessage-deflate, or none. What it asks for is noted.
static void offer_draw(struct client *client, struct decoder_request *request,
                       char text[OFFER_BYTES_MAX]) {
    text[0] = '\0';
    bool is_liar = client_intents[client->acts] == CLIENT_LIAR;
    if (is_liar || client_below(client, 3) != 0) {
        return;
    }
    request->offers_deflate = true;
    request->resets_server = client_below(client, 3) == 0;
    request->offers_client_bits = client_below(client, 2) == 0;
    request->server_bits =
        (uint8_t)(client_below(client, 4) == 0 ? 8 + client_below(client, 8) : 0);
    int length =
        snprintf(text, OFFER_BYTES_MAX, "Sec-WebSocket-Extensions: %spermessage-deflate%s%s",
                 client_below(client, 4) == 0 ? "x-webkit-deflate-frame, " : "",
                 request->resets_server ? "; server_no_context_takeover" : "",
                 request->offers_client_bits ? "; client_max_window_bits" : "");
    if (request->server_bits != 0) {
        length += snprintf(text + length, (size_t)(OFFER_BYTES_MAX - length),
                           "; server_max_window_bits=%u", request->server_bits);
    }
    length += snprintf(text + length, (size_t)(OFFER_BYTES_MAX - length), "\r\n");
    check(length < OFFER_BYTES_MAX);
}

void client_upgrade(struct client *client, const char *target, const char *fields) {
    struct decoder_request request = {.is_upgrade = true};
    char offer[OFFER_BYTES_MAX];
    uint64_t random[2] = {prng_next(&client->prng), prng_next(&client->prng)};
    (void)base64_encode(span_make(random, 16), // 24 bytes
                        (struct span_mut){.data = request.key, .length = DECODER_KEY_BYTES});
    if (strstr(fields, "Sec-WebSocket-Protocol") != NULL) {
        request.subprotocols = "mqtt, chat.v2";
    }
    offer_draw(client, &request, offer);
    request.offers_deflate |= strstr(fields, "permessage-deflate") != NULL;
    client_request(client, &request);
    client_text(client,
                "GET %s HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.24s\r\n"
                "%s%s\r\n",
                target, (const char *)request.key, fields, offer);
}
