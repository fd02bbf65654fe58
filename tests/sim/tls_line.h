// A client's connection to a TLS listener, between the client and the network: net_tls.c calls, in
// the client's name; what it does to its records is its manner's (tls_manners.h).
#pragma once
#include "core/base/prng.h"
#include "tests/sim/net.h"
#include "tests/sim/tls_end.h"

enum tls_manner {
#define TLS_MANNER(name, alert, text) MANNER_##name,
#include "tests/sim/tls_manners.h"
#undef TLS_MANNER
    MANNER_COUNT
};

struct tls_line { // a client's connection to a TLS listener
    struct sim *sim;
    struct net_client client; // whom it serves
    struct tls_ends *ends;
    struct tls_end *end; // NULL: it is over, or speaks no TLS
    uint8_t *out;        // sealed, and not yet taken by the window
    uint32_t out_first, out_bytes, out_room;
    struct prng prng;
    uint32_t number;
    uint32_t record_bytes; // the most that it puts into one
    uint32_t steps;        // of its handshake
    uint32_t records;      // sealed
    uint32_t wrong_at;     // the record, or the step, of its manner
    uint32_t updates;
    uint32_t received; // MANNER_http
    uint8_t manner;    // enum tls_manner
    bool is_old;
    bool is_open;   // the handshake is done
    bool is_dry;    // what has come holds no record any more
    bool is_over;   // nothing is read or sent any more: an alert, or close_notify, has come
    bool waits;     // the client is to be told of room
    bool finishes;  // FIN behind what waits
    bool is_judged; // MANNER_doubt: the bit was wrong
    bool was_told;  // how it ends: close_notify, or an alert
};

// The network's events of the line that is the context; the client is told what concerns it.
void tls_line_on_net(struct sim *sim, void *line, uint32_t connection, enum net_event event);
// As net_send and net_receive of what is in the records.
uint32_t tls_line_send(struct tls_line *line, const void *bytes, uint32_t length);
uint32_t tls_line_receive(struct tls_line *line, void *bytes, uint32_t length);
// Sends what the window has room for of what was sealed, and then, if it is wanted, the FIN.
void tls_line_flush(struct tls_line *line);
void tls_line_say_end(struct tls_line *line); // close_notify, mostly
void tls_line_end(struct tls_line *line);     // the connection is gone
