// What a service answers: in order, or with one of the deeds of fault_menu.h.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/service.h"

enum framing { FRAMING_LENGTH, FRAMING_CHUNKS, FRAMING_END };
enum { PAUSE_US = 400 * 1000, GARBAGE_BYTES = 20000, INTERIMS = 40 };

static const uint16_t statuses[] = {200, 200, 200, 200, 200, 201, 404, 500, 204};

// --- what is no answer

static void garbage_put(struct service_line *line) {
    static const char *const texts[] = {
        "what is this\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tea\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"};
    enum { TEXTS = sizeof texts / sizeof texts[0] };
    uint32_t pick = service_below(line, TEXTS + 2);
    if (pick < TEXTS) {
        service_text(line, "%s", texts[pick]);
    } else if (pick == TEXTS) { // a head that is too large
        service_text(line, "HTTP/1.1 200 OK\r\n");
        for (uint32_t i = 0; i < GARBAGE_BYTES / 20; i++) {
            service_text(line, "X-Field-%04u: value\r\n", i);
        }
    } else { // heads of 1xx without an end
        for (uint32_t i = 0; i < INTERIMS; i++) {
            service_text(line, "HTTP/1.1 102 Processing\r\n\r\n");
        }
    }
    line->phase = SERVICE_DEAF;
}

// --- an answer

static void body_put(struct service_line *line, uint32_t at, uint32_t length) {
    uint8_t *bytes = malloc((size_t)length + 1);
    check(bytes != NULL);
    struct span_mut target = {.data = bytes, .length = length};
    ask_fill(line->ask, ASK_DOWN, service_ask(line)->attempts, at, target);
    service_put(line, bytes, length);
    free(bytes);
}

static void chunks_put(struct service_line *line, uint32_t length, bool is_wrong) {
    for (uint32_t at = 0; at < length;) {
        uint32_t piece = 1 + service_below(line, length - at);
        bool is_last = at + piece == length;
        if (is_wrong && is_last) {
            static const int off[] = {1, 700, -1};
            int wrong = (int)piece + off[service_below(line, 3)];
            service_text(line, "%x\r\n", wrong < 1 ? (unsigned)piece + 1 : (unsigned)wrong);
        } else {
            service_text(line, piece % 5 == 0 ? "%X;a=b\r\n" : "%x\r\n", piece);
        }
        body_put(line, at, piece);
        service_text(line, "\r\n");
        at += piece;
    }
    service_text(line, length % 7 == 0 ? "0\r\nTrailer: x\r\n\r\n" : "0\r\n\r\n");
}

static void whole_put(struct service_line *line, enum framing framing, bool is_wrong) {
    struct ask *ask = service_ask(line);
    bool has_body = ask->method != ASK_HEAD && ask->status != 204;
    if (service_below(line, 8) == 0) {
        service_text(line, "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n");
    }
    service_text(line, "HTTP/1.1 %u Word\r\nServer: fake\r\nKeep-Alive: timeout=5\r\n",
                 ask->status);
    line->ends = framing == FRAMING_END || service_below(line, 6) == 0;
    if (line->ends) {
        service_text(line, "Connection: close\r\n");
    }
    if (ask->status != 204 && framing == FRAMING_LENGTH) {
        service_text(line, "Content-Length: %u\r\n", ask->answer_bytes);
    } else if (ask->status != 204 && framing == FRAMING_CHUNKS) {
        service_text(line, "Transfer-Encoding: chunked\r\n");
    }
    service_text(line, "\r\n");
    if (has_body && framing == FRAMING_CHUNKS) {
        chunks_put(line, ask->answer_bytes, is_wrong);
    } else if (has_body) {
        body_put(line, 0, ask->answer_bytes);
    }
}

// Some of what is to be sent, and then the end.
static void die(struct service_line *line, enum framing framing) {
    uint32_t left = line->out_bytes - line->out_first;
    line->out_bytes = line->out_first + service_below(line, left);
    line->ends = true;
    // Where only the end says that it was all, an orderly one would lie.
    line->resets = framing == FRAMING_END || service_below(line, 2) == 0;
    line->phase = SERVICE_DEAF;
}

static void pace_draw(struct service_line *line) {
    line->write_piece = 0;
    if (service_does(line, SIM_FAULT_service_slow)) {
        line->write_piece = 1 + service_below(line, 400);
        line->write_pause_us = service_below(line, PAUSE_US);
    }
}

void service_answer(struct service_line *line) {
    struct ask *ask = service_ask(line);
    pace_draw(line);
    if (service_does(line, SIM_FAULT_service_silent)) {
        line->phase = SERVICE_DEAF;
        return;
    }
    if (service_does(line, SIM_FAULT_service_garbage)) {
        garbage_put(line);
        service_flush(line);
        return;
    }
    ask->status = statuses[service_below(line, sizeof statuses / sizeof statuses[0])];
    enum framing framing = (enum framing)service_below(line, 3);
    bool has_chunks = framing == FRAMING_CHUNKS && ask->method != ASK_HEAD && ask->status != 204 &&
                      ask->answer_bytes > 0;
    bool is_wrong = has_chunks && service_does(line, SIM_FAULT_service_chunks);
    whole_put(line, framing, is_wrong);
    if (is_wrong) {
        line->ends = false;
        line->phase = SERVICE_DEAF;
    } else if (service_does(line, SIM_FAULT_service_dies)) {
        die(line, framing);
    } else {
        ask->is_answered = true;
        line->phase = line->is_early ? line->phase : SERVICE_HEAD;
        line->ends = line->ends && !line->is_early; // the rest of the request is still read
    }
    bool has_end = ask->is_answered && framing != FRAMING_END && !line->is_early;
    if (has_end && service_does(line, SIM_FAULT_service_says_more)) {
        service_text(line, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
        line->is_forged = true;
        line->services->asks.forgeries++;
    }
    service_flush(line);
}

// --- a handshake

static void accept_put(struct service_line *line, bool is_right) {
    uint8_t key[DECODER_KEY_BYTES];
    uint8_t accept[DECODER_ACCEPT_BYTES];
    memcpy(key, line->key, sizeof key);
    key[0] ^= is_right ? 0 : 1;
    decoder_accept(key, accept);
    service_text(line,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %.28s\r\n",
                 (const char *)accept);
}

void service_upgrade(struct service_line *line) {
    static const char *const wrong[] = {"Sec-WebSocket-Extensions: permessage-deflate\r\n",
                                        "Sec-WebSocket-Protocol: never.offered\r\n",
                                        "Upgrade: websocket\r\n", ""};
    struct ask *ask = service_ask(line);
    pace_draw(line);
    if (service_does(line, SIM_FAULT_service_silent)) {
        line->phase = SERVICE_DEAF;
    } else if (service_does(line, SIM_FAULT_service_declines)) {
        service_text(line, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
        line->phase = SERVICE_DEAF;
    } else if (service_does(line, SIM_FAULT_service_accepts)) {
        uint32_t pick = service_below(line, 4);
        accept_put(line, pick != 3);
        service_text(line, "%s\r\n", wrong[pick]);
        line->phase = SERVICE_DEAF;
    } else if (service_does(line, SIM_FAULT_service_dies)) {
        accept_put(line, true);
        die(line, FRAMING_LENGTH);
    } else {
        accept_put(line, true);
        service_text(line, line->offers && service_below(line, 2) == 0
                               ? "Sec-WebSocket-Protocol: chat.v2\r\n\r\n"
                               : "\r\n");
        ask->status = 101;
        ask->is_answered = true;
        line->phase = SERVICE_TUNNEL;
    }
    service_flush(line);
}
