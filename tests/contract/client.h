// The other end of a connection, as the contract tests see it. Here it is an ordinary blocking
// socket (client_socket.c); beside the simulator it would be the simulator's.
#pragma once
#include "core/base/address.h"

#include <stdbool.h>
#include <stdint.h>

struct client {
    int file;
};

struct client client_connect(const struct address *address);
struct client client_connect_from(const struct address *address, uint32_t source_v4);
struct client client_connect_unix(const char *path);
struct address client_address(struct client client); // its own end
void client_send(struct client client, const void *bytes, uint32_t length);
// Bytes, 0 at the end of the stream, -errno; -EAGAIN when nothing came within wait_ms.
int64_t client_receive(struct client client, void *bytes, uint32_t length, uint32_t wait_ms);
void client_expect(struct client client, const void *bytes, uint32_t length);
void client_expect_end(struct client client);
void client_expect_quiet(struct client client, uint32_t wait_ms); // neither bytes nor an end
void client_finish(struct client client);                         // FIN; still receives
void client_reset(struct client client);                          // RST; gone
void client_close(struct client client);

// Somebody to whom the io connects: a listening socket, or a service of the simulator's world.
struct server {
    struct address address;
    int file;
    struct client filler; // SERVER_SILENT, of a socket: who fills its backlog
};
enum server_manner { SERVER_TAKES, SERVER_REFUSES, SERVER_SILENT };
struct server server_open(enum server_manner manner); // on 127.0.0.1
// SERVER_TAKES: the next one that has connected.
struct client server_accept(const struct server *server);
void server_close(const struct server *server);
