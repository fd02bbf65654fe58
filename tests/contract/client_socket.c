// Clients as ordinary sockets.
#include "tests/contract/client.h"
#include "tests/contract/contract.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

const char *contract_kind(void) {
    return "real";
}

void contract_begin(void) {
}

void contract_wait(struct io *io, uint32_t wait_ms) {
    (void)io; // io_turn has waited
    (void)wait_ms;
}

static struct client client_open(const struct address *address, uint32_t source_v4) {
    struct io_peer peer;
    io_peer_encode(address, &peer);
    int domain = address_is_v4(address) ? AF_INET : AF_INET6;
    struct client client = {.file = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    expect(client.file >= 0, "%s", strerror(errno));
    int one = 1;
    setsockopt(client.file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (source_v4 != 0) {
        struct sockaddr_in source = {.sin_family = AF_INET};
        source.sin_addr.s_addr = htonl(source_v4);
        int result = bind(client.file, (struct sockaddr *)&source, sizeof source);
        expect(result == 0, "%s", strerror(errno));
    }
    int result = connect(client.file, (struct sockaddr *)peer.sockaddr, peer.length);
    expect(result == 0, "%s", strerror(errno));
    return client;
}

struct client client_connect(const struct address *address) {
    return client_open(address, 0);
}

struct client client_connect_from(const struct address *address, uint32_t source_v4) {
    return client_open(address, source_v4);
}

struct client client_connect_unix(const char *path) {
    struct client client = {.file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
    int result = connect(client.file, (struct sockaddr *)&name, sizeof name);
    expect(result == 0, "%s: %s", path, strerror(errno));
    return client;
}

struct address client_address(struct client client) {
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    int result = getsockname(client.file, (struct sockaddr *)&name, &length);
    expect(result == 0, "%s", strerror(errno));
    struct io_peer peer = {.length = length};
    memcpy(peer.sockaddr, &name, sizeof peer.sockaddr);
    struct address address;
    expect(io_peer_decode(&peer, &address), "family %d", name.ss_family);
    return address;
}

void client_send(struct client client, const void *bytes, uint32_t length) {
    ssize_t sent = send(client.file, bytes, length, MSG_NOSIGNAL);
    expect(sent == (ssize_t)length, "sent %zd of %u: %s", sent, length, strerror(errno));
}

int64_t client_receive(struct client client, void *bytes, uint32_t length, uint32_t wait_ms) {
    struct pollfd ready = {.fd = client.file, .events = POLLIN};
    if (poll(&ready, 1, (int)wait_ms) == 0) {
        return -EAGAIN;
    }
    ssize_t result = recv(client.file, bytes, length, MSG_DONTWAIT);
    return result >= 0 ? result : -errno;
}

void client_finish(struct client client) {
    expect(shutdown(client.file, SHUT_WR) == 0, "%s", strerror(errno));
}

void client_reset(struct client client) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client.file, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(client.file);
}

void client_close(struct client client) {
    close(client.file);
}

struct server server_open(enum server_manner manner) {
    struct server server = {.file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in name = {.sin_family = AF_INET};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int result = bind(server.file, (struct sockaddr *)&name, sizeof name);
    expect(server.file >= 0 && result == 0, "%s", strerror(errno));
    server.address = client_address((struct client){.file = server.file});
    if (manner != SERVER_REFUSES) { // one that does not listen has the port, and nobody answers
        result = listen(server.file, manner == SERVER_SILENT ? 0 : 16);
        expect(result == 0, "%s", strerror(errno));
    }
    if (manner == SERVER_SILENT) { // a full backlog answers no further SYN
        server.filler = client_connect(&server.address);
    }
    return server;
}

struct client server_accept(const struct server *server) {
    struct client client = {.file = accept4(server->file, NULL, NULL, SOCK_CLOEXEC)};
    expect(client.file >= 0, "%s", strerror(errno));
    return client;
}

void server_close(const struct server *server) {
    if (server->filler.file != 0) {
        client_close(server->filler);
    }
    close(server->file);
}
