// One worker: a thread's worth of rings, clients, channels and time. A struct with a turn, so that
// a simulator can step several in one thread. Everything in it belongs to that thread; other
// threads reach it by the bus only.
#pragma once
#include "core/base/histogram.h"
#include "core/base/trace.h"
#include "core/hub/hub.h"
#include "gateway/bus/bus.h"
#include "gateway/stream/stream.h"
#include "gateway/worker/clients.h"

struct worker_options {
    uint32_t index;
    struct bus_shared *bus_shared;
    struct admission *admission;
    struct site *site; // the first
    struct log *log;
    uint64_t random[8];      // from the entropy seam: table keys, jitter, epoch
    uint64_t epoch_base;     // the same in all workers would do; differs between processes
    uint32_t connection_max; // of this worker
    uint64_t now_us;
    const uint8_t *ticket_seed; // TLS_TICKET_SEED_BYTES, the same for all workers; not kept
    uint64_t ticket_begin_ms;
};

// Memory that is reserved once and touched as it is used.
struct worker_reserve {
    struct memory memory;
    uint64_t used;
};

struct worker {
    uint32_t index;
    struct io *io;
    struct clients clients;
    struct hub hub;
    struct bus bus;
    struct stream stream;
    struct upstreams upstreams;
    struct proxy proxy;
    struct forwards forwards;
    struct arena arena;
    struct ws_deflate deflate;
    struct memory deflate_scratch;
    struct ws_takeover takeover;
    struct pool channels, subscriptions, messages, homes;
    struct counters counters;
    struct trace trace;
    struct histogram round_trip_ns;
    struct histogram turn_ns;
    struct histogram answer_ns; // of services
    struct log *log;
    struct secures secures;
    struct worker_reserve reserve;
    uint64_t worker_queue_bytes;
    uint64_t kernel_bytes;
    uint64_t opened_ms;
    uint64_t now_us;
    uint64_t released_ms;    // when empty memory was last looked for
    uint64_t grace_until_ms; // the thread was late: deadlines wait until what arrived is read
    uint64_t grace_end_ms;   // nor longer than this where it stays behind
    uint64_t grace_next_ms;  // no grace begins before
    uint32_t wait_ms;        // how long the last turn meant to sleep
    uint32_t drain_cursor;   // next index to give its place in the drain, 0 = none in progress
    uint32_t pressure_cursor;
    struct mail site_answer; // to the last CALL_SITE, until there is memory for it
    uint32_t site_caller;
    bool owes_site_answer;
    uint64_t stop_due_ms; // when a stop no longer waits for closes
    bool is_stopping;     // every connection was cut: leave the loop when they are closed
    bool is_accepting;
    bool was_busy; // the last turn found work: fan-outs get the smaller budget
    bool is_warned_rings;
};

// Reserves memory, opens the first ring and the listeners, in the thread that will run it. 0 or
// -errno; *what names what failed.
MUST_USE int worker_open(struct worker *worker, const struct worker_options *options,
                         const char **what);
// One turn: reaps and handles completions, mail, timers, fan-outs; submits once and sleeps until
// there is something to do. 0, or -errno when the ring is gone.
MUST_USE int worker_turn(struct worker *worker, uint64_t now_us);
// Frees the memory and the ring. No connection is told anything.
void worker_close(struct worker *worker);

// In worker_calls.c: one call of the control thread.
void worker_on_call(struct worker *worker, const struct bus_event *event);
// The answer to a reload has no deadline at its caller's: it is sent in a later turn when there is
// no memory for it now.
void worker_answer_owed(struct worker *worker);
// In worker_pressure.c: sheds the largest queues while too much memory is held.
void worker_relieve(struct worker *worker);
void worker_drain_step(struct worker *worker);
// Cuts every connection that is left; worker_is_done once they are closed, or after a second.
void worker_stop(struct worker *worker);
bool worker_is_done(const struct worker *worker);
uint64_t worker_queue_held(const struct worker *worker);
