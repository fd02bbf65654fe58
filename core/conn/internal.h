// What the files of this room share. Not for others.
#pragma once
#include "core/conn/conn.h"

bool conn_may_move(enum conn_state from, enum conn_state to);
// Writes the state; the only place that does.
void conn_move(struct conns *conns, uint32_t index, enum conn_state to);
// Arms the wheel for the earliest deadline, if that is earlier than what is armed.
void conn_arm(struct conns *conns, uint32_t index);
void conn_set(struct conn *conn, enum conn_flag flag);
void conn_clear(struct conn *conn, enum conn_flag flag);
// The input object, taken when there is none; NULL: pool exhausted.
struct conn_input *conn_input_get(struct conns *conns, uint32_t index);
struct conn_input *conn_input_find(const struct conns *conns, uint32_t index);
// Drops the http part (not what is held) and gives the object back when nothing is left in it.
void conn_input_end_exchange(struct conns *conns, uint32_t index);
void conn_input_settle(struct conns *conns, uint32_t index);
// Queues bytes or a control frame and drops the caller's reference. False: no memory; the
// connection was ended.
bool conn_put(struct conns *conns, uint32_t index, uint32_t payload);
// Records why it ends; the first cause stays.
void conn_blame(struct conns *conns, uint32_t index, enum fault_id fault);
// A WebSocket violation: Close frame with the fault's code behind what is queued, then
// CONN_DISCARD.
void conn_violate(struct conns *conns, uint32_t index, const struct fault *fault);
// Queues a Close frame. False: the connection was ended for want of memory.
bool conn_put_close(struct conns *conns, uint32_t index, uint16_t code, struct span reason);
// A request that cannot be answered by the owner any more: refused here.
void conn_refuse_fault(struct conns *conns, uint32_t index, const struct fault *fault);
// After the last reply of an exchange was queued.
void conn_exchange_end(struct conns *conns, uint32_t index, bool has_unread);
struct conn_event conn_feed_frames(struct conns *conns, uint32_t index, struct span_mut *bytes);
struct conn_event conn_feed_relay(struct conns *conns, uint32_t index, struct span_mut *bytes);
void conn_feed_discard(struct conns *conns, uint32_t index, struct span_mut *bytes);
enum { PING_STAMP_BYTES = 8 };
#define PING_TIME_MASK ((UINT64_C(1) << 48) - 1) // microseconds: nine years
void conn_ping_stamp(const struct conns *conns, uint64_t time_us, uint8_t stamp[PING_STAMP_BYTES]);
// A number that differs between connections and is the same for one: spreads deadlines.
uint32_t conn_jitter(const struct conns *conns, uint32_t index, uint32_t bound);

static inline uint32_t conn_now32(const struct conns *conns) {
    return (uint32_t)conns->now_ms;
}
static inline const struct conn_settings *conn_settings_of(const struct conns *conns,
                                                           const struct conn *conn) {
    return &conns->settings[conn->settings];
}
