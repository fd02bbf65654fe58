// From the submission queue into the kernel: room, the one system call, and the policies for its
// errors. Not for what an operation is (prepare.c) nor for when to wait (turn.c).
#include "gateway/io/io_internal.h"

#include <errno.h>
#include <time.h>

// Hands the entries filled so far to the kernel's side of the queue. The index array was made the
// identity at open, so that liburing's own submit, whose waiting differs between versions (2.3
// waits twice after a timeout with submissions), is not needed.
static uint32_t ring_publish(struct io_ring *ring) {
    struct io_uring_sq *queue = &ring->uring.sq;
    if (queue->sqe_head != queue->sqe_tail) {
        queue->sqe_head = queue->sqe_tail;
        __atomic_store_n(queue->ktail, queue->sqe_tail, __ATOMIC_RELEASE);
    }
    return ring_pending(ring);
}

static int ring_call(struct io *io, struct io_ring *ring, enum enter_mode mode, uint32_t wait_ms) {
    uint32_t flags = ring->is_registered ? IORING_ENTER_REGISTERED_RING : 0;
    struct __kernel_timespec limit = {.tv_sec = wait_ms / 1000,
                                      .tv_nsec = (long long)(wait_ms % 1000) * 1000000};
    struct io_uring_getevents_arg argument = {.ts = (uint64_t)(uintptr_t)&limit};
    bool is_bounded = mode == ENTER_WAIT && wait_ms != UINT32_MAX;
    if (mode != ENTER_SUBMIT) {
        flags |= IORING_ENTER_GETEVENTS;
    }
    if (is_bounded) {
        flags |= IORING_ENTER_EXT_ARG;
    }
    if (mode == ENTER_WAIT && (ring->uring.features & COMPAT_FEATURE_NO_IOWAIT) != 0) {
        flags |= COMPAT_ENTER_NO_IOWAIT;
    }
    uint32_t count = ring_publish(ring);
    io->stats.enters++;
    return io_uring_enter2((uint32_t)ring->uring.enter_ring_fd, count, mode == ENTER_WAIT ? 1 : 0,
                           flags, is_bounded ? (sigset_t *)&argument : NULL,
                           is_bounded ? sizeof argument : _NSIG / 8);
}

static void enter_pause(void) {
    struct timespec pause = {.tv_nsec = ENTER_PAUSE_US * 1000};
    (void)nanosleep(&pause, NULL); // a signal only shortens it
}

// The policies: EINTR and ETIME end the wait; EBUSY says that completions must be reaped before the
// kernel takes more, so the caller gets to do it; EAGAIN is a shortage of kernel memory, tried
// again ENTER_ATTEMPTS_MAX times, then left to the next turn. A submission cut short goes on
// without waiting.
int ring_enter(struct io *io, struct io_ring *ring, enum enter_mode mode, uint32_t wait_ms) {
    if (pthread_self() != io->owner) {
        // The kernel says so too, but a registered descriptor would name this thread's own ring.
        return -EEXIST;
    }
    for (uint32_t attempt = 0; attempt < ENTER_ATTEMPTS_MAX; attempt++) {
        int result = ring_call(io, ring, mode, wait_ms);
        switch (result) {
        case -EAGAIN:
            enter_pause();
            break;
        case -EINTR:
        case -ETIME:
        case -EBUSY:
            break;
        default:
            if (result < 0) {
                return result;
            }
        }
        if (ring_pending(ring) == 0) {
            ring->message_count = 0;
            ring->has_close = false;
            return 0;
        }
        if (result == -EBUSY) {
            return 0;
        }
        mode = mode == ENTER_WAIT ? ENTER_TURN : mode;
    }
    return 0;
}

// Submits in mid-batch. When even ROOM_ATTEMPTS_MAX tries (seconds) make no room, the io is broken:
// io_turn will say so, and the entries that follow are lost.
static bool ring_make_room(struct io *io, struct io_ring *ring, uint32_t count) {
    io->stats.submission_full++;
    for (uint32_t attempt = 0; attempt < ROOM_ATTEMPTS_MAX && io->error == 0; attempt++) {
        int error = ring_enter(io, ring, ENTER_SUBMIT, 0);
        if (error != 0) {
            io->error = error;
            return false;
        }
        if (ring->uring.sq.ring_entries - ring_pending(ring) >= count) {
            return true;
        }
        enter_pause();
    }
    io->error = io->error == 0 ? -EAGAIN : io->error;
    return false;
}

struct io_uring_sqe *ring_entry(struct io *io, struct io_ring *ring, uint32_t count) {
    struct io_uring_sq *queue = &ring->uring.sq;
    bool has_room = queue->ring_entries - ring_pending(ring) >= count;
    if (!has_room && !ring_make_room(io, ring, count)) {
        return &queue->sqes[queue->sqe_tail & queue->ring_mask]; // broken: overwritten, never sent
    }
    return &queue->sqes[queue->sqe_tail++ & queue->ring_mask];
}

// Also makes room for the entry that will name it: a submission in between would let the next ones
// use the same message anew, before the kernel has read it.
struct io_message *ring_message(struct io *io, struct io_ring *ring) {
    bool is_full = ring->message_count == RING_MESSAGES_MAX;
    uint32_t count = is_full ? ring->uring.sq.ring_entries : 1;
    bool has_room = ring->uring.sq.ring_entries - ring_pending(ring) >= count;
    if (!has_room && !ring_make_room(io, ring, count)) {
        ring->message_count = 0; // broken: nothing of it will be sent
    }
    return &ring->messages[ring->message_count++];
}
