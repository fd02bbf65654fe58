// A client's bytes out: what a socket does not take waits in the peer.
#include "bench/client_send.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/secure.h"

static ssize_t peer_put(struct peer *peer, const uint8_t *bytes, size_t count) {
    return peer->secure != NULL ? secure_send(peer->secure, bytes, count)
                                : send(peer->fd, bytes, count, MSG_NOSIGNAL);
}

void client_flush(struct peer *peer) {
    size_t done = 0;
    while (done < peer->out.count) {
        ssize_t sent = peer_put(peer, peer->out.data + done, peer->out.count - done);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                peer->out.count = 0; // The receive side learns of the end, and ends the peer.
                return;
            }
            break;
        }
        done += (size_t)sent;
    }
    if (done == peer->out.count) {
        bytes_free(&peer->out);
    } else if (done > 0) {
        peer->out.count -= done;
        memmove(peer->out.data, peer->out.data + done, peer->out.count);
    }
}

void client_send(struct client *client, struct peer *peer, const uint8_t *bytes, size_t count) {
    if (peer->fd < 0 || peer->state < PEER_HANDSHAKE) {
        return;
    }
    size_t done = 0;
    if (peer->out.count == 0) {
        ssize_t sent = peer_put(peer, bytes, count);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return; // The receive side learns of the end, and ends the peer.
        }
        done = sent < 0 ? 0 : (size_t)sent;
    }
    if (done < count && !bytes_add(&peer->out, bytes + done, count - done)) {
        client_fail(client, "out of memory for unsent bytes");
    }
}

void client_send_control(struct client *client, struct peer *peer, uint8_t opcode,
                         const uint8_t *payload, size_t count) {
    static const uint8_t mask[4] = {0x11, 0x22, 0x33, 0x44};
    uint8_t frame[14 + 125];
    size_t header = frame_header_write(frame, opcode, count, mask);
    memcpy(frame + header, payload, count);
    frame_mask(frame + header, count, mask);
    client_send(client, peer, frame, header + count);
}

void client_close(struct client *client, struct peer *peer, uint16_t code) {
    if (peer->state != PEER_OPEN || peer->has_closed) {
        return;
    }
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    client_send_control(client, peer, OPCODE_CLOSE, payload, sizeof payload);
    peer->has_closed = true;
}
