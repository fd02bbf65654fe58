// Shared by the files of gateway/io alone. Everything here belongs to the thread that opened the
// io; memory is taken at io_open and io_ring_open (and io_buffers_grow) and at no other time.
#pragma once
#include "gateway/io/io.h"
#include "gateway/io/uring_compat.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    // Beside one of DEFER_TASKRUN and COOP_TASKRUN.
    RING_FLAGS = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    GROUP_NONE = 15, // in a tag: this receive takes no buffer of the ring
    PEER_BYTES_MAX = 28,
    SEND_FLAGS = MSG_NOSIGNAL | MSG_WAITALL,
};

// user_data: operation 4 bits, buffer group 4, ring 8, generation 16, slot 32. The group tells a
// completion from which buffers its receive would have taken one.
static_assert((int)IO_OPERATION_COUNT <= 16, "four bits of a tag");
static_assert((int)RING_GROUPS_MAX <= (int)GROUP_NONE, "four bits of a tag");
static_assert((int)RINGS_MAX <= 256, "eight bits of a tag");

// Receive buffers come in groups, because a registered buffer ring cannot grow while receives refer
// to it: the first group has options.buffers of them, each further one as many as all before it
// together. A buffer's id tells its group (buffers.c).
struct io_group {
    struct io_uring_buf_ring *entries;
    uint8_t *bytes;
    uint64_t map_bytes; // entries and buffers lie in one mapping
    uint32_t id_first;
    uint32_t count;
    int32_t available; // in the kernel's hands, less those that receives under way may take
};

// What a sendmsg or a connect points to until the kernel has read its entry (the kernel copies it
// when it takes the entry: IORING_FEAT_SUBMIT_STABLE).
struct io_message {
    union {
        struct {
            struct msghdr head;
            struct iovec pieces[SEND_PIECES_MAX];
        } send;
        struct sockaddr_un unix_address;
    };
};

// A send without a copy that is under way on a slot.
struct io_zero_send {
    const uint8_t *data; // NULL: none is
    uint32_t length;     // 0: it was cancelled
    int32_t result;      // of its first completion
};

struct io_ring {
    struct io_uring uring;
    struct io_message *messages;     // RING_MESSAGES_MAX, used anew after each submission
    uint64_t *is_sendmsg;            // bit by slot: its latest send was a sendmsg (io_send_cancel)
    uint64_t *steps_registered;      // bit by step of the lent memory; NULL: none was lent
    struct io_zero_send *zero_sends; // by slot; NULL as above
    uint32_t message_count;          // used since the last submission
    uint32_t taken_count;            // completions handed out since the last io_turn
    uint8_t group_count;
    bool is_registered;     // its descriptor is registered with this thread
    bool has_close;         // a close was prepared since the last submission
    bool is_overflow_known; // this overflow has been counted
    struct io_group groups[RING_GROUPS_MAX];
};

// The doorbell: what other threads see. Only the first ring while the owner sleeps is a system
// call.
enum bell_state { BELL_AWAKE, BELL_ASLEEP, BELL_RUNG };
struct io_bell {
    _Alignas(64) _Atomic uint32_t state; // enum bell_state
    _Atomic int file; // the eventfd that wakes the owner: doorbell_file or wake_file
};

struct io {
    struct io_bell shared; // the rest is the owner's
    pthread_t owner;
    int doorbell_file; // eventfd, polled by ring 0 and never read: each ring of it is an edge
    int wake_file;     // eventfd that all rings signal while the thread sleeps; -1 with one ring
    bool is_bell_due;  // the bell has not been looked at in this turn
    int error;         // -errno that cannot be mended; io_turn returns it
    uint32_t ring_count;
    uint32_t ring_first;     // where io_next starts in this turn
    uint32_t ring_visited;   // rings that io_next has finished in this turn
    bool is_cooperative;     // completions are posted on the way out of any system call (open.c)
    bool knows_unix_left;    // the kernel says what is left on a Unix socket
    bool knows_copied;       // it says whether a send without a copy was one (6.2)
    bool is_pinning_refused; // until registered memory comes back
    struct memory lent;      // io_memory_lend; of length 0: none
    struct io_features features;
    struct io_options options; // clamped
    struct io_stats stats;
    int listeners[LISTENERS_MAX]; // -1: free
    struct address listener_addresses[LISTENERS_MAX];
    struct io_ring rings[]; // options.ring_max
};

static inline uint64_t tag_make(enum io_operation operation, struct io_handle handle) {
    return (uint64_t)(operation | GROUP_NONE << 4) << 56 | (uint64_t)handle.ring << 48 |
           (uint64_t)handle.generation << 32 | handle.slot;
}

static inline uint32_t ring_pending(const struct io_ring *ring) {
    return ring->uring.sq.sqe_tail - *ring->uring.sq.khead;
}

static inline uint32_t ring_ready(const struct io_ring *ring) {
    return __atomic_load_n(ring->uring.cq.ktail, __ATOMIC_ACQUIRE) - *ring->uring.cq.khead;
}

static inline uint32_t ring_flags(const struct io_ring *ring) {
    return __atomic_load_n(ring->uring.sq.kflags, __ATOMIC_ACQUIRE) &
           (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

// submit.c
enum enter_mode {
    ENTER_SUBMIT, // hands the entries over, nothing else
    ENTER_TURN,   // and runs what the kernel has deferred
    ENTER_WAIT,   // and waits for a completion
};
// 0, or -errno for what cannot be mended. Entries may be left when the kernel is short of memory.
MUST_USE int ring_enter(struct io *io, struct io_ring *ring, enum enter_mode mode,
                        uint32_t wait_ms);
// `count` free entries are promised to follow each other in one submission. Never NULL.
struct io_uring_sqe *ring_entry(struct io *io, struct io_ring *ring, uint32_t count);
struct io_message *ring_message(struct io *io, struct io_ring *ring);

// prepare.c
void send_copying(struct io *io, struct io_handle handle, struct span bytes);

// zero_copy.c
MUST_USE int zero_copy_open(const struct io *io, struct io_ring *ring); // when memory was lent
// False: the bytes are to be copied, nothing was prepared.
bool zero_copy_send(struct io *io, struct io_handle handle, struct span bytes);
// Of a completion of IO_SEND: true when it is one for the caller.
bool zero_copy_settle(struct io *io, const struct io_uring_cqe *entry,
                      struct io_completion *completion);
void zero_copy_cancel(struct io *io, struct io_handle handle); // behind the cancel itself

// features.c
bool features_signal_at_once(void); // see uring_compat.h; on a ring of its own, gone afterwards
MUST_USE int features_probe(struct io *io); // before ring 0 is used for anything else

// buffers.c
MUST_USE int group_open(struct io *io, struct io_ring *ring);
void group_shut(struct io_group *group);
struct io_group *group_choose(struct io_ring *ring);

// doorbell.c
MUST_USE int bell_open(struct io *io); // before ring 0
void bell_arm(struct io *io);          // with one ring: its eventfd is polled by ring 0
void bell_resume(struct io *io, const struct io_completion *completion);
bool bell_sleep(struct io *io); // false: it was rung, do not sleep
void bell_wake(struct io *io);
bool bell_take(struct io *io, struct io_completion *completion); // was it rung?
