// One direction between two threads: a ring of 64-byte entries and a ring of bytes, both bounded.
// The sender copies in, the receiver copies out and moves the tail: no pointer crosses. One thread
// sends, one receives; memory order in the comments. Stands in this room and not in worker because
// the bus writes into it.
#pragma once
#include "core/base/span.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    MAILBOX_ENTRIES = 1024,
    MAILBOX_BYTES = 4 << 20,
    MAILBOX_PIECE_BYTES_MAX = 256 << 10, // longer bodies go in pieces
};

struct mail {
    uint8_t kind;       // enum mail_kind (bus.h)
    uint8_t opcode;     // of a message
    uint8_t name_bytes; // of the name in front of the body's first piece
    uint8_t is_more;    // a further piece follows
    uint32_t bytes;     // of this piece: name and body
    uint64_t words[7];
};
_Static_assert(sizeof(struct mail) == 64, "one cache line per entry");

struct mailbox {
    struct mail *entries; // frozen
    uint8_t *bytes;       // frozen
    struct {              // sender
        alignas(64) uint32_t head;
        uint32_t tail_seen;
        uint64_t byte_head;
        uint64_t byte_tail_seen;
        uint64_t byte_floor; // every byte before it was read
    } owner;
    struct {
        alignas(64) _Atomic uint32_t head; // written by the sender (release)
        alignas(64) _Atomic uint32_t tail; // written by the receiver (release)
        _Atomic uint64_t byte_tail;        // same
    } shared;
    struct { // receiver
        alignas(64) uint32_t tail;
        uint32_t head_seen;
        uint64_t byte_tail;
    } reader;
};

uint64_t mailbox_bytes(void);
// `memory`: mailbox_bytes(), zero, pages touched as they are used.
void mailbox_init(struct mailbox *mailbox, struct memory memory);

// Sender: copies one entry with `first` and then `rest` behind it (together at most
// MAILBOX_PIECE_BYTES_MAX). False: no room now; nothing was written.
bool mailbox_put(struct mailbox *mailbox, const struct mail *mail, struct span first,
                 struct span rest);
// Receiver: the oldest entry and its bytes, lent until mailbox_next. False: empty.
bool mailbox_peek(struct mailbox *mailbox, struct mail *mail, struct span *bytes);
void mailbox_next(struct mailbox *mailbox);
// Receiver: whether something waits, looking at the sender's side afresh.
bool mailbox_has_mail(struct mailbox *mailbox);
