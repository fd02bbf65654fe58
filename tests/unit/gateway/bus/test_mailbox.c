#include "gateway/bus/mailbox.h"
#include "tests/unit/expect.h"

#include <signal.h>
#include <stdlib.h>

static struct mailbox *mailbox_open(void) {
    struct mailbox *mailbox = aligned_alloc(64, sizeof *mailbox);
    uint8_t *data = calloc(1, mailbox_bytes());
    cr_assert(mailbox != NULL && data != NULL);
    mailbox_init(mailbox, (struct memory){.data = data, .length = mailbox_bytes()});
    return mailbox;
}

static void mailbox_close(struct mailbox *mailbox) {
    cr_assert_not(mailbox_has_mail(mailbox)); // nothing is left
    free(mailbox->entries);
    free(mailbox);
}

// Bytes that say which mail they are of and where in it.
static uint8_t content(uint64_t number, uint32_t at) {
    return (uint8_t)(number * 131 + at * 7 + (at >> 8));
}

static bool put(struct mailbox *mailbox, uint64_t number, uint32_t first, uint32_t rest) {
    static uint8_t bytes[MAILBOX_PIECE_BYTES_MAX];
    for (uint32_t i = 0; i < first + rest; i++) {
        bytes[i] = content(number, i);
    }
    struct mail mail = {.kind = 5, .name_bytes = (uint8_t)first, .words = {number, ~number}};
    return mailbox_put(mailbox, &mail, span_make(bytes, first), span_make(bytes + first, rest));
}

static void take(struct mailbox *mailbox, uint64_t number, uint32_t length) {
    struct mail mail;
    struct span bytes;
    expect(mailbox_peek(mailbox, &mail, &bytes), "mail %lu is missing", (unsigned long)number);
    expect(mail.kind == 5 && mail.words[0] == number && mail.words[1] == ~number, "mail %lu",
           (unsigned long)mail.words[0]);
    expect(mail.bytes == length && bytes.length == length, "%u bytes", mail.bytes);
    for (uint32_t i = 0; i < length; i++) {
        expect(bytes.data[i] == content(number, i), "byte %u of mail %lu", i,
               (unsigned long)number);
    }
    mailbox_next(mailbox);
}

Test(mailbox, is_empty_at_first) {
    struct mailbox *mailbox = mailbox_open();
    struct mail mail;
    struct span bytes;
    cr_assert_not(mailbox_has_mail(mailbox));
    cr_assert_not(mailbox_peek(mailbox, &mail, &bytes));
    mailbox_close(mailbox);
}

Test(mailbox, gives_what_was_put_in_order_with_its_bytes) {
    struct mailbox *mailbox = mailbox_open();
    cr_assert(put(mailbox, 1, 0, 0));
    cr_assert(put(mailbox, 2, 7, 0));
    cr_assert(put(mailbox, 3, 0, 9));
    cr_assert(put(mailbox, 4, 255, MAILBOX_PIECE_BYTES_MAX - 255));
    take(mailbox, 1, 0);
    take(mailbox, 2, 7);
    take(mailbox, 3, 9);
    take(mailbox, 4, MAILBOX_PIECE_BYTES_MAX);
    mailbox_close(mailbox);
}

Test(mailbox, a_peek_takes_nothing) {
    struct mailbox *mailbox = mailbox_open();
    put(mailbox, 1, 0, 5);
    struct mail mail;
    struct span bytes;
    cr_assert(mailbox_peek(mailbox, &mail, &bytes));
    cr_assert(mailbox_peek(mailbox, &mail, &bytes));
    cr_assert(mailbox_has_mail(mailbox));
    take(mailbox, 1, 5);
    mailbox_close(mailbox);
}

Test(mailbox, entries_at_n_minus_1_n_and_n_plus_1) {
    struct mailbox *mailbox = mailbox_open();
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < MAILBOX_ENTRIES; i++) {
            expect(put(mailbox, i, 0, 0), "%lu", (unsigned long)i);
        }
        cr_assert_not(put(mailbox, 9999, 0, 0));
        take(mailbox, 0, 0);
        cr_assert(put(mailbox, MAILBOX_ENTRIES, 0, 0)); // one went, one comes
        cr_assert_not(put(mailbox, 9999, 0, 0));
        for (uint64_t i = 1; i <= MAILBOX_ENTRIES; i++) {
            take(mailbox, i, 0);
        }
    }
    mailbox_close(mailbox);
}

Test(mailbox, bytes_at_n_minus_1_n_and_n_plus_1) {
    enum { FULL = MAILBOX_BYTES / MAILBOX_PIECE_BYTES_MAX };
    for (int over = -1; over <= 1; over++) {
        struct mailbox *mailbox = mailbox_open();
        for (uint64_t i = 0; i < FULL - 1; i++) {
            cr_assert(put(mailbox, i, 0, MAILBOX_PIECE_BYTES_MAX));
        }
        cr_assert(put(mailbox, FULL - 1, 0, 100000));
        uint32_t left = (uint32_t)(MAILBOX_PIECE_BYTES_MAX - 100000 + over);
        cr_assert_eq(put(mailbox, FULL, 0, left), over <= 0);
        cr_assert(put(mailbox, FULL + 1, 0, 0)); // nothing always finds room
        for (uint64_t i = 0; i < FULL - 1; i++) {
            take(mailbox, i, MAILBOX_PIECE_BYTES_MAX);
        }
        take(mailbox, FULL - 1, 100000);
        if (over <= 0) {
            take(mailbox, FULL, left);
        }
        take(mailbox, FULL + 1, 0);
        mailbox_close(mailbox);
    }
}

Test(mailbox, a_piece_does_not_wrap_and_the_gap_counts) {
    struct mailbox *mailbox = mailbox_open();
    enum { PIECE = MAILBOX_PIECE_BYTES_MAX };
    for (uint64_t i = 0; i < 15; i++) {
        cr_assert(put(mailbox, i, 0, PIECE));
    }
    cr_assert(put(mailbox, 15, 0, PIECE - 1000)); // 1000 bytes are left at the end
    take(mailbox, 0, PIECE);
    cr_assert(put(mailbox, 16, 0, PIECE)); // from the start: the 1000 stay unused
    take(mailbox, 1, PIECE);
    cr_assert(put(mailbox, 17, 0, PIECE));
    cr_assert_not(put(mailbox, 18, 0, 1));
    for (uint64_t i = 2; i < 15; i++) {
        take(mailbox, i, PIECE);
    }
    take(mailbox, 15, PIECE - 1000);
    take(mailbox, 16, PIECE);
    take(mailbox, 17, PIECE);
    mailbox_close(mailbox);
}

// Whoever keeps up makes the sender use the first pages again and again, and only those.
Test(mailbox, a_quiet_pair_touches_little_memory) {
    struct mailbox *mailbox = mailbox_open();
    for (uint64_t number = 0; number < 3 * (MAILBOX_BYTES / 1000); number++) {
        cr_assert(put(mailbox, number, 10, 990));
        take(mailbox, number, 1000);
    }
    for (uint32_t at = (64 << 10) + 1000; at < MAILBOX_BYTES; at++) {
        expect(mailbox->bytes[at] == 0, "byte %u was used", at);
    }
    mailbox_close(mailbox);
}

// After it went on at the beginning it has all the room there is, also while nobody reads.
Test(mailbox, a_restarted_ring_is_an_empty_one) {
    struct mailbox *mailbox = mailbox_open();
    enum { PIECE = MAILBOX_PIECE_BYTES_MAX, COUNT = MAILBOX_BYTES / PIECE };
    cr_assert(put(mailbox, 0, 0, 1000));
    take(mailbox, 0, 1000);
    for (uint64_t number = 1; number <= COUNT; number++) {
        cr_assert(put(mailbox, number, 0, PIECE), "piece %lu", (unsigned long)number);
    }
    cr_assert_not(put(mailbox, 99, 0, 1));
    cr_assert(put(mailbox, 100, 0, 0)); // an entry without bytes finds room
    for (uint64_t number = 1; number <= COUNT; number++) {
        take(mailbox, number, PIECE);
    }
    take(mailbox, 100, 0);
    mailbox_close(mailbox);
}

Test(mailbox, a_piece_over_the_bound_is_our_mistake, .signal = SIGABRT) {
    struct mailbox *mailbox = mailbox_open();
    static uint8_t bytes[MAILBOX_PIECE_BYTES_MAX + 1];
    struct mail mail = {.kind = 1};
    mailbox_put(mailbox, &mail, span_empty(), span_make(bytes, sizeof bytes));
}

// Against a plain list: sizes of every kind, puts and takes in bursts, many times around both
// rings.
Test(mailbox, agrees_with_a_list) {
    static uint32_t lengths[MAILBOX_ENTRIES * 2];
    struct mailbox *mailbox = mailbox_open();
    uint64_t state = 12345;
    uint64_t head = 0;
    uint64_t tail = 0;
    uint64_t bytes = 0;
    uint64_t refused = 0;
    for (uint32_t step = 0; step < 6000; step++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint32_t choice = (uint32_t)(state >> 33);
        uint32_t length = choice % 7 == 0 ? choice % (MAILBOX_PIECE_BYTES_MAX + 1) : choice % 200;
        if (choice % 13 < 7 + step / 1000 % 2) {
            if (put(mailbox, head, 0, length)) {
                lengths[head++ % (MAILBOX_ENTRIES * 2)] = length;
                bytes += length;
            } else {
                refused++;
                // Never while it could fit with the largest gap that a wrap can leave.
                expect(head - tail == MAILBOX_ENTRIES ||
                           bytes + 2u * MAILBOX_PIECE_BYTES_MAX > MAILBOX_BYTES,
                       "refused at %lu bytes", (unsigned long)bytes);
            }
        } else if (head > tail) {
            length = lengths[tail % (MAILBOX_ENTRIES * 2)];
            take(mailbox, tail++, length);
            bytes -= length;
        }
    }
    cr_assert_gt(refused, 0);
    while (head > tail) {
        take(mailbox, tail, lengths[tail % (MAILBOX_ENTRIES * 2)]);
        tail++;
    }
    mailbox_close(mailbox);
}
