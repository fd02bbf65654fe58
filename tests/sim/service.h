// The services of a world: another kind of peer of the fake network. They take connections of the
// gateway, answer HTTP/1.1, and behind a WebSocket handshake say back what they are told. What a
// seed lets them do beyond that stands in fault_menu.h (service_*); once the storm is over they
// behave. What the gateway sends them is read here without core/http and core/ws, and judged: the
// law is "service". Memory: theirs, from malloc.
#pragma once
#include "core/base/prng.h"
#include "tests/sim/asks.h"
#include "tests/sim/decoder.h"
#include "tests/sim/guests.h"
#include "tests/sim/net.h"

enum { SERVICES = 6, SERVICE_AUTH = 3 }; // SERVICE_AUTH: is asked who clients are

enum service_phase {
    SERVICE_HEAD, // of a request
    SERVICE_BODY, // of a known length
    SERVICE_CHUNK_LINE,
    SERVICE_CHUNK_BODY,
    SERVICE_CHUNK_END,
    SERVICE_ANSWERING, // nothing may come
    SERVICE_DEAF,      // what comes is thrown away, until the gateway has gone
    SERVICE_TUNNEL,
    SERVICE_CLOSING, // a tunnel: our Close is out, theirs is not here
};

struct service_line { // a connection
    struct services *services;
    uint32_t connection, next;
    uint32_t service; // whose it is
    uint8_t phase;    // enum service_phase
    bool is_over;
    bool is_stalled;     // does not read for a while
    bool is_silent;      // never says anything again
    bool is_write_timed; // pauses between two pieces
    bool ends, resets;   // once everything is sent
    bool is_forged;      // more was sent than was announced
    uint32_t ask;        // under way, or the last one; 0: none so far
    uint32_t requests;   // begun
    uint32_t write_piece, write_pause_us;
    uint8_t *in, *out;
    uint32_t in_bytes, in_room, out_first, out_bytes, out_room;
    uint64_t body_left, body_at; // of the request, or of its chunk
    bool is_upgrade, expects, offers;
    bool is_early; // it was answered before its body was here
    uint8_t key[DECODER_KEY_BYTES];
};

struct service_place { // where one listens
    struct services *services;
    uint32_t service;
    uint64_t unwell_until_us; // its checks fail
};

struct services {
    struct sim *sim;
    struct prng prng;
    struct asks asks;
    struct guests guests;
    struct service_place places[SERVICES];
    struct service_line **lines; // every one that there ever was
    uint32_t line_count, line_room;
};

void services_open(struct services *services, struct sim *sim); // listen from now on
void services_calm(struct services *services);
void services_close(struct services *services);
struct address service_address(uint32_t service);

static inline uint32_t service_below(struct service_line *line, uint32_t bound) {
    return prng_below(&line->services->prng, bound);
}
// --- service.c: the connection
void service_put(struct service_line *line, const void *bytes, uint32_t length);
__attribute__((format(printf, 2, 3))) void service_text(struct service_line *line,
                                                        const char *format, ...);
void service_flush(struct service_line *line);
void service_drop(struct service_line *line); // goes, in one of the ways that there are
// The deed happens, to what is under way.
bool service_does(struct service_line *line, enum sim_fault_id deed);
struct ask *service_ask(struct service_line *line); // what is under way
_Noreturn void service_fail(const struct service_line *line, const char *what);
// --- service_http.c and service_tunnel.c: what has come. How much of it was taken; 0: more must
// come.
uint32_t service_request(struct service_line *line, struct span bytes);
uint32_t service_frame(struct service_line *line, struct span bytes);
// --- service_auth.c: the same
uint32_t service_question(struct service_line *line, struct span bytes);
// --- service_check.c
bool service_is_check(struct span head);
void service_check(struct service_line *line, struct span head);
// --- service_answer.c
void service_answer(struct service_line *line);  // what was asked for
void service_upgrade(struct service_line *line); // the same for a handshake
