// The fake io: what its files share, and what the world asks of it beside gateway/io/io.h.
//
//   sim_io.c      the ring as io.h has it: preparing, submitting, taking completions, the doorbell
//   sim_io_run.c  the ring's other side: carrying out, completing, cancelling, closing
//   sim_socket.c  what a socket does when it is told to poll, receive or send; a file, to write
//   sim_listen.c  listeners, and who of their backlogs is accepted when
//   sim_connect.c sockets that connect to services
//   sim_memory.c  whose memory is whose: receive buffers, and what an operation names
//   sim_look.c    what the laws ask of it
//   net.h         the network behind the sockets
#pragma once
#include "gateway/io/io.h"
#include "tests/sim/net_gateway.h"

enum { SIM_SLOTS_MAX = 1024, SIM_BUFFERS_MAX = 1024 };

struct op { // an operation from its preparation to the taking of its final completion
    struct io_handle handle;
    uint8_t operation; // enum io_operation
    uint8_t target;    // IO_CANCEL: the operation that it names; IO_CLOSE: IO_CANCEL if linked
    bool is_stuck;     // a send that goes nowhere until it is cancelled
    bool closes;       // a poll: with its end the FIN leaves
    bool holds_slot;   // and the slot comes back
    uint32_t connection;
    uint32_t listener; // accepts: the io's number
    uint32_t chain;    // completions of one chain keep their order
    struct io_peer *peer;
    struct span pieces[SEND_PIECES_MAX];
    uint32_t piece_count;
    uint64_t sent, length, digest;
    struct span_mut memory;
};

struct pending { // a completion that was not taken yet
    struct io_completion completion;
    uint64_t due_us;
    uint32_t chain;
    struct op *op; // with its final completion
};

struct slot {
    uint32_t connection; // NET_NONE: a socket that was not accepted
    uint8_t state;       // enum slot_state
    uint8_t waits;       // completions of its last life to be taken before one of the next
    uint64_t freed;      // when, for the choice of the next
};
enum slot_state { SLOT_FREE, SLOT_TAKEN };
enum buffer_state { BUFFER_FREE, BUFFER_FILLED, BUFFER_LENT };

struct ring {
    struct slot slots[SIM_SLOTS_MAX];
    uint8_t *buffers[SIM_BUFFERS_MAX];
    uint8_t buffer_states[SIM_BUFFERS_MAX];
    uint32_t buffer_count;
    struct pending *pending;
    uint32_t pending_count, pending_room;
    uint32_t taken; // completions since the last io_turn
};

struct io_bell {
    struct io *io;
    bool is_rung;
};

struct io {
    struct sim *sim;
    struct io_options options;
    struct ring *rings[RINGS_MAX];
    uint32_t ring_count;
    struct op **ops; // in order of preparation; those up to `submitted` are in the kernel
    uint32_t op_count, op_room, submitted;
    uint32_t chains;
    struct {
        struct address address;
        uint32_t net; // net.c's number
        bool is_open;
    } listeners[LISTENERS_MAX];
    struct io_bell bell;
    struct io_stats stats;
    uint64_t wait_until_us;
    uint64_t frees;
    uint32_t promised; // poll events that come in any case
    bool is_bell_told, is_shut;
};

// The world that io_open and the seams belong to.
extern struct sim *sim_world;
// When the thread that called io_turn last wants to go on, if nothing comes before.
uint64_t sim_io_wait_until(const struct io *io);
bool sim_io_has_due(const struct io *io);
// Faults are off: what was stuck moves again.
void sim_io_calm(struct io *io);
// What is left of it: operations in flight and completions not taken but for those that always
// stand (accepts), buffers lent, slots taken.
struct sim_io_left {
    uint32_t operations, completions, buffers, slots;
};
struct sim_io_left sim_io_left(const struct io *io);
// Whether the thread will hear of what can be read there: nothing can and a poll is armed, or a
// completion is on its way.
bool sim_io_will_tell(struct io *io, uint8_t ring, uint32_t slot);
void sim_io_free(struct io *io); // after io_shut, when no event can name it any more
// world.c: the thread of this io has something to do.
void sim_wake(struct sim *sim, struct io *io);

static inline uint32_t at_most(uint32_t value, uint32_t bound) {
    return value < bound ? value : bound;
}

// --- sim_memory.c
void buffers_add(struct ring *ring, uint32_t count);                // until there are so many
void buffer_open(struct ring *ring, uint32_t buffer, bool is_open); // not poisoned
int buffer_find(const struct ring *ring);                           // a free one, or -1
void memory_name(struct op *op); // what it names is the kernel's from now on
void memory_check(const struct io *io, const struct op *op); // L7: as it was when it was named
// --- sim_socket.c
// Whether a connection stands behind the socket: it is noted. Otherwise the operation has ended.
bool socket_has_connection(struct io *io, struct op *op);
void socket_poll(struct io *io, struct op *op);
void socket_receive(struct io *io, struct op *op);
void socket_send(struct io *io, struct op *op);
void socket_peer_name(struct io *io, struct op *op);
void file_write(struct io *io, struct op *op);
// --- sim_connect.c
void socket_make(struct io *io, struct op *op);
void socket_connect(struct io *io, struct op *op);
// --- sim_listen.c
int slot_choose(struct io *io, const struct ring *ring); // a free one, or -1
// --- sim_io_run.c: what the kernel does
void op_execute(struct io *io, struct op *op);
void op_end(struct io *io, struct op *op, int32_t result);
void op_ghost(struct io *io, struct io_handle handle); // a late word of a life that is over
void op_complete(struct io *io, struct op *op, struct io_completion completion);
bool op_is_kind(const struct op *op, uint8_t operation);                   // IO_SEND: either send
struct op *op_find(struct io *io, uint8_t operation, uint32_t connection); // submitted, or NULL
