// What became of what was asked, against what was done to it.
#include "tests/sim/asks.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/fault.h"
#include "core/base/prng.h"
#include "tests/sim/cover.h"
#include "tests/sim/net.h"

enum { PRINTABLE = 90, SLACK_US = 30000, FORGED_BYTES = 6 };

// What the gateway may make of a deed: 502, or (`is_whole`) the answer all the same. A 504 comes by
// time alone, and what happens in the middle of an answer ends in the end of the connection.
static const struct deed {
    uint16_t fault;
    bool is_502, is_whole;
} deeds[] = {
    {SIM_FAULT_service_silent, false, false},
    {SIM_FAULT_service_slow, false, true},
    {SIM_FAULT_service_stalls, false, true},
    {SIM_FAULT_service_dies, true, false},
    {SIM_FAULT_service_garbage, true, false},
    {SIM_FAULT_service_chunks, false, false},
    {SIM_FAULT_service_says_more, true, true},
    {SIM_FAULT_service_drops_kept, true, false},
    {SIM_FAULT_service_declines, true, false},
    {SIM_FAULT_service_accepts, true, false},
    {SIM_FAULT_service_breaks, false, false},
    {SIM_FAULT_service_floods, false, true},
    {SIM_FAULT_COUNT, false, true},
};

static const struct deed *deed_of(const struct ask *ask) {
    uint32_t i = 0;
    while (deeds[i].fault != ask->deed) {
        i++;
        check(i < sizeof deeds / sizeof deeds[0]);
    }
    return &deeds[i];
}

void asks_init(struct asks *asks, struct sim *sim) {
    *asks = (struct asks){
        .sim = sim, .connect_ms = UINT32_MAX, .response_ms = UINT32_MAX, .idle_ms = UINT32_MAX};
}

void asks_fini(struct asks *asks) {
    free(asks->items);
}

uint32_t asks_add(struct asks *asks, enum ask_method method) {
    if (asks->count == asks->room) {
        asks->room = asks->room * 2 + 64;
        asks->items = realloc(asks->items, asks->room * sizeof asks->items[0]);
        check(asks->items != NULL);
    }
    asks->items[asks->count++] = (struct ask){
        .method = (uint8_t)method, .asked_us = asks->sim->now_us, .deed = SIM_FAULT_COUNT};
    return asks->count;
}

struct ask *asks_get(struct asks *asks, uint32_t number) {
    check(number > 0 && number <= asks->count);
    return &asks->items[number - 1];
}

// --- bytes

void ask_fill(uint32_t number, enum ask_side side, uint32_t sequence, uint32_t at,
              struct span_mut bytes) {
    uint64_t key = prng_mix((uint64_t)number << 32 | sequence << 1 | (uint32_t)side);
    uint64_t word = 0;
    for (uint32_t i = 0; i < bytes.length; i++) {
        uint32_t place = at + i;
        word = i == 0 || place % 8 == 0 ? prng_mix(key + place / 8) : word;
        bytes.data[i] = (uint8_t)(' ' + (word >> (8 * (place % 8)) & 255) % PRINTABLE);
    }
}

bool ask_is_filled(uint32_t number, enum ask_side side, uint32_t sequence, uint32_t at,
                   struct span bytes) {
    uint8_t wanted[1024];
    for (uint32_t done = 0; done < bytes.length; done += sizeof wanted) {
        uint32_t left = bytes.length - done;
        struct span_mut piece = {.data = wanted,
                                 .length = left < sizeof wanted ? left : sizeof wanted};
        ask_fill(number, side, sequence, at + done, piece);
        if (memcmp(wanted, bytes.data + done, piece.length) != 0) {
            return false;
        }
    }
    return true;
}

// The network, or the poll of the gateway's end, has failed: either is the world's doing.
static bool is_lost(const struct asks *asks, const struct ask *ask) {
    return ask->attempts == 0 || net_is_reset(asks->sim, ask->connection) ||
           sim_fault_is_on(asks->sim, SIM_FAULT_poll_error);
}

// --- what is said of it

// A client is told a reason that names one deed only when that was done.
static void reason_judge(const struct asks *asks, uint32_t number, struct span text) {
    static const struct {
        uint16_t row, deed; // enum fault_id, enum sim_fault_id
    } reasons[] = {{FAULT_handshake_declined, SIM_FAULT_service_declines},
                   {FAULT_handshake_wrong, SIM_FAULT_service_accepts},
                   {FAULT_service_violation, SIM_FAULT_service_breaks},
                   {FAULT_service_vanished, SIM_FAULT_service_dies}};
    const struct ask *ask = &asks->items[number - 1];
    for (uint32_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        const char *reason = fault_get((enum fault_id)reasons[i].row)->text;
        bool is_said = memmem(text.data, text.length, reason, strlen(reason)) != NULL;
        bool is_gone =
            reasons[i].row == FAULT_service_vanished && (ask->is_dropped || is_lost(asks, ask));
        if (is_said && ask->deed != reasons[i].deed && !is_gone) {
            sim_fail(asks->sim, "service", "request %u was told \"%s\", which did not happen: %u",
                     number, reason, ask->deed);
        }
    }
}

// --- the service's end

// A request is sent once. Again only where no service can have acted on it: what is safe to repeat
// (RFC 9110 9.2.2), on a kept connection that ended without a word (RFC 9112 9.3.1).
struct ask *asks_arrive(struct asks *asks, uint32_t number, uint32_t connection,
                        uint32_t requests) {
    if (number == 0 || number > asks->count) {
        sim_fail(asks->sim, "service", "connection %u brings request %u, which nobody made",
                 connection, number);
    }
    struct ask *ask = asks_get(asks, number);
    bool is_safe = ask->method == ASK_GET || ask->method == ASK_HEAD;
    // What was on its way when the network reset it was not heard; nor was what lies in a receive
    // under way when the poll fails.
    bool was_heard = ask->attempts > 0 &&
                     net_bytes_to_gateway(asks->sim, ask->connection) > ask->before_bytes &&
                     !sim_fault_is_on(asks->sim, SIM_FAULT_poll_error);
    bool is_silent_end = ask->was_kept && !was_heard && (ask->is_dropped || is_lost(asks, ask));
    if (ask->attempts > 0 && !(is_safe && is_silent_end)) {
        sim_fail(asks->sim, "service",
                 "request %u (method %u) comes to services %u times; kept %u, heard %u, dropped "
                 "%u, reset %u, deed %u",
                 number, ask->method, ask->attempts + 1, ask->was_kept, was_heard, ask->is_dropped,
                 net_is_reset(asks->sim, ask->connection), ask->deed);
    }
    ask->attempts++;
    ask->connection = connection;
    ask->deed = SIM_FAULT_COUNT;
    ask->status = 0;
    ask->was_kept = requests > 0;
    ask->before_bytes = net_bytes_to_gateway(asks->sim, connection);
    ask->was_forged = ask->is_answered = ask->is_dropped = false;
    return ask;
}

// --- the client's end

static bool is_of_gateway(uint16_t status) { // that it may say of any request that is in order
    return status == 408 || status == 429 || status == 503;
}

// Long enough for any deadline of services.
static bool is_late(const struct asks *asks, const struct ask *ask) {
    uint64_t least_ms = asks->connect_ms < asks->response_ms ? asks->connect_ms : asks->response_ms;
    least_ms = asks->idle_ms < least_ms ? asks->idle_ms : least_ms;
    return asks->sim->now_us + SLACK_US >= ask->asked_us + least_ms * 1000;
}

static void refusal_judge(struct asks *asks, uint32_t number, uint16_t status, struct span body) {
    reason_judge(asks, number, body);
    struct sim *sim = asks->sim;
    const struct ask *ask = asks_get(asks, number);
    const struct deed *deed = deed_of(ask);
    bool is_turned_away = ask->guest != 0 && (status == 401 || status == 403);
    if (is_turned_away && ask->attempts == 0) {
        guests_judge_refused(asks->guests, ask->guest, status, false);
        return;
    }
    bool is_fine = is_of_gateway(status) || (status == 504 && is_late(asks, ask)) ||
                   (status == 502 && (deed->is_502 || is_lost(asks, ask)));
    if (!is_fine) {
        sim_fail(sim, "service", "request %u got %u: %u attempts, deed %u, status %u, answered %u",
                 number, status, ask->attempts, ask->deed, ask->status, ask->is_answered);
    }
    cover_add_many(sim, COVER_LAWS + COVER_LAW_SERVICE_DEED, ask->deed != SIM_FAULT_COUNT);
}

bool asks_judge_response(struct asks *asks, uint32_t number, uint16_t status, struct span body) {
    struct ask *ask = asks_get(asks, number);
    // A service that breaks its own connections. What it made up may come late, as the answer to a
    // request that is not even there yet: nobody can tell, and it is one answer.
    bool may_be_forged = ask->was_forged || (ask->attempts == 0 && asks->forgeries > 0);
    uint32_t forged_bytes = ask->method == ASK_HEAD ? 0 : FORGED_BYTES;
    if (may_be_forged && status == 200 && body.length == forged_bytes) {
        asks->forgeries -= asks->forgeries > 0;
        return true;
    }
    if (ask->status != status || ask->attempts == 0) {
        refusal_judge(asks, number, status, body);
        return false;
    }
    bool has_body = ask->method != ASK_HEAD && status != 204;
    bool is_right = ask->is_answered && deed_of(ask)->is_whole &&
                    body.length == (has_body ? ask->answer_bytes : 0) &&
                    ask_is_filled(number, ASK_DOWN, ask->attempts, 0, body);
    if (!is_right) {
        sim_fail(asks->sim, "service",
                 "request %u got %u with %u bytes that the service did not send (deed %u, "
                 "answered %u with %u bytes)",
                 number, status, body.length, ask->deed, ask->is_answered, ask->answer_bytes);
    }
    cover_add(asks->sim, COVER_LAWS + COVER_LAW_SERVICE_ANSWER);
    return true;
}

static bool is_disturbed(const struct sim *sim) {
    bool is = false;
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        is = is || sim_fault_is_on(sim, (enum sim_fault_id)i);
    }
    return is;
}

void asks_judge_cut(struct asks *asks, uint32_t number) {
    // Else there are reasons enough.
    bool is_excused = asks->is_tight || is_late(asks, asks_get(asks, number));
    if (!is_disturbed(asks->sim) && !is_excused) {
        sim_fail(asks->sim, "service", "request %u was cut, and nothing has happened to it",
                 number);
    }
}

void asks_judge_message(struct asks *asks, uint32_t number, bool is_binary, struct span payload) {
    struct ask *ask = asks_get(asks, number);
    uint32_t sequence = ask->downs_got++;
    bool is_right = ask->downs_got <= ask->downs_sent && payload.length > 0 &&
                    is_binary == ask_is_binary(number, sequence) &&
                    ask_is_filled(number, ASK_DOWN, sequence, 1, span_from(payload, 1));
    if (!is_right) {
        sim_fail(asks->sim, "service", "tunnel %u got another message than its %u of %u", number,
                 sequence, ask->downs_sent);
    }
    cover_add(asks->sim, COVER_LAWS + COVER_LAW_SERVICE_MESSAGE);
}

void asks_judge_close(struct asks *asks, uint32_t number, uint16_t code, struct span reason) {
    const struct ask *ask = asks_get(asks, number);
    reason_judge(asks, number, reason);
    bool is_told = ask->close_code != 0 && code == ask->close_code;
    // Of the gateway's own accord: age, drain, a full queue, want of memory.
    bool is_own = code == 1001 || code == 1012 || code == 1013;
    // Services and the world cause it in many ways, and never without cause.
    bool is_caused = code == 1011 && is_disturbed(asks->sim);
    if (!is_told && !is_own && !is_caused) {
        sim_fail(asks->sim, "service", "tunnel %u was closed with %u: the service said %u, deed %u",
                 number, code, ask->close_code, ask->deed);
    }
}
