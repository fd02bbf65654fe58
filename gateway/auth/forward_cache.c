// What services have answered, by what they were sent.
#include "core/base/check.h"
#include "gateway/auth/forward_internal.h"

static struct table_link *link_at(void *context, uint32_t index) {
    return &entry_at(context, index)->link;
}

static bool is_key(void *context, uint32_t index, struct span key) {
    const struct forward_entry *entry = entry_at(context, index);
    return span_equal(span_make(&entry->key, sizeof entry->key), key);
}

static struct span key_span(const struct forward_key *key) {
    return span_make(key, sizeof *key);
}

void cache_init(struct forwards *forwards, const struct forwards_memory *memory) {
    pool_init(&forwards->entries, FORWARD_ENTRY_BYTES, FORWARD_ENTRIES_MAX, memory->entry_space,
              memory->entry_book);
    table_init(&forwards->table, memory->buckets, forwards->secret);
    forwards->table.link_at = link_at;
    forwards->table.is_key = is_key;
    forwards->table.context = forwards;
}

static uint32_t entry_find(struct forwards *forwards, const struct forward_key *key) {
    struct span span = key_span(key);
    return table_find(&forwards->table, span, table_hash(&forwards->table, span));
}

uint32_t cache_find(struct forwards *forwards, const struct forward_key *key) {
    uint32_t number = entry_find(forwards, key);
    if (number == 0 || entry_at(forwards, number)->due_ms <= forwards->upstreams->now_ms) {
        return 0;
    }
    return entry_at(forwards, number)->values;
}

static void oldest_drop(struct forwards *forwards, struct forward_list *list) {
    uint32_t number = list->first;
    const struct forward_entry *entry = entry_at(forwards, number);
    list->first = entry->next;
    list->last = list->first == 0 ? 0 : list->last;
    list->count--;
    table_remove(&forwards->table, number);
    arena_give(forwards->arena, entry->values);
    pool_give(&forwards->entries, number);
}

void cache_put(struct forwards *forwards, const struct forward_key *key, uint32_t values,
               const struct config_forward *rules) {
    struct forward_list *list = &forwards->lists[key->auth];
    uint64_t due_ms = forwards->upstreams->now_ms + rules->cache_ms;
    uint32_t number = entry_find(forwards, key);
    if (number != 0) { // asked again, since it was too old, or by two at once
        struct forward_entry *entry = entry_at(forwards, number);
        arena_give(forwards->arena, entry->values);
        entry->values = values;
        entry->due_ms = due_ms;
        return;
    }
    if (list->count >= rules->entries) {
        oldest_drop(forwards, list);
    }
    number = pool_take(&forwards->entries);
    if (number == 0 && list->count > 0) { // others have them all
        oldest_drop(forwards, list);
        number = pool_take(&forwards->entries);
    }
    if (number == 0) {
        arena_give(forwards->arena, values);
        return;
    }
    *entry_at(forwards, number) =
        (struct forward_entry){.key = *key, .due_ms = due_ms, .values = values};
    if (list->last == 0) {
        list->first = number;
    } else {
        entry_at(forwards, list->last)->next = number;
    }
    list->last = number;
    list->count++;
    table_insert(&forwards->table, number, table_hash(&forwards->table, key_span(key)));
}

void cache_forget(struct forwards *forwards) {
    for (uint32_t i = 0; i < AUTHS_MAX; i++) {
        while (forwards->lists[i].count > 0) { // each pass takes one out
            oldest_drop(forwards, &forwards->lists[i]);
        }
    }
}
