// Ticket keys: the same for all who began alike, gone after two epochs, and no
// ticket altered.
#include "gateway/tls/tickets.h"

#include <criterion/criterion.h>

static const uint8_t seed[TLS_TICKET_SEED_BYTES] = {9, 8, 7};
static const uint8_t nonce[12] = {1};
static struct tls_tickets one;
static struct tls_tickets two;
static uint8_t name[TLS_TICKET_NAME_BYTES];
static uint8_t tag[16];
static uint8_t ticket[40];

static void seal(void) {
    memset(ticket, 0x77, sizeof(ticket));
    tls_ticket_seal(&one, name, nonce, (struct span_mut){.data = ticket, .length = 40}, tag);
}

static enum tls_ticket_opened open_by(const struct tls_tickets *tickets) {
    uint8_t copy[40];
    memcpy(copy, ticket, sizeof(copy));
    return tls_ticket_open(tickets, name, nonce, (struct span_mut){.data = copy, .length = 40},
                           tag);
}

Test(tickets, another_worker_opens_them) {
    tls_tickets_init(&one, seed, 1000);
    tls_tickets_init(&two, seed, 1000);
    for (uint64_t epoch = 0; epoch < 20; epoch++) {
        // At either end of the epoch: both have the same key.
        uint64_t begin = 1000 + epoch * TLS_TICKET_EPOCH_MS;
        tls_tickets_advance(&one, begin);
        tls_tickets_advance(&two, begin + TLS_TICKET_EPOCH_MS - 1);
        seal();
        cr_assert_eq(open_by(&two), TLS_TICKET_OPENED);
        uint8_t plain[40];
        memset(plain, 0x77, sizeof(plain));
        cr_assert_arr_neq(ticket, plain, sizeof(plain));
    }
}

Test(tickets, one_epoch_later_they_are_due_two_later_strange) {
    tls_tickets_init(&one, seed, 0);
    tls_tickets_init(&two, seed, 0);
    cr_assert_eq(open_by(&one), TLS_TICKET_STRANGE);
    seal();
    tls_tickets_advance(&two, TLS_TICKET_EPOCH_MS - 1);
    cr_assert_eq(open_by(&two), TLS_TICKET_OPENED);
    tls_tickets_advance(&two, TLS_TICKET_EPOCH_MS);
    cr_assert_eq(open_by(&two), TLS_TICKET_FORMER);
    tls_tickets_advance(&two, 2 * (uint64_t)TLS_TICKET_EPOCH_MS - 1);
    cr_assert_eq(open_by(&two), TLS_TICKET_FORMER);
    tls_tickets_advance(&two, 2 * (uint64_t)TLS_TICKET_EPOCH_MS);
    cr_assert_eq(open_by(&two), TLS_TICKET_STRANGE);
}

// Several epochs at once are the same as one by one, and time that goes back
// changes nothing.
Test(tickets, steps_add_up) {
    tls_tickets_init(&one, seed, 5);
    tls_tickets_init(&two, seed, 5);
    for (uint64_t i = 1; i <= 7; i++) {
        tls_tickets_advance(&one, 5 + i * TLS_TICKET_EPOCH_MS);
    }
    tls_tickets_advance(&two, 5 + 7 * (uint64_t)TLS_TICKET_EPOCH_MS);
    cr_assert_arr_eq(&one.keys, &two.keys, sizeof(one.keys));
    tls_tickets_advance(&two, 4);
    cr_assert_arr_eq(&one.keys, &two.keys, sizeof(one.keys));
}

Test(tickets, altered_ones_are_strange) {
    tls_tickets_init(&one, seed, 0);
    seal();
    for (uint32_t i = 0; i < sizeof(ticket) * 8; i++) {
        ticket[i / 8] ^= (uint8_t)(1u << (i % 8));
        cr_assert_eq(open_by(&one), TLS_TICKET_STRANGE);
        ticket[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    for (uint32_t i = 0; i < sizeof(tag); i++) {
        tag[i] ^= 1;
        cr_assert_eq(open_by(&one), TLS_TICKET_STRANGE);
        tag[i] ^= 1;
    }
    for (uint32_t i = 0; i < sizeof(name); i++) {
        name[i] ^= 1;
        cr_assert_eq(open_by(&one), TLS_TICKET_STRANGE);
        name[i] ^= 1;
    }
    cr_assert_eq(open_by(&one), TLS_TICKET_OPENED);
}

Test(tickets, the_end_wipes_them) {
    tls_tickets_init(&one, seed, 0);
    tls_tickets_fini(&one);
    for (uint32_t i = 0; i < sizeof(one); i++) {
        cr_assert_eq(((const uint8_t *)&one)[i], 0);
    }
}
