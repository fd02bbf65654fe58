// Calls of the control thread: what each does to a worker, and what it answers.
#include "tests/unit/gateway/worker/calls_test.h"

// --- the worker as a whole

Test(calls, a_site_is_taken_or_refused_whole) {
    struct rig *rig = rig_open();
    struct site *second = site_make("  - {path: /new, echo: {}}\n");
    const struct bus_event *answer =
        call(rig, CALL_SITE, WORDS((uintptr_t)second, 0, 0), span_empty());
    cr_assert_eq(answer->mail.words[4], 0);
    cr_assert_eq(rig->worker.stream.site, second);
    cr_assert_eq(rig->worker.worker_queue_bytes, second->config->worker_queue_bytes);
    client(rig, "/new", "192.0.2.1");
    for (uint32_t i = 1; i < SETTINGS_MAX; i++) { // no rule is free
        rig->rules[i].route =
            rig->rules[i].route == NULL ? second->config->routes : rig->rules[i].route;
    }
    struct site *third = site_make(ROUTES);
    answer = call(rig, CALL_SITE, WORDS((uintptr_t)third, 0, 0), span_empty());
    cr_assert_eq(answer->mail.words[4], (uint64_t)-ENOSPC);
    cr_assert_eq(rig->worker.stream.site, second);
    cr_assert_eq(third->worker_holds, 0); // or it would stand for ever
    rig_close(rig);
}

#define SERVICE(name)                                                                              \
    "  - {path: /, proxy: {upstream: " name "}}\n"                                                 \
    "upstreams: {" name ": {servers: [\"http://127.0.0.1:9\"]}}\n"

Test(calls, a_site_that_is_refused_leaves_the_upstreams_as_they_were) {
    struct rig *rig = rig_open();
    struct upstreams *upstreams = &rig->worker.upstreams;
    struct site *first = site_make(SERVICE("web"));
    cr_assert_eq(call(rig, CALL_SITE, WORDS((uintptr_t)first, 0, 0), span_empty())->mail.words[4],
                 0);
    const struct upstream *web = upstream_get(upstreams, 0);
    for (uint32_t i = 1; i < SETTINGS_MAX; i++) { // no rule is free
        rig->rules[i].route =
            rig->rules[i].route == NULL ? first->config->routes : rig->rules[i].route;
    }
    struct site *second = site_make(SERVICE("other"));
    cr_assert_eq(call(rig, CALL_SITE, WORDS((uintptr_t)second, 0, 0), span_empty())->mail.words[4],
                 (uint64_t)-ENOSPC);
    cr_assert_eq(rig->worker.stream.site, first);
    cr_assert_eq(upstream_get(upstreams, 0), web);
    cr_assert(web->is_used && !web->is_retired);
    upstreams_stop(upstreams);
    rig_close(rig);
}

Test(calls, the_answer_to_a_reload_goes_out_once_there_is_memory_for_it) {
    struct rig *rig = rig_open();
    struct worker *worker = &rig->worker;
    struct mail filler = {.kind = MAIL_ANSWER, .words = {TOKEN, CALL_DRAIN}};
    uint32_t filled = 0;
    uint64_t limit = worker->arena.limit_bytes;
    worker->arena.limit_bytes = 0; // no backlog: the mailbox is all that there is
    while (bus_send(&worker->bus, CONTROL, &filler, span_empty(), span_empty())) {
        filled++;
    }
    struct site *second = site_make("  - {path: /new, echo: {}}\n");
    struct bus_event event = {
        .source = CONTROL,
        .mail = {.kind = MAIL_CALL, .words = {TOKEN, CALL_SITE, 0, (uintptr_t)second}}};
    worker_on_call(worker, &event);
    for (uint32_t i = 0; i < filled; i++) {
        cr_assert(answer_next(rig, CALL_DRAIN));
    }
    cr_assert_not(answer_next(rig, CALL_SITE));
    worker->arena.limit_bytes = limit;
    worker_answer_owed(worker);
    cr_assert(answer_next(rig, CALL_SITE));
    cr_assert_eq(rig->answer.mail.words[4], 0);
    worker_answer_owed(worker); // once
    rig_close(rig);
}

Test(calls, a_drain_stops_accepting_and_reaches_everyone) {
    struct rig *rig = rig_open();
    uint32_t a = client(rig, "/echo", "192.0.2.1");
    call(rig, CALL_DRAIN, WORDS(30000, 0, 0), span_empty());
    cr_assert_not(rig->worker.is_accepting);
    cr_assert(rig->worker.clients.link.is_accept_held);
    cr_assert(rig->worker.stream.is_draining);
    cr_assert_eq(rig->worker.clients.conns.drain_over_ms, 30000);
    worker_drain_step(&rig->worker);
    cr_assert(conn_has(conn_at(&rig->worker.clients.conns, a), CONN_DRAINING));
    rig_close(rig);
}

Test(calls, accept_stop_and_log_level) {
    struct rig *rig = rig_open();
    client(rig, "/echo", "192.0.2.1");
    call(rig, CALL_ACCEPT, WORDS(0, 0, 0), span_empty());
    cr_assert(!rig->worker.is_accepting && rig->worker.clients.link.is_accept_held);
    call(rig, CALL_ACCEPT, WORDS(1, 0, 0), span_empty());
    cr_assert(rig->worker.is_accepting && !rig->worker.clients.link.is_accept_held);
    cr_assert_not(log_is_on(rig->worker.log, LOG_LEVEL_DEBUG));
    call(rig, CALL_LOG_LEVEL, WORDS(LOG_LEVEL_DEBUG, 0, 0), span_empty());
    cr_assert(log_is_on(rig->worker.log, LOG_LEVEL_DEBUG));
    call(rig, CALL_STOP, WORDS(0, 0, 0), span_empty());
    cr_assert(rig->worker.is_stopping);
    cr_assert_eq(rig->worker.clients.conns.open_count, 0);
    rig_close(rig);
}

Test(calls, metrics_count_what_is_there) {
    struct rig *rig = rig_open();
    uint32_t a = client(rig, "/chat/x", "192.0.2.1");
    client(rig, "/chat/x", "192.0.2.2");
    client(rig, "/echo", "192.0.2.3");
    rig->worker.clients.index_peak = conn_open(&rig->worker.clients.conns); // still in its head
    cr_assert(stream_on_open(&rig->worker.stream, rig->worker.clients.index_peak));
    call(rig, CALL_SEND, WORDS(a, generation_of(rig, a), WS_TEXT), span_text("queued"));
    const struct bus_event *answer = call(rig, CALL_METRICS, WORDS(0, 0, 0), span_empty());
    cr_assert_eq(answer->body.length, sizeof(struct call_metrics));
    struct call_metrics metrics;
    memcpy(&metrics, answer->body.data, sizeof metrics);
    cr_assert_eq(metrics.by_state[CONN_OPEN], 3);
    cr_assert_eq(metrics.by_state[CONN_HEAD], 1);
    cr_assert_eq(metrics.by_state[CONN_FREE], 0);
    cr_assert_eq(metrics.queued_bytes, 8);
    cr_assert_eq(metrics.channels, 1);
    cr_assert_eq(metrics.subscriptions, 2);
    cr_assert_eq(metrics.rings, 1);
    cr_assert_eq(metrics.ring_slots, FAKE_SLOTS);
    cr_assert_eq(metrics.enters, 10);
    cr_assert_eq(metrics.memory_rings, 1000);
    cr_assert_eq(metrics.uptime_ms, 5000);
    cr_assert_eq(metrics.counters.values[COUNTER_handshakes], 3);
    cr_assert(metrics.is_accepting && !metrics.is_draining);
    rig->worker.arena.limit_bytes = 0; // no memory for an answer with a body
    answer = call(rig, CALL_METRICS, WORDS(0, 0, 0), span_empty());
    cr_assert_eq(answer->body.length, 0);
    rig->worker.arena.limit_bytes = ARENA_BYTES;
    rig_close(rig);
}

static uint64_t sequence_at(const struct bus_event *answer, uint32_t at) {
    struct trace_record record;
    cr_assert_leq((at + 1) * sizeof record, answer->body.length);
    memcpy(&record, answer->body.data + at * sizeof record, sizeof record);
    return record.sequence;
}

Test(calls, a_trace_comes_oldest_first) {
    struct rig *rig = rig_open();
    struct trace *trace = &rig->worker.trace;
    for (int i = 0; i < 3; i++) {
        trace_add(trace, 1, TRACE_IO, 1, 2, 3);
    }
    const struct bus_event *answer = call(rig, CALL_TRACE, WORDS(0, 0, 0), span_empty());
    cr_assert_eq(answer->mail.words[3], 0); // no more
    cr_assert_eq(answer->body.length, 3 * sizeof(struct trace_record));
    for (int i = 0; i < TRACE_RECORDS; i++) {
        trace_add(trace, 1, TRACE_IO, 1, 2, 3);
    }
    answer = call(rig, CALL_TRACE, WORDS(0, 0, 0), span_empty());
    cr_assert_eq(answer->mail.words[3], 1); // more follows
    cr_assert_eq(sequence_at(answer, 0), 3);
    uint32_t first = answer->body.length;
    cr_assert(answer_next(rig, CALL_TRACE));
    cr_assert_eq(rig->answer.mail.words[3], 0);
    cr_assert_eq(sequence_at(&rig->answer, 2), TRACE_RECORDS + 2);
    cr_assert_eq(first + rig->answer.body.length, TRACE_RECORDS * sizeof(struct trace_record));
    rig_close(rig);
}

// --- one connection

Test(calls, a_message_is_sent_dropped_or_comes_too_late) {
    struct rig *rig = rig_open();
    uint32_t a = client(rig, "/chat/x", "192.0.2.1");
    uint64_t generation = generation_of(rig, a);
    const struct bus_event *answer =
        call(rig, CALL_SEND, WORDS(a, generation, WS_TEXT), span_text("hello"));
    cr_assert_eq(answer->mail.words[4], CALL_SEND_QUEUED);
    cr_assert(span_is(sent(rig, a), "\x81\x05hello"));
    static const char large[1000] = {1};
    struct span body = span_make(large, sizeof large);
    answer = call(rig, CALL_SEND, WORDS(a, generation, WS_BINARY), body);
    cr_assert_eq(answer->mail.words[4], CALL_SEND_QUEUED);
    answer = call(rig, CALL_SEND, WORDS(a, generation, WS_BINARY), body); // drop_newest
    cr_assert_eq(answer->mail.words[4], CALL_SEND_DROPPED);
    answer = call(rig, CALL_SEND, WORDS(a, generation + 1, WS_TEXT), body);
    cr_assert_eq(answer->mail.words[4], CALL_SEND_GONE);
    answer = call(rig, CALL_SEND, WORDS(a + 1, generation, WS_TEXT), body);
    cr_assert_eq(answer->mail.words[4], CALL_SEND_GONE);
    answer = call(rig, CALL_SEND, WORDS(0, 0, WS_TEXT), body);
    cr_assert_eq(answer->mail.words[4], CALL_SEND_GONE);
    rig_close(rig);
}

Test(calls, a_close_carries_its_code_and_reason) {
    struct rig *rig = rig_open();
    uint32_t a = client(rig, "/echo", "192.0.2.1");
    uint64_t generation = generation_of(rig, a);
    const struct bus_event *answer =
        call(rig, CALL_CLOSE, WORDS(a, generation + 1, 4001), span_text("not you"));
    cr_assert_eq(answer->mail.words[4], 0);
    answer = call(rig, CALL_CLOSE, WORDS(a, generation, 4001), span_text("go"));
    cr_assert_eq(answer->mail.words[4], 1);
    cr_assert(span_is(sent(rig, a), "\x88\x04\x0f\xa1go"));
    cr_assert_eq(conn_at(&rig->worker.clients.conns, a)->fault, FAULT_closed_by_operator);
    rig_close(rig);
}

// --- many

static struct call_query query_of(const char *channel, const char *route, const char *address) {
    struct call_query query = {.count_max = CALL_PAGE_MAX,
                               .channel_bytes = (uint8_t)strlen(channel),
                               .route_bytes = (uint8_t)strlen(route)};
    memcpy(query.channel, channel, strlen(channel));
    memcpy(query.route, route, strlen(route));
    if (address[0] != 0) {
        query.has_address = 1;
        cr_assert(address_parse_ip(span_text(address), &query.address));
        query.address.kind = ADDRESS_IP;
    }
    return query;
}

// The indices of the connections in the answer, as digits.
static const char *indices(const struct bus_event *answer) {
    static char text[CALL_PAGE_MAX + 1];
    uint32_t count = answer->body.length / (uint32_t)sizeof(struct call_connection);
    for (uint32_t i = 0; i < count; i++) {
        struct call_connection line;
        memcpy(&line, answer->body.data + i * sizeof line, sizeof line);
        text[i] = (char)('0' + line.index);
    }
    text[count] = 0;
    return text;
}

static struct rig *rig_crowd(void) {
    struct rig *rig = rig_open();
    client(rig, "/chat/x", "192.0.2.1"); // 1
    client(rig, "/chat/y", "192.0.2.1"); // 2
    client(rig, "/echo", "192.0.2.2");   // 3
    client(rig, "/chat/x", "192.0.2.2"); // 4
    return rig;
}

Test(calls, connections_are_found_by_what_they_are_asked_for) {
    static const struct {
        const char *channel, *route, *address, *found;
    } rows[] = {{"", "", "", "1234"},
                {"chat.x", "", "", "14"},
                {"chat.z", "", "", ""},
                {"", "/echo", "", "3"},
                {"", "/chat/{room}", "", "124"},
                {"", "", "192.0.2.2", "34"},
                {"chat.x", "", "192.0.2.2", "4"},
                {"chat.x", "/echo", "", ""}};
    struct rig *rig = rig_crowd();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct call_query query = query_of(rows[i].channel, rows[i].route, rows[i].address);
        const char *found = indices(call_query(rig, CALL_CONNECTIONS, &query, 0));
        expect(strcmp(found, rows[i].found) == 0, "row %zu: %s", i, found);
    }
    struct call_query query = query_of("", "", "");
    query.count_max = 2;
    cr_assert_str_eq(indices(call_query(rig, CALL_CONNECTIONS, &query, 0)), "12");
    query.after_index = 2;
    cr_assert_str_eq(indices(call_query(rig, CALL_CONNECTIONS, &query, 0)), "34");
    query.after_index = 4;
    cr_assert_str_eq(indices(call_query(rig, CALL_CONNECTIONS, &query, 0)), "");
    query = query_of("", "", "");
    query.state = CONN_CLOSING + 1;
    cr_assert_str_eq(indices(call_query(rig, CALL_CONNECTIONS, &query, 0)), "");
    cr_assert_eq(call(rig, CALL_CONNECTIONS, WORDS(0), span_text("short"))->body.length, 0);
    rig_close(rig);
}

Test(calls, one_connection_is_described) {
    struct rig *rig = rig_crowd();
    conns_turn(&rig->worker.clients.conns, 3000000);
    uint64_t generation = generation_of(rig, 4);
    const struct bus_event *answer =
        call(rig, CALL_CONNECTION, WORDS(4, generation, 0), span_empty());
    struct call_connection line;
    cr_assert_eq(answer->body.length, sizeof line);
    memcpy(&line, answer->body.data, sizeof line);
    cr_assert(line.index == 4 && line.generation == generation && line.state == CONN_OPEN);
    cr_assert(line.age_ms == 2000 && line.silent_ms == 2000 && line.subscriptions == 1);
    cr_assert_eq(line.subscription_bytes, sizeof(struct hub_subscription));
    cr_assert(span_is(span_make(line.route, line.route_bytes), "/chat/{room}"));
    cr_assert(address_ip_equal(&line.address, &rig->addresses[4]));
    answer = call(rig, CALL_CONNECTION, WORDS(4, generation + 1, 0), span_empty());
    cr_assert_eq(answer->body.length, 0);
    rig_close(rig);
}

Test(calls, all_of_a_channel_are_closed_and_nobody_else) {
    struct rig *rig = rig_crowd();
    struct call_query query = query_of("chat.x", "", "");
    const struct bus_event *answer = call_query(rig, CALL_CLOSE_ALL, &query, 4002);
    cr_assert_eq(answer->mail.words[4], 2);
    cr_assert_eq(rig->worker.clients.conns.open_count, 2);
    cr_assert_eq(memcmp(sent(rig, 1).data + 2, "\x0f\xa2", 2), 0);
    answer = call_query(rig, CALL_CLOSE_ALL, &query, 4002); // they are closing already
    cr_assert_eq(answer->mail.words[4], 0);
    rig_close(rig);
}

Test(calls, channels_come_in_pages_with_their_subscribers) {
    struct rig *rig = rig_crowd();
    uint64_t cursor = 0;
    uint32_t pages = 0;
    uint32_t subscribers[2] = {0};
    do {
        const struct bus_event *answer =
            call(rig, CALL_CHANNELS, WORDS(cursor, 1, 0), span_empty());
        cursor = answer->mail.words[4];
        if (answer->body.length > 0) {
            cr_assert_eq(answer->body.length, 4 + 1 + 6);
            cr_assert_eq(memcmp(answer->body.data + 4,
                                "\x06"
                                "chat.",
                                6),
                         0);
            memcpy(&subscribers[answer->body.data[10] - 'x'], answer->body.data, 4);
        }
        cr_assert_lt(++pages, 5);
    } while (cursor != 0);
    cr_assert(subscribers[0] == 2 && subscribers[1] == 1);
    rig_close(rig);
}
