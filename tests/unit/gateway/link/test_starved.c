// Receives that find no buffer.
#include "tests/unit/gateway/link/link_test.h"

enum { HOLDERS = FAKE_BUFFERS, COUNT = 8 };

// `count` connections with a receive in flight each; the first HOLDERS get the buffers, the others
// none. Returns the holders' events.
static void starve(struct link_test *test, link_id *ids, uint32_t count,
                   struct link_event events[HOLDERS]) {
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = link_test_accept(test, i);
        fake_polled(&test->io, ids[i], IO_POLL_IN, true);
        expect_event(test, LINK_EVENT_READABLE, ids[i]);
        receive(test, ids[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        expect(fake_received(&test->io, ids[i], 10, true) == (i < HOLDERS), "%u", i);
        if (i < HOLDERS) {
            events[i] = expect_event(test, LINK_EVENT_BYTES, ids[i]);
        } else {
            expect_no_event(test);
        }
    }
    test->link.starved[0].turns = 0; // as if none were left over
    fake_forget(&test->io);
    cr_assert_eq(test->link.starved_count, count - HOLDERS);
    cr_assert_eq(test->counters.values[COUNTER_receive_starved], count - HOLDERS);
}

Test(starved, receive_again_in_order_as_buffers_come_back) {
    struct link_test *test = link_test_open();
    link_id ids[COUNT];
    struct link_event events[HOLDERS];
    starve(test, ids, COUNT, events);
    link_turn_end(&test->link);
    expect_prepared(test, ""); // nobody gave a buffer back: nobody asks
    link_bytes_done(&test->link, &events[0]);
    link_turn_end(&test->link);
    expect_prepared(test, "receive 0.4\n");
    link_bytes_done(&test->link, &events[1]);
    link_bytes_done(&test->link, &events[2]);
    link_turn_end(&test->link);
    expect_prepared(test, "receive 0.5\nreceive 0.6\n");
    link_bytes_done(&test->link, &events[3]);
    link_turn_end(&test->link);
    expect_prepared(test, "receive 0.7\n");
    link_test_close(test);
}

Test(starved, may_not_be_told_or_receive_before_their_turn) {
    struct link_test *test = link_test_open();
    link_id ids[COUNT];
    struct link_event events[HOLDERS];
    starve(test, ids, COUNT, events);
    fake_polled(&test->io, ids[6], IO_POLL_IN, true);
    expect_no_event(test);
    receive(test, ids[6]);
    expect_prepared(test, "");
    for (uint32_t i = 0; i < HOLDERS; i++) {
        link_bytes_done(&test->link, &events[i]);
    }
    link_test_close(test);
}

Test(starved, a_turn_that_needs_no_buffer_is_passed_on) {
    static const int32_t results[] = {-EAGAIN, 0, -ECONNRESET};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        struct link_test *test = link_test_open();
        link_id ids[COUNT];
        struct link_event events[HOLDERS];
        starve(test, ids, COUNT, events);
        link_bytes_done(&test->link, &events[0]);
        link_turn_end(&test->link);
        fake_forget(&test->io);
        fake_received(&test->io, ids[4], results[i], false);
        struct link_event event;
        while (link_next(&test->link, &event)) {
        }
        link_turn_end(&test->link);
        expect_prepared(test, "receive 0.5\n"); // or a free buffer would lie there for ever
        for (uint32_t b = 1; b < HOLDERS; b++) {
            link_bytes_done(&test->link, &events[b]);
        }
        link_test_close(test);
    }
}

Test(starved, one_that_is_told_so_after_the_last_buffer_came_back_gets_its_turn) {
    struct link_test *test = link_test_open();
    link_id ids[HOLDERS + 1];
    for (uint32_t i = 0; i <= HOLDERS; i++) {
        ids[i] = link_test_accept(test, i);
        fake_polled(&test->io, ids[i], IO_POLL_IN, true);
        expect_event(test, LINK_EVENT_READABLE, ids[i]);
        receive(test, ids[i]);
    }
    for (uint32_t i = 0; i <= HOLDERS; i++) {
        fake_received(&test->io, ids[i], 10, false);
    }
    for (uint32_t i = 0; i < HOLDERS;
         i++) { // the turn ends before the last completion is looked at
        struct link_event event = expect_event(test, LINK_EVENT_BYTES, ids[i]);
        link_bytes_done(&test->link, &event);
    }
    link_turn_end(&test->link);
    link_turn_end(&test->link);
    fake_forget(&test->io);
    expect_no_event(test); // here it starves, with all buffers free
    link_turn_end(&test->link);
    expect_prepared(test, "receive 0.4\n");
    link_test_close(test);
}

Test(starved, a_buffer_of_another_ring_is_of_no_use) {
    struct link_test *test = link_test_open();
    link_id ids[FAKE_SLOTS + COUNT];
    uint32_t count = 0;
    while (count == 0 || ids[count - 1] >> LINK_RING_SHIFT == 0) { // into the second ring
        ids[count] = link_test_accept(test, count);
        count++;
    }
    for (uint32_t i = 0; i < 6; i++) {
        ids[count] = link_test_accept(test, count);
        count++;
    }
    // In both rings one more than there are buffers.
    struct link_event lent[2] = {{0}, {0}};
    uint32_t starved = 0;
    link_id waiting[2];
    for (uint32_t ring = 0; ring < 2; ring++) {
        uint32_t taken = 0;
        for (uint32_t i = 0; i < count && taken <= FAKE_BUFFERS; i++) {
            if (ids[i] >> LINK_RING_SHIFT != ring) {
                continue;
            }
            fake_polled(&test->io, ids[i], IO_POLL_IN, true);
            expect_event(test, LINK_EVENT_READABLE, ids[i]);
            receive(test, ids[i]);
            if (fake_received(&test->io, ids[i], 10, false)) {
                lent[ring] = expect_event(test, LINK_EVENT_BYTES, ids[i]);
                taken++;
            } else {
                expect_no_event(test);
                waiting[ring] = ids[i];
                starved++;
                break;
            }
        }
    }
    cr_assert_eq(starved, 2);
    test->link.starved[0].turns = 0;
    test->link.starved[1].turns = 0;
    link_bytes_done(&test->link, &lent[1]);
    link_turn_end(&test->link);
    cr_assert_not(fake_at(&test->io, waiting[0])->is_receiving); // though it waits longer
    cr_assert(fake_at(&test->io, waiting[1])->is_receiving);
    memset(test->io.is_lent, 0, sizeof test->io.is_lent); // the rest is not of interest here
    link_test_close(test);
}

Test(starved, the_ring_gets_more_buffers_before_anybody_waits) {
    struct link_test *test = link_test_open();
    test->io.can_grow = true;
    struct link_event events[HOLDERS + 1];
    for (uint32_t i = 0; i <= HOLDERS; i++) {
        link_id id = link_test_accept(test, i);
        fake_polled(&test->io, id, IO_POLL_IN, true);
        expect_event(test, LINK_EVENT_READABLE, id);
        receive(test, id);
        if (!fake_received(&test->io, id, 10, false)) {
            fake_forget(&test->io);
            expect_no_event(test);
            expect_prepared(test, "receive 0.4\n"); // again, at once
            fake_received(&test->io, id, 10, false);
        }
        events[i] = expect_event(test, LINK_EVENT_BYTES, id);
    }
    cr_assert_eq(test->io.buffer_count[0], 2 * FAKE_BUFFERS);
    cr_assert_eq(test->link.starved_count, 0);
    for (uint32_t i = 0; i <= HOLDERS; i++) {
        link_bytes_done(&test->link, &events[i]);
    }
    link_test_close(test);
}

Test(starved, one_that_is_closed_waits_for_its_turn_and_then_goes) {
    struct link_test *test = link_test_open();
    link_id ids[COUNT];
    struct link_event events[HOLDERS];
    starve(test, ids, COUNT, events);
    link_close(&test->link, ids[4]);
    expect_prepared(test, "");
    link_bytes_done(&test->link, &events[0]);
    link_turn_end(&test->link);
    expect_prepared(test, "receive 0.4\n"); // what it sent is thrown away
    fake_received(&test->io, ids[4], 10, false);
    expect_no_event(test);
    expect_prepared(test, "cancel and close 0.4\n");
    link_test_finish(test, ids[4]);
    for (uint32_t i = 1; i < HOLDERS; i++) {
        link_bytes_done(&test->link, &events[i]);
    }
    link_test_close(test);
}
