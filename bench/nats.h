// nats-server's client protocol, as much of it as a subscriber and publisher of one subject needs:
// its WebSocket frames carry pieces of that stream, at borders of its own choosing.
// (docs.nats.io, "Client Protocol".)
#ifndef BENCH_NATS_H
#define BENCH_NATS_H

#include "bench/client.h"

enum nats_kind { NATS_MORE, NATS_MESSAGE, NATS_PING, NATS_OTHER, NATS_BAD };

struct nats_item {
    const uint8_t *payload; // of a message, inside the bytes that were read
    size_t payload_length;
    size_t length; // of the item with all its line ends
};

// Reads the first item of a stream. NATS_BAD: an error that the server reports, or no such
// protocol.
enum nats_kind nats_read(const uint8_t *bytes, size_t count, struct nats_item *item);

// Sends CONNECT and SUB on a connection that has just opened.
void nats_begin(struct client *client, struct peer *peer);
// Takes the payload of a frame: hands whole messages to the mode's hook, answers PING.
void nats_take(struct client *client, struct peer *peer, const uint8_t *bytes, size_t count);
// A burst of publications of `size` bytes to the subject.
int nats_burst(struct burst *burst, const char *subject, size_t size, uint32_t count);

#endif
