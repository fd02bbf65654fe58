// A message to everybody, for a population that otherwise only holds: one connection publishes, all
// must receive it once and in order. The route must send a publisher its own messages.
#ifndef BENCH_BROADCAST_H
#define BENCH_BROADCAST_H

#include "bench/team.h"

// In the team's shared memory: the parent asks, the first member publishes.
struct broadcast_order {
    _Atomic uint64_t due_ns; // when the last one asked for was due: its messages are dated with it
    _Atomic uint32_t asked;
};

// A member's side.
struct broadcast {
    struct broadcast_order *order;
    struct member *member;
    const struct options *options;
    struct burst burst;
    uint16_t *received; // by connection of this member
    uint32_t sent;
    uint32_t publisher; // the connection of the first member that publishes
    uint32_t hist;      // of the member: takes the latencies
};

// False: a problem was noted.
bool broadcast_init(struct broadcast *broadcast, const struct team *team, struct member *member,
                    struct broadcast_order *order);
void broadcast_fini(struct broadcast *broadcast);
void broadcast_on_message(struct broadcast *broadcast, struct client *client,
                          const struct peer *peer, const uint8_t *bytes, size_t count);
// Publishes what the parent has asked for; only one connection of the first member does.
void broadcast_turn(struct broadcast *broadcast, struct client *client);

// The parent's side: one more message to all.
void broadcast_ask(struct broadcast_order *order, uint64_t now_ns);
// The parent's side, while the members run: options->broadcasts of them, one after the other. Adds
// the rows: time until each had it, and the server's CPU per delivery.
void broadcast_measure(struct team *team, struct broadcast_order *order);

#endif
