// The sender publishes with a release store of head after the bytes are written; the receiver's
// acquire load of head sees them. The tail goes the other way alike. Each side caches the other's
// last seen value, so that an uncontended put or peek touches no foreign cache line.
//
// A sender that finds the byte ring empty goes on at its beginning: quiet pairs live in the first
// RESTART_BYTES, which stay in the cache, instead of touching all 4 MiB in turn.
#include "gateway/bus/mailbox.h"

#include "core/base/check.h"

enum { RESTART_BYTES = 64 << 10 };
static const uint32_t restart_bit = 1u << 31; // in an entry's `bytes`: it lies at the beginning
_Static_assert((MAILBOX_BYTES & (MAILBOX_BYTES - 1)) == 0, "positions are rounded by a mask");

uint64_t mailbox_bytes(void) {
    return (uint64_t)MAILBOX_ENTRIES * sizeof(struct mail) + MAILBOX_BYTES;
}

void mailbox_init(struct mailbox *mailbox, struct memory memory) {
    check(memory.length >= mailbox_bytes());
    memset(mailbox, 0, sizeof *mailbox);
    mailbox->entries = (struct mail *)(void *)memory.data;
    mailbox->bytes = memory.data + MAILBOX_ENTRIES * sizeof(struct mail);
}

static uint32_t padding(uint64_t byte_head, uint32_t length) {
    uint32_t at = (uint32_t)(byte_head % MAILBOX_BYTES);
    return at + length > MAILBOX_BYTES ? MAILBOX_BYTES - at
                                       : 0; // a piece is contiguous: it does not wrap
}

// The next position at the beginning of the ring.
static uint64_t beginning(uint64_t position) {
    return (position + MAILBOX_BYTES - 1) & ~(uint64_t)(MAILBOX_BYTES - 1);
}

// Looks at the receiver's cache line once for every RESTART_BYTES sent. True: it has read
// everything, and the next piece goes to the beginning.
static bool restart(struct mailbox *mailbox, uint32_t length) {
    uint64_t at = mailbox->owner.byte_head;
    if (at / RESTART_BYTES == (at + length) / RESTART_BYTES || at % MAILBOX_BYTES == 0) {
        return false;
    }
    // acquire: as in mailbox_put
    if (atomic_load_explicit(&mailbox->shared.byte_tail, memory_order_acquire) != at) {
        return false;
    }
    mailbox->owner.byte_head = beginning(at);
    mailbox->owner.byte_floor = mailbox->owner.byte_head;
    mailbox->owner.byte_tail_seen = mailbox->owner.byte_head;
    return true;
}

// Where the bytes of an entry begin.
static uint64_t position_of(const struct mailbox *mailbox, const struct mail *entry) {
    uint64_t at = mailbox->reader.byte_tail;
    return (entry->bytes & restart_bit) != 0 ? beginning(at) : at + padding(at, entry->bytes);
}

static bool has_room(struct mailbox *mailbox, uint32_t length) {
    uint32_t entries = mailbox->owner.head - mailbox->owner.tail_seen;
    uint64_t bytes = mailbox->owner.byte_head - mailbox->owner.byte_tail_seen;
    return entries < MAILBOX_ENTRIES &&
           bytes + length + padding(mailbox->owner.byte_head, length) <= MAILBOX_BYTES;
}

bool mailbox_put(struct mailbox *mailbox, const struct mail *mail, struct span first,
                 struct span rest) {
    uint32_t length = first.length + rest.length;
    check(length <= MAILBOX_PIECE_BYTES_MAX);
    if (!has_room(mailbox, length)) {
        // acquire: what the receiver has read it will not read again, so it may be overwritten
        uint64_t byte_tail = atomic_load_explicit(&mailbox->shared.byte_tail, memory_order_acquire);
        mailbox->owner.byte_tail_seen =
            byte_tail > mailbox->owner.byte_floor ? byte_tail : mailbox->owner.byte_floor;
        mailbox->owner.tail_seen =
            atomic_load_explicit(&mailbox->shared.tail, memory_order_acquire);
        if (!has_room(mailbox, length)) {
            return false;
        }
    }
    bool is_restart = restart(mailbox, length);
    mailbox->owner.byte_head += padding(mailbox->owner.byte_head, length);
    uint8_t *target = mailbox->bytes + mailbox->owner.byte_head % MAILBOX_BYTES;
    if (first.length > 0) {
        memcpy(target, first.data, first.length);
    }
    if (rest.length > 0) {
        memcpy(target + first.length, rest.data, rest.length);
    }
    struct mail *entry = &mailbox->entries[mailbox->owner.head % MAILBOX_ENTRIES];
    *entry = *mail;
    entry->bytes = is_restart ? length | restart_bit : length;
    mailbox->owner.byte_head += length;
    mailbox->owner.head++;
    atomic_store_explicit(&mailbox->shared.head, mailbox->owner.head, memory_order_release);
    return true;
}

bool mailbox_has_mail(struct mailbox *mailbox) {
    if (mailbox->reader.tail == mailbox->reader.head_seen) {
        mailbox->reader.head_seen =
            atomic_load_explicit(&mailbox->shared.head, memory_order_acquire);
    }
    return mailbox->reader.tail != mailbox->reader.head_seen;
}

bool mailbox_peek(struct mailbox *mailbox, struct mail *mail, struct span *bytes) {
    if (!mailbox_has_mail(mailbox)) {
        return false;
    }
    *mail = mailbox->entries[mailbox->reader.tail % MAILBOX_ENTRIES];
    uint64_t at = position_of(mailbox, mail);
    mail->bytes &= ~restart_bit;
    *bytes = span_make(mailbox->bytes + at % MAILBOX_BYTES, mail->bytes);
    return true;
}

void mailbox_next(struct mailbox *mailbox) {
    const struct mail *entry = &mailbox->entries[mailbox->reader.tail % MAILBOX_ENTRIES];
    mailbox->reader.byte_tail = position_of(mailbox, entry) + (entry->bytes & ~restart_bit);
    mailbox->reader.tail++;
    atomic_store_explicit(&mailbox->shared.byte_tail, mailbox->reader.byte_tail,
                          memory_order_release);
    atomic_store_explicit(&mailbox->shared.tail, mailbox->reader.tail, memory_order_release);
}
