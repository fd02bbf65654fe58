// Calls of the control thread to every worker, when there is no memory for some of them.
#include "gateway/process/process.h"
#include "tests/unit/gateway/bus/bus_test.h"

enum { FILLER = CALL_TRACE, NOTHING = CALL_KIND_COUNT };

struct rig {
    struct bus_test *test;
    struct process *process;
    uint64_t limit_bytes;
    uint32_t filled; // mails in front of worker 0
};

static struct rig rig_open(void) {
    struct rig rig = {.test = bus_test_open(), .process = calloc(1, sizeof(struct process))};
    cr_assert_not_null(rig.process);
    rig.process->worker_count = BUS_TEST_WORKERS;
    rig.process->bus = *bus_of(rig.test, BUS_TEST_CONTROL); // from now on the process has it
    rig.limit_bytes = rig.process->bus.arena->limit_bytes;
    return rig;
}

// From now on there is no room for mail to worker 0, until it takes some.
static void worker_fill(struct rig *rig) {
    struct bus *bus = &rig->process->bus;
    bus->arena->limit_bytes = 0;
    struct mail filler = {.kind = MAIL_CALL, .words = {0, FILLER}};
    while (bus_send(bus, 0, &filler, span_empty(), span_empty())) {
        rig->filled++;
    }
}

static void worker_empty(struct rig *rig) {
    struct bus_event event;
    for (; rig->filled > 0; rig->filled--) {
        cr_assert(bus_next(bus_of(rig->test, 0), &event));
        cr_assert_eq(event.mail.words[1], FILLER);
    }
}

// The next call that the worker gets, or NOTHING; its argument and its token.
static uint64_t call_next(struct rig *rig, uint32_t worker, uint64_t *argument) {
    struct bus_event event;
    if (!bus_next(bus_of(rig->test, worker), &event)) {
        return NOTHING;
    }
    cr_assert_eq(event.mail.kind, MAIL_CALL);
    cr_assert_eq(event.mail.words[0], PROCESS_TOKEN_OTHER);
    *argument = event.mail.words[3];
    return event.mail.words[1];
}

static void rig_close(struct rig *rig) {
    uint64_t argument = 0;
    for (uint32_t i = 0; i < BUS_TEST_WORKERS; i++) {
        cr_assert_eq(call_next(rig, i, &argument), NOTHING);
    }
    cr_assert_eq(rig->process->bus.arena->used_bytes, 0);
    free(rig->process);
    free(rig->test);
}

Test(calls, a_call_reaches_every_worker) {
    struct rig rig = rig_open();
    process_call_all(rig.process, PROCESS_TOKEN_OTHER, CALL_LOG_LEVEL, 3);
    for (uint32_t i = 0; i < BUS_TEST_WORKERS; i++) {
        uint64_t argument = 0;
        cr_assert_eq(call_next(&rig, i, &argument), CALL_LOG_LEVEL);
        cr_assert_eq(argument, 3);
    }
    process_calls_send(rig.process); // nothing is owed
    rig_close(&rig);
}

Test(calls, a_call_without_memory_goes_out_once_there_is_some) {
    struct rig rig = rig_open();
    uint64_t argument = 0;
    worker_fill(&rig);
    process_call_all(rig.process, PROCESS_TOKEN_OTHER, CALL_STOP, 7);
    cr_assert_eq(call_next(&rig, 1, &argument), CALL_STOP); // the others do not wait for it
    process_calls_send(rig.process);
    worker_empty(&rig);
    cr_assert_eq(call_next(&rig, 0, &argument), NOTHING);
    process_calls_send(rig.process);
    cr_assert_eq(call_next(&rig, 0, &argument), CALL_STOP);
    cr_assert_eq(argument, 7);
    process_calls_send(rig.process); // once
    rig_close(&rig);
}

Test(calls, a_newer_call_takes_the_place_of_one_that_is_owed) {
    struct rig rig = rig_open();
    uint64_t argument = 0;
    worker_fill(&rig);
    process_call_all(rig.process, PROCESS_TOKEN_OTHER, CALL_DRAIN, 30000);
    process_call_all(rig.process, PROCESS_TOKEN_OTHER, CALL_DRAIN, 0);
    process_call_all(rig.process, PROCESS_TOKEN_OTHER, CALL_STOP, 0); // another kind: both are owed
    worker_empty(&rig);
    process_calls_send(rig.process);
    cr_assert_eq(call_next(&rig, 0, &argument), CALL_DRAIN);
    cr_assert_eq(argument, 0);
    cr_assert_eq(call_next(&rig, 0, &argument), CALL_STOP);
    cr_assert_eq(call_next(&rig, 1, &argument), CALL_DRAIN);
    cr_assert_eq(argument, 30000);
    cr_assert_eq(call_next(&rig, 1, &argument), CALL_DRAIN);
    cr_assert_eq(argument, 0);
    cr_assert_eq(call_next(&rig, 1, &argument), CALL_STOP);
    rig_close(&rig);
}

Test(calls, with_room_in_the_arena_a_call_waits_in_the_backlog) {
    struct rig rig = rig_open();
    uint64_t argument = 0;
    worker_fill(&rig);
    rig.process->bus.arena->limit_bytes = rig.limit_bytes;
    process_call_all(rig.process, PROCESS_TOKEN_OTHER, CALL_STOP, 1);
    process_calls_send(rig.process); // it is on its way: not twice
    worker_empty(&rig);
    bus_flush(&rig.process->bus);
    cr_assert_eq(call_next(&rig, 0, &argument), CALL_STOP);
    cr_assert_eq(call_next(&rig, 1, &argument), CALL_STOP);
    rig_close(&rig);
}
