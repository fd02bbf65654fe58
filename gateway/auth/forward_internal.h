// What the files of forward authentication share. Not for others.
#pragma once
#include "gateway/auth/forward.h"

// An arena block: values of an answer's fields, one behind the other.
struct forward_values {
    uint16_t bytes[FORWARD_FIELDS_MAX];
};
static_assert(FORWARD_VALUES_BYTES_MAX <= UINT16_MAX, "a length fits");

static inline struct forward_ask *ask_at(const struct forwards *forwards, uint32_t ask) {
    return (struct forward_ask *)pool_at(&forwards->asks, ask);
}
static inline struct forward_entry *entry_at(const struct forwards *forwards, uint32_t entry) {
    return (struct forward_entry *)pool_at(&forwards->entries, entry);
}

// --- forward_cache.c
void cache_init(struct forwards *forwards, const struct forwards_memory *memory);
// The block of a remembered answer; 0: there is none, or it is too old.
uint32_t cache_find(struct forwards *forwards, const struct forward_key *key);
// Takes the block; the oldest of the same `auth` goes when there is no room.
void cache_put(struct forwards *forwards, const struct forward_key *key, uint32_t values,
               const struct config_forward *rules);
void cache_forget(struct forwards *forwards);
