// Answers of workers, and the connection that asked.
#include "gateway/admin/internal.h"
#include "tests/unit/core/conn/conn_test.h"

struct io_bell {
    uint32_t rings;
};

// Stands in for the real one of gateway/io; there is nobody to wake.
void io_doorbell_ring(struct io_doorbell doorbell) {
    doorbell.bell->rings++;
}

enum { CONTROL = 1 }; // the thread behind the one worker

struct admin_test {
    struct conn_test *base; // its arena and counters
    struct clients clients;
    struct bus bus;
    struct io_bell bell;
    struct config config;
    struct admin *admin;
    uint32_t conn;
};

static struct admin_test *test_open(void) {
    struct admin_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    test->base = conn_test_open();
    test->clients.conns = test->base->conns;
    conn_test_conns(&test->clients.conns, 8, 64, CONN_TEST_NOW_US);
    struct bus_shared *shared = bus_shared_init(conn_test_reserve(bus_shared_bytes(1)), 1);
    bus_init(&test->bus, &(struct bus_options){.shared = shared,
                                               .self = CONTROL,
                                               .arena = &test->base->arena,
                                               .counters = &test->base->counters,
                                               .backlog_bytes_max = 1 << 20});
    shared->endpoints[0].doorbell.bell = &test->bell;
    test->admin = admin_open(&(struct admin_options){.clients = &test->clients,
                                                     .bus = &test->bus,
                                                     .arena = &test->base->arena,
                                                     .worker_count = 1,
                                                     .config = &test->config});
    cr_assert_not_null(test->admin);
    return test;
}

static void ask(struct admin_test *test, const char *text) {
    struct conns *conns = &test->clients.conns;
    test->conn = conn_open(conns);
    test->base->opened++; // they count together
    static uint8_t bytes[256];
    size_t length = strlen(text);
    memcpy(bytes, text, length);
    struct span_mut rest = {.data = bytes, .length = (uint32_t)length};
    struct conn_event event = conn_feed(conns, test->conn, &rest);
    cr_assert_eq(event.kind, CONN_EVENT_REQUEST);
    admin_on_ask(test->admin, test->conn, &event);
}

static void worker_answers(struct admin_test *test) {
    struct bus_event event = {
        .mail = {.kind = MAIL_ANSWER,
                 .words = {admin_token(test->admin, test->admin->requests, 0)}}};
    cr_assert(admin_on_mail(test->admin, &event));
}

static void expect_nothing_left(struct admin_test *test) {
    for (uint32_t i = 0; i < ADMIN_PENDING_MAX; i++) {
        expect(!test->admin->requests[i].is_active, "request %u", i);
    }
    admin_on_gone(test->admin, test->conn);
    conn_release(&test->clients.conns, test->conn);
    cr_assert_eq(test->clients.conns.pool.used, 0u);
    admin_close(&test->admin);
    conn_test_close(test->base);
    free(test);
}

Test(answers, one_for_a_connection_that_has_just_failed_is_thrown_away) {
    struct admin_test *test = test_open();
    ask(test, "DELETE /connections?channel=a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    cr_assert_eq(conn_at(&test->clients.conns, test->conn)->state, CONN_VERDICT);
    conn_on_error(&test->clients.conns, test->conn, FAULT_peer_reset);
    worker_answers(test);
    cr_assert_eq(conn_at(&test->clients.conns, test->conn)->state, CONN_ENDED);
    expect_nothing_left(test);
}

Test(answers, one_that_comes_after_the_answer_deadline_is_thrown_away) {
    struct admin_test *test = test_open();
    struct conns *conns = &test->clients.conns;
    ask(test, "DELETE /connections?channel=a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    uint32_t index = 0;
    for (uint64_t ms = 0; index == 0 && ms < 60000; ms += 100) {
        conns_turn(conns, CONN_TEST_NOW_US + ms * 1000);
        wheel_advance(&conns->wheel, conns->now_ms);
        (void)wheel_next(&conns->wheel, &index); // 0 as long as nothing is due
    }
    cr_assert_eq(index, test->conn);
    conn_on_time(conns, index);
    cr_assert_eq(conn_at(conns, index)->state, CONN_FLUSH);
    worker_answers(test);
    conn_kill(conns, index, FAULT_killed);
    expect_nothing_left(test);
}
