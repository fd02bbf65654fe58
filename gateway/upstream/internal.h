// What the files of this room share. Not for others.
#pragma once
#include "gateway/upstream/upstream.h"

//   FREE -> SOCKET -> CONNECTING -> ANSWER -> BODY -> IDLE -> ANSWER
//                         \-> SHAKING -^
//                                     |  \      \-> CLOSING
//                                     |   \-> RAW -> CLOSING
//                                     '-> IDLE (an answer without a body)
//   every one but FREE -> CLOSING -> FREE
enum line_state {
    LINE_FREE,
    LINE_SOCKET,     // the kernel, for a socket
    LINE_CONNECTING, // the service, to accept
    LINE_SHAKING,    // by https: the service, in the handshake
    LINE_ANSWER,     // a head
    LINE_BODY,
    LINE_RAW,
    LINE_IDLE,
    LINE_CLOSING, // what is in flight, and with LINE_FLUSHES what is queued
    LINE_STATE_COUNT
};

enum line_flag {
    LINE_TOUCHED = 1 << 0,
    LINE_SENDING = 1 << 1,
    LINE_PAUSED = 1 << 2,
    LINE_REUSED = 1 << 3,  // it was idle before this exchange
    LINE_KEEPS = 1 << 4,   // the answer allows another request behind it
    LINE_ASKED = 1 << 5,   // the whole request is queued or sent
    LINE_DEAF = 1 << 6,    // a send failed: the service reads no more, though it may have answered
    LINE_COUNTED = 1 << 7, // among its server's `open`
    LINE_BURSTS = 1 << 8,  // its last receive filled a buffer
    LINE_FLUSHES = 1 << 10,
    LINE_ENDED = 1 << 11,  // the service's end was read while paused
    LINE_LINKED = 1 << 12, // `link` is a socket
    LINE_SPOKE = 1 << 13,  // bytes of this answer have come
    LINE_SHORT = 1 << 14,  // no memory for what should be sent: it fails in the next pump
    LINE_CUT = 1 << 15,    // LINE_ENDED: by an error
};

struct line_tls { // pooled, beside a line by https
    struct tls_dial dial;
    uint32_t block; // arena: records that are being sent; 0: nothing is
    uint32_t bytes, sent_bytes;
    uint32_t text_bytes;             // of the outbox, in those; 0: they are the library's own
    uint32_t owed_block, owed_bytes; // what it wrote by itself: to be sent first
    bool is_ended;                   // the service has said that it sends no more
};
static_assert(sizeof(struct line_tls) <= UPSTREAM_TLS_BYTES, "pool element");

// Beside enum upstream_ask_flag.
enum exchange_flag {
    EXCHANGE_PROBE = 1 << 4,    // its outcome decides over its server
    EXCHANGE_HAS_BODY = 1 << 5, // upstream_send_end is awaited
    EXCHANGE_RAW = 1 << 6,      // it was taken over
    EXCHANGE_CHECK = 1 << 7,    // of a server's health: nobody else hears of it
};

static inline struct upstream_line *line_at(const struct upstreams *upstreams, uint32_t line) {
    return (struct upstream_line *)pool_at(&upstreams->lines, line);
}
static inline struct upstream_exchange *exchange_at(const struct upstreams *upstreams,
                                                    uint32_t exchange) {
    return (struct upstream_exchange *)pool_at(&upstreams->exchanges, exchange);
}
static inline struct upstream *upstream_of(const struct upstreams *upstreams,
                                           const struct upstream_line *line) {
    return &upstreams->items[line->upstream];
}
static inline struct upstream_server *server_of(const struct upstreams *upstreams,
                                                const struct upstream_line *line) {
    return &upstreams->items[line->upstream].servers[line->server];
}
static inline bool line_has(const struct upstream_line *line, enum line_flag flag) {
    return (line->flags & flag) != 0;
}
static inline bool exchange_is_check(const struct upstreams *upstreams, uint32_t exchange) {
    return (exchange_at(upstreams, exchange)->flags & EXCHANGE_CHECK) != 0;
}
static inline void line_set(struct upstream_line *line, enum line_flag flag) {
    line->flags = (uint16_t)(line->flags | (uint32_t)flag);
}
static inline void line_clear(struct upstream_line *line, enum line_flag flag) {
    line->flags = (uint16_t)(line->flags & ~(uint32_t)flag);
}

// --- server.c: which server, and whether it may be asked
enum { SERVER_NONE = 255 };
// The server for this exchange among those that it has not tried; SERVER_NONE: none may be asked.
// One whose lines are all busy is chosen only when no other has room: *has_room tells.
// Changes nothing: of equal ones the next in turn, which server_enter sets.
uint8_t server_choose(const struct upstream *upstream, const struct upstream_exchange *exchange,
                      uint64_t now_ms, bool *has_room);
// Whether any of its servers may take a request that waits.
bool upstream_has_room(const struct upstream *upstream, uint64_t now_ms);
// An exchange is given to it: a breaker whose time has come lets this one through.
void server_enter(struct upstream *upstream, uint8_t server, struct upstream_exchange *exchange,
                  uint64_t now_ms);
void server_leave(struct upstream *upstream, uint8_t server, struct upstream_exchange *exchange,
                  uint64_t now_ms);
void server_succeeded(struct upstream_server *server);
// True: this failure opened its breaker.
bool server_failed(struct upstream *upstream, struct upstream_server *server, uint64_t now_ms);

// --- exchange.c
void exchange_tell(struct upstreams *upstreams, uint32_t exchange, struct upstream_event event);
// Over: freed, its line (if any) has none from now on. END or FAILED (with a fault) is told.
void exchange_end(struct upstreams *upstreams, uint32_t exchange, const struct fault *fault);
// Its line is of no use before an answer came: another server is tried, or it fails.
void exchange_retry(struct upstreams *upstreams, uint32_t exchange, const struct fault *fault);
// Those that wait get the lines that are free by now.
void exchange_serve(struct upstreams *upstreams);
// Those that have waited too long fail.
void exchange_expire(struct upstreams *upstreams);

// --- health.c
// Begins the checks that are due.
void health_turn(struct upstreams *upstreams);
// The head of a check's answer; the check is over.
void health_on_head(struct upstreams *upstreams, uint32_t exchange);
// A check ends without one, and its exchange is about to be freed.
void health_on_end(struct upstreams *upstreams, uint32_t exchange, const struct fault *fault);
// Ends the checks that are under way.
void health_retire(struct upstreams *upstreams, struct upstream *upstream);

// --- line_tls.c
// For a line to a server by https, before anything else. False: there are too many.
bool line_tls_take(struct upstreams *upstreams, uint32_t line);
// What line_tls_take took; the line is freed.
void line_tls_give(struct upstreams *upstreams, uint32_t line);
// It is connected: the handshake begins.
void line_tls_begin(struct upstreams *upstreams, uint32_t line);
void line_tls_on_bytes(struct upstreams *upstreams, uint32_t line, struct span_mut received);
void line_tls_on_end(struct upstreams *upstreams, uint32_t line, int error);
// Sends, if nothing is in flight; `may_send`: also what waits in the outbox.
void line_tls_pump(struct upstreams *upstreams, uint32_t line, bool may_send);
// True: the send of so much of the outbox is over, or failed (nothing counts as sent then).
bool line_tls_on_sent(struct upstreams *upstreams, uint32_t line, const struct link_event *event,
                      uint64_t *text_bytes);

// --- line.c
// The request goes out on a line that is ready for it.
void line_begin(struct upstreams *upstreams, uint32_t line);
// A line for the exchange: an idle one, or a new one. False: no memory or no descriptor.
bool line_take(struct upstreams *upstreams, uint32_t exchange, uint8_t server);
// Writes the state; the only place that does.
void line_move(struct upstreams *upstreams, uint32_t line, enum line_state to);
void line_close(struct upstreams *upstreams, uint32_t line, bool flushes);
void line_touch(struct upstreams *upstreams, uint32_t line);
void line_arm(struct upstreams *upstreams, uint32_t line);
uint8_t *line_run_room(struct upstreams *upstreams, uint32_t line, uint32_t bytes);
// Queues for the service; the payload's reference is taken.
void line_put(struct upstreams *upstreams, uint32_t line, uint32_t payload);
// Looks at what was held, and receives on.
void line_read_on(struct upstreams *upstreams, uint32_t line);
void line_receive(struct upstreams *upstreams, uint32_t line);
// The answer failed: the line is closed and its exchange told. `detail`: for the log, or NULL.
void line_fail(struct upstreams *upstreams, uint32_t line, enum fault_id fault,
               const struct fault *detail);
// We have no memory or descriptor for it: the line is closed, its exchange (if any) told, and its
// server blamed for nothing.
void line_starve(struct upstreams *upstreams, uint32_t line);
void line_on_time(struct upstreams *upstreams, uint32_t line);
// upstream.c: an upstream that is no longer configured goes with its last line.
void upstream_settle(struct upstreams *upstreams, uint16_t upstream);

// --- name_record.c
// The addresses of that name, 16 bytes each. False: the table does not have it.
bool name_record_find(struct span table, struct span host, struct span *addresses);

// --- names.c
// Servers that need no name.
void origins_place(struct upstream *upstream);
// One that its name has no more goes with its last line.
void server_settle(struct upstream_server *server);
// Whether a name of its may still bring a server.
bool upstream_is_resolving(const struct upstream *upstream);
// Whether it has a server, be it one that may not be asked.
bool upstream_has_server(const struct upstream *upstream);

// --- answer.c
// Bytes from the service; all are used up, held or thrown away.
void answer_feed(struct upstreams *upstreams, uint32_t line, struct span_mut bytes);
// Its end (error 0) or an error.
void answer_on_end(struct upstreams *upstreams, uint32_t line, int error);
