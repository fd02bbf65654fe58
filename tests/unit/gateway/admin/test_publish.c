// POST /publish: all items or none, each bound, and what is said when a home has no memory.
#include "tests/unit/gateway/admin/admin_test.h"

// Homes know nobody: what was published is counted by the workers' own counters.
static uint64_t published(const struct admin_test *test) {
    return test->workers[0].counters.values[COUNTER_published] +
           test->workers[1].counters.values[COUNTER_published];
}

Test(publish, one_item) {
    struct admin_test *test = admin_test_open("");
    expect_answer(test, "POST /publish", "{\"channel\":\"a.b\",\"text\":\"x\"}", 200,
                  "{\"items\":[{\"channel\":\"a.b\",\"subscribers\":0}]}");
    expect_answer(test, "POST /publish/", "{\"channel\":\"a\",\"base64\":\"AP+A\"}", 200,
                  "\"subscribers\":0");
    cr_assert_eq(published(test), 2);
    admin_test_close(test);
}

Test(publish, the_number_of_subscribers_is_the_homes) {
    struct admin_test *test = admin_test_open("");
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(bus_join(&test->workers[0].bus, span_text("room"), i == 0, 0));
    }
    bus_flush(&test->workers[0].bus);
    uint32_t home = bus_home(&test->bus, span_text("room"));
    struct bus_event event;
    cr_assert_not(bus_next(&test->workers[home].bus, &event));
    uint32_t index = admin_test_connect(test);
    static const char body[] = "{\"items\":[{\"channel\":\"none\",\"text\":\"\"},"
                               "{\"channel\":\"room\",\"text\":\"\\u0000\"}]}";
    char text[512];
    (void)snprintf(text, sizeof text,
                   "POST /publish HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   strlen(body), body); // there is room
    test->is_deaf = true;
    admin_test_feed(test, index, text);
    for (uint32_t turn = 0; turn < 3; turn++) {
        for (uint32_t i = 0; i < ADMIN_TEST_WORKERS; i++) {
            while (bus_next(&test->workers[i].bus, &event)) {
                cr_assert_eq(event.mail.kind, MAIL_DELIVER);
                cr_assert(event.body.length == 1 && event.body.data[0] == 0);
            }
            bus_flush(&test->workers[i].bus);
        }
    }
    admin_test_settle(test);
    cr_assert_not_null(strstr(test->out, "[{\"channel\":\"none\",\"subscribers\":0},"
                                         "{\"channel\":\"room\",\"subscribers\":3}]"));
    admin_test_gone(test, index);
    bus_leave(&test->workers[0].bus, span_text("room"), true);
    bus_flush(&test->workers[0].bus);
    cr_assert_not(bus_next(&test->workers[home].bus, &event));
    admin_test_close(test);
}

Test(publish, a_bad_item_refuses_all) {
    static const char *const bad[] = {
        "{}",
        "7",
        "null",
        "[]",
        "{\"text\":\"x\"}",
        "{\"channel\":\"a\"}",
        "{\"channel\":7,\"text\":\"x\"}",
        "{\"channel\":\"\",\"text\":\"x\"}",
        "{\"channel\":\"a b\",\"text\":\"x\"}",
        "{\"channel\":\"a*\",\"text\":\"x\"}",
        "{\"channel\":\"a\\u0000\",\"text\":\"x\"}",
        "{\"channel\":\"a\",\"text\":7}",
        "{\"channel\":\"a\",\"text\":\"x\",\"base64\":\"eA==\"}",
        "{\"channel\":\"a\",\"text\":null,\"base64\":\"eA==\"}",
        "{\"channel\":\"a\",\"base64\":\"eA=\"}",
        "{\"channel\":\"a\",\"base64\":\"!!!!\"}",
    };
    struct admin_test *test = admin_test_open("");
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (uint32_t place = 0; place < 3; place++) {
            char body[512];
            static const char good[] = "{\"channel\":\"a\",\"text\":\"x\"}";
            (void)snprintf(body, sizeof body, "{\"items\":[%s,%s,%s]}", place == 0 ? bad[i] : good,
                           place == 1 ? bad[i] : good,
                           place == 2 ? bad[i] : good); // there is room
            char part[32];
            (void)snprintf(part, sizeof part, "{\"error\":\"item %u: ", place); // as well
            expect_answer(test, "POST /publish", body, 400, part);
        }
    }
    static const char *const bodies[] = {"",
                                         "x",
                                         "[]",
                                         "7",
                                         "{\"items\":{}}",
                                         "{\"items\":[]}",
                                         "{\"items\":",
                                         "{} x",
                                         "{\"items\":7}",
                                         "{\"channel\":\"a\",\"channel\":\"b\",\"text\":\"x\"}"};
    for (uint32_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        expect_answer(test, "POST /publish", bodies[i], 400, "{\"error\":\"");
    }
    cr_assert_eq(published(test), 0);
    admin_test_close(test);
}

Test(publish, names_at_n_minus_1_n_and_n_plus_1) {
    struct admin_test *test = admin_test_open("");
    for (uint32_t length = CHANNEL_NAME_BYTES_MAX - 1; length <= CHANNEL_NAME_BYTES_MAX + 1;
         length++) {
        char name[300] = {0};
        memset(name, 'n', length);
        char body[512];
        (void)snprintf(body, sizeof body, "{\"channel\":\"%s\",\"text\":\"x\"}",
                       name); // there is room
        bool is_fine = length <= CHANNEL_NAME_BYTES_MAX;
        expect_answer(test, "POST /publish", body, is_fine ? 200 : 400,
                      is_fine ? name : "1 to 255 bytes");
    }
    cr_assert_eq(published(test), 2);
    admin_test_close(test);
}

static void items_write(char *body, const char *item, uint32_t count) {
    size_t length = strlen(item);
    memcpy(body, "{\"items\":[", 10);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(body + 10 + i * length, item, length);
    }
    memcpy(body + 10 + count * length - 1, "]}", 3); // over the last comma
}

Test(publish, items_at_n_minus_1_n_and_n_plus_1) {
    struct admin_test *test = admin_test_open("");
    static const char item[] = "{\"channel\":\"c\",\"text\":\"\"},";
    char *body = malloc(sizeof item * (ADMIN_ITEMS_MAX + 1) + 64);
    uint64_t before = 0;
    for (uint32_t count = ADMIN_ITEMS_MAX - 1; count <= ADMIN_ITEMS_MAX + 1; count++) {
        items_write(body, item, count);
        bool is_fine = count <= ADMIN_ITEMS_MAX;
        expect_answer(test, "POST /publish", body, is_fine ? 200 : 400,
                      is_fine ? "\"items\"" : "1 to 10000");
        cr_assert_eq(published(test) - before, is_fine ? count : 0);
        before = published(test);
    }
    free(body);
    admin_test_close(test);
}

Test(publish, a_body_over_its_bound_is_413) {
    struct admin_test *test = admin_test_open("");
    for (uint32_t over = 0; over <= 1; over++) {
        char text[256];
        (void)snprintf(text, sizeof text,
                       "POST /publish HTTP/1.1\r\nHost: localhost\r\n"
                       "Content-Type: application/json\r\nContent-Length: %u\r\n\r\n",
                       ADMIN_BODY_BYTES_MAX + over); // there is room
        expect(admin_test_ask(test, text) == (over == 0 ? 0 : 413), "%s", test->out);
    }
    admin_test_close(test);
}

// Longer than one piece of a mailbox: the home needs memory for it.
static char *large_item(const char *channel) {
    enum { BYTES = MAILBOX_PIECE_BYTES_MAX + 1 };
    char *item = malloc(BYTES + 300);
    int head = snprintf(item, 300, "{\"channel\":\"%s\",\"text\":\"", channel);
    memset(item + head, 'x', BYTES);
    (void)snprintf(item + head + BYTES, 3, "\"}"); // there is room
    return item;
}

Test(publish, a_home_without_memory_is_503) {
    struct admin_test *test = admin_test_open("");
    char *item = large_item("a");
    expect_answer(test, "POST /publish", item, 200, "\"subscribers\":0");
    uint32_t home = bus_home(&test->bus, span_text("a"));
    test->workers[home].arena.limit_bytes = 0;
    expect_answer(test, "POST /publish", item, 503,
                  "no memory for 1 of 1 items, the first is item 0; nothing was published");
    size_t room = 2 * strlen(item) + 300;
    char *body = malloc(room);
    (void)snprintf(body, room, "{\"items\":[{\"channel\":\"a\",\"text\":\"\"},%s,%s]}", item,
                   item); // there is room
    expect_answer(test, "POST /publish", body, 503,
                  "no memory for 2 of 3 items, the first is item 1; the others were published");
    free(body);
    free(item);
    admin_test_close(test);
}

Test(publish, workers_that_do_not_keep_up_are_503_before_anything_is_sent) {
    struct admin_test *test = admin_test_open("");
    char *item = large_item("a");
    test->bus.backlog_bytes_max = strlen(item);
    expect_answer(test, "POST /publish", item, 503, "overloaded");
    cr_assert_eq(published(test), 0);
    free(item);
    admin_test_close(test);
}
