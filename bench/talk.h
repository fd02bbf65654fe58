// Connections that send and want the same bytes back. Closed loop: each keeps `depth` messages in
// flight, and the answers of one receive are replaced by as many new messages in one send. Open
// loop: messages are due by the clock, a share of them on each connection, whatever the server
// does; one that could not leave when it was due is still dated with that moment, so a server that
// stalls pays for everything that it has held up (no coordinated omission).
#ifndef BENCH_TALK_H
#define BENCH_TALK_H

#include "bench/team.h"

// In flight on one connection in the open loop (of large messages fewer): what is due beyond it
// waits, dated with when it was due.
enum { TALK_FLIGHT_MAX = 256 };

struct talk_peer {
    uint64_t sent;
    uint64_t answered;
    uint32_t due; // closed loop: answers that wait to be replaced
};

struct talk {
    struct member *member;
    const struct options *options;
    struct burst burst;
    struct talk_peer *peers;
    uint64_t *sent_ns; // [peer][flight]: when message s left or was due, at s % flight
    uint64_t start_ns; // open loop: when the first message is due; 0: it has not begun
    uint64_t step_ns;  // between two messages of all peers together; 0: closed loop
    uint64_t late_ns;  // open loop: the longest that a message left after it was due
    uint64_t rung;     // open loop: messages that have become due
    uint32_t flight;   // messages that one connection may have in flight
    uint32_t count;    // peers 0 to count-1 of the client talk
    bool is_stopping;
};

// `count` peers of a member talk, `total` of all members. False: a problem was noted.
bool talk_init(struct talk *talk, const struct team *team, struct member *member, uint32_t count,
               uint64_t total);
void talk_fini(struct talk *talk);
// Sends the first messages.
void talk_begin(struct talk *talk, struct client *client);
// The hooks of a peer that talks.
void talk_on_message(struct talk *talk, struct client *client, struct peer *peer,
                     const uint8_t *bytes, size_t count);
void talk_on_batch(struct talk *talk, struct client *client, struct peer *peer);
// Sends what is due; to be called before every client_turn. Does nothing in the closed loop.
void talk_turn(struct talk *talk, struct client *client);
// Sends no more, and waits for what is in flight as long as some of it comes: notes a problem when
// nothing has come for 10 s.
void talk_stop(struct talk *talk, struct client *client);

#endif
