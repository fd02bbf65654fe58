// What the files of this room share. Not for others.
#pragma once
#include "gateway/link/link.h"

static inline link_id link_id_of(const struct io_completion *completion) {
    return (uint32_t)completion->ring << LINK_RING_SHIFT | completion->slot;
}
struct io_handle link_handle(const struct link *link, link_id id);
void link_move(struct link *link, link_id id, enum link_state to);
// Goes on with a close: cancels, waits or closes, as far as what is in flight allows.
void link_stop_step(struct link *link, link_id id);
// Accept completions. True: *event is for the owner.
bool link_on_accept(struct link *link, const struct io_completion *completion,
                    struct link_event *event);
void link_on_accept_cancel(struct link *link, const struct io_completion *completion);
void link_accept_step(struct link *link);
// Finds a ring with a free slot, opening one when all are full, and makes it open_ring. False:
// there is none now.
bool link_ring_choose(struct link *link);
// The slot that the kernel chose, in its new life: OPEN, and nothing in flight.
link_id link_slot_begin(struct link *link, uint8_t ring, uint32_t slot_number, uint32_t listener);
// Completions of sockets that we open. True: *event is for the owner.
bool link_on_socket(struct link *link, const struct io_completion *completion,
                    struct link_event *event);
bool link_on_connect(struct link *link, const struct io_completion *completion,
                     struct link_event *event);
bool link_on_option(struct link *link, const struct io_completion *completion);
