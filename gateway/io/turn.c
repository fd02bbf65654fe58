// One turn: submit, let the kernel run what it deferred, sleep when there is nothing, hand
// completions out.
#include "gateway/io/io_internal.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

// --- several rings: all of them signal one eventfd, muted while the thread is awake. (Polling a
// ring's descriptor from another ring of the same thread loses wakeups with DEFER_TASKRUN.)

// Enters each ring that has entries or deferred work. True: there is something for io_next.
static bool turn_scan(struct io *io, int *error) {
    bool has_completions = false;
    for (uint32_t i = 0; i < io->ring_count && *error == 0; i++) {
        struct io_ring *ring = &io->rings[i];
        if (ring_pending(ring) != 0 || ring_flags(ring) != 0) {
            *error = ring_enter(io, ring, ENTER_TURN, 0);
        }
        has_completions = has_completions || ring_ready(ring) != 0;
    }
    return has_completions;
}

static void wake_mute(struct io *io, bool is_mute) {
    for (uint32_t i = 0; i < io->ring_count; i++) {
        uint32_t *flags = io->rings[i].uring.cq.kflags;
        __atomic_store_n(flags, is_mute ? IORING_CQ_EVENTFD_DISABLED : 0, __ATOMIC_RELAXED);
    }
}

static bool turn_has_work(const struct io *io) {
    for (uint32_t i = 0; i < io->ring_count; i++) {
        if (ring_flags(&io->rings[i]) != 0 || ring_ready(&io->rings[i]) != 0) {
            return true;
        }
    }
    return false;
}

static int wake_wait(struct io *io, uint32_t wait_ms) {
    struct pollfd wake = {.fd = io->wake_file, .events = POLLIN};
    struct timespec limit = {.tv_sec = wait_ms / 1000, .tv_nsec = (long)(wait_ms % 1000) * 1000000};
    io->stats.sleeps++;
    int result = ppoll(&wake, 1, wait_ms == UINT32_MAX ? NULL : &limit, NULL);
    if (result < 0 && errno != EINTR) {
        return -errno;
    }
    uint64_t value;
    if (result > 0 && read(io->wake_file, &value, sizeof value) < 0 && errno != EAGAIN) {
        return -errno;
    }
    return 0;
}

static int turn_many(struct io *io, uint32_t wait_ms) {
    int error = 0;
    if (turn_scan(io, &error) || error != 0 || wait_ms == 0) {
        return error;
    }
    if (!bell_sleep(io)) {
        return 0;
    }
    wake_mute(io, false);
    // Either the kernel sees the eventfd enabled, or this thread sees the flag that the kernel set
    // before it looked: stores before, loads behind.
    __sync_synchronize(); // (the newer builtin does not compile under TSan)
    if (!turn_has_work(io)) {
        error = wake_wait(io, wait_ms);
    }
    wake_mute(io, true);
    bell_wake(io);
    if (error == 0) {
        (void)turn_scan(io, &error); // whether there is something, io_next will see
    }
    return error;
}

// --- one ring: it sleeps in the call that submits.

static int turn_single(struct io *io, uint32_t wait_ms) {
    struct io_ring *ring = &io->rings[0];
    if (wait_ms == 0 || ring_ready(ring) != 0 || !bell_sleep(io)) {
        bool has_work = ring_pending(ring) != 0 || ring_flags(ring) != 0;
        return has_work ? ring_enter(io, ring, ENTER_TURN, 0) : 0;
    }
    io->stats.sleeps++;
    int error = ring_enter(io, ring, ENTER_WAIT, wait_ms);
    bell_wake(io);
    return error;
}

int io_turn(struct io *io, uint32_t wait_ms) {
    if (io->error != 0) {
        return io->error;
    }
    for (uint32_t i = 0; i < io->ring_count; i++) {
        struct io_ring *ring = &io->rings[i];
        bool is_overflow = (ring_flags(ring) & IORING_SQ_CQ_OVERFLOW) != 0;
        io->stats.completion_overflows += is_overflow && !ring->is_overflow_known;
        ring->is_overflow_known = is_overflow;
        ring->taken_count = 0;
    }
    io->ring_first = io->ring_first + 1 < io->ring_count ? io->ring_first + 1 : 0;
    io->ring_visited = 0;
    io->is_bell_due = true;
    return io->ring_count == 1 ? turn_single(io, wait_ms) : turn_many(io, wait_ms);
}

// --- completions

static int32_t poll_events(int32_t mask) {
    int32_t events = (mask & POLLIN) != 0 ? IO_POLL_IN : 0;
    events |= (mask & (POLLRDHUP | POLLHUP)) != 0 ? IO_POLL_HANGUP : 0;
    events |= (mask & POLLERR) != 0 ? IO_POLL_ERROR : 0;
    return events;
}

static void receive_decode(struct io *io, uint32_t group, const struct io_uring_cqe *entry,
                           struct io_completion *completion) {
    completion->has_buffer = (entry->flags & IORING_CQE_F_BUFFER) != 0;
    completion->buffer_id = (uint16_t)(entry->flags >> IORING_CQE_BUFFER_SHIFT);
    completion->is_socket_ready = (entry->flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
    if (group != GROUP_NONE && !completion->has_buffer) {
        io->rings[completion->ring].groups[group].available++; // it took none
    }
    if (!io->knows_unix_left && entry->res > 0) {
        bool is_full = !completion->has_buffer || entry->res == RECEIVE_BUFFER_BYTES;
        completion->is_socket_ready = completion->is_socket_ready || is_full;
    }
}

// False: one that the caller does not hear of.
static bool completion_decode(struct io *io, const struct io_uring_cqe *entry,
                              struct io_completion *completion) {
    uint64_t tag = entry->user_data;
    *completion = (struct io_completion){
        .operation = (uint8_t)(tag >> 56 & 15),
        .ring = (uint8_t)(tag >> 48),
        .generation = (uint16_t)(tag >> 32),
        .slot = (uint32_t)tag,
        .result = entry->res,
        .more = (entry->flags & IORING_CQE_F_MORE) != 0,
    };
    switch (completion->operation) {
    case IO_RECEIVE:
        receive_decode(io, (uint32_t)(tag >> 60), entry, completion);
        break;
    case IO_POLL:
        completion->result = entry->res >= 0 ? poll_events(entry->res) : entry->res;
        break;
    case IO_SEND:
        return zero_copy_settle(io, entry, completion);
    case IO_NONE:
        return false;
    default:
        break;
    }
    return true;
}

// The next completion of the ring. The loop ends: with the queue, or with the budget.
static bool completion_take(struct io *io, struct io_ring *ring, struct io_completion *completion) {
    struct io_uring_cq *queue = &ring->uring.cq;
    while (ring->taken_count < COMPLETIONS_TURN_MAX && ring_ready(ring) != 0) {
        uint32_t head = *queue->khead;
        bool is_asked_for =
            completion_decode(io, &queue->cqes[head & queue->ring_mask], completion);
        __atomic_store_n(queue->khead, head + 1, __ATOMIC_RELEASE);
        ring->taken_count++;
        io->stats.completions++;
        if (completion->operation == IO_DOORBELL) {
            bell_resume(io, completion);
        } else if (is_asked_for) {
            return true;
        }
    }
    return false;
}

bool io_next(struct io *io, struct io_completion *completion) {
    if (io->is_bell_due) {
        io->is_bell_due = false;
        if (bell_take(io, completion)) {
            return true;
        }
    }
    while (io->ring_visited < io->ring_count) {
        uint32_t index = io->ring_first + io->ring_visited;
        index -= index >= io->ring_count ? io->ring_count : 0;
        if (completion_take(io, &io->rings[index], completion)) {
            return true;
        }
        io->ring_visited++;
    }
    return false;
}
