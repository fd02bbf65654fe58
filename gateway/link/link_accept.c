// Accepting: which ring is open, arming before and disarming in time, and asking for the peer's
// address.
#include "gateway/link/internal.h"

#include "core/base/check.h"

#include <errno.h>

int link_listen(struct link *link, const struct io_listen_options *options) {
    if (link->listener_count == LISTENERS_MAX) {
        return -ENOSPC;
    }
    int io_listener = io_listen(link->io, options);
    if (io_listener < 0) {
        return io_listener;
    }
    link->listeners[link->listener_count] = (struct link_listener){.io_listener = io_listener};
    return (int)link->listener_count++;
}

void link_hold_accept(struct link *link, bool is_held) {
    link->is_accept_held = is_held;
}

bool link_is_accept_quiet(const struct link *link) {
    for (uint32_t i = 0; i < link->listener_count; i++) {
        if (link->listeners[i].is_armed || link->listeners[i].is_cancelling) {
            return false;
        }
    }
    return true;
}

void link_listeners_close(struct link *link) {
    check(link_is_accept_quiet(link));
    for (uint32_t i = 0; i < link->listener_count; i++) {
        io_listener_close(link->io, link->listeners[i].io_listener);
    }
    link->listener_count = 0;
}

static uint32_t free_slots(const struct link *link, uint32_t ring) {
    return link->slots_per_ring - link->used[ring];
}

// The margin that keeps an armed accept from meeting a full table (io.h P9): on tiny tables (a low
// RLIMIT_NOFILE) an eighth of it.
static uint32_t margin(const struct link *link) {
    uint32_t part = link->slots_per_ring / 8;
    return part < ACCEPT_MARGIN_SLOTS ? (part < 17 ? 17 : part) : ACCEPT_MARGIN_SLOTS;
}

// A ring with room for accepts, opening one when all are full. False: there is none now.
static bool ring_choose(struct link *link) {
    uint32_t count = io_ring_count(link->io);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t ring = (link->open_ring + i) % count;
        if (free_slots(link, ring) >= 2 * margin(link)) {
            link->open_ring = ring;
            return true;
        }
    }
    if (link->is_ring_refused || count >= link->ring_max) {
        return false;
    }
    int ring = io_ring_open(link->io);
    if (ring < 0) { // out of descriptors or memory: what is open serves on, and is tried for room
                    // again each turn
        link->is_ring_refused = true;
        trace_add(link->trace, link->now_ms, TRACE_WORKER, 1, count, ring);
        return false;
    }
    link->open_ring = (uint32_t)ring;
    return true;
}

static void disarm(struct link *link, struct link_listener *listener) {
    if (listener->is_armed && !listener->is_cancelling) {
        listener->is_cancelling = true;
        io_accept_cancel(link->io, listener->ring, listener->io_listener, listener->generation);
    }
}

void link_accept_step(struct link *link) {
    if (link->listener_count == 0) {
        return;
    }
    bool has_room = !link->is_accept_held && free_slots(link, link->open_ring) >= margin(link);
    if (!has_room && !link->is_accept_held) {
        has_room = ring_choose(link);
    }
    for (uint32_t i = 0; i < link->listener_count; i++) {
        struct link_listener *listener = &link->listeners[i];
        bool is_elsewhere = listener->is_armed && listener->ring != link->open_ring;
        if (!has_room || is_elsewhere) {
            counter_add(link->counters, COUNTER_accept_paused,
                        !has_room && listener->is_armed && !listener->is_cancelling &&
                            !link->is_accept_held);
            disarm(link, listener);
        } else if (!listener->is_armed && !listener->is_cancelling) {
            listener->generation++;
            listener->ring = (uint8_t)link->open_ring;
            listener->is_armed = true;
            io_accept(link->io, listener->ring, listener->io_listener, listener->generation);
        }
    }
}

// io.h names the listener in the completion by its own number.
static struct link_listener *listener_find(struct link *link, uint32_t io_listener,
                                           uint32_t *number) {
    for (uint32_t i = 0; i < link->listener_count; i++) {
        if ((uint32_t)link->listeners[i].io_listener == io_listener) {
            *number = i;
            return &link->listeners[i];
        }
    }
    return NULL;
}

void link_on_accept_cancel(struct link *link, const struct io_completion *completion) {
    uint32_t number = 0;
    struct link_listener *listener = listener_find(link, completion->slot, &number);
    if (listener != NULL) {
        listener->is_cancelling =
            false; // found or not: its last completion says whether it is armed
    }
}

void link_peer_give(struct link *link, uint32_t peer) {
    check(link->peer_free_count < LINK_PEERS);
    link->peer_free[link->peer_free_count++] = peer;
}

static void name_ask(struct link *link, link_id id) {
    struct link_slot *slot = link_slot_at(link, id);
    // Peers are given back when the name's completion is reaped, at most a completion queue later:
    // twice that is never used up.
    check(link->peer_free_count > 0);
    slot->extra = link->peer_free[--link->peer_free_count];
    struct io_peer *peer = &link->peers[slot->extra];
    struct address bound =
        io_listener_address(link->io, link->listeners[slot->listener].io_listener);
    // A larger room than the address is -EINVAL (facts, decision 1): it must be the family's own.
    peer->length = address_is_v4(&bound) || bound.kind != ADDRESS_IP ? 16 : 28;
    slot->flight |= LINK_NAMING_OUT;
    io_peer_name(link->io, link_handle(link, id), peer);
}

static void slot_begin(struct link *link, link_id id, uint32_t listener) {
    struct link_slot *slot = link_slot_at(link, id);
    check(slot->state == LINK_FREE && slot->flight == 0);
    uint16_t generation = (uint16_t)(slot->generation + 1);
    *slot = (struct link_slot){.generation = generation, .listener = (uint16_t)listener};
    link_move(link, id, LINK_NAMING);
    link->used[id >> LINK_RING_SHIFT]++;
    link->used_total++;
    counter_add(link->counters, COUNTER_accepted, 1);
}

bool link_on_accept(struct link *link, const struct io_completion *completion,
                    struct link_event *event) {
    uint32_t number = 0;
    struct link_listener *listener = listener_find(link, completion->slot, &number);
    check(listener != NULL);
    if (!completion->more) {
        listener->is_armed = false; // armed again by link_accept_step
    }
    if (completion->result < 0) {
        bool is_ours = completion->result == -ECANCELED;
        counter_add(link->counters, COUNTER_accept_errors, !is_ours);
        trace_add(link->trace, link->now_ms, TRACE_IO, completion->operation, number,
                  completion->result);
        return false;
    }
    link_id id = (uint32_t)completion->ring << LINK_RING_SHIFT | (uint32_t)completion->result;
    slot_begin(link, id, number);
    struct link_slot *slot = link_slot_at(link, id);
    slot->flight |= LINK_POLLING;
    struct address bound = io_listener_address(link->io, listener->io_listener);
    if (bound.kind == ADDRESS_IP) {
        name_ask(link, id);
        io_poll(link->io, link_handle(link, id));
        return false;
    }
    io_poll(link->io, link_handle(link, id));
    link_move(link, id, LINK_OPEN);
    *event = (struct link_event){.kind = LINK_EVENT_ACCEPTED,
                                 .id = id,
                                 .listener = number,
                                 .address = {.kind = ADDRESS_UNIX}};
    return true;
}

bool link_on_name(struct link *link, const struct io_completion *completion,
                  struct link_event *event) {
    link_id id = link_id_of(completion);
    struct link_slot *slot = link_slot_at(link, id);
    slot->flight &= (uint8_t)~LINK_NAMING_OUT;
    struct io_peer *peer = &link->peers[slot->extra];
    if (completion->result > 0) {
        peer->length = (uint32_t)completion->result;
    }
    *event = (struct link_event){.kind = LINK_EVENT_ACCEPTED, .id = id, .listener = slot->listener};
    bool is_known = completion->result >= 0 && io_peer_decode(peer, &event->address);
    link_peer_give(link, slot->extra);
    slot->extra = 0;
    if (slot->state != LINK_NAMING) {
        link_stop_step(link, id);
        return false;
    }
    link_move(link, id, LINK_OPEN);
    if (!is_known) { // the socket is of no use to anybody who must know its peer
        counter_add(link->counters, COUNTER_accept_errors, 1);
        link_close(link, id);
        return false;
    }
    return true;
}
