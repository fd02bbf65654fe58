// Names on the control thread, over a resolver that answers what a test says.
#include "gateway/process/names.h"

#include <errno.h>

#include "gateway/process/process.h"
#include "gateway/seam/resolve.h"
#include "tests/unit/gateway/bus/bus_test.h"

enum { NOW_MS = 1000000, INTERVAL_MS = 10000 };

// Of the control thread; nobody sleeps here.
struct io_doorbell process_doorbell(const struct process *process) {
    return process->bus_shared->endpoints[process->worker_count].doorbell;
}

// Stands in for the thread of gateway/seam: questions wait until a test answers.
struct resolver {
    struct resolve_answer answers[RESOLVE_PENDING_MAX];
    uint32_t answer_count, taken_count, asked_count, pending_count, pending_max;
    char hosts[16][8];
    uint64_t tokens[16];
    bool is_open;
};
static struct resolver fake;

struct resolver *resolve_open(void (*wake)(void *context), void *context) {
    cr_assert(wake != NULL && context != NULL && !fake.is_open, "there is one");
    fake = (struct resolver){.is_open = true, .pending_max = RESOLVE_PENDING_MAX};
    return &fake;
}
void resolve_close(struct resolver **resolver) {
    if (*resolver != NULL) {
        fake.is_open = false;
        *resolver = NULL;
    }
}
int resolve_submit(struct resolver *resolver, struct span host, uint64_t token) {
    if (resolver->pending_count == resolver->pending_max) {
        return -EAGAIN;
    }
    (void)snprintf(resolver->hosts[resolver->asked_count], 8, "%.*s", (int)host.length,
                   (const char *)host.data);
    resolver->tokens[resolver->asked_count++] = token;
    resolver->pending_count++;
    return 0;
}
bool resolve_next(struct resolver *resolver, struct resolve_answer *answer) {
    if (resolver->taken_count == resolver->answer_count) {
        return false;
    }
    *answer = resolver->answers[resolver->taken_count++];
    resolver->pending_count--;
    return true;
}

struct rig {
    struct bus_test *test;
    struct process *process;
    struct config config;
    struct config_upstream upstreams[2];
    struct config_server servers[2][2];
};

static struct rig *rig_open(void) {
    static const struct log_options loud = {
        .name = "test", .ring_bytes = 1 << 16, .level = LOG_LEVEL_INFO};
    struct rig *rig = calloc(1, sizeof *rig);
    cr_assert_not_null(rig);
    rig->test = bus_test_open();
    rig->process = calloc(1, sizeof *rig->process);
    cr_assert_not_null(rig->process);
    rig->process->worker_count = BUS_TEST_WORKERS;
    rig->process->bus = *bus_of(rig->test, BUS_TEST_CONTROL);
    rig->process->bus_shared = rig->test->shared;
    rig->process->log = log_open(&loud);
    rig->process->now_us = NOW_MS * UINT64_C(1000);
    for (uint32_t i = 0; i < 2; i++) {
        rig->upstreams[i] = (struct config_upstream){
            .servers = rig->servers[i], .server_count = 1, .resolve_ms = INTERVAL_MS};
    }
    rig->config = (struct config){.upstreams = rig->upstreams, .upstream_count = 1};
    return rig;
}

static void rig_close(struct rig *rig) {
    process_names_close(rig->process);
    cr_assert(!fake.is_open);
    log_close(&rig->process->log);
    free(rig->process);
    free(rig->test);
    free(rig);
}

static void turn(struct rig *rig, uint32_t later_ms) {
    rig->process->now_us += (uint64_t)later_ms * 1000;
    process_names_turn(rig->process);
}

// The question of that number is answered by the addresses first to first + count - 1.
static void answer(struct rig *rig, uint32_t question, uint32_t first, uint32_t count) {
    struct resolve_answer *given = &fake.answers[fake.answer_count++];
    *given = (struct resolve_answer){.token = fake.tokens[question], .count = count};
    given->problem = count == 0 ? "no such name" : NULL;
    for (uint32_t i = 0; i < count; i++) {
        given->addresses[i] = (struct address){.kind = ADDRESS_IP};
        given->addresses[i].ip[15] = (uint8_t)(first + i);
    }
    turn(rig, 0);
}

// What each worker was told last: host, count and last bytes of addresses. Empty: nothing new.
static void expect_mail(struct rig *rig, const char *wanted) {
    for (uint32_t worker = 0; worker < BUS_TEST_WORKERS; worker++) {
        char text[256] = "";
        struct bus_event event;
        while (bus_next(bus_of(rig->test, worker), &event)) {
            cr_assert_eq(event.mail.words[1], CALL_NAMES);
            size_t used = 0;
            for (struct span at = event.body; at.length > 0;) {
                uint32_t host_bytes = at.data[0];
                uint32_t count = at.data[1];
                used += (size_t)snprintf(text + used, sizeof text - used, "%.*s", (int)host_bytes,
                                         (const char *)at.data + 2);
                for (uint32_t i = 0; i < count; i++) {
                    used += (size_t)snprintf(text + used, sizeof text - used, " %u",
                                             at.data[2 + host_bytes + 16 * i + 15]);
                }
                used += (size_t)snprintf(text + used, sizeof text - used, ";");
                at = span_from(at, 2 + host_bytes + 16 * count);
            }
        }
        expect(strcmp(text, wanted) == 0, "worker %u was told `%s`, not `%s`", worker, text,
               wanted);
    }
}

// Lines with that word since the last call.
static uint32_t log_lines(struct rig *rig, const char *word) {
    struct span lines = log_take(rig->process->log);
    uint32_t count = 0;
    for (uint32_t at = 0; at + strlen(word) <= lines.length; at++) {
        count += memcmp(lines.data + at, word, strlen(word)) == 0;
    }
    log_consume(rig->process->log, lines.length);
    return count;
}

static void server_name(struct rig *rig, uint32_t upstream, uint32_t server, const char *host) {
    rig->servers[upstream][server].host = span_text(host);
}

Test(names, without_a_name_nothing_is_started) {
    struct rig *rig = rig_open();
    cr_assert(process_names_set(rig->process, &rig->config));
    cr_assert(!fake.is_open);
    turn(rig, 100000);
    process_names_tell(rig->process);
    expect_mail(rig, "");
    rig_close(rig);
}

Test(names, an_answer_reaches_every_worker_and_is_asked_for_again) {
    struct rig *rig = rig_open();
    server_name(rig, 0, 0, "a");
    cr_assert(process_names_set(rig->process, &rig->config));
    turn(rig, 0);
    cr_assert_eq(fake.asked_count, 1);
    answer(rig, 0, 1, 2);
    expect_mail(rig, "a 1 2;");
    turn(rig, INTERVAL_MS - 1);
    cr_assert_eq(fake.asked_count, 1);
    turn(rig, 1);
    cr_assert_eq(fake.asked_count, 2);
    turn(rig, INTERVAL_MS);
    cr_assert_eq(fake.asked_count, 2, "one question at a time");
    answer(rig, 1, 1, 2); // the same
    expect_mail(rig, "");
    turn(rig, INTERVAL_MS);
    answer(rig, 2, 1, 1);
    expect_mail(rig, "a 1;");
    cr_assert_eq(log_lines(rig, "name_resolved"), 2);
    cr_assert_eq(rig->process->counters.values[COUNTER_upstream_lookups_changed], 2);
    rig_close(rig);
}

Test(names, a_failure_keeps_the_last_good_answer_and_is_said_once) {
    struct rig *rig = rig_open();
    server_name(rig, 0, 0, "a");
    cr_assert(process_names_set(rig->process, &rig->config));
    turn(rig, 0);
    answer(rig, 0, 1, 1);
    expect_mail(rig, "a 1;");
    turn(rig, INTERVAL_MS);
    for (uint32_t i = 1; i < 6; i++) {
        answer(rig, i, 0, 0);
        turn(rig, 2000); // sooner than after an answer
        cr_assert_eq(fake.asked_count, i + 2);
    }
    expect_mail(rig, "");
    cr_assert_eq(log_lines(rig, "name_unresolved"), 1);
    cr_assert_eq(rig->process->counters.values[COUNTER_upstream_lookups_failed], 5);
    process_names_tell(rig->process);
    expect_mail(rig, "a 1;");
    answer(rig, 6, 1, 1);
    expect_mail(rig, "");
    cr_assert_eq(log_lines(rig, "name_resolved"), 1);
    rig_close(rig);
}

Test(names, a_first_answer_in_vain_is_told_once) {
    struct rig *rig = rig_open();
    server_name(rig, 0, 0, "a");
    cr_assert(process_names_set(rig->process, &rig->config));
    turn(rig, 0);
    answer(rig, 0, 0, 0);
    expect_mail(rig, "a;");
    turn(rig, 2000);
    answer(rig, 1, 0, 0);
    expect_mail(rig, "");
    rig_close(rig);
}

Test(names, what_a_worker_missed_is_told_again) {
    struct rig *rig = rig_open();
    server_name(rig, 0, 0, "a");
    cr_assert(process_names_set(rig->process, &rig->config));
    turn(rig, 0);
    answer(rig, 0, 1, 1);
    expect_mail(rig, "a 1;");
    turn(rig, 29999);
    expect_mail(rig, "");
    turn(rig, 1);
    expect_mail(rig, "a 1;");
    rig_close(rig);
}

Test(names, a_name_that_several_use_is_asked_for_once_and_as_often_as_the_most_hasty_wants) {
    struct rig *rig = rig_open();
    rig->config.upstream_count = 2;
    rig->upstreams[0].server_count = 2;
    rig->upstreams[1].resolve_ms = 500;
    server_name(rig, 0, 0, "a");
    server_name(rig, 0, 1, "b");
    server_name(rig, 1, 0, "a");
    cr_assert(process_names_set(rig->process, &rig->config));
    turn(rig, 0);
    cr_assert_eq(fake.asked_count, 2);
    answer(rig, 0, 1, 1);
    answer(rig, 1, 2, 1);
    expect_mail(rig, "a 1;b 2;");
    turn(rig, 500);
    cr_assert_eq(fake.asked_count, 3);
    cr_assert_eq(fake.hosts[2][0], 'a');
    rig_close(rig);
}

Test(names, a_new_configuration_keeps_what_is_known_and_drops_late_answers) {
    struct rig *rig = rig_open();
    rig->upstreams[0].server_count = 2;
    server_name(rig, 0, 0, "a");
    server_name(rig, 0, 1, "b");
    cr_assert(process_names_set(rig->process, &rig->config));
    turn(rig, 0);
    answer(rig, 0, 1, 1);
    expect_mail(rig, "a 1;");
    server_name(rig, 0, 0, "c");
    server_name(rig, 0, 1, "a");
    cr_assert(process_names_set(rig->process, &rig->config));
    process_names_tell(rig->process);
    expect_mail(rig, "a 1;");
    answer(rig, 1, 7, 1); // b: nobody's any more
    expect_mail(rig, "");
    cr_assert_eq(fake.asked_count, 4, "both are looked up, since an answer may have been lost");
    answer(rig, 2, 3, 1);
    expect_mail(rig, "c 3;a 1;");
    rig_close(rig);
}

Test(names, more_questions_than_the_resolver_takes_are_asked_later) {
    struct rig *rig = rig_open();
    rig->upstreams[0].server_count = 2;
    server_name(rig, 0, 0, "a");
    server_name(rig, 0, 1, "b");
    cr_assert(process_names_set(rig->process, &rig->config));
    fake.pending_max = 1;
    turn(rig, 0);
    cr_assert_eq(fake.asked_count, 1);
    answer(rig, 0, 1, 1);
    cr_assert_eq(fake.asked_count, 2);
    rig_close(rig);
}

Test(names, names_come_behind_the_site_that_needs_them) {
    struct rig *rig = rig_open();
    server_name(rig, 0, 0, "a");
    cr_assert(process_names_set(rig->process, &rig->config));
    turn(rig, 0);
    rig->process->calls[CALL_SITE].workers = 1; // worker 0 is owed it
    answer(rig, 0, 1, 1);
    struct bus_event event;
    cr_assert(bus_next(bus_of(rig->test, 0), &event));
    cr_assert_eq(event.mail.words[1], CALL_SITE);
    expect_mail(rig, "a 1;");
    rig_close(rig);
}
