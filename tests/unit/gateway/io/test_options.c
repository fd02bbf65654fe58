// What is asked for and what is given: options of an io, options that accepted sockets inherit, and
// what cannot be (checks).
#include "gateway/io/io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct io *opened(const struct io_options *options) {
    struct io *io;
    int error = io_open(&io, options);
    cr_assert_eq(error, 0, "%d: %s", error, io_open_advice(error));
    return io;
}

static struct io *opened_small(void) {
    struct io_options options = {.slots = 8,
                                 .submissions = 8,
                                 .completions = 16,
                                 .buffers = 2,
                                 .buffers_max = 2,
                                 .ring_max = 1};
    return opened(&options);
}

Test(io_options, nothing_asked_works) {
    struct io_options options = {.slots = 0};
    struct io *io = opened(&options);
    cr_assert_eq(io_ring_slots(io), 1);
    cr_assert_eq(io_ring_count(io), 1);
    cr_assert_eq(io_ring_open(io), -ENOSPC);
    cr_assert_eq(io_turn(io, 0), 0);
    io_shut(io);
}

Test(io_options, too_much_asked_works) {
    struct io_options options = {.slots = UINT32_MAX,
                                 .submissions = UINT32_MAX,
                                 .completions = UINT32_MAX,
                                 .buffers = UINT32_MAX,
                                 .buffers_max = UINT32_MAX,
                                 .ring_max = UINT32_MAX};
    struct io *io = opened(&options);
    struct rlimit files;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    uint64_t expected = files.rlim_cur < RING_SLOTS_MAX ? files.rlim_cur : RING_SLOTS_MAX;
    cr_assert_eq(io_ring_slots(io), expected);
    cr_assert_not(io_buffers_grow(io, 0));
    io_shut(io);
}

Test(io_options, odd_sizes_work) {
    struct io_options options = {.slots = 33,
                                 .submissions = 9,
                                 .completions = 3,
                                 .buffers = 3,
                                 .buffers_max = 9,
                                 .ring_max = 3};
    struct io *io = opened(&options);
    cr_assert_eq(io_ring_slots(io), 33);
    cr_assert(io_buffers_grow(io, 0), "from 4 to 8");
    cr_assert_not(io_buffers_grow(io, 0), "16 are over 9");
    cr_assert_eq(io_ring_open(io), 1);
    io_shut(io);
}

// The budget of DESIGN.md section 4, and the default sizes.
Test(io_options, a_ring_stays_within_its_budget) {
    struct io_options options = {.slots = RING_SLOTS_MAX,
                                 .submissions = 1024,
                                 .completions = 4096,
                                 .buffers = 256,
                                 .buffers_max = 4096,
                                 .ring_max = 2};
    struct io *io = opened(&options);
    uint64_t first = io_ring_bytes(io);
    cr_assert_eq(io_ring_open(io), 1);
    uint64_t second = io_ring_bytes(io) - first;
    cr_assert_leq(second, 1 << 20, "%lu bytes", (unsigned long)second);
    io_shut(io);
}

static int option_get(int file, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    cr_assert_eq(getsockopt(file, level, name, &value, &length), 0);
    return value;
}

Test(io_listen, accepted_sockets_inherit) {
    struct io *io = opened_small();
    struct io_listen_options options = {.backlog = 8,
                                        .send_buffer_bytes = 65536,
                                        .notsent_lowat_bytes = 16384,
                                        .user_timeout_ms = 30000,
                                        .is_shared = true};
    cr_assert(address_parse_ip(span_text("127.0.0.1"), &options.address));
    int listener = io_listen(io, &options);
    cr_assert_geq(listener, 0, "%d", listener);
    struct address address = io_listener_address(io, listener);
    struct io_peer peer;
    io_peer_encode(&address, &peer);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(client, (struct sockaddr *)peer.sockaddr, peer.length), 0);
    // The same socket's queue, without the ring.
    int accepted = accept4(io_listener_file(io, listener), NULL, NULL, SOCK_CLOEXEC);
    cr_assert_geq(accepted, 0);
    cr_assert_eq(option_get(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
    cr_assert_eq(option_get(accepted, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 16384);
    cr_assert_eq(option_get(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
    cr_assert_eq(option_get(accepted, SOL_SOCKET, SO_SNDBUF), 2 * 65536); // the kernel doubles
    cr_assert_eq(option_get(io_listener_file(io, listener), SOL_SOCKET, SO_REUSEPORT), 1);
    close(accepted);
    close(client);
    io_shut(io);
}

Test(io_check, a_ring_that_is_not_there, .signal = SIGABRT) {
    io_poll(opened_small(), (struct io_handle){.slot = 0, .ring = 1});
}

Test(io_check, a_buffer_given_twice, .signal = SIGABRT) {
    io_buffer_give(opened_small(), 0, 0); // it was never lent
}

Test(io_check, an_empty_send, .signal = SIGABRT) {
    io_send(opened_small(), (struct io_handle){.slot = 0}, span_empty());
}

Test(io_check, too_many_pieces, .signal = SIGABRT) {
    struct span pieces[SEND_PIECES_MAX + 1];
    for (uint32_t i = 0; i <= SEND_PIECES_MAX; i++) {
        pieces[i] = span_text("x");
    }
    io_sendmsg(opened_small(), (struct io_handle){.slot = 0}, pieces, SEND_PIECES_MAX + 1);
}

Test(io_check, a_listener_that_is_not_there, .signal = SIGABRT) {
    io_accept(opened_small(), 0, 0, 0);
}

Test(io_open, without_descriptors) {
    struct io_options options = {.slots = 8, .ring_max = 1};
    int used = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_assert_geq(used, 0);
    struct rlimit files;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    rlim_t before = files.rlim_cur;
    int error = 0;
    uint32_t failures = 0;
    // One more descriptor allowed each time, until everything that io_open needs is there.
    for (int room = 1; room < 12; room++) {
        struct io *io = NULL;
        files.rlim_cur = (rlim_t)(used + room);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
        error = io_open(&io, &options);
        if (error == 0) {
            io_shut(io);
        } else {
            cr_assert_eq(error, -EMFILE, "%d", error);
            failures++;
        }
    }
    files.rlim_cur = before;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    cr_assert_eq(error, 0);
    cr_assert_geq(failures, 2);
    cr_assert_eq(open("/dev/null", O_RDONLY | O_CLOEXEC), used + 1, "a descriptor is left");
    close(used + 1);
    close(used);
}
