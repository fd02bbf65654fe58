#include "bench/floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/proc.h"

enum { BACKLOG = 2048 };

// The handler's only way to speak to the loops; the floors are small programs of one thread.
static volatile sig_atomic_t is_stopping;

void floor_die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static void on_signal(int number) {
    (void)number; // both mean the same
    is_stopping = 1;
}

bool floor_is_stopping(void) {
    return is_stopping != 0;
}

uint64_t floor_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void help(const char *name) {
    printf("%s [options]: a floor program; see bench/README.md\n\n"
           "  --address 127.0.0.1:9101  where to listen\n"
           "  --engine epoll            or uring\n"
           "  --cpu -1                  bind to this CPU\n"
           "  --size 20                 payload bytes of a message\n"
           "  --depth 1                 messages in flight, to size receive buffers\n"
           "  --connections 19000       most connections\n"
           "  --interval-ms 25000       floor_ping: each connection is pinged so often; 0: never\n"
           "  --tick-ms 10              floor_ping: pings leave in groups so often\n"
           "  --processes 1             epoll: share the port among so many processes\n"
           "  --unarmed                 nothing watches a connection after its handshake\n",
           name);
}

static void address_read(struct floor_options *options, const char *text) {
    char host[64];
    const char *colon = strchr(text, ':');
    if (colon == NULL) {
        floor_die("--address needs ADDRESS:PORT, not `%s`", text);
    }
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    options->address.sin_family = AF_INET;
    options->address.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &options->address.sin_addr) != 1) {
        floor_die("--address needs ADDRESS:PORT, not `%s`", text);
    }
}

static void options_read(struct floor_options *options, const char *name, int count,
                         char **arguments) {
    const struct {
        const char *name;
        uint64_t *field;
    } numbers[] = {{"--size", &options->size},
                   {"--depth", &options->depth},
                   {"--connections", &options->connections},
                   {"--interval-ms", &options->interval_ms},
                   {"--tick-ms", &options->tick_ms},
                   {"--processes", &options->processes}};
    address_read(options, "127.0.0.1:9101");
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        if (strcmp(argument, "--help") == 0) {
            help(name);
            exit(0);
        }
        if (strcmp(argument, "--unarmed") == 0) {
            options->is_unarmed = true;
            continue;
        }
        const char *value = i + 1 < count ? arguments[++i] : "";
        uint64_t *field = NULL;
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
            field = strcmp(argument, numbers[k].name) == 0 ? numbers[k].field : field;
        }
        if (field != NULL) {
            *field = strtoull(value, NULL, 10);
        } else if (strcmp(argument, "--address") == 0) {
            address_read(options, value);
        } else if (strcmp(argument, "--cpu") == 0) {
            options->cpu = strtol(value, NULL, 10);
        } else if (strcmp(argument, "--engine") == 0 &&
                   (strcmp(value, "uring") == 0 || strcmp(value, "epoll") == 0)) {
            options->is_uring = value[0] == 'u';
        } else {
            floor_die("%s: `%s %s`? --help lists the options", name, argument, value);
        }
    }
    if (options->size > (1 << 24) || options->depth == 0 || options->depth > 1024 ||
        options->connections == 0 || options->processes == 0 || options->processes > 64) {
        floor_die("%s: a size, depth or number is out of its range", name);
    }
}

static int listener_open(const struct sockaddr_in *address) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        bind(fd, (const struct sockaddr *)address, sizeof *address) != 0 ||
        listen(fd, BACKLOG) != 0) {
        floor_die("listen: %s", strerror(errno));
    }
    return fd;
}

void floor_init(struct floor *floor, const char *name, int count, char **arguments) {
    memset(floor, 0, sizeof *floor);
    floor->options = (struct floor_options){.size = 20,
                                            .depth = 1,
                                            .connections = 19000,
                                            .interval_ms = 25000,
                                            .tick_ms = 10,
                                            .processes = 1,
                                            .cpu = -1};
    options_read(&floor->options, name, count, arguments);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); // up to the hard limit needs no right
    }
    if (floor->options.cpu >= 0 && !proc_pin((int)floor->options.cpu)) {
        floor_die("%s: --cpu %lld: no such CPU", name, (long long)floor->options.cpu);
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int floor_run(struct floor *floor) {
    for (uint64_t i = 1; i < floor->options.processes; i++) {
        if (fork() == 0) {
            break;
        }
    }
    floor->listener = listener_open(&floor->options.address);
    puts("ready");
    fflush(stdout);
    int status = floor->options.is_uring ? floor_uring_run(floor) : floor_epoll_run(floor);
    free(floor->conns);
    close(floor->listener);
    return status;
}

void floor_send(struct floor *floor, struct floor_conn *conn, const uint8_t *bytes, size_t count,
                const struct msghdr *header) {
    if (conn->is_sending) {
        floor_die("connection %u lags behind; a floor knows no queues", conn->index);
    }
    conn->out = bytes;
    conn->out_count = count;
    floor->send(floor, conn, header);
}

void floor_conn_open(struct floor_conn *conn, uint32_t index, int fd) {
    uint8_t generation = conn->generation;
    *conn = (struct floor_conn){.index = index,
                                .fd = fd,
                                .state = FLOOR_HANDSHAKE,
                                .generation = (uint8_t)(generation + 1)};
}

bool floor_take(struct floor *floor, struct floor_conn *conn, const uint8_t *bytes, size_t count) {
    if (conn->state == FLOOR_OPEN) {
        floor->hooks.on_bytes(floor, conn, bytes, count);
        return true;
    }
    // The load generator sends its request in one piece, and one key for all its connections: one
    // answer serves them. A second run brings another key only when the first one's answers have
    // long been sent.
    char key[HANDSHAKE_KEY_LENGTH + 1];
    if (handshake_head(bytes, count, key) != count) {
        return false;
    }
    if (strcmp(key, floor->key) != 0) {
        char accept[HANDSHAKE_ACCEPT_LENGTH + 1];
        handshake_accept(key, accept);
        snprintf(floor->answer, sizeof floor->answer,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                 accept);
        memcpy(floor->key, key, sizeof key);
    }
    conn->state = FLOOR_OPEN;
    floor_send(floor, conn, (const uint8_t *)floor->answer, strlen(floor->answer), NULL);
    if (floor->hooks.on_open != NULL) {
        floor->hooks.on_open(floor, conn);
    }
    return true;
}
