// What was published and who got it: law L1. Publishers number their messages; each message says
// whose and which it is, and its bytes follow from that. Per channel one order: every subscriber's
// sequence is an edge list, and at the end all of them together must have no circle. Nothing here
// looks into the gateway, but for the counters that excuse a hole.
#pragma once
#include "tests/sim/sim.h"

#include "core/base/span.h"

enum { LEDGER_MESSAGE_BYTES_MAX = 60000, LEDGER_HEADING_BYTES_MAX = 48 };

enum ledger_channel {
    LEDGER_CHAT_A,
    LEDGER_CHAT_B,
    LEDGER_QUIET,    // echo_self: false
    LEDGER_OLDEST,   // drop_oldest
    LEDGER_NEWEST,   // drop_newest
    LEDGER_CONFLATE, // conflate
    LEDGER_ROOM_X,   // by envelope only
    LEDGER_ROOM_Y,
    LEDGER_CHANNEL_COUNT
};
extern const char *const ledger_channel_names[LEDGER_CHANNEL_COUNT];
extern const char *const ledger_channel_paths[LEDGER_CHANNEL_COUNT]; // of its route

struct ledger_publisher {
    uint8_t channel;
    uint32_t next;      // sequence of the next message
    uint32_t confirmed; // messages below it have certainly been stamped
    uint32_t *nodes;    // by sequence
    uint32_t node_room;
};
struct ledger_subscriber {
    uint8_t channel;
    bool is_open; // the gateway has said that it is subscribed
    bool is_over;
    uint32_t own;            // publisher + 1 whose messages it must not get (echo_self: false)
    uint32_t *wanted, *next; // by publisher: first that must come; the one after the last that came
    uint32_t count;          // of both
    uint32_t node;           // last received + 1
    uint64_t received, holes;
};
struct ledger_node { // one message
    uint8_t channel;
    bool is_refused; // the publisher was told that it is not published
    bool is_calm;
    uint32_t publisher, sequence, bytes;
};
struct ledger_edge {
    uint32_t before, after;
};
struct ledger {
    struct sim *sim;
    struct ledger_publisher *publishers;
    struct ledger_subscriber *subscribers;
    struct ledger_node *nodes;
    struct ledger_edge *edges;
    uint32_t publisher_count, publisher_room;
    uint32_t subscriber_count, subscriber_room;
    uint32_t node_count, node_room;
    uint32_t edge_count, edge_room;
    uint64_t drops_before_calm; // dropped_mailbox when the calm began
    bool is_calm;
    uint8_t expected[LEDGER_MESSAGE_BYTES_MAX]; // what a message's bytes should be
};

void ledger_init(struct ledger *ledger, struct sim *sim);
void ledger_fini(struct ledger *ledger);
void ledger_calm(struct ledger *ledger);

uint32_t ledger_publisher_add(struct ledger *ledger, enum ledger_channel channel);
// The next message of the publisher, `length` bytes or as many as its heading needs, into bytes.
// Returns the length.
uint32_t ledger_publish(struct ledger *ledger, uint32_t publisher, uint8_t *bytes, uint32_t length);
bool ledger_is_binary(uint32_t publisher, uint32_t sequence);
void ledger_confirm(struct ledger *ledger, uint32_t publisher, uint32_t sequence);
void ledger_refuse(struct ledger *ledger, uint32_t publisher, uint32_t sequence);

uint32_t ledger_subscriber_add(struct ledger *ledger, enum ledger_channel channel, uint32_t own);
void ledger_subscriber_open(struct ledger *ledger, uint32_t subscriber);
void ledger_subscriber_end(struct ledger *ledger, uint32_t subscriber);
// A message has come to it. Not one of ours: ignored. Fails on L1.
void ledger_receive(struct ledger *ledger, uint32_t subscriber, bool is_binary, struct span bytes);
// Whether it has everything of the calm that certainly was published.
bool ledger_is_caught_up(const struct ledger *ledger, uint32_t subscriber);
// Whether the gateway has counted messages that reach nobody, for want of memory or room.
bool ledger_has_drops(const struct ledger *ledger);
// The message's heading. False: not one of ours.
bool ledger_read(struct span bytes, uint32_t *publisher, uint32_t *sequence, uint32_t *length);
// The bytes of message (publisher, sequence); for echo clients too.
void ledger_fill(uint32_t publisher, uint32_t sequence, uint8_t *bytes, uint32_t length);
uint32_t ledger_heading(uint32_t publisher, uint32_t sequence, uint8_t *bytes, uint32_t length);
// At the end: one order for every channel, and no more holes than the gateway has counted.
void ledger_judge(struct ledger *ledger);
