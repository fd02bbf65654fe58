// Services: which server takes a request, the sockets to them, and HTTP/1.1 spoken on these: one
// exchange at a time, kept alive in between, never pipelined. One struct upstreams per worker;
// nothing is shared between workers, so health is judged by each for itself.
//
// An exchange is the owner's request to an upstream. It has a line (a socket to one of the servers)
// or waits for one:
//
//   upstream_ask --> WAITING --> CONNECTING --> ANSWER --> BODY --> over, the line is kept
//                       ^            |             |         \--> over, the line is closed
//                       '------------'             '--> RAW --> over, the line is closed
//                        another server
//
//   (by https a handshake stands between CONNECTING and ANSWER, within the same deadline)
//
//   WAITING     every line to the servers that may be asked is busy: connect deadline
//   CONNECTING  a socket, its connection: connect deadline, then another server, CONNECT_TRIES_MAX
//   ANSWER      the service's head: response deadline, anew with each send that it takes and each
//               head of 1xx
//   BODY        the rest of the answer: idle deadline while it is read
//   RAW         nobody: after 101 and upstream_take_over the bytes are the owner's
//
// In each of the three a send that the service does not take ends it at the response deadline (for
// every 256 KiB), whatever the service sends meanwhile.
//
// What happens is told by on_event, from within upstreams_on_event, upstreams_expire and
// upstreams_pump, never from within a call of the owner's. The owner may call everything below from
// there. Owner: one worker.
#pragma once
#include "core/base/fault.h"
#include "core/base/histogram.h"
#include "core/base/pool.h"
#include "core/base/wheel.h"
#include "core/http/response.h"
#include "core/hub/outbox.h"
#include "gateway/config/config.h"
#include "gateway/link/link.h"
#include "gateway/seam/log.h"
#include "gateway/tls/dial.h"

#include <stdbool.h>
#include <stdint.h>

// Of the owner number of our sockets: tells them from clients, whose indices have 24 bits.
#define UPSTREAM_LINK_TAG (1u << 31)

enum upstream_event_kind {
    UPSTREAM_INTERIM, // a head of 1xx (not 101): `response`, valid during the call
    UPSTREAM_HEAD,    // the head of the answer. After 101 to an exchange that asked for an upgrade:
                      // answer upstream_take_over, or upstream_drop
    UPSTREAM_PIECE,   // bytes of its body
    UPSTREAM_END,     // the answer is complete, and the exchange over
    UPSTREAM_RAW, // bytes after upstream_take_over: consume from *raw until it is empty, or pause
    UPSTREAM_RAW_END, // the service ended its side; answer upstream_drop
    UPSTREAM_SENT,    // bytes of the request went out
    UPSTREAM_DUE,     // the time of upstream_alarm
    UPSTREAM_FAILED,  // it cannot be answered: `fault`; the exchange is over
};

struct upstream_event {
    enum upstream_event_kind kind;
    uint32_t owner;    // as given to upstream_ask
    uint32_t exchange; // over and not to be named any more after END and FAILED
    const struct http_response *response;
    struct span piece;
    struct span_mut *raw;
    const struct fault *fault;
};

struct upstream_owner {
    void *context;
    void (*on_event)(void *context, const struct upstream_event *event);
};

enum upstream_breaker {
    UPSTREAM_CLOSED,  // requests pass
    UPSTREAM_OPEN,    // none does, until retry_due_ms
    UPSTREAM_PROBING, // one does: its outcome decides
};

enum {
    CONNECT_TRIES_MAX = 3, // servers asked for one exchange
    INTERIM_MAX = 16,      // heads of 1xx before an answer
    UPSTREAM_NAME_BYTES = 64,
};

// A server as the configuration says it. By a name it stands for as many servers as the name has
// addresses; they change (names.c).
struct upstream_origin {
    struct address address; // ADDRESS_IP with its port, ADDRESS_UNIX; ADDRESS_NONE: `host` has it
    char path[108];         // ADDRESS_UNIX
    bool is_answered;       // its name was looked up, be it in vain
    bool is_secure;         // https
    uint8_t host_bytes;     // 0: it is one server, for ever
    uint8_t host[RESOLVE_HOST_BYTES_MAX];
};

struct upstream_health {
    uint32_t interval_ms; // 0: its servers are not checked
    uint32_t timeout_ms;  // of a check: from its beginning to the head of its answer
    uint32_t healthy;     // good ones in a row, until a server that is down is asked again
    uint32_t unhealthy;   // bad ones in a row, until one that is up is not
    uint8_t path_bytes;
    uint8_t path[HEALTH_PATH_BYTES_MAX];
};

struct upstream_server {
    struct address address; // ADDRESS_IP with its port, ADDRESS_UNIX: `path` counts; ADDRESS_NONE:
                            // the place is free
    char path[108];
    struct io_peer peer;   // of an ADDRESS_IP; lent to the kernel while a line connects
    uint32_t key;          // tells it from the others where a hash decides
    uint32_t lines;        // that refer to it
    uint32_t idle_first;   // lines kept alive, the newest first: the oldest end by themselves
    uint32_t open;         // lines for exchanges, also idle ones
    uint32_t pending;      // exchanges that it has
    uint32_t failures;     // in a row
    uint64_t retry_due_ms; // OPEN: when one may try
    uint64_t check_due_ms; // when it is checked next
    uint32_t check;        // the exchange that checks it; 0: none
    uint32_t check_count;  // in a row, that say another thing than is_down
    uint8_t breaker;       // enum upstream_breaker
    uint8_t origin;
    bool is_down; // as its checks say
    bool is_gone; // its name has it no more: it is not asked, and goes with its last line
};

static inline bool upstream_server_is_present(const struct upstream_server *server) {
    return server->address.kind != ADDRESS_NONE && !server->is_gone;
}

struct upstream {
    struct upstream_server servers[UPSTREAM_PLACES_MAX];
    struct upstream_origin origins[UPSTREAM_SERVERS_MAX];
    const struct tls_dialer *dialer; // for those by https; the newest site's
    uint32_t server_count;           // places up to the last one that was ever taken
    uint32_t origin_count;
    uint32_t waiting_first, waiting_last, waiting_count; // exchanges, oldest first
    uint32_t pending;                                    // exchanges, also waiting ones
    uint32_t taken_over;                                 // of those: RAW
    uint32_t turn;                                       // which of equal servers is next
    uint32_t connect_ms, response_ms, idle_ms, retry_ms; // idle_ms 0: off
    uint32_t connections_max;                            // lines for exchanges to one server
    uint32_t waiting_max;
    uint32_t failures_max;
    uint32_t lines;                 // that refer to it
    uint64_t requests, errors;      // since it was configured so
    uint64_t checks, checks_failed; // as above
    struct upstream_health health;
    uint8_t name_bytes;
    bool is_used;
    bool is_retired; // no longer configured: it goes with its last line
    uint8_t name[UPSTREAM_NAME_BYTES];
};

struct upstream_line {
    struct wheel_entry timer;
    struct outbox outbox; // what is still to be sent
    struct http_scan scan;
    struct http_body body;
    link_id link;
    uint32_t exchange;               // 0: idle, or closing
    uint32_t next;                   // idle: in the server's list
    uint32_t head_block, head_bytes; // of an answer's head that came in pieces
    uint32_t held_block, held_bytes; // received and not looked at while paused
    uint32_t progress_ms;            // last time that something moved
    uint32_t sent_ms;                // when the send in flight was begun
    uint16_t upstream;
    uint16_t flags; // enum line_flag
    uint16_t tls;   // by https: its element of `secures`
    uint8_t server;
    uint8_t state; // enum line_state
    uint8_t interims;
};
enum {
    UPSTREAM_LINE_BYTES = 128,
    UPSTREAM_EXCHANGE_BYTES = 64,
    UPSTREAM_TLS_BYTES = 64
}; // of pool elements
static_assert(sizeof(struct upstream_line) <= UPSTREAM_LINE_BYTES, "pool element");

struct upstream_exchange {
    uint32_t owner;
    uint32_t line; // 0: it waits for one
    uint32_t next; // WAITING
    uint32_t head; // payload: kept until the answer begins, for another try
    uint32_t hash;
    uint32_t asked_ms;
    uint64_t asked_us;
    uint32_t alarm_ms; // wrapping; 0: none
    uint32_t tried;    // servers, as bits
    uint16_t upstream;
    uint8_t tries;
    uint8_t flags; // enum upstream_ask_flag, and those of exchange.c
};
static_assert(sizeof(struct upstream_exchange) <= UPSTREAM_EXCHANGE_BYTES, "pool element");

struct upstreams {
    struct link *link;
    struct arena *arena;
    struct log *log;
    struct outboxes *outboxes; // shared with the clients: the same memory is counted
    struct counters *counters;
    struct histogram *answer_ns; // from the request to the head of its answer
    struct upstream_owner owner;
    struct pool lines;      // 128 B
    struct pool exchanges;  // 64 B
    struct pool secures;    // 64 B: of lines by https
    struct wheel wheel;     // of lines
    struct upstream *items; // UPSTREAMS_ALIVE_MAX
    uint16_t item_end;      // those from here on were never used: their pages are never touched
    uint16_t of_config[UPSTREAMS_MAX];
    uint32_t *touched; // lines that have something to send
    uint32_t touched_count, touched_max;
    uint32_t waiting_count; // exchanges, of all upstreams
    uint64_t check_due_ms;  // the next check of a server, of all upstreams
    uint64_t stop_due_ms;   // when a stop cuts what is left; 0: none was asked for
    uint32_t line_max;
    uint32_t lent_count; // receives into lent memory
    uint32_t head_bytes_max;
    uint64_t now_ms, now_us;
    struct http_response response; // the head being parsed
};

struct upstreams_memory { // ranges handed in, reserved by the owner
    uint32_t line_max, exchange_max;
    struct memory line_space, line_book, exchange_space, exchange_book, touched, items;
    struct memory secure_space, secure_book;
};
// Fills the length fields from the two maxima.
void upstreams_memory_size(struct upstreams_memory *memory);
// The fields link, arena, log, outboxes, counters, answer_ns, owner and head_bytes_max are set by
// the caller before.
void upstreams_init(struct upstreams *upstreams, const struct upstreams_memory *memory,
                    uint64_t now_us);
// From now on these are the upstreams; what is defined as before keeps its lines and its health.
// False: too many of older configurations still have exchanges.
MUST_USE bool upstreams_config_set(struct upstreams *upstreams, const struct config *config);

// By index in the configuration, which is set: what servers by https are asked with. They live as
// long as exchanges of that configuration.
void upstreams_dialers_set(struct upstreams *upstreams, const struct config *config,
                           struct tls_dialer *const *dialers);

// The addresses of names, as one table: for each name one record after the other. What a name had
// and has no more is not asked any more: its idle lines are closed, and others end by themselves. A
// record without an address changes nothing, but that nobody waits for the name. Told again, it
// changes nothing more.
void upstreams_names_set(struct upstreams *upstreams, struct span table);
enum { UPSTREAM_NAME_RECORD_MAX = 2 + RESOLVE_HOST_BYTES_MAX + 16 * RESOLVE_ADDRESSES_MAX };
// Writes a record for at most RESOLVE_ADDRESSES_MAX addresses; returns its bytes, at most
// UPSTREAM_NAME_RECORD_MAX.
uint32_t upstream_name_write(uint8_t *target, struct span host, const struct address *addresses,
                             uint32_t address_count);

// What that upstream of the configuration is at present, for metrics; lent until the next turn.
const struct upstream *upstream_get(const struct upstreams *upstreams, uint32_t config_index);

// --- exchanges

enum upstream_ask_flag {
    UPSTREAM_ASK_HEAD = 1 << 0,    // HEAD: the answer has no body
    UPSTREAM_ASK_SAFE = 1 << 1,    // may be repeated on a new line when a kept one proves dead
    UPSTREAM_ASK_UPGRADE = 1 << 2, // the line is never used again, nor counted among connections
};
struct upstream_ask {
    uint32_t upstream; // index in the configuration
    uint32_t owner;
    uint32_t head; // payload of the request's head; its reference is taken, also when refused
    uint32_t hash; // 0: the server with the fewest exchanges; else the same server for the same one
    uint8_t flags;
    bool has_body; // more comes by upstream_send, the last of it by upstream_send_end
};
// Its number; or 0, and *fault says why.
uint32_t upstream_ask(struct upstreams *upstreams, const struct upstream_ask *ask,
                      const struct fault **fault);
// More of the request, or, in RAW, frames and runs of frames; the payload's reference is taken. Not
// before the first SENT. Of pongs few wait, the newest last (RFC 6455 5.5.3).
void upstream_send(struct upstreams *upstreams, uint32_t exchange, uint32_t payload);
void upstream_send_end(struct upstreams *upstreams, uint32_t exchange);
// RAW: where so many bytes of one whole frame are to be written, at once, behind all that waits
// (outbox_run_room). NULL: the service reads no more, or there is no memory: then FAILED comes.
uint8_t *upstream_run_room(struct upstreams *upstreams, uint32_t exchange, uint32_t bytes);
// Bytes that wait to be sent, without those in flight.
uint32_t upstream_queued_bytes(const struct upstreams *upstreams, uint32_t exchange);
// Whether the owner takes more of the answer. Paused, nothing is read, and no deadline counts but
// that of sending.
void upstream_pause(struct upstreams *upstreams, uint32_t exchange);
void upstream_unpause(struct upstreams *upstreams, uint32_t exchange);
// After the HEAD of a 101: what comes next is RAW.
void upstream_take_over(struct upstreams *upstreams, uint32_t exchange);
// RAW: DUE will come in so many milliseconds, once; 0: no more.
void upstream_alarm(struct upstreams *upstreams, uint32_t exchange, uint32_t in_ms);
// The owner is done with it: no further event. What is queued is still sent when `flushes`.
void upstream_drop(struct upstreams *upstreams, uint32_t exchange, bool flushes);

// --- the turn
void upstreams_turn(struct upstreams *upstreams, uint64_t now_us);
// An event of a socket whose owner number has UPSTREAM_LINK_TAG.
void upstreams_on_event(struct upstreams *upstreams, const struct link_event *event);
void upstreams_expire(struct upstreams *upstreams);
// Sends what was queued, and connects what was asked for. After every batch of work.
void upstreams_pump(struct upstreams *upstreams);
// The thread is to end: idle lines are closed, others with their exchanges, and after STOP_FLUSH_MS
// all that are left.
void upstreams_stop(struct upstreams *upstreams);
// How long the thread may sleep for our sake; UINT32_MAX: nothing is due.
uint32_t upstreams_wait_ms(const struct upstreams *upstreams);
