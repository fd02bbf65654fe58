// THE CONTRACT of the io room: one operation for each SQE that we prepare, one completion for each
// CQE that the kernel posts, in our words. It decides nothing: what a result means, when to arm
// again and when to close is gateway/link's, which runs unchanged on the other implementation of
// this header, the simulator's (tests/sim). One struct io belongs to the thread that opened it
// (another one gets -EEXIST from io_turn); only io_doorbell_ring may be called by others.
//
// Promises (each is a test in tests/contract):
//  P1  Every operation prepared is answered by exactly one final completion (more == false), also
//      when it is cancelled; multishot operations (accept, poll) by any number of completions with
//      more == true before it. Whether a multishot goes on is told by `more` alone: a completion
//      may bring a connection or an event and be the last one (the completion queue was full).
//  P2  Preparing never blocks and never fails: when the submission queue is full, what is prepared
//      is submitted first (counted). Operations reach the kernel in the order of their preparation
//      on one ring, at the latest in the next io_turn. Nothing is promised about the order of
//      completions of different operations, except that a cancel-then-close's parts are ordered:
//      cancel, then close.
//  P3  Memory that an operation names (send bytes, receive target, address storage, option value)
//      belongs to the kernel from the call until the final completion of that operation. The array
//      of spans given to io_sendmsg itself, and a path, may be reused as soon as the call returns.
//  P4  A completion with has_buffer lends a receive buffer, whatever its result is; it is the
//      caller's until io_buffer_give, which must be called exactly once. A receive that finds no
//      buffer completes with -ENOBUFS and takes no data off the socket.
//  P5  A slot number is given out again only after the close completion of its previous life, and
//      after io_cancel_then_close only when the poll's last completion is out as well, and the
//      cancel's. (A poll left armed over io_close ends in the slot's next life.) `generation` is
//      handed back as given, so that a late completion is recognised.
//  P6  io_close on a slot with an armed poll does not send FIN until that poll's final completion
//      is out: use io_cancel_then_close. The FIN then leaves with the poll's final completion, so
//      io_turn must go on being called.
//  P7  io_doorbell_ring from any thread makes a sleeping io_turn return and a doorbell completion
//      appear, at most one in a turn; rings between two of these fold into one; none is lost.
//  P8  Sends carry MSG_WAITALL | MSG_NOSIGNAL: the result is the full length, or an error, or after
//      a cancel the exact number of bytes that went out (-ECANCELED if none did).
//  P9  An accept that meets a full direct table completes with -ENFILE, and the client that was
//      just accepted is cut. The caller prevents it by counting: io_accept takes everything that
//      waits in the backlog at once, before its first completion is seen, so it may be armed only
//      while more slots are free than connections can wait (the listen backlog, and accepts not
//      yet taken by io_next); below that, io_accept_one, never more than there are free slots.
//      Clients beyond that wait in the backlog.
//  P10 After io_memory_lend, a send (not a sendmsg) of ZERO_COPY_BYTES_MIN bytes or more that lies
//  in
//      one of the range's steps of 2 MiB may leave without a copy: its completion then comes when
//      the peer has acknowledged it, and io_send_cancel resets the peer: what it has not received
//      is lost, the count tells what had been handed over.
#pragma once
#include "core/base/address.h"
#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum io_operation {
    IO_NONE,
    IO_ACCEPT,        // multishot: slot = listener, result = slot of the new connection, or -errno
    IO_ACCEPT_ONE,    // single: slot = storage index, result as above
    IO_ACCEPT_CANCEL, // of either accept: slot = listener or storage index, result as IO_CANCEL
    IO_POLL,          // multishot: result = poll events (IO_POLL_*), or -errno
    IO_RECEIVE,       // result = bytes, 0 = end of stream, or -errno (-EAGAIN: nothing there;
                      // -ENOBUFS: no buffer)
    IO_SEND,
    IO_SENDMSG,
    IO_SOCKET,     // slot = token, result = slot
    IO_CONNECT,    // result 0 or -errno
    IO_WRITE,      // to a plain file descriptor (log): slot = token, result = bytes (may be short)
    IO_PEER_NAME,  // getsockopt SO_PEERNAME: result = length of the address
    IO_SET_OPTION, // result 0; -EOPNOTSUPP before Linux 6.7
    IO_CANCEL,     // result 0 = found, -ENOENT = had ended; -EALREADY = running, will end by itself
    IO_CLOSE,      // result 0
    IO_DOORBELL,   // another thread rang
    IO_OPERATION_COUNT
};

enum {
    IO_POLL_IN = 1,     // readable
    IO_POLL_HANGUP = 2, // the peer closed its side (RDHUP or HUP): receive until 0 or an error,
                        // whatever is_socket_ready says
    IO_POLL_ERROR = 4,
};

struct io_completion {
    uint8_t operation; // enum io_operation
    uint8_t ring;
    uint16_t generation; // as given when the operation was prepared; 0 for those without one
    uint32_t slot;
    int32_t result;
    bool more;            // a multishot goes on
    bool is_socket_ready; // receive: the socket holds more, or its end: receive again
    bool has_buffer;
    uint16_t buffer_id;
};

// What an operation is about. The generation comes back in its completions. A cancel names the
// request by slot, ring and generation, so they must be those of its preparation.
struct io_handle {
    uint32_t slot;
    uint16_t generation;
    uint8_t ring;
};

// Values out of range are moved to the nearest that works; sizes of queues and buffers up to a
// power of two.
struct io_options {
    uint32_t slots; // direct descriptors per ring; clamped to RLIMIT_NOFILE and RING_SLOTS_MAX
    uint32_t submissions; // per ring
    uint32_t completions; // per ring; at least as many as submissions
    uint32_t buffers;     // receive buffers per ring at first
    uint32_t buffers_max; // after ENOBUFS io_buffers_grow may go up to here
    uint32_t ring_max;    // at most RINGS_MAX
};

struct io_features {
    bool has_peer_name; // SO_PEERNAME on the ring (6.7), for IP sockets; else accept-one with
                        // address storage
};

struct io_stats {
    uint64_t enters, completions, submission_full, completion_overflows, sleeps, doorbells;
    uint64_t zero_copy_sends;   // that left from registered memory
    uint64_t zero_copy_copied;  // of those, copied by the kernel after all (loopback; 0 on 6.1)
    uint64_t zero_copy_refused; // times that memory could not be registered (RLIMIT_MEMLOCK)
};

struct io;

// Why the ring cannot be had, and the remedy, in one line for the operator. Never NULL for a
// negative error.
const char *io_open_advice(int error);
// Opens with one ring, in the thread that will use it. 0 or -errno.
MUST_USE int io_open(struct io **io, const struct io_options *options);
// Frees everything, in the thread that opened it; the kernel finishes with the sockets by itself,
// some time later.
void io_shut(struct io *io);
// Opens one more ring: its index, or -errno (-ENOSPC: ring_max reached). Takes memory and makes
// system calls: a rare event, between turns.
MUST_USE int io_ring_open(struct io *io);
uint32_t io_ring_count(const struct io *io);
uint32_t io_ring_slots(const struct io *io); // direct descriptors of each ring
struct io_features io_features(const struct io *io);
struct io_stats io_stats(const struct io *io);
// User memory of rings and receive buffers, touched or not.
uint64_t io_ring_bytes(const struct io *io);

// Once, before anything is sent: the memory (a multiple of 2 MiB) that P10 speaks of. Nothing is
// touched or pinned yet; a step of 2 MiB is, at the first large send from it. 0 or -errno.
MUST_USE int io_memory_lend(struct io *io, struct memory memory);
// Before pages of it go back to the kernel (madvise): a registration would keep the old ones, and
// send them. No send from them is under way. Nothing happens to memory that was not lent.
void io_memory_return(struct io *io, struct memory pages);

// A listening socket for this thread. TCP_NODELAY is always set; it and the values below are
// inherited by accepted sockets. An IPv6 address accepts IPv6 only, except `::`, which accepts
// both.
struct io_listen_options {
    struct address address; // IP, or
    const char *unix_path;  // a Unix socket (then not NULL); 0660, removed first if it is a stale
                            // socket (nobody answers at it), else -EADDRINUSE; never removed later
    int file; // > 0: a socket that listens already (of another thread's io, or inherited); it is
              // duplicated and nothing is set. A Unix socket can be shared by threads only this way
    uint32_t backlog;
    uint32_t send_buffer_bytes;   // SO_SNDBUF for accepted sockets; 0 = the kernel's own
    uint32_t notsent_lowat_bytes; // TCP_NOTSENT_LOWAT; 0 = unset
    uint32_t user_timeout_ms;     // TCP_USER_TIMEOUT; 0 = unset
    bool is_shared;               // SO_REUSEPORT
};
// Listener number (0 to LISTENERS_MAX - 1) or -errno.
MUST_USE int io_listen(struct io *io, const struct io_listen_options *options);
int io_listener_file(const struct io *io, int listener); // for another io's options.file
// The bound address (the port that the kernel chose for port 0).
struct address io_listener_address(const struct io *io, int listener);
// Closes it; accepts on it must have ended. What still waits in its backlog is reset by the kernel
// (unless another descriptor of it is open).
void io_listener_close(struct io *io, int listener);

// --- operations. The generation given is any number of the caller's.

// Multishot. One per ring and listener. Completions: slot = listener.
void io_accept(struct io *io, uint8_t ring, int listener, uint16_t generation);
// Storage for one address; owned by the kernel until the completion.
struct io_peer {
    uint8_t sockaddr[28];
    uint32_t length; // of the address: given by io_peer_encode and by accept-one's completion. For
                     // io_peer_name the room: exactly 16 for an IPv4 socket, 28 for an IPv6 one
                     // (more is -EINVAL, less is cut); the completion's result is the length then
};
void io_accept_one(struct io *io, uint8_t ring, int listener, uint32_t storage_index,
                   struct io_peer *peer);
// Completes as IO_ACCEPT_CANCEL with slot = listener and the generation given.
void io_accept_cancel(struct io *io, uint8_t ring, int listener, uint16_t generation);
// Completes as IO_ACCEPT_CANCEL with slot = storage index.
void io_accept_one_cancel(struct io *io, uint8_t ring, uint32_t storage_index);
// Multishot, by edges: readable, the peer's end, error. Arming looks at the level.
void io_poll(struct io *io, struct io_handle handle);
// Non-blocking receive. target.length == 0: into a buffer of the ring (has_buffer), else into the
// target.
void io_receive(struct io *io, struct io_handle handle, struct span_mut target);
// At most one send or sendmsg of a slot may be under way. Not empty.
void io_send(struct io *io, struct io_handle handle, struct span bytes);
// 1 to SEND_PIECES_MAX pieces, none empty.
void io_sendmsg(struct io *io, struct io_handle handle, const struct span *pieces,
                uint32_t piece_count);
void io_socket(struct io *io, uint8_t ring, enum address_kind kind, bool is_v6, uint32_t token,
               uint16_t generation);
void io_connect(struct io *io, struct io_handle handle, const struct io_peer *peer);
// 0, or -ENAMETOOLONG (empty or over 107 bytes) and nothing is prepared. Completes as IO_CONNECT.
MUST_USE int io_connect_unix(struct io *io, struct io_handle handle, const char *path);
// At the file's own position (appends to logs and pipes). On ring 0.
void io_write(struct io *io, int file, struct span bytes, uint32_t token);
void io_peer_name(struct io *io, struct io_handle handle, struct io_peer *peer);
void io_set_option(struct io *io, struct io_handle handle, int level, int name, const int *value);
// The latest send or sendmsg of this handle.
void io_send_cancel(struct io *io, struct io_handle handle);
void io_connect_cancel(struct io *io, struct io_handle handle);
// The poll, hard-linked to close: completes as IO_CANCEL and IO_CLOSE (and the poll's end).
void io_cancel_then_close(struct io *io, struct io_handle handle);
void io_close(struct io *io, struct io_handle handle); // nothing armed

// Submits what is prepared and waits for a completion, at most wait_ms (0: does not wait;
// UINT32_MAX: no limit). It may return without one (a signal). 0, or -errno for what the caller
// cannot mend (EINTR, ETIME, EBUSY, EAGAIN are handled inside): then this io is of no further use.
MUST_USE int io_turn(struct io *io, uint32_t wait_ms);
// Takes the next completion, ring after ring, at most COMPLETIONS_TURN_MAX from one ring between
// two io_turns; false: none left for this turn. New operations may be prepared in between.
bool io_next(struct io *io, struct io_completion *completion);

// Whole buffer; the completion's result says how much is filled.
struct span_mut io_buffer(const struct io *io, uint8_t ring, uint16_t buffer_id);
void io_buffer_give(struct io *io, uint8_t ring, uint16_t buffer_id);
// Doubles the ring's buffers up to buffers_max; false: at the bound (or no memory). Takes memory.
bool io_buffers_grow(struct io *io, uint8_t ring);

// Shareable with other threads as long as the io lives.
struct io_doorbell {
    struct io_bell *bell;
};
struct io_doorbell io_doorbell(struct io *io);
// Any thread, also the owner's, and signal handlers; never blocks. A system call only when the
// owner sleeps.
void io_doorbell_ring(struct io_doorbell doorbell);

// sockaddr to plain data. False: a family that we never use.
bool io_peer_decode(const struct io_peer *peer, struct address *address);
void io_peer_encode(const struct address *address, struct io_peer *peer); // IP only
