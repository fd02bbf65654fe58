// The path of bytes between a socket and its connection.
#include "gateway/worker/clients.h"

#include "core/base/check.h"

#include <errno.h>

enum { COMPLAIN_MS = 1000 };

bool clients_is_live(const struct clients *clients, uint32_t index, uint32_t generation) {
    if (index == 0 || index > clients->index_peak) {
        return false;
    }
    const struct conn *conn = conn_at(&clients->conns, index);
    return conn->state != CONN_FREE && conn->generation == generation;
}

bool clients_may_complain(struct clients *clients) {
    bool may = clients->conns.now_ms - clients->complained_ms >= COMPLAIN_MS;
    if (may) {
        clients->complained_ms = clients->conns.now_ms;
    }
    return may;
}

void clients_feed(struct clients *clients, uint32_t index, struct span_mut bytes) {
    struct conns *conns = &clients->conns;
    // Bounded: every pass consumes bytes, or is the one that completes an empty body.
    while (bytes.length > 0 || conn_wants_feed(conns, index)) {
        if (!conn_may_feed(conns, index)) {
            conn_hold(conns, index, bytes);
            return;
        }
        struct conn_event event = conn_feed(conns, index, &bytes);
        if (event.kind != CONN_EVENT_NONE) {
            clients->owner.on_ask(clients->owner.context, index, &event);
        }
    }
}

// What was held is fed first, before anything new is received.
static void feed_held(struct clients *clients, uint32_t index) {
    struct conns *conns = &clients->conns;
    bool is_header = (clients->bits[index] & CLIENTS_PROXY) != 0; // what is held is none of its
    if (is_header || !conn_may_feed(conns, index)) {
        return;
    }
    uint32_t block;
    struct span_mut held = conn_held_take(conns, index, &block);
    if (held.length > 0 || conn_wants_feed(conns, index)) {
        clients_feed(clients, index, held);
    }
    if (block != 0) {
        arena_give(conns->arena, block);
    }
}

// Waits for its turn; in the meantime the bytes stay in the socket. False: too many wait already.
static bool burst_wait(struct clients *clients, uint32_t index) {
    if ((clients->bits[index] & CLIENTS_WAITS) != 0) {
        return true;
    }
    if (clients->burst_count == BURSTS_WAITING_MAX) {
        return false;
    }
    uint32_t at = (clients->burst_first + clients->burst_count) % BURSTS_WAITING_MAX;
    clients->bursts[at].index = index;
    clients->bursts[at].generation = conn_at(&clients->conns, index)->generation;
    clients->burst_count++;
    clients->bits[index] |= CLIENTS_WAITS;
    return true;
}

// A burst larger than a buffer costs a receive and a send for every 2 KiB (facts, section 5: 3.7
// times the CPU). A client whose last receive filled a buffer gets its next one into BURST_BYTES of
// arena, for the time of that receive. Few at a time: a hundred at once read, unmask and send each
// byte from a cold cache.
static bool receive_burst(struct clients *clients, uint32_t index) {
    struct conns *conns = &clients->conns;
    if ((clients->bits[index] & CLIENTS_BURSTS) == 0) {
        return false;
    }
    if (!link_may_receive(&clients->link, clients->links[index])) {
        return true; // nothing is there, or a receive is in flight
    }
    if (clients->lent_count >= BURSTS_MAX) {
        return burst_wait(clients, index);
    }
    uint32_t block = arena_take(conns->arena, BURST_BYTES);
    if (block == 0) {
        return false;
    }
    struct span_mut memory = {.data = arena_at(conns->arena, block), .length = BURST_BYTES};
    link_receive_lent(&clients->link, clients->links[index], memory, block);
    clients->lent_count++;
    return true;
}

static bool is_tls(const struct clients *clients, uint32_t index) {
    return (clients->bits[index] & CLIENTS_TLS) != 0;
}

static void receive_tls(struct clients *clients, uint32_t index) {
    if (!secure_may_read(clients, index)) {
        return;
    }
    struct span_mut target = secure_target(clients, index);
    bool may_burst = target.length == 0 && !secure_is_shaking(clients, index);
    if (may_burst && receive_burst(clients, index)) {
        return;
    }
    link_receive(&clients->link, clients->links[index], target);
}

static void receive(struct clients *clients, uint32_t index) {
    struct conns *conns = &clients->conns;
    if ((clients->bits[index] & CLIENTS_PROXY) != 0) {
        if (conn_at(conns, index)->state == CONN_HEAD) {
            link_receive(&clients->link, clients->links[index], (struct span_mut){.length = 0});
        }
        return;
    }
    if (is_tls(clients, index)) {
        receive_tls(clients, index);
        return;
    }
    if (!conn_may_read(conns, index)) {
        return;
    }
    struct span_mut target = conn_receive_target(conns, index);
    if (target.length == 0 && receive_burst(clients, index)) {
        return;
    }
    link_receive(&clients->link, clients->links[index], target);
}

// The next of those that wait for lent memory. Bounded: each pass takes one off the list.
static void bursts_serve(struct clients *clients) {
    while (clients->burst_count > 0 && clients->lent_count < BURSTS_MAX) {
        uint32_t at = clients->burst_first;
        uint32_t index = clients->bursts[at].index;
        clients->burst_first = (at + 1) % BURSTS_WAITING_MAX;
        clients->burst_count--;
        if (clients_is_live(clients, index, clients->bursts[at].generation)) {
            clients->bits[index] &= (uint8_t)~CLIENTS_WAITS;
            receive(clients, index);
        }
    }
}

// A receive brought that many bytes: are the next ones likely to fill a buffer?
static void burst_note(struct clients *clients, uint32_t index, uint32_t bytes) {
    if (bytes >= RECEIVE_BUFFER_BYTES) {
        clients->bits[index] |= CLIENTS_BURSTS;
    } else {
        clients->bits[index] &= (uint8_t)~CLIENTS_BURSTS;
    }
}

// False: it has ended.
static bool let_in(struct clients *clients, uint32_t index, uint32_t listener) {
    if (!clients->owner.on_open(clients->owner.context, index, listener)) {
        conn_kill(&clients->conns, index, FAULT_connection_limit);
        return false;
    }
    if (secures_has(clients->secures, listener)) {
        secure_open(clients, index);
    }
    return true;
}

static void on_accepted(struct clients *clients, const struct link_event *event) {
    struct conns *conns = &clients->conns;
    uint32_t index = conn_open(conns);
    if (index == 0) {
        link_close(&clients->link, event->id);
        return;
    }
    clients->index_peak = index > clients->index_peak ? index : clients->index_peak;
    clients->links[index] = event->id;
    clients->addresses[index] = event->address;
    clients->bits[index] = 0;
    link_own(&clients->link, event->id, index);
    if (clients_proxy_wants(clients, index, event->listener) ||
        let_in(clients, index, event->listener)) {
        receive(clients, index);
    }
}

static void on_sent(struct clients *clients, const struct link_event *event) {
    struct conns *conns = &clients->conns;
    if (is_tls(clients, event->owner)) {
        secure_on_sent(clients, event);
        return;
    }
    conn_sent(conns, event->owner, event->bytes);
    if (event->error != 0 && event->error != -ECANCELED) {
        bool is_reset = event->error == -EPIPE || event->error == -ECONNRESET;
        conn_on_error(conns, event->owner, is_reset ? FAULT_peer_reset : FAULT_transport_error);
        return;
    }
    clients->owner.on_sent(clients->owner.context, event->owner);
}

static void on_target(struct clients *clients, const struct link_event *event) {
    counter_add(clients->conns.counters, COUNTER_bytes_in, event->bytes);
    if (is_tls(clients, event->owner)) {
        secure_on_target(clients, event->owner, event->bytes);
        receive(clients, event->owner);
        return;
    }
    struct conn_event ask = conn_feed_target(&clients->conns, event->owner, event->bytes);
    if (ask.kind != CONN_EVENT_NONE) {
        clients->owner.on_ask(clients->owner.context, event->owner, &ask);
    }
    receive(clients, event->owner);
}

static void pass_bytes(struct clients *clients, uint32_t index, struct span_mut received) {
    struct conns *conns = &clients->conns;
    if (is_tls(clients, index)) {
        secure_on_bytes(clients, index, received);
        return;
    }
    bool holds = !conn_may_read(conns, index) && conn_may_feed(conns, index);
    if (holds) { // bytes that came before these are still waiting
        conn_hold(conns, index, received);
        feed_held(clients, index);
    } else {
        clients_feed(clients, index, received);
    }
}

static void take_bytes(struct clients *clients, uint32_t index, struct span_mut received) {
    counter_add(clients->conns.counters, COUNTER_bytes_in, received.length);
    burst_note(clients, index, received.length);
    if ((clients->bits[index] & CLIENTS_PROXY) == 0) {
        pass_bytes(clients, index, received);
        return;
    }
    struct clients_proxied proxied;
    if (!clients_proxy_take(clients, index, received, &proxied)) {
        return;
    }
    uint32_t listener = link_slot_at(&clients->link, clients->links[index])->listener;
    if (let_in(clients, index, listener) && proxied.rest.length > 0) {
        pass_bytes(clients, index, proxied.rest);
    }
    arena_give(clients->conns.arena, proxied.block);
}

static void on_bytes(struct clients *clients, const struct link_event *event) {
    take_bytes(clients, event->owner, event->data);
    link_bytes_done(&clients->link, event);
    receive(clients, event->owner);
}

// Bytes in lent memory; it is given back before the next receive is issued.
static void on_burst(struct clients *clients, const struct link_event *event) {
    struct arena *arena = clients->conns.arena;
    struct span_mut received = {.data = arena_at(arena, event->token), .length = event->bytes};
    take_bytes(clients, event->owner, received);
    arena_give(arena, event->token);
    receive(clients, event->owner);
}

void clients_on_event(struct clients *clients, const struct link_event *event) {
    struct conns *conns = &clients->conns;
    if (event->token != 0) {
        clients->lent_count--;
        if (event->kind == LINK_EVENT_TARGET) {
            on_burst(clients, event);
            return;
        }
        arena_give(conns->arena, event->token);
    }
    switch (event->kind) {
    case LINK_EVENT_ACCEPTED:
        on_accepted(clients, event);
        return;
    case LINK_EVENT_READABLE:
        conn_on_readable(conns, event->owner);
        receive(clients, event->owner);
        return;
    case LINK_EVENT_BYTES:
        on_bytes(clients, event);
        return;
    case LINK_EVENT_TARGET:
        on_target(clients, event);
        return;
    case LINK_EVENT_END:
        conn_on_end(conns, event->owner);
        return;
    case LINK_EVENT_ERROR:
        conn_on_error(conns, event->owner,
                      event->error == -ECONNRESET || event->error == -EPIPE
                          ? FAULT_peer_reset
                          : FAULT_transport_error);
        return;
    case LINK_EVENT_SENT:
        on_sent(clients, event);
        return;
    case LINK_EVENT_CLOSED:
        if ((clients->bits[event->owner] & CLIENTS_PROXY) == 0) { // else nobody was told of it
            clients->owner.on_gone(clients->owner.context, event->owner);
        }
        if (is_tls(clients, event->owner)) {
            secure_release(clients, event->owner);
        }
        conn_release(conns, event->owner);
        return;
    default: // doorbells and writes are the thread's own; lent memory was given back above
        return;
    }
}

static void pump_one(struct clients *clients, uint32_t index) {
    struct conns *conns = &clients->conns;
    link_id id = clients->links[index];
    if (conn_at(conns, index)->state == CONN_ENDED) {
        if (is_tls(clients, index)) {
            secure_say_end(clients, index);
        }
        link_close(&clients->link, id);
        return;
    }
    feed_held(clients, index);
    if (is_tls(clients, index)) {
        secure_send(clients, index);
        receive(clients, index);
        return;
    }
    struct span pieces[SEND_PIECES_MAX];
    uint32_t count = conn_gather(conns, index, pieces);
    if (count > 0) {
        link_send(&clients->link, id, pieces, count);
        clients->pieces_sent++;
    }
    receive(clients, index);
}

void clients_pump(struct clients *clients) {
    bursts_serve(clients);
    // Bounded: a connection comes back only when feeding what it held touched it, and held bytes
    // are used up.
    for (uint32_t index = conn_touched_next(&clients->conns); index != 0;
         index = conn_touched_next(&clients->conns)) {
        pump_one(clients, index);
    }
}

void clients_expire(struct clients *clients) {
    struct conns *conns = &clients->conns;
    wheel_advance(&conns->wheel, conns->now_ms);
    uint32_t index;
    for (uint32_t i = 0; i < EXPIRIES_MAX && wheel_next(&conns->wheel, &index); i++) {
        conn_on_time(conns, index);
    }
}
