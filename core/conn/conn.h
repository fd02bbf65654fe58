// A client connection: bytes and time in, outputs and asks out. The meeting room of http, ws and
// hub; it knows neither descriptor nor stage. One struct conns per worker holds them all as plain
// data by index; struct conn is one cache line.
//
// How the owner (gateway/worker) drives it:
//   - conn_open for a new transport; conn_feed for received bytes, until they are used up or
//   conn_may_feed is false (then conn_hold keeps the rest);
//   - each call of conn_feed yields at most one event, the owner carries it out and answers by a
//   later call (conn_upgrade, conn_refuse, conn_reply, conn_collect);
//   - whatever gave a connection something to do for its transport puts it on the touched list:
//   conn_touched_next, then conn_gather and
//     the send, or the close when the state is CONN_ENDED;
//   - conn_sent when a send ended, conn_on_end when the peer's end was read, conn_on_error when the
//   transport failed, conn_on_time when its wheel entry fired;
//   - conn_release when the transport is closed and nothing of it is in flight.
// No function calls back. Pure; owner: one worker.
#pragma once
#include "core/base/arena.h"
#include "core/base/counters.h"
#include "core/base/fault.h"
#include "core/base/histogram.h"
#include "core/base/limits.h"
#include "core/base/pool.h"
#include "core/base/trace.h"
#include "core/base/wheel.h"
#include "core/http/body.h"
#include "core/http/date.h"
#include "core/http/deflate_offer.h"
#include "core/http/reply.h"
#include "core/http/request.h"
#include "core/http/upgrade.h"
#include "core/hub/outbox.h"
#include "core/ws/deflate.h"
#include "core/ws/reader.h"
#include "core/ws/takeover.h"

#include <assert.h>

// The states, and who is waited for in each until which deadline:
//
//   FREE -> HEAD -> VERDICT -> OPEN -> CLOSING     1  VERDICT, REPLY -> HEAD: kept alive
//            ^ ^      |  |                         2  HEAD, VERDICT, BODY (refused with something
//            |  \-1---'  v                            unread), OPEN, CLOSING (violation) -> DISCARD
//            |         BODY -> REPLY               3  HEAD, VERDICT, REPLY, OPEN, CLOSING, DISCARD:
//            '-----------1-------'                    nothing more is read -> FLUSH
//   VERDICT -> RELAY -> HEAD (1), OPEN,
//                       DISCARD (2), FLUSH (3)
//      2 -> DISCARD -> FLUSH <- 3                  4  every one but FREE -> ENDED
//                 4 -> ENDED -> FREE
//
//   HEAD     the client's head: handshake deadline (kept alive: idle until its first byte)
//   VERDICT  the owner's answer to a head: handshake deadline, then 503
//   BODY     the client's body: deadlines for progress and for the whole
//   REPLY    the owner's answer to a complete body: the same deadline
//   RELAY    the owner, for the answer, by its own deadlines; the client's body, which is read at
//            the same time unless paused: deadline for progress
//   OPEN     nobody: ping, pong, idle, age, stall, drain deadlines
//   CLOSING  the peer's Close, ours being queued: close deadline
//   DISCARD  the peer's end, reading and throwing away: 1 s after our last bytes, or 256 KiB
//   FLUSH    our last bytes to leave: close deadline; while a send is under way, the stall deadline
//   ENDED    the owner, to close the transport and call conn_release
enum conn_state {
    CONN_FREE,
    CONN_HEAD,
    CONN_VERDICT,
    CONN_BODY,
    CONN_REPLY,
    CONN_RELAY,
    CONN_OPEN,
    CONN_CLOSING,
    CONN_DISCARD,
    CONN_FLUSH,
    CONN_ENDED,
    CONN_STATE_COUNT
};

// outbox.owner_bits
enum conn_flag {
    CONN_TOUCHED = 1 << 0,  // on the touched list
    CONN_PING_OUT = 1 << 1, // a keepalive ping is unanswered; phase_ms is when it went out
    CONN_HAS_PINGED =
        1 << 2,           // at least one keepalive ping was sent: from now on exactly the interval
    CONN_PAUSED = 1 << 3, // by the owner: nothing is read
    CONN_KEEP_ALIVE = 1 << 4, // HTTP: another request may follow the reply
    CONN_END_READ = 1 << 5,   // the peer has ended its side
    CONN_SENDING = 1 << 6,    // a send is in flight since send_ms
    CONN_DRAINING = 1 << 7,   // its drain deadline counts
    CONN_HAS_REQUEST =
        1
        << 8, // a request was answered on this connection: HEAD waits with the keep-alive deadline
    CONN_HEAD_BEGUN = 1 << 9,   // bytes of a head have arrived
    CONN_CLOSE_IN = 1 << 10,    // the peer's Close has been read
    CONN_ENVELOPE = 1 << 11,    // lent to the owner: this client speaks the JSON envelope
    CONN_WAS_OPEN = 1 << 12,    // it was upgraded
    CONN_METHOD_HEAD = 1 << 13, // the request in progress is a HEAD
    CONN_GIVEN_UP = 1 << 14,    // what waited for it was dropped: no patience with its reading
    CONN_PING_WAITS = 1 << 15,  // with PING_OUT: that ping is still queued or in flight
};

struct conn {
    struct wheel_entry timer;
    struct outbox outbox;
    uint32_t generation;
    uint32_t input;         // pool index of struct conn_input, 0 = nothing partial
    uint32_t subscriptions; // head of the hub's list
    uint32_t opened_ms;     // times: low 32 bits of the monotonic clock, compared wrapping
    uint32_t read_ms;       // last bytes received, or known to wait in the transport
    uint32_t message_ms;    // last message either way, for `idle`
    uint32_t send_ms;       // when the send in flight began
    uint32_t phase_ms; // when this state began; OPEN: when the ping went out, or (no ping out) the
                       // last round trip in microseconds
    uint16_t settings : 12;    // index into conns.settings
    uint16_t deflate_bits : 4; // permessage-deflate was agreed: the window that the client keeps
                               // for what we send, 2^8 to 2^15 bytes; 0 = it was not;
                               // CONN_DEFLATE_OWN = with a stream of its own
    uint8_t state;             // enum conn_state
    uint8_t fault;             // why it ends: enum fault_id, meaningful once it is CLOSING or later
};
static_assert(sizeof(struct conn) == 64, "one cache line per connection");
static_assert(SETTINGS_MAX <= 1 << 12, "an index fits");
static_assert(HTTP_DEFLATE_BITS_MAX < 1 << 4, "the window fits");

enum { CONN_DEFLATE_OWN = 1 };

enum { WEBSOCKET_KEY_BYTES = 24 }; // 16 bytes in base64

// What exists only while something is unfinished: a head, a body, an exchange, a message. 256
// bytes, pooled.
struct conn_input {
    uint32_t held_block; // bytes received that may not be looked at yet
    uint32_t held_bytes;
    union {
        struct {
            struct http_scan scan;
            struct http_body body;
            uint32_t body_block; // collected body, data at WS_MESSAGE_HEADROOM
            uint32_t body_bytes;
            uint32_t body_bytes_max;
            uint32_t head_block; // the head, when it came in pieces
            uint32_t head_bytes;
            bool is_upgrade;
            bool offers_deflate; // on the terms in `deflate`
            struct http_deflate_terms deflate;
            bool expects_continue;
            bool has_reply; // RELAY: a part of the answer was queued
            uint8_t key[WEBSOCKET_KEY_BYTES];
        } http;
        struct ws_reader reader;
    };
};
static_assert(sizeof(struct conn_input) <= 256, "pool element");

// A route's rules, frozen; many connections refer to one. Entry 0 holds before a route is known.
struct conn_settings {
    uint32_t ping_ms, pong_ms; // 0: off
    uint32_t idle_ms, age_ms;  // 0: off
    uint32_t stall_ms;         // 0: off
    struct ws_reader_rules reader;
    struct outbox_bounds bounds;
    bool refuses_text, refuses_binary; // `messages`: 1003
    uint8_t deflate_level;             // 0: permessage-deflate is declined
    uint32_t deflate_threshold;        // shorter messages go plain
    bool has_expiry;                   // conn_expire was said before conn_upgrade
    bool tells_close;                  // CONN_EVENT_CLOSE
    bool deflate_takeover; // a stream of its own for whoever allows it, while the budget lasts;
                           // only with the policy OUTBOX_CLOSE: what a stream made must be sent
};

struct conns {
    struct pool pool;    // struct conn
    struct pool inputs;  // 256 B
    struct pool entries; // struct outbox_entry
    struct arena *arena;
    struct outboxes outboxes;
    struct wheel wheel;
    const struct conn_settings *settings;
    struct ws_deflate *deflate;   // NULL: permessage-deflate is declined
    struct ws_takeover *takeover; // NULL: never with a stream of its own
    uint32_t *streams;            // of takeover, by connection; touched only by those that have one
    uint32_t *expiries;           // by connection, in seconds of now_ms' clock; touched only by
                                  // those whose settings have one
    struct counters *counters;
    struct trace *trace;
    struct histogram *round_trip; // ns
    uint64_t now_ms;              // set by the owner at the start of each turn (conns_turn)
    uint64_t now_us;              // for the round trip only
    uint64_t wall_s;              // what `date` says; 0: no clock was set, and no Date is sent
    uint8_t date[HTTP_DATE_BYTES];
    uint32_t head_bytes_max;
    uint32_t handshake_ms;
    uint64_t jitter_seed; // spreads first pings and drains
    uint32_t drain_begin_ms, drain_over_ms;
    uint32_t ping_payload; // this turn's ping, shared by all: its bytes are the time
    uint64_t ping_payload_us;
    uint32_t *touched; // indices with CONN_TOUCHED
    uint32_t touched_count, touched_next, touched_max;
    uint8_t turn;        // wrapping: conns_turn
    bool has_unreaped;   // set by the owner: some sends that ended were not told here this turn
    uint32_t open_count; // in CONN_OPEN
    // All zero between calls: the reader of every connection between messages.
    struct ws_reader idle_reader;
    uint8_t close_payload[CONTROL_BYTES_MAX]; // of the last CONN_EVENT_CLOSE
    struct http_request request; // the head being parsed: one per worker, not one per connection
};

struct conns_memory { // ranges handed in, reserved by the owner
    uint32_t connection_max;
    uint32_t input_max;
    uint32_t entry_max;
    struct memory conn_space, conn_book, input_space, input_book, entry_space, entry_book;
    struct memory touched; // 4 bytes a connection
};

// Sizes that conns_memory needs; fills the length fields from the three maxima.
void conns_memory_size(struct conns_memory *memory);
// The fields arena, settings, counters, trace, round_trip, head_bytes_max, handshake_ms and
// jitter_seed are set by the caller before.
void conns_init(struct conns *conns, const struct conns_memory *memory, uint64_t now_us);
// The start of the owner's turn: the time of everything until the next one (monotonic,
// microseconds).
void conns_turn(struct conns *conns, uint64_t now_us);
// The time of day for the Date field of replies (RFC 9110 6.6.1), in milliseconds since 1970 UTC.
void conns_set_date(struct conns *conns, uint64_t wall_ms);

static inline struct conn *conn_at(const struct conns *conns, uint32_t index) {
    return (struct conn *)pool_at(&conns->pool, index);
}

// --- lifetime
// A new connection in CONN_HEAD: its index, or 0 when the pool is exhausted.
uint32_t conn_open(struct conns *conns);
// Frees everything it still holds (subscriptions must be gone: check). Counts its fault: exactly
// once per connection.
void conn_release(struct conns *conns, uint32_t index);

// --- bytes in
enum conn_event_kind {
    CONN_EVENT_NONE,
    CONN_EVENT_REQUEST, // conns->request is complete; spans live until the next conn_feed. Answer:
                        // conn_upgrade, conn_refuse, conn_reply, conn_collect or conn_relay
    CONN_EVENT_BODY,  // the body asked for by conn_collect is complete: block (owned by the caller,
                      // 0 when empty) and payload. Answer: conn_refuse or conn_reply
    CONN_EVENT_PIECE, // RELAY: a piece of the body in payload, may be empty; is_final: the last; or
                      // a fault of the body: nothing more comes. Answer to it: conn_refuse or
                      // conn_relay_cut
    CONN_EVENT_MESSAGE, // a message: block (owned by the caller) or 0, payload, opcode
    CONN_EVENT_CLOSE,   // settings.tells_close: the client has begun the close, and was answered;
                        // payload: of its Close frame, which is in order
};
struct conn_event {
    enum conn_event_kind kind;
    uint8_t opcode;            // MESSAGE
    bool is_upgrade;           // REQUEST: a WebSocket handshake that passed http_upgrade_check
    bool is_final;             // PIECE
    const struct fault *fault; // PIECE
    uint32_t block;      // arena block with the payload at WS_MESSAGE_HEADROOM; now the caller's
    struct span payload; // valid until the next call that touches this connection or the bytes fed,
                         // and until the next conn_feed of any (a message that was inflated)
};
// Whether bytes may be fed now (false between an ask and its answer, while paused, or with replies
// still to be sent).
bool conn_may_feed(const struct conns *conns, uint32_t index);
// Whether conn_feed has something to say even without bytes: the body of a collected request is
// empty.
bool conn_wants_feed(const struct conns *conns, uint32_t index);
// Whether the transport should receive: as above, and nothing is held already.
bool conn_may_read(const struct conns *conns, uint32_t index);
// Consumes from *bytes (unmasking in place) up to one event. Everything is consumed when the kind
// is NONE, unless conn_may_feed turned false.
struct conn_event conn_feed(struct conns *conns, uint32_t index, struct span_mut *bytes);
// Keeps bytes that may not be fed yet (a copy, bounded by what one receive brings; the connection
// ends with out_of_memory when there is none).
void conn_hold(struct conns *conns, uint32_t index, struct span_mut bytes);
// Takes what is held (moves ownership of the block; *block is given back to the arena by the caller
// after feeding). Length 0: nothing.
struct span_mut conn_held_take(struct conns *conns, uint32_t index, uint32_t *block);
// Where the next bytes may be received without a copy (a large frame), or empty.
struct span_mut conn_receive_target(struct conns *conns, uint32_t index);
// `length` bytes were received into that target.
struct conn_event conn_feed_target(struct conns *conns, uint32_t index, uint32_t length);
// The transport holds something of the peer's that was not read yet, be it only its end: whoever is
// judged by its silence (the deadline of a pong) has spoken.
void conn_on_readable(struct conns *conns, uint32_t index);
void conn_on_end(struct conns *conns, uint32_t index); // the peer's end of stream
void conn_on_error(struct conns *conns, uint32_t index,
                   enum fault_id fault); // peer_reset or transport_error: ends at once

// --- answers and orders
// 101 and CONN_OPEN. `subprotocol` may be empty. permessage-deflate is agreed to when the client
// offers it and the settings have a level.
void conn_upgrade(struct conns *conns, uint32_t index, uint16_t settings, struct span subprotocol);
// When the connection that is to be upgraded closes (token_expired), in milliseconds of now_ms'
// clock; UINT64_MAX: never. Before conn_upgrade to settings with has_expiry.
void conn_expire(struct conns *conns, uint32_t index, uint64_t due_ms);
// Refuses the request in progress; refusal->keep_alive and is_head are filled in here. The
// connection goes on only when nothing of the request is unread.
void conn_refuse(struct conns *conns, uint32_t index, struct http_refusal *refusal);
// Answers it; the same two fields are filled in here.
void conn_reply(struct conns *conns, uint32_t index, struct http_reply *reply);
// Asks for the body, up to `bytes_max`; 100 Continue is sent when the client expects it. A body
// announced larger is refused at once.
void conn_collect(struct conns *conns, uint32_t index, uint32_t bytes_max);
// Passes the request on: its body comes in pieces while it is read (conn_pause stops it), and the
// answer goes out in pieces, at any time. Or conn_refuse as long as no piece of an answer was put,
// or conn_upgrade. The connection counts by these settings from now on.
void conn_relay(struct conns *conns, uint32_t index, uint16_t settings);
// All below: in RELAY. Whether a part of the body is still to be read, a part of the answer was
// put, the client may ask for more on this connection.
bool conn_relay_reads(const struct conns *conns, uint32_t index);
bool conn_relay_has_reply(const struct conns *conns, uint32_t index);
bool conn_relay_keeps(const struct conns *conns, uint32_t index);
// Queues bytes of the answer; the payload's reference is taken (0: there was no memory for it).
// False: the connection is not in RELAY any more, and the owner has nothing more to say to it.
bool conn_relay_put(struct conns *conns, uint32_t index, uint32_t payload);
// The same with a head of 1xx, which is no part of the answer.
bool conn_relay_put_interim(struct conns *conns, uint32_t index, uint32_t payload);
// The answer is complete; no effect unless in RELAY. Without keeps_alive, or with a body unread,
// the connection ends.
void conn_relay_end(struct conns *conns, uint32_t index, bool keeps_alive);
// The answer cannot be completed: what was put is sent and the connection ends short of it.
void conn_relay_cut(struct conns *conns, uint32_t index, enum fault_id fault);
enum conn_send_result { CONN_SENT_QUEUED, CONN_SENT_DROPPED, CONN_SENT_CLOSED, CONN_SENT_LATER };
// Queues one message payload (takes a reference of its own) under the route's policy; ignored
// (CLOSED) unless OPEN. `channel`: for conflate, 0 = none.
enum conn_send_result conn_send(struct conns *conns, uint32_t index, uint32_t payload,
                                uint32_t channel);
// The same, for who can bring it again: nothing is done and LATER returned when it does not fit
// into the queue while what waits there was not offered to the transport yet, or may have been
// taken since. So a burst never makes a slow reader of one whose transport takes everything; the
// policy is for one whose transport has refused. LATER lasts a turn for each send that the
// transport takes whole, so whoever waits for one reader does not wait for its reading.
enum conn_send_result conn_offer(struct conns *conns, uint32_t index, uint32_t payload,
                                 uint32_t channel);
// Where so many bytes of one whole frame (unmasked, of a message) are to be written, at once,
// behind all that waits; no policy is asked, so whoever calls it looks at outbox.queued_bytes.
// NULL: it is not OPEN any more, or has just been closed for want of memory.
uint8_t *conn_run_room(struct conns *conns, uint32_t index, uint32_t bytes);
// Begins the close: Close frame with that code (0: the fault's own) behind what is queued, or the
// end of an HTTP exchange. Waiting messages are dropped first when drops_waiting.
struct conn_close_options {
    enum fault_id fault;
    uint16_t code;
    struct span reason;   // empty: the fault's text
    bool is_reason_exact; // also when it is empty
    bool drops_waiting;
};
void conn_close(struct conns *conns, uint32_t index, const struct conn_close_options *options);
void conn_kill(struct conns *conns, uint32_t index, enum fault_id fault); // ENDED at once
void conn_pause(struct conns *conns, uint32_t index);
void conn_unpause(struct conns *conns,
                  uint32_t index); // touched: the owner looks at held bytes and reading again
// Gives the connection its place in a drain that conns_drain began (wheel).
void conns_drain(struct conns *conns, uint32_t over_ms);
void conn_drain(struct conns *conns, uint32_t index);

// --- bytes out
// Next connection that has something for its transport, or 0.
uint32_t conn_touched_next(struct conns *conns);
void conn_touch(struct conns *conns, uint32_t index);
// Gathers what is to be sent next (outbox_gather); 0 when nothing, or one send is in flight.
uint32_t conn_gather(struct conns *conns, uint32_t index, struct span pieces[SEND_PIECES_MAX]);
// The send in flight ended: sent_bytes on the wire.
void conn_sent(struct conns *conns, uint32_t index, uint64_t sent_bytes);

// --- time
// Its wheel entry fired. Acts on every deadline that is due and arms the next.
void conn_on_time(struct conns *conns, uint32_t index);

static inline bool conn_has(const struct conn *conn, enum conn_flag flag) {
    return (conn->outbox.owner_bits & flag) != 0;
}
const char *conn_state_name(enum conn_state state);
// The last keepalive round trip in microseconds, 0 = not measured yet.
uint32_t conn_round_trip_us(const struct conn *conn);
// User memory that it holds beyond its tables, by component, for the admin API.
struct conn_bytes {
    uint64_t input, queued, subscriptions;
};
struct conn_bytes conn_bytes(const struct conns *conns, uint32_t index);
