// What was said of guests, and what became of them.
#include "tests/sim/guests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/cover.h"

void guests_init(struct guests *guests, struct sim *sim) {
    *guests = (struct guests){.sim = sim};
}

void guests_fini(struct guests *guests) {
    free(guests->items);
}

uint32_t guests_add(struct guests *guests) {
    if (guests->count == guests->room) {
        guests->room = guests->room * 2 + 64;
        guests->items = realloc(guests->items, guests->room * sizeof guests->items[0]);
        check(guests->items != NULL);
    }
    guests->items[guests->count++] = (struct guest){.verdict = 0};
    return guests->count;
}

struct guest *guests_get(const struct guests *guests, uint32_t number) {
    check(number > 0 && number <= guests->count);
    return &guests->items[number - 1];
}

void guest_name(uint32_t number, char name[GUEST_NAME_BYTES]) {
    (void)snprintf(name, GUEST_NAME_BYTES, "guest-%u", number); // fits
}

void guests_judge_in(const struct guests *guests, uint32_t number, struct span name) {
    const struct guest *guest = guests_get(guests, number);
    char wanted[GUEST_NAME_BYTES];
    guest_name(number, wanted);
    if (guest->verdict != 200) {
        sim_fail(guests->sim, "auth", "guest %u got in, and the service said %u", number,
                 guest->verdict);
    }
    bool is_right =
        name.length == 0 ? guest->is_nameless : guest->is_named && span_is(name, wanted);
    if (!is_right) {
        sim_fail(guests->sim, "auth", "guest %u is called \"%.*s\"", number, (int)name.length,
                 (const char *)name.data);
    }
    cover_add(guests->sim, COVER_LAWS + COVER_LAW_AUTH_IN);
}

void guests_judge_refused(const struct guests *guests, uint32_t number, uint16_t status,
                          bool needs_name) {
    const struct guest *guest = guests_get(guests, number);
    bool is_unusable = needs_name && status == 403 && guest->is_nameless;
    if (guest->verdict != status && !is_unusable) {
        sim_fail(guests->sim, "auth", "guest %u was refused with %u, and the service said %u",
                 number, status, guest->verdict);
    }
    cover_add(guests->sim, COVER_LAWS + COVER_LAW_AUTH_REFUSED);
}
