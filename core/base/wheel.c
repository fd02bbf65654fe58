// Hierarchical timing wheel (Varghese and Lauck 1987, scheme 7). Level L has 64 slots of 64^L ticks
// each. What holds between calls, for an entry due at tick d on level L while the wheel is at t:
//
//     d > t, and its slot (d >> 6L) % 64 is 1 to 64 slots ahead of (t >> 6L) % 64
//
// so a slot is met exactly when the wheel reaches the group of ticks it stands for, and its entries
// are then due or belong to a lower level: an entry is moved at most three times before it fires.
#include "core/base/wheel.h"

#include "core/base/check.h"

#include <assert.h>

#include "core/base/pure.h"

enum {
    WHEEL_SLOT_BITS = 6,
    WHEEL_LATE = WHEEL_LEVELS * WHEEL_SLOTS,
    WHEEL_READY,
    WHEEL_AHEAD_MAX = (1 << (WHEEL_SLOT_BITS * WHEEL_LEVELS)) - 1,
    WHEEL_HORIZON_TICKS = WHEEL_AHEAD_MAX - 1, // wheel_arm may have to add one
};

static const uint32_t wheel_tag = (uint32_t)1 << 31; // in `prev`: a list number, not an element

static_assert(1 << WHEEL_SLOT_BITS == WHEEL_SLOTS, "six bits of the tick choose a slot");
static_assert(sizeof(struct wheel_entry) == 12, "one per connection");

static struct wheel_entry *wheel_entry_at(const struct wheel *wheel, uint32_t index) {
    return wheel->entry_at(wheel->context, index);
}

void wheel_init(struct wheel *wheel, struct wheel_entry *(*entry_at)(void *context, uint32_t index),
                void *context, uint64_t now_ms) {
    check(entry_at != NULL);
    *wheel =
        (struct wheel){.entry_at = entry_at, .context = context, .tick = now_ms / WHEEL_TICK_MS};
}

static void wheel_link(struct wheel *wheel, uint32_t list, uint32_t index) {
    struct wheel_entry *entry = wheel_entry_at(wheel, index);
    uint32_t head = wheel->heads[list];
    entry->next = head;
    entry->prev = wheel_tag | list;
    if (head != 0) {
        wheel_entry_at(wheel, head - 1)->prev = index + 1;
    }
    wheel->heads[list] = index + 1;
    if (list < WHEEL_LATE) {
        wheel->occupied[list / WHEEL_SLOTS] |= (uint64_t)1 << (list % WHEEL_SLOTS);
    }
}

static void wheel_unlink(struct wheel *wheel, uint32_t index) {
    struct wheel_entry *entry = wheel_entry_at(wheel, index);
    bool is_first = (entry->prev & wheel_tag) != 0;
    uint32_t list = entry->prev & ~wheel_tag;
    if (wheel->ready_final == index + 1) {
        wheel->ready_final = is_first ? 0 : entry->prev;
    }
    if (entry->next != 0) {
        wheel_entry_at(wheel, entry->next - 1)->prev = entry->prev;
    }
    if (!is_first) {
        wheel_entry_at(wheel, entry->prev - 1)->next = entry->next;
        return;
    }
    wheel->heads[list] = entry->next;
    if (entry->next == 0 && list < WHEEL_LATE) {
        wheel->occupied[list / WHEEL_SLOTS] &= ~((uint64_t)1 << (list % WHEEL_SLOTS));
    }
}

static void wheel_make_ready(struct wheel *wheel, uint32_t index) {
    if (wheel->ready_final == 0) {
        wheel_link(wheel, WHEEL_READY, index);
    } else {
        struct wheel_entry *entry = wheel_entry_at(wheel, index);
        entry->next = 0;
        entry->prev = wheel->ready_final;
        wheel_entry_at(wheel, wheel->ready_final - 1)->next = index + 1;
    }
    wheel->ready_final = index + 1;
}

// Puts an entry that is due `ahead` ticks from now in its slot.
static void wheel_place(struct wheel *wheel, uint32_t index, uint32_t ahead) {
    check(ahead > 0 && ahead <= WHEEL_AHEAD_MAX);
    uint32_t level = (31 - (uint32_t)__builtin_clz(ahead)) / WHEEL_SLOT_BITS;
    uint64_t due = wheel->tick + ahead;
    uint32_t slot = (uint32_t)(due >> (WHEEL_SLOT_BITS * level)) % WHEEL_SLOTS;
    wheel_link(wheel, level * WHEEL_SLOTS + slot, index);
}

void wheel_arm(struct wheel *wheel, uint32_t index, uint64_t due_ms) {
    check(index < wheel_tag - 1);
    wheel_disarm(wheel, index);
    uint64_t due = due_ms / WHEEL_TICK_MS + (due_ms % WHEEL_TICK_MS != 0);
    bool is_late = due <= wheel->tick;
    if (is_late) {
        due = wheel->tick;
    } else if (due - wheel->tick > WHEEL_HORIZON_TICKS) {
        due = wheel->tick + WHEEL_HORIZON_TICKS;
    }
    if ((uint32_t)(due + 1) == 0) {
        // Once in two years the stored form would say "not armed". That tick fires one later, or a
        // late one counts as due the tick before.
        due = is_late ? due - 1 : due + 1;
    }
    wheel_entry_at(wheel, index)->due = (uint32_t)(due + 1);
    wheel->armed_count++;
    if (is_late) {
        wheel_link(wheel, WHEEL_LATE, index);
    } else {
        wheel_place(wheel, index, (uint32_t)(due - wheel->tick));
    }
}

void wheel_disarm(struct wheel *wheel, uint32_t index) {
    struct wheel_entry *entry = wheel_entry_at(wheel, index);
    if (entry->due == 0) {
        return;
    }
    wheel_unlink(wheel, index);
    *entry = (struct wheel_entry){0};
    check(wheel->armed_count > 0);
    wheel->armed_count--;
}

// Empties a list: its entries become ready or go to their slot as seen from the wheel's tick, which
// has come `passed` ticks further since they were placed.
static void wheel_collect(struct wheel *wheel, uint32_t list, uint64_t passed) {
    uint32_t next = wheel->heads[list];
    wheel->heads[list] = 0;
    if (list < WHEEL_LATE) {
        wheel->occupied[list / WHEEL_SLOTS] &= ~((uint64_t)1 << (list % WHEEL_SLOTS));
    }
    while (next != 0) {
        uint32_t index = next - 1;
        struct wheel_entry *entry = wheel_entry_at(wheel, index);
        next = entry->next;
        // Nothing is placed further ahead than the horizon, so below it the difference of two
        // stored ticks fits in 32 bits with a sign.
        int32_t ahead = (int32_t)(entry->due - (uint32_t)(wheel->tick + 1));
        if (passed > WHEEL_AHEAD_MAX || ahead <= 0) {
            wheel_make_ready(wheel, index);
        } else {
            wheel_place(wheel, index, (uint32_t)ahead);
        }
    }
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms) {
    if (wheel->heads[WHEEL_LATE] != 0) {
        wheel_collect(wheel, WHEEL_LATE, 0);
    }
    uint64_t old = wheel->tick;
    uint64_t new = now_ms / WHEEL_TICK_MS;
    if (new <= old) {
        return;
    }
    wheel->tick = new;
    // From the lowest level up: what a higher one passes down lands in slots that are behind us in
    // this loop and ahead of the wheel, so it is looked at once.
    for (uint32_t level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t first = (old >> (WHEEL_SLOT_BITS * level)) + 1;
        uint64_t final = new >> (WHEEL_SLOT_BITS * level);
        uint64_t count = final < first ? 0 : final - first + 1;
        count = count < WHEEL_SLOTS ? count : WHEEL_SLOTS;
        for (uint64_t i = 0; i < count && wheel->occupied[level] != 0; i++) {
            uint32_t slot = (uint32_t)((first + i) % WHEEL_SLOTS);
            if ((wheel->occupied[level] >> slot & 1) != 0) {
                wheel_collect(wheel, level * WHEEL_SLOTS + slot, new - old);
            }
        }
    }
}

bool wheel_next(struct wheel *wheel, uint32_t *index) {
    if (wheel->heads[WHEEL_READY] == 0) {
        return false;
    }
    *index = wheel->heads[WHEEL_READY] - 1;
    wheel_disarm(wheel, *index);
    return true;
}

uint32_t wheel_wait_ms(const struct wheel *wheel, uint64_t now_ms) {
    if (wheel->armed_count == 0) {
        return UINT32_MAX;
    }
    if (wheel->heads[WHEEL_READY] != 0 || wheel->heads[WHEEL_LATE] != 0) {
        return 0;
    }
    uint64_t nearest = UINT64_MAX;
    for (uint32_t level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t occupied = wheel->occupied[level];
        if (occupied == 0) {
            continue;
        }
        // Rotated so that bit 0 is the slot after the current one.
        uint64_t group = wheel->tick >> (WHEEL_SLOT_BITS * level);
        uint32_t turn = (uint32_t)((group + 1) % WHEEL_SLOTS);
        uint64_t ahead = turn == 0 ? occupied : occupied >> turn | occupied << (64 - turn);
        uint64_t slots = (uint64_t)__builtin_ctzll(ahead) + 1;
        uint64_t tick = (group + slots) << (WHEEL_SLOT_BITS * level);
        nearest = tick < nearest ? tick : nearest;
    }
    check(nearest != UINT64_MAX);
    uint64_t due_ms = nearest * WHEEL_TICK_MS;
    return due_ms > now_ms ? (uint32_t)(due_ms - now_ms) : 0;
}
