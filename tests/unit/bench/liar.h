// A small WebSocket server for tests of the load generator: it serves echo and one channel,
// honestly or with one fault. For one program; it runs in a child process, and ends with its
// parent.
#ifndef TESTS_UNIT_BENCH_LIAR_H
#define TESTS_UNIT_BENCH_LIAR_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/client.h"

enum lie {
    HONEST,
    DAMAGES, // flips a bit of the 44th message it sends
    DROPS,   // leaves out the 44th
    DOUBLES, // sends it twice
    SWAPS,   // sends it after the 45th
    CUTS,    // closes a connection without a Close frame
    NEVER_PINGS,
    FORGETS_ONE,  // pings all but one
    CLOSES_WRONG, // on SIGTERM closes one with 1001
    LOSES_LAST,   // stops sending to one connection long before its Close
    DROPS_SLOW,   // leaves out every second message for connections from STALLED_FROM on
    CLOSES_SLOW,  // closes them with 1013 after STALLED_MESSAGES
    STALLS,       // does nothing for 300 ms, once
    REFUSES,      // answers every second request with 503
    BREAKS,       // answers with 500 from the 9th connection on
    STAYS_PLAIN,  // agrees to no compression
};

enum {
    CONNS_MAX = 128, // at a time
    FAULT_AT = 44,
    PING_MS = 60,
    STALL_MS = 300,
    STALLED_FROM = 5, // connections in the order they came: whom `slow` lets stall
    STALLED_MESSAGES = 10,
};

struct conn {
    int fd;
    bool is_open;
    bool is_channel;
    bool has_closed;
    uint32_t offered; // messages, with those it did not get
    uint8_t in[65536];
    size_t in_count;
    uint8_t *out;
    size_t out_count;
    size_t out_size;
};

struct server {
    struct conn conns[CONNS_MAX];
    struct pollfd polls[CONNS_MAX + 1];
    enum lie lie;
    uint64_t sent;
    uint32_t count;
    uint32_t requests;
    uint8_t kept[2048]; // a frame that SWAPS holds back
    size_t kept_length;
};

static volatile sig_atomic_t has_term;

static void on_term(int number) {
    (void)number;
    has_term++;
}

static void out(struct conn *conn, const uint8_t *bytes, size_t count) {
    if (conn->out_count + count > conn->out_size) {
        conn->out_size = (conn->out_count + count) * 2;
        conn->out = realloc(conn->out, conn->out_size);
    }
    memcpy(conn->out + conn->out_count, bytes, count);
    conn->out_count += count;
}

static void flush(struct conn *conn) {
    while (conn->out_count > 0) {
        ssize_t sent = send(conn->fd, conn->out, conn->out_count, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0) {
            return;
        }
        conn->out_count -= (size_t)sent;
        memmove(conn->out, conn->out + sent, conn->out_count);
    }
}

static void close_frame(struct conn *conn, uint16_t code) {
    uint8_t frame[4] = {0x88, 2, (uint8_t)(code >> 8), (uint8_t)code};
    if (!conn->has_closed) {
        out(conn, frame, sizeof frame);
        conn->has_closed = true;
    }
}

static void end(struct conn *conn) {
    close(conn->fd);
    conn->fd = -1;
}

// `first`: byte of the frame, so that what came compressed goes out so.
static void say(struct server *server, struct conn *conn, uint8_t first, const uint8_t *payload,
                size_t size) {
    uint8_t frame[2048] = {first};
    size_t header = frame_header_length(size);
    frame[1] = size < 126 ? (uint8_t)size : 126;
    frame[header - 2] = size < 126 ? frame[0] : (uint8_t)(size >> 8);
    frame[header - 1] = size < 126 ? frame[1] : (uint8_t)size;
    memcpy(frame + header, payload, size);
    size_t length = header + size;
    bool is_victim = conn == &server->conns[3];
    if (conn->has_closed || (server->lie == LOSES_LAST && is_victim && server->sent > 40)) {
        server->sent++;
        return;
    }
    bool is_stalled = conn >= &server->conns[STALLED_FROM];
    conn->offered++;
    if (is_stalled && server->lie == DROPS_SLOW && conn->offered % 2 == 0) {
        return;
    }
    if (is_stalled && server->lie == CLOSES_SLOW && conn->offered > STALLED_MESSAGES) {
        close_frame(conn, 1013);
        return;
    }
    bool is_fault = server->sent++ == FAULT_AT;
    if (is_fault && server->lie == STALLS) {
        (void)poll(NULL, 0, STALL_MS);
    }
    if (is_fault && server->lie == DAMAGES) {
        frame[length - 2] ^= 4;
    }
    if (is_fault && server->lie == SWAPS) {
        memcpy(server->kept, frame, length);
        server->kept_length = length;
        return;
    }
    if (!is_fault || server->lie != DROPS) {
        out(conn, frame, length);
    }
    if (is_fault && server->lie == DOUBLES) {
        out(conn, frame, length);
    }
    if (server->kept_length > 0) {
        out(conn, server->kept, server->kept_length);
        server->kept_length = 0;
    }
    if (is_fault && server->lie == CUTS) {
        end(conn);
    }
}

static void on_frame(struct server *server, struct conn *conn, uint8_t first,
                     const uint8_t *payload, size_t size) {
    uint8_t opcode = first & 15;
    if (opcode == OPCODE_CLOSE) {
        close_frame(conn, 1000);
        flush(conn);
        end(conn);
    } else if (opcode == OPCODE_BINARY && !conn->is_channel) {
        say(server, conn, first, payload, size);
    }
    for (uint32_t i = 0; opcode == OPCODE_BINARY && conn->is_channel && i < server->count; i++) {
        if (server->conns[i].fd >= 0 && server->conns[i].is_channel) {
            say(server, &server->conns[i], first, payload, size);
        }
    }
}

// True: the connection was answered with a refusal and is no more.
static bool refuse(struct server *server, struct conn *conn) {
    static const char BUSY[] = "HTTP/1.1 503 X\r\nRetry-After: 0\r\n\r\n";
    static const char BROKEN[] = "HTTP/1.1 500 X\r\n\r\n";
    server->requests++;
    bool is_busy = server->lie == REFUSES && server->requests > 8 && server->requests % 2 == 0;
    if (!is_busy && (server->lie != BREAKS || server->requests < 9)) {
        return false;
    }
    const char *answer = is_busy ? BUSY : BROKEN;
    out(conn, (const uint8_t *)answer, strlen(answer));
    flush(conn);
    end(conn);
    return true;
}

static size_t take_request(struct conn *conn, enum lie lie) {
    static const char DEFLATE[] = "Sec-WebSocket-Extensions: " DEFLATE_OFFER "\r\n";
    char key[HANDSHAKE_KEY_LENGTH + 1];
    char accept[HANDSHAKE_ACCEPT_LENGTH + 1];
    char answer[200];
    size_t length = handshake_head(conn->in, conn->in_count, key);
    if (length > 0) {
        handshake_accept(key, accept);
        bool is_offered = memmem(conn->in, length, DEFLATE, sizeof DEFLATE - 1) != NULL;
        int count =
            snprintf(answer, sizeof answer, "HTTP/1.1 101 X\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                     accept, is_offered && lie != STAYS_PLAIN ? DEFLATE : "");
        out(conn, (uint8_t *)answer, (size_t)count);
        conn->is_open = true;
        conn->is_channel = memcmp(conn->in, "GET /chat", 9) == 0;
    }
    return length;
}

static void receive(struct server *server, struct conn *conn) {
    ssize_t received =
        recv(conn->fd, conn->in + conn->in_count, sizeof conn->in - conn->in_count, MSG_DONTWAIT);
    if (received == 0 || (received < 0 && errno != EAGAIN)) {
        end(conn);
        return;
    }
    conn->in_count += received > 0 ? (size_t)received : 0;
    if (!conn->is_open && conn->in_count > 0 && refuse(server, conn)) {
        return;
    }
    size_t at = conn->is_open ? 0 : take_request(conn, server->lie);
    while (conn->fd >= 0 && conn->in_count - at >= 6) {
        uint8_t *frame = conn->in + at;
        size_t size = frame[1] & 127;
        size_t header = 2;
        if (size == 126) {
            size = (size_t)frame[2] << 8 | frame[3];
            header = 4;
        }
        if (conn->in_count - at < header + 4 + size) {
            break;
        }
        frame_mask(frame + header + 4, size, frame + header);
        on_frame(server, conn, frame[0], frame + header + 4, size);
        at += header + 4 + size;
    }
    conn->in_count -= at;
    memmove(conn->in, conn->in + at, conn->in_count);
}

static void ping_all(struct server *server) {
    for (uint32_t i = 0; i < server->count; i++) {
        struct conn *conn = &server->conns[i];
        if (conn->fd >= 0 && conn->is_open && !conn->has_closed && server->lie != NEVER_PINGS &&
            !(server->lie == FORGETS_ONE && i == 3)) {
            out(conn,
                (const uint8_t *)"\x89\x03"
                                 "abc",
                5);
        }
    }
}

static void close_all(struct server *server) {
    for (uint32_t i = 0; i < server->count; i++) {
        if (server->conns[i].fd >= 0) {
            close_frame(&server->conns[i], server->lie == CLOSES_WRONG && i == 3 ? 1001 : 1012);
        }
    }
}

// Into the first place that is free: a run may open more connections than there are places.
static void take_in(struct server *server, int listener) {
    uint32_t at = 0;
    while (at < server->count && server->conns[at].fd >= 0) {
        at++;
    }
    if (at == CONNS_MAX) {
        return;
    }
    struct conn *conn = &server->conns[at];
    int small = 8192;
    free(conn->out);
    memset(conn, 0, sizeof *conn);
    conn->fd = accept(listener, NULL, NULL);
    setsockopt(conn->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    server->count += at == server->count;
}

// Accepts and serves until its parent ends.
static _Noreturn void serve(int listener, enum lie lie) {
    struct server *server = calloc(1, sizeof *server);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, on_term);
    server->lie = lie;
    uint64_t ping_ns = client_clock_ns();
    for (;;) {
        server->polls[0] = (struct pollfd){.fd = listener, .events = POLLIN};
        for (uint32_t i = 0; i < server->count; i++) {
            struct conn *conn = &server->conns[i];
            server->polls[i + 1] = (struct pollfd){
                .fd = conn->fd, .events = (short)(POLLIN | (conn->out_count > 0 ? POLLOUT : 0))};
        }
        (void)poll(server->polls, server->count + 1, 10);
        if (client_clock_ns() - ping_ns > PING_MS * 1000000ULL) {
            ping_all(server);
            ping_ns = client_clock_ns();
        }
        if (has_term > 0) {
            close_all(server);
        }
        uint32_t count = server->count;
        for (uint32_t i = 0; i < count; i++) {
            if (server->conns[i].fd >= 0 && server->polls[i + 1].revents != 0) {
                receive(server, &server->conns[i]);
            }
        }
        if (server->polls[0].revents != 0) {
            take_in(server, listener);
        }
        for (uint32_t i = 0; i < server->count; i++) {
            if (server->conns[i].fd >= 0) {
                flush(&server->conns[i]);
            }
        }
    }
}

#endif
