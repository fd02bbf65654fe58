// Operations one by one: what each does, P1 (one final completion), P5 (generation handed back).
#include "tests/contract/contract.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static uint32_t file_count(void) {
    DIR *folder = opendir("/proc/self/fd");
    expect(folder != NULL, "%s", strerror(errno));
    uint32_t count = 0;
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static void each_step_of_a_connection(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    uint32_t files = file_count();
    struct pair pair;
    rig_pairs(rig, 0, &pair, 1);
    expect(file_count() == files + 1, "accepted into the process' own table"); // the client's
    pair.handle.generation = 54321;
    io_poll(rig->io, pair.handle);
    rig_expect_none(rig, IO_POLL, 20);
    client_send(pair.client, "hello", 5);
    struct io_completion polled = rig_get(rig, IO_POLL);
    expect(polled.result == IO_POLL_IN && polled.more, "%d", polled.result);
    expect(polled.slot == pair.handle.slot && polled.generation == 54321, "another handle");
    io_receive(rig->io, pair.handle, (struct span_mut){.data = NULL});
    struct io_completion received = rig_get(rig, IO_RECEIVE);
    expect(received.result == 5 && received.has_buffer && !received.more, "%d", received.result);
    expect(!received.is_socket_ready && received.generation == 54321, "another handle");
    struct span_mut buffer = io_buffer(rig->io, 0, received.buffer_id);
    expect(buffer.length == RECEIVE_BUFFER_BYTES && memcmp(buffer.data, "hello", 5) == 0, "bytes");
    io_send(rig->io, pair.handle, (struct span){buffer.data, 5});
    struct io_completion sent = rig_get(rig, IO_SEND);
    expect(sent.result == 5 && !sent.more && sent.generation == 54321, "%d", sent.result);
    io_buffer_give(rig->io, 0, received.buffer_id);
    client_expect(pair.client, "hello", 5);
    struct span pieces[3] = {span_text("one "), span_text("two "), span_text("three")};
    io_sendmsg(rig->io, pair.handle, pieces, 3);
    memset(pieces, 0, sizeof pieces); // the array may be reused at once (P3)
    sent = rig_get(rig, IO_SENDMSG);
    expect(sent.result == 13 && !sent.more, "%d", sent.result);
    client_expect(pair.client, "one two three", 13);
    client_finish(pair.client);
    polled = rig_get(rig, IO_POLL);
    expect((polled.result & IO_POLL_HANGUP) != 0, "%d", polled.result);
    io_receive(rig->io, pair.handle, (struct span_mut){.data = NULL});
    received = rig_get(rig, IO_RECEIVE);
    expect(received.result == 0 && !received.has_buffer, "%d", received.result);
    rig_close_polled(rig, &pair);
    rig_shut(rig);
}

static void a_receive_of_nothing(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct pair pair;
    rig_pairs(rig, 0, &pair, 1);
    io_receive(rig->io, pair.handle, (struct span_mut){.data = NULL});
    struct io_completion received = rig_get(rig, IO_RECEIVE);
    expect(received.result == -EAGAIN, "%d", received.result);
    if (received.has_buffer) { // Linux 6.1 lends one even so (P4)
        io_buffer_give(rig->io, 0, received.buffer_id);
    }
    uint8_t byte;
    io_receive(rig->io, pair.handle, (struct span_mut){&byte, 1});
    received = rig_get(rig, IO_RECEIVE);
    expect(received.result == -EAGAIN && !received.has_buffer, "%d", received.result);
    rig_close(rig, &pair);
    rig_shut(rig);
}

static void accept_ends_by_cancel(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    io_accept(rig->io, 0, rig->listener, 77);
    rig_expect_none(rig, IO_ACCEPT, 20);
    io_accept_cancel(rig->io, 0, rig->listener, 77);
    struct io_completion ended = rig_get(rig, IO_ACCEPT);
    expect(ended.result == -ECANCELED && !ended.more && ended.generation == 77, "%d", ended.result);
    struct io_completion cancel = rig_get(rig, IO_ACCEPT_CANCEL);
    expect(cancel.result == 0 && cancel.generation == 77, "%d", cancel.result);
    expect(cancel.slot == (uint32_t)rig->listener, "slot %u", cancel.slot);
    io_accept_cancel(rig->io, 0, rig->listener, 77); // nothing there any more
    cancel = rig_get(rig, IO_ACCEPT_CANCEL);
    expect(cancel.result == -ENOENT, "%d", cancel.result);
    rig_shut(rig);
}

static void accept_one_names_the_client(void) {
    enum { COUNT = 16 };
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    uint32_t files = file_count();
    struct io_peer peers[COUNT];
    struct client clients[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        io_accept_one(rig->io, 0, rig->listener, 1000 + i, &peers[i]);
    }
    rig_turn(rig, 0);
    for (uint32_t i = 0; i < COUNT - 1; i++) {
        clients[i] = client_connect_from(&rig->address, 0x7f000100 + i);
        struct io_completion accepted = rig_get(rig, IO_ACCEPT_ONE);
        expect(accepted.result >= 0 && !accepted.more, "%d", accepted.result);
        expect(accepted.slot >= 1000 && accepted.slot < 1000 + COUNT, "slot %u", accepted.slot);
        struct address found;
        expect(io_peer_decode(&peers[accepted.slot - 1000], &found), "family");
        struct address expected = client_address(clients[i]);
        expect(memcmp(&found, &expected, sizeof found) == 0, "another address");
        struct io_handle handle = {.slot = (uint32_t)accepted.result};
        io_send(rig->io, handle, span_make(&found.port, 2)); // it is this slot's client
        expect(rig_get(rig, IO_SEND).result == 2, "send");
        client_expect(clients[i], &expected.port, 2);
    }
    expect(file_count() == files + COUNT - 1, "accepted into the process' own table");
    struct io_completion ended;
    for (uint32_t i = 0; i < COUNT; i++) {
        io_accept_one_cancel(rig->io, 0, 1000 + i);
        struct io_completion cancel = rig_get(rig, IO_ACCEPT_CANCEL);
        expect(cancel.slot == 1000 + i, "slot %u", cancel.slot);
        expect(cancel.result == (rig_find(rig, IO_ACCEPT_ONE, &ended) ? 0 : -ENOENT), "%d",
               cancel.result);
    }
    expect(ended.result == -ECANCELED && !ended.more, "%d", ended.result);
    for (uint32_t i = 0; i < COUNT - 1; i++) {
        client_close(clients[i]);
    }
    rig_shut(rig);
}

// The slots of a table and the room of each address family. IPv6 only where there is loopback.
static void peer_names(const char *listen_on, const char *connect_to, uint32_t room) {
    enum { COUNT = 40 };
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    if (!io_features(rig->io).has_peer_name) {
        printf("     (no SO_PEERNAME on this kernel)\n");
        rig_shut(rig);
        return;
    }
    struct io_listen_options listen = {.backlog = 64};
    expect(address_parse_ip(span_text(listen_on), &listen.address), "%s", listen_on);
    int listener = io_listen(rig->io, &listen);
    if (listener == -EADDRNOTAVAIL || listener == -EAFNOSUPPORT) {
        printf("     (no %s here)\n", listen_on);
        rig_shut(rig);
        return;
    }
    expect(listener >= 0, "%d", listener);
    struct address target = io_listener_address(rig->io, listener);
    uint16_t port = target.port;
    expect(address_parse_ip(span_text(connect_to), &target), "%s", connect_to);
    target.port = port;
    io_accept(rig->io, 0, listener, 0);
    struct client clients[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        bool is_v4 = address_is_v4(&target);
        clients[i] = client_connect_from(&target, is_v4 ? 0x7f000200 + i : 0);
        struct io_completion accepted = rig_get(rig, IO_ACCEPT);
        expect(accepted.result >= 0 && accepted.more, "%d", accepted.result);
        struct io_handle handle = {.slot = (uint32_t)accepted.result, .generation = 3};
        struct io_peer peer = {.length = room};
        io_peer_name(rig->io, handle, &peer);
        struct io_completion named = rig_get(rig, IO_PEER_NAME);
        expect(named.result == (int32_t)room && named.generation == 3, "%d", named.result);
        struct address found;
        expect(io_peer_decode(&peer, &found), "family");
        struct address expected = client_address(clients[i]);
        expect(memcmp(&found, &expected, sizeof found) == 0, "another address");
    }
    io_accept_cancel(rig->io, 0, listener, 0);
    rig_get(rig, IO_ACCEPT_CANCEL);
    rig_get(rig, IO_ACCEPT);
    for (uint32_t i = 0; i < COUNT; i++) {
        client_close(clients[i]);
    }
    rig_shut(rig);
}

static void peer_name_v4(void) {
    peer_names("127.0.0.1", "127.0.0.1", 16);
}

static void peer_name_v6(void) {
    peer_names("::1", "::1", 28);
}

static void peer_name_dual(void) {
    peer_names("::", "127.0.0.1", 28);
}

static void peer_name_with_too_much_room(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct pair pair;
    rig_pairs(rig, 0, &pair, 1);
    struct io_peer peer = {.length = 28};
    io_peer_name(rig->io, pair.handle, &peer);
    struct io_completion named = rig_get(rig, IO_PEER_NAME);
    int32_t expected = io_features(rig->io).has_peer_name ? -EINVAL : -EOPNOTSUPP;
    expect(named.result == expected, "%d", named.result);
    rig_close(rig, &pair);
    rig_shut(rig);
}

static void options_are_set(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct pair pair;
    rig_pairs(rig, 0, &pair, 1);
    bool is_known = io_features(rig->io).has_peer_name; // the same kernel feature
    int value = 1;
    io_set_option(rig->io, pair.handle, SOL_SOCKET, SO_KEEPALIVE, &value);
    struct io_completion done = rig_get(rig, IO_SET_OPTION);
    expect(done.result == (is_known ? 0 : -EOPNOTSUPP), "%d", done.result);
    io_set_option(rig->io, pair.handle, SOL_SOCKET, -1, &value);
    done = rig_get(rig, IO_SET_OPTION);
    expect(done.result == (is_known ? -ENOPROTOOPT : -EOPNOTSUPP), "%d", done.result);
    rig_close(rig, &pair);
    rig_shut(rig);
}

// Both ends on one io: connects to the rig's own listener.
static void connects_over_tcp(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    io_accept(rig->io, 0, rig->listener, 0);
    io_socket(rig->io, 0, ADDRESS_IP, false, 99, 7);
    struct io_completion made = rig_get(rig, IO_SOCKET);
    expect(made.result >= 0 && made.slot == 99 && made.generation == 7, "%d", made.result);
    struct io_handle near = {.slot = (uint32_t)made.result, .generation = 8};
    struct io_peer peer;
    io_peer_encode(&rig->address, &peer);
    io_connect(rig->io, near, &peer);
    struct io_completion connected = rig_get(rig, IO_CONNECT);
    expect(connected.result == 0 && connected.generation == 8, "%d", connected.result);
    struct io_handle far = {.slot = (uint32_t)rig_get(rig, IO_ACCEPT).result};
    expect(far.slot != near.slot, "one slot for two sockets");
    io_send(rig->io, near, span_text("ping"));
    expect(rig_get(rig, IO_SEND).result == 4, "send");
    uint8_t bytes[8];
    io_receive(rig->io, far, (struct span_mut){bytes, sizeof bytes});
    struct io_completion received = rig_get(rig, IO_RECEIVE);
    expect(received.result == 4 && memcmp(bytes, "ping", 4) == 0, "%d", received.result);
    io_accept_cancel(rig->io, 0, rig->listener, 0);
    rig_get(rig, IO_ACCEPT_CANCEL);
    rig_get(rig, IO_ACCEPT);
    io_listener_close(rig->io, rig->listener); // now nobody answers
    io_socket(rig->io, 0, ADDRESS_IP, false, 100, 0);
    struct io_handle refused = {.slot = (uint32_t)rig_get(rig, IO_SOCKET).result};
    io_connect(rig->io, refused, &peer);
    connected = rig_get(rig, IO_CONNECT);
    expect(connected.result == -ECONNREFUSED, "%d", connected.result);
    rig_shut(rig);
}

static void writes_to_files(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    char path[] = "/tmp/holdfast-contract-XXXXXX";
    int file = mkstemp(path);
    expect(file >= 0, "%s", strerror(errno));
    io_write(rig->io, file, span_text("first line\n"), 11);
    struct io_completion written = rig_get(rig, IO_WRITE);
    expect(written.result == 11 && written.slot == 11, "%d", written.result);
    io_write(rig->io, file, span_text("second line\n"), 12);
    written = rig_get(rig, IO_WRITE);
    expect(written.result == 12 && written.slot == 12, "%d", written.result);
    char text[64] = {0};
    expect(pread(file, text, sizeof text, 0) == 23, "length");
    expect(strcmp(text, "first line\nsecond line\n") == 0, "%s", text);
    unlink(path);
    close(file);
    int ends[2];
    expect(pipe2(ends, O_CLOEXEC) == 0, "%s", strerror(errno));
    io_write(rig->io, ends[1], span_text("pipe"), 13);
    expect(rig_get(rig, IO_WRITE).result == 4, "write");
    expect(read(ends[0], text, 4) == 4 && memcmp(text, "pipe", 4) == 0, "bytes");
    close(ends[0]);
    close(ends[1]);
    io_write(rig->io, 9999, span_text("nowhere"), 14);
    expect(rig_get(rig, IO_WRITE).result == -EBADF, "write");
    rig_shut(rig);
}

static const struct contract_test tests[] = {
    {"each_step_of_a_connection", each_step_of_a_connection},
    {"a_receive_of_nothing", a_receive_of_nothing},
    {"accept_ends_by_cancel", accept_ends_by_cancel},
    {"accept_one_names_the_client", accept_one_names_the_client},
    {"peer_name_v4", peer_name_v4},
    {"peer_name_v6", peer_name_v6},
    {"peer_name_dual", peer_name_dual},
    {"peer_name_with_too_much_room", peer_name_with_too_much_room},
    {"options_are_set", options_are_set},
    {"connects_over_tcp", connects_over_tcp},
    {"writes_to_files", writes_to_files},
};

int main(int argc, char **argv) {
    return contract_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
