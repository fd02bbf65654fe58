// Finds out by trying what uring_compat.h lists. Runs once per io, before anything else does.
#include "gateway/io/io_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { PROBE_PEER_NAME = 1, PROBE_UNIX_LEFT = 2, PROBE_WAIT_MS = 100, PROBE_TURNS_MAX = 20 };

struct probe {
    int datagram;  // connected, never written to: its peer's name is known
    int stream[2]; // a Unix pair with two bytes under way
    struct sockaddr_in expected;
    struct sockaddr_in found;
    uint8_t byte;
};

// False: this machine does not even allow that much, so the features count as missing.
static bool probe_open(struct probe *probe) {
    probe->expected = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(9)};
    probe->expected.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    probe->stream[0] = -1;
    probe->datagram = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return probe->datagram >= 0 &&
           connect(probe->datagram, (struct sockaddr *)&probe->expected, sizeof probe->expected) ==
               0 &&
           socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, probe->stream) == 0 &&
           send(probe->stream[1], "ab", 2, MSG_NOSIGNAL) == 2;
}

// close() of descriptors just opened does not fail.
static void probe_close(const struct probe *probe) {
    if (probe->datagram >= 0) {
        (void)close(probe->datagram);
    }
    if (probe->stream[0] >= 0) {
        (void)close(probe->stream[0]);
        (void)close(probe->stream[1]);
    }
}

static void probe_prepare(struct io *io, struct probe *probe) {
    struct io_ring *ring = &io->rings[0];
    struct compat_socket_option option = {.level = SOL_SOCKET,
                                          .name = SO_PEERNAME,
                                          .value = &probe->found,
                                          .length = sizeof probe->found};
    struct io_uring_sqe *entry = ring_entry(io, ring, 2);
    compat_socket_command(entry, probe->datagram, COMPAT_SOCKET_GETSOCKOPT, &option);
    entry->user_data = PROBE_PEER_NAME;
    entry = ring_entry(io, ring, 1);
    io_uring_prep_recv(entry, probe->stream[0], &probe->byte, 1, MSG_DONTWAIT);
    entry->user_data = PROBE_UNIX_LEFT;
}

// Takes what has arrived; returns how many.
static uint32_t probe_take(struct io *io, const struct probe *probe) {
    struct io_uring_cq *queue = &io->rings[0].uring.cq;
    uint32_t count = ring_ready(&io->rings[0]);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t head = *queue->khead;
        const struct io_uring_cqe *entry = &queue->cqes[head & queue->ring_mask];
        if (entry->user_data == PROBE_PEER_NAME) {
            io->features.has_peer_name =
                entry->res == (int)sizeof probe->found &&
                probe->found.sin_port == probe->expected.sin_port &&
                probe->found.sin_addr.s_addr == probe->expected.sin_addr.s_addr;
        } else {
            io->knows_unix_left =
                entry->res == 1 && (entry->flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
        }
        __atomic_store_n(queue->khead, head + 1, __ATOMIC_RELEASE);
    }
    return count;
}

int features_probe(struct io *io) {
    struct probe probe = {.byte = 0};
    if (!probe_open(&probe)) {
        probe_close(&probe);
        return 0;
    }
    probe_prepare(io, &probe);
    int error = 0;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < PROBE_TURNS_MAX && taken < 2 && error == 0; i++) {
        error = ring_enter(io, &io->rings[0], ENTER_WAIT, PROBE_WAIT_MS);
        taken += probe_take(io, &probe);
    }
    probe_close(&probe);
    return error == 0 && taken < 2 ? -ETIMEDOUT : error;
}

// --- is a registered eventfd signalled from within a wakeup

// A byte wakes the poll that the ring has armed, in this thread; the eventfd says whether that was
// told at once. Descriptors that cannot be had are found out by who opens the rings.
static bool signal_try(struct io_uring *ring, const int pair[2], int file) {
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    io_uring_prep_poll_add(entry, pair[0], POLLIN);
    if (io_uring_register_eventfd(ring, file) != 0 || io_uring_submit(ring) != 1 ||
        send(pair[1], "a", 1, MSG_NOSIGNAL) != 1) {
        return true;
    }
    uint64_t value;
    return read(file, &value, sizeof value) == (ssize_t)sizeof value;
}

bool features_signal_at_once(void) {
    struct io_uring ring;
    struct io_uring_params parameters = {.flags = RING_FLAGS | IORING_SETUP_DEFER_TASKRUN};
    if (io_uring_queue_init_params(1, &ring, &parameters) != 0) {
        return true;
    }
    bool is_at_once = true;
    int file = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int pair[2];
    if (file >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        is_at_once = signal_try(&ring, pair, file);
        (void)close(pair[0]); // close() of descriptors just opened does not fail
        (void)close(pair[1]);
    }
    if (file >= 0) {
        (void)close(file);
    }
    io_uring_queue_exit(&ring);
    return is_at_once;
}
