// What an older kernel lacks, taken away by hand: the callers' rules still lose nothing.
#include "gateway/io/io_internal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct io *opened(void) {
    struct io_options options = {.slots = 8,
                                 .submissions = 8,
                                 .completions = 16,
                                 .buffers = 4,
                                 .buffers_max = 4,
                                 .ring_max = 1};
    struct io *io;
    cr_assert_eq(io_open(&io, &options), 0);
    return io;
}

static struct io_completion next(struct io *io, enum io_operation operation) {
    struct io_completion completion = {.operation = IO_NONE};
    for (uint32_t i = 0; i < 100 && completion.operation != operation; i++) {
        if (!io_next(io, &completion)) {
            cr_assert_eq(io_turn(io, 100), 0);
        }
    }
    cr_assert_eq(completion.operation, operation);
    return completion;
}

// A Unix pair: one end is `client`, the other is in the table.
static struct io_handle unix_pair(struct io *io, int *client) {
    char folder[] = "/tmp/holdfast-unit-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    char path[64];
    cr_assert_lt(snprintf(path, sizeof path, "%s/socket", folder), (int)sizeof path);
    struct io_listen_options options = {.unix_path = path, .backlog = 4};
    int listener = io_listen(io, &options);
    cr_assert_geq(listener, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, path, sizeof path);
    *client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(*client, (struct sockaddr *)&name, sizeof name), 0);
    io_accept(io, 0, listener, 0);
    struct io_completion accepted = next(io, IO_ACCEPT);
    cr_assert_geq(accepted.result, 0);
    unlink(path);
    rmdir(folder);
    return (struct io_handle){.slot = (uint32_t)accepted.result};
}

// Before Linux 6.17 a Unix socket does not tell what is left: a receive that filled its memory says
// that there may be more, one that did not says no.
Test(io_fallback, unix_sockets_that_do_not_tell) {
    enum { BYTES = 3 * RECEIVE_BUFFER_BYTES + 100 };
    struct io *io = opened();
    int client;
    struct io_handle handle = unix_pair(io, &client);
    io->knows_unix_left = false;
    uint8_t bytes[BYTES] = {0};
    cr_assert_eq(send(client, bytes, BYTES, MSG_NOSIGNAL), BYTES);
    uint32_t count = 0;
    struct io_completion received;
    do {
        io_receive(io, handle, (struct span_mut){.data = NULL});
        received = next(io, IO_RECEIVE);
        cr_assert_gt(received.result, 0, "%d after %u", received.result, count);
        count += (uint32_t)received.result;
        io_buffer_give(io, 0, received.buffer_id);
        bool is_full = received.result == RECEIVE_BUFFER_BYTES;
        cr_assert(received.is_socket_ready || !is_full);
    } while (received.is_socket_ready);
    cr_assert_eq(count, BYTES);
    cr_assert_eq(send(client, bytes, 100, MSG_NOSIGNAL), 100);
    io_receive(io, handle, (struct span_mut){bytes, 100}); // into a target: always "perhaps"
    received = next(io, IO_RECEIVE);
    cr_assert_eq(received.result, 100);
    cr_assert(received.is_socket_ready);
    io_receive(io, handle, (struct span_mut){bytes, 100});
    cr_assert_eq(next(io, IO_RECEIVE).result, -EAGAIN);
    close(client);
    io_shut(io);
}
