// Accepting: never more accepts armed than slots are free, and which ring is open.
#include "tests/unit/gateway/link/link_test.h"

static uint32_t armed_count(const struct link_test *test, uint32_t ring) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < FAKE_ACCEPTS; i++) {
        count += test->io.accepts[i].is_armed && test->io.accepts[i].ring == ring;
    }
    return count;
}

Test(accept, brings_the_address_and_the_listener) {
    struct link_test *test = link_test_open();
    cr_assert_eq(link_listen(&test->link, &(struct io_listen_options){.backlog = 100}), 1);
    link_turn_end(&test->link);
    link_id id = fake_accepted(&test->io, LINK_ACCEPTS, 42, 0); // the second listener's first
    struct link_event event = expect_event(test, LINK_EVENT_ACCEPTED, id);
    cr_assert_eq(event.listener, 1);
    cr_assert_eq(event.address.kind, ADDRESS_IP);
    cr_assert_eq(event.address.ip[15], 42);
    cr_assert_eq(test->counters.values[COUNTER_accepted], 1);
    cr_assert(fake_at(&test->io, id)->is_polling);
    link_test_close(test);
}

Test(accept, a_listener_that_cannot_be_had_is_an_error) {
    struct link_test *test = link_test_open();
    cr_assert_eq(link_listen(&test->link, &(struct io_listen_options){.backlog = 0}), -EADDRINUSE);
    for (uint32_t i = 1; i < LISTENERS_MAX; i++) {
        cr_assert_eq(link_listen(&test->link, &(struct io_listen_options){.backlog = 1}), (int)i);
    }
    cr_assert_eq(link_listen(&test->link, &(struct io_listen_options){.backlog = 1}), -ENOSPC);
    link_test_close(test);
}

Test(accept, each_is_armed_again_for_the_next) {
    struct link_test *test = link_test_open();
    cr_assert_eq(armed_count(test, 0), LINK_ACCEPTS);
    link_test_accept(test, 1);
    cr_assert_eq(armed_count(test, 0), LINK_ACCEPTS - 1);
    link_turn_end(&test->link);
    cr_assert_eq(armed_count(test, 0), LINK_ACCEPTS);
    link_test_close(test);
}

Test(accept, is_never_armed_without_a_slot_and_goes_on_in_the_next_ring) {
    struct link_test *test = link_test_open();
    for (uint32_t i = 0; i < FAKE_RINGS * FAKE_SLOTS; i++) { // the fake io watches P9
        link_test_accept(test, i);
        link_turn_end(&test->link);
        expect(test->link.used_total == i + 1, "%u", i);
    }
    cr_assert_eq(test->io.ring_count, FAKE_RINGS);
    for (uint32_t ring = 0; ring < FAKE_RINGS; ring++) {
        cr_assert_eq(armed_count(test, ring), 0);
        cr_assert_eq(test->link.used[ring], FAKE_SLOTS);
    }
    cr_assert(test->link.is_paused);
    cr_assert_eq(test->counters.values[COUNTER_accept_paused], 1);
    link_turn_end(&test->link);
    cr_assert_eq(test->counters.values[COUNTER_accept_paused], 1); // still the same pause
    link_test_close(test);
}

Test(accept, goes_on_where_a_slot_becomes_free) {
    struct link_test *test = link_test_open();
    link_id ids[FAKE_RINGS * FAKE_SLOTS];
    for (uint32_t i = 0; i < FAKE_RINGS * FAKE_SLOTS; i++) {
        ids[i] = link_test_accept(test, i);
    }
    link_turn_end(&test->link);
    link_close(&test->link, ids[3]);
    link_turn_end(&test->link);
    cr_assert_eq(armed_count(test, 0), 0); // its slot is not free yet
    link_test_finish(test, ids[3]);
    link_turn_end(&test->link);
    cr_assert_eq(armed_count(test, 0), 1);
    cr_assert_eq(link_test_accept(test, 99), ids[3]);
    link_test_close(test);
}

Test(accept, a_ring_that_cannot_be_opened_is_asked_for_again_in_a_second) {
    struct link_test *test = link_test_open();
    test->io.ring_max = 1;
    for (uint32_t i = 0; i < FAKE_SLOTS; i++) {
        link_test_accept(test, i);
    }
    link_turn_begin(&test->link, 5000);
    link_turn_end(&test->link);
    cr_assert(test->link.is_paused);
    test->io.ring_max = FAKE_RINGS;
    link_turn_begin(&test->link, 5999);
    link_turn_end(&test->link);
    cr_assert_eq(test->io.ring_count, 1);
    cr_assert_eq(link_wait_ms(&test->link), 1); // somebody may wait: no sleep for ever
    link_turn_begin(&test->link, 6000);
    link_turn_end(&test->link);
    cr_assert_eq(test->io.ring_count, 2);
    cr_assert(!test->link.is_paused);
    cr_assert_eq(link_wait_ms(&test->link), UINT32_MAX);
    link_test_close(test);
}

Test(accept, errors_are_counted_and_it_is_armed_again) {
    struct link_test *test = link_test_open();
    static const int32_t errors[] = {-ENFILE, -ECONNABORTED, -ENOMEM, -EMFILE};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        fake_accepted(&test->io, (uint32_t)i, 1, errors[i]);
        expect_no_event(test);
    }
    cr_assert_eq(test->counters.values[COUNTER_accept_errors], 4);
    link_turn_end(&test->link);
    cr_assert_eq(armed_count(test, 0), LINK_ACCEPTS);
    link_test_close(test);
}

Test(accept, a_peer_that_cannot_be_named_is_closed_without_a_word) {
    struct link_test *test = link_test_open();
    link_id id = fake_accepted(&test->io, 0, 0, 0);
    expect_no_event(test);
    cr_assert_eq(test->counters.values[COUNTER_accept_errors], 1);
    cr_assert_eq(link_slot_at(&test->link, id)->state, LINK_STOPPING);
    link_test_finish(test, id);
    link_test_close(test);
}

Test(accept, of_a_unix_socket_has_no_address) {
    struct link_test *test = link_test_open();
    struct io_listen_options options = {.backlog = 1, .unix_path = "somewhere"};
    cr_assert_eq(link_listen(&test->link, &options), 1);
    link_turn_end(&test->link);
    link_id id = fake_accepted(&test->io, LINK_ACCEPTS, 0, 0);
    struct link_event event = expect_event(test, LINK_EVENT_ACCEPTED, id);
    cr_assert_eq(event.address.kind, ADDRESS_UNIX);
    link_test_close(test);
}

Test(accept, is_held_and_goes_on) {
    struct link_test *test = link_test_open();
    link_hold_accept(&test->link, true);
    link_turn_end(&test->link);
    link_turn_end(&test->link); // each is cancelled once: the fake io watches
    cr_assert_not(link_is_accept_quiet(&test->link));
    link_id id = fake_accepted(&test->io, 0, 5, 0); // one slipped through
    expect_event(test, LINK_EVENT_ACCEPTED, id);
    for (uint32_t i = 0; i < LINK_ACCEPTS; i++) {
        if (i > 0) {
            fake_accepted(&test->io, i, 0, -ECANCELED);
        }
        fake_accept_cancelled(&test->io, i);
    }
    expect_no_event(test);
    cr_assert(link_is_accept_quiet(&test->link));
    cr_assert_eq(test->counters.values[COUNTER_accept_errors], 0); // our own doing
    link_turn_end(&test->link);
    cr_assert_eq(armed_count(test, 0), 0);
    link_hold_accept(&test->link, false);
    link_turn_end(&test->link);
    cr_assert_eq(armed_count(test, 0), LINK_ACCEPTS);
    link_test_close(test);
}

Test(accept, an_accept_whose_cancel_is_under_way_is_not_armed_anew) {
    struct link_test *test = link_test_open();
    link_hold_accept(&test->link, true);
    link_turn_end(&test->link);
    fake_accepted(&test->io, 0, 0, -ECANCELED);
    expect_no_event(test);
    link_hold_accept(&test->link, false);
    link_turn_end(&test->link); // the late cancel would meet the new one
    cr_assert_not(test->io.accepts[0].is_armed);
    fake_accept_cancelled(&test->io, 0);
    expect_no_event(test);
    link_turn_end(&test->link);
    cr_assert(test->io.accepts[0].is_armed);
    link_test_close(test);
}
