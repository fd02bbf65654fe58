// The table against a plain array of names.
#include "core/base/prng.h"
#include "core/base/table.h"
#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>

enum { ELEMENTS = 5000, BUCKETS = 4096 };

struct element {
    struct table_link link;
    uint32_t name_length;
    char name[20];
};

static struct element elements[ELEMENTS];
static uint32_t buckets[BUCKETS];
static bool is_in[ELEMENTS];
static bool is_seen[ELEMENTS];

static struct table_link *element_link(void *context, uint32_t index) {
    cr_assert_eq(context, elements);
    return &elements[index].link;
}

static bool element_is_key(void *context, uint32_t index, struct span key) {
    (void)context; // the array is the file's
    return span_equal(span_make(elements[index].name, elements[index].name_length), key);
}

static struct span element_name(uint32_t index) {
    return span_make(elements[index].name, elements[index].name_length);
}

static void fixture_init(struct table *table) {
    static const uint64_t key[2] = {11, 12};
    memset(buckets, 0xab, sizeof(buckets));
    memset(elements, 0xcd, sizeof(elements));
    memset(is_in, 0, sizeof(is_in));
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        elements[i].name_length =
            (uint32_t)snprintf(elements[i].name, sizeof(elements[i].name), "channel.%u", i);
    }
    table_init(table, (struct memory){(uint8_t *)buckets, sizeof(buckets)}, key);
    table->link_at = element_link;
    table->is_key = element_is_key;
    table->context = elements;
}

static void insert(struct table *table, uint32_t index) {
    table_insert(table, index, table_hash(table, element_name(index)));
    is_in[index] = true;
}

static void removes(struct table *table, uint32_t index) {
    table_remove(table, index);
    is_in[index] = false;
}

static void assert_agrees(const struct table *table) {
    uint32_t count = 0;
    for (uint32_t i = 1; i < ELEMENTS; i++) {
        uint32_t hash = table_hash(table, element_name(i));
        expect(table_find(table, element_name(i), hash) == (is_in[i] ? i : 0), "%u", i);
        count += is_in[i];
    }
    expect(table->count == count, "%u", table->count);
    memset(is_seen, 0, sizeof(is_seen));
    uint64_t cursor = 0;
    uint32_t walked = 0;
    for (uint32_t i = table_next(table, &cursor); i != 0; i = table_next(table, &cursor)) {
        expect(is_in[i] && !is_seen[i], "%u", i);
        is_seen[i] = true;
        walked++;
    }
    expect(walked == count, "%u of %u", walked, count);
    expect(table_next(table, &cursor) == 0, "the end stays the end");
}

Test(table, sizes) {
    cr_assert_eq(table_book_bytes(0), 8 * 4);
    cr_assert_eq(table_book_bytes(8), 8 * 4);
    cr_assert_eq(table_book_bytes(9), 16 * 4);
    cr_assert_eq(table_book_bytes(1 << 20), (1 << 20) * 4);
    cr_assert_eq(table_book_bytes(UINT32_MAX), ((uint64_t)1 << 31) * 4);
}

Test(table, empty) {
    struct table table;
    fixture_init(&table);
    assert_agrees(&table);
}

Test(table, grows_and_shrinks_one_bucket_at_a_time) {
    struct table table;
    fixture_init(&table);
    for (uint32_t i = 1; i < ELEMENTS; i++) {
        uint32_t before = table.bucket_count;
        insert(&table, i);
        expect(table.bucket_count - before <= 1, "%u", i);
        expect(table.bucket_count == (i < 8 ? 8 : i < BUCKETS ? i : BUCKETS), "%u", i);
        if (i < 70 || i % 500 == 0) {
            assert_agrees(&table);
        }
    }
    assert_agrees(&table);
    for (uint32_t i = 1; i < ELEMENTS; i++) {
        uint32_t before = table.bucket_count;
        removes(&table, i);
        expect(before - table.bucket_count <= 2, "%u", i);
        if (i > ELEMENTS - 70 || i % 500 == 0) {
            assert_agrees(&table);
        }
    }
    cr_assert_eq(table.bucket_count, 8, "as small as it began");
    cr_assert_eq(table.count, 0, "nothing is left");
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_eq(buckets[i], 0);
    }
}

Test(table, a_name_that_comes_and_goes_moves_nothing) {
    struct table table;
    fixture_init(&table);
    for (uint32_t i = 1; i <= 100; i++) {
        insert(&table, i);
    }
    for (uint32_t i = 0; i < 20; i++) {
        removes(&table, 50);
        cr_assert_eq(table.bucket_count, 100);
        insert(&table, 50);
        cr_assert_eq(table.bucket_count, 100);
    }
    assert_agrees(&table);
}

Test(table, random_operations_agree_with_the_model) {
    struct table table;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        fixture_init(&table);
        for (uint32_t step = 0; step < 20000; step++) {
            uint32_t bound = step / 5000 % 2 == 0 ? ELEMENTS - 1 : 40;
            uint32_t index = 1 + prng_below(&prng, bound);
            if (is_in[index]) {
                removes(&table, index);
            } else {
                insert(&table, index);
            }
            if (step % 2000 == 0) {
                assert_agrees(&table);
            }
        }
        assert_agrees(&table);
    }
}

// All names in one bucket, as an attacker without the key cannot have it: still right.
Test(table, equal_hashes_are_told_apart_by_key) {
    struct table table;
    fixture_init(&table);
    for (uint32_t i = 1; i <= 100; i++) {
        table_insert(&table, i, 7);
    }
    for (uint32_t i = 1; i <= 100; i++) {
        cr_assert_eq(table_find(&table, element_name(i), 7), i);
    }
    cr_assert_eq(table_find(&table, element_name(101), 7), 0);
    for (uint32_t i = 100; i >= 1; i--) {
        table_remove(&table, i);
        cr_assert_eq(table_find(&table, element_name(i), 7), 0);
        cr_assert_eq(table_find(&table, element_name(1), 7), i > 1 ? 1 : 0);
    }
    cr_assert_eq(table.count, 0);
}

Test(table, removing_what_is_absent_is_our_bug, .signal = SIGABRT) {
    struct table table;
    fixture_init(&table);
    insert(&table, 1);
    elements[2].link.hash = elements[1].link.hash;
    table_remove(&table, 2);
}

Test(table, inserting_none_is_our_bug, .signal = SIGABRT) {
    struct table table;
    fixture_init(&table);
    table_insert(&table, 0, 1);
}
