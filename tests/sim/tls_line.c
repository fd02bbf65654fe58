#include "tests/sim/tls_line.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/tls/tls.h"
#include "tests/sim/cover.h"
#include "tests/sim/net_tls.h"

enum {
    OLD = 4,        // one connection of so many knows TLS 1.2 only
    RESUMED = 2,    // begins with a session, if there is one
    UPDATED = 40,   // one record of so many is sent under new keys,
    UPDATES = 2,    // at most so often: within what the gateway lets pass
    FLOOD = 12,     // KeyUpdates: beyond that
    UNNOTIFIED = 4, // one that closes of so many says no close_notify
    RECORDS = 6,    // what is wrong is wrong with one of the first so many
    CUT_STEPS = 2,
    HINT_BYTES = 12, // "HTTP/1.1 400"
};

enum { NO_ALERT = 256, ANY_ALERT };
static const uint16_t alerts[MANNER_COUNT] = {
#define TLS_MANNER(name, alert, text) alert,
#include "tests/sim/tls_manners.h"
#undef TLS_MANNER
};
static const char *const names[MANNER_COUNT] = {
#define TLS_MANNER(name, alert, text) #name,
#include "tests/sim/tls_manners.h"
#undef TLS_MANNER
};

void tls_line_end(struct tls_line *line) {
    if (line->end != NULL) {
        tls_end_close(&line->end);
    }
    free(line->out);
    line->out = NULL;
    line->out_first = line->out_bytes = line->out_room = 0;
    line->is_over = line->is_dry = true;
}

static void tell(struct tls_line *line, enum net_event event) {
    line->client.on_event(line->sim, line->client.context, line->number, event);
}

// --- bytes out

static void out_add(struct tls_line *line, const void *bytes, uint32_t length) {
    if (line->out_bytes + length > line->out_room) {
        line->out_room = (line->out_bytes + length) * 2;
        line->out = realloc(line->out, line->out_room);
        check(line->out != NULL);
    }
    memcpy(line->out + line->out_bytes, bytes, length);
    line->out_bytes += length;
}

void tls_line_flush(struct tls_line *line) {
    while (line->out_first < line->out_bytes) {
        uint32_t sent = __real_net_send(line->sim, line->number, line->out + line->out_first,
                                        line->out_bytes - line->out_first);
        if (sent == 0) {
            return; // NET_WRITABLE follows, or it is over
        }
        line->out_first += sent;
    }
    line->out_first = line->out_bytes = 0;
    if (line->finishes) {
        line->finishes = false;
        __real_net_finish(line->sim, line->number);
    }
}

static void bit_flip(struct tls_line *line, uint8_t *bytes, uint32_t length) {
    bytes[prng_below(&line->prng, length)] ^= (uint8_t)(1u << prng_below(&line->prng, 8));
}

// A sealed record goes out, as its client's manner wants it.
static void record_out(struct tls_line *line, const uint8_t *bytes, uint32_t length) {
    static const uint8_t long_head[TLS_RECORD_HEAD_BYTES] = {23, 3, 3, 0xff, 0xff};
    uint32_t begin = line->out_bytes;
    bool is_wrong = line->records++ == line->wrong_at;
    if (is_wrong && line->manner == MANNER_drop) {
        return;
    }
    if (is_wrong && line->manner == MANNER_length) {
        out_add(line, long_head, sizeof long_head);
    }
    out_add(line, bytes, length);
    if (is_wrong && line->manner == MANNER_forge) {
        bit_flip(line, line->out + begin + TLS_RECORD_HEAD_BYTES, length - TLS_RECORD_HEAD_BYTES);
    } else if (is_wrong && line->manner == MANNER_repeat) {
        out_add(line, bytes, length);
    } else if (is_wrong && line->manner == MANNER_type) {
        line->out[begin] = 99;
    }
}

static void on_sealed(void *context, const void *bytes, uint32_t length) {
    struct tls_line *line = context;
    if (line->is_open) {
        record_out(line, bytes, length);
        return;
    }
    uint32_t begin = line->out_bytes;
    out_add(line, bytes, length);
    if (line->manner == MANNER_hello && line->steps == 0) {
        bit_flip(line, line->out + begin, length);
    }
}

static void updates_send(struct tls_line *line) {
    uint32_t count = 0;
    if (line->is_old) {
        return;
    }
    if (line->manner == MANNER_updates && line->records >= line->wrong_at) {
        count = FLOOD;
    } else if (line->updates < UPDATES && prng_below(&line->prng, UPDATED) == 0) {
        count = 1;
    }
    for (uint32_t i = 0; i < count; i++) {
        tls_end_update(line->end);
    }
    line->updates += count;
}

uint32_t tls_line_send(struct tls_line *line, const void *bytes, uint32_t length) {
    if (!line->is_open || line->is_over || length == 0 ||
        net_state(line->sim, line->number) != NET_OPEN) {
        return 0;
    }
    if (line->out_bytes > 0 || line->finishes) {
        line->waits = true;
        return 0;
    }
    updates_send(line);
    uint32_t part = length < line->record_bytes ? length : line->record_bytes;
    tls_end_send(line->end, bytes, part);
    tls_line_flush(line);
    return part;
}

// --- bytes in

// The client's library has read an alert, or does not like what it read.
static void judge(struct tls_line *line, enum tls_end_result result) {
    struct sim *sim = line->sim;
    uint32_t alert = result == TLS_END_ALERTED ? tls_end_alert(line->end) : NO_ALERT;
    uint32_t wanted = alerts[line->manner];
    line->is_over = line->was_told = true;
    if (result == TLS_END_FAILED && line->manner != MANNER_doubt && line->manner != MANNER_hello) {
        sim_fail(sim, "tls", "connection %u (%s): its client cannot read what came: %s",
                 line->number, names[line->manner], tls_end_reason(line->end));
    }
    if (result == TLS_END_ALERTED && wanted != ANY_ALERT && wanted != alert) {
        sim_fail(sim, "tls", "connection %u (%s) is answered with alert %u", line->number,
                 names[line->manner], alert);
    }
    if (result == TLS_END_ALERTED) {
        cover_add(sim, COVER_TLS_ALERTS + line->manner);
    }
}

static uint32_t on_wanted(void *context, void *bytes, uint32_t length) {
    struct tls_line *line = context;
    uint32_t taken = __real_net_receive(line->sim, line->number, bytes, length);
    bool is_body = taken > TLS_RECORD_HEAD_BYTES; // the library reads a head alone
    if (is_body && line->manner == MANNER_doubt && !line->is_judged &&
        prng_below(&line->prng, RECORDS) == 0) {
        line->is_judged = true;
        bit_flip(line, bytes, taken);
    }
    return taken;
}

uint32_t tls_line_receive(struct tls_line *line, void *bytes, uint32_t length) {
    uint32_t count = 0;
    if (!line->is_open || line->is_over || length == 0) {
        line->is_dry = true;
        return 0;
    }
    enum tls_end_result result = tls_end_receive(line->end, bytes, length, &count);
    if (result == TLS_END_ENDED) {
        line->is_over = line->was_told = true;
        cover_add(line->sim, COVER_TLS + COVER_TLS_NOTIFIED);
    } else if (result != TLS_END_DONE && result != TLS_END_WAITS) {
        judge(line, result);
    }
    tls_line_flush(line); // answers to what was read
    line->is_dry = count == 0;
    return count;
}

void tls_line_say_end(struct tls_line *line) {
    if (line->is_open && !line->is_over && prng_below(&line->prng, UNNOTIFIED) != 0) {
        tls_end_say_end(line->end);
        tls_line_flush(line);
    }
}

// --- the handshake

static void go(struct tls_line *line) {
    switch (prng_below(&line->prng, 3)) {
    case 0:
        net_finish(line->sim, line->number); // its end comes
        return;
    case 1:
        net_reset(line->sim, line->number);
        break;
    default:
        net_vanish(line->sim, line->number);
        break;
    }
    tell(line, NET_RESET);
}

static void shake(struct tls_line *line) {
    struct sim *sim = line->sim;
    enum tls_end_result result = tls_end_shake(line->end);
    bool is_cut = line->manner == MANNER_cut && line->steps == line->wrong_at % CUT_STEPS;
    line->steps++;
    if (is_cut) {
        line->is_over = true;
        go(line);
        return;
    }
    tls_line_flush(line);
    if (result == TLS_END_WAITS) {
        return;
    }
    if (result != TLS_END_DONE) {
        judge(line, result);
        return;
    }
    line->is_open = true;
    line->is_dry = false;
    cover_add(sim, COVER_TLS + (line->is_old ? COVER_TLS_OLD : COVER_TLS_NEW));
    cover_add_many(sim, COVER_TLS + COVER_TLS_RESUMED, tls_end_is_resumed(line->end));
    tell(line, NET_CONNECTED);
    if (net_state(sim, line->number) != NET_GONE) {
        tell(line, NET_READABLE); // what came behind the handshake
    }
}

// HTTP in the clear: told so, in the clear.
static void hint_take(struct tls_line *line) {
    static const char hint[HINT_BYTES + 1] = "HTTP/1.1 400";
    uint8_t byte;
    while (__real_net_receive(line->sim, line->number, &byte, 1) == 1) {
        if (line->received < HINT_BYTES && byte != (uint8_t)hint[line->received]) {
            sim_fail(line->sim, "tls", "HTTP in the clear is not told that this is a TLS port");
        }
        line->received++;
    }
}

static void begin(struct tls_line *line) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    static const uint32_t sizes[] = {TLS_TEXT_BYTES_MAX, TLS_TEXT_BYTES_MAX, 1400, 40};
    line->is_old = prng_below(&line->prng, OLD) == 0;
    line->record_bytes = sizes[prng_below(&line->prng, 4)];
    line->wrong_at = prng_below(&line->prng, RECORDS);
    if (line->manner == MANNER_http) {
        out_add(line, request, sizeof request - 1);
        tls_line_flush(line);
        line->is_over = true;
        return;
    }
    line->end = tls_end_open(
        line->ends, &(struct tls_end_options){.is_old = line->is_old,
                                              .is_resumed = prng_below(&line->prng, RESUMED) == 0,
                                              .receive = on_wanted,
                                              .send = on_sealed,
                                              .context = line});
    shake(line);
}

static void on_readable(struct tls_line *line) {
    if (line->manner == MANNER_http) {
        hint_take(line);
    } else if (line->is_open) {
        line->is_dry = line->is_over;
        tell(line, NET_READABLE);
    } else if (!line->is_over) {
        shake(line);
    }
}

void tls_line_on_net(struct sim *sim, void *context, uint32_t number, enum net_event event) {
    struct tls_line *line = context;
    switch (event) {
    case NET_CONNECTED:
        begin(line);
        return;
    case NET_READABLE:
        on_readable(line);
        return;
    case NET_WRITABLE:
        tls_line_flush(line);
        if (line->waits && line->out_bytes == 0) {
            line->waits = false;
            tell(line, NET_WRITABLE);
        }
        return;
    default: // it has ended
        if (event == NET_END && !line->is_open) {
            on_readable(line); // what came before
        }
        if (net_state(sim, number) != NET_GONE || event != NET_END) {
            tell(line, event);
        }
        if (event == NET_END && line->is_open && line->is_dry && !line->was_told) {
            cover_add(sim, COVER_TLS + COVER_TLS_CUT); // in the middle of a send nothing is said
        }
        if (net_state(sim, number) == NET_GONE) {
            tls_line_end(line);
        }
        return;
    }
}
