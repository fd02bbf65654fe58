// What a connection still has to be sent, in order. 16 bytes in the connection's own cache line;
// entries come from a pool and exist only while something waits or is in flight. Pure; owner: one
// worker.
#pragma once
#include "core/base/arena.h"
#include "core/base/pool.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct outbox_entry { // 16 bytes, pooled
    uint32_t payload; // one reference is held
    uint32_t next;
    uint32_t channel; // for conflate: which channel's message it is; 0 = none; the topmost values
                      // mark what is no message
    uint32_t sent_bytes; // of the wire bytes: nonzero only after a short send
};

struct outbox {
    uint32_t first, last;  // entries; the first `flight_count` of them are in flight
    uint32_t queued_bytes; // wire bytes that wait, without those in flight (DESIGN.md section 5,
                           // Backpressure)
    uint8_t flight_count;
    uint8_t flight_turn; // lent to the owner of the outbox: when what is in flight was sent
    uint16_t owner_bits; // lent to it
};

enum outbox_policy { OUTBOX_CLOSE, OUTBOX_DROP_OLDEST, OUTBOX_DROP_NEWEST, OUTBOX_CONFLATE };

enum outbox_result {
    OUTBOX_QUEUED,
    OUTBOX_OVER,    // policy close: over the limit, not queued; the caller closes with slow_reader
    OUTBOX_DROPPED, // queued or not, `dropped_count` messages are gone, by policy
    OUTBOX_REFUSED, // the entry pool is empty: not queued
};

struct outbox_bounds {
    uint32_t queue_bytes_max;
    enum outbox_policy policy;
};

// Shared by all outboxes of a worker.
struct outboxes {
    struct pool *entries;
    struct arena *arena;
    uint64_t held_bytes;   // sum of queued_bytes over all outboxes of the worker
    uint64_t control_sent; // control frames but pongs that went out whole, ever
};

// Queues one message payload (taking its own reference; the caller keeps its own) under the policy.
// An outbox in which no whole message waits always takes one, of any size. drop_oldest removes
// waiting messages from the front until it fits (never control frames, bytes, what is in flight, or
// what a short send has begun); drop_newest leaves the new one out; conflate replaces the waiting
// messages of the same channel (at the place of the first), and where there is none and it does not
// fit, drops the oldest; so it does when the new one is larger than the old and no longer fits.
// *dropped_count is set always, and exact: with the messages delivered it adds up to those put
// (OVER and REFUSED ones are the caller's to count). `channel`: below UINT32_MAX - 2.
enum outbox_result outbox_put_message(struct outboxes *outboxes, struct outbox *outbox,
                                      uint32_t payload, uint32_t channel,
                                      struct outbox_bounds bounds, uint32_t *dropped_count);
// Where so many bytes (1 or more) of one whole frame are to be written, at once, behind all that
// waits: in the run of frames that waits last, or in a new one (payload_run). No policy is asked;
// policies and drops see a run as one message, counts see each. NULL: no memory or no entry.
uint8_t *outbox_run_room(struct outboxes *outboxes, struct outbox *outbox, uint32_t bytes);
// Queues bytes or a control frame: never dropped, exempt from the limit (their number is bounded by
// the caller), though counted in queued_bytes. In order, except that a pong does not wait behind
// more than 32 frames: a slow reader's pings are answered in bounded work. False: entry pool empty.
bool outbox_put(struct outboxes *outboxes, struct outbox *outbox, uint32_t payload);
// Gathers the first waiting entries into at most `piece_max` spans and up to bytes_max wire bytes
// (at least one entry), marks them in flight. Returns the number of spans; 0 when nothing waits or
// something is in flight already (one send in flight per connection). The spans stay valid until
// outbox_sent or outbox_drop of what is in flight.
uint32_t outbox_gather(struct outboxes *outboxes, struct outbox *outbox, struct span *pieces,
                       uint32_t piece_max, uint64_t bytes_max);
// Wire bytes of what is in flight.
uint64_t outbox_flight_bytes(const struct outboxes *outboxes, const struct outbox *outbox);
// The send of what is in flight ended with `sent_bytes` on the wire: gives those entries back; a
// remainder waits again, first, unchanged. Returns the number of messages (kind MESSAGE) completed.
uint32_t outbox_sent(struct outboxes *outboxes, struct outbox *outbox, uint64_t sent_bytes);
// Drops what waits (not what is in flight); returns how many messages that were. `keeps_control`:
// control frames and bytes stay.
uint32_t outbox_drop_waiting(struct outboxes *outboxes, struct outbox *outbox, bool keeps_control);
// After the last completion of the send: drops everything.
uint32_t outbox_drop_all(struct outboxes *outboxes, struct outbox *outbox);
// Removes the newest waiting pong when waiting_max (1 or more) of them wait, so that a ping flood
// leaves few answers, the last one to the newest ping (RFC 6455 5.5.3). True when one was removed.
bool outbox_drop_pong(struct outboxes *outboxes, struct outbox *outbox, uint32_t waiting_max);
static inline bool outbox_is_empty(const struct outbox *outbox) {
    return outbox->first == 0;
}
static inline bool outbox_may_send(const struct outbox *outbox) {
    return outbox->flight_count == 0 && outbox->first != 0;
}
