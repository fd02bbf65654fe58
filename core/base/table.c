// Linear hashing (Litwin 1980). With 2^k <= bucket_count < 2^(k+1), an element's bucket is its hash
// modulo 2^(k+1), or modulo 2^k where that bucket does not exist yet. Adding bucket n splits bucket
// n - 2^k; taking it away appends it there again. The table grows above one element a bucket and
// shrinks below one in two, so that a name that comes and goes moves nothing.
#include "core/base/table.h"

#include "core/base/check.h"
#include "core/base/digest.h"
#include "core/base/pure.h"

enum { TABLE_BUCKETS_MIN = 8 };

static uint32_t bucket_of(const struct table *table, uint32_t hash) {
    uint32_t low = ((uint32_t)1 << (31 - __builtin_clz(table->bucket_count))) - 1;
    uint32_t bucket = hash & (low << 1 | 1);
    return bucket < table->bucket_count ? bucket : hash & low;
}

static struct table_link *link_at(const struct table *table, uint32_t index) {
    return table->link_at(table->context, index);
}

uint64_t table_book_bytes(uint32_t element_max) {
    uint64_t buckets = TABLE_BUCKETS_MIN;
    while (buckets < element_max && buckets < (uint64_t)1 << 31) {
        buckets *= 2;
    }
    return buckets * sizeof(uint32_t);
}

void table_init(struct table *table, struct memory buckets, const uint64_t key[2]) {
    check(buckets.length >= table_book_bytes(1));
    check((uintptr_t)buckets.data % sizeof(uint32_t) == 0);
    uint64_t bucket_max = TABLE_BUCKETS_MIN;
    while (bucket_max * 2 * sizeof(uint32_t) <= buckets.length && bucket_max < (uint64_t)1 << 31) {
        bucket_max *= 2;
    }
    *table = (struct table){
        .buckets = (uint32_t *)(void *)buckets.data,
        .bucket_max = (uint32_t)bucket_max,
        .bucket_count = TABLE_BUCKETS_MIN,
        .key = {key[0], key[1]},
    };
    memset(table->buckets, 0, TABLE_BUCKETS_MIN * sizeof(uint32_t));
}

uint32_t table_hash(const struct table *table, struct span key) {
    return (uint32_t)siphash(table->key, key);
}

uint32_t table_find(const struct table *table, struct span key, uint32_t hash) {
    uint32_t index = table->buckets[bucket_of(table, hash)];
    while (index != 0) {
        const struct table_link *link = link_at(table, index);
        if (link->hash == hash && table->is_key(table->context, index, key)) {
            return index;
        }
        index = link->next;
    }
    return 0;
}

// Adds one bucket and moves to it what belongs there.
static void table_grow(struct table *table) {
    uint32_t added = table->bucket_count;
    uint32_t top = (uint32_t)1 << (31 - __builtin_clz(added));
    uint32_t index = table->buckets[added - top];
    uint32_t kept = 0, moved = 0;
    while (index != 0) {
        struct table_link *link = link_at(table, index);
        uint32_t next = link->next;
        uint32_t *chain = (link->hash & top) != 0 ? &moved : &kept;
        link->next = *chain;
        *chain = index;
        index = next;
    }
    table->buckets[added - top] = kept;
    table->buckets[added] = moved;
    table->bucket_count++;
}

// Takes the last bucket away; its chain goes in front of the one it was split from.
static void table_shrink(struct table *table) {
    uint32_t removed = table->bucket_count - 1;
    uint32_t top = (uint32_t)1 << (31 - __builtin_clz(removed));
    uint32_t moved = table->buckets[removed];
    uint32_t *target = &table->buckets[removed - top];
    if (moved != 0) {
        struct table_link *final = link_at(table, moved);
        while (final->next != 0) {
            final = link_at(table, final->next);
        }
        final->next = *target;
        *target = moved;
    }
    table->bucket_count--;
}

void table_insert(struct table *table, uint32_t index, uint32_t hash) {
    check(index != 0);
    check(table->count < UINT32_MAX);
    uint32_t *bucket = &table->buckets[bucket_of(table, hash)];
    *link_at(table, index) = (struct table_link){.hash = hash, .next = *bucket};
    *bucket = index;
    table->count++;
    if (table->count > table->bucket_count && table->bucket_count < table->bucket_max) {
        table_grow(table);
    }
}

void table_remove(struct table *table, uint32_t index) {
    check(index != 0);
    struct table_link *link = link_at(table, index);
    uint32_t *place = &table->buckets[bucket_of(table, link->hash)];
    while (*place != index) {
        check(*place != 0);
        place = &link_at(table, *place)->next;
    }
    *place = link->next;
    *link = (struct table_link){0};
    table->count--;
    // Two steps, so that the table keeps up with a count that falls to half its buckets and on.
    for (uint32_t i = 0; i < 2; i++) {
        if (table->bucket_count > TABLE_BUCKETS_MIN && table->count < table->bucket_count / 2) {
            table_shrink(table);
        }
    }
}

// The cursor is the bucket (high half) and the element returned last (low half, 0 = at its head).
uint32_t table_next(const struct table *table, uint64_t *cursor) {
    uint32_t bucket = (uint32_t)(*cursor >> 32);
    uint32_t index = (uint32_t)*cursor;
    uint32_t next = 0;
    if (index != 0) {
        next = link_at(table, index)->next;
        bucket += next == 0;
    }
    while (next == 0 && bucket < table->bucket_count) {
        next = table->buckets[bucket];
        bucket += next == 0;
    }
    *cursor = (uint64_t)bucket << 32 | next;
    return next;
}
