// The life of a socket above io.h: accept, connect, receive, send, close, arming again, starvation,
// and which ring is open. All that decides about operations stands here and runs unchanged on the
// simulator's io. It knows nothing of HTTP or WebSocket: its owner takes events one at a time and
// answers with calls; nothing calls back. Owner: one thread.
//
// States of a slot, and what it waits for:
//
//   FREE --accept--> OPEN --link_close--> STOPPING --> CLOSING --> FREE
//     \--socket-----/
//
//   OPEN      after link_socket: link_connect, then the end of connecting
//   STOPPING  nothing in flight but the poll, having read and thrown away what the peer has sent
//             until -EAGAIN (unless its end was seen)
//   CLOSING   the poll's end, the cancel and the close to be reaped
//
// Accepting uses 16 single accepts per listener, each with its own address storage. An armed
// multishot accept takes the whole backlog within one turn, before its first completion is seen: it
// would meet a full table and cut clients (measured: tests/contract,
// one_turn_takes_the_whole_backlog). Single accepts are never more than there are free slots, bring
// the address with them and work on every kernel, for about 0.4 us more in a storm.
#pragma once
#include "core/base/address.h"
#include "core/base/counters.h"
#include "core/base/limits.h"
#include "core/base/span.h"
#include "core/base/trace.h"
#include "gateway/io/io.h"

#include <assert.h>

enum { LINK_RING_SHIFT = 24 };
// A socket's number for its owner: ring << 24 | slot. 0 is a valid number; LINK_NONE is none.
typedef uint32_t link_id; // a typedef, so that it is not mixed up with a slot or a connection index
#define LINK_NONE UINT32_MAX

enum link_state { LINK_FREE, LINK_OPEN, LINK_STOPPING, LINK_CLOSING, LINK_STATE_COUNT };

enum link_flight { // operations in the kernel, bits
    LINK_POLLING = 1 << 0,
    LINK_RECEIVING = 1 << 1,
    LINK_SENDING = 1 << 2,
    LINK_CANCELLING = 1 << 3,
    LINK_CLOSE_OUT = 1 << 4,
    LINK_SEND_CANCELLING = 1 << 5, // a send or a connect
    LINK_CONNECTING = 1 << 6,
    LINK_OPTION = 1 << 7, // a socket option is being set
};

enum link_flag {
    LINK_READABLE_SEEN =
        1 << 0,             // an event came while a receive was in flight or the owner did not read
    LINK_END_SEEN = 1 << 1, // end of stream or an error was read: nothing more comes
    LINK_STARVED = 1 << 2,  // in the list of those that found no buffer
    LINK_DISCARDS = 1 << 3, // STOPPING: what arrives is thrown away
    LINK_OWNED = 1 << 4,    // the owner has it: it gets a CLOSED event
    LINK_HANGUP = 1 << 5,   // the peer's end or reset was polled: bytes before it are not the last
    LINK_LENT = 1 << 6,     // a receive into lent memory is in flight: `extra` is its token
};

struct link_slot {
    uint32_t owner;      // the owner's index
    uint32_t extra;      // starved: next in the list + 1; lent: token; STOPPING: bytes thrown away
    uint16_t generation; // of this life, in every completion
    uint16_t listener;   // which listener it came from
    uint8_t state;       // enum link_state
    uint8_t flight;      // enum link_flight
    uint8_t flags;       // enum link_flag
    uint8_t spare;
};
static_assert(sizeof(struct link_slot) == 16, "io slot of DESIGN.md section 4");

enum link_event_kind {
    LINK_EVENT_ACCEPTED,  // a new socket with its address: answer link_own, or link_close
    LINK_EVENT_SOCKET,    // link_socket: a slot, already its owner's: answer link_connect, or
                          // link_close. `error`: none could be had, and this is the last event
    LINK_EVENT_CONNECTED, // it may be used from now on; `error`: -errno, and the owner closes
    LINK_EVENT_READABLE,  // answer link_receive now, or later when the owner reads again
    LINK_EVENT_BYTES,     // data from a receive buffer: work on it, then link_bytes_done; the owner
                          // then asks for more by link_receive
    LINK_EVENT_TARGET,    // `bytes` were received into the owner's target
    LINK_EVENT_RETURNED,  // lent memory comes back from a socket that is being closed
    LINK_EVENT_END,       // the peer ended its side
    LINK_EVENT_ERROR,     // receive or send failed: error is -errno; the owner closes
    LINK_EVENT_SENT,      // the send ended: `bytes` went out; error is 0 or -errno
    LINK_EVENT_CLOSED,    // the slot is free: the owner's last event of this socket
    LINK_EVENT_DOORBELL,  // another thread rang
    LINK_EVENT_WRITTEN,   // an io_write ended: token and result in `owner` and `error`
};

struct link_event {
    enum link_event_kind kind;
    link_id id;
    uint32_t owner;
    uint32_t bytes;
    uint32_t token; // of link_receive_lent: the memory is the owner's again, whatever the kind is
    int32_t error;
    uint32_t listener;      // ACCEPTED: listener number
    struct address address; // ACCEPTED
    struct span_mut data;   // BYTES
    uint8_t ring;           // BYTES: for link_bytes_done
    uint16_t buffer_id;
};

enum {
    LINK_ACCEPTS = 16, // armed per listener: enough that a storm finds one waiting (decision 1)
    LINK_RING_RETRY_MS = 1000, // descriptors and memory come back, and clients may wait for them
    LINK_TURNS_MAX = 256,      // remembered: a few of the first in a long queue may ask in vain
};

struct link_accept {
    struct io_peer peer; // the kernel's while armed
    uint8_t ring;
    bool is_armed;
    bool is_cancelling;
};

struct link_listener {
    int io_listener;
    bool is_unix;
    struct link_accept accepts[LINK_ACCEPTS];
};

struct link_starved {     // of one ring: its buffers serve nobody else
    uint32_t first, last; // id + 1
    uint32_t turns;       // receives that may find a buffer: as many as came back, at most
                          // LINK_TURNS_MAX
};

struct link {
    struct io *io;
    struct link_slot *slots; // ring_max x slots_per_ring
    uint32_t slots_per_ring;
    uint32_t ring_max;
    uint32_t used[RINGS_MAX];
    uint32_t armed[RINGS_MAX]; // accepts: each may take a slot at any moment
    uint32_t used_total;
    uint32_t open_ring;   // where accepts are armed
    uint64_t ring_due_ms; // a ring was refused: not asked for before; 0 = none was
    bool is_paused;       // no slot is free anywhere: clients wait in the backlog
    bool is_accept_held;  // by the owner: overload or drain
    struct link_listener listeners[LISTENERS_MAX];
    uint32_t listener_count;
    struct link_starved starved[RINGS_MAX];
    uint32_t starved_count; // of all rings
    struct counters *counters;
    struct trace *trace;
    uint64_t now_ms;
};

struct link_options {
    struct io *io; // lent
    uint32_t ring_max;
    struct memory slots; // link_slots_bytes(ring_max, io_ring_slots(io)), zero
    struct counters *counters;
    struct trace *trace;
};

uint64_t link_slots_bytes(uint32_t ring_max, uint32_t slots_per_ring);
void link_init(struct link *link, const struct link_options *options);

// --- accepting
// Listens and accepts from the next link_turn on. Listener number or -errno.
MUST_USE int link_listen(struct link *link, const struct io_listen_options *options);
// Stops (true) or resumes accepting on all listeners: clients wait in the backlog.
void link_hold_accept(struct link *link, bool is_held);
// Whether every accept has ended, so that listeners may be closed.
bool link_is_accept_quiet(const struct link *link);
void link_listeners_close(struct link *link);

// --- connecting
struct link_target {
    const struct io_peer *peer; // of an IP address; the kernel's until CONNECTED, or CLOSED
    const char *path;           // of a Unix socket, at most 107 bytes; NULL: peer counts
};
// A socket to connect with; SOCKET follows. False: no slot is free anywhere.
MUST_USE bool link_socket(struct link *link, enum address_kind kind, bool is_v6, uint32_t owner);
// Once, after SOCKET. CONNECTED follows, unless it is closed before.
void link_connect(struct link *link, link_id id, const struct link_target *target);

// --- one socket
void link_own(struct link *link, link_id id, uint32_t owner);
// Receives once if an event or the last receive said that something is there and none is in flight:
// into the target, or (length 0) into a buffer. An event that came while the owner did not read is
// remembered, so that calling this when it reads again is enough.
void link_receive(struct link *link, link_id id, struct span_mut target);
// Whether link_receive would issue one now.
bool link_may_receive(const struct link *link, link_id id);
// The same into memory that the owner lends for this one receive, e.g. larger than a buffer of the
// ring; only when link_may_receive (check). One event will carry `token` (not 0), at the latest
// before CLOSED.
void link_receive_lent(struct link *link, link_id id, struct span_mut memory, uint32_t token);
void link_bytes_done(struct link *link, const struct link_event *event);
// One send at a time: check. The spans stay the kernel's until the SENT event.
void link_send(struct link *link, link_id id, const struct span *pieces, uint32_t piece_count);
// Begins the close. A send in flight is cancelled; its SENT event still comes, then CLOSED.
void link_close(struct link *link, link_id id);

// --- the turn
void link_turn_begin(struct link *link, uint64_t now_ms);
// The next event of the completions that the last io_turn brought, or false.
bool link_next(struct link *link, struct link_event *event);
// Arms accepts, serves the starved: before io_turn.
void link_turn_end(struct link *link);
// How long the owner may sleep for the sake of clients that wait for a ring; UINT32_MAX: nobody
// does.
uint32_t link_wait_ms(const struct link *link);

static inline struct link_slot *link_slot_at(const struct link *link, link_id id) {
    uint32_t ring = id >> LINK_RING_SHIFT;
    return &link->slots[ring * link->slots_per_ring + (id & ((1u << LINK_RING_SHIFT) - 1))];
}
