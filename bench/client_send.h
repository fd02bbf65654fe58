// What the two halves of the client engine share: client.c connects and receives, client_send.c
// sends.
#ifndef BENCH_CLIENT_SEND_H
#define BENCH_CLIENT_SEND_H

#include "bench/client.h"

// Sends what waits, as far as the socket takes it.
void client_flush(struct peer *peer);
// Sends a control frame with a copy of the payload, of at most 125 bytes.
void client_send_control(struct client *client, struct peer *peer, uint8_t opcode,
                         const uint8_t *payload, size_t count);

#endif
