// The home of a channel: who is interested, in which order its messages stand. Runs on the
// channel's home worker only.
#include "core/base/check.h"
#include "gateway/bus/internal.h"

static struct home_channel *home_at(const struct bus *bus, uint32_t index) {
    return (struct home_channel *)pool_at(bus->homes, index);
}

static struct table_link *home_link(void *context, uint32_t index) {
    return &home_at(context, index)->link;
}

static bool home_is_key(void *context, uint32_t index, struct span key) {
    const struct bus *bus = context;
    const struct home_channel *home = home_at(bus, index);
    return span_equal(key, span_make(arena_at(bus->arena, home->name_block), home->name_bytes));
}

void home_init(struct bus *bus, const struct bus_options *options) {
    bus->homes = options->homes;
    if (bus->homes == NULL) {
        return;
    }
    table_init(&bus->names, options->buckets, options->table_key);
    bus->names.link_at = home_link;
    bus->names.is_key = home_is_key;
    bus->names.context = bus;
}

// 0: no memory.
static uint32_t home_open(struct bus *bus, struct span name, uint32_t hash) {
    uint32_t index = pool_take(bus->homes);
    if (index == 0) {
        return 0;
    }
    struct home_channel *home = home_at(bus, index);
    memset(home, 0, sizeof *home);
    home->name_block = arena_take(bus->arena, name.length);
    if (home->name_block == 0) {
        pool_give(bus->homes, index);
        return 0;
    }
    memcpy(arena_at(bus->arena, home->name_block), name.data, name.length);
    home->name_bytes = (uint8_t)name.length;
    // Offsets begin anew with every life of the channel here; the epoch says so.
    home->epoch = bus->epoch_base + bus->epoch_count++;
    table_insert(&bus->names, index, hash);
    return index;
}

static void home_close(struct bus *bus, uint32_t index) {
    table_remove(&bus->names, index);
    arena_give(bus->arena, home_at(bus, index)->name_block);
    pool_give(bus->homes, index);
}

void home_on_join(struct bus *bus, uint32_t source, const struct mail *mail, struct span name) {
    uint32_t hash = table_hash(&bus->names, name);
    uint32_t index = table_find(&bus->names, name, hash);
    if (index == 0) {
        index = home_open(bus, name, hash);
    }
    if (index != 0) {
        struct home_channel *home = home_at(bus, index);
        home->workers |= UINT64_C(1) << source;
        home->subscribers++;
    }
    if (mail->words[0] != 0) { // words[1] = 0: refused for want of memory
        struct mail answer = {.kind = MAIL_JOINED, .words = {mail->words[0], index != 0}};
        bus_send(bus, source, &answer, name, span_empty());
    }
}

void home_on_leave(struct bus *bus, uint32_t source, const struct mail *mail, struct span name) {
    uint32_t index = table_find(&bus->names, name, table_hash(&bus->names, name));
    if (index == 0) {
        return; // its join was refused, and nobody else's was taken
    }
    struct home_channel *home = home_at(bus, index);
    if (mail->words[1] != 0) {
        home->workers &= ~(UINT64_C(1) << source);
    }
    bool was_counted = mail->words[0] == 0;
    home->subscribers -= was_counted && home->subscribers > 0;
    if (home->workers ==
        0) { // the bits decide, the count only informs: a worker knows its own best
        home_close(bus, index);
    }
}

void home_on_publish(struct bus *bus, uint32_t source, const struct mail *mail, struct span name,
                     struct span body) {
    counter_add(bus->counters, COUNTER_published, 1);
    uint32_t index = table_find(&bus->names, name, table_hash(&bus->names, name));
    uint32_t subscribers = 0;
    if (index != 0) {
        struct home_channel *home = home_at(bus, index);
        home->offset++;
        subscribers = home->subscribers;
        struct mail deliver = {.kind = MAIL_DELIVER,
                               .opcode = mail->opcode,
                               .words = {0, home->epoch, body.length, home->offset}};
        for (uint64_t workers = home->workers; workers != 0; workers &= workers - 1) {
            uint32_t target = (uint32_t)__builtin_ctzll(workers);
            deliver.words[0] = target == source ? mail->words[0] : 0;
            if (!bus_fits(bus, target, name, body) ||
                !bus_send(bus, target, &deliver, name, body)) {
                counter_add(bus->counters, COUNTER_dropped_mailbox, 1);
            }
        }
    }
    if (mail->words[1] != 0) {
        struct mail receipt = {.kind = MAIL_RECEIPT, .words = {mail->words[1], subscribers}};
        bus_send(bus, source, &receipt, name, span_empty());
    }
}
