// Outboxes against a naive model: random puts, sends, short sends and drops on several outboxes
// that share their pool; queue, counts, bytes on the wire and bytes held are compared at each step.
#include "core/base/limits.h"
#include "core/base/prng.h"
#include "core/hub/outbox.h"
#include "core/hub/payload.h"
#include "tests/unit/core/hub/hub_memory.h"

#include <criterion/criterion.h>

enum { OUTBOX_COUNT = 3, MODEL_MAX = 4096, TEXT = 1, PING = 9 };

struct model_entry {
    uint32_t payload; // the test's own reference is held until the end of the entry
    uint32_t bytes;   // still owed
    uint32_t channel;
    bool is_message, is_begun;
};

struct model {
    struct model_entry entries[MODEL_MAX];
    uint32_t count, flight_count;
    struct outbox outbox;
    struct outbox_bounds bounds;
    uint64_t put_count, done_count, dropped_count;
};

static struct test_arena memory;
static struct test_pool pool;
static struct outboxes outboxes;
static struct model models[OUTBOX_COUNT];
static struct prng prng;

static uint32_t model_queued(const struct model *model) {
    uint32_t bytes = 0;
    for (uint32_t i = model->flight_count; i < model->count; i++) {
        bytes += model->entries[i].bytes;
    }
    return bytes;
}

static void model_remove(struct model *model, uint32_t at) {
    payload_drop(&memory.arena, model->entries[at].payload);
    for (uint32_t i = at; i + 1 < model->count; i++) {
        model->entries[i] = model->entries[i + 1];
    }
    model->count--;
}

static bool model_droppable(const struct model_entry *entry) {
    return entry->is_message && !entry->is_begun;
}

static uint32_t model_drop_oldest(struct model *model, uint64_t bytes_max, uint32_t spared) {
    uint32_t count = 0;
    for (uint32_t i = model->flight_count; i < model->count && model_queued(model) > bytes_max;) {
        if (model_droppable(&model->entries[i]) && model->entries[i].payload != spared) {
            model_remove(model, i);
            count++;
        } else {
            i++;
        }
    }
    return count;
}

static enum outbox_result model_put(struct model *model, struct model_entry entry,
                                    uint32_t *dropped) {
    *dropped = 0;
    struct outbox_bounds bounds = model->bounds;
    bool has_message = false;
    for (uint32_t i = model->flight_count; i < model->count; i++) {
        struct model_entry *other = &model->entries[i];
        has_message = has_message || model_droppable(other);
        if (bounds.policy == OUTBOX_CONFLATE && entry.channel != 0 && model_droppable(other) &&
            other->channel == entry.channel) {
            payload_drop(&memory.arena, other->payload);
            *other = entry;
            payload_hold(&memory.arena, entry.payload);
            *dropped = 1;
            for (uint32_t later = i + 1; later < model->count;) {
                struct model_entry *one = &model->entries[later];
                if (model_droppable(one) && one->channel == entry.channel) {
                    model_remove(model, later);
                    ++*dropped;
                } else {
                    later++;
                }
            }
            *dropped += model_drop_oldest(model, bounds.queue_bytes_max, entry.payload);
            return OUTBOX_DROPPED;
        }
    }
    uint64_t total = (uint64_t)model_queued(model) + entry.bytes;
    if (total > bounds.queue_bytes_max && has_message) {
        if (bounds.policy == OUTBOX_CLOSE) {
            return OUTBOX_OVER;
        }
        if (bounds.policy == OUTBOX_DROP_NEWEST) {
            *dropped = 1;
            return OUTBOX_DROPPED;
        }
        uint64_t room =
            bounds.queue_bytes_max > entry.bytes ? bounds.queue_bytes_max - entry.bytes : 0;
        *dropped = model_drop_oldest(model, room, 0);
    }
    payload_hold(&memory.arena, entry.payload);
    model->entries[model->count++] = entry;
    return *dropped > 0 ? OUTBOX_DROPPED : OUTBOX_QUEUED;
}

static void step_put(struct model *model) {
    static uint8_t data[200];
    for (uint32_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)prng_next(&prng);
    }
    struct span content = span_make(data, prng_below(&prng, sizeof data));
    bool is_message = prng_below(&prng, 5) != 0;
    struct model_entry entry = {
        .channel = is_message ? prng_below(&prng, 5) : 0,
        .is_message = is_message,
    };
    entry.payload = payload_frame(&memory.arena, is_message ? TEXT : PING, content);
    entry.bytes = payload_wire(&memory.arena, entry.payload).length;
    if (is_message) {
        uint32_t dropped, model_dropped;
        enum outbox_result model_result = model_put(model, entry, &model_dropped);
        enum outbox_result result = outbox_put_message(&outboxes, &model->outbox, entry.payload,
                                                       entry.channel, model->bounds, &dropped);
        cr_assert(result == model_result && dropped == model_dropped);
        model->put_count += result != OUTBOX_OVER;
        model->dropped_count += dropped;
    } else {
        cr_assert(outbox_put(&outboxes, &model->outbox, entry.payload));
        payload_hold(&memory.arena, entry.payload);
        model->entries[model->count++] = entry;
    }
    payload_drop(&memory.arena, entry.payload);
}

static void step_gather(struct model *model) {
    struct span pieces[SEND_PIECES_MAX];
    uint32_t piece_max = 1 + prng_below(&prng, SEND_PIECES_MAX);
    uint64_t bytes_max = prng_below(&prng, 2000);
    uint32_t count = outbox_gather(&outboxes, &model->outbox, pieces, piece_max, bytes_max);
    if (model->flight_count != 0) {
        cr_assert_eq(count, 0);
        return;
    }
    uint64_t bytes = 0;
    uint32_t expected = 0;
    while (expected < model->count && expected < piece_max &&
           (expected == 0 || bytes + model->entries[expected].bytes <= bytes_max)) {
        bytes += model->entries[expected].bytes;
        expected++;
    }
    cr_assert_eq(count, expected);
    for (uint32_t i = 0; i < count; i++) {
        struct span wire = payload_wire(&memory.arena, model->entries[i].payload);
        uint32_t begun = wire.length - model->entries[i].bytes;
        cr_assert(pieces[i].data == wire.data + begun && pieces[i].length == wire.length - begun);
    }
    model->flight_count = count;
}

static void step_sent(struct model *model) {
    if (model->flight_count == 0) {
        return;
    }
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < model->flight_count; i++) {
        bytes += model->entries[i].bytes;
    }
    uint32_t sent = prng_below(&prng, 3) == 0 ? prng_below(&prng, bytes + 1) : bytes;
    uint32_t left = sent;
    uint32_t done = 0;
    model->flight_count = 0;
    while (model->count > 0 && left >= model->entries[0].bytes) {
        left -= model->entries[0].bytes;
        done += model->entries[0].is_message;
        model_remove(model, 0);
        if (left == 0) {
            break;
        }
    }
    if (left > 0) {
        model->entries[0].bytes -= left;
        model->entries[0].is_begun = true;
    }
    cr_assert_eq(outbox_sent(&outboxes, &model->outbox, sent), done);
    model->done_count += done;
}

static void step_drop(struct model *model) {
    bool keeps_control = prng_below(&prng, 2) == 0;
    uint32_t messages = 0;
    for (uint32_t i = model->flight_count; i < model->count;) {
        if (keeps_control && !model_droppable(&model->entries[i])) {
            i++;
            continue;
        }
        messages += model->entries[i].is_message;
        model_remove(model, i);
    }
    cr_assert_eq(outbox_drop_waiting(&outboxes, &model->outbox, keeps_control), messages);
    model->dropped_count += messages;
}

static void compare(void) {
    uint64_t held = 0;
    for (uint32_t k = 0; k < OUTBOX_COUNT; k++) {
        const struct model *model = &models[k];
        uint32_t index = model->outbox.first;
        for (uint32_t i = 0; i < model->count; i++) {
            cr_assert_neq(index, 0);
            const struct outbox_entry *entry = pool_at(&pool.pool, index);
            cr_assert_eq(entry->payload, model->entries[i].payload);
            cr_assert_eq(entry->sent_bytes != 0, model->entries[i].is_begun);
            cr_assert(entry->next != 0 || model->outbox.last == index);
            index = entry->next;
        }
        cr_assert_eq(index, 0);
        cr_assert_eq(model->outbox.flight_count, model->flight_count);
        cr_assert_eq(model->outbox.queued_bytes, model_queued(model));
        held += model_queued(model);
    }
    cr_assert_eq(outboxes.held_bytes, held);
}

Test(hub_outbox_model, random_steps) {
    test_arena_init(&memory);
    test_pool_init(&pool, sizeof(struct outbox_entry), 100000);
    outboxes = (struct outboxes){.entries = &pool.pool, .arena = &memory.arena};
    prng_init(&prng, 2);
    uint64_t done = 0, dropped = 0;
    for (uint32_t round = 0; round < 300; round++) {
        for (uint32_t k = 0; k < OUTBOX_COUNT; k++) {
            models[k].bounds = (struct outbox_bounds){
                .queue_bytes_max = prng_below(&prng, 3) == 0 ? 300 : prng_below(&prng, 4000),
                .policy = (enum outbox_policy)prng_below(&prng, 4)};
        }
        for (uint32_t step = 0; step < 300; step++) {
            struct model *model = &models[prng_below(&prng, OUTBOX_COUNT)];
            uint32_t choice = prng_below(&prng, 100);
            if (choice < 60) {
                step_put(model);
            } else if (choice < 78) {
                step_gather(model);
            } else if (choice < 99) {
                step_sent(model);
            } else {
                step_drop(model);
            }
            compare();
        }
        for (uint32_t k = 0; k < OUTBOX_COUNT; k++) {
            struct model *model = &models[k];
            model->dropped_count += outbox_drop_all(&outboxes, &model->outbox);
            model->flight_count = 0;
            while (model->count > 0) {
                model_remove(model, 0);
            }
            cr_assert_eq(model->done_count + model->dropped_count, model->put_count);
            done += model->done_count;
            dropped += model->dropped_count;
            memset(model, 0, sizeof *model);
        }
    }
    cr_assert(done > 1000 && dropped > 1000);
    test_pool_fini(&pool);
    test_arena_fini(&memory);
}
