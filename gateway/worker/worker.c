// The turn: completions, mail, timers, fan-outs, one submission. Handlers only queue; nothing is
// called back.
#include "gateway/worker/worker.h"

#include <sys/mman.h>

#include "core/base/check.h"
#include "gateway/seam/clock.h"

enum {
    MAILS_TURN_MAX = 256, // entries of other threads handled per turn
    OTHER_WORK = 16,      // more events than this: fan-outs get the smaller budget
    EVENTS_PUMP =
        64, // completions handled before what they touched is sent: keeps the touched in the cache
    LATE_MS = 100,   // a turn that comes this much later than meant: what came meanwhile is unread
    GRACE_MS = 1000, // the longest that deadlines wait for it
    RELEASE_MS = 50,
    SCRATCH_KEEP_BYTES = 1 << 20, // of the compressor's: larger messages are rare
    BACKLOG_WAIT_MS = 1,          // until a full mailbox is looked at again
};

// False: a part of it was put off until the sends of this turn are out.
static bool deliver(struct worker *worker, const struct hub_delivery *delivery) {
    for (uint32_t i = 0; i < delivery->count; i++) {
        enum conn_send_result result = conn_offer(&worker->clients.conns, delivery->subscriber,
                                                  delivery->payloads[i], delivery->key);
        if (result == CONN_SENT_LATER) {
            hub_fanout_put_off(&worker->hub, delivery, i);
            return false;
        }
        counter_add(&worker->counters, COUNTER_deliveries, result != CONN_SENT_CLOSED);
    }
    return true;
}

// Continues fan-outs within the turn's budget (decision 4): fewer while other work waits.
static void fan_out(struct worker *worker) {
    uint32_t budget = worker->was_busy ? SENDS_BUSY_MAX : SENDS_IDLE_MAX;
    struct hub_delivery delivery;
    uint32_t later_count = 0;
    for (uint32_t i = 0;
         i < budget && later_count < LATERS_TURN_MAX && hub_fanout_next(&worker->hub, &delivery);
         i++) {
        uint32_t next = hub_fanout_peek(&worker->hub);
        if (next != UINT32_MAX) {
            __builtin_prefetch(conn_at(&worker->clients.conns, next), 1);
        }
        later_count += !deliver(worker, &delivery);
    }
}

static void take_mail(struct worker *worker) {
    struct bus_event event;
    for (uint32_t i = 0; i < MAILS_TURN_MAX && bus_next(&worker->bus, &event); i++) {
        if (event.mail.kind == MAIL_CALL) {
            worker_on_call(worker, &event);
        } else {
            stream_on_mail(&worker->stream, &event);
        }
    }
}

// What clients said goes to services first, then all that clients are to get.
static void pump(struct worker *worker) {
    upstreams_pump(&worker->upstreams);
    clients_pump(&worker->clients);
    upstreams_pump(&worker->upstreams);
}

static uint32_t take_completions(struct worker *worker) {
    struct link_event event;
    uint32_t count = 0;
    uint32_t handled = 0;
    uint64_t before = io_stats(worker->io).completions;
    // Bounded by io_next: COMPLETIONS_TURN_MAX per ring.
    while (link_next(&worker->clients.link, &event)) {
        if ((event.owner & UPSTREAM_LINK_TAG) != 0) {
            upstreams_on_event(&worker->upstreams, &event);
        } else {
            clients_on_event(&worker->clients, &event);
        }
        handled++;
        count += event.kind != LINK_EVENT_SENT; // a fan-out's own sends are not other work
        if (handled % EVENTS_PUMP == 0) {
            pump(worker);
        }
    }
    worker->clients.conns.has_unreaped =
        io_stats(worker->io).completions - before >= COMPLETIONS_TURN_MAX;
    return count;
}

// Clients that did answer must be read before they are judged. What they sent waits unread when the
// thread comes late (the process was stopped, the machine suspended, the processor taken away), and
// where more has completed than a turn reads; a kernel that runs its deferred work in small
// portions (6.10 on) does not even show it as completed. So deadlines wait as long as the thread
// was late, or while it is behind, and GRACE_MS at most. Then they count for as long, also under a
// load that makes every turn a late one; but each real stop has its grace.
static bool has_grace(struct worker *worker, uint64_t now_ms, uint64_t before_ms) {
    uint64_t meant_ms = before_ms + worker->wait_ms;
    uint64_t late_ms = now_ms > meant_ms ? now_ms - meant_ms : 0;
    bool is_behind = worker->clients.conns.has_unreaped;
    bool begins = (late_ms >= LATE_MS || is_behind) && now_ms >= worker->grace_next_ms;
    if (begins || late_ms >= GRACE_MS) {
        worker->grace_until_ms = now_ms + (late_ms < GRACE_MS ? late_ms : GRACE_MS);
        worker->grace_end_ms = now_ms + GRACE_MS;
        worker->grace_next_ms = worker->grace_end_ms + GRACE_MS;
    }
    return now_ms < worker->grace_until_ms || (is_behind && now_ms < worker->grace_end_ms);
}

static void expire(struct worker *worker, uint64_t now_ms, uint64_t before_ms) {
    if (!has_grace(worker, now_ms, before_ms)) {
        clients_expire(&worker->clients);
        upstreams_expire(&worker->upstreams);
    }
}

// A large message's pages go back as well.
static void give_back_scratch(struct worker *worker) {
    struct ws_deflate *deflate = &worker->deflate;
    if (deflate->touched_bytes <= SCRATCH_KEEP_BYTES) {
        return;
    }
    deflate->touched_bytes = 0;
    struct memory scratch = worker->deflate_scratch;
    (void)madvise(scratch.data, scratch.length, MADV_DONTNEED); // our own range: it cannot fail
}

// Empty steps go back to the kernel, one of each kind every RELEASE_MS: a storm's memory does not
// stay, and a population that breathes does not fault its pages anew.
static void give_back(struct worker *worker, uint64_t now_ms) {
    if (now_ms - worker->released_ms < RELEASE_MS) {
        return;
    }
    worker->released_ms = now_ms;
    struct pool *pools[] = {&worker->clients.conns.pool,
                            &worker->clients.conns.inputs,
                            &worker->clients.conns.entries,
                            &worker->upstreams.lines,
                            &worker->upstreams.exchanges,
                            &worker->upstreams.secures,
                            &worker->proxy.pool,
                            &worker->forwards.asks,
                            &worker->forwards.entries,
                            &worker->channels,
                            &worker->subscriptions,
                            &worker->messages,
                            &worker->homes};
    struct memory step;
    for (uint32_t i = 0; i < sizeof pools / sizeof pools[0]; i++) {
        if (pool_release_next(pools[i], &step)) {
            (void)madvise(step.data, step.length, MADV_DONTNEED); // our own range: it cannot fail
        }
    }
    if (arena_release_next(&worker->arena, &step)) {
        io_memory_return(worker->io, step);
        (void)madvise(step.data, step.length, MADV_DONTNEED); // as above
    }
    if (worker->clients.secures != NULL && secures_release_next(&worker->secures, &step)) {
        (void)madvise(step.data, step.length, MADV_DONTNEED); // as above
    }
    give_back_scratch(worker);
}

static uint32_t wait_choose(struct worker *worker, uint64_t now_ms) {
    // Receives that starve are no work: their turn comes with a completion.
    bool has_handshakes =
        worker->clients.secures != NULL && secures_are_busy(worker->clients.secures);
    if (hub_has_work(&worker->hub) || worker->drain_cursor != 0 || has_handshakes) {
        return 0;
    }
    uint32_t wait_ms = wheel_wait_ms(&worker->clients.conns.wheel, now_ms);
    uint32_t upstreams_ms = upstreams_wait_ms(&worker->upstreams);
    wait_ms = wait_ms < upstreams_ms ? wait_ms : upstreams_ms;
    uint32_t ring_ms = link_wait_ms(&worker->clients.link);
    wait_ms = wait_ms < ring_ms ? wait_ms : ring_ms;
    bool has_paused = worker->stream.paused_count > 0; // another thread's pressure ends unheard
    bool is_owing = bus_has_backlog(&worker->bus) || worker->owes_site_answer;
    if (is_owing || has_paused || worker->is_stopping) {
        wait_ms = wait_ms < BACKLOG_WAIT_MS ? wait_ms : BACKLOG_WAIT_MS;
    }
    if (now_ms < worker->grace_until_ms && wait_ms < 10) {
        wait_ms = 10; // deadlines are held back: no spinning until they count
    }
    return wait_ms;
}

int worker_turn(struct worker *worker, uint64_t now_us) {
    uint64_t now_ms = now_us / 1000;
    uint64_t before_ms = worker->now_us / 1000;
    worker->now_us = now_us;
    bus_awake(&worker->bus); // the wait that ended the last turn is over
    conns_turn(&worker->clients.conns, now_us);
    upstreams_turn(&worker->upstreams, now_us);
    link_turn_begin(&worker->clients.link, now_ms);
    counter_add(&worker->counters, COUNTER_turns, 1);

    if (worker->clients.secures != NULL) {
        secure_turn(&worker->clients);
    }
    worker->was_busy = take_completions(worker) > OTHER_WORK;
    take_mail(worker);
    expire(worker, now_ms, before_ms);
    worker_answer_owed(worker);
    worker_drain_step(worker);
    stream_resume(&worker->stream);
    fan_out(worker);
    worker_relieve(worker);
    pump(worker);
    bus_flush(&worker->bus);
    link_turn_end(&worker->clients.link);
    give_back(worker, now_ms);

    worker->wait_ms = wait_choose(worker, now_ms);
    if (worker->wait_ms > 0 && !bus_sleep(&worker->bus)) {
        worker->wait_ms = 0;
    }
    counter_add(&worker->counters, COUNTER_wakeups, worker->wait_ms > 0);
    histogram_record(&worker->turn_ns, clock_now_ns() - now_us * 1000);
    return io_turn(worker->io, worker->wait_ms);
}
