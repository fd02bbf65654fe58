// Hash table by linear hashing: grows and shrinks one bucket at a time, so no insert ever pays for
// a rehash of all. Elements live elsewhere (a pool) and carry the 8-byte link; the table holds 4
// bytes a bucket. Owner: one worker.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

// Inside each element; written by the table alone while the element is in it.
struct table_link {
    uint32_t hash;
    uint32_t next; // element index, 0 = end
};

struct table {
    uint32_t *buckets;
    struct table_link *(*link_at)(void *context, uint32_t index);
    bool (*is_key)(void *context, uint32_t index, struct span key);
    void *context;
    uint32_t bucket_max;   // a power of two
    uint32_t bucket_count; // in use
    uint32_t count;
    uint64_t key[2]; // SipHash key, from the entropy seam: peers choose names (security.md, hash
                     // flooding)
};

// Bytes of `buckets` for that many elements: one bucket each, rounded up to a power of two. More
// elements than that may be inserted; chains then grow longer.
uint64_t table_book_bytes(uint32_t element_max);
// `buckets`: aligned to 4, at least table_book_bytes(1); what is above the largest power of two in
// it stays unused. Pages are touched as the table grows; the content is assumed to be anything.
// Then set link_at, is_key and context.
void table_init(struct table *table, struct memory buckets, const uint64_t key[2]);
uint32_t table_hash(const struct table *table, struct span key);
// Element index or 0. `hash` is table_hash of the key.
uint32_t table_find(const struct table *table, struct span key, uint32_t hash);
// The key must be absent, the index not 0. is_key is not called.
void table_insert(struct table *table, uint32_t index, uint32_t hash);
void table_remove(struct table *table, uint32_t index); // must be present
// Walks all elements in a stable order as long as nothing is inserted or removed: give *cursor = 0
// first. 0 at the end.
uint32_t table_next(const struct table *table, uint64_t *cursor);
