// Exact counts across threads: one atomic for the total, a striped table of addresses, one atomic
// window for the handshake rate.
#include "gateway/auth/admission.h"

#include "core/base/check.h"
#include "core/base/digest.h"
#include "core/base/limits.h"
#include "core/base/pause.h"

#include <stdalign.h>
#include <stdatomic.h>

enum {
    TOKEN_WINDOW_MS = 100, // the rate is granted in tenths of a second
    TOKEN_SLICE_MAX = 64,  // DESIGN.md section 3
};

struct address_count {
    uint64_t key; // SipHash of the address: 64 bits do not collide by chance, and the hash's key is
                  // secret
    uint32_t count; // 0: free
    uint32_t spare;
};

struct stripe {
    alignas(64) atomic_flag lock;
};

struct admission {
    struct { // written by every thread, at accept and close only
        alignas(64) _Atomic uint32_t open;
        alignas(64) _Atomic uint64_t window; // number of the window << 32 | tokens taken in it
        alignas(64) _Atomic uint32_t connections_max;
        _Atomic uint32_t per_address_max;
        _Atomic uint32_t handshakes_per_second;
        _Atomic uint32_t handshakes_per_address;
        _Atomic uint64_t buckets[ADDRESS_BUCKETS]; // mark of the address << 48 | microsecond
                                                   // when it will be empty
        struct stripe stripes[ADMISSION_STRIPES];
    } shared;
    struct {
        uint64_t key[2];
        uint32_t stripe_entries;
    } frozen;
    struct address_count
        entries[]; // ADMISSION_STRIPES x stripe_entries, each under its stripe's lock
};

// A connection has two entries at most: one of the process and one of its route.
static uint32_t stripe_entries(uint32_t connections) {
    uint32_t share = connections / ADMISSION_STRIPES * 2;
    return share + share / 4 + ADMISSION_SPARE;
}

uint64_t admission_bytes(uint32_t connections) {
    return sizeof(struct admission) +
           (uint64_t)ADMISSION_STRIPES * stripe_entries(connections) * sizeof(struct address_count);
}

struct admission *admission_init(struct memory memory, const struct admission_limits *limits,
                                 const uint64_t key[2]) {
    check(memory.length >= admission_bytes(limits->connections));
    struct admission *admission = (struct admission *)(void *)memory.data;
    admission->frozen.stripe_entries = stripe_entries(limits->connections);
    admission->frozen.key[0] = key[0];
    admission->frozen.key[1] = key[1];
    admission_limits_set(admission, limits);
    return admission;
}

void admission_limits_set(struct admission *admission, const struct admission_limits *limits) {
    atomic_store_explicit(&admission->shared.connections_max, limits->connections,
                          memory_order_relaxed);
    atomic_store_explicit(&admission->shared.per_address_max, limits->per_address,
                          memory_order_relaxed);
    atomic_store_explicit(&admission->shared.handshakes_per_second, limits->handshakes_per_second,
                          memory_order_relaxed);
    atomic_store_explicit(&admission->shared.handshakes_per_address, limits->handshakes_per_address,
                          memory_order_relaxed);
}

uint32_t admission_open_count(const struct admission *admission) {
    return atomic_load_explicit(&admission->shared.open, memory_order_relaxed);
}

static bool count_enter(_Atomic uint32_t *count, uint32_t max) {
    uint32_t now = atomic_load_explicit(count, memory_order_relaxed);
    do {
        if (now >= max) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(count, &now, now + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static atomic_flag *stripe_lock(struct admission *admission, uint64_t key) {
    atomic_flag *lock = &admission->shared.stripes[key % ADMISSION_STRIPES].lock;
    // Some tens of instructions under the lock, once per accept and close: spinning is shorter than
    // any wait.
    while (atomic_flag_test_and_set_explicit(lock, memory_order_acquire)) {
        cpu_pause();
    }
    return lock;
}

// Linear probing inside the key's stripe: its entry, or the first free one, or NULL when the stripe
// is full.
static struct address_count *entry_find(struct admission *admission, uint64_t key) {
    uint32_t size = admission->frozen.stripe_entries;
    struct address_count *entries = &admission->entries[(key % ADMISSION_STRIPES) * size];
    uint32_t at = (uint32_t)((key / ADMISSION_STRIPES) % size);
    for (uint32_t probe = 0; probe < size; probe++) {
        struct address_count *entry = &entries[(at + probe) % size];
        if (entry->count == 0 || entry->key == key) {
            return entry;
        }
    }
    return NULL;
}

// Closes the gap that a removed entry leaves, so that probing never stops too early (Knuth 6.4,
// algorithm R).
static void entry_remove(struct admission *admission, struct address_count *entry, uint64_t key) {
    uint32_t size = admission->frozen.stripe_entries;
    struct address_count *entries = &admission->entries[(key % ADMISSION_STRIPES) * size];
    uint32_t gap = (uint32_t)(entry - entries);
    entries[gap].count = 0;
    for (uint32_t step = 1; step < size; step++) {
        uint32_t at = (gap + step) % size;
        if (entries[at].count == 0) {
            return;
        }
        uint32_t wanted = (uint32_t)((entries[at].key / ADMISSION_STRIPES) % size);
        bool stays = (at + size - wanted) % size < (at + size - gap) % size;
        if (!stays) {
            entries[gap] = entries[at];
            entries[at].count = 0;
            gap = at;
            step = 0;
        }
    }
}

// Salt 0 is the whole process, others are routes. Of IPv6 only the network counts: a site has a /64
// at least (RFC 6177 section 2), and whoever has one would have 2^64 addresses to count.
static uint64_t address_key(const struct admission *admission, const struct address *address,
                            uint64_t salt) {
    enum { NETWORK_BYTES = 8 };
    uint64_t key[2] = {admission->frozen.key[0], admission->frozen.key[1] ^ salt};
    return siphash(
        key, span_make(address->ip, address_is_v4(address) ? sizeof address->ip : NETWORK_BYTES));
}

enum admission_verdict admission_address_enter(struct admission *admission,
                                               const struct address *address, uint64_t salt,
                                               uint32_t limit) {
    uint64_t key = address_key(admission, address, salt);
    atomic_flag *lock = stripe_lock(admission, key);
    struct address_count *entry = entry_find(admission, key);
    enum admission_verdict verdict = ADMISSION_TABLE_FULL;
    if (entry != NULL) {
        verdict = entry->count < limit ? ADMISSION_GRANTED : ADMISSION_ADDRESS_FULL;
    }
    if (verdict == ADMISSION_GRANTED) {
        entry->key = key;
        entry->count++;
    }
    atomic_flag_clear_explicit(lock, memory_order_release);
    return verdict;
}

void admission_address_leave(struct admission *admission, const struct address *address,
                             uint64_t salt) {
    uint64_t key = address_key(admission, address, salt);
    atomic_flag *lock = stripe_lock(admission, key);
    struct address_count *entry = entry_find(admission, key);
    if (entry != NULL && entry->count > 0) {
        entry->count--;
        if (entry->count == 0) {
            entry_remove(admission, entry, key);
        }
    }
    atomic_flag_clear_explicit(lock, memory_order_release);
}

// Addresses are counted also while the limit is off, so that a reload that sets it finds true
// counts.
enum admission_verdict admission_enter(struct admission *admission, const struct address *address,
                                       bool is_exempt) {
    if (!count_enter(
            &admission->shared.open,
            atomic_load_explicit(&admission->shared.connections_max, memory_order_relaxed))) {
        return ADMISSION_FULL;
    }
    uint32_t max = atomic_load_explicit(&admission->shared.per_address_max, memory_order_relaxed);
    bool is_counted = !is_exempt && address->kind == ADDRESS_IP;
    enum admission_verdict verdict = ADMISSION_GRANTED;
    if (is_counted) {
        verdict = admission_address_enter(admission, address, 0, max == 0 ? UINT32_MAX : max);
    }
    if (verdict != ADMISSION_GRANTED) {
        atomic_fetch_sub_explicit(&admission->shared.open, 1, memory_order_relaxed);
    }
    return verdict;
}

enum admission_verdict admission_adopt(struct admission *admission, const struct address *address) {
    uint32_t max = atomic_load_explicit(&admission->shared.per_address_max, memory_order_relaxed);
    return admission_address_enter(admission, address, 0, max == 0 ? UINT32_MAX : max);
}

void admission_leave(struct admission *admission, const struct address *address, bool is_exempt) {
    uint32_t before = atomic_fetch_sub_explicit(&admission->shared.open, 1, memory_order_relaxed);
    check(before > 0);
    if (!is_exempt && address->kind == ADDRESS_IP) {
        admission_address_leave(admission, address, 0);
    }
}

bool admission_route_enter(_Atomic uint32_t *open, uint32_t limit) {
    return count_enter(open, limit == 0 ? UINT32_MAX : limit);
}

void admission_route_leave(_Atomic uint32_t *open) {
    uint32_t before = atomic_fetch_sub_explicit(open, 1, memory_order_relaxed);
    check(before > 0);
}

// What the rate grants in one window: the parts of ten windows come to exactly a second's.
static uint32_t window_share(uint32_t rate, uint32_t window) {
    enum { WINDOWS = 1000 / TOKEN_WINDOW_MS };
    uint64_t part = window % WINDOWS;
    return (uint32_t)((part + 1) * rate / WINDOWS - part * rate / WINDOWS);
}

bool admission_token_take(struct admission *admission, struct admission_tokens *tokens,
                          uint64_t now_ms) {
    uint32_t rate =
        atomic_load_explicit(&admission->shared.handshakes_per_second, memory_order_relaxed);
    if (rate == 0) {
        return true;
    }
    uint32_t window = (uint32_t)(now_ms / TOKEN_WINDOW_MS);
    if (tokens->window != window) { // what is left of an older window is worth nothing
        *tokens = (struct admission_tokens){.window = window};
    }
    if (tokens->left > 0) {
        tokens->left--;
        return true;
    }
    uint64_t now = atomic_load_explicit(&admission->shared.window, memory_order_relaxed);
    uint64_t next;
    uint32_t granted;
    do {
        // Another worker may be a turn ahead: then its window counts, so that none is granted
        // twice.
        bool is_ahead = (int32_t)((uint32_t)(now >> 32) - window) > 0;
        uint32_t counted = is_ahead ? (uint32_t)(now >> 32) : window;
        uint32_t share = window_share(rate, counted);
        uint32_t slice = share / 8 < 1 ? 1 : share / 8;
        slice = slice > TOKEN_SLICE_MAX ? TOKEN_SLICE_MAX : slice;
        uint32_t taken = (uint32_t)(now >> 32) == counted ? (uint32_t)now : 0;
        if (taken >= share) {
            return false;
        }
        granted = share - taken < slice ? share - taken : slice;
        next = (uint64_t)counted << 32 | (taken + granted);
    } while (!atomic_compare_exchange_weak_explicit(&admission->shared.window, &now, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    tokens->left = granted - 1;
    return true;
}

// A bucket is the time at which it will be empty (the generic cell rate algorithm, ITU-T I.371): a
// handshake pushes it on by its share of a second, and may not push it beyond a second from now.
bool admission_address_token_take(struct admission *admission, const struct address *address,
                                  uint64_t now_us) {
    enum { TIME_BITS = 48, SECOND_US = 1000000 };
    uint32_t rate =
        atomic_load_explicit(&admission->shared.handshakes_per_address, memory_order_relaxed);
    if (rate == 0 || address->kind != ADDRESS_IP) {
        return true;
    }
    uint64_t key = address_key(admission, address, UINT64_MAX);
    uint64_t mark = key >> TIME_BITS << TIME_BITS;
    _Atomic uint64_t *bucket = &admission->shared.buckets[key % ADDRESS_BUCKETS];
    uint64_t now = atomic_load_explicit(bucket, memory_order_relaxed);
    uint64_t next;
    do {
        uint64_t empty_us = now & ((UINT64_C(1) << TIME_BITS) - 1);
        bool is_its = (now ^ mark) >> TIME_BITS == 0;
        empty_us = is_its && empty_us > now_us ? empty_us : now_us;
        empty_us += SECOND_US / rate;
        if (empty_us > now_us + SECOND_US) {
            return false;
        }
        next = mark | empty_us;
    } while (!atomic_compare_exchange_weak_explicit(bucket, &now, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}
