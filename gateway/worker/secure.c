// Sending, receiving and the end. The handshake is in secure_shake.c.
#include "gateway/worker/secure.h"

#include "core/base/check.h"
#include "gateway/worker/clients.h"
#include "gateway/worker/secure_internal.h"

#include <errno.h>

struct secure *secure_at(const struct clients *clients, uint32_t index) {
    return &clients->secures->table[index];
}

bool secures_has(const struct secures *secures, uint32_t listener) {
    return secures != NULL && secures->contexts != NULL && secures->contexts[listener] != NULL;
}

uint64_t secures_touched_bytes(const struct secures *secures, uint64_t index_peak) {
    uint64_t count = index_peak < secures->index_peak ? index_peak : secures->index_peak;
    return count * sizeof(struct secure);
}

void secure_open(struct clients *clients, uint32_t index) {
    if (index > clients->secures->index_peak) {
        clients->secures->index_peak = index;
    }
    memset(secure_at(clients, index), 0, sizeof(struct secure));
    clients->bits[index] |= CLIENTS_TLS;
}

void secure_tail_drop(struct clients *clients, struct secure *secure) {
    if (secure->tail_block != 0) {
        arena_give(clients->conns.arena, secure->tail_block);
    }
    secure->tail_block = 0;
    secure->tail_bytes = 0;
    secure->tail_wanted = 0;
}

static void sealed_drop(struct clients *clients, struct secure *secure) {
    if (secure->sealed_block != 0) {
        arena_give(clients->conns.arena, secure->sealed_block);
    }
    secure->sealed_block = 0;
    secure->sealed_bytes = 0;
    secure->sealed_sent = 0;
    secure->plain_bytes = 0;
    secure->flags &= (uint8_t)~SECURE_OWN;
}

void secure_release(struct clients *clients, uint32_t index) {
    struct secure *secure = secure_at(clients, index);
    secure_shake_drop(clients, index);
    secure_tail_drop(clients, secure);
    sealed_drop(clients, secure);
    tls_session_fini(&secure->session);
    uint32_t *peer = &clients->secures->peers[index];
    if (*peer != 0) {
        arena_give(clients->conns.arena, *peer);
        *peer = 0;
    }
    memset(secure, 0, sizeof(*secure));
}

// Room for `bytes` in the tail, what it holds kept. False: no memory.
bool secure_tail_reserve(struct clients *clients, struct secure *secure, uint32_t bytes) {
    struct arena *arena = clients->conns.arena;
    if (secure->tail_block != 0 && arena_block_bytes(arena, secure->tail_block) >= bytes) {
        return true;
    }
    uint32_t block = arena_take(arena, bytes);
    if (block == 0) {
        return false;
    }
    if (secure->tail_block != 0) {
        memcpy(arena_at(arena, block), arena_at(arena, secure->tail_block), secure->tail_bytes);
        arena_give(arena, secure->tail_block);
    }
    secure->tail_block = block;
    return true;
}

struct span_mut secure_tail(const struct clients *clients, const struct secure *secure) {
    uint8_t *data =
        secure->tail_block == 0 ? NULL : arena_at(clients->conns.arena, secure->tail_block);
    return (struct span_mut){.data = data, .length = secure->tail_bytes};
}

bool secure_may_read(const struct clients *clients, uint32_t index) {
    const struct secure *secure = secure_at(clients, index);
    switch (secure->state) {
    case SECURE_HELLO:
        return conn_may_read(&clients->conns, index);
    case SECURE_SHAKING: // one flight at a time
        return !clients->secures->shakes[secure->shake].is_ready && secure->sealed_bytes == 0;
    case SECURE_OPEN:
        return (secure->flags & SECURE_ENDED) == 0 && conn_may_read(&clients->conns, index);
    default:
        return false;
    }
}

bool secure_is_shaking(const struct clients *clients, uint32_t index) {
    return secure_at(clients, index)->state != SECURE_OPEN;
}

struct span_mut secure_target(const struct clients *clients, uint32_t index) {
    const struct secure *secure = secure_at(clients, index);
    bool is_burst = (clients->bits[index] & CLIENTS_BURSTS) != 0;
    bool is_begun = secure->tail_bytes > 0 && secure->tail_wanted > TLS_RECORD_HEAD_BYTES;
    if (secure->state != SECURE_OPEN || !is_begun || is_burst) {
        return (struct span_mut){.data = NULL, .length = 0};
    }
    if (arena_block_bytes(clients->conns.arena, secure->tail_block) < secure->tail_wanted) {
        return (struct span_mut){.data = NULL, .length = 0}; // it was taken for the head alone
    }
    struct span_mut tail = secure_tail(clients, secure);
    return (struct span_mut){.data = tail.data + tail.length,
                             .length = (uint32_t)secure->tail_wanted - tail.length};
}

// --- bytes in

// A record was refused: the alert that answers it is the last thing sent.
static void refuse(struct clients *clients, uint32_t index, const struct tls_opened *opened) {
    struct secure *secure = secure_at(clients, index);
    secure->alert = (uint8_t)opened->alert;
    secure->fault = opened->fault->id;
    if (secure->sealed_bytes != 0) {
        secure->state = SECURE_SAYING;
        return;
    }
    secure_say(clients, index, opened->alert);
    conn_kill(&clients->conns, index, (enum fault_id)opened->fault->id);
}

// Opens the first record of `bytes`; the length of *plain is 0 if it is not data. Returns the bytes
// used, 0 when it is not whole or the connection has ended.
static uint32_t record_take(struct clients *clients, uint32_t index, struct span_mut bytes,
                            struct span_mut *plain) {
    struct secure *secure = secure_at(clients, index);
    *plain = (struct span_mut){.data = NULL, .length = 0};
    struct tls_opened opened = tls_session_open(&secure->session, bytes);
    secure->tail_wanted = (uint16_t)opened.wanted;
    switch (opened.kind) {
    case TLS_OPENED_DATA:
        *plain = opened.data;
        break;
    case TLS_OPENED_CLOSED:
        secure->flags |= SECURE_ENDED;
        break;
    case TLS_OPENED_FAULT:
        refuse(clients, index, &opened);
        return 0;
    case TLS_OPENED_MORE:
        return 0;
    case TLS_OPENED_NOTHING:
        break;
    }
    if (tls_session_owes(&secure->session)) {
        conn_touch(&clients->conns, index);
    }
    return opened.consumed;
}

static bool is_over(const struct clients *clients, uint32_t index) {
    return secure_at(clients, index)->state != SECURE_OPEN ||
           conn_at(&clients->conns, index)->state == CONN_ENDED;
}

// Opens the records of *bytes one after the other and moves their text together, in place. What is
// left is the beginning of a record.
static struct span_mut records_take(struct clients *clients, uint32_t index,
                                    struct span_mut *bytes) {
    struct span_mut all = {.data = bytes->data, .length = 0};
    // Bounded: every pass uses bytes.
    while (bytes->length > 0 && !is_over(clients, index)) {
        struct span_mut plain;
        uint32_t used = record_take(clients, index, *bytes, &plain);
        if (used == 0) {
            break;
        }
        if (all.length == 0) {
            all = plain;
        } else if (plain.length > 0) {
            memmove(all.data + all.length, plain.data, plain.length);
            all.length += plain.length;
        }
        bytes->data += used;
        bytes->length -= used;
    }
    return all;
}

// Adds to the tail up to what completes its record, or its head. False: no memory.
static bool tail_add(struct clients *clients, struct secure *secure, struct span_mut *bytes) {
    uint32_t wanted = secure->tail_wanted;
    check(wanted > secure->tail_bytes);
    uint32_t part = wanted - secure->tail_bytes;
    part = part < bytes->length ? part : bytes->length;
    if (!secure_tail_reserve(clients, secure, wanted)) {
        return false;
    }
    memcpy(arena_at(clients->conns.arena, secure->tail_block) + secure->tail_bytes, bytes->data,
           part);
    secure->tail_bytes = (uint16_t)(secure->tail_bytes + part);
    bytes->data += part;
    bytes->length -= part;
    return true;
}

// The tail's record, once it is whole, is fed from where it lies.
static void tail_take(struct clients *clients, uint32_t index) {
    struct secure *secure = secure_at(clients, index);
    if (secure->tail_bytes < secure->tail_wanted) {
        return;
    }
    struct span_mut plain;
    uint32_t used = record_take(clients, index, secure_tail(clients, secure), &plain);
    if (used == 0) {
        return; // only its head is known now, or it was refused
    }
    clients_feed(clients, index, plain);
    secure_tail_drop(clients, secure);
}

static void bytes_take(struct clients *clients, uint32_t index, struct span_mut received) {
    struct secure *secure = secure_at(clients, index);
    // Bounded: every pass uses bytes.
    while (received.length > 0 && !is_over(clients, index)) {
        if (secure->tail_bytes == 0) {
            clients_feed(clients, index, records_take(clients, index, &received));
            if (received.length == 0 || is_over(clients, index)) {
                break;
            }
        }
        if (!tail_add(clients, secure, &received)) {
            conn_kill(&clients->conns, index, FAULT_out_of_memory);
            return;
        }
        tail_take(clients, index);
    }
}

void secure_on_opened(struct clients *clients, uint32_t index, struct span_mut received) {
    struct secure *secure = secure_at(clients, index);
    bytes_take(clients, index, received);
    if ((secure->flags & SECURE_ENDED) != 0 && !is_over(clients, index)) {
        conn_on_end(&clients->conns, index);
    }
}

void secure_on_bytes(struct clients *clients, uint32_t index, struct span_mut received) {
    if (secure_at(clients, index)->state == SECURE_OPEN) {
        secure_on_opened(clients, index, received);
    } else if (!is_over(clients, index) || secure_at(clients, index)->state < SECURE_OPEN) {
        secure_shake_on_bytes(clients, index, received);
    }
}

void secure_on_target(struct clients *clients, uint32_t index, uint32_t length) {
    struct secure *secure = secure_at(clients, index);
    check(secure->tail_bytes + length <= secure->tail_wanted);
    check(secure->tail_wanted <= arena_block_bytes(clients->conns.arena, secure->tail_block));
    secure->tail_bytes = (uint16_t)(secure->tail_bytes + length);
    if (!is_over(clients, index)) {
        tail_take(clients, index);
    }
    if ((secure->flags & SECURE_ENDED) != 0 && !is_over(clients, index)) {
        conn_on_end(&clients->conns, index);
    }
}

// --- bytes out

static bool link_is_open(const struct clients *clients, uint32_t index) {
    return link_slot_at(&clients->link, clients->links[index])->state == LINK_OPEN;
}

void secure_send_own(struct clients *clients, uint32_t index, uint32_t block, uint32_t length) {
    struct secure *secure = secure_at(clients, index);
    check(secure->sealed_bytes == 0 && length > 0);
    secure->sealed_block = block;
    secure->sealed_bytes = length;
    secure->flags |= SECURE_OWN;
    secure->own_s = (uint16_t)(clients->conns.now_ms / 1000);
    struct span piece = span_make(arena_at(clients->conns.arena, block), length);
    link_send(&clients->link, clients->links[index], &piece, 1);
}

void secure_say(struct clients *clients, uint32_t index, enum tls_alert alert) {
    struct secure *secure = secure_at(clients, index);
    if (secure->state != SECURE_OPEN && secure->state != SECURE_SAYING) {
        return;
    }
    secure->state = SECURE_SAID;
    if (secure->sealed_bytes != 0 || !link_is_open(clients, index) || alert == TLS_ALERT_NONE) {
        return; // in the middle of a send nothing can be said
    }
    struct arena *arena = clients->conns.arena;
    uint32_t block = arena_take(arena, TLS_SESSION_CONTROL_BYTES_MAX);
    if (block == 0) {
        return; // the end of TCP says it as well
    }
    struct span_mut target = {.data = arena_at(arena, block),
                              .length = TLS_SESSION_CONTROL_BYTES_MAX};
    uint32_t length = tls_session_alert(&secure->session, alert, target);
    if (length == 0) {
        arena_give(arena, block);
        return;
    }
    secure_send_own(clients, index, block, length);
}

void secure_say_end(struct clients *clients, uint32_t index) {
    secure_shake_drop(clients, index); // its turn may still come
    secure_say(clients, index, TLS_ALERT_CLOSE_NOTIFY);
}

static enum fault_id seal_fault(int64_t error) {
    return error == -ENOMEM ? FAULT_out_of_memory : FAULT_tls_keys_used_up;
}

// Seals and sends; with no pieces only what the record layer owes.
static enum fault_id pieces_send(struct clients *clients, uint32_t index, struct span *pieces,
                                 uint32_t count) {
    struct secure *secure = secure_at(clients, index);
    struct arena *arena = clients->conns.arena;
    uint32_t bytes = spans_cut(pieces, &count, TLS_SEAL_BYTES_MAX);
    uint32_t room = (uint32_t)tls_session_sealed_bytes(&secure->session, bytes);
    uint32_t block = arena_take(arena, room);
    if (block == 0) {
        return FAULT_out_of_memory;
    }
    struct span_mut target = {.data = arena_at(arena, block), .length = room};
    int64_t sealed = tls_session_seal(&secure->session, pieces, count, target);
    if (sealed <= 0) {
        arena_give(arena, block);
        return sealed == 0 ? FAULT_none : seal_fault(sealed);
    }
    secure->plain_bytes = bytes;
    secure_send_own(clients, index, block, (uint32_t)sealed);
    if (count > 0) {
        secure->flags &= (uint8_t)~SECURE_OWN;
    }
    return FAULT_none;
}

// The connection judges its own sends by its stall deadline; ours it does not know. What waits
// behind them, its pings at the latest, brings it here.
static bool own_is_stuck(const struct clients *clients, const struct secure *secure) {
    uint16_t age_s = (uint16_t)((uint16_t)(clients->conns.now_ms / 1000) - secure->own_s);
    return secure->sealed_bytes != 0 && (secure->flags & SECURE_OWN) != 0 &&
           age_s > TLS_OWN_WAIT_MS / 1000;
}

void secure_send(struct clients *clients, uint32_t index) {
    struct secure *secure = secure_at(clients, index);
    if (own_is_stuck(clients, secure)) {
        conn_kill(&clients->conns, index, FAULT_send_stalled);
        return;
    }
    if (secure->state != SECURE_OPEN || secure->sealed_bytes != 0) {
        return;
    }
    struct span pieces[SEND_PIECES_MAX];
    uint32_t count = conn_gather(&clients->conns, index, pieces);
    if (count == 0 && !tls_session_owes(&secure->session)) {
        return;
    }
    enum fault_id fault = pieces_send(clients, index, pieces, count);
    if (fault == FAULT_none) {
        clients->pieces_sent++;
        return;
    }
    if (count > 0) {
        conn_sent(&clients->conns, index, 0);
    }
    conn_kill(&clients->conns, index, fault);
}

void secure_on_sent(struct clients *clients, const struct link_event *event) {
    uint32_t index = event->owner;
    struct secure *secure = secure_at(clients, index);
    struct conns *conns = &clients->conns;
    secure->sealed_sent += event->bytes;
    check(secure->sealed_sent <= secure->sealed_bytes);
    bool is_whole = secure->sealed_sent == secure->sealed_bytes;
    bool goes_on = conn_at(conns, index)->state != CONN_ENDED && link_is_open(clients, index);
    if (!is_whole && event->error == 0 && goes_on) {
        // The same bytes go on: a record is sealed once.
        struct span rest =
            span_make(arena_at(conns->arena, secure->sealed_block) + secure->sealed_sent,
                      secure->sealed_bytes - secure->sealed_sent);
        link_send(&clients->link, event->id, &rest, 1);
        return;
    }
    bool is_own = (secure->flags & SECURE_OWN) != 0;
    uint32_t plain_bytes = is_whole ? secure->plain_bytes : 0;
    sealed_drop(clients, secure);
    if (!is_own) {
        conn_sent(conns, index, plain_bytes);
    }
    if (!is_whole) {
        bool is_reset = event->error == -EPIPE || event->error == -ECONNRESET;
        conn_on_error(conns, index, is_reset ? FAULT_peer_reset : FAULT_transport_error);
        return;
    }
    if (secure->state == SECURE_SAYING) {
        secure_say(clients, index, (enum tls_alert)secure->alert);
        conn_kill(conns, index, (enum fault_id)secure->fault);
    } else if (secure->state == SECURE_SHAKING) {
        secure_shake_on_sent(clients, index);
    } else if (!is_own) {
        clients->owner.on_sent(clients->owner.context, index);
    }
    if (goes_on) {
        conn_touch(conns, index); // what waited behind it, and reading again
    }
}
