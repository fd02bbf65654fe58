// Accepting: which ring is open, and never more accepts armed than slots are free.
#include "gateway/link/internal.h"

#include <errno.h>

#include "core/base/check.h"

int link_listen(struct link *link, const struct io_listen_options *options) {
    if (link->listener_count == LISTENERS_MAX) {
        return -ENOSPC;
    }
    int io_listener = io_listen(link->io, options);
    if (io_listener < 0) {
        return io_listener;
    }
    bool is_unix = options->unix_path != NULL;
    link->listeners[link->listener_count] =
        (struct link_listener){.io_listener = io_listener, .is_unix = is_unix};
    return (int)link->listener_count++;
}

void link_hold_accept(struct link *link, bool is_held) {
    link->is_accept_held = is_held;
}

bool link_is_accept_quiet(const struct link *link) {
    for (uint32_t i = 0; i < link->listener_count * LINK_ACCEPTS; i++) {
        const struct link_accept *accept =
            &link->listeners[i / LINK_ACCEPTS].accepts[i % LINK_ACCEPTS];
        if (accept->is_armed || accept->is_cancelling) {
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

// Slots of a ring that neither a connection nor an armed accept may take.
static uint32_t free_slots(const struct link *link, uint32_t ring) {
    return link->slots_per_ring - link->used[ring] - link->armed[ring];
}

bool link_ring_choose(struct link *link) {
    uint32_t count = io_ring_count(link->io);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t ring = (link->open_ring + i) % count;
        if (free_slots(link, ring) > 0) {
            link->open_ring = ring;
            return true;
        }
    }
    if (link->now_ms < link->ring_due_ms || count >= link->ring_max) {
        return false;
    }
    int ring = io_ring_open(link->io);
    if (ring < 0) { // out of descriptors or memory: what is open serves on
        link->ring_due_ms = link->now_ms + LINK_RING_RETRY_MS;
        trace_add(link->trace, link->now_ms, TRACE_WORKER, 1, count, ring);
        return false;
    }
    link->ring_due_ms = 0;
    link->open_ring = (uint32_t)ring;
    return true;
}

uint32_t link_wait_ms(const struct link *link) {
    if (!link->is_paused || link->is_accept_held || link->ring_due_ms == 0) {
        return UINT32_MAX;
    }
    return link->ring_due_ms > link->now_ms ? (uint32_t)(link->ring_due_ms - link->now_ms) : 0;
}

static void arm(struct link *link, uint32_t number, uint32_t at) {
    struct link_listener *listener = &link->listeners[number];
    struct link_accept *accept = &listener->accepts[at];
    accept->ring = (uint8_t)link->open_ring;
    accept->is_armed = true;
    link->armed[accept->ring]++;
    io_accept_one(link->io, accept->ring, listener->io_listener, number * LINK_ACCEPTS + at,
                  &accept->peer);
}

static void accepts_cancel(struct link *link) {
    for (uint32_t i = 0; i < link->listener_count * LINK_ACCEPTS; i++) {
        struct link_accept *accept = &link->listeners[i / LINK_ACCEPTS].accepts[i % LINK_ACCEPTS];
        if (accept->is_armed && !accept->is_cancelling) {
            accept->is_cancelling = true;
            io_accept_one_cancel(link->io, accept->ring, i);
        }
    }
}

void link_accept_step(struct link *link) {
    if (link->is_accept_held) {
        accepts_cancel(link);
        return;
    }
    bool was_paused = link->is_paused;
    link->is_paused = false;
    for (uint32_t i = 0; i < link->listener_count * LINK_ACCEPTS; i++) {
        struct link_accept *accept = &link->listeners[i / LINK_ACCEPTS].accepts[i % LINK_ACCEPTS];
        if (accept->is_armed || accept->is_cancelling) {
            continue;
        }
        if (free_slots(link, link->open_ring) == 0 && !link_ring_choose(link)) {
            link->is_paused = true; // clients wait in the backlog until a slot is free
            break;
        }
        arm(link, i / LINK_ACCEPTS, i % LINK_ACCEPTS);
    }
    counter_add(link->counters, COUNTER_accept_paused, link->is_paused && !was_paused);
}

static struct link_accept *accept_find(struct link *link, uint32_t storage_index) {
    check(storage_index < link->listener_count * LINK_ACCEPTS);
    return &link->listeners[storage_index / LINK_ACCEPTS].accepts[storage_index % LINK_ACCEPTS];
}

link_id link_slot_begin(struct link *link, uint8_t ring, uint32_t slot_number, uint32_t listener) {
    link_id id = (uint32_t)ring << LINK_RING_SHIFT | slot_number;
    struct link_slot *slot = link_slot_at(link, id);
    check(slot->state == LINK_FREE && slot->flight == 0);
    uint16_t generation = (uint16_t)(slot->generation + 1);
    *slot = (struct link_slot){.generation = generation, .listener = (uint16_t)listener};
    link_move(link, id, LINK_OPEN);
    link->used[ring]++;
    link->used_total++;
    return id;
}

bool link_on_accept(struct link *link, const struct io_completion *completion,
                    struct link_event *event) {
    struct link_accept *accept = accept_find(link, completion->slot);
    uint32_t listener = completion->slot / LINK_ACCEPTS;
    check(accept->is_armed);
    accept->is_armed = false; // armed again by link_accept_step
    link->armed[completion->ring]--;
    if (completion->result < 0) {
        bool is_ours = completion->result == -ECANCELED;
        counter_add(link->counters, COUNTER_accept_errors, !is_ours);
        trace_add(link->trace, link->now_ms, TRACE_IO, completion->operation, listener,
                  completion->result);
        return false;
    }
    link_id id = link_slot_begin(link, completion->ring, (uint32_t)completion->result, listener);
    counter_add(link->counters, COUNTER_accepted, 1);
    link_slot_at(link, id)->flight |= LINK_POLLING;
    io_poll(link->io, link_handle(link, id));
    *event = (struct link_event){.kind = LINK_EVENT_ACCEPTED, .id = id, .listener = listener};
    event->address.kind = ADDRESS_UNIX;
    if (!link->listeners[listener].is_unix && !io_peer_decode(&accept->peer, &event->address)) {
        // A family that we do not know: of no use to anybody who must know its peer.
        counter_add(link->counters, COUNTER_accept_errors, 1);
        link_close(link, id);
        return false;
    }
    return true;
}

void link_on_accept_cancel(struct link *link, const struct io_completion *completion) {
    // Found or not: the accept's own completion says whether it is armed.
    accept_find(link, completion->slot)->is_cancelling = false;
}
