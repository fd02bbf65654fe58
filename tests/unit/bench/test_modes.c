// Does each mode see a server that lies? A small server in a child process serves echo and one
// channel, honestly or with one fault; an honest server must pass, every fault must fail.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/frame.h"
#include "bench/handshake.h"
#include "bench/team.h"

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
    DROPS_SLOW,   // drops whole messages for those that do not read
    CLOSES_SLOW,  // closes them with 1013
};

enum { CONNS_MAX = 64, QUEUE_MAX = 20000, FAULT_AT = 44, PING_MS = 60 };

struct conn {
    int fd;
    bool is_open;
    bool is_channel;
    bool has_closed;
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

static void say(struct server *server, struct conn *conn, const uint8_t *payload, size_t size) {
    uint8_t frame[2048] = {0x82};
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
    if (conn->out_count > QUEUE_MAX && server->lie == DROPS_SLOW) {
        return;
    }
    if (conn->out_count > QUEUE_MAX && server->lie == CLOSES_SLOW) {
        close_frame(conn, 1013);
        return;
    }
    bool is_fault = server->sent++ == FAULT_AT;
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

static void on_frame(struct server *server, struct conn *conn, uint8_t opcode,
                     const uint8_t *payload, size_t size) {
    if (opcode == OPCODE_CLOSE) {
        close_frame(conn, 1000);
        flush(conn);
        end(conn);
    } else if (opcode == OPCODE_BINARY && !conn->is_channel) {
        say(server, conn, payload, size);
    }
    for (uint32_t i = 0; opcode == OPCODE_BINARY && conn->is_channel && i < server->count; i++) {
        if (server->conns[i].fd >= 0 && server->conns[i].is_open) {
            say(server, &server->conns[i], payload, size);
        }
    }
}

static size_t take_request(struct conn *conn) {
    char key[HANDSHAKE_KEY_LENGTH + 1];
    char accept[HANDSHAKE_ACCEPT_LENGTH + 1];
    char answer[200];
    size_t length = handshake_request(conn->in, conn->in_count, key);
    if (length > 0) {
        handshake_accept(key, accept);
        int count = snprintf(answer, sizeof answer,
                             "HTTP/1.1 101 X\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
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
    size_t at = conn->is_open ? 0 : take_request(conn);
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
        on_frame(server, conn, frame[0] & 15, frame + header + 4, size);
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
        if (server->polls[0].revents != 0 && count < CONNS_MAX) {
            server->conns[count].fd = accept(listener, NULL, NULL);
            int small = 8192;
            setsockopt(server->conns[count].fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
            server->count++;
        }
        for (uint32_t i = 0; i < server->count; i++) {
            if (server->conns[i].fd >= 0) {
                flush(&server->conns[i]);
            }
        }
    }
}

// --- Running a mode against it.

static struct report report;

static void run(const char *mode, enum lie lie, int extra_count, char **extra) {
    char url[64];
    char pid_text[16];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(listener, 64), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    pid_t pid = fork();
    if (pid == 0) {
        serve(listener, lie);
    }
    close(listener);
    bool is_echo =
        strcmp(mode, "echo") == 0 || strcmp(mode, "hold") == 0 || strcmp(mode, "churn") == 0;
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/%s", ntohs(address.sin_port),
             is_echo ? "echo" : "chat");
    snprintf(pid_text, sizeof pid_text, "%d", (int)pid);
    char *arguments[32] = {"bench", (char *)(uintptr_t)mode, url, "--quiet", "--pid", pid_text};
    memcpy(arguments + 6, extra, (size_t)extra_count * sizeof *extra);
    struct options options;
    cr_assert_eq(options_read(&options, 6 + extra_count, arguments), OPTIONS_RUN);
    report_init(&report, mode);
    switch (options.mode) {
    case MODE_HOLD:
        mode_hold(&options, &report);
        break;
    case MODE_ECHO:
        mode_echo(&options, &report);
        break;
    case MODE_FANOUT:
        mode_fanout(&options, &report);
        break;
    case MODE_SLOW:
        mode_slow(&options, &report);
        break;
    case MODE_DRAIN:
        mode_drain(&options, &report);
        break;
    default:
        mode_churn(&options, &report);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

#define RUN(mode, lie, ...)                                                                        \
    do {                                                                                           \
        char *extra[] = {__VA_ARGS__};                                                             \
        run(mode, lie, (int)(sizeof extra / sizeof extra[0]), extra);                              \
    } while (false)

static double row(const char *key) {
    for (uint32_t i = 0; i < report.row_count; i++) {
        if (strcmp(report.rows[i].key, key) == 0) {
            return report.rows[i].value;
        }
    }
    cr_assert_fail("no row %s", key);
    return -1;
}

static void is_honest(void) {
    cr_assert_eq(report.problem_count, 0, "%s", report.problems[0]);
}

static void is_seen(const char *words) {
    bool is_found = false;
    for (uint32_t i = 0; i < report.problem_count; i++) {
        is_found |= strstr(report.problems[i], words) != NULL;
    }
    cr_assert(is_found, "`%s` is not said; first problem: %s", words, report.problems[0]);
}

#define ECHO_SHORT "--connections", "5", "--depth", "3", "--seconds", "0.2", "--warmup", "0.1"

Test(modes, echo) {
    RUN("echo", HONEST, ECHO_SHORT);
    is_honest();
    cr_assert(row("messages_per_second") > 100);
    cr_assert(row("server_cpu_ns_per_message") > 100);
    RUN("echo", HONEST, "--size", "1500", ECHO_SHORT);
    is_honest();
    RUN("echo", DAMAGES, ECHO_SHORT);
    is_seen("is not what was sent");
    RUN("echo", DOUBLES, ECHO_SHORT);
    is_seen("answer"); // a wrong one, or one to nothing
    RUN("echo", SWAPS, ECHO_SHORT);
    is_seen("is not what was sent");
    RUN("echo", CUTS, ECHO_SHORT);
    is_seen("closed a connection");
}

#define FANOUT_SHORT "--subscribers", "5", "--depth", "3", "--seconds", "0.2", "--warmup", "0.1"

Test(modes, fanout) {
    RUN("fanout", HONEST, FANOUT_SHORT);
    is_honest();
    RUN("fanout", HONEST, "--publishers", "3", FANOUT_SHORT);
    is_honest();
    RUN("fanout", DAMAGES, FANOUT_SHORT);
    is_seen("nobody published");
    RUN("fanout", DROPS, FANOUT_SHORT);
    is_seen("came instead of");
    RUN("fanout", DOUBLES, FANOUT_SHORT);
    is_seen("came instead of");
    RUN("fanout", CUTS, FANOUT_SHORT);
    is_seen("closed a connection");
}

#define HOLD_SHORT "--connections", "10", "--seconds", "0.5", "--ping-interval", "0.1"

Test(modes, hold) {
    RUN("hold", HONEST, HOLD_SHORT);
    is_honest();
    cr_assert(row("pings_min") >= 5);
    RUN("hold", HONEST, "--children", "3", HOLD_SHORT);
    is_honest();
    RUN("hold", NEVER_PINGS, HOLD_SHORT);
    is_seen("10 connections received fewer than 5 pings");
    RUN("hold", FORGETS_ONE, HOLD_SHORT);
    is_seen("1 connections received fewer than 5 pings");
}

#define DRAIN_SHORT                                                                                \
    "--connections", "10", "--channels", "1", "--rate", "100", "--term", "--warmup", "1.2",        \
        "--seconds", "3"

Test(modes, drain) {
    RUN("drain", HONEST, DRAIN_SHORT);
    is_honest();
    cr_assert_eq(row("closed_1012"), 10);
    RUN("drain", CLOSES_WRONG, DRAIN_SHORT);
    is_seen("9 of 10 connections saw 1012");
}

Test(modes, drain_losses) {
    RUN("drain", LOSES_LAST, DRAIN_SHORT);
    is_seen("1 connections lost");
    RUN("drain", DROPS, DRAIN_SHORT);
    is_seen("message"); // not that of others, or, seen first, not the next one
    RUN("drain", DAMAGES, DRAIN_SHORT);
    is_seen("nobody published");
}

#define SLOW_SHORT                                                                                 \
    "--readers", "4", "--stalled", "3", "--rate", "400", "--size", "1000", "--seconds", "0.6"

Test(modes, slow) {
    RUN("slow", HONEST, SLOW_SHORT);
    is_honest();
    cr_assert_eq(row("stalled_complete"), 3);
    cr_assert_eq(row("stalled_received"), 3 * row("published"));
}

Test(modes, slow_drops) {
    RUN("slow", DROPS_SLOW, SLOW_SHORT);
    is_honest();
    cr_assert(row("stalled_gaps") + row("stalled_tail") > 100);
    cr_assert_eq(row("stalled_open"), 3);
}

Test(modes, slow_closes) {
    RUN("slow", CLOSES_SLOW, SLOW_SHORT);
    is_honest();
    cr_assert_eq(row("stalled_1013"), 3);
    cr_assert(row("stalled_tail") > 100);
}

Test(modes, slow_lies) {
    RUN("slow", DROPS, SLOW_SHORT);
    is_seen("readers lack 1 messages");
    RUN("slow", DOUBLES, SLOW_SHORT);
    is_seen("came again");
}

Test(modes, churn) {
    RUN("churn", HONEST, "--concurrency", "1", "--seconds", "0.02", "--warmup", "0");
    is_honest();
}
