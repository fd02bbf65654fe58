// What clients ask of services, and what came of it: the book in which both ends write, so that
// each can judge what the gateway made of it (law "service"). A request carries its number in its
// path; every byte that it brings or is answered with follows from that number, so that bytes of
// two requests, or of two clients, cannot be taken for each other. Nothing here looks into the
// gateway.
#pragma once
#include "core/base/span.h"
#include "tests/sim/guests.h"
#include "tests/sim/sim.h"

enum ask_method { ASK_GET, ASK_HEAD, ASK_POST, ASK_UPGRADE };
enum ask_side { ASK_UP, ASK_DOWN }; // what the client sends, what the service does

struct ask {
    uint64_t asked_us;
    uint64_t before_bytes; // that the gateway had received there before it
    uint32_t body_bytes;   // of the request
    uint32_t answer_bytes; // that its answer should have
    uint32_t guest;        // whom its client says it is; 0: its route does not ask
    uint8_t method;        // enum ask_method
    bool is_left;          // the client has begun to close its tunnel
    // The newest time that it came to a service:
    uint32_t attempts;
    uint32_t connection; // there
    uint16_t deed;       // enum sim_fault_id that was done to it, SIM_FAULT_COUNT: none
    uint16_t status;     // that it is answered with; 0: none so far
    bool was_kept;       // the connection had served others
    bool was_forged;     // more than was announced stood on it
    bool is_answered;    // all of it was given to the network
    bool is_dropped;     // the service has gone
    uint16_t close_code; // of the Close that the service began with; 0: none
    uint32_t ups_sent, ups_got, downs_sent, downs_got; // messages of a tunnel
};

struct asks {
    struct sim *sim;
    const struct guests *guests;
    struct ask *items; // by number - 1
    uint32_t count, room;
    uint32_t forgeries; // answers that services made up, behind others, and no client got yet
    uint32_t connect_ms, response_ms, idle_ms; // the least that any configuration had
    bool is_tight; // fewer connections are allowed than there are clients: some are cut at once
};

void asks_init(struct asks *asks, struct sim *sim);
void asks_fini(struct asks *asks);
uint32_t asks_add(struct asks *asks, enum ask_method method); // its number, from 1 on
struct ask *asks_get(struct asks *asks, uint32_t number);
// The bytes of message `sequence` (of an answer: the attempt; of a request's body: 0), from `at`
// on. Text is printable.
void ask_fill(uint32_t number, enum ask_side side, uint32_t sequence, uint32_t at,
              struct span_mut bytes);
bool ask_is_filled(uint32_t number, enum ask_side side, uint32_t sequence, uint32_t at,
                   struct span bytes);
static inline bool ask_is_binary(uint32_t number, uint32_t sequence) {
    return (number + sequence) % 3 == 0;
}
// It has come to a service, on a connection that has served `requests` before. Fails when it may
// not have been sent (again).
struct ask *asks_arrive(struct asks *asks, uint32_t number, uint32_t connection, uint32_t requests);

// The client's end. Each fails when it is neither what the service sent nor what is documented for
// what was done. True: it is the service's own answer.
bool asks_judge_response(struct asks *asks, uint32_t number, uint16_t status, struct span body);
void asks_judge_cut(struct asks *asks, uint32_t number); // the connection ended without an answer
void asks_judge_message(struct asks *asks, uint32_t number, bool is_binary, struct span payload);
void asks_judge_close(struct asks *asks, uint32_t number, uint16_t code, struct span reason);
