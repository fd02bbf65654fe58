// The channels verb: subscribing, publishing and the envelope.
#include "tests/unit/gateway/stream/stream_test.h"

#define CHAT                                                                                       \
    "  - {path: \"/chat/{room}\", channels: {subscribe: [\"chat.{room}\"], publish: "              \
    "\"chat.{room}\"}}\n"
#define FREE                                                                                       \
    "  - {path: \"/me/{name}\", channels: {subscribe: [\"user.{name}\"], allow: [\"room.*\", "     \
    "\"{name}.x\"]}, limits: {channels: 3}}\n"

Test(channels, a_message_reaches_every_subscriber_and_its_sender) {
    struct stream_test *test = stream_test_simple(CHAT);
    struct stream_client a = client_open(test, UPGRADE("/chat/x"));
    struct stream_client b = client_open(test, UPGRADE("/chat/x"));
    struct stream_client c = client_open(test, UPGRADE("/chat/y"));
    client_frame(test, a, 0x81, "hello");
    expect_messages(a, "hello");
    expect_messages(b, "hello");
    expect_nothing(c);
    client_leave(test, b);
    client_frame(test, a, 0x81, "again");
    expect_messages(a, "again");
    cr_assert_eq(test->channels.used, 2);
    stream_test_close(test);
}

Test(channels, without_echo_self_the_sender_gets_nothing) {
    struct stream_test *test = stream_test_simple(
        "  - {path: \"/c/{r}\", channels: {subscribe: [\"c.{r}\"], publish: \"c.{r}\", "
        "echo_self: false}}\n");
    struct stream_client a = client_open(test, UPGRADE("/c/x"));
    struct stream_client b = client_open(test, UPGRADE("/c/x"));
    client_frame(test, a, 0x81, "hello");
    expect_nothing(a);
    expect_messages(b, "hello");
    stream_test_close(test);
}

Test(channels, a_switch_is_answered_only_when_the_home_knows) {
    struct stream_test *test =
        stream_test_open(CHAT, 2, (struct admission_limits){.connections = 1000});
    test->is_home_asleep = true;
    struct stream_client late = {0};
    for (char room = 'a'; room <= 'z' && late.index == 0; room++) { // one whose home is asleep
        char request[512];
        char name[16];
        snprintf(name, sizeof name, "chat.%c", room);
        if (bus_home(&test->bus, span_text(name)) == 1) {
            snprintf(request, sizeof request, "GET /chat/%c HTTP/1.1\r\n%s", room,
                     HANDSHAKE_FIELDS);
            late = stream_test_accept(test, "192.0.2.1");
            client_text(test, late, request);
        }
    }
    cr_assert_eq(client_state(test, late), CONN_VERDICT);
    cr_assert_str_eq(client_take(late), "");
    test->is_home_asleep = false;
    stream_test_settle(test);
    client_expect_start(late, "HTTP/1.1 101 ");
    stream_test_close(test);
}

Test(channels, one_that_may_not_publish_is_closed_with_1008) {
    struct stream_test *test =
        stream_test_simple("  - {path: /r, channels: {subscribe: [\"r\"]}}\n");
    struct stream_client a = client_open(test, UPGRADE("/r"));
    client_frame(test, a, 0x81, "hello");
    cr_assert_eq(client_state(test, a), CONN_CLOSING);
    cr_assert_eq(memcmp(client_take(a) + 2, "\x03\xf0", 2), 0);
    cr_assert_eq(conn_at(&test->base->conns, a.index)->fault, FAULT_not_publishable);
    stream_test_close(test);
}

Test(channels, several_channels_publish_to_the_one_that_is_named) {
    struct stream_test *test = stream_test_simple(
        "  - {path: \"/m/{r}\", channels: {subscribe: [\"all\", \"m.{r}\"], publish: \"all\"}}\n");
    struct stream_client a = client_open(test, UPGRADE("/m/x"));
    struct stream_client b = client_open(test, UPGRADE("/m/y"));
    client_frame(test, a, 0x81, "to all");
    expect_messages(a, "to all");
    expect_messages(b, "to all");
    cr_assert_eq(test->channels.used, 3);
    stream_test_close(test);
}

Test(channels, doubled_names_are_one_subscription) {
    struct stream_test *test = stream_test_simple(
        "  - {path: \"/d/{a}/{b}\", channels: {subscribe: [\"d.{a}\", \"d.{b}\"], publish: "
        "\"d.{a}\"}}\n");
    struct stream_client a = client_open(test, UPGRADE("/d/x/x"));
    client_frame(test, a, 0x81, "once");
    expect_messages(a, "once");
    stream_test_close(test);
}

Test(channels, large_messages_in_pieces_of_the_bus) {
    struct stream_test *test = stream_test_simple(CHAT);
    struct stream_client a = client_open(test, UPGRADE("/chat/x"));
    struct stream_client b = client_open(test, UPGRADE("/chat/x?envelope=json"));
    char *body = malloc(40001);
    memset(body, 'x', 40000);
    body[40000] = 0;
    client_frame(test, a, 0x81, body);
    cr_assert_eq(a.output->length, 40004);
    client_take(a);
    cr_assert_gt(b.output->length, 40004);
    client_take(b);
    free(body);
    stream_test_close(test);
}

// --- the envelope

#define ENVELOPE(path) UPGRADE(path "?envelope=json")

Test(envelope, messages_carry_channel_and_id) {
    struct stream_test *test = stream_test_simple(CHAT);
    struct stream_client plain = client_open(test, UPGRADE("/chat/x"));
    struct stream_client json = client_open(test, ENVELOPE("/chat/x"));
    client_frame(test, plain, 0x81, "a \"b\"\n");
    expect_messages(plain, "a \"b\"\n");
    expect_messages(json, "{\"id\":\"0000000000000000-0000000000000001\",\"channel\":\"chat.x\","
                          "\"data\":\"a \\\"b\\\"\\u000a\"}");
    client_frame(test, plain, 0x82, "binary");
    client_take(plain);
    expect_messages(json, "{\"id\":\"0000000000000000-0000000000000002\",\"channel\":\"chat.x\","
                          "\"base64\":\"YmluYXJ5\"}");
    stream_test_close(test);
}

Test(envelope, subscribes_and_unsubscribes_within_what_is_allowed) {
    struct stream_test *test = stream_test_simple(FREE CHAT);
    struct stream_client a = client_open(test, ENVELOPE("/me/joe"));
    client_frame(test, a, 0x81, "{\"subscribe\":\"room.1\"}");
    expect_messages(a, "{\"subscribed\":\"room.1\"}");
    client_frame(test, a, 0x81, "{\"subscribe\":\"room.1\"}"); // again: no harm
    expect_messages(a, "{\"subscribed\":\"room.1\"}");
    client_frame(test, a, 0x81, "{\"subscribe\":\"joe.x\"}");
    expect_messages(a, "{\"subscribed\":\"joe.x\"}");
    client_frame(test, a, 0x81, "{\"subscribe\":\"jim.x\"}");
    expect_messages(a, "{\"error\":\"channel not allowed\",\"channel\":\"jim.x\"}");
    client_frame(test, a, 0x81, "{\"subscribe\":\"room.\"}"); // `*` is one byte or more
    expect_messages(a, "{\"error\":\"channel not allowed\",\"channel\":\"room.\"}");
    client_frame(test, a, 0x81, "{\"subscribe\":\"room.*\"}"); // no wildcards in names
    expect_messages(a, "{\"error\":\"invalid channel name\"}");
    client_frame(test, a, 0x81, "{\"unsubscribe\":\"room.1\"}");
    expect_messages(a, "{\"unsubscribed\":\"room.1\"}");
    client_frame(test, a, 0x81, "{\"unsubscribe\":\"room.1\"}");
    expect_messages(a, "{\"error\":\"not subscribed\",\"channel\":\"room.1\"}");
    stream_test_close(test);
}

Test(envelope, channels_at_n_and_n_plus_1) {
    struct stream_test *test = stream_test_simple(FREE);
    struct stream_client a = client_open(test, ENVELOPE("/me/joe")); // has one
    client_frame(test, a, 0x81, "{\"subscribe\":\"room.1\"}");
    client_frame(test, a, 0x81, "{\"subscribe\":\"room.2\"}");
    expect_messages(a, "{\"subscribed\":\"room.1\"}", "{\"subscribed\":\"room.2\"}");
    client_frame(test, a, 0x81, "{\"subscribe\":\"room.3\"}");
    expect_messages(a, "{\"error\":\"too many channels\",\"channel\":\"room.3\"}");
    client_frame(test, a, 0x81, "{\"subscribe\":\"room.2\"}"); // one that it has is no more
    expect_messages(a, "{\"subscribed\":\"room.2\"}");
    client_frame(test, a, 0x81, "{\"unsubscribe\":\"room.1\"}");
    client_frame(test, a, 0x81, "{\"subscribe\":\"room.3\"}");
    expect_messages(a, "{\"unsubscribed\":\"room.1\"}", "{\"subscribed\":\"room.3\"}");
    stream_test_close(test);
}

Test(envelope, publishes_and_is_told_how_many_it_reached) {
    struct stream_test *test = stream_test_simple(FREE);
    struct stream_client a = client_open(test, ENVELOPE("/me/joe"));
    struct stream_client b = client_open(test, ENVELOPE("/me/jim"));
    client_frame(test, a, 0x81, "{\"publish\":\"room.1\",\"data\":\"nobody\"}");
    expect_messages(a, "{\"published\":\"room.1\",\"subscribers\":0}");
    client_frame(test, b, 0x81, "{\"subscribe\":\"room.1\"}");
    client_take(b);
    client_frame(test, a, 0x81, "{\"publish\":\"room.1\",\"data\":\"hi\"}");
    expect_messages(a, "{\"published\":\"room.1\",\"subscribers\":1}");
    expect_messages(b, "{\"id\":\"0000000000000002-0000000000000001\",\"channel\":\"room.1\","
                       "\"data\":\"hi\"}");
    client_frame(test, a, 0x81, "{\"publish\":\"room.1\",\"base64\":\"AAEC\"}");
    client_take(a);
    expect_messages(b, "{\"id\":\"0000000000000002-0000000000000002\",\"channel\":\"room.1\","
                       "\"base64\":\"AAEC\"}");
    static const struct {
        const char *message, *answer;
    } rows[] = {
        {"{\"publish\":\"room.1\",\"base64\":\"A\"}",
         "{\"error\":\"malformed base64\",\"channel\":\"room.1\"}"},
        {"{\"publish\":\"room.1\"}",
         "{\"error\":\"publish needs data or base64, a string\",\"channel\":\"room.1\"}"},
        {"{\"publish\":\"room.1\",\"data\":5}",
         "{\"error\":\"publish needs data or base64, a string\",\"channel\":\"room.1\"}"},
        {"{\"publish\":\"room.1\",\"data\":\"a\",\"base64\":\"AAEC\"}",
         "{\"error\":\"publish needs data or base64, a string\",\"channel\":\"room.1\"}"},
        {"{\"publish\":\"user.jim\",\"data\":\"a\"}",
         "{\"error\":\"channel not allowed\",\"channel\":\"user.jim\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        client_frame(test, a, 0x81, rows[i].message);
        expect_messages(a, rows[i].answer);
    }
    expect_nothing(b);
    stream_test_close(test);
}

Test(envelope, what_is_no_envelope_is_closed_with_1007) {
    static const char *const messages[] = {
        "hello",
        "[]",
        "{}",
        "{\"subscribe\":5}",
        "{\"subscribe\":\"room.1\",\"unsubscribe\":\"room.1\"}",
        "{\"subscribe\":\"room.1\",\"subscribe\":\"room.2\"}",
        "{\"subscribe\":\"room.1\"} x",
        "[[[[[[[[[[[[[[[[[[",
    };
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        struct stream_test *test = stream_test_simple(FREE);
        struct stream_client a = client_open(test, ENVELOPE("/me/joe"));
        client_frame(test, a, 0x81, messages[i]);
        expect(client_state(test, a) == CONN_CLOSING, "%s", messages[i]);
        expect(conn_at(&test->base->conns, a.index)->fault == FAULT_envelope_malformed, "%s",
               messages[i]);
        expect(memcmp(client_take(a) + 2, "\x03\xef", 2) == 0, "%s", messages[i]);
        stream_test_close(test);
    }
}

Test(envelope, a_binary_message_is_closed_with_1003) {
    struct stream_test *test = stream_test_simple(FREE);
    struct stream_client a = client_open(test, ENVELOPE("/me/joe"));
    client_frame(test, a, 0x82, "{\"subscribe\":\"room.1\"}");
    cr_assert_eq(conn_at(&test->base->conns, a.index)->fault, FAULT_message_kind);
    stream_test_close(test);
}

Test(envelope, its_messages_are_of_the_kinds_that_the_route_takes) {
    struct stream_test *test = stream_test_simple(
        "  - {path: /t, messages: text, channels: {subscribe: [\"t\"], publish: \"t\"}}\n");
    struct stream_client a = client_open(test, ENVELOPE("/t"));
    client_frame(test, a, 0x81, "{\"publish\":\"t\",\"base64\":\"AAEC\"}");
    expect_messages(a, "{\"error\":\"kind of message not accepted\",\"channel\":\"t\"}");
    stream_test_close(test);
}

Test(envelope, it_may_speak_where_the_route_takes_only_binary_messages) {
    struct stream_test *test = stream_test_simple(
        "  - {path: /b, messages: binary, channels: {subscribe: [\"b\"], publish: \"b\"}}\n");
    struct stream_client a = client_open(test, ENVELOPE("/b"));
    client_frame(test, a, 0x81, "{\"publish\":\"b\",\"data\":\"text\"}");
    expect_messages(a, "{\"error\":\"kind of message not accepted\",\"channel\":\"b\"}");
    client_frame(test, a, 0x81, "{\"publish\":\"b\",\"base64\":\"AAEC\"}");
    const char *taken = client_take(a);
    cr_assert_neq(strstr(taken, "\"base64\":\"AAEC\""), NULL);
    cr_assert_neq(strstr(taken, "{\"published\":\"b\",\"subscribers\":1}"), NULL);
    stream_test_close(test);
}

Test(envelope, the_form_does_not_stick_to_a_connection_whose_handshake_was_refused) {
    struct stream_test *test = stream_test_simple(
        "  - {path: /one, limits: {connections: 1}, channels: {subscribe: [\"one\"], publish: "
        "\"one\"}}\n" CHAT);
    struct stream_client first = client_open(test, UPGRADE("/one"));
    struct stream_client a = stream_test_accept(test, "192.0.2.2");
    client_text(test, a, ENVELOPE("/one"));
    client_expect_start(a, "HTTP/1.1 503 ");
    client_take(a);
    if (client_is_live(test, a) && client_state(test, a) == CONN_HEAD) {
        client_text(test, a, UPGRADE("/chat/x"));
        client_take(a);
        client_frame(test, a, 0x81, "plain");
        expect_messages(a, "plain");
    }
    client_leave(test, first);
    stream_test_close(test);
}

// --- memory at the home

Test(homes, a_join_that_is_refused_refuses_the_handshake_and_leaves_nothing) {
    struct stream_test *test = stream_test_simple(
        "  - {path: /two, channels: {subscribe: [\"two.a\", \"two.b\"]}}\n" CHAT);
    struct stream_client chat = client_open(test, UPGRADE("/chat/x"));
    test->homes.limit = 2; // the chat's, and one of the two
    struct stream_client a = stream_test_accept(test, "192.0.2.2");
    client_text(test, a, UPGRADE("/two"));
    client_expect_start(a, "HTTP/1.1 503 ");
    client_take(a);
    cr_assert_eq(test->homes.used, 1);
    cr_assert_eq(test->hub.subscription_count, 1);
    test->homes.limit = STREAM_TEST_NAMES;
    struct stream_client b = client_open(test, UPGRADE("/two"));
    cr_assert_eq(test->homes.used, 3);
    client_leave(test, b);
    client_frame(test, chat, 0x81, "still");
    expect_messages(chat, "still");
    stream_test_close(test);
}

Test(homes, the_leave_of_a_refused_join_takes_nobodys_interest) {
    struct stream_test *test = stream_test_simple(FREE);
    struct stream_client a = client_open(test, ENVELOPE("/me/joe"));
    struct stream_client b = client_open(test, ENVELOPE("/me/jim"));
    test->homes.limit = 2;
    client_frame(test, a, 0x81, "{\"subscribe\":\"room.1\"}");
    expect_messages(a, "{\"error\":\"out of memory\",\"channel\":\"room.1\"}");
    test->homes.limit = STREAM_TEST_NAMES;
    client_frame(test, b, 0x81, "{\"subscribe\":\"room.1\"}");
    client_take(b);
    client_frame(test, a, 0x81, "{\"unsubscribe\":\"room.1\"}"); // it never was
    expect_messages(a, "{\"error\":\"not subscribed\",\"channel\":\"room.1\"}");
    client_frame(test, a, 0x81, "{\"publish\":\"room.1\",\"data\":\"x\"}");
    expect_messages(a, "{\"published\":\"room.1\",\"subscribers\":1}");
    cr_assert_gt(b.output->length, 0);
    client_take(b);
    stream_test_close(test);
}
