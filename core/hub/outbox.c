// Outboxes: a queue of payloads per connection, with a prefix in flight. Not for: when to send, or
// what to tell whom about a drop. Owner: one worker. Entries are pooled; an outbox that waits for
// nothing holds none.
//
//   first -> [in flight]* -> [begun]? -> [waiting]* <- last
//
// An entry with sent_bytes is in the middle of its frame: it can only be sent to its end.
#include "core/hub/outbox.h"

#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/hub/payload.h"

#include "core/base/pure.h"

static_assert(sizeof(struct outbox) == 16, "in the connection's own cache line");
static_assert(sizeof(struct outbox_entry) == 16, "one per waiting payload");
static_assert(SEND_PIECES_MAX <= UINT8_MAX, "flight_count holds it");

// In an entry's channel: what must not be dropped, told without touching the payload.
static const uint32_t channel_control = UINT32_MAX - 2; // the least of them: a control frame
static const uint32_t channel_bytes = UINT32_MAX - 1;
static const uint32_t channel_pong = UINT32_MAX;

enum {
    OPCODE_PONG = 10,
    // A pong goes behind at most this many waiting frames: in order for a connection that keeps
    // up, found again in a few steps on one that does not (a ping flood costs a bounded walk each).
    // It never overtakes bytes of HTTP, which stand in front of all frames.
    PONG_DEPTH_MAX = 32,
};

// A place in the queue: an entry and the one before it, 0 = none.
struct place {
    uint32_t previous;
    uint32_t index;
};

static struct outbox_entry *entry_at(const struct outboxes *outboxes, uint32_t index);
static struct place waiting_first(const struct outboxes *outboxes, const struct outbox *outbox);
static struct place frames_first(const struct outboxes *outboxes, const struct outbox *outbox);
static void place_next(const struct outboxes *outboxes, struct place *place);
static bool is_droppable(const struct outbox_entry *entry);
static bool has_droppable(const struct outboxes *outboxes, const struct outbox *outbox);
static uint32_t oldest_drop(struct outboxes *outboxes, struct outbox *outbox, uint64_t bytes_max,
                            uint32_t spared);
static struct place channel_find(const struct outboxes *outboxes, struct place place,
                                 uint32_t channel);
static uint32_t conflate(struct outboxes *outboxes, struct outbox *outbox, uint32_t channel,
                         uint32_t payload, uint32_t bytes_max);
static bool entry_insert(struct outboxes *outboxes, struct outbox *outbox, uint32_t previous,
                         struct outbox_entry entry);
static void entry_remove(struct outboxes *outboxes, struct outbox *outbox, struct place place);
static uint32_t entry_bytes(const struct outboxes *outboxes, const struct outbox_entry *entry);
static uint32_t entry_messages(const struct outboxes *outboxes, const struct outbox_entry *entry);
static void queued_add(struct outboxes *outboxes, struct outbox *outbox, uint32_t bytes);
static void queued_subtract(struct outboxes *outboxes, struct outbox *outbox, uint32_t bytes);

enum outbox_result outbox_put_message(struct outboxes *outboxes, struct outbox *outbox,
                                      uint32_t payload, uint32_t channel,
                                      struct outbox_bounds bounds, uint32_t *dropped_count) {
    check(channel < channel_control);
    *dropped_count = 0;
    uint64_t bytes = payload_at(outboxes->arena, payload)->wire_bytes;
    if (outbox->queued_bytes != 0) {
        if (bounds.policy == OUTBOX_CONFLATE && channel != 0) {
            *dropped_count = conflate(outboxes, outbox, channel, payload, bounds.queue_bytes_max);
            if (*dropped_count > 0) {
                return OUTBOX_DROPPED;
            }
        }
        bool is_over = outbox->queued_bytes + bytes > bounds.queue_bytes_max;
        if (is_over && has_droppable(outboxes, outbox)) {
            if (bounds.policy == OUTBOX_CLOSE) {
                return OUTBOX_OVER;
            }
            if (bounds.policy == OUTBOX_DROP_NEWEST) {
                *dropped_count = 1;
                return OUTBOX_DROPPED;
            }
            uint64_t room = bytes < bounds.queue_bytes_max ? bounds.queue_bytes_max - bytes : 0;
            *dropped_count = oldest_drop(outboxes, outbox, room, 0);
        }
    }
    if (!entry_insert(outboxes, outbox, outbox->last,
                      (struct outbox_entry){.payload = payload, .channel = channel})) {
        return OUTBOX_REFUSED;
    }
    return *dropped_count > 0 ? OUTBOX_DROPPED : OUTBOX_QUEUED;
}

// In the run that waits last, if it does and has the room.
static uint8_t *run_extend(struct outboxes *outboxes, struct outbox *outbox, uint32_t bytes) {
    if (outbox->queued_bytes == 0) { // nothing waits: the last one is in flight
        return NULL;
    }
    uint32_t handle = entry_at(outboxes, outbox->last)->payload;
    struct payload *run = payload_at(outboxes->arena, handle);
    bool is_run = run->kind == PAYLOAD_MESSAGE && run->opcode == 0 && run->references == 1;
    uint64_t end = (uint64_t)run->wire_start + run->wire_bytes;
    if (!is_run || end + bytes > arena_block_bytes(outboxes->arena, handle)) {
        return NULL;
    }
    run->wire_bytes += bytes;
    run->data_bytes++;
    queued_add(outboxes, outbox, bytes);
    return arena_at(outboxes->arena, handle) + end;
}

uint8_t *outbox_run_room(struct outboxes *outboxes, struct outbox *outbox, uint32_t bytes) {
    check(bytes > 0);
    uint8_t *room = run_extend(outboxes, outbox, bytes);
    if (room != NULL) {
        return room;
    }
    uint32_t run = payload_run(outboxes->arena, bytes, &room);
    if (run == 0) {
        return NULL;
    }
    bool is_queued =
        entry_insert(outboxes, outbox, outbox->last, (struct outbox_entry){.payload = run});
    payload_drop(outboxes->arena, run);
    return is_queued ? room : NULL;
}

bool outbox_put(struct outboxes *outboxes, struct outbox *outbox, uint32_t payload) {
    const struct payload *content = payload_at(outboxes->arena, payload);
    check(content->kind != PAYLOAD_MESSAGE);
    struct outbox_entry entry = {.payload = payload, .channel = channel_control};
    if (content->kind == PAYLOAD_BYTES) {
        entry.channel = channel_bytes;
    } else if (content->opcode == OPCODE_PONG) {
        entry.channel = channel_pong;
        struct place place = frames_first(outboxes, outbox);
        for (uint32_t i = 0; i < PONG_DEPTH_MAX && place.index != 0; i++) {
            place_next(outboxes, &place);
        }
        return entry_insert(outboxes, outbox, place.previous, entry);
    }
    return entry_insert(outboxes, outbox, outbox->last, entry);
}

uint32_t outbox_gather(struct outboxes *outboxes, struct outbox *outbox, struct span *pieces,
                       uint32_t piece_max, uint64_t bytes_max) {
    if (outbox->flight_count != 0) {
        return 0;
    }
    check(piece_max > 0 && piece_max <= SEND_PIECES_MAX);
    uint32_t count = 0;
    uint64_t gathered = 0;
    uint32_t index = outbox->first;
    while (index != 0 && count < piece_max) {
        const struct outbox_entry *entry = entry_at(outboxes, index);
        struct span wire = payload_wire(outboxes->arena, entry->payload);
        wire.data += entry->sent_bytes;
        wire.length -= entry->sent_bytes;
        if (count > 0 && gathered + wire.length > bytes_max) {
            break;
        }
        gathered += wire.length;
        pieces[count++] = wire;
        index = entry->next;
    }
    outbox->flight_count = (uint8_t)count;
    queued_subtract(outboxes, outbox, (uint32_t)gathered);
    return count;
}

uint64_t outbox_flight_bytes(const struct outboxes *outboxes, const struct outbox *outbox) {
    uint64_t bytes = 0;
    uint32_t index = outbox->first;
    for (uint32_t i = 0; i < outbox->flight_count; i++) {
        const struct outbox_entry *entry = entry_at(outboxes, index);
        bytes += entry_bytes(outboxes, entry);
        index = entry->next;
    }
    return bytes;
}

uint32_t outbox_sent(struct outboxes *outboxes, struct outbox *outbox, uint64_t sent_bytes) {
    uint32_t message_count = 0;
    uint32_t flight_count = outbox->flight_count;
    outbox->flight_count = 0;
    uint32_t index = outbox->first;
    bool is_short = false; // of this entry something is left: it waits again, and so do the next
    for (uint32_t i = 0; i < flight_count; i++) {
        struct outbox_entry *entry = entry_at(outboxes, index);
        uint32_t next = entry->next;
        uint32_t owed = entry_bytes(outboxes, entry);
        if (!is_short && sent_bytes >= owed) {
            sent_bytes -= owed;
            message_count += entry_messages(outboxes, entry);
            outboxes->control_sent += entry->channel == channel_control;
            payload_drop(outboxes->arena, entry->payload);
            pool_give(outboxes->entries, index);
            outbox->first = next;
        } else {
            is_short = true;
            entry->sent_bytes += (uint32_t)sent_bytes;
            queued_add(outboxes, outbox, owed - (uint32_t)sent_bytes);
            sent_bytes = 0;
        }
        index = next;
    }
    check(sent_bytes == 0); // no more than was in flight
    if (outbox->first == 0) {
        outbox->last = 0;
    }
    return message_count;
}

uint32_t outbox_drop_waiting(struct outboxes *outboxes, struct outbox *outbox, bool keeps_control) {
    uint32_t message_count = 0;
    struct place place = waiting_first(outboxes, outbox);
    while (place.index != 0) {
        const struct outbox_entry *entry = entry_at(outboxes, place.index);
        uint32_t next = entry->next;
        if (keeps_control && !is_droppable(entry)) {
            place_next(outboxes, &place);
            continue;
        }
        message_count += entry_messages(outboxes, entry);
        queued_subtract(outboxes, outbox, entry_bytes(outboxes, entry));
        entry_remove(outboxes, outbox, place);
        place.index = next;
    }
    return message_count;
}

uint32_t outbox_drop_all(struct outboxes *outboxes, struct outbox *outbox) {
    uint32_t message_count = outbox_drop_waiting(outboxes, outbox, false);
    while (outbox->first != 0) { // what was in flight: no longer counted in queued_bytes
        message_count += entry_messages(outboxes, entry_at(outboxes, outbox->first));
        entry_remove(outboxes, outbox, (struct place){.index = outbox->first});
    }
    outbox->flight_count = 0;
    check(outbox->last == 0);
    check(outbox->queued_bytes == 0);
    return message_count;
}

bool outbox_drop_pong(struct outboxes *outboxes, struct outbox *outbox, uint32_t waiting_max) {
    struct place place = frames_first(outboxes, outbox);
    struct place pong = {0};
    uint32_t count = 0;
    // As deep as outbox_put puts one, and what a short send put back in front of it.
    for (uint32_t i = 0; i <= PONG_DEPTH_MAX + SEND_PIECES_MAX && place.index != 0; i++) {
        const struct outbox_entry *entry = entry_at(outboxes, place.index);
        if (entry->channel == channel_pong && entry->sent_bytes == 0) {
            pong = place;
            count++;
        }
        place_next(outboxes, &place);
    }
    if (count < waiting_max) {
        return false;
    }
    queued_subtract(outboxes, outbox, entry_bytes(outboxes, entry_at(outboxes, pong.index)));
    entry_remove(outboxes, outbox, pong);
    return true;
}

static struct outbox_entry *entry_at(const struct outboxes *outboxes, uint32_t index) {
    return (struct outbox_entry *)pool_at(outboxes->entries, index);
}

static struct place waiting_first(const struct outboxes *outboxes, const struct outbox *outbox) {
    struct place place = {.index = outbox->first};
    for (uint32_t i = 0; i < outbox->flight_count; i++) {
        place_next(outboxes, &place);
    }
    return place;
}

// The first waiting entry that is no HTTP bytes. Those come before the upgrade, so before all
// frames.
static struct place frames_first(const struct outboxes *outboxes, const struct outbox *outbox) {
    struct place place = waiting_first(outboxes, outbox);
    while (place.index != 0 && entry_at(outboxes, place.index)->channel == channel_bytes) {
        place_next(outboxes, &place);
    }
    return place;
}

static void place_next(const struct outboxes *outboxes, struct place *place) {
    place->previous = place->index;
    place->index = entry_at(outboxes, place->index)->next;
}

// Of a waiting entry: may a policy drop it.
static bool is_droppable(const struct outbox_entry *entry) {
    return entry->channel < channel_control && entry->sent_bytes == 0;
}

// Does a whole message wait: only then can an outbox be over its limit. The walk ends at the first.
static bool has_droppable(const struct outboxes *outboxes, const struct outbox *outbox) {
    struct place place = waiting_first(outboxes, outbox);
    while (place.index != 0 && !is_droppable(entry_at(outboxes, place.index))) {
        place_next(outboxes, &place);
    }
    return place.index != 0;
}

// Drops waiting messages, oldest first, but not `spared`, until at most bytes_max wait.
static uint32_t oldest_drop(struct outboxes *outboxes, struct outbox *outbox, uint64_t bytes_max,
                            uint32_t spared) {
    uint32_t count = 0;
    struct place place = waiting_first(outboxes, outbox);
    while (place.index != 0 && outbox->queued_bytes > bytes_max) {
        const struct outbox_entry *entry = entry_at(outboxes, place.index);
        if (!is_droppable(entry) || place.index == spared) {
            place_next(outboxes, &place);
            continue;
        }
        uint32_t next = entry->next;
        count += entry_messages(outboxes, entry);
        queued_subtract(outboxes, outbox, entry_bytes(outboxes, entry));
        entry_remove(outboxes, outbox, place);
        place.index = next;
    }
    return count;
}

// The next waiting message of that channel, from `place` on; index 0 = none.
static struct place channel_find(const struct outboxes *outboxes, struct place place,
                                 uint32_t channel) {
    while (place.index != 0) {
        const struct outbox_entry *entry = entry_at(outboxes, place.index);
        if (entry->channel == channel && is_droppable(entry)) {
            break;
        }
        place_next(outboxes, &place);
    }
    return place;
}

// Puts the payload into the place of the channel's first waiting message and removes its others:
// there are some when the owner queued them before it asked for this policy, or when a send came
// back short. The walk passes each of those once. Returns how many messages are gone, 0: none
// waited and nothing was done.
static uint32_t conflate(struct outboxes *outboxes, struct outbox *outbox, uint32_t channel,
                         uint32_t payload, uint32_t bytes_max) {
    struct place place = channel_find(outboxes, waiting_first(outboxes, outbox), channel);
    uint32_t index = place.index;
    if (index == 0) {
        return 0;
    }
    struct outbox_entry *entry = entry_at(outboxes, index);
    queued_subtract(outboxes, outbox, entry_bytes(outboxes, entry));
    payload_hold(outboxes->arena, payload);
    payload_drop(outboxes->arena, entry->payload);
    entry->payload = payload;
    queued_add(outboxes, outbox, entry_bytes(outboxes, entry));
    uint32_t count = 1;
    place_next(outboxes, &place);
    for (place = channel_find(outboxes, place, channel); place.index != 0; count++) {
        uint32_t next = entry_at(outboxes, place.index)->next;
        queued_subtract(outboxes, outbox, entry_bytes(outboxes, entry_at(outboxes, place.index)));
        entry_remove(outboxes, outbox, place);
        place.index = next;
        place = channel_find(outboxes, place, channel);
    }
    return count + oldest_drop(outboxes, outbox, bytes_max, index); // the new one may be larger
}

// Behind `previous`, 0 = at the front. Takes a reference and counts the bytes. False: pool empty.
static bool entry_insert(struct outboxes *outboxes, struct outbox *outbox, uint32_t previous,
                         struct outbox_entry entry) {
    uint32_t index = pool_take(outboxes->entries);
    if (index == 0) {
        return false;
    }
    uint32_t *link = previous == 0 ? &outbox->first : &entry_at(outboxes, previous)->next;
    entry.next = *link;
    *link = index;
    *entry_at(outboxes, index) = entry;
    if (entry.next == 0) {
        outbox->last = index;
    }
    payload_hold(outboxes->arena, entry.payload);
    queued_add(outboxes, outbox, payload_at(outboxes->arena, entry.payload)->wire_bytes);
    return true;
}

// Unlinks it and gives its reference and the entry back.
static void entry_remove(struct outboxes *outboxes, struct outbox *outbox, struct place place) {
    struct outbox_entry *entry = entry_at(outboxes, place.index);
    uint32_t *link =
        place.previous == 0 ? &outbox->first : &entry_at(outboxes, place.previous)->next;
    *link = entry->next;
    if (entry->next == 0) {
        outbox->last = place.previous;
    }
    payload_drop(outboxes->arena, entry->payload);
    pool_give(outboxes->entries, place.index);
}

// Wire bytes that it still owes.
static uint32_t entry_bytes(const struct outboxes *outboxes, const struct outbox_entry *entry) {
    return payload_at(outboxes->arena, entry->payload)->wire_bytes - entry->sent_bytes;
}

static uint32_t entry_messages(const struct outboxes *outboxes, const struct outbox_entry *entry) {
    return entry->channel < channel_control ? payload_messages(outboxes->arena, entry->payload) : 0;
}

static void queued_add(struct outboxes *outboxes, struct outbox *outbox, uint32_t bytes) {
    check(bytes <= UINT32_MAX - outbox->queued_bytes);
    outbox->queued_bytes += bytes;
    outboxes->held_bytes += bytes;
}

static void queued_subtract(struct outboxes *outboxes, struct outbox *outbox, uint32_t bytes) {
    check(bytes <= outbox->queued_bytes);
    outbox->queued_bytes -= bytes;
    check(bytes <= outboxes->held_bytes);
    outboxes->held_bytes -= bytes;
}
