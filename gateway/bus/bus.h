// Channels across threads. Every channel has a home worker, by hash of its name: a publish goes to
// the home, which stamps it and passes the bytes once to each worker with subscribers. So a channel
// has one order, everywhere. Also the carrier of the control thread's calls. One struct bus per
// thread (workers 0..n-1, the control thread n); what threads share is in struct bus_shared and
// reached through mailboxes only.
#pragma once
#include "core/base/arena.h"
#include "core/base/counters.h"
#include "core/base/limits.h"
#include "core/base/pool.h"
#include "core/base/table.h"
#include "gateway/bus/mailbox.h"
#include "gateway/io/io.h"

//
// What may be lost, and what not:
//   PUBLISH, DELIVER    whole, when the backlog to that thread is over its bound or memory is out:
//                       counted in dropped_mailbox, and a publisher that asked is told
//   JOIN                is refused to its caller for the same reasons: nothing has changed then
//   LEAVE               never lost: a subscription owes one in its life. Memory above the arena's
//                       limit is taken for it where need be
//   JOINED, RECEIPT     never lost, alike: the home owes one for each ask. Who asks bounds them: a
//                       handshake its route's channels, a POST one, an envelope client
//                       ENVELOPE_OWED_MAX (it is not read while so many are out)
// So the backlog to a thread is at most its bound, one message, one LEAVE for each subscription and
// one answer for each ask. Mail of one thread to another arrives in the order in which it was sent,
// so what a home is told of a worker's interest is true in the end, whatever was refused between.
enum { BUS_THREADS_MAX = WORKERS_MAX + 1 };

enum mail_kind {
    MAIL_NONE,
    MAIL_JOIN,    // to the home: words[0] = token of the answer (0: none wanted), words[1] = 1 when
                  // this worker had no subscriber
    MAIL_LEAVE,   // to the home: words[0] = 1: its join was refused; words[1] = 1 when this worker
                  // has none left
    MAIL_JOINED,  // back: words[0] = token
    MAIL_PUBLISH, // to the home: words[0] = except, words[1] = receipt token (0: none wanted),
                  // words[2] = body bytes in all
    MAIL_RECEIPT, // back: words[0] = token, words[1] = subscribers on this node, words[2] = 1 when
                  // the home had no memory for the body
    MAIL_DELIVER, // home to a worker with subscribers: words[0] = except (0 unless that worker's),
                  // words[1] = epoch, words[2] = body bytes in all, words[3] = offset
    MAIL_CALL, // control to worker, meaning in gateway/worker/call.h; words[2] = body bytes in all
    MAIL_ANSWER, // and back
    MAIL_KIND_COUNT
};

// What the owner of the bus is given. `body` is lent until the next bus_next.
struct bus_event {
    struct mail mail; // kind DELIVER, JOINED, RECEIPT, CALL or ANSWER
    uint32_t source;  // thread
    struct span name;
    struct span body;
    uint32_t block; // != 0: the body lies in this arena block at WS_MESSAGE_HEADROOM and is the
                    // owner's to give (it came in pieces)
};

struct bus_endpoint { // of each thread, in shared memory
    alignas(64) _Atomic uint32_t is_asleep;
    _Atomic uint32_t is_pressed; // its backlogs are so full that who publishes to it should wait
    struct io_doorbell doorbell; // frozen once the thread has opened its io
};

struct bus_shared {
    uint32_t worker_count;
    uint32_t thread_count; // workers and the control thread
    struct bus_endpoint endpoints[BUS_THREADS_MAX];
    struct mailbox *mailboxes; // [source * thread_count + target]
};

struct bus_job { // start of an arena block: mail that found no room
    struct mail mail;
    uint32_t next;
    uint32_t bytes; // name and body behind this struct
    uint32_t sent_bytes;
};

struct bus_backlog {
    uint32_t first, last;
    uint64_t bytes;
};

struct bus_assembly { // of one source: a body that comes in pieces
    struct mail mail;
    uint32_t block;
    uint32_t bytes;
    uint8_t name[CHANNEL_NAME_BYTES_MAX];
    bool is_active;
    bool is_refused; // no memory: its pieces are skipped
};

struct home_channel { // 64 bytes, pooled: exists while somebody on this node subscribes
    struct table_link link;
    uint64_t workers; // bit per worker with subscribers
    uint64_t epoch;
    uint64_t offset;      // of the newest message
    uint32_t subscribers; // on all workers
    uint32_t name_block;
    uint8_t name_bytes;
};
static_assert(sizeof(struct home_channel) <= 64, "pool element");

struct bus {
    struct bus_shared *shared;
    uint32_t self;
    struct arena *arena;
    struct counters *counters;
    struct pool *homes; // struct home_channel; NULL on the control thread, which is nobody's home
    struct table names;
    uint64_t epoch_base; // differs in every process
    uint64_t epoch_count;
    uint64_t backlog_bytes_max; // per target
    struct bus_backlog backlogs[BUS_THREADS_MAX];
    struct bus_assembly assemblies[BUS_THREADS_MAX];
    uint64_t rung;        // bit per thread with new mail since the last bus_flush
    uint32_t turn_source; // whose mail is next
    uint32_t home_done;   // entries that were no event for the owner, since the last bus_flush
    uint32_t
        lent_block;   // of the last event, given back at the next bus_next unless the owner took it
    bool is_pressed;  // as this thread's endpoint says
    bool holds_entry; // the last event's bytes are still in the mailbox
    uint32_t held_source;
};

struct bus_options {
    struct bus_shared *shared;
    uint32_t self;
    struct arena *arena;
    struct counters *counters;
    struct pool *homes;
    struct memory buckets; // table_book_bytes(channels)
    uint64_t table_key[2]; // for the table of names: random
    uint64_t epoch_base;
    uint64_t backlog_bytes_max;
};

uint64_t bus_shared_bytes(uint32_t worker_count);
struct bus_shared *bus_shared_init(struct memory memory, uint32_t worker_count);
void bus_init(struct bus *bus, const struct bus_options *options);
// The thread's doorbell, before any other thread sends to it.
void bus_endpoint_set(struct bus *bus, struct io_doorbell doorbell);

uint32_t bus_home(const struct bus *bus,
                  struct span name); // worker index: the same in every thread
// A subscriber came. is_first: this worker had none. With a token other than 0, a JOINED event with
// it comes back once the home will pass messages on. False: no memory, or the backlog to the home
// is over its bound; the home never hears of it.
bool bus_join(struct bus *bus, struct span name, bool is_first, uint64_t token);
void bus_leave(struct bus *bus, struct span name, bool is_last);
// Instead of bus_leave, for a join that the home refused: it was not counted.
void bus_leave_refused(struct bus *bus, struct span name, bool is_last);
struct bus_publication {
    struct span name;
    struct span body;
    uint8_t opcode;
    uint64_t except;        // subscriber + 1 | generation << 32 that must not get it, or 0
    uint64_t receipt_token; // other than 0: a RECEIPT event comes back
};
// False: dropped (no memory, or the backlog to the home would be over its bound: an empty one takes
// any), counted in dropped_mailbox.
bool bus_publish(struct bus *bus, const struct bus_publication *publication);
// Whether mail to that thread has to wait, or its own mail to another fills half of what may wait:
// publishers that feed it should not be read.
bool bus_is_backed_up(const struct bus *bus, uint32_t target);
// Any other mail. Never dropped for want of room: waits in the backlog. False: no memory (what is
// owed, see above: not even address space).
bool bus_send(struct bus *bus, uint32_t target, const struct mail *mail, struct span name,
              struct span body);

// The next mail for the owner; what concerns the home is done inside. The caller bounds how many it
// takes per turn. False: none, or enough of the home's work for one turn (bus_sleep knows).
bool bus_next(struct bus *bus, struct bus_event *event);
void bus_block_take(struct bus *bus); // the owner keeps the last event's block
// Sends on what waits, and rings those who have new mail and sleep. Once per turn.
void bus_flush(struct bus *bus);
bool bus_has_backlog(const struct bus *bus);
// Before a wait: true when the thread may sleep (it is marked asleep and nothing came meanwhile).
// bus_awake after it.
bool bus_sleep(struct bus *bus);
void bus_awake(struct bus *bus);
