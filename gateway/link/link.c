// Receiving, sending and closing of one socket, and the dispatch of completions.
#include "gateway/link/link.h"

#include "core/base/check.h"
#include "gateway/link/internal.h"

#include <errno.h>

// From STOPPING back is no way: a slot lives once.
static const uint8_t link_moves[LINK_STATE_COUNT] = {
    [LINK_FREE] = 1 << LINK_OPEN,
    [LINK_OPEN] = 1 << LINK_STOPPING,
    [LINK_STOPPING] = 1 << LINK_CLOSING,
    [LINK_CLOSING] = 1 << LINK_FREE,
};

uint64_t link_slots_bytes(uint32_t ring_max, uint32_t slots_per_ring) {
    return (uint64_t)ring_max * slots_per_ring * sizeof(struct link_slot);
}

void link_init(struct link *link, const struct link_options *options) {
    *link = (struct link){.io = options->io,
                          .slots = (struct link_slot *)(void *)options->slots.data,
                          .slots_per_ring = io_ring_slots(options->io),
                          .ring_max = options->ring_max,
                          .counters = options->counters,
                          .trace = options->trace};
    check(options->slots.length >= link_slots_bytes(options->ring_max, link->slots_per_ring));
}

struct io_handle link_handle(const struct link *link, link_id id) {
    return (struct io_handle){.slot = id & ((1u << LINK_RING_SHIFT) - 1),
                              .generation = link_slot_at(link, id)->generation,
                              .ring = (uint8_t)(id >> LINK_RING_SHIFT)};
}

void link_move(struct link *link, link_id id, enum link_state to) {
    struct link_slot *slot = link_slot_at(link, id);
    check(link_moves[slot->state] >> to & 1);
    trace_add(link->trace, link->now_ms, TRACE_SLOT_MOVE, id,
              (uint32_t)slot->state << 8 | (uint32_t)to, slot->flight);
    slot->state = (uint8_t)to;
}

void link_own(struct link *link, link_id id, uint32_t owner) {
    struct link_slot *slot = link_slot_at(link, id);
    check(slot->state == LINK_OPEN);
    slot->owner = owner;
    slot->flags |= LINK_OWNED;
}

static void receive_issue(struct link *link, link_id id, struct span_mut target) {
    struct link_slot *slot = link_slot_at(link, id);
    slot->flags &= (uint8_t)~LINK_READABLE_SEEN;
    slot->flight |= LINK_RECEIVING;
    io_receive(link->io, link_handle(link, id), target);
}

bool link_may_receive(const struct link *link, link_id id) {
    const struct link_slot *slot = link_slot_at(link, id);
    return slot->state == LINK_OPEN && (slot->flight & LINK_RECEIVING) == 0 &&
           (slot->flags & LINK_READABLE_SEEN) != 0 &&
           (slot->flags & (LINK_END_SEEN | LINK_STARVED)) == 0;
}

void link_receive(struct link *link, link_id id, struct span_mut target) {
    if (link_may_receive(link, id)) {
        receive_issue(link, id, target);
    }
}

void link_receive_lent(struct link *link, link_id id, struct span_mut memory, uint32_t token) {
    struct link_slot *slot = link_slot_at(link, id);
    check(token != 0 && memory.length > 0 && link_may_receive(link, id));
    slot->flags |= LINK_LENT;
    slot->extra = token;
    receive_issue(link, id, memory);
}

static void turn_add(struct link *link, uint8_t ring) {
    link->starved[ring].turns += link->starved[ring].turns < LINK_TURNS_MAX;
}

static void buffer_give(struct link *link, uint8_t ring, uint16_t buffer_id) {
    io_buffer_give(link->io, ring, buffer_id);
    turn_add(link, ring);
}

void link_bytes_done(struct link *link, const struct link_event *event) {
    check(event->kind == LINK_EVENT_BYTES);
    buffer_give(link, event->ring, event->buffer_id);
}

void link_send(struct link *link, link_id id, const struct span *pieces, uint32_t piece_count) {
    struct link_slot *slot = link_slot_at(link, id);
    check(slot->state == LINK_OPEN && (slot->flight & LINK_SENDING) == 0);
    check(piece_count > 0 && piece_count <= SEND_PIECES_MAX);
    slot->flight |= LINK_SENDING;
    if (piece_count == 1) {
        io_send(link->io, link_handle(link, id), pieces[0]);
    } else {
        io_sendmsg(link->io, link_handle(link, id), pieces, piece_count);
    }
}

void link_close(struct link *link, link_id id) {
    struct link_slot *slot = link_slot_at(link, id);
    if (slot->state == LINK_STOPPING || slot->state == LINK_CLOSING) {
        return;
    }
    check(slot->state == LINK_OPEN);
    link_move(link, id, LINK_STOPPING);
    if ((slot->flags & LINK_END_SEEN) == 0) {
        slot->flags |= LINK_DISCARDS; // unread bytes would turn our last ones into a reset
    }
    if ((slot->flags & (LINK_STARVED | LINK_LENT)) == 0) {
        slot->extra = 0;
    }
    if ((slot->flight & LINK_SENDING) != 0 && (slot->flight & LINK_SEND_CANCELLING) == 0) {
        slot->flight |= LINK_SEND_CANCELLING;
        io_send_cancel(link->io, link_handle(link, id));
    }
    if ((slot->flight & LINK_CONNECTING) != 0) {
        slot->flight |= LINK_SEND_CANCELLING; // nothing is sent before it is connected
        io_connect_cancel(link->io, link_handle(link, id));
    }
    link_stop_step(link, id);
}

void link_stop_step(struct link *link, link_id id) {
    struct link_slot *slot = link_slot_at(link, id);
    if (slot->state != LINK_STOPPING) {
        return;
    }
    if ((slot->flight & ~LINK_POLLING) != 0 || (slot->flags & LINK_STARVED) != 0) {
        return; // its completion, or its turn for a buffer, brings us back here
    }
    if ((slot->flags & LINK_DISCARDS) != 0) {
        receive_issue(link, id, (struct span_mut){.data = NULL, .length = 0});
        return;
    }
    link_move(link, id, LINK_CLOSING);
    slot->flight |= LINK_CLOSE_OUT;
    if ((slot->flight & LINK_POLLING) != 0) {
        slot->flight |= LINK_CANCELLING;
        io_cancel_then_close(link->io, link_handle(link, id));
    } else {
        io_close(link->io, link_handle(link, id));
    }
}

// A closing slot is free once nothing that names it is in the kernel. True: *event tells the owner.
static bool closing_step(struct link *link, link_id id, struct link_event *event) {
    struct link_slot *slot = link_slot_at(link, id);
    if (slot->state != LINK_CLOSING || slot->flight != 0) {
        return false;
    }
    bool is_owned = (slot->flags & LINK_OWNED) != 0;
    *event = (struct link_event){.kind = LINK_EVENT_CLOSED, .id = id, .owner = slot->owner};
    link_move(link, id, LINK_FREE);
    link->used[id >> LINK_RING_SHIFT]--;
    link->used_total--;
    return is_owned;
}

static void starve(struct link *link, link_id id) {
    struct link_slot *slot = link_slot_at(link, id);
    struct link_starved *starved = &link->starved[id >> LINK_RING_SHIFT];
    slot->flags |= LINK_STARVED;
    slot->extra = 0;
    if (starved->first == 0) {
        starved->first = id + 1;
    } else {
        link_slot_at(link, starved->last - 1)->extra = id + 1;
    }
    starved->last = id + 1;
    link->starved_count++;
    counter_add(link->counters, COUNTER_receive_starved, 1);
}

// Those that found no buffer receive again in the order in which they came, as many as buffers have
// come back: a queue, not a scramble (pitfall 2). A turn that is not used is kept: the one that
// starves may be told so only after the last buffer came back.
static void starved_serve(struct link *link, struct link_starved *starved) {
    for (; starved->turns > 0 && starved->first != 0; starved->turns--) {
        link_id id = starved->first - 1;
        struct link_slot *slot = link_slot_at(link, id);
        starved->first = slot->extra;
        link->starved_count--;
        slot->extra = 0;
        slot->flags &= (uint8_t)~LINK_STARVED;
        if (slot->state == LINK_OPEN) {
            receive_issue(link, id, (struct span_mut){.data = NULL, .length = 0});
        } else {
            link_stop_step(link, id);
        }
    }
}

static bool on_poll(struct link *link, const struct io_completion *completion,
                    struct link_event *event) {
    link_id id = link_id_of(completion);
    struct link_slot *slot = link_slot_at(link, id);
    if (!completion->more) {
        slot->flight &= (uint8_t)~LINK_POLLING;
    }
    if (slot->state == LINK_CLOSING) {
        return closing_step(link, id, event);
    }
    if (slot->state == LINK_STOPPING) {
        link_stop_step(link, id);
        return false;
    }
    if (!completion->more &&
        completion->result >= 0) { // the kernel ended it: arm again, which looks at the level
        slot->flight |= LINK_POLLING;
        io_poll(link->io, link_handle(link, id));
    }
    *event = (struct link_event){.kind = LINK_EVENT_READABLE, .id = id, .owner = slot->owner};
    if (completion->result < 0 &&
        slot->state == LINK_OPEN) { // in NAMING the first receive will say it
        event->kind = LINK_EVENT_ERROR;
        event->error = completion->result;
        slot->flags |= LINK_END_SEEN;
        return true;
    }
    slot->flags |= LINK_READABLE_SEEN;
    if (completion->result > 0 && (completion->result & (IO_POLL_HANGUP | IO_POLL_ERROR)) != 0) {
        slot->flags |= LINK_HANGUP;
    }
    bool may_tell =
        (slot->flight & LINK_RECEIVING) == 0 && (slot->flags & (LINK_END_SEEN | LINK_STARVED)) == 0;
    return may_tell;
}

// A receive of a slot that is being closed: thrown away until there is nothing more.
static void on_discarded(struct link *link, link_id id, const struct io_completion *completion) {
    struct link_slot *slot = link_slot_at(link, id);
    if (completion->result > 0) {
        slot->extra += (uint32_t)completion->result;
    }
    bool is_over =
        completion->result <= 0 || !completion->is_socket_ready || slot->extra > DISCARD_BYTES_MAX;
    if (is_over && completion->result != -ENOBUFS) {
        slot->flags &= (uint8_t)~LINK_DISCARDS;
    }
    if (completion->result == -ENOBUFS) {
        starve(link, id);
    }
    link_stop_step(link, id);
}

// The token of the receive that ended, if its memory was lent.
static uint32_t lent_take(struct link_slot *slot) {
    if ((slot->flags & LINK_LENT) == 0) {
        return 0;
    }
    uint32_t token = slot->extra;
    slot->flags &= (uint8_t)~LINK_LENT;
    slot->extra = 0;
    return token;
}

static bool on_receive(struct link *link, const struct io_completion *completion,
                       struct link_event *event) {
    link_id id = link_id_of(completion);
    struct link_slot *slot = link_slot_at(link, id);
    slot->flight &= (uint8_t)~LINK_RECEIVING;
    if (completion->result <= 0 && completion->result != -ENOBUFS && !completion->has_buffer) {
        turn_add(link, completion->ring); // it needed no buffer: the next may
    }
    *event = (struct link_event){
        .id = id, .owner = slot->owner, .token = lent_take(slot), .ring = completion->ring};
    if (slot->state != LINK_OPEN) {
        if (completion->has_buffer) {
            buffer_give(link, completion->ring, completion->buffer_id);
        }
        event->kind = LINK_EVENT_RETURNED;
        on_discarded(link, id, completion);
        return event->token != 0;
    }
    // A reset that came with the bytes in one event gives no second one, and is no content either.
    bool is_end_due = completion->result > 0 && (slot->flags & LINK_HANGUP) != 0;
    if (completion->is_socket_ready || is_end_due) {
        slot->flags |= LINK_READABLE_SEEN;
    }
    if (completion->result > 0) {
        event->bytes = (uint32_t)completion->result;
        event->kind = completion->has_buffer ? LINK_EVENT_BYTES : LINK_EVENT_TARGET;
        if (completion->has_buffer) {
            event->buffer_id = completion->buffer_id;
            event->data = io_buffer(link->io, completion->ring, completion->buffer_id);
            event->data.length = event->bytes;
        }
        return true;
    }
    if (completion->has_buffer) { // an empty receive may still have taken a buffer
        buffer_give(link, completion->ring, completion->buffer_id);
    }
    if (completion->result == -EAGAIN || completion->result == -EINTR) {
        event->kind = LINK_EVENT_READABLE; // an event that came meanwhile counts, otherwise the
                                           // next poll event
        return event->token != 0 || (slot->flags & LINK_READABLE_SEEN) != 0;
    }
    if (completion->result == -ENOBUFS) {
        if (io_buffers_grow(link->io, completion->ring)) {
            receive_issue(link, id, (struct span_mut){.data = NULL, .length = 0});
        } else {
            starve(link, id);
        }
        return false;
    }
    slot->flags |= LINK_END_SEEN;
    event->kind = completion->result == 0 ? LINK_EVENT_END : LINK_EVENT_ERROR;
    event->error = completion->result;
    return true;
}

static bool on_send(struct link *link, const struct io_completion *completion,
                    struct link_event *event) {
    link_id id = link_id_of(completion);
    struct link_slot *slot = link_slot_at(link, id);
    slot->flight &= (uint8_t)~LINK_SENDING;
    *event = (struct link_event){.kind = LINK_EVENT_SENT,
                                 .id = id,
                                 .owner = slot->owner,
                                 .bytes = completion->result > 0 ? (uint32_t)completion->result : 0,
                                 .error = completion->result < 0 ? completion->result : 0};
    link_stop_step(link, id);
    return true;
}

static bool on_cancel(struct link *link, const struct io_completion *completion,
                      struct link_event *event) {
    link_id id = link_id_of(completion);
    struct link_slot *slot = link_slot_at(link, id);
    if (slot->state == LINK_CLOSING) {
        slot->flight &= (uint8_t)~LINK_CANCELLING;
        return closing_step(link, id, event);
    }
    slot->flight &= (uint8_t)~LINK_SEND_CANCELLING;
    link_stop_step(link, id);
    return false;
}

static bool on_close(struct link *link, const struct io_completion *completion,
                     struct link_event *event) {
    link_id id = link_id_of(completion);
    struct link_slot *slot = link_slot_at(link, id);
    slot->flight &= (uint8_t)~LINK_CLOSE_OUT;
    if (completion->result < 0) { // -ECANCELED: the linked cancel failed in a way that broke the
                                  // chain; the close goes out alone
        trace_add(link->trace, link->now_ms, TRACE_IO, IO_CLOSE, id, completion->result);
        if (completion->result == -ECANCELED) {
            slot->flight |= LINK_CLOSE_OUT;
            io_close(link->io, link_handle(link, id));
        }
    }
    return closing_step(link, id, event);
}

static bool is_of_slot(uint8_t operation) {
    return operation == IO_POLL || operation == IO_RECEIVE || operation == IO_SEND ||
           operation == IO_SENDMSG || operation == IO_CLOSE || operation == IO_CANCEL ||
           operation == IO_CONNECT || operation == IO_SET_OPTION;
}

// A completion of an older life of the slot is counted and dropped (pitfall 4). A lent buffer is
// still given back.
static bool is_stale(struct link *link, const struct io_completion *completion) {
    if (!is_of_slot(completion->operation)) {
        return false;
    }
    struct link_slot *slot = link_slot_at(link, link_id_of(completion));
    if (slot->generation == completion->generation && slot->state != LINK_FREE) {
        return false;
    }
    counter_add(link->counters, COUNTER_completions_stale, 1);
    if (completion->has_buffer) {
        buffer_give(link, completion->ring, completion->buffer_id);
    }
    return true;
}

static bool dispatch(struct link *link, const struct io_completion *completion,
                     struct link_event *event) {
    switch (completion->operation) {
    case IO_ACCEPT_ONE:
        return link_on_accept(link, completion, event);
    case IO_ACCEPT_CANCEL:
        link_on_accept_cancel(link, completion);
        return false;
    case IO_POLL:
        return on_poll(link, completion, event);
    case IO_RECEIVE:
        return on_receive(link, completion, event);
    case IO_SEND:
    case IO_SENDMSG:
        return on_send(link, completion, event);
    case IO_CANCEL:
        return on_cancel(link, completion, event);
    case IO_CLOSE:
        return on_close(link, completion, event);
    case IO_SOCKET:
        return link_on_socket(link, completion, event);
    case IO_CONNECT:
        return link_on_connect(link, completion, event);
    case IO_SET_OPTION:
        return link_on_option(link, completion);
    case IO_DOORBELL:
        *event = (struct link_event){.kind = LINK_EVENT_DOORBELL};
        return true;
    case IO_WRITE:
        *event = (struct link_event){
            .kind = LINK_EVENT_WRITTEN, .owner = completion->slot, .error = completion->result};
        return true;
    default: // an operation that this room never prepares: our bug or a new io; it must not stop
             // the others
        trace_add(link->trace, link->now_ms, TRACE_IO, completion->operation, completion->slot,
                  completion->result);
        return false;
    }
}

void link_turn_begin(struct link *link, uint64_t now_ms) {
    link->now_ms = now_ms;
}

bool link_next(struct link *link, struct link_event *event) {
    struct io_completion completion;
    while (io_next(link->io, &completion)) {
        counter_add(link->counters, COUNTER_completions, 1);
        if (!is_stale(link, &completion) && dispatch(link, &completion, event)) {
            return true;
        }
    }
    return false;
}

void link_turn_end(struct link *link) {
    uint32_t ring_count = io_ring_count(link->io);
    for (uint32_t ring = 0; ring < ring_count && link->starved_count > 0; ring++) {
        starved_serve(link, &link->starved[ring]);
    }
    link_accept_step(link);
}
