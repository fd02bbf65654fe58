// What happened over many worlds: counters in sim->options.cover, which outlives each world. The
// world has the first part (its faults); the laws have the rest, laid out here.
#pragma once
#include "tests/sim/sim.h"

#include <assert.h>
#include <stdio.h>

enum cover_event {
    COVER_EVENT_OPEN,
    COVER_EVENT_END,
    COVER_EVENT_RESET,
    COVER_EVENT_REFUSED,
    COVER_EVENT_MESSAGE,
    COVER_EVENT_DONE,
    COVER_EVENT_COUNT
};

enum cover_law {
    COVER_LAW_ECHO,            // messages that came back
    COVER_LAW_CODE,            // a lie was answered with the code that it deserves
    COVER_LAW_STATUS,          // the same before the upgrade
    COVER_LAW_DEADLINE,        // a deadline ended a connection
    COVER_LAW_BUDGET,          // a worker was above worker_queue
    COVER_LAW_HELD_UP,         // the world held a worker up
    COVER_LAW_ISOLATION,       // an echo in a world without faults
    COVER_LAW_RELOAD,          // a new configuration was applied
    COVER_LAW_RELOAD_REFUSED,  // one out of order was read, and nothing applied
    COVER_LAW_RELOAD_KEPT,     // a connection outlived the configuration that it was opened with
    COVER_LAW_SERVICE_ANSWER,  // a client got what a service sent
    COVER_LAW_SERVICE_DEED,    // a client got what is documented for what a service did
    COVER_LAW_SERVICE_MESSAGE, // a tunnel brought a message
    COVER_LAW_AUTH_IN,         // a guest came in, as itself
    COVER_LAW_AUTH_REFUSED,    // a guest was refused as the service said
    COVER_LAW_SERVER_DOWN,     // checks called a server bad
    COVER_LAW_SERVER_LEFT,     // a name lost a server
    COVER_LAW_NAMES,           // what a name has was there
    COVER_LAW_COUNT
};

enum cover_tls {        // of sim-tls, as clients see it
    COVER_TLS_NEW,      // handshakes of TLS 1.3
    COVER_TLS_OLD,      // of TLS 1.2
    COVER_TLS_RESUMED,  // of these by a session
    COVER_TLS_NOTIFIED, // the gateway ended with close_notify
    COVER_TLS_CUT,      // or without a word
    COVER_TLS_COUNT
};

enum {
    COVER_FAULTS = 0,     // by enum sim_fault_id: the world's
    COVER_CLIENTS = 256,  // connections begun, by enum client_kind
    COVER_EVENTS = 320,   // by enum cover_event
    COVER_MOVES = 384,    // of connections: from * 16 + to
    COVER_SLOTS = 640,    // of io slots: from * 8 + to
    COVER_ROWS = 704,     // of the fault table, by enum fault_id
    COVER_COUNTERS = 832, // by enum counter_id
    COVER_LAWS = 896,     // how often a law had something to judge
    COVER_STATUS = 1024,  // responses by status
    COVER_CODES = 1664,   // Close frames from the gateway by code - 999; 0: without a code
    COVER_TLS = COVER_CODES + 4002,            // by enum cover_tls
    COVER_TLS_MANNERS = COVER_TLS + 32,        // connections begun, by manner (tls_manners.h)
    COVER_TLS_ALERTS = COVER_TLS_MANNERS + 32, // of these were answered with the right alert
    COVER_END = COVER_TLS_ALERTS + 32,
};
static_assert((int)COVER_END <= (int)SIM_COVER_MAX, "it fits");

static inline void cover_add(struct sim *sim, uint32_t at) {
    sim->options.cover[at]++;
}
static inline void cover_add_many(struct sim *sim, uint32_t at, uint64_t amount) {
    sim->options.cover[at] += amount;
}
// The table of what happened, and what never did: with the reason from the file, or (its return
// value) how many have none. `reasons`: lines of `name reason`, or NULL.
uint32_t cover_print(const uint64_t *cover, FILE *out, const char *reasons);
