#include "core/base/digest.h"
#include "core/base/limits.h"
#include "gateway/auth/admission.h"
#include "tests/unit/expect.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

static struct admission *admission_open(struct admission_limits limits) {
    static const uint64_t key[2] = {3, 4};
    uint64_t length = admission_bytes(limits.connections);
    uint8_t *data = aligned_alloc(64, (length + 63) / 64 * 64);
    cr_assert_not_null(data);
    memset(data, 0, length);
    return admission_init((struct memory){.data = data, .length = length}, &limits, key);
}

static void admission_close(struct admission *admission) {
    cr_assert_eq(admission_open_count(admission), 0); // nothing is left
    free(admission);
}

static struct address address_of(uint32_t number) {
    struct address address = {.kind = ADDRESS_IP, .port = (uint16_t)number};
    address.ip[10] = 0xff;
    address.ip[11] = 0xff;
    for (uint32_t i = 0; i < 4; i++) {
        address.ip[12 + i] = (uint8_t)(number >> (24 - 8 * i));
    }
    return address;
}

Test(admission, connections_at_n_minus_1_n_and_n_plus_1) {
    struct admission *admission = admission_open((struct admission_limits){.connections = 3});
    struct address address = address_of(1);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(admission_open_count(admission), i);
        cr_assert_eq(admission_enter(admission, &address, false), ADMISSION_GRANTED);
    }
    cr_assert_eq(admission_enter(admission, &address, false), ADMISSION_FULL);
    cr_assert_eq(admission_enter(admission, &address, true), ADMISSION_FULL); // nobody is exempt
    cr_assert_eq(admission_open_count(admission), 3);
    admission_leave(admission, &address, false);
    cr_assert_eq(admission_enter(admission, &address, false), ADMISSION_GRANTED);
    for (uint32_t i = 0; i < 3; i++) {
        admission_leave(admission, &address, false);
    }
    admission_close(admission);
}

Test(admission, per_address_at_n_minus_1_n_and_n_plus_1) {
    struct admission *admission =
        admission_open((struct admission_limits){.connections = 100, .per_address = 2});
    struct address first = address_of(1);
    struct address second = address_of(2);
    cr_assert_eq(admission_enter(admission, &first, false), ADMISSION_GRANTED);
    first.port = 999; // another port is the same address
    cr_assert_eq(admission_enter(admission, &first, false), ADMISSION_GRANTED);
    cr_assert_eq(admission_enter(admission, &first, false), ADMISSION_ADDRESS_FULL);
    cr_assert_eq(admission_open_count(admission), 2); // the refused one is not counted
    cr_assert_eq(admission_enter(admission, &second, false), ADMISSION_GRANTED);
    admission_leave(admission, &first, false);
    cr_assert_eq(admission_enter(admission, &first, false), ADMISSION_GRANTED);
    cr_assert_eq(admission_enter(admission, &first, false), ADMISSION_ADDRESS_FULL);
    admission_leave(admission, &first, false);
    admission_leave(admission, &first, false);
    admission_leave(admission, &second, false);
    admission_close(admission);
}

Test(admission, of_ipv6_the_64_bits_of_a_site_are_one_address) {
    struct admission *admission = admission_open((struct admission_limits){
        .connections = 100, .per_address = 2, .handshakes_per_address = 2});
    struct address addresses[4];
    static const char *const texts[] = {"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff",
                                        "2001:db8:0:1::3", "2001:db8:0:2::1"};
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert(address_parse_ip(span_text(texts[i]), &addresses[i]));
    }
    cr_assert_eq(admission_enter(admission, &addresses[0], false), ADMISSION_GRANTED);
    cr_assert_eq(admission_enter(admission, &addresses[1], false), ADMISSION_GRANTED);
    cr_assert_eq(admission_enter(admission, &addresses[2], false), ADMISSION_ADDRESS_FULL);
    cr_assert_eq(admission_enter(admission, &addresses[3], false), ADMISSION_GRANTED);
    cr_assert(admission_address_token_take(admission, &addresses[0], 1000000));
    cr_assert(admission_address_token_take(admission, &addresses[1], 1000000));
    cr_assert_not(admission_address_token_take(admission, &addresses[2], 1000000));
    cr_assert(admission_address_token_take(admission, &addresses[3], 1000000));
    admission_leave(admission, &addresses[1], false);
    cr_assert_eq(admission_enter(admission, &addresses[2], false), ADMISSION_GRANTED);
    admission_leave(admission, &addresses[0], false);
    admission_leave(admission, &addresses[2], false);
    admission_leave(admission, &addresses[3], false);
    admission_close(admission);
}

Test(admission, trusted_addresses_and_unix_sockets_are_not_counted) {
    struct admission *admission =
        admission_open((struct admission_limits){.connections = 100, .per_address = 1});
    struct address trusted = address_of(1);
    struct address unix_socket = {.kind = ADDRESS_UNIX};
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(admission_enter(admission, &trusted, true), ADMISSION_GRANTED);
        cr_assert_eq(admission_enter(admission, &unix_socket, false), ADMISSION_GRANTED);
    }
    for (uint32_t i = 0; i < 5; i++) {
        admission_leave(admission, &trusted, true);
        admission_leave(admission, &unix_socket, false);
    }
    admission_close(admission);
}

Test(admission, addresses_are_counted_also_while_the_limit_is_off) {
    struct admission *admission = admission_open((struct admission_limits){.connections = 100});
    struct address address = address_of(1);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(admission_enter(admission, &address, false), ADMISSION_GRANTED);
    }
    struct admission_limits limits = {.connections = 100, .per_address = 5};
    admission_limits_set(admission, &limits); // a reload
    cr_assert_eq(admission_enter(admission, &address, false), ADMISSION_ADDRESS_FULL);
    limits.per_address = 6;
    admission_limits_set(admission, &limits);
    cr_assert_eq(admission_enter(admission, &address, false), ADMISSION_GRANTED);
    limits.per_address = 2; // below what is open: nobody new
    admission_limits_set(admission, &limits);
    cr_assert_eq(admission_enter(admission, &address, false), ADMISSION_ADDRESS_FULL);
    for (uint32_t i = 0; i < 6; i++) {
        admission_leave(admission, &address, false);
    }
    admission_close(admission);
}

// Whether an address of the route `salt` falls into the first stripe.
static bool is_first_stripe(const struct address *address, uint64_t salt) {
    const uint64_t key[2] = {3, 4 ^ salt};
    return siphash(key, span_make(address->ip, sizeof address->ip)) % ADMISSION_STRIPES == 0;
}

// A table for one connection has the spare alone in each stripe.
Test(admission, a_stripe_at_n_minus_1_n_and_n_plus_1) {
    struct admission *admission = admission_open((struct admission_limits){.connections = 1});
    struct address stripe[ADMISSION_SPARE + 1];
    uint32_t count = 0;
    uint32_t other = 0;
    for (uint32_t number = 1; count <= ADMISSION_SPARE; number++) {
        struct address address = address_of(number);
        if (is_first_stripe(&address, 1)) {
            stripe[count++] = address;
        } else {
            other = number;
        }
    }
    for (uint32_t i = 0; i < ADMISSION_SPARE; i++) { // up to n
        cr_assert_eq(admission_address_enter(admission, &stripe[i], 1, 2), ADMISSION_GRANTED);
    }
    struct address *over = &stripe[ADMISSION_SPARE];
    cr_assert_eq(admission_address_enter(admission, over, 1, 2), ADMISSION_TABLE_FULL);
    admission_address_leave(admission, over, 1); // takes nothing from the others
    // Who is counted already stays so, and other stripes have room.
    cr_assert_eq(admission_address_enter(admission, &stripe[0], 1, 2), ADMISSION_GRANTED);
    cr_assert_eq(admission_address_enter(admission, &stripe[0], 1, 2), ADMISSION_ADDRESS_FULL);
    struct address elsewhere = address_of(other);
    cr_assert_eq(admission_address_enter(admission, &elsewhere, 1, 2), ADMISSION_GRANTED);
    admission_address_leave(admission, &stripe[7], 1); // n - 1
    cr_assert_eq(admission_address_enter(admission, over, 1, 2), ADMISSION_GRANTED);
    admission_close(admission);
}

Test(admission, a_full_stripe_refuses_the_connection_and_does_not_count_it) {
    struct admission *admission = admission_open((struct admission_limits){.connections = 1});
    struct admission_limits more = {.connections = 1000000};
    admission_limits_set(admission, &more); // more than the table was made for
    enum admission_verdict verdict = ADMISSION_GRANTED;
    uint32_t number = 0;
    while (verdict == ADMISSION_GRANTED) {
        struct address address = address_of(number++);
        verdict = admission_enter(admission, &address, false);
    }
    cr_assert_eq(verdict, ADMISSION_TABLE_FULL);
    cr_assert_eq(admission_open_count(admission), number - 1);
    for (uint32_t i = 0; i + 1 < number; i++) {
        struct address address = address_of(i);
        admission_leave(admission, &address, false);
    }
    admission_close(admission);
}

// All connections from addresses of their own, each also counted by its route.
Test(admission, the_table_takes_what_it_was_made_for) {
    enum { CONNECTIONS = 100000 };
    struct admission *admission =
        admission_open((struct admission_limits){.connections = CONNECTIONS});
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        struct address address = address_of(i);
        expect(admission_enter(admission, &address, false) == ADMISSION_GRANTED, "%u", i);
        expect(admission_address_enter(admission, &address, 1, 1) == ADMISSION_GRANTED, "%u", i);
    }
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        struct address address = address_of(i);
        admission_leave(admission, &address, false);
    }
    admission_close(admission);
}

Test(admission, routes_count_for_themselves) {
    struct admission *admission = admission_open((struct admission_limits){.connections = 100});
    _Atomic uint32_t open = 0;
    cr_assert(admission_route_enter(&open, 2));
    cr_assert(admission_route_enter(&open, 2));
    cr_assert_not(admission_route_enter(&open, 2));
    cr_assert(admission_route_enter(&open, 0)); // 0: no bound
    for (uint32_t i = 0; i < 3; i++) {
        admission_route_leave(&open);
    }
    cr_assert_eq(open, 0);
    struct address address = address_of(1);
    cr_assert_eq(admission_address_enter(admission, &address, 1, 1), ADMISSION_GRANTED);
    cr_assert_eq(admission_address_enter(admission, &address, 1, 1), ADMISSION_ADDRESS_FULL);
    cr_assert_eq(admission_address_enter(admission, &address, 2, 1),
                 ADMISSION_GRANTED); // another route
    cr_assert_eq(admission_enter(admission, &address, false), ADMISSION_GRANTED);
    admission_leave(admission, &address, false);
    cr_assert_eq(admission_address_enter(admission, &address, 1, 1), ADMISSION_ADDRESS_FULL);
    admission_address_leave(admission, &address, 1);
    cr_assert_eq(admission_address_enter(admission, &address, 1, 1), ADMISSION_GRANTED);
    admission_address_leave(admission, &address, 1);
    admission_address_leave(admission, &address, 2);
    admission_close(admission);
}

Test(admission, one_leave_too_many_is_our_mistake, .signal = SIGABRT) {
    struct admission *admission = admission_open((struct admission_limits){.connections = 3});
    struct address address = address_of(1);
    admission_leave(admission, &address, false);
}

// Crowded stripes, entries that come and go in the middle of others' probing: against plain counts.
Test(admission, the_counts_of_many_addresses_are_exact) {
    enum { ADDRESSES = 9000, STEPS = 400000, LIMIT = 3 };
    static uint8_t counts[ADDRESSES];
    struct admission *admission =
        admission_open((struct admission_limits){.connections = 255, .per_address = LIMIT});
    admission_limits_set(
        admission, &(struct admission_limits){.connections = UINT32_MAX, .per_address = LIMIT});
    uint64_t state = 5;
    uint32_t open = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint32_t number = (uint32_t)(state >> 33) % ADDRESSES;
        struct address address = address_of(number);
        if ((state >> 62) < 2) {
            enum admission_verdict verdict = admission_enter(admission, &address, false);
            bool is_fine = counts[number] < LIMIT;
            expect((verdict == ADMISSION_GRANTED) == is_fine, "step %u: %u open", step,
                   counts[number]);
            counts[number] = (uint8_t)(counts[number] + is_fine);
            open += is_fine;
        } else if (counts[number] > 0) {
            admission_leave(admission, &address, false);
            counts[number]--;
            open--;
        }
        expect(admission_open_count(admission) == open, "step %u", step);
    }
    for (uint32_t number = 0; number < ADDRESSES; number++) {
        struct address address = address_of(number);
        for (; counts[number] > 0; counts[number]--) {
            admission_leave(admission, &address, false);
        }
        expect(admission_address_enter(admission, &address, 0, 1) == ADMISSION_GRANTED,
               "%u is still counted", number);
        admission_address_leave(admission, &address, 0);
    }
    admission_close(admission);
}

// --- the handshake rate

static struct admission *rate_open(uint32_t rate) {
    return admission_open(
        (struct admission_limits){.connections = 10, .handshakes_per_second = rate});
}

static uint32_t take_all(struct admission *admission, struct admission_tokens *tokens,
                         uint64_t now_ms) {
    uint32_t count = 0;
    while (admission_token_take(admission, tokens, now_ms)) {
        count++;
        expect(count < 10000000, "there is no end");
    }
    return count;
}

Test(tokens, off_means_off) {
    struct admission *admission = rate_open(0);
    struct admission_tokens tokens = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert(admission_token_take(admission, &tokens, 5000));
    }
    admission_close(admission);
}

Test(tokens, a_second_grants_exactly_the_rate) {
    static const uint32_t rates[] = {1, 3, 9, 10, 11, 15, 64, 99, 1000, 20000, 123457};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct admission *admission = rate_open(rates[i]);
        struct admission_tokens tokens = {0};
        for (uint32_t second = 5; second < 8; second++) {
            uint32_t granted = 0;
            for (uint32_t ms = 0; ms < 1000; ms += 50) {
                granted += take_all(admission, &tokens, second * 1000 + ms);
            }
            expect(granted == rates[i], "%u instead of %u", granted, rates[i]);
        }
        admission_close(admission);
    }
}

Test(tokens, all_workers_together_get_the_rate) {
    struct admission *admission = rate_open(1000);
    struct admission_tokens tokens[4] = {{0}, {0}, {0}, {0}};
    uint32_t granted = 0;
    for (uint32_t ms = 7000; ms < 8000; ms++) {
        for (uint32_t i = 0; i < 4; i++) {
            for (uint32_t try = 0; try < 3; try++) {
                granted += admission_token_take(admission, &tokens[i], ms);
            }
        }
    }
    cr_assert_eq(granted, 1000);
    admission_close(admission);
}

Test(tokens, a_worker_that_lags_a_turn_behind_gets_none_twice) {
    struct admission *admission = rate_open(1000);
    struct admission_tokens ahead = {0};
    struct admission_tokens behind = {0};
    uint32_t granted = take_all(admission, &behind, 6999);
    granted += take_all(admission, &ahead, 7000);
    granted += take_all(admission, &behind, 6999);
    granted += take_all(admission, &ahead, 7000);
    cr_assert_eq(granted, 200); // of two windows
    admission_close(admission);
}

Test(tokens, what_is_left_of_an_older_window_is_worth_nothing) {
    struct admission *admission = rate_open(1000);
    struct admission_tokens tokens = {0};
    cr_assert(admission_token_take(admission, &tokens, 7000));
    cr_assert_gt(tokens.left, 0);
    cr_assert_eq(take_all(admission, &tokens, 9000), 100);
    admission_close(admission);
}

Test(admission, handshakes_of_an_address_at_n_minus_1_n_and_n_plus_1) {
    static const uint32_t rates[] = {1, 2, 3, 7, 1000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct admission *admission = admission_open(
            (struct admission_limits){.connections = 1, .handshakes_per_address = rates[i]});
        struct address first = address_of(1);
        struct address second = address_of(2);
        uint64_t now_us = 5000000;
        for (uint32_t taken = 0; taken < rates[i]; taken++) {
            cr_assert(admission_address_token_take(admission, &first, now_us), "%u", taken);
        }
        cr_assert_not(admission_address_token_take(admission, &first, now_us));
        first.port = 77; // another port is the same address
        cr_assert_not(admission_address_token_take(admission, &first, now_us));
        cr_assert(admission_address_token_take(admission, &second, now_us));
        now_us += 1000000 / rates[i]; // its share of a second later: one more
        cr_assert(admission_address_token_take(admission, &first, now_us));
        cr_assert_not(admission_address_token_take(admission, &first, now_us));
        now_us += 1000000;
        for (uint32_t taken = 0; taken < rates[i]; taken++) {
            cr_assert(admission_address_token_take(admission, &first, now_us), "%u", taken);
        }
        cr_assert_not(admission_address_token_take(admission, &first, now_us));
        admission_close(admission);
    }
}

Test(admission, handshakes_of_an_address_without_a_limit) {
    struct admission *admission = admission_open((struct admission_limits){.connections = 1});
    struct address address = address_of(1);
    struct address local = {.kind = ADDRESS_UNIX};
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert(admission_address_token_take(admission, &address, 1000));
    }
    admission_limits_set(admission,
                         &(struct admission_limits){.connections = 1, .handshakes_per_address = 1});
    cr_assert(admission_address_token_take(admission, &address, 1000));
    cr_assert_not(admission_address_token_take(admission, &address, 1000));
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert(admission_address_token_take(admission, &local, 1000)); // who has none
    }
    admission_close(admission);
}

Test(admission, a_proxy_s_connection_becomes_its_client_s) {
    struct admission *admission =
        admission_open((struct admission_limits){.connections = 100, .per_address = 2});
    struct address proxy = address_of(1);
    struct address client = address_of(2);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(admission_enter(admission, &proxy, true), ADMISSION_GRANTED);
    }
    cr_assert_eq(admission_adopt(admission, &client), ADMISSION_GRANTED);
    cr_assert_eq(admission_adopt(admission, &client), ADMISSION_GRANTED);
    cr_assert_eq(admission_adopt(admission, &client), ADMISSION_ADDRESS_FULL);
    cr_assert_eq(admission_enter(admission, &client, false), ADMISSION_ADDRESS_FULL);
    cr_assert_eq(admission_open_count(admission), 3);
    admission_leave(admission, &client, false);
    cr_assert_eq(admission_adopt(admission, &client), ADMISSION_GRANTED);
    admission_leave(admission, &client, false);
    admission_leave(admission, &client, false);
    admission_close(admission);
}
