// Law L1: order, repeats, holes.
#include "tests/sim/ledger.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "gateway/process/process.h"

const char *const ledger_channel_names[LEDGER_CHANNEL_COUNT] = {
    "chat.a", "chat.b", "quiet.a", "oldest.a", "newest.a", "conflate.a", "room.x", "room.y"};
const char *const ledger_channel_paths[LEDGER_CHANNEL_COUNT] = {
    "/chat/a",   "/chat/b",     "/quiet/a", "/oldest/a",
    "/newest/a", "/conflate/a", "/rooms/u", "/rooms/u"};

// Channels whose routes drop messages and keep the connection.
static bool is_lossy(uint8_t channel) {
    return channel == LEDGER_OLDEST || channel == LEDGER_NEWEST || channel == LEDGER_CONFLATE;
}

static void *grow(void *array, uint32_t count, uint32_t *room, size_t element) {
    if (count < *room) {
        return array;
    }
    *room = *room == 0 ? 64 : *room * 2;
    void *larger = realloc(array, *room * element);
    check(larger != NULL);
    return larger;
}

static uint64_t counter_sum(const struct ledger *ledger, enum counter_id id) {
    const struct sim *sim = ledger->sim;
    uint64_t sum = sim->process == NULL ? 0 : sim->process->counters.values[id];
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        sum += sim->workers[i] == NULL ? 0 : sim->workers[i]->counters.values[id];
    }
    return sum;
}

void ledger_init(struct ledger *ledger, struct sim *sim) {
    memset(ledger, 0, sizeof *ledger);
    ledger->sim = sim;
}

void ledger_fini(struct ledger *ledger) {
    for (uint32_t i = 0; i < ledger->publisher_count; i++) {
        free(ledger->publishers[i].nodes);
    }
    for (uint32_t i = 0; i < ledger->subscriber_count; i++) {
        free(ledger->subscribers[i].wanted);
        free(ledger->subscribers[i].next);
    }
    free(ledger->publishers);
    free(ledger->subscribers);
    free(ledger->nodes);
    free(ledger->edges);
}

void ledger_calm(struct ledger *ledger) {
    ledger->is_calm = true;
    ledger->drops_before_calm = counter_sum(ledger, COUNTER_dropped_mailbox);
}

// --- messages

uint32_t ledger_heading(uint32_t publisher, uint32_t sequence, uint8_t *bytes, uint32_t length) {
    char text[LEDGER_HEADING_BYTES_MAX];
    int written = snprintf(text, sizeof text, "m:%u:%u:%u:", publisher, sequence, length);
    check(written > 0 && written < LEDGER_HEADING_BYTES_MAX);
    memcpy(bytes, text, (uint32_t)written);
    return (uint32_t)written;
}

// Letters, and what JSON has to escape, and characters of two bytes.
static uint32_t filler_write(uint32_t key, uint32_t at, uint8_t *bytes, uint32_t room) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz 0123456789";
    uint32_t mixed = (key + at) * 2654435761u;
    uint32_t pick = mixed >> 24;
    if (pick < 4 && room >= 2) {
        memcpy(bytes, "\xc3\xa4", 2);
        return 2;
    }
    bytes[0] = (uint8_t)plain[(mixed >> 8) % (sizeof plain - 1)];
    if (pick >= 250) {
        bytes[0] = (uint8_t) "\"\\\n\"\\\t"[pick - 250];
    }
    return 1;
}

void ledger_fill(uint32_t publisher, uint32_t sequence, uint8_t *bytes, uint32_t length) {
    uint32_t at = ledger_heading(publisher, sequence, bytes, length);
    while (at < length) {
        at += filler_write(publisher * 131 + sequence, at, bytes + at, length - at);
    }
}

static bool number_next(struct span *rest, uint32_t *value) {
    uint64_t number = 0;
    uint32_t i = 0;
    while (i < rest->length && rest->data[i] >= '0' && rest->data[i] <= '9' && i < 10) {
        number = number * 10 + (uint64_t)(rest->data[i++] - '0');
    }
    if (i == 0 || i == rest->length || rest->data[i] != ':' || number > UINT32_MAX) {
        return false;
    }
    *rest = span_from(*rest, i + 1);
    *value = (uint32_t)number;
    return true;
}

bool ledger_read(struct span bytes, uint32_t *publisher, uint32_t *sequence, uint32_t *length) {
    if (bytes.length < 2 || memcmp(bytes.data, "m:", 2) != 0) {
        return false;
    }
    struct span rest = span_from(bytes, 2);
    return number_next(&rest, publisher) && number_next(&rest, sequence) &&
           number_next(&rest, length);
}

bool ledger_is_binary(uint32_t publisher, uint32_t sequence) {
    return (publisher + sequence) % 4 == 0;
}

uint32_t ledger_publisher_add(struct ledger *ledger, enum ledger_channel channel) {
    ledger->publishers = grow(ledger->publishers, ledger->publisher_count, &ledger->publisher_room,
                              sizeof *ledger->publishers);
    ledger->publishers[ledger->publisher_count] =
        (struct ledger_publisher){.channel = (uint8_t)channel};
    return ledger->publisher_count++;
}

uint32_t ledger_publish(struct ledger *ledger, uint32_t publisher, uint8_t *bytes,
                        uint32_t length) {
    struct ledger_publisher *p = &ledger->publishers[publisher];
    length = length < LEDGER_HEADING_BYTES_MAX ? LEDGER_HEADING_BYTES_MAX : length;
    check(length <= LEDGER_MESSAGE_BYTES_MAX);
    ledger_fill(publisher, p->next, bytes, length);
    p->nodes = grow(p->nodes, p->next, &p->node_room, sizeof *p->nodes);
    ledger->nodes =
        grow(ledger->nodes, ledger->node_count, &ledger->node_room, sizeof *ledger->nodes);
    ledger->nodes[ledger->node_count] = (struct ledger_node){.channel = p->channel,
                                                             .is_calm = ledger->is_calm,
                                                             .publisher = publisher,
                                                             .sequence = p->next,
                                                             .bytes = length};
    p->nodes[p->next++] = ledger->node_count++;
    return length;
}

void ledger_confirm(struct ledger *ledger, uint32_t publisher, uint32_t sequence) {
    struct ledger_publisher *p = &ledger->publishers[publisher];
    check(sequence < p->next);
    if (sequence >= p->confirmed) {
        p->confirmed = sequence + 1;
    }
}

void ledger_refuse(struct ledger *ledger, uint32_t publisher, uint32_t sequence) {
    struct ledger_publisher *p = &ledger->publishers[publisher];
    check(sequence < p->next);
    ledger->nodes[p->nodes[sequence]].is_refused = true;
}

// --- subscribers

static void subscriber_size(struct ledger_subscriber *s, uint32_t count) {
    if (count <= s->count) {
        return;
    }
    count += 16;
    s->wanted = realloc(s->wanted, count * sizeof *s->wanted);
    s->next = realloc(s->next, count * sizeof *s->next);
    check(s->wanted != NULL && s->next != NULL);
    memset(s->wanted + s->count, 0, (count - s->count) * sizeof *s->wanted);
    memset(s->next + s->count, 0, (count - s->count) * sizeof *s->next);
    s->count = count;
}

uint32_t ledger_subscriber_add(struct ledger *ledger, enum ledger_channel channel, uint32_t own) {
    ledger->subscribers = grow(ledger->subscribers, ledger->subscriber_count,
                               &ledger->subscriber_room, sizeof *ledger->subscribers);
    ledger->subscribers[ledger->subscriber_count] =
        (struct ledger_subscriber){.channel = (uint8_t)channel, .own = own};
    return ledger->subscriber_count++;
}

void ledger_subscriber_open(struct ledger *ledger, uint32_t subscriber) {
    struct ledger_subscriber *s = &ledger->subscribers[subscriber];
    s->is_open = true;
    subscriber_size(s, ledger->publisher_count);
    for (uint32_t i = 0; i < ledger->publisher_count; i++) {
        s->wanted[i] = ledger->publishers[i].next;
    }
}

void ledger_subscriber_end(struct ledger *ledger, uint32_t subscriber) {
    ledger->subscribers[subscriber].is_over = true;
}

// Messages [first, last) of the publisher did not come, and a later one did.
static void hole(struct ledger *ledger, struct ledger_subscriber *s, uint32_t publisher,
                 uint32_t first, uint32_t last) {
    const struct ledger_publisher *p = &ledger->publishers[publisher];
    for (uint32_t i = first; i < last; i++) {
        if (ledger->nodes[p->nodes[i]].is_refused) {
            continue;
        }
        s->holes++;
        if (!is_lossy(s->channel) && counter_sum(ledger, COUNTER_dropped_mailbox) == 0) {
            sim_fail(ledger->sim, "L1", "on %s message %u of publisher %u never came, %u did",
                     ledger_channel_names[s->channel], i, publisher, last);
        }
    }
}

static void bytes_judge(struct ledger *ledger, uint32_t publisher, uint32_t sequence,
                        struct span bytes) {
    ledger_fill(publisher, sequence, ledger->expected, bytes.length);
    if (memcmp(ledger->expected, bytes.data, bytes.length) != 0) {
        sim_fail(ledger->sim, "L1", "message %u of publisher %u came with other bytes", sequence,
                 publisher);
    }
}

void ledger_receive(struct ledger *ledger, uint32_t subscriber, bool is_binary, struct span bytes) {
    struct sim *sim = ledger->sim;
    struct ledger_subscriber *s = &ledger->subscribers[subscriber];
    uint32_t publisher, sequence, length;
    if (!ledger_read(bytes, &publisher, &sequence, &length)) {
        return;
    }
    bool is_known = publisher < ledger->publisher_count &&
                    sequence < ledger->publishers[publisher].next && length == bytes.length;
    if (!is_known) {
        sim_fail(sim, "L1", "message %u of publisher %u, %u bytes, was never published", sequence,
                 publisher, bytes.length);
    }
    const struct ledger_publisher *p = &ledger->publishers[publisher];
    if (p->channel != s->channel || s->is_over || s->own == publisher + 1) {
        sim_fail(sim, "L1", "message %u of publisher %u came on %s to one who must not get it",
                 sequence, publisher, ledger_channel_names[s->channel]);
    }
    bytes_judge(ledger, publisher, sequence, bytes);
    if (is_binary != ledger_is_binary(publisher, sequence)) {
        sim_fail(sim, "L1", "message %u of publisher %u changed its kind", sequence, publisher);
    }
    subscriber_size(s, ledger->publisher_count);
    if (sequence < s->next[publisher]) {
        sim_fail(sim, "L1", "on %s message %u of publisher %u came after %u",
                 ledger_channel_names[s->channel], sequence, publisher, s->next[publisher] - 1);
    }
    uint32_t due = s->next[publisher] > 0 ? s->next[publisher] : s->wanted[publisher];
    if (s->is_open || s->next[publisher] > 0) {
        hole(ledger, s, publisher, due, sequence);
    }
    s->next[publisher] = sequence + 1;
    s->received++;
    uint32_t node = p->nodes[sequence];
    if (s->node != 0) {
        ledger->edges =
            grow(ledger->edges, ledger->edge_count, &ledger->edge_room, sizeof *ledger->edges);
        ledger->edges[ledger->edge_count++] =
            (struct ledger_edge){.before = s->node - 1, .after = node};
    }
    s->node = node + 1;
}

bool ledger_is_caught_up(const struct ledger *ledger, uint32_t subscriber) {
    const struct ledger_subscriber *s = &ledger->subscribers[subscriber];
    bool has_drops = counter_sum(ledger, COUNTER_dropped_mailbox) != ledger->drops_before_calm;
    if (is_lossy(s->channel) || has_drops) {
        return true;
    }
    for (uint32_t i = 0; i < ledger->publisher_count; i++) {
        const struct ledger_publisher *p = &ledger->publishers[i];
        if (p->channel != s->channel || s->own == i + 1 || p->confirmed == 0) {
            continue;
        }
        uint32_t last = p->confirmed - 1;
        uint32_t wanted = i < s->count ? s->wanted[i] : 0;
        uint32_t next = i < s->count ? s->next[i] : 0;
        const struct ledger_node *node = &ledger->nodes[p->nodes[last]];
        if (last >= wanted && last >= next && node->is_calm && !node->is_refused) {
            return false;
        }
    }
    return true;
}

bool ledger_has_drops(const struct ledger *ledger) {
    return counter_sum(ledger, COUNTER_dropped_mailbox) > 0;
}

// --- the end

// Whether the edges have an order (Kahn, "Topological sorting of large networks", 1962).
static bool has_order(const struct ledger *ledger) {
    uint32_t count = ledger->node_count;
    uint32_t *degree = calloc(count + 1, sizeof *degree);
    uint32_t *first = calloc(count + 2, sizeof *first);
    uint32_t *after = calloc((size_t)ledger->edge_count + 1, sizeof *after);
    uint32_t *ready = calloc(count + 1, sizeof *ready);
    check(degree != NULL && first != NULL && after != NULL && ready != NULL);
    for (uint32_t i = 0; i < ledger->edge_count; i++) {
        degree[ledger->edges[i].after]++;
        first[ledger->edges[i].before + 1]++;
    }
    for (uint32_t i = 0; i < count; i++) {
        first[i + 1] += first[i];
    }
    uint32_t *at = calloc(count + 1, sizeof *at);
    check(at != NULL);
    memcpy(at, first, count * sizeof *at);
    for (uint32_t i = 0; i < ledger->edge_count; i++) {
        after[at[ledger->edges[i].before]++] = ledger->edges[i].after;
    }
    uint32_t ready_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (degree[i] == 0) {
            ready[ready_count++] = i;
        }
    }
    for (uint32_t i = 0; i < ready_count; i++) {
        for (uint32_t k = first[ready[i]]; k < first[ready[i] + 1]; k++) {
            if (--degree[after[k]] == 0) {
                ready[ready_count++] = after[k];
            }
        }
    }
    free(degree);
    free(first);
    free(after);
    free(ready);
    free(at);
    return ready_count == count;
}

void ledger_judge(struct ledger *ledger) {
    if (!has_order(ledger)) {
        sim_fail(ledger->sim, "L1", "two subscribers of one channel saw different orders");
    }
    uint64_t holes = 0;
    for (uint32_t i = 0; i < ledger->subscriber_count; i++) {
        holes += is_lossy(ledger->subscribers[i].channel) ? ledger->subscribers[i].holes : 0;
    }
    uint64_t counted = counter_sum(ledger, COUNTER_dropped_oldest) +
                       counter_sum(ledger, COUNTER_dropped_newest) +
                       counter_sum(ledger, COUNTER_dropped_conflated);
    if (holes > counted && counter_sum(ledger, COUNTER_dropped_mailbox) == 0) {
        sim_fail(ledger->sim, "L1", "%llu messages are missing, %llu were counted",
                 (unsigned long long)holes, (unsigned long long)counted);
    }
}
