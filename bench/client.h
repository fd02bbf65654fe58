// The client engine: many WebSocket connections of one process on one epoll instance. It connects,
// shakes hands, reads frames, answers pings and Close frames, and tells a mode what happened
// through hooks. One thread. It prints nothing and verifies only what RFC 6455 asks of a server's
// frames; what a payload should be is the mode's business.
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/bytes.h"
#include "bench/deflate.h"
#include "bench/frame.h"
#include "bench/handshake.h"

enum {
    CLIENT_CHURN_PER_SOURCE = 2000,
    CLIENT_CHURN_SOURCES = 200,
    CLIENT_PER_SOURCE = 9500, // more per (source, destination, port) make connect() search linearly
    CLIENT_CLOSE_NONE = 1005, // RFC 6455 s7.4.1: a Close frame without a code
    CLIENT_CLOSE_LOST = 1006, // the connection ended without a Close frame
};

// IDLE -> CONNECTING -> (SECURING ->) HANDSHAKE -> OPEN -> CLOSING -> CLOSED; every state may fall
// to CLOSED.
enum peer_state {
    PEER_IDLE,
    PEER_CONNECTING,
    PEER_SECURING, // the TLS handshake
    PEER_HANDSHAKE,
    PEER_OPEN,
    PEER_CLOSING,
    PEER_CLOSED
};

struct peer {
    uint64_t user;        // the mode's own
    struct bytes tail;    // an unfinished frame; memory only while there is one
    struct bytes message; // the fragments of an unfinished message
    struct bytes out;     // what send() did not take
    struct bytes stream;  // nats: an unfinished message, across frames
    void *secure;         // TLS, or NULL
    int fd;
    uint32_t index;
    uint32_t pings;         // received
    uint16_t close_code;    // what the server's Close frame said; CLIENT_CLOSE_LOST without one
    uint16_t status;        // the HTTP status that refused the upgrade, else 0
    uint16_t retry_after_s; // what that answer said, 0: nothing
    uint8_t state;
    bool is_packed;  // the unfinished message is compressed
    bool is_paused;  // does not read
    bool is_unread;  // had more to read than one visit may
    bool has_closed; // we sent a Close frame
};

struct client;

// Any hook may be NULL. A hook may send, close and cut; it may not connect, unpause or turn.
struct client_hooks {
    void (*on_open)(struct client *client, struct peer *peer);
    void (*on_message)(struct client *client, struct peer *peer, const uint8_t *bytes,
                       size_t count);
    void (*on_batch)(struct client *client,
                     struct peer *peer); // all messages of one receive are handled
    void (*on_ping)(struct client *client, struct peer *peer);
    void (*on_closed)(struct client *client, struct peer *peer); // peer->close_code says how
};

struct client_options {
    struct sockaddr_in address;
    const char *host;       // for the Host header
    const char *key;        // Sec-WebSocket-Key, of HANDSHAKE_KEY_LENGTH
    const char *path;       // "{n}" in it becomes peer index modulo path_count
    const char *nats;       // the server is nats-server: a subject of it; NULL: it is not
    const char *first_path; // of the peers below first_path_count
    uint32_t first_path_count;
    uint32_t path_count;
    uint32_t peer_count;
    uint32_t concurrency;    // handshakes in progress at once; for modes that connect by themselves
    uint32_t first_index;    // of this process's peers among all; chooses source addresses
    uint32_t receive_buffer; // SO_RCVBUF, 0: the system's
    uint32_t receive_from;   // applies to peers with this index and above
    bool has_churn;          // sources rotate, since ports come back slowly
    bool may_be_refused;     // an answer other than 101 ends the peer and is no failure
    bool may_spin;           // never sleep in client_turn
    bool is_secure;          // TLS
    bool does_resume;        // TLS sessions
    bool does_deflate;       // permessage-deflate, which every server must agree to
};

struct client {
    struct client_options options;
    struct client_hooks hooks;
    void *mode;
    struct peer *peers;
    uint32_t *unread; // indices of peers that are read on in the next turn
    uint32_t unread_count;
    struct inflater *inflater; // NULL: without compression
    uint8_t *buffer;
    size_t buffer_size;
    uint64_t now_ns; // read once for every batch of events
    uint64_t message_count;
    uint64_t packed_count; // of them: those that came compressed
    uint64_t byte_count;   // received
    uint64_t ping_count;
    uint32_t open_count;
    uint32_t opening_count; // connecting or shaking hands
    uint32_t closed_count;
    uint32_t connect_count;
    int epoll;
    char accept[HANDSHAKE_ACCEPT_LENGTH + 1];
    char error[160]; // the first thing that went wrong, empty: nothing
};

uint64_t client_clock_ns(void);

// 0 or -errno. Copies the options; strings in them are lent until client_close_all.
int client_init(struct client *client, const struct client_options *options,
                const struct client_hooks *hooks, void *mode);
void client_fini(struct client *client);

// Starts to connect a peer that is IDLE or CLOSED. 0 or -errno.
int client_connect(struct client *client, struct peer *peer);
// Waits for events at most timeout_ms (0 when it spins) and handles them.
void client_turn(struct client *client, int timeout_ms);
// Queues bytes that are already framed and masked; what the socket does not take is sent later.
// Nothing happens on a peer that is not open.
void client_send(struct client *client, struct peer *peer, const uint8_t *bytes, size_t count);
// Starts the closing handshake; the peer ends when the server closes.
void client_close(struct client *client, struct peer *peer, uint16_t code);
// Ends the connection at once, with a reset if `reset`.
void client_cut(struct client *client, struct peer *peer, bool reset);
void client_pause(struct client *client, struct peer *peer, bool is_paused);
// Notes the first failure; later ones are dropped.
__attribute__((format(printf, 2, 3))) void client_fail(struct client *client, const char *format,
                                                       ...);

#endif
