// Channels, subscriptions and fan-out of one worker. hub never calls the connection: it yields
// (subscriber, payloads) pairs and the worker carries them out. A subscriber is a 32-bit index that
// means something to the worker only. Pure; owner: one worker.
#pragma once
#include "core/base/arena.h"
#include "core/base/pool.h"
#include "core/base/table.h"
#include "core/hub/payload.h"

#include <stdbool.h>
#include <stdint.h>

// In which encoding a subscriber gets a channel's messages; one payload per form in use is made per
// message and worker.
enum hub_form { HUB_RAW, HUB_ENVELOPE, HUB_FORM_COUNT };

struct hub_subscription { // 32 bytes, pooled
    uint32_t channel;
    uint32_t subscriber;
    uint32_t channel_next, channel_prev; // all subscriptions of the channel
    uint32_t owner_next, owner_prev; // all subscriptions of the subscriber, head kept by the owner
    uint32_t joined; // sequence of the channel when it joined: older messages are not for it
    uint8_t form;    // enum hub_form
    uint8_t spare[3];
};

struct hub_message { // 32 bytes, pooled: one message waiting for its fan-out on this worker
    uint32_t payloads[HUB_FORM_COUNT]; // 0 = that form was not needed
    uint32_t next;
    uint32_t sequence; // of the channel on this worker; those that wait are consecutive
    uint64_t except; // low half: subscriber + 1 that must not get it (echo_self: false), 0 = none.
                     // The high half is not looked at: whoever posts passes 0 when the index has
                     // passed to another by then. One that comes later gets nothing older anyway
    uint32_t spare;
};

struct hub_channel { // 64 bytes, pooled
    struct table_link link;
    uint32_t name; // up to HUB_NAME_SHORT_BYTES_MAX: an element of the subscriptions' pool, so that
                   // a channel costs 96 bytes; longer: an arena block
    uint32_t first, last; // subscriptions, newest last
    uint32_t subscriber_count;
    uint32_t form_count[HUB_FORM_COUNT];  // subscribers by form
    uint32_t message_first, message_last; // waiting messages, oldest first
    uint32_t sequence;                    // of the newest message
    uint32_t cursor;    // next subscription of the fan-out in progress, 0 = all were visited
    uint32_t job_next;  // list of channels with work
    uint32_t key;       // differs from any other channel's that had this index
    uint16_t job_count; // messages the fan-out in progress carries, 0 = none in progress
    uint8_t name_bytes;
    uint8_t has_job : 1;      // in the list
    uint8_t is_confirmed : 1; // hub_confirm, since somebody joined where nobody was
    uint32_t taken; // of the fan-out in progress: what the subscription at the cursor has of it
};

enum {
    HUB_BURST_MAX = 64, // messages that one fan-out carries at most
    HUB_NAME_SHORT_BYTES_MAX = 32,
};

struct hub_burst { // what the fan-out at the head of the list carries, laid out for its deliveries
    uint32_t channel; // 0 = none laid out
    uint32_t count;
    uint32_t sequence;       // of its first message
    uint32_t delivery_count; // since this channel had its turn
    uint32_t subscription;   // of the present delivery
    uint32_t has_except;
    uint32_t payloads[HUB_FORM_COUNT][HUB_BURST_MAX];
    uint32_t excepts[HUB_BURST_MAX];
    uint32_t chosen[HUB_BURST_MAX]; // the present delivery's, where it does not get all
};

struct hub {
    struct pool *channels;
    struct pool *subscriptions;
    struct pool *messages;
    struct arena *arena;
    struct table names;
    uint32_t job_first, job_last; // channels with waiting messages
    uint64_t subscription_count;
    uint64_t name_bytes; // of the long ones' blocks
    // What one fan-out carries at most, in wire bytes (a larger first message alone): set by the
    // owner, to no more than the smallest queue can take several of.
    uint32_t burst_bytes_max;
    struct hub_burst burst;
};

// The pools' elements: struct hub_channel, hub_subscription and hub_message. `buckets`:
// table_book_bytes of the channels' limit. `key`: random, as table_init.
void hub_init(struct hub *hub, struct pool *channels, struct pool *subscriptions,
              struct pool *messages, struct arena *arena, struct memory buckets,
              const uint64_t key[2]);

enum hub_join_result { HUB_JOINED, HUB_JOINED_FIRST, HUB_ALREADY, HUB_REFUSED };
// Subscribes. `subscriber`: below UINT32_MAX. *owner_head is the head of the subscriber's list (0 =
// none), updated. JOINED_FIRST:
// the channel had no subscriber here before (the worker announces interest to the home). ALREADY:
// it was subscribed. REFUSED: a pool or the arena is exhausted; nothing changed.
enum hub_join_result hub_join(struct hub *hub, struct span name, uint32_t subscriber,
                              enum hub_form form, uint32_t *owner_head);
// The channel's home has counted that subscription: what it sends from here on is for those who are
// subscribed here now. Before that a message on its way belongs to those who were here before and
// have left: who came since would get it, and miss those that the home did not send between the
// LEAVE and the JOIN. Without effect when the subscription is gone.
void hub_confirm(struct hub *hub, struct span name, uint32_t owner_head);
enum hub_leave_result { HUB_LEFT, HUB_LEFT_LAST, HUB_ABSENT };
// Unsubscribes. LEFT_LAST: nobody here is subscribed any more (interest ends); the channel goes
// when its waiting messages do. Safe in the middle of a fan-out.
enum hub_leave_result hub_leave(struct hub *hub, struct span name, uint32_t *owner_head);
// Unsubscribes from the first channel of the list; its name is copied to name[255] and its length
// returned (0: list was empty). *was_last as LEFT_LAST.
uint32_t hub_leave_next(struct hub *hub, uint32_t *owner_head, uint8_t name[255], bool *was_last);
uint32_t hub_subscription_count(const struct hub *hub, uint32_t owner_head);

uint32_t hub_channel_find(const struct hub *hub, struct span name); // index or 0
static inline struct hub_channel *hub_channel_at(const struct hub *hub, uint32_t index) {
    return (struct hub_channel *)pool_at(hub->channels, index);
}
// Valid until the next call that may end the channel (leave, fan-out).
struct span hub_channel_name(const struct hub *hub, uint32_t index);

// Queues a message for the fan-out on this channel: payloads by form, each taking a reference of
// its own (the caller drops its own). The caller makes the forms for which form_count is not zero.
// False: message pool empty, or this channel holds more than its share of it; nothing queued. With
// no subscribers nothing is queued and true is returned.
bool hub_post(struct hub *hub, uint32_t channel, const uint32_t payloads[HUB_FORM_COUNT],
              uint64_t except);

// Whether so much waits on that channel that its publishers should wait: half of what would be
// refused.
bool hub_is_crowded(const struct hub *hub, struct span name);

struct hub_delivery {
    uint32_t subscriber;
    uint32_t channel; // index
    uint32_t key;    // for outbox_put_message: an index may pass to another channel while a message
                     // of the first still waits in an outbox
    uint32_t count;  // payloads for this subscriber, in order, at least 1
    uint32_t offset; // of the first, in what this fan-out has for it
    const uint32_t *payloads; // handles, borrowed until the next hub_fanout_next, whatever else is
                              // called meanwhile
};
// Yields the next delivery of the fan-outs in progress, or false when no channel has work. A
// fan-out carries the messages that wait on its channel when it starts (at most HUB_BURST_MAX, and
// burst_bytes_max); subscribers that join or leave meanwhile neither miss nor double anything they
// should have. The caller stops when its budget for the turn is spent and goes on next turn.
// Channels take turns: a fan-out of more than SENDS_IDLE_MAX deliveries goes behind the others.
bool hub_fanout_next(struct hub *hub, struct hub_delivery *delivery);
// Right after hub_fanout_next, before any join or leave: the subscriber took only the first `taken`
// of the delivery, fewer than its count. The rest is its next delivery of this channel, which goes
// behind the others.
void hub_fanout_put_off(struct hub *hub, const struct hub_delivery *delivery, uint32_t taken);
bool hub_has_work(const struct hub *hub);
// Hint, after hub_fanout_next: the subscriber of the next delivery (UINT32_MAX: not known yet), so
// that the caller can ask the cache for its connection; asks for the subscription after it.
uint32_t hub_fanout_peek(const struct hub *hub);
// Bytes of memory held by channels, their names and table, and subscriptions, for the memory
// report.
uint64_t hub_bytes(const struct hub *hub);
