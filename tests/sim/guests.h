// Guests: clients whose route asks a service who they are. The book of what that service has said
// of each, in which the client, the service that is asked and the one behind the gateway can look:
// the law is "auth". A guest is judged once and for good, so that nobody who was refused may ever
// get in, however often the service is asked, and whatever the gateway remembers.
#pragma once
#include "core/base/span.h"
#include "tests/sim/sim.h"

struct guest {
    uint16_t verdict; // 200, 401 or 403; 0: nobody has asked, or the answer was none
    bool is_nameless; // was let in without a name at least once
    bool is_named;    // and with one
};

struct guests {
    struct sim *sim;
    struct guest *items; // by number - 1
    uint32_t count, room;
};

enum { GUEST_NAME_BYTES = 20 };

void guests_init(struct guests *guests, struct sim *sim);
void guests_fini(struct guests *guests);
uint32_t guests_add(struct guests *guests); // its number, from 1 on: what it shows
struct guest *guests_get(const struct guests *guests, uint32_t number);
// What the service calls it, terminated.
void guest_name(uint32_t number, char name[GUEST_NAME_BYTES]);

// It got in somewhere: fails unless the service let it. `name`: what is said there of who it is;
// empty: nothing is.
void guests_judge_in(const struct guests *guests, uint32_t number, struct span name);
// It was refused with 401 or 403: fails unless the service said so. `needs_name`: where it may also
// be for want of one.
void guests_judge_refused(const struct guests *guests, uint32_t number, uint16_t status,
                          bool needs_name);
