// What the files of this room share. Not for others.
#pragma once
#include "gateway/bus/bus.h"

// The home's part of a mail: JOIN, LEAVE and PUBLISH.
void home_init(struct bus *bus, const struct bus_options *options);
void home_on_join(struct bus *bus, uint32_t source, const struct mail *mail, struct span name);
void home_on_leave(struct bus *bus, uint32_t source, const struct mail *mail, struct span name);
void home_on_publish(struct bus *bus, uint32_t source, const struct mail *mail, struct span name,
                     struct span body);

// Whether a message may be added to what waits for that thread: a backlog over its bound drops
// whole messages for it.
bool bus_fits(const struct bus *bus, uint32_t target, struct span name, struct span body);

static inline struct mailbox *bus_mailbox(const struct bus *bus, uint32_t source, uint32_t target) {
    return &bus->shared->mailboxes[source * bus->shared->thread_count + target];
}
