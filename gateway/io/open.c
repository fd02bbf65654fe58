// Opening and shutting of an io and its rings. Opening a ring is a rare event (at start, and when
// the population outgrows the rings there are), so this and io_buffers_grow may take memory.
#include "gateway/io/io_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static uint32_t clamp(uint32_t value, uint32_t low, uint32_t high) {
    return value < low ? low : value > high ? high : value;
}

static uint32_t power_of_two(uint32_t value) {
    uint32_t power = 1;
    while (power < value) {
        power *= 2;
    }
    return power;
}

// A configuration cannot ask for what the kernel would refuse; it gets the nearest that works.
static struct io_options options_clamp(const struct io_options *asked, uint64_t file_max) {
    struct io_options options = *asked;
    uint32_t slot_max = file_max < RING_SLOTS_MAX ? (uint32_t)file_max : RING_SLOTS_MAX;
    options.slots = clamp(options.slots, 1, slot_max == 0 ? 1 : slot_max);
    options.submissions =
        power_of_two(clamp(options.submissions, RING_SUBMISSIONS_MIN, RING_SUBMISSIONS_MAX));
    // The kernel refuses a completion queue smaller than the submission queue.
    options.completions =
        power_of_two(clamp(options.completions, options.submissions, RING_COMPLETIONS_MAX));
    options.buffers = power_of_two(clamp(options.buffers, 1, RING_BUFFERS_MAX));
    options.buffers_max = clamp(options.buffers_max, options.buffers, RING_BUFFERS_MAX);
    options.ring_max = clamp(options.ring_max, 1, RINGS_MAX);
    return options;
}

// DEFER_TASKRUN where it serves: completions are posted in our own enter and nowhere else. Several
// rings wake the thread by an eventfd, and where the kernel puts that signal off until an RCU grace
// period has passed (and loses all but the first), the way out is COOP_TASKRUN: work for the ring
// then wakes the sleeping thread itself, which posts the completion and signals from there.
static uint32_t ring_mode(const struct io *io) {
    return io->is_cooperative ? IORING_SETUP_COOP_TASKRUN : IORING_SETUP_DEFER_TASKRUN;
}

static int ring_setup(const struct io *io, struct io_ring *ring) {
    struct io_uring_params parameters = {.flags = RING_FLAGS | IORING_SETUP_CQSIZE | ring_mode(io),
                                         .cq_entries = io->options.completions};
    int error = io_uring_queue_init_params(io->options.submissions, &ring->uring, &parameters);
    if (error != 0) {
        return error;
    }
    // Advice: a child must not touch the queues (liburing's descriptors are close-on-exec).
    (void)io_uring_ring_dontfork(&ring->uring);
    for (uint32_t i = 0; i < ring->uring.sq.ring_entries; i++) {
        ring->uring.sq.array[i] = i; // submit.c relies on it
    }
    // Fails for the 17th ring of a thread; then the plain descriptor is used.
    ring->is_registered = io_uring_register_ring_fd(&ring->uring) == 1;
    return 0;
}

static void ring_shut(struct io_ring *ring) {
    io_uring_queue_exit(&ring->uring);
    for (uint32_t i = 0; i < ring->group_count; i++) {
        group_shut(&ring->groups[i]);
    }
    free(ring->messages);
    free(ring->is_sendmsg);
    free(ring->steps_registered);
    free(ring->zero_sends);
}

// The direct descriptors, all empty. By hand: io_uring_register_files_sparse raises the process'
// RLIMIT_NOFILE behind our back.
static int table_open(const struct io *io, struct io_ring *ring) {
    struct io_uring_rsrc_register table = {.nr = io->options.slots,
                                           .flags = IORING_RSRC_REGISTER_SPARSE};
    return io_uring_register((uint32_t)ring->uring.ring_fd, IORING_REGISTER_FILES2, &table,
                             sizeof table);
}

static int ring_fill(struct io *io, struct io_ring *ring) {
    ring->messages = calloc(RING_MESSAGES_MAX, sizeof *ring->messages);
    ring->is_sendmsg = calloc((io->options.slots + 63) / 64, sizeof *ring->is_sendmsg);
    if (ring->messages == NULL || ring->is_sendmsg == NULL) {
        return -ENOMEM;
    }
    int error = table_open(io, ring);
    error = error != 0 ? error : group_open(io, ring);
    return error == 0 && io->lent.length > 0 ? zero_copy_open(io, ring) : error;
}

// All rings signal this eventfd while the thread sleeps. One ring needs none: it sleeps in its own
// enter.
static int ring_watch(struct io *io, struct io_ring *ring) {
    __atomic_store_n(ring->uring.cq.kflags, IORING_CQ_EVENTFD_DISABLED, __ATOMIC_RELAXED);
    return io_uring_register_eventfd(&ring->uring, io->wake_file);
}

// Before the second ring.
static int wake_open(struct io *io) {
    if (io->wake_file >= 0) {
        return 0; // an earlier second ring failed later on
    }
    int file = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (file < 0) {
        return -errno;
    }
    io->wake_file = file;
    int error = ring_watch(io, &io->rings[0]);
    if (error != 0) {
        (void)close(file); // never used
        io->wake_file = -1;
    }
    return error;
}

int io_ring_open(struct io *io) {
    if (pthread_self() != io->owner) {
        return -EEXIST;
    }
    if (io->ring_count == io->options.ring_max) {
        return -ENOSPC;
    }
    struct io_ring *ring = &io->rings[io->ring_count];
    memset(ring, 0, sizeof *ring);
    int error = ring_setup(io, ring);
    if (error != 0) {
        return error;
    }
    error = ring_fill(io, ring);
    if (error == 0 && io->ring_count > 0) {
        error = wake_open(io);
        error = error != 0 ? error : ring_watch(io, ring);
    }
    if (error != 0) {
        ring_shut(ring);
        return error;
    }
    io->ring_count++;
    if (io->ring_count == 2) {
        // Now the thread sleeps on that eventfd. A ringer that still writes to the old one has set
        // the bell's state before, so its ring is not lost.
        atomic_store(&io->shared.file, io->wake_file);
    }
    return (int)io->ring_count - 1;
}

int io_open(struct io **io, const struct io_options *options) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return -errno;
    }
    struct io_options clamped = options_clamp(options, files.rlim_cur);
    struct io *made = calloc(1, sizeof *made + clamped.ring_max * sizeof made->rings[0]);
    if (made == NULL) {
        return -ENOMEM;
    }
    made->owner = pthread_self();
    made->options = clamped;
    made->wake_file = -1;
    for (uint32_t i = 0; i < LISTENERS_MAX; i++) {
        made->listeners[i] = -1;
    }
    made->is_cooperative = clamped.ring_max > 1 && !features_signal_at_once();
    int error = bell_open(made);
    error = error == 0 ? io_ring_open(made) : error;
    error = error == 0 ? features_probe(made) : error;
    if (error != 0) {
        io_shut(made);
        return error;
    }
    bell_arm(made);
    *io = made;
    return 0;
}

void io_shut(struct io *io) {
    for (uint32_t i = 0; i < io->ring_count; i++) {
        ring_shut(&io->rings[i]);
    }
    for (int i = 0; i < LISTENERS_MAX; i++) {
        if (io->listeners[i] >= 0) {
            io_listener_close(io, i);
        }
    }
    // close() of our own eventfd fails only for a number that is not open.
    if (io->doorbell_file >= 0) {
        (void)close(io->doorbell_file);
    }
    if (io->wake_file >= 0) {
        (void)close(io->wake_file);
    }
    free(io);
}

uint32_t io_ring_count(const struct io *io) {
    return io->ring_count;
}

uint32_t io_ring_slots(const struct io *io) {
    return io->options.slots;
}

struct io_features io_features(const struct io *io) {
    return io->features;
}

struct io_stats io_stats(const struct io *io) {
    return io->stats;
}

uint64_t io_ring_bytes(const struct io *io) {
    uint64_t bytes = sizeof *io + io->options.ring_max * sizeof io->rings[0];
    for (uint32_t i = 0; i < io->ring_count; i++) {
        const struct io_ring *ring = &io->rings[i];
        // Submission and completion queue share one mapping.
        bytes += ring->uring.cq.ring_sz +
                 (uint64_t)ring->uring.sq.ring_entries * sizeof(struct io_uring_sqe);
        bytes += RING_MESSAGES_MAX * sizeof *ring->messages + (io->options.slots + 63) / 64 * 8;
        bytes += ring->zero_sends == NULL ? 0 : io->options.slots * sizeof *ring->zero_sends;
        for (uint32_t group = 0; group < ring->group_count; group++) {
            bytes += ring->groups[group].map_bytes;
        }
    }
    return bytes;
}
