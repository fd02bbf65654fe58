// Listening sockets: addresses, sharing, Unix paths, what waits when one is closed.
#include "tests/contract/contract.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static struct io_listen_options listen_on(const char *ip, uint16_t port) {
    struct io_listen_options options = {.backlog = 64};
    expect(address_parse_ip(span_text(ip), &options.address), "%s", ip);
    options.address.port = port;
    return options;
}

static void accept_cancel(struct rig *rig, int listener) {
    io_accept_cancel(rig->io, 0, listener, 0);
    rig_get(rig, IO_ACCEPT_CANCEL);
    expect(rig_get(rig, IO_ACCEPT).result == -ECANCELED, "accept");
}

static void a_port_of_the_kernels_choice(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct address address = io_listener_address(rig->io, rig->listener);
    expect(address_is_v4(&address) && address_is_loopback(&address), "address");
    expect(address.port != 0, "port");
    struct io_listen_options again = listen_on("127.0.0.1", address.port);
    expect(io_listen(rig->io, &again) == -EADDRINUSE, "taken");
    rig_shut(rig);
}

static void sixteen_listeners(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options); // has one
    struct io_listen_options any = listen_on("127.0.0.1", 0);
    for (int i = 1; i < LISTENERS_MAX; i++) {
        expect(io_listen(rig->io, &any) == i, "listener");
    }
    expect(io_listen(rig->io, &any) == -ENOSPC, "one too many");
    io_listener_close(rig->io, 7);
    expect(io_listen(rig->io, &any) == 7, "its number is free again");
    rig_shut(rig);
}

// Two ios share a port, each takes some.
static void a_shared_port(void) {
    enum { CLIENTS = 200 };
    struct io_options options = rig_options(1);
    options.slots = CLIENTS;
    options.completions = 1024;
    struct rig *rigs[2] = {rig_open(&options), rig_open(&options)};
    struct io_listen_options shared = listen_on("127.0.0.1", 0);
    shared.is_shared = true;
    shared.backlog = CLIENTS;
    int first = io_listen(rigs[0]->io, &shared);
    expect(first >= 0, "%d", first);
    shared.address = io_listener_address(rigs[0]->io, first);
    int second = io_listen(rigs[1]->io, &shared);
    expect(second >= 0, "%d", second);
    struct client clients[CLIENTS];
    for (uint32_t i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&shared.address);
    }
    io_accept(rigs[0]->io, 0, first, 0);
    io_accept(rigs[1]->io, 0, second, 0);
    for (uint32_t i = 0; i < 100; i++) {
        rig_turn(rigs[0], 1);
        rig_turn(rigs[1], 1);
    }
    uint32_t counts[2] = {rig_count(rigs[0], IO_ACCEPT), rig_count(rigs[1], IO_ACCEPT)};
    expect(counts[0] + counts[1] == CLIENTS && counts[0] > 0 && counts[1] > 0, "%u and %u",
           counts[0], counts[1]);
    for (uint32_t i = 0; i < 2; i++) {
        rigs[i]->kept_count = 0;
        accept_cancel(rigs[i], i == 0 ? first : second);
        rig_shut(rigs[i]);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        client_close(clients[i]);
    }
}

static void clients_of_a_closed_listener(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct client waiting = client_connect(&rig->address);
    io_listener_close(rig->io, rig->listener);
    uint8_t byte;
    int64_t result = client_receive(waiting, &byte, 1, RIG_WAIT_MS);
    expect(result == -ECONNRESET, "%lld", (long long)result);
    client_close(waiting);
    rig_shut(rig);
}

// By descriptor: closing one of the two closes nothing for the other.
static void a_listener_shared_by_descriptor(void) {
    struct io_options options = rig_options(1);
    struct rig *rigs[2] = {rig_open(&options), rig_open(&options)};
    struct io_listen_options shared = {.file = io_listener_file(rigs[0]->io, rigs[0]->listener)};
    int listener = io_listen(rigs[1]->io, &shared);
    expect(listener >= 0, "%d", listener);
    struct address address = io_listener_address(rigs[1]->io, listener);
    expect(memcmp(&address, &rigs[0]->address, sizeof address) == 0, "another address");
    struct client client = client_connect(&address);
    io_listener_close(rigs[0]->io, rigs[0]->listener);
    client_expect_quiet(client, 20);
    io_accept(rigs[1]->io, 0, listener, 0);
    expect(rig_get(rigs[1], IO_ACCEPT).result >= 0, "accept");
    accept_cancel(rigs[1], listener);
    client_close(client);
    rig_shut(rigs[0]);
    rig_shut(rigs[1]);
}

struct place {
    char folder[32];
    char path[64];
};

static struct place place_make(void) {
    struct place place = {.folder = "/tmp/holdfast-contract-XXXXXX"};
    expect(mkdtemp(place.folder) != NULL, "%s", strerror(errno));
    snprintf(place.path, sizeof place.path, "%s/socket", place.folder);
    return place;
}

static void place_remove(const struct place *place) {
    unlink(place->path);
    rmdir(place->folder);
}

static void a_unix_socket(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct place place = place_make();
    struct io_listen_options unix_options = {.unix_path = place.path, .backlog = 64};
    mode_t mask = umask(0077);
    int listener = io_listen(rig->io, &unix_options);
    umask(mask);
    expect(listener >= 0, "%d", listener);
    struct stat status;
    expect(stat(place.path, &status) == 0 && (status.st_mode & 07777) == 0660, "mode %o",
           status.st_mode);
    expect(io_listener_address(rig->io, listener).kind == ADDRESS_UNIX, "kind");
    struct io_peer peer;
    io_accept_one(rig->io, 0, listener, 0, &peer);
    struct client client = client_connect_unix(place.path);
    struct io_handle handle = {.slot = (uint32_t)rig_get(rig, IO_ACCEPT_ONE).result};
    struct address address;
    expect(io_peer_decode(&peer, &address) && address.kind == ADDRESS_UNIX, "kind");
    // A burst over several buffers, and the end behind it.
    uint8_t bytes[6000];
    memset(bytes, 'u', sizeof bytes);
    client_send(client, bytes, sizeof bytes);
    client_finish(client);
    io_poll(rig->io, handle);
    struct io_completion polled = rig_get(rig, IO_POLL);
    expect((polled.result & IO_POLL_IN) != 0, "%d", polled.result);
    uint32_t count = 0;
    struct io_completion received;
    do { // as the header says: on while the socket is ready, and to the end after a hang-up
        io_receive(rig->io, handle, (struct span_mut){.data = NULL});
        received = rig_get(rig, IO_RECEIVE);
        expect(received.result >= 0, "%d", received.result);
        count += (uint32_t)received.result;
        if (received.has_buffer) {
            io_buffer_give(rig->io, 0, received.buffer_id);
        }
        bool must_go_on = received.is_socket_ready || (polled.result & IO_POLL_HANGUP) != 0;
        expect(must_go_on || received.result == 0, "the rest would be lost");
    } while (received.result > 0);
    expect(count == sizeof bytes, "%u", count);
    io_send(rig->io, handle, span_text("unix"));
    expect(rig_get(rig, IO_SEND).result == 4, "send");
    io_cancel_then_close(rig->io, handle);
    expect(rig_get(rig, IO_CLOSE).result == 0 && rig_get(rig, IO_CANCEL).result == 0, "close");
    do {
        polled = rig_get(rig, IO_POLL);
    } while (polled.more);
    client_expect(client, "unix", 4);
    client_expect_end(client);
    client_close(client);
    expect(io_listen(rig->io, &unix_options) == -EADDRINUSE, "somebody listens there");
    client_close(client_connect_unix(place.path));
    rig_shut(rig);
    place_remove(&place);
}

static void connects_to_a_unix_socket(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct place place = place_make();
    struct io_listen_options unix_options = {.unix_path = place.path, .backlog = 64};
    int listener = io_listen(rig->io, &unix_options);
    io_accept(rig->io, 0, listener, 0);
    io_socket(rig->io, 0, ADDRESS_UNIX, false, 4, 0);
    struct io_handle near = {.slot = (uint32_t)rig_get(rig, IO_SOCKET).result, .generation = 6};
    char path[64];
    memcpy(path, place.path, sizeof path);
    expect(io_connect_unix(rig->io, near, path) == 0, "connect");
    memset(path, 0, sizeof path); // may be reused at once (P3)
    struct io_completion connected = rig_get(rig, IO_CONNECT);
    expect(connected.result == 0 && connected.generation == 6, "%d", connected.result);
    struct io_handle far = {.slot = (uint32_t)rig_get(rig, IO_ACCEPT).result};
    io_send(rig->io, near, span_text("hello"));
    expect(rig_get(rig, IO_SEND).result == 5, "send");
    uint8_t bytes[8];
    io_receive(rig->io, far, (struct span_mut){bytes, sizeof bytes});
    expect(rig_get(rig, IO_RECEIVE).result == 5 && memcmp(bytes, "hello", 5) == 0, "receive");
    char long_path[200];
    memset(long_path, 'x', sizeof long_path);
    long_path[108] = 0;
    expect(io_connect_unix(rig->io, far, long_path) == -ENAMETOOLONG, "108 bytes");
    expect(io_connect_unix(rig->io, far, "") == -ENAMETOOLONG, "empty");
    io_socket(rig->io, 0, ADDRESS_UNIX, false, 5, 0);
    struct io_handle lost = {.slot = (uint32_t)rig_get(rig, IO_SOCKET).result};
    long_path[107] = 0;
    expect(io_connect_unix(rig->io, lost, long_path) == 0, "107 bytes");
    expect(rig_get(rig, IO_CONNECT).result == -ENOENT, "no such path");
    accept_cancel(rig, listener);
    rig_shut(rig);
    place_remove(&place);
}

static void what_stands_at_a_unix_path(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct place place = place_make();
    struct io_listen_options unix_options = {.unix_path = place.path, .backlog = 64};
    int file = open(place.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    expect(file >= 0 && write(file, "mine", 4) == 4, "%s", strerror(errno));
    expect(io_listen(rig->io, &unix_options) == -EEXIST, "a file");
    struct stat status;
    expect(fstat(file, &status) == 0 && status.st_nlink == 1, "it was removed");
    close(file);
    unlink(place.path);
    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, place.path, sizeof place.path);
    expect(bind(stale, (struct sockaddr *)&name, sizeof name) == 0, "%s", strerror(errno));
    close(stale); // its owner is gone, the path is left
    int listener = io_listen(rig->io, &unix_options);
    expect(listener >= 0, "a stale socket: %d", listener);
    client_close(client_connect_unix(place.path));
    unix_options.unix_path = "/nonexistent/folder/socket";
    expect(io_listen(rig->io, &unix_options) == -ENOENT, "no such folder");
    rig_shut(rig);
    place_remove(&place);
}

// IPv6 only, except `::`.
static void ipv6_addresses(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct io_listen_options six = listen_on("::1", 0);
    int listener = io_listen(rig->io, &six);
    if (listener == -EADDRNOTAVAIL || listener == -EAFNOSUPPORT) {
        printf("     (no IPv6 here)\n");
        rig_shut(rig);
        return;
    }
    expect(listener >= 0, "%d", listener);
    struct io_listen_options any = listen_on("::", 0);
    listener = io_listen(rig->io, &any);
    expect(listener >= 0, "%d", listener);
    struct address address = io_listener_address(rig->io, listener);
    struct io_listen_options four = listen_on("0.0.0.0", address.port);
    expect(io_listen(rig->io, &four) == -EADDRINUSE, "`::` has IPv4, too");
    four = listen_on("127.0.0.1", address.port);
    client_close(client_connect(&four.address));
    rig_shut(rig);
}

static const struct contract_test tests[] = {
    {"a_port_of_the_kernels_choice", a_port_of_the_kernels_choice},
    {"sixteen_listeners", sixteen_listeners},
    {"a_shared_port", a_shared_port},
    {"clients_of_a_closed_listener", clients_of_a_closed_listener},
    {"a_listener_shared_by_descriptor", a_listener_shared_by_descriptor},
    {"a_unix_socket", a_unix_socket},
    {"connects_to_a_unix_socket", connects_to_a_unix_socket},
    {"what_stands_at_a_unix_path", what_stands_at_a_unix_path},
    {"ipv6_addresses", ipv6_addresses},
};

int main(int argc, char **argv) {
    return contract_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
