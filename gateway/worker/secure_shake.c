// Handshakes: how many at once, whose turn it is, and the way from the library to the record layer.
#include "core/base/address.h"
#include "core/base/check.h"
#include "gateway/seam/log.h"
#include "gateway/worker/clients.h"
#include "gateway/worker/secure_internal.h"

#include <stddef.h>

static struct secure_shake *shake_at(const struct clients *clients, const struct secure *secure) {
    check(secure->shake > 0 && secure->shake <= TLS_HANDSHAKES_MAX);
    return &clients->secures->shakes[secure->shake];
}

// What the library may take, in bytes: for clients, and for connections to services, which are on
// the same thread and so of the same arena.
static uint64_t memory_limit(const struct secures_options *options) {
    uint64_t kept = options->keeps_library ? options->connection_max : 0;
    return TLS_MEMORY_BYTES_MAX + (kept + UPSTREAM_TLS_LINES_MAX) * TLS_KEPT_BYTES_MAX;
}

void secures_memory_size(struct secures_options *options) {
    options->table.length = ((uint64_t)options->connection_max + 1) * sizeof(struct secure);
    options->peers.length = ((uint64_t)options->connection_max + 1) * sizeof(uint32_t);
    options->shakes.length = (uint64_t)(TLS_HANDSHAKES_MAX + 1) * sizeof(struct secure_shake);
    uint64_t space = 4 * memory_limit(options); // size classes leave holes
    space = (space + ARENA_STEP_BYTES - 1) / ARENA_STEP_BYTES * ARENA_STEP_BYTES;
    options->space.length = space < ARENA_SPACE_BYTES_MAX ? space : ARENA_SPACE_BYTES_MAX;
    options->book.length = arena_book_bytes(options->space.length);
}

void secures_init(struct secures *secures, const struct secures_options *options) {
    *secures = (struct secures){
        .table = (struct secure *)(void *)options->table.data,
        .peers = (uint32_t *)(void *)options->peers.data,
        .shakes = (struct secure_shake *)(void *)options->shakes.data,
        .free_first = 1,
    };
    uint64_t limit = memory_limit(options);
    arena_init(&secures->memory, options->space, options->book,
               limit < options->space.length ? limit : options->space.length);
    tls_memory_set(&secures->memory);
    tls_tickets_init(&secures->tickets, options->ticket_seed, options->ticket_begin_ms);
    for (uint16_t i = 1; i < TLS_HANDSHAKES_MAX; i++) {
        secures->shakes[i].next_free = (uint16_t)(i + 1);
    }
}

void secures_fini(struct secures *secures) {
    tls_tickets_fini(&secures->tickets);
}

bool secures_are_busy(const struct secures *secures) {
    return secures->ready_count > 0;
}

static void ready_set(struct secures *secures, struct secure_shake *shake, bool is_ready) {
    secures->ready_count -= shake->is_ready;
    shake->is_ready = is_ready;
    secures->ready_count += shake->is_ready;
}

void secure_shake_drop(struct clients *clients, uint32_t index) {
    struct secure *secure = secure_at(clients, index);
    if (secure->shake == 0) {
        return;
    }
    struct secures *secures = clients->secures;
    struct secure_shake *shake = shake_at(clients, secure);
    if (shake->is_begun) {
        tls_handshake_close(&shake->handshake);
    }
    ready_set(secures, shake, false);
    memset(shake, 0, sizeof(*shake));
    shake->next_free = secures->free_first;
    secures->free_first = secure->shake;
    secures->shake_count--;
    secures->shaken_ms = clients->conns.now_ms;
    secure->shake = 0;
    secure->state = SECURE_SAID;
}

// The oldest handshake whose client is waited for, if it was given its time. 0: there is none.
static uint32_t victim_find(const struct clients *clients) {
    const struct secures *secures = clients->secures;
    uint64_t oldest_ms = clients->conns.now_ms - TLS_EVICT_MS;
    uint32_t victim = 0;
    for (uint32_t i = 1; i <= TLS_HANDSHAKES_MAX; i++) {
        const struct secure_shake *shake = &secures->shakes[i];
        if (shake->index != 0 && !shake->is_ready && shake->begun_ms <= oldest_ms) {
            oldest_ms = shake->begun_ms;
            victim = shake->index;
        }
    }
    return victim;
}

// Takes one of the handshakes. False: all are in progress, and none is old enough to make room.
static bool shake_take(struct clients *clients, uint32_t index) {
    struct secures *secures = clients->secures;
    if (secures->free_first == 0) {
        uint32_t victim = victim_find(clients);
        if (victim == 0) {
            return false;
        }
        conn_kill(&clients->conns, victim, FAULT_tls_evicted);
        secure_shake_drop(clients, victim);
    }
    struct secure *secure = secure_at(clients, index);
    secure->shake = secures->free_first;
    struct secure_shake *shake = shake_at(clients, secure);
    secures->free_first = shake->next_free;
    secures->shake_count++;
    shake->index = index;
    shake->begun_ms = clients->conns.now_ms;
    secure->state = SECURE_SHAKING;
    return true;
}

static void complain(struct clients *clients, uint32_t index, const char *reason) {
    char address[ADDRESS_TEXT_BYTES];
    if (clients_may_complain(clients)) {
        address_format(&clients->addresses[index], true, address);
        log_event(clients->log, LOG_LEVEL_INFO, "tls_handshake_failed",
                  log_text("address", address), log_text("reason", reason == NULL ? "?" : reason));
    }
}

// Keeps bytes for the handshake's next turn. False: no memory.
static bool keep(struct clients *clients, struct secure *secure, struct span bytes) {
    if (bytes.length == 0) {
        return true;
    }
    uint32_t length = secure->tail_bytes + bytes.length;
    if (length > UINT16_MAX || !secure_tail_reserve(clients, secure, length)) {
        return false;
    }
    memcpy(arena_at(clients->conns.arena, secure->tail_block) + secure->tail_bytes, bytes.data,
           bytes.length);
    secure->tail_bytes = (uint16_t)length;
    return true;
}

// Keeps who the client is. False: no memory.
static bool peer_note(struct clients *clients, uint32_t index, const struct secure_shake *shake) {
    struct tls_peer peer;
    if (!tls_handshake_peer(&shake->handshake, &peer)) {
        return true;
    }
    struct arena *arena = clients->conns.arena;
    uint32_t bytes = (uint32_t)offsetof(struct tls_peer, subject) + peer.subject_bytes;
    uint32_t block = arena_take(arena, bytes);
    if (block == 0) {
        return false;
    }
    memcpy(arena_at(arena, block), &peer, bytes);
    clients->secures->peers[index] = block;
    return true;
}

// From the library to the record layer.
static void finish(struct clients *clients, uint32_t index, struct span_mut rest) {
    struct secure *secure = secure_at(clients, index);
    struct secure_shake *shake = shake_at(clients, secure);
    struct counters *counters = clients->conns.counters;
    bool is_resumed = tls_handshake_is_resumed(&shake->handshake);
    bool is_noted = peer_note(clients, index, shake);
    int error = tls_session_begin(&secure->session, &shake->handshake);
    secure_shake_drop(clients, index);
    if (!is_noted) {
        conn_kill(&clients->conns, index, FAULT_out_of_memory);
        return;
    }
    if (error != 0) {
        complain(clients, index, "the library's keys are not what follows from its secrets");
        conn_kill(&clients->conns, index, FAULT_tls_handshake);
        return;
    }
    secure->state = SECURE_OPEN;
    counter_add(counters, COUNTER_tls_handshakes, 1);
    counter_add(counters, COUNTER_tls_resumptions, is_resumed);
    secure_on_opened(clients, index, rest);
    if (conn_at(&clients->conns, index)->state != CONN_ENDED) {
        conn_touch(&clients->conns, index); // reads on
    }
}

// The library takes its part when it is first needed. False: there is no memory for it.
static bool begin(struct clients *clients, struct secure_shake *shake, struct span hello) {
    if (!shake->is_begun) {
        clients->secures->is_warm = true;
        uint32_t listener = link_slot_at(&clients->link, clients->links[shake->index])->listener;
        shake->is_begun =
            tls_handshake_open(&shake->handshake, clients->secures->contexts[listener],
                               &clients->secures->tickets, hello) == 0;
    }
    return shake->is_begun;
}

// One step with what was received, which is not the tail.
static void step(struct clients *clients, uint32_t index, struct span_mut received) {
    struct secure *secure = secure_at(clients, index);
    struct secure_shake *shake = shake_at(clients, secure);
    struct arena *arena = clients->conns.arena;
    struct span hello = span_make(received.data, received.length);
    uint32_t block = begin(clients, shake, hello) ? arena_take(arena, TLS_FLIGHT_BYTES) : 0;
    if (block == 0) {
        conn_kill(&clients->conns, index, FAULT_out_of_memory);
        secure_shake_drop(clients, index);
        return;
    }
    secure->flags &= (uint8_t)~SECURE_FULL;
    struct tls_handshake_step shaken = {
        .received = span_make(received.data, received.length),
        .target = {.data = arena_at(arena, block), .length = TLS_FLIGHT_BYTES}};
    enum tls_handshake_result result = tls_handshake_feed(&shake->handshake, &shaken);
    if (shaken.written > 0) {
        secure_send_own(clients, index, block, shaken.written);
    } else {
        arena_give(arena, block);
    }
    received.data += shaken.consumed;
    received.length -= shaken.consumed;
    switch (result) {
    case TLS_HANDSHAKE_DONE:
        finish(clients, index, received);
        return;
    case TLS_HANDSHAKE_FULL:
        secure->flags |= SECURE_FULL;
        break;
    case TLS_HANDSHAKE_MORE:
        break;
    case TLS_HANDSHAKE_FAULT:
        complain(clients, index, shaken.reason);
        conn_kill(&clients->conns, index, (enum fault_id)shaken.fault->id);
        secure_shake_drop(clients, index);
        return;
    }
    if (!keep(clients, secure, span_make(received.data, received.length))) {
        conn_kill(&clients->conns, index, FAULT_out_of_memory);
    }
}

// A step now, or when its turn comes: a storm of handshakes may not hold up those who are in.
static void step_or_wait(struct clients *clients, uint32_t index) {
    struct secures *secures = clients->secures;
    struct secure *secure = secure_at(clients, index);
    struct secure_shake *shake = shake_at(clients, secure);
    if (secures->steps_left == 0) {
        ready_set(secures, shake, true);
        return;
    }
    secures->steps_left--;
    ready_set(secures, shake, false);
    struct span_mut bytes = secure_tail(clients, secure);
    uint32_t block = secure->tail_block;
    secure->tail_block = 0;
    secure->tail_bytes = 0;
    step(clients, index, bytes);
    if (block != 0) {
        arena_give(clients->conns.arena, block);
    }
    if (conn_at(&clients->conns, index)->state != CONN_ENDED) {
        conn_touch(&clients->conns, index); // what came while it waited is read now
    }
}

static void cool(struct secures *secures, uint64_t now_ms) {
    bool is_idle = secures->shake_count == 0 && now_ms - secures->shaken_ms >= TLS_TABLES_MS;
    if (secures->is_warm && is_idle) {
        tls_memory_trim();
        secures->is_warm = false;
    }
}

bool secures_release_next(struct secures *secures, struct memory *step) {
    return secures->is_warm ? arena_release_next(&secures->memory, step)
                            : arena_release_any(&secures->memory, step);
}

void secure_turn(struct clients *clients) {
    struct secures *secures = clients->secures;
    cool(secures, clients->conns.now_ms);
    secures->steps_left = TLS_STEPS_TURN_MAX;
    tls_tickets_advance(&secures->tickets, clients->conns.now_ms);
    for (uint32_t i = 0; i < TLS_HANDSHAKES_MAX && secures->ready_count > 0; i++) {
        if (secures->steps_left == 0) {
            return;
        }
        secures->ready_cursor = secures->ready_cursor % TLS_HANDSHAKES_MAX + 1;
        const struct secure_shake *shake = &secures->shakes[secures->ready_cursor];
        if (shake->is_ready) {
            step_or_wait(clients, shake->index);
        }
    }
}

// A plain request on a TLS port is told so, in the clear.
static void hint(struct clients *clients, uint32_t index) {
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n"
                               "Content-Type: text/plain\r\n"
                               "Content-Length: 47\r\n"
                               "Connection: close\r\n"
                               "\r\n"
                               "this port speaks TLS: write https:// or wss://\n";
    struct arena *arena = clients->conns.arena;
    uint32_t block = arena_take(arena, sizeof(text));
    if (block != 0) {
        memcpy(arena_at(arena, block), text, sizeof(text) - 1);
        secure_send_own(clients, index, block, sizeof(text) - 1);
    }
    conn_kill(&clients->conns, index, FAULT_tls_expected);
}

static struct span tail_span(const struct clients *clients, const struct secure *secure) {
    struct span_mut tail = secure_tail(clients, secure);
    return span_make(tail.data, tail.length);
}

// The library is not asked, nor its memory taken, before the client's first record is whole. What
// cannot be a ClientHello is left to it at once.
static bool is_hello_whole(const struct clients *clients, const struct secure *secure,
                           struct span bytes) {
    return shake_at(clients, secure)->is_begun || bytes.length >= tls_hello_bytes(bytes);
}

void secure_shake_on_bytes(struct clients *clients, uint32_t index, struct span_mut received) {
    struct secure *secure = secure_at(clients, index);
    if (conn_at(&clients->conns, index)->state == CONN_ENDED) {
        return;
    }
    if (secure->state == SECURE_HELLO && tls_is_http(span_make(received.data, received.length))) {
        hint(clients, index);
        return;
    }
    if (secure->state == SECURE_HELLO && !shake_take(clients, index)) {
        conn_kill(&clients->conns, index, FAULT_tls_busy);
        return;
    }
    struct span bytes = span_make(received.data, received.length);
    bool is_first = secure->tail_bytes == 0;
    if (is_first && clients->secures->steps_left > 0 && is_hello_whole(clients, secure, bytes)) {
        clients->secures->steps_left--;
        step(clients, index, received);
    } else if (!keep(clients, secure, bytes)) {
        conn_kill(&clients->conns, index, FAULT_out_of_memory);
    } else if (is_hello_whole(clients, secure, tail_span(clients, secure))) {
        step_or_wait(clients, index);
    }
}

void secure_shake_on_sent(struct clients *clients, uint32_t index) {
    const struct secure *secure = secure_at(clients, index);
    if ((secure->flags & SECURE_FULL) != 0 &&
        conn_at(&clients->conns, index)->state != CONN_ENDED) {
        step_or_wait(clients, index);
    }
}
