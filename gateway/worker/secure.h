// TLS of a thread's clients: what stands between socket and connection when a listener has a
// certificate. A few handshakes at a time run in the library (gateway/tls); then 256 bytes per
// connection are all there is. Received records are opened in place; what is sent is sealed into a
// block of the arena, which is sent whole or the connection ends. Owner: one thread.
//
//   HELLO --first bytes--> SHAKING --the library is done--> OPEN --its end--> SAID
//                                                           OPEN --a fault--> SAYING --> SAID
//
//   HELLO    the client's first bytes: the connection's handshake deadline
//   SHAKING  the client's next flight, or its turn among the handshakes: the same deadline
//   OPEN     nothing: bytes pass
//   SAYING   the end of the send in flight, behind which the alert goes out
//   SAID     the close: our last record is out, nothing more is opened
//
// A send that is not the connection's own (of the handshake, or an answered KeyUpdate) is not told
// to it; while one is in flight nothing is gathered.
#pragma once
#include "core/base/arena.h"
#include "core/base/counters.h"
#include "gateway/link/link.h"
#include "gateway/tls/tls.h"

#include <assert.h>

struct clients;

enum secure_state { SECURE_HELLO, SECURE_SHAKING, SECURE_OPEN, SECURE_SAYING, SECURE_SAID };

enum secure_flag {
    SECURE_OWN = 1 << 0,   // the send in flight is ours: the connection knows nothing of it
    SECURE_FULL = 1 << 1,  // the library has more to send
    SECURE_ENDED = 1 << 2, // close_notify came
};

// Of one connection, by its index; all zero while it is plain. Holds keys: core dumps leave it out.
struct secure {
    struct tls_session session;
    uint32_t tail_block;   // arena: the beginning of a record, or a client's flight; 0: none
    uint32_t sealed_block; // arena: what is being sent; 0: nothing is, or a constant
    uint32_t sealed_bytes; // of it; 0: no send is in flight
    uint32_t sealed_sent;  // of these
    uint32_t plain_bytes;  // of the connection's, that they hold
    uint16_t tail_bytes;
    uint16_t tail_wanted; // length of the record that begins in the tail; 0: not known
    uint16_t shake;       // SHAKING: number of its handshake, from 1
    uint16_t own_s;       // when the send of our own began, on a clock that wraps
    uint8_t alert;        // SAYING: enum tls_alert
    uint8_t fault;        // SAYING: enum fault_id
    uint8_t state;        // enum secure_state
    uint8_t flags;        // enum secure_flag
};
static_assert(sizeof(struct secure) == 256, "with 128 bytes of a plain one: DESIGN.md section 4");

// A handshake in progress. The library's part is taken at its first step only.
struct secure_shake {
    struct tls_handshake handshake;
    uint64_t begun_ms;
    uint32_t index; // its connection; 0: free
    uint16_t next_free;
    bool is_ready; // bytes of it wait for their turn
    bool is_begun; // the library has it
};

struct secures {
    struct secure *table;        // by connection index
    uint32_t *peers;             // by connection index: a block of the connections' arena, the
                                 // certificate that the client showed (struct tls_peer); 0: none
    struct secure_shake *shakes; // 1 to TLS_HANDSHAKES_MAX
    uint32_t index_peak;         // the largest index that ever had TLS
    uint32_t shake_count;        // in progress
    uint32_t ready_count;
    uint32_t ready_cursor; // whose turn it was
    uint32_t steps_left;   // of this turn
    uint16_t free_first;
    bool is_warm;        // the library keeps tables of the handshakes that were
    uint64_t shaken_ms;  // when the last one ended
    struct arena memory; // the library's
    struct tls_tickets tickets;
    struct tls_context *const *contexts; // by listener; NULL: plain. Frozen, the site's
};

struct secures_options {
    struct memory table, peers, shakes, space, book; // zero
    uint32_t connection_max;
    bool keeps_library;         // a listener's record layer is the library's own
    const uint8_t *ticket_seed; // TLS_TICKET_SEED_BYTES
    uint64_t ticket_begin_ms;
};
// Fills the lengths of the five ranges from connection_max and keeps_library.
void secures_memory_size(struct secures_options *options);
// In the thread that will use it. Contexts are set by the owner.
void secures_init(struct secures *secures, const struct secures_options *options);
// Wipes what is secret.
void secures_fini(struct secures *secures);

// Bytes of the table that connections up to `index_peak` may have touched.
uint64_t secures_touched_bytes(const struct secures *secures, uint64_t index_peak);
// Whether connections of that listener begin with TLS.
bool secures_has(const struct secures *secures, uint32_t listener);
// The start of the owner's turn: handshakes that wait take steps, as many as a turn may.
void secure_turn(struct clients *clients);
bool secures_are_busy(const struct secures *secures);
// Empty pages of the library, which the caller gives back to the kernel, or false. As long as there
// are handshakes some stay.
bool secures_release_next(struct secures *secures, struct memory *step);

void secure_open(struct clients *clients, uint32_t index);
// The connection is gone: gives everything back and wipes its keys.
void secure_release(struct clients *clients, uint32_t index);
// Whether the socket is to be read now, and where to: length 0 is a buffer.
bool secure_may_read(const struct clients *clients, uint32_t index);
bool secure_is_shaking(const struct clients *clients, uint32_t index);
struct span_mut secure_target(const struct clients *clients, uint32_t index);
// Bytes came, into a buffer or (secure_on_target) into the target.
void secure_on_bytes(struct clients *clients, uint32_t index, struct span_mut received);
void secure_on_target(struct clients *clients, uint32_t index, uint32_t length);
// A send ended.
void secure_on_sent(struct clients *clients, const struct link_event *event);
// Sends what there is to send.
void secure_send(struct clients *clients, uint32_t index);
// The connection has ended, the socket is about to be closed: says so, if nothing is in its way.
void secure_say_end(struct clients *clients, uint32_t index);
