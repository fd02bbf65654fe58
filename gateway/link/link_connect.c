// Sockets that we open: a slot, no delay, the connection. From then on they are as accepted ones.
#include "gateway/link/internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "core/base/check.h"

bool link_socket(struct link *link, enum address_kind kind, bool is_v6, uint32_t owner) {
    if (!link_ring_choose(link)) {
        return false;
    }
    uint8_t ring = (uint8_t)link->open_ring;
    link->armed[ring]++; // the slot is taken at any moment, as by an accept
    io_socket(link->io, ring, kind, is_v6, owner, 0);
    return true;
}

void link_connect(struct link *link, link_id id, const struct link_target *target) {
    struct link_slot *slot = link_slot_at(link, id);
    check(slot->state == LINK_OPEN && slot->flight == 0);
    struct io_handle handle = link_handle(link, id);
    slot->flight |= LINK_CONNECTING;
    if (target->path != NULL) {
        int error = io_connect_unix(link->io, handle, target->path);
        check(error == 0); // the configuration's bound on paths is the same
        return;
    }
    // Small frames and heads must not wait for an acknowledgement. Before Linux 6.7 the ring cannot
    // set it, and they do.
    static const int no_delay = 1;
    slot->flight |= LINK_OPTION;
    io_set_option(link->io, handle, IPPROTO_TCP, TCP_NODELAY, &no_delay);
    io_connect(link->io, handle, target->peer);
}

bool link_on_socket(struct link *link, const struct io_completion *completion,
                    struct link_event *event) {
    link->armed[completion->ring]--;
    *event =
        (struct link_event){.kind = LINK_EVENT_SOCKET, .id = LINK_NONE, .owner = completion->slot};
    if (completion->result < 0) {
        event->error = completion->result;
        return true;
    }
    event->id = link_slot_begin(link, completion->ring, (uint32_t)completion->result, 0);
    struct link_slot *slot = link_slot_at(link, event->id);
    slot->owner = completion->slot;
    slot->flags = LINK_OWNED | LINK_END_SEEN; // nothing can be read, and nothing thrown away
    return true;
}

bool link_on_connect(struct link *link, const struct io_completion *completion,
                     struct link_event *event) {
    link_id id = link_id_of(completion);
    struct link_slot *slot = link_slot_at(link, id);
    slot->flight &= (uint8_t)~LINK_CONNECTING;
    if (slot->state != LINK_OPEN) {
        link_stop_step(link, id);
        return false;
    }
    *event = (struct link_event){.kind = LINK_EVENT_CONNECTED, .id = id, .owner = slot->owner};
    if (completion->result < 0) {
        event->error = completion->result;
        return true;
    }
    slot->flags &= (uint8_t)~LINK_END_SEEN;
    slot->flight |= LINK_POLLING;
    io_poll(link->io, link_handle(link, id));
    return true;
}

bool link_on_option(struct link *link, const struct io_completion *completion) {
    link_id id = link_id_of(completion);
    // Whether it could be set or not: the connection serves.
    link_slot_at(link, id)->flight &= (uint8_t)~LINK_OPTION;
    link_stop_step(link, id);
    return false;
}
