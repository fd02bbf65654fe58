// The doorbell: how another thread wakes the owner. Its state is a word in shared memory, so that
// an owner that is awake is told without a system call, and a ring is reported by io_next without a
// completion of the kernel's.
//
//   AWAKE --owner is about to sleep--> ASLEEP --owner woke for another reason--> AWAKE
//   any --somebody rings (from ASLEEP: and writes to the eventfd)--> RUNG --io_next--> AWAKE
//
// With one ring the eventfd is polled by that ring; with several it is the one that they all signal
// and that the owner sleeps on. (A poll on an eventfd must not be what wakes an owner that sleeps
// on a ring's registered eventfd: the kernel refuses to signal an eventfd from inside a write to
// another, defers it, and on Linux 6.18 does even that only once. The wakeup is lost.)
#include "gateway/io/io_internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static_assert(ATOMIC_INT_LOCK_FREE == 2, "signal handlers ring, too");

int bell_open(struct io *io) {
    io->doorbell_file = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (io->doorbell_file < 0) {
        return -errno;
    }
    atomic_store(&io->shared.file, io->doorbell_file);
    return 0;
}

void bell_arm(struct io *io) {
    struct io_uring_sqe *entry = ring_entry(io, &io->rings[0], 1);
    io_uring_prep_poll_multishot(entry, io->doorbell_file, POLLIN);
    entry->user_data = tag_make(IO_DOORBELL, (struct io_handle){.slot = 0});
}

// The poll has completed, which woke the owner and needs no answer; but when it has ended, by a
// full completion queue, it is armed again. Arming looks at the eventfd, so a ring in between
// wakes. An error would only come again: the io is broken.
void bell_resume(struct io *io, const struct io_completion *completion) {
    if (completion->result < 0) {
        io->error = completion->result;
    } else if (!completion->more) {
        bell_arm(io);
    }
}

bool bell_sleep(struct io *io) {
    uint32_t expected = BELL_AWAKE;
    return atomic_compare_exchange_strong(&io->shared.state, &expected, BELL_ASLEEP);
}

void bell_wake(struct io *io) {
    uint32_t expected = BELL_ASLEEP;
    // Where it fails somebody rang, and that state stays for bell_take.
    (void)atomic_compare_exchange_strong(&io->shared.state, &expected, BELL_AWAKE);
}

bool bell_take(struct io *io, struct io_completion *completion) {
    if (atomic_load_explicit(&io->shared.state, memory_order_relaxed) != BELL_RUNG) {
        return false;
    }
    // What every ringer so far wrote before it rang is visible from here on.
    (void)atomic_exchange(&io->shared.state, BELL_AWAKE); // RUNG, as just seen
    *completion = (struct io_completion){.operation = IO_DOORBELL, .more = true};
    io->stats.doorbells++;
    return true;
}

struct io_doorbell io_doorbell(struct io *io) {
    return (struct io_doorbell){.bell = &io->shared};
}

void io_doorbell_ring(struct io_doorbell doorbell) {
    if (atomic_exchange(&doorbell.bell->state, BELL_RUNG) != BELL_ASLEEP) {
        return;
    }
    uint64_t one = 1;
    // Fails only when the counter is full, after 2^64 rings.
    ssize_t written = write(atomic_load(&doorbell.bell->file), &one, sizeof one);
    (void)written;
}
