#include "bench/client.h"

#include "bench/client_send.h"
#include "bench/nats.h"
#include "bench/secure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_PER_TURN = 512,
    BUFFER_SIZE = 512 * 1024,
    VISIT_BYTES = 256 * 1024, // of one peer; then the others have their turn
};

uint64_t client_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

void client_fail(struct client *client, const char *format, ...) {
    if (client->error[0] != 0) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(client->error, sizeof client->error, format, arguments);
    va_end(arguments);
}

int client_init(struct client *client, const struct client_options *options,
                const struct client_hooks *hooks, void *mode) {
    memset(client, 0, sizeof *client);
    client->options = *options;
    client->hooks = *hooks;
    client->mode = mode;
    client->buffer_size = BUFFER_SIZE;
    client->buffer = malloc(BUFFER_SIZE);
    client->peers = calloc(options->peer_count, sizeof *client->peers);
    client->unread = calloc(2 * (size_t)options->peer_count, sizeof *client->unread);
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (client->buffer == NULL || client->peers == NULL || client->unread == NULL ||
        client->epoll < 0) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < options->peer_count; i++) {
        client->peers[i].index = i;
        client->peers[i].fd = -1;
    }
    if (options->is_secure && !secure_init(options->does_resume)) {
        return -ENOTSUP;
    }
    client->inflater = options->does_deflate ? inflater_open() : NULL;
    if (options->does_deflate && client->inflater == NULL) {
        return -ENOMEM;
    }
    handshake_accept(options->key, client->accept);
    client->now_ns = client_clock_ns();
    return 0;
}

static void peer_end(struct client *client, struct peer *peer) {
    if (peer->state == PEER_IDLE || peer->state == PEER_CLOSED) {
        return;
    }
    if (peer->state < PEER_OPEN) {
        client->opening_count--;
    } else {
        client->open_count--;
    }
    if (peer->close_code == 0) {
        peer->close_code = CLIENT_CLOSE_LOST;
    }
    if (peer->secure != NULL) {
        secure_close(peer->secure);
        peer->secure = NULL;
    }
    close(peer->fd);
    peer->fd = -1;
    peer->is_unread = false;
    bytes_free(&peer->tail);
    bytes_free(&peer->message);
    bytes_free(&peer->out);
    bytes_free(&peer->stream);
    peer->state = PEER_CLOSED;
    client->closed_count++;
    if (client->hooks.on_closed != NULL) {
        client->hooks.on_closed(client, peer);
    }
}

void client_fini(struct client *client) {
    client->hooks.on_closed = NULL;
    for (uint32_t i = 0; i < client->options.peer_count; i++) {
        peer_end(client, &client->peers[i]);
    }
    close(client->epoll);
    inflater_close(client->inflater);
    free(client->peers);
    free(client->unread);
    free(client->buffer);
}

void client_cut(struct client *client, struct peer *peer, bool reset) {
    if (reset && peer->fd >= 0) {
        struct linger linger = {.l_onoff = 1};
        (void)setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger); // else a FIN
    }
    peer_end(client, peer);
}

static int socket_prepare(const struct client *client, const struct peer *peer, int fd) {
    const struct client_options *options = &client->options;
    int one = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) {
        return -errno;
    }
    if (options->receive_buffer != 0 && peer->index >= options->receive_from) {
        int size = (int)options->receive_buffer;
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) != 0) {
            return -errno;
        }
    }
    if (ntohl(options->address.sin_addr.s_addr) >> 24 != 127) {
        return 0;
    }
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) != 0) {
        return -errno;
    }
    uint32_t source = 0x7F010001U + (options->first_index + peer->index) / CLIENT_PER_SOURCE;
    if (options->has_churn) {
        source += client->connect_count / CLIENT_CHURN_PER_SOURCE % CLIENT_CHURN_SOURCES;
    }
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
    return bind(fd, (struct sockaddr *)&from, sizeof from) == 0 ? 0 : -errno;
}

int client_connect(struct client *client, struct peer *peer) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    int result = socket_prepare(client, peer, fd);
    const struct sockaddr_in *address = &client->options.address;
    if (result == 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
        errno != EINPROGRESS) {
        result = -errno;
    }
    // Edge-triggered in both directions for the connection's life: one epoll_ctl each.
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u32 = peer->index};
    if (result == 0 && epoll_ctl(client->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        result = -errno;
    }
    if (result != 0) {
        close(fd);
        return result;
    }
    peer->fd = fd;
    peer->state = PEER_CONNECTING;
    peer->close_code = 0;
    peer->status = 0;
    peer->retry_after_s = 0;
    peer->has_closed = false;
    client->opening_count++;
    client->connect_count++;
    return 0;
}

static ssize_t peer_get(struct peer *peer, uint8_t *bytes, size_t room) {
    return peer->secure != NULL ? secure_receive(peer->secure, bytes, room)
                                : recv(peer->fd, bytes, room, 0);
}

static void send_request(struct client *client, struct peer *peer) {
    const struct client_options *options = &client->options;
    bool is_first = peer->index < options->first_path_count;
    uint32_t numbers = options->path_count == 0 ? UINT32_MAX : options->path_count;
    char request[1024];
    size_t length = handshake_write(
        request, sizeof request,
        &(struct handshake_request){.path = is_first ? options->first_path : options->path,
                                    .number = (options->first_index + peer->index) % numbers,
                                    .host = options->host,
                                    .key = options->key,
                                    .extensions = options->does_deflate ? DEFLATE_OFFER : NULL});
    peer->state = PEER_HANDSHAKE;
    client_send(client, peer, (uint8_t *)request, length);
}

static void on_close_frame(struct client *client, struct peer *peer, const struct frame *frame) {
    const uint8_t *payload = frame->payload;
    peer->close_code = CLIENT_CLOSE_NONE;
    if (frame->payload_length >= 2) {
        peer->close_code = (uint16_t)(payload[0] << 8 | payload[1]);
    }
    if (!peer->has_closed) {
        client_send_control(client, peer, OPCODE_CLOSE, payload,
                            frame->payload_length >= 2 ? 2 : 0);
        peer->has_closed = true;
    }
    peer->state = PEER_CLOSING; // The server closes TCP first (RFC 6455 s7.1.1).
}

static void deliver(struct client *client, struct peer *peer, const uint8_t *bytes, size_t count,
                    bool is_packed) {
    if (is_packed && !inflater_message(client->inflater, &bytes, &count)) {
        client_fail(client, "connection %u: a message that cannot be inflated", peer->index);
        return;
    }
    client->packed_count += is_packed;
    if (client->options.nats != NULL) {
        nats_take(client, peer, bytes, count);
        return;
    }
    client->message_count++;
    if (client->hooks.on_message != NULL) {
        client->hooks.on_message(client, peer, bytes, count);
    }
}

static void on_fragment(struct client *client, struct peer *peer, const struct frame *frame) {
    if (frame->opcode != OPCODE_CONTINUATION) {
        peer->is_packed = frame->is_packed;
    }
    if (!bytes_add(&peer->message, frame->payload, frame->payload_length)) {
        client_fail(client, "out of memory for a fragmented message");
        return;
    }
    if (!frame->is_final) {
        return;
    }
    struct bytes message = peer->message;
    memset(&peer->message, 0, sizeof peer->message);
    deliver(client, peer, message.data, message.count, peer->is_packed);
    free(message.data);
}

static void on_frame(struct client *client, struct peer *peer, const struct frame *frame) {
    switch (frame->opcode) {
    case OPCODE_CLOSE:
        on_close_frame(client, peer, frame);
        break;
    case OPCODE_PING:
        peer->pings++;
        client->ping_count++;
        client_send_control(client, peer, OPCODE_PONG, frame->payload, frame->payload_length);
        if (client->hooks.on_ping != NULL) {
            client->hooks.on_ping(client, peer);
        }
        break;
    case OPCODE_PONG:
        break;
    default:
        if (!frame->is_final || frame->opcode == OPCODE_CONTINUATION) {
            on_fragment(client, peer, frame);
            break;
        }
        deliver(client, peer, frame->payload, frame->payload_length, frame->is_packed);
    }
}

// Returns how many of the bytes the answer's head took; the rest are frames.
static size_t take_answer(struct client *client, struct peer *peer, const uint8_t *bytes,
                          size_t count) {
    size_t length = 0;
    switch (handshake_check(bytes, count, client->accept, &length)) {
    case HANDSHAKE_MORE:
        return 0;
    case HANDSHAKE_REFUSED:
        peer->status = handshake_refusal(bytes, count, &peer->retry_after_s);
        if (peer->status == 0 || !client->options.may_be_refused) {
            client_fail(client, "handshake refused: %.*s",
                        (int)strcspn((const char *)bytes, "\r\n"), (const char *)bytes);
        }
        peer_end(client, peer);
        return 0;
    case HANDSHAKE_BAD_ACCEPT:
        client_fail(client, "the answer's Sec-WebSocket-Accept is missing or wrong");
        peer_end(client, peer);
        return 0;
    case HANDSHAKE_DONE:
        break;
    }
    if (client->options.does_deflate && !handshake_deflates(bytes, length)) {
        client_fail(client, "the server does not compress without a context");
        peer_end(client, peer);
        return 0;
    }
    if (peer->secure != NULL) {
        secure_keep(peer->secure);
    }
    peer->state = PEER_OPEN;
    client->opening_count--;
    client->open_count++;
    if (client->options.nats != NULL) {
        nats_begin(client, peer);
    }
    if (client->hooks.on_open != NULL) {
        client->hooks.on_open(client, peer);
    }
    return length;
}

// Handles all that is complete in the buffer and keeps the rest in the peer's tail.
static void take_bytes(struct client *client, struct peer *peer, size_t count) {
    uint8_t *bytes = client->buffer;
    size_t at = 0;
    if (peer->state == PEER_HANDSHAKE) {
        bytes[count] = 0; // client_turn keeps one byte free, so that an error can print a line
        at = take_answer(client, peer, bytes, count);
    }
    while (peer->state == PEER_OPEN && at < count) {
        struct frame frame;
        enum frame_result result =
            frame_read(bytes + at, count - at, client->inflater != NULL, &frame);
        if (result == FRAME_MORE) {
            break;
        }
        if (result == FRAME_BAD) {
            client_fail(client, "connection %u: the server sent a frame it may not send: %02x %02x",
                        peer->index, bytes[at], bytes[at + 1]);
            peer_end(client, peer);
            return;
        }
        on_frame(client, peer, &frame);
        at += frame.length;
    }
    if (peer->state == PEER_CLOSING || peer->state == PEER_CLOSED) {
        if (peer->state == PEER_CLOSING && at < count) {
            client_fail(client, "connection %u: %zu bytes behind the Close frame", peer->index,
                        count - at);
        }
        return;
    }
    if (at < count && !bytes_add(&peer->tail, bytes + at, count - at)) {
        client_fail(client, "out of memory for an unfinished frame");
    }
}

// Puts an unfinished frame in front of what will be received. Returns its size.
static size_t tail_restore(struct client *client, struct peer *peer) {
    size_t count = peer->tail.count;
    if (count == 0) {
        return 0;
    }
    if (client->buffer_size < count * 2 + BUFFER_SIZE) {
        uint8_t *grown = realloc(client->buffer, count * 3 + BUFFER_SIZE);
        if (grown == NULL) {
            client_fail(client, "out of memory for a frame of more than %zu bytes", count);
            return 0;
        }
        client->buffer = grown;
        client->buffer_size = count * 3 + BUFFER_SIZE;
    }
    memcpy(client->buffer, peer->tail.data, count);
    bytes_free(&peer->tail);
    return count;
}

// A server that answers one peer as fast as that peer asks again would keep the others waiting:
// over TLS, where both ends take long for a message, one of 100 had seconds for itself.
static void peer_leave_unread(struct client *client, struct peer *peer) {
    if (!peer->is_unread) {
        peer->is_unread = true;
        client->unread[client->unread_count++] = peer->index; // once a turn, beside the last turn's
    }
}

static void peer_receive(struct client *client, struct peer *peer, bool must_drain) {
    size_t visit = 0;
    while (peer->fd >= 0 && !peer->is_paused) {
        size_t before = tail_restore(client, peer);
        size_t room = client->buffer_size - before - 1;
        ssize_t received = peer_get(peer, client->buffer + before, room);
        if (received <= 0) {
            bool is_waiting = received < 0 && (errno == EAGAIN || errno == EINTR);
            if (is_waiting && before > 0 && !bytes_add(&peer->tail, client->buffer, before)) {
                client_fail(client, "out of memory for an unfinished frame");
            }
            if (!is_waiting) {
                peer_end(client, peer);
            }
            return;
        }
        client->byte_count += (uint64_t)received;
        visit += (size_t)received;
        client->now_ns = client_clock_ns();
        take_bytes(client, peer, before + (size_t)received);
        if (client->hooks.on_batch != NULL && peer->state == PEER_OPEN) {
            client->hooks.on_batch(client, peer);
        }
        // A short read has emptied the socket: the next byte or FIN is a new edge. A FIN that came
        // with this event must be read now (must_drain).
        // TLS gives a record at a time: it says itself when there is none.
        if ((size_t)received < room && !must_drain && peer->secure == NULL) {
            return;
        }
        if (visit >= VISIT_BYTES && peer->fd >= 0) {
            peer_leave_unread(client, peer);
            return;
        }
    }
}

static void on_event(struct client *client, struct peer *peer, uint32_t events) {
    if (peer->fd < 0) {
        return;
    }
    if (peer->state == PEER_CONNECTING) {
        int error = 0;
        socklen_t length = sizeof error;
        if (getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) {
            client_fail(client, "connect: %s", strerror(error));
            peer_end(client, peer);
            return;
        }
        if ((events & EPOLLOUT) == 0) {
            return;
        }
        if (client->options.is_secure) {
            peer->state = PEER_SECURING;
            peer->secure = secure_open(peer->fd);
        } else {
            send_request(client, peer);
        }
    }
    if (peer->state == PEER_SECURING) {
        const char *reason = NULL;
        enum secure_result result = secure_shake(peer->secure, &reason);
        if (result == SECURE_FAILED) {
            client_fail(client, "TLS: %s", reason);
            peer_end(client, peer);
        }
        if (result != SECURE_DONE) {
            return;
        }
        send_request(client, peer);
    } else if ((events & EPOLLOUT) != 0 && peer->out.count > 0) {
        client_flush(peer);
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        peer_receive(client, peer, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
}

void client_turn(struct client *client, int timeout_ms) {
    struct epoll_event events[EVENTS_PER_TURN];
    bool may_wait = !client->options.may_spin && client->unread_count == 0;
    int timeout = may_wait ? timeout_ms : 0;
    uint32_t unread_count = client->unread_count; // those that are added meanwhile wait
    int count = epoll_wait(client->epoll, events, EVENTS_PER_TURN, timeout);
    client->now_ns = client_clock_ns();
    for (int i = 0; i < count; i++) {
        on_event(client, &client->peers[events[i].data.u32], events[i].events);
    }
    for (uint32_t i = 0; i < unread_count; i++) {
        struct peer *peer = &client->peers[client->unread[i]];
        if (peer->is_unread) {
            peer->is_unread = false;
            peer_receive(client, peer, true); // the edge is long gone
        }
    }
    client->unread_count -= unread_count;
    memmove(client->unread, client->unread + unread_count,
            client->unread_count * sizeof *client->unread);
}

void client_pause(struct client *client, struct peer *peer, bool is_paused) {
    peer->is_paused = is_paused;
    if (!is_paused && peer->fd >= 0) {
        peer_receive(client, peer, true); // the edge may be long gone
    }
}
