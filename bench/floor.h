// The floors: what a server costs that does the sends and receives of ours and nothing else. It
// knows every size from the command line, parses nothing, queues nothing, and answers the opening
// handshake so that the same load generator can drive it. Each program is four small hooks on one
// of two engines (epoll, io_uring). One thread.
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "bench/handshake.h"

enum { FLOOR_SENDS_PER_TURN = 256, FLOOR_ANSWER_SIZE = 160 };

enum floor_state { FLOOR_FREE, FLOOR_HANDSHAKE, FLOOR_OPEN };

struct floor_conn {
    const uint8_t *out; // of the send that is under way
    size_t out_count;
    uint64_t user;  // the program's own
    size_t partial; // bytes of an unfinished client frame
    uint32_t index;
    int fd; // epoll: the descriptor; io_uring: the slot in its ring
    uint8_t state;
    uint8_t generation;
    bool is_sending;
    bool is_receiving; // io_uring: a RECV is in flight
    bool has_event;    // io_uring: the poll fired meanwhile
    bool is_paused;    // epoll: waits for room to send
};

struct floor_options {
    struct sockaddr_in address;
    uint64_t size;        // payload bytes of a message
    uint64_t depth;       // messages in flight, to size receive buffers
    uint64_t connections; // most of them
    uint64_t interval_ms; // floor_ping
    uint64_t tick_ms;     // floor_ping
    uint64_t processes;   // epoll: floor_ping beyond the descriptor limit
    int64_t cpu;
    bool is_uring;
    bool is_unarmed; // floor_ping: after the handshake nothing watches the connection
};

struct floor;

struct floor_hooks {
    void (*on_open)(struct floor *floor, struct floor_conn *conn);
    void (*on_bytes)(struct floor *floor, struct floor_conn *conn, const uint8_t *bytes,
                     size_t count);
    void (*on_sent)(struct floor *floor, struct floor_conn *conn);
    void (*on_closed)(struct floor *floor, struct floor_conn *conn);
    bool (*on_turn)(struct floor *floor); // true: it has more to send at once
    void (*on_tick)(struct floor *floor); // every tick_ms
};

struct floor {
    struct floor_options options;
    struct floor_hooks hooks;
    void *program;
    struct floor_conn *conns; // by index
    void *engine;
    void (*send)(struct floor *floor, struct floor_conn *conn, const struct msghdr *header);
    uint32_t conn_count; // size of conns
    uint32_t open_count;
    int listener;
    char key[HANDSHAKE_KEY_LENGTH + 1]; // the one that `answer` answers
    char answer[FLOOR_ANSWER_SIZE];     // sends of many connections point into it
};

// Reads the arguments, binds the process, opens the listener. Ends the process with a message when
// something is wrong.
void floor_init(struct floor *floor, const char *name, int count, char **arguments);
// Serves until SIGTERM or SIGINT. Prints "ready" on stdout when it listens.
int floor_run(struct floor *floor);
// Sends bytes that live until on_sent. `header` (may be NULL) describes the same bytes in pieces
// for one sendmsg. At most one send at a time for a connection.
void floor_send(struct floor *floor, struct floor_conn *conn, const uint8_t *bytes, size_t count,
                const struct msghdr *header);
__attribute__((noreturn, format(printf, 1, 2))) void floor_die(const char *format, ...);

// --- For the engines.
int floor_epoll_run(struct floor *floor);
int floor_uring_run(struct floor *floor);
void floor_conn_open(struct floor_conn *conn, uint32_t index, int fd);
// Hands received bytes to the handshake or to the program. False: the peer is no client of ours;
// close it.
bool floor_take(struct floor *floor, struct floor_conn *conn, const uint8_t *bytes, size_t count);
bool floor_is_stopping(void);
uint64_t floor_now_ms(void);

#endif
