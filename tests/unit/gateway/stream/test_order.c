// What waits for a channel's home: answers in the order of the requests, deadlines, counts, and who
// is not read meanwhile.
#include "tests/unit/gateway/stream/stream_test.h"

#define FREE                                                                                       \
    "  - {path: \"/me/{name}\", channels: {subscribe: [\"user.{name}\"], allow: [\"room.*\"]}}\n"  \
    "  - {path: \"/chat/{room}\", channels: {subscribe: [\"chat.{room}\"], publish: "              \
    "\"chat.{room}\"}}\n"

static struct stream_test *two_workers(void) {
    return stream_test_open(FREE, 2, (struct admission_limits){.connections = 1000});
}

// PREFIX and a letter: a channel whose home is the second worker.
static char far_letter(const struct stream_test *test, const char *prefix) {
    for (char letter = 'a'; letter <= 'z'; letter++) {
        char name[32];
        snprintf(name, sizeof name, "%s%c", prefix, letter);
        if (bus_home(&test->bus, span_text(name)) == 1) {
            return letter;
        }
    }
    cr_assert(false, "no such name");
    return 0;
}

static void client_ask(struct stream_test *test, struct stream_client client, const char *verb,
                       char letter) {
    char text[64];
    snprintf(text, sizeof text, "{\"%s\":\"room.%c\"%s}", verb, letter,
             strcmp(verb, "publish") == 0 ? ",\"data\":\"x\"" : "");
    client_frame(test, client, 0x81, text);
}

// The pattern with the letter in place of each %.
static void fill(char *target, uint32_t room, const char *pattern, char letter) {
    uint32_t at = 0;
    for (; pattern[at] != 0; at++) {
        cr_assert_lt(at + 1, room);
        target[at] = pattern[at] == '%' ? letter : pattern[at];
    }
    target[at] = 0;
}

static char answers[8][64];

static const char *answer(uint32_t at, const char *pattern, char letter) {
    fill(answers[at], sizeof answers[at], pattern, letter);
    return answers[at];
}

#define SUBSCRIBED(at) answer(at, "{\"subscribed\":\"room.%\"}", far)
#define UNSUBSCRIBED(at) answer(at, "{\"unsubscribed\":\"room.%\"}", far)

Test(order, unsubscribed_does_not_overtake_subscribed) {
    struct stream_test *test = two_workers();
    struct stream_client a = client_open(test, UPGRADE("/me/a?envelope=json"));
    struct stream_client b = client_open(test, UPGRADE("/me/b?envelope=json"));
    char far = far_letter(test, "room.");
    client_ask(test, b, "subscribe", far);
    client_take(b);
    test->is_home_asleep = true;
    client_ask(test, a, "subscribe", far);
    client_ask(test, a, "unsubscribe", far);
    client_ask(test, a, "unsubscribe", far); // held: the one before waits
    expect_nothing(a);
    test->is_home_asleep = false;
    stream_test_settle(test);
    expect_messages(a, SUBSCRIBED(0), UNSUBSCRIBED(1),
                    answer(2, "{\"error\":\"not subscribed\",\"channel\":\"room.%\"}", far));
    client_ask(test, b, "publish", far);
    cr_assert_not_null(strstr(b.output->bytes, "\"subscribers\":1}")); // b alone is left
    expect_nothing(a);
    client_take(b);
    client_ask(test, a, "subscribe", far);
    client_ask(test, a, "publish", far);
    cr_assert_not_null(strstr(a.output->bytes, "\"subscribers\":2}"));
    client_take(a);
    client_take(b);
    stream_test_close(test);
}

Test(order, errors_wait_for_what_was_asked_before_them) {
    struct stream_test *test = two_workers();
    struct stream_client a = client_open(test, UPGRADE("/me/a?envelope=json"));
    char far = far_letter(test, "room.");
    test->is_home_asleep = true;
    client_ask(test, a, "subscribe", far);
    client_ask(test, a, "subscribe", far); // it is already
    expect_nothing(a);
    cr_assert(conn_has(conn_at(&test->base->conns, a.index), CONN_PAUSED));
    client_frame(test, a, 0x81, "{\"publish\":\"forbidden\",\"data\":\"x\"}");
    expect_nothing(a);
    test->is_home_asleep = false;
    stream_test_settle(test);
    expect_messages(a, SUBSCRIBED(0), SUBSCRIBED(1),
                    "{\"error\":\"channel not allowed\",\"channel\":\"forbidden\"}");
    cr_assert_not(conn_has(conn_at(&test->base->conns, a.index), CONN_PAUSED));
    stream_test_close(test);
}

Test(order, a_join_that_is_refused_is_undone_before_the_next_ask_is_looked_at) {
    struct stream_test *test = two_workers();
    struct stream_client a = client_open(test, UPGRADE("/me/a?envelope=json"));
    char far = far_letter(test, "room.");
    test->other_homes.limit = test->other_homes.used;
    test->is_home_asleep = true;
    client_ask(test, a, "subscribe", far);
    client_ask(test, a, "unsubscribe", far);
    test->is_home_asleep = false;
    stream_test_settle(test);
    expect_messages(a, answer(0, "{\"error\":\"out of memory\",\"channel\":\"room.%\"}", far),
                    answer(1, "{\"error\":\"not subscribed\",\"channel\":\"room.%\"}", far));
    test->other_homes.limit = STREAM_TEST_NAMES;
    stream_test_close(test);
}

Test(order, an_ask_that_was_kept_goes_with_its_connection) {
    struct stream_test *test = two_workers();
    struct stream_client a = client_open(test, UPGRADE("/me/a?envelope=json"));
    char far = far_letter(test, "room.");
    test->is_home_asleep = true;
    client_ask(test, a, "subscribe", far);
    client_ask(test, a, "unsubscribe", far);
    client_leave(test, a);
    test->is_home_asleep = false;
    stream_test_close(test); // nothing is left, here and at the home
}

// What the home does with it: m0 goes out for a, who has left by the time it comes; m1 meets
// nobody; then b is counted, and gets m2. With m0 it would have a hole.
Test(order, one_that_joins_when_the_last_has_left_gets_nothing_older_than_its_join) {
    struct stream_test *test = two_workers();
    struct stream_client a = client_open(test, UPGRADE("/me/a?envelope=json"));
    struct stream_client b = client_open(test, UPGRADE("/me/b?envelope=json"));
    struct stream_client publisher = client_open(test, UPGRADE("/me/c?envelope=json"));
    char far = far_letter(test, "room.");
    client_ask(test, a, "subscribe", far);
    test->is_home_asleep = true;
    for (uint32_t i = 0; i < 3; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"publish\":\"room.%c\",\"data\":\"m%u\"}", far, i);
        client_frame(test, publisher, 0x81, text);
        if (i == 0) {
            client_leave(test, a);
        } else if (i == 1) {
            client_ask(test, b, "subscribe", far);
        }
    }
    test->is_home_asleep = false;
    stream_test_settle(test);
    const char *output = client_take(b);
    cr_assert_not_null(strstr(output, SUBSCRIBED(0)));
    cr_assert_null(strstr(output, "\"m0\""), "%s", output);
    cr_assert_null(strstr(output, "\"m1\""), "%s", output);
    cr_assert_not_null(strstr(output, "\"m2\""), "%s", output);
    stream_test_close(test);
}

// The first one's JOIN confirms nothing for those who came after it had left.
Test(order, an_answer_to_one_that_has_left_opens_no_channel_for_those_who_came_since) {
    struct stream_test *test = two_workers();
    struct stream_client a = client_open(test, UPGRADE("/me/a?envelope=json"));
    struct stream_client b = client_open(test, UPGRADE("/me/b?envelope=json"));
    char far = far_letter(test, "room.");
    char name[16];
    (void)snprintf(name, sizeof name, "room.%c", far);
    test->is_home_asleep = true;
    client_ask(test, a, "subscribe", far);
    client_leave(test, a);
    client_ask(test, b, "subscribe", far);
    const struct hub_channel *channel =
        hub_channel_at(&test->hub, hub_channel_find(&test->hub, span_text(name)));
    struct bus_event event = {.name = span_text(name)};
    event.mail =
        (struct mail){.kind = MAIL_JOINED, .words = {(uint64_t)a.generation << 32 | a.index, 1}};
    stream_on_mail(&test->stream, &event);
    cr_assert_not(channel->is_confirmed);
    test->is_home_asleep = false;
    stream_test_settle(test);
    cr_assert(channel->is_confirmed);
    expect_messages(b, SUBSCRIBED(0));
    stream_test_close(test);
}

Test(order, so_many_asks_may_be_out) {
    struct stream_test *test = two_workers();
    struct stream_client a = client_open(test, UPGRADE("/me/a?envelope=json"));
    struct conn *conn = conn_at(&test->base->conns, a.index);
    char far = far_letter(test, "room.");
    test->is_home_asleep = true;
    for (uint32_t i = 0; i < ENVELOPE_OWED_MAX + 10; i++) {
        expect(conn_has(conn, CONN_PAUSED) == (i >= ENVELOPE_OWED_MAX), "after %u", i);
        client_ask(test, a, "publish", far);
    }
    cr_assert_eq(session_find(&test->stream, a.index)->owed, ENVELOPE_OWED_MAX);
    test->is_home_asleep = false;
    stream_test_settle(test);
    cr_assert_eq(session_find(&test->stream, a.index)->owed, 0);
    cr_assert_not(conn_has(conn, CONN_PAUSED));
    cr_assert_eq(test->other_counters.values[COUNTER_published], ENVELOPE_OWED_MAX + 10);
    stream_test_close(test);
}

Test(order, one_that_does_not_read_its_answers_is_not_read) {
    struct stream_test *test =
        stream_test_simple("  - {path: /q, channels: {publish: q}, backpressure: {queue: 1KiB}}\n");
    struct stream_client a = client_open(test, UPGRADE("/q?envelope=json"));
    struct conns *conns = &test->base->conns;
    struct conn *conn = conn_at(conns, a.index);
    uint8_t frame[64];
    static const char ask[] = "{\"publish\":\"q\",\"data\":\"x\"}";
    uint32_t asks = 0;
    struct bus_event event;
    while (!conn_has(conn, CONN_PAUSED)) { // nothing of it is sent meanwhile
        client_bytes(test, a, frame, frame_make(frame, 0x81, ask, sizeof ask - 1));
        while (bus_next(&test->bus, &event)) {
            stream_on_mail(&test->stream, &event);
        }
        bus_flush(&test->bus);
        expect(++asks < 100, "its answers have no bound");
    }
    cr_assert_eq(conn->state, CONN_OPEN);
    cr_assert(conn->outbox.queued_bytes > 512 && conn->outbox.queued_bytes <= 1024);
    stream_test_settle(test);
    cr_assert_not(conn_has(conn, CONN_PAUSED));
    cr_assert_eq(conn->outbox.queued_bytes, 0);
    stream_test_close(test);
}

// --- deadlines

static void receive(struct stream_test *test, struct stream_client client, const char *pattern,
                    char letter) {
    char request[512];
    fill(request, sizeof request, pattern, letter);
    client_text(test, client, request);
}

Test(deadlines, a_handshake_that_its_home_does_not_answer_is_503) {
    struct stream_test *test = two_workers();
    char far = far_letter(test, "chat.");
    test->is_home_asleep = true;
    struct stream_client a = stream_test_accept(test, "192.0.2.1");
    receive(test, a, "GET /chat/% HTTP/1.1\r\n" HANDSHAKE_FIELDS, far);
    cr_assert_eq(client_state(test, a), CONN_VERDICT);
    conn_test_wait(test->base, 9900);
    stream_test_settle(test);
    cr_assert_eq(client_state(test, a), CONN_VERDICT);
    conn_test_wait(test->base, 200);
    stream_test_settle(test);
    cr_assert_not_null(strstr(a.output->bytes, "\r\nRetry-After: "));
    client_expect_start(a, "HTTP/1.1 503 ");
    cr_assert_eq(client_state(test, a), CONN_FREE);
    cr_assert_eq(test->base->counters.faults[FAULT_answer_timeout], 1);
    cr_assert_eq(test->subscriptions.used, 0);
    struct stream_client b = stream_test_accept(test, "192.0.2.1"); // the same slot, another life
    cr_assert_eq(a.index, b.index);
    receive(test, b, "GET /chat/% HTTP/1.1\r\n" HANDSHAKE_FIELDS, far);
    test->is_home_asleep = false;
    stream_test_settle(test); // both answers come; the first is nobody's
    client_expect_start(b, "HTTP/1.1 101 ");
    cr_assert_eq(test->base->counters.values[COUNTER_handshakes], 1);
    client_leave(test, b);
    cr_assert_eq(test->other_homes.used, 0); // the first one's leave came, too
    stream_test_close(test);
}

Test(deadlines, a_post_that_its_home_does_not_answer_is_503) {
    struct stream_test *test = two_workers();
    char far = far_letter(test, "chat.");
    test->is_home_asleep = true;
    struct stream_client a = stream_test_accept(test, "192.0.2.1");
    receive(test, a, "POST /chat/% HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", far);
    cr_assert_eq(client_state(test, a), CONN_REPLY);
    conn_test_wait(test->base, 10100);
    stream_test_settle(test);
    cr_assert_not_null(strstr(a.output->bytes, "\r\nRetry-After: "));
    client_expect_start(a, "HTTP/1.1 503 ");
    cr_assert_eq(client_state(test, a), CONN_FREE);
    test->is_home_asleep = false;
    stream_test_settle(test); // its receipt is nobody's
    stream_test_close(test);
}

// --- pressure

Test(pressure, a_publisher_waits_while_the_home_cannot_pass_on) {
    struct stream_test *test = two_workers();
    char far = far_letter(test, "chat.");
    struct stream_client a = stream_test_accept(test, "192.0.2.1");
    receive(test, a, "GET /chat/% HTTP/1.1\r\n" HANDSHAKE_FIELDS, far);
    client_take(a);
    struct conn *conn = conn_at(&test->base->conns, a.index);
    test->is_home_asleep = true;
    test->shared->endpoints[1].is_pressed = 1;
    client_frame(test, a, 0x81, "one");
    client_frame(test, a, 0x81, "two");
    cr_assert(conn_has(conn, CONN_PAUSED));
    cr_assert_eq(test->stream.paused_count, 1);
    test->is_home_asleep = false;
    stream_test_settle(test);
    expect_messages(a, "one"); // what was on its way
    test->shared->endpoints[1].is_pressed = 0;
    stream_test_settle(test);
    cr_assert_not(conn_has(conn, CONN_PAUSED));
    expect_messages(a, "two");
    stream_test_close(test);
}

Test(pressure, every_publisher_is_held_back_and_resumed_however_many) {
    struct stream_test *test = two_workers();
    char far = far_letter(test, "chat.");
    enum { MANY = STREAM_TEST_CONNS - 4 };
    struct stream_client clients[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        clients[i] = stream_test_accept(test, "192.0.2.1");
        receive(test, clients[i], "GET /chat/% HTTP/1.1\r\n" HANDSHAKE_FIELDS, far);
    }
    test->shared->endpoints[1].is_pressed = 1;
    for (uint32_t i = 0; i < MANY; i++) {
        client_frame(test, clients[i], 0x81, "x");
    }
    cr_assert_eq(test->stream.paused_count, MANY);
    client_leave(test, clients[0]); // its entry goes with the others
    test->shared->endpoints[1].is_pressed = 0;
    stream_test_settle(test);
    cr_assert_eq(test->stream.paused_count, 0);
    for (uint32_t i = 1; i < MANY; i++) {
        expect(!conn_has(conn_at(&test->base->conns, clients[i].index), CONN_PAUSED), "%u", i);
    }
    stream_test_close(test);
}

Test(pressure, a_publisher_waits_while_its_channel_is_crowded) {
    struct stream_test *test = stream_test_simple(FREE);
    test->messages.limit = 1000;
    struct stream_client a = client_open(test, UPGRADE("/chat/x"));
    struct conn *conn = conn_at(&test->base->conns, a.index);
    uint8_t frame[64];
    struct bus_event event;
    uint32_t said = 0;
    while (!conn_has(conn, CONN_PAUSED)) { // nothing is fanned out meanwhile
        client_bytes(test, a, frame, frame_make(frame, 0x81, "x", 1));
        while (bus_next(&test->bus, &event)) {
            stream_on_mail(&test->stream, &event);
        }
        bus_flush(&test->bus);
        expect(++said < 250, "what waits has no bound");
    }
    cr_assert_gt(said, HUB_BURST_MAX);
    stream_test_settle(test);
    cr_assert_not(conn_has(conn, CONN_PAUSED));
    cr_assert_eq(a.output->length, said * 3); // all of them came
    cr_assert_eq(test->base->counters.values[COUNTER_dropped_mailbox], 0);
    stream_test_close(test);
}
