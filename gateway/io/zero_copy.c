// Sends without a copy (SEND_ZC, Linux 6.0) from registered memory. What they cost: the kernel
// posts two completions, the result and, when the peer has acknowledged, that the memory is free;
// the second one ends the operation for who asked (P1, P3). Memory is registered step by step, on
// the first large send from it, because registering pins pages and the range is mostly address
// space.
//
// Whoever cancels such a send gives the peer up, and must not wait for its acknowledgement: the
// socket is disconnected (connect to AF_UNSPEC), which resets the peer and drops what is queued.
#include "gateway/io/io_internal.h"

#include <errno.h>
#include <stdlib.h>

enum {
    ZERO_COPY_STEP_BYTES = 2 << 20, // registered at once; as the arena gives memory back
    ZERO_COPY_STEPS_MAX = 1 << 14,  // of a ring: kernel ABI. What lies behind is copied
};

static uint32_t step_count(const struct io *io) {
    uint64_t count = io->lent.length / ZERO_COPY_STEP_BYTES;
    return count < ZERO_COPY_STEPS_MAX ? (uint32_t)count : ZERO_COPY_STEPS_MAX;
}

int zero_copy_open(const struct io *io, struct io_ring *ring) {
    uint32_t count = step_count(io);
    ring->steps_registered = calloc((count + 63) / 64, sizeof *ring->steps_registered);
    ring->zero_sends = calloc(io->options.slots, sizeof *ring->zero_sends);
    if (ring->steps_registered == NULL || ring->zero_sends == NULL) {
        return -ENOMEM; // ring_shut frees
    }
    return io_uring_register_buffers_sparse(&ring->uring, count);
}

int io_memory_lend(struct io *io, struct memory memory) {
    check(io->lent.length == 0 && memory.length >= ZERO_COPY_STEP_BYTES);
    io->lent = memory;
    io->knows_copied = true; // until a kernel refuses (6.1 does)
    for (uint32_t i = 0; i < io->ring_count; i++) {
        int error = zero_copy_open(io, &io->rings[i]);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

// An empty span ends the registration.
static int step_register(struct io_ring *ring, uint32_t step, struct span_mut memory) {
    struct iovec entry = {.iov_base = memory.data, .iov_len = memory.length};
    int result = io_uring_register_buffers_update_tag(&ring->uring, step, &entry, NULL, 1);
    if (result < 0) {
        return result;
    }
    ring->steps_registered[step / 64] ^= (uint64_t)1 << (step % 64);
    return 0;
}

static bool step_is_registered(const struct io_ring *ring, uint32_t step) {
    return (ring->steps_registered[step / 64] >> (step % 64) & 1) != 0;
}

void io_memory_return(struct io *io, struct memory pages) {
    if (io->lent.length == 0) {
        return;
    }
    uint64_t start = (uint64_t)(pages.data - io->lent.data);
    check(start + pages.length <= io->lent.length);
    uint64_t end = start + pages.length;
    for (uint64_t at = start / ZERO_COPY_STEP_BYTES; at * ZERO_COPY_STEP_BYTES < end; at++) {
        for (uint32_t i = 0; i < io->ring_count && at < step_count(io); i++) {
            if (step_is_registered(&io->rings[i], (uint32_t)at)) {
                // Fails for numbers out of range and bad addresses only; the caller's next step
                // would make the peers see other bytes than were sent.
                check(step_register(&io->rings[i], (uint32_t)at,
                                    (struct span_mut){.data = NULL, .length = 0}) == 0);
                io->is_pinning_refused = false;
            }
        }
    }
}

// The step that all the bytes lie in, registered; -1: they are to be copied.
static int64_t step_find(struct io *io, struct io_ring *ring, struct span bytes) {
    uintptr_t offset = (uintptr_t)bytes.data - (uintptr_t)io->lent.data; // wraps below the range
    uint64_t step = offset / ZERO_COPY_STEP_BYTES;
    uint64_t last = (offset + bytes.length - 1) / ZERO_COPY_STEP_BYTES;
    if (bytes.length < ZERO_COPY_BYTES_MIN || step != last || step >= step_count(io)) {
        return -1;
    }
    if (step_is_registered(ring, (uint32_t)step)) {
        return (int64_t)step;
    }
    if (io->is_pinning_refused) {
        return -1;
    }
    struct span_mut memory = {.data = io->lent.data + step * ZERO_COPY_STEP_BYTES,
                              .length = ZERO_COPY_STEP_BYTES};
    if (step_register(ring, (uint32_t)step, memory) != 0) {
        io->is_pinning_refused = true; // RLIMIT_MEMLOCK, or no memory: not asked at every send
        io->stats.zero_copy_refused++;
        return -1;
    }
    return (int64_t)step;
}

bool zero_copy_send(struct io *io, struct io_handle handle, struct span bytes) {
    struct io_ring *ring = &io->rings[handle.ring];
    int64_t step = io->lent.length == 0 ? -1 : step_find(io, ring, bytes);
    if (step < 0) {
        return false;
    }
    uint32_t flags = io->knows_copied ? COMPAT_SEND_ZC_REPORT_USAGE : 0;
    struct io_uring_sqe *entry = ring_entry(io, ring, 1);
    io_uring_prep_send_zc_fixed(entry, (int)handle.slot, bytes.data, bytes.length, SEND_FLAGS,
                                flags, (uint32_t)step);
    entry->flags |= IOSQE_FIXED_FILE;
    entry->user_data = tag_make(IO_SEND, handle);
    check(handle.slot < io->options.slots);
    ring->zero_sends[handle.slot] =
        (struct io_zero_send){.data = bytes.data, .length = bytes.length};
    io->stats.zero_copy_sends++;
    return true;
}

// Errors that say that this socket or kernel cannot do it now, not that the peer is gone: a Unix
// socket (EOPNOTSUPP), Linux 6.1 asked whether it copied (EINVAL), no memory.
static bool is_refusal(int32_t result) {
    return result == -EOPNOTSUPP || result == -EINVAL || result == -ENOMEM || result == -ENOBUFS;
}

bool zero_copy_settle(struct io *io, const struct io_uring_cqe *entry,
                      struct io_completion *completion) {
    struct io_ring *ring = &io->rings[completion->ring];
    if (ring->zero_sends == NULL || ring->zero_sends[completion->slot].data == NULL) {
        return true; // a send that copies
    }
    struct io_zero_send *send = &ring->zero_sends[completion->slot];
    bool is_notification = (entry->flags & IORING_CQE_F_NOTIF) != 0;
    if (!is_notification) {
        send->result = entry->res;
        if (completion->more) {
            return false;
        }
    } else if (io->knows_copied && ((uint32_t)entry->res & COMPAT_NOTIF_ZC_COPIED) != 0) {
        io->stats.zero_copy_copied++;
    }
    struct span bytes = {.data = send->data, .length = send->length};
    send->data = NULL;
    if (is_refusal(send->result) && bytes.length > 0) {
        if (send->result == -EINVAL) {
            io->knows_copied = false;
        }
        struct io_handle handle = {.slot = completion->slot,
                                   .generation = completion->generation,
                                   .ring = completion->ring};
        send_copying(io, handle, bytes);
        return false;
    }
    completion->result = send->result;
    completion->more = false;
    return true;
}

void zero_copy_cancel(struct io *io, struct io_handle handle) {
    struct io_ring *ring = &io->rings[handle.ring];
    if (ring->zero_sends == NULL || ring->zero_sends[handle.slot].data == NULL) {
        return;
    }
    static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    struct io_uring_sqe *entry = ring_entry(io, ring, 1);
    io_uring_prep_connect(entry, (int)handle.slot, &nobody, sizeof nobody);
    entry->flags |= IOSQE_FIXED_FILE;
    entry->user_data = tag_make(IO_NONE, handle); // nobody is told
    ring->zero_sends[handle.slot].length = 0;     // refused or not, it is not sent again
}
