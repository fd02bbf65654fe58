// THE CONTRACT of the io room: one operation for each SQE that we prepare, one completion for each
// CQE that the kernel posts, in our words. It decides nothing: what a result means, when to arm
// again and when to close is gateway/link's, which runs unchanged on the other implementation of
// this header, the simulator's (tests/sim). One struct io belongs to one thread; only
// io_doorbell_ring may be called by others.
//
// Promises (each is a test in tests/contract):
//  P1  Every operation prepared is answered by exactly one final completion (more == false), also
//  when it is cancelled;
//      multishot operations (accept-multishot, poll) by any number of completions with more == true
//      before it.
//  P2  Preparing never blocks and never fails: when the submission queue is full, what is prepared
//  is submitted first (counted). Operations reach the kernel in the order of
//      their preparation on one ring, at the latest in the next io_turn. Nothing is promised about
//      the order of completions of different operations, except that a cancel-then-close's parts
//      are ordered: cancel, then close.
//  P3  Memory that an operation names (send spans, receive target, address storage) belongs to the
//  kernel from the call until the final
//      completion of that operation. The array of spans given to io_sendmsg itself may be reused as
//      soon as the call returns.
//  P4  A completion with has_buffer lends a receive buffer; it is the caller's until
//  io_buffer_give, which must be called exactly once. A receive that finds no buffer completes with
//      -ENOBUFS and takes no data off the socket.
//  P5  A slot number is reused only after the close completion of its previous life. `generation`
//  is handed back as given, so that a late completion is recognised. P6  io_close on a slot with an
//  armed poll does not send FIN until that poll's final completion is out: use
//  io_cancel_then_close. P7  io_doorbell_ring from any thread makes a sleeping io_turn return and a
//  doorbell completion appear; rings between two of these fold into one; none is lost. P8  Sends
//  carry MSG_WAITALL | MSG_NOSIGNAL: the result is the full length, or an error, or after a cancel
//  the exact number of bytes that went out. P9  A full direct table is never met by an armed accept
//  as long as the caller disarms it in time (limits.h, ACCEPT_MARGIN_SLOTS); if it is, the accept
//  completes with -ENFILE.
#pragma once
#include "core/base/address.h"
#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum io_operation {
    IO_NONE,
    IO_ACCEPT,     // multishot: result = slot of the new connection, or -errno
    IO_ACCEPT_ONE, // single: as above; `slot` of the completion names the storage index it was
                   // given
    IO_POLL,       // multishot: result = poll events (IO_POLL_*), or -errno
    IO_RECEIVE, // result = bytes, 0 = end of stream, or -errno (-EAGAIN: nothing there; -ENOBUFS:
                // no buffer)
    IO_SEND,
    IO_SENDMSG,
    IO_SOCKET, // result = slot
    IO_CONNECT,
    IO_WRITE,     // to a plain file descriptor (log): `slot` is the caller's token
    IO_PEER_NAME, // getsockopt SO_PEERNAME
    IO_SET_OPTION,
    IO_CANCEL, // result 0 = found, -ENOENT, -EALREADY
    IO_CLOSE,
    IO_DOORBELL, // another thread rang
    IO_OPERATION_COUNT
};

enum {
    IO_POLL_IN = 1,
    IO_POLL_HANGUP = 2,
    IO_POLL_ERROR = 4
}; // readable; peer closed its side (RDHUP or HUP); error

struct io_completion {
    uint8_t operation; // enum io_operation
    uint8_t ring;
    uint16_t generation; // as given when the operation was prepared
    uint32_t slot;
    int32_t result;
    bool more;            // a multishot goes on
    bool is_socket_ready; // receive: the socket holds more (IORING_CQE_F_SOCK_NONEMPTY): receive
                          // again
    bool has_buffer;
    uint16_t buffer_id;
};

// What an operation is about. The generation comes back in its completions.
struct io_handle {
    uint32_t slot;
    uint16_t generation;
    uint8_t ring;
};

struct io_options {
    uint32_t slots; // direct descriptors per ring; clamped to RLIMIT_NOFILE and RING_SLOTS_MAX
    uint32_t submissions; // per ring
    uint32_t completions; // per ring
    uint32_t buffers;     // receive buffers per ring at first, power of two
    uint32_t buffers_max; // after ENOBUFS io_buffers_grow may go up to here
    uint32_t ring_max;    // at most RINGS_MAX
};

struct io_features {
    bool has_peer_name; // SO_PEERNAME on the ring (6.7); else accept-one with address storage
};

struct io_stats {
    uint64_t enters, completions, submission_full, completion_overflows, sleeps, doorbells;
};

struct io;

// Why the ring cannot be had, and the remedy, in one line for the operator. Never NULL for a
// negative error.
const char *io_open_advice(int error);
// Opens with one ring, in the thread that will use it. 0 or -errno.
MUST_USE int io_open(struct io **io, const struct io_options *options);
void io_shut(struct io *io); // frees everything; the kernel finishes with the sockets by itself
// Opens one more ring: its index, or -errno (-ENOSPC: ring_max reached).
MUST_USE int io_ring_open(struct io *io);
uint32_t io_ring_count(const struct io *io);
uint32_t io_ring_slots(const struct io *io); // direct descriptors of each ring
struct io_features io_features(const struct io *io);
struct io_stats io_stats(const struct io *io);
uint64_t
io_ring_bytes(const struct io *io); // user memory of rings and receive buffers, touched or not

// A listening socket for this thread (SO_REUSEPORT).
struct io_listen_options {
    struct address address; // IP, or
    const char
        *unix_path; // a Unix socket (then not NULL); 0660, removed first if it is a stale socket
    uint32_t backlog;
    uint32_t send_buffer_bytes;   // SO_SNDBUF for accepted sockets; 0 = the kernel's own
    uint32_t notsent_lowat_bytes; // TCP_NOTSENT_LOWAT; 0 = unset
    uint32_t user_timeout_ms;     // TCP_USER_TIMEOUT; 0 = unset
    bool is_shared;               // SO_REUSEPORT
};
// Listener number (0 to LISTENERS_MAX - 1) or -errno. TCP_NODELAY and the options above are
// inherited by accepted sockets.
MUST_USE int io_listen(struct io *io, const struct io_listen_options *options);
// The bound address (the port that the kernel chose for port 0).
struct address io_listener_address(const struct io *io, int listener);
// Closes it; accepts on it must have ended. What still waits in its backlog is reset by the kernel
// (facts, section 2).
void io_listener_close(struct io *io, int listener);

// --- operations. The generation given is any number of the caller's.
void io_accept(struct io *io, uint8_t ring, int listener,
               uint16_t generation); // completions: slot field = listener, result = slot
// Storage for one accepted address; owned by the kernel until the completion.
struct io_peer {
    uint8_t sockaddr[28];
    uint32_t length; // given: room; back: used
};
void io_accept_one(struct io *io, uint8_t ring, int listener, uint32_t storage_index,
                   struct io_peer *peer);
void io_accept_cancel(
    struct io *io, uint8_t ring, int listener,
    uint16_t generation); // of io_accept; completes as IO_CANCEL with slot = listener
void io_accept_one_cancel(struct io *io, uint8_t ring, uint32_t storage_index);
void io_poll(struct io *io, struct io_handle handle); // multishot: readable, peer's end, error
// Non-blocking receive. target.length == 0: into a buffer of the ring (has_buffer), else into the
// target.
void io_receive(struct io *io, struct io_handle handle, struct span_mut target);
void io_send(struct io *io, struct io_handle handle, struct span bytes);
void io_sendmsg(struct io *io, struct io_handle handle, const struct span *pieces,
                uint32_t piece_count);
void io_socket(struct io *io, uint8_t ring, enum address_kind kind, bool is_v6, uint32_t token,
               uint16_t generation);
void io_connect(struct io *io, struct io_handle handle, const struct io_peer *peer);
void io_write(struct io *io, int file, struct span bytes, uint32_t token);
void io_peer_name(struct io *io, struct io_handle handle, struct io_peer *peer);
void io_set_option(struct io *io, struct io_handle handle, int level, int name, const int *value);
void io_send_cancel(struct io *io,
                    struct io_handle handle); // the send or sendmsg in flight of this handle
void io_connect_cancel(struct io *io, struct io_handle handle);
void io_cancel_then_close(struct io *io,
                          struct io_handle handle); // the poll, hard-linked to close: completes as
                                                    // IO_CANCEL and IO_CLOSE (and the poll's end)
void io_close(struct io *io, struct io_handle handle); // nothing armed

// Submits what is prepared and waits for a completion, at most wait_ms (0: does not wait;
// UINT32_MAX: no limit). 0, or -errno for what the caller cannot mend (EINTR, ETIME, EBUSY, EAGAIN
// are handled inside).
MUST_USE int io_turn(struct io *io, uint32_t wait_ms);
// Takes the next completion, rings in turn, at most COMPLETIONS_TURN_MAX from one ring between two
// io_turns; false: none left for this turn. New operations may be prepared in between.
bool io_next(struct io *io, struct io_completion *completion);

struct span_mut
io_buffer(const struct io *io, uint8_t ring,
          uint16_t buffer_id); // whole buffer; the completion's result says how much is filled
void io_buffer_give(struct io *io, uint8_t ring, uint16_t buffer_id);
bool io_buffers_grow(
    struct io *io,
    uint8_t ring); // doubles the ring's buffers up to buffers_max; false: at the bound

// Shareable with other threads as long as the io lives.
struct io_doorbell {
    int file;
};
struct io_doorbell io_doorbell(const struct io *io);
void io_doorbell_ring(struct io_doorbell doorbell); // any thread; never blocks

// sockaddr to plain data.
bool io_peer_decode(const struct io_peer *peer, struct address *address);
void io_peer_encode(const struct address *address, struct io_peer *peer);
