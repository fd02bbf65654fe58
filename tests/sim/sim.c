// The world: chance, time, events, records, and the end of a run that broke a law.
#include "tests/sim/sim_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"

enum { CERTAIN = 10000, ENABLED_MIN = 5, REPORT_RECORDS = 200, MS_US = 1000 };

const char *const sim_fault_names[SIM_FAULT_COUNT] = {
#define SIM_FAULT(name, rate, text) #name,
#include "tests/sim/fault_menu.h"
#undef SIM_FAULT
};
static const uint32_t rates_max[SIM_FAULT_COUNT] = {
#define SIM_FAULT(name, rate, text) rate,
#include "tests/sim/fault_menu.h"
#undef SIM_FAULT
};

struct sim_event {
    uint64_t due_us, sequence;
    sim_action *action;
    void *context;
    uint64_t argument;
};

// --- chance

// Swarm: a few faults or many, each often or rarely, so that some seeds see one of them alone.
void sim_faults_choose(struct sim *sim) {
    uint32_t share = 5 + sim_below(sim, 60); // of 100
    uint32_t enabled = 0;
    for (uint32_t pass = 0; enabled < ENABLED_MIN; pass++) {
        for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
            if (sim->rates[i] == 0 && sim_below(sim, 100) < share) {
                uint32_t rate = rates_max[i] >> sim_below(sim, 4);
                sim->rates[i] = rate > 0 ? rate : 1;
                enabled++;
            }
        }
    }
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        prng_init(&sim->fault_prngs[i], sim->options.seed * SIM_FAULT_COUNT + i + 1);
        sim->rates[i] = sim->options.is_off[i] ? 0 : sim->rates[i];
    }
}

bool sim_fault_is_on(const struct sim *sim, enum sim_fault_id fault) {
    return sim->rates[fault] > 0;
}

bool sim_fault(struct sim *sim, enum sim_fault_id fault) {
    bool is_possible = sim->rates[fault] > 0 && sim->phase == SIM_STORM;
    if (!is_possible || prng_below(&sim->fault_prngs[fault], CERTAIN) >= sim->rates[fault]) {
        return false;
    }
    sim->fault_counts[fault]++;
    sim_record(sim, SIM_RECORD_FAULT, fault, 0, 0);
    return true;
}

// --- events

static bool is_before(const struct sim_event *a, const struct sim_event *b) {
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->sequence < b->sequence;
}

void sim_after(struct sim *sim, uint64_t delay_us, sim_action *action, void *context,
               uint64_t argument) {
    uint64_t due_us = sim->now_us + delay_us;
    if (delay_us > 0 && sim_fault_is_on(sim, SIM_FAULT_together) &&
        sim_fault(sim, SIM_FAULT_together)) {
        due_us = (due_us + MS_US - 1) / MS_US * MS_US;
    }
    if (sim->event_count == sim->event_max) {
        sim->event_max = sim->event_max * 2 + 256;
        sim->events = realloc(sim->events, sim->event_max * sizeof sim->events[0]);
        check(sim->events != NULL);
    }
    struct sim_event event = {due_us, sim->sequence++, action, context, argument};
    uint32_t at = sim->event_count++;
    for (; at > 0 && is_before(&event, &sim->events[(at - 1) / 2]); at = (at - 1) / 2) {
        sim->events[at] = sim->events[(at - 1) / 2];
    }
    sim->events[at] = event;
}

static struct sim_event event_take(struct sim *sim) {
    struct sim_event first = sim->events[0];
    struct sim_event moved = sim->events[--sim->event_count];
    uint32_t at = 0;
    for (uint32_t child = 1; child < sim->event_count; child = 2 * at + 1) {
        if (child + 1 < sim->event_count &&
            is_before(&sim->events[child + 1], &sim->events[child])) {
            child++;
        }
        if (!is_before(&sim->events[child], &moved)) {
            break;
        }
        sim->events[at] = sim->events[child];
        at = child;
    }
    sim->events[at] = moved;
    return first;
}

bool sim_step(struct sim *sim) {
    if (sim->event_count == 0) {
        return false;
    }
    struct sim_event event = event_take(sim);
    if (event.due_us > sim->now_us) {
        sim->wall_ms += event.due_us / MS_US - sim->now_us / MS_US;
        sim->now_us = event.due_us;
    }
    sim->step++;
    event.action(sim, event.context, event.argument);
    for (uint32_t i = 0; i < sim->watcher_count; i++) {
        sim->watchers[i].watch(sim, sim->watchers[i].context);
    }
    return true;
}

bool sim_step_until(struct sim *sim, uint64_t until_us) {
    if (sim->event_count > 0 && sim->events[0].due_us <= until_us) {
        return sim_step(sim);
    }
    sim->now_us = until_us > sim->now_us ? until_us : sim->now_us;
    return false;
}

void sim_watch(struct sim *sim, sim_watcher *watch, void *context) {
    check(sim->watcher_count < SIM_WATCHERS_MAX);
    sim->watchers[sim->watcher_count].watch = watch;
    sim->watchers[sim->watcher_count++].context = context;
}

// --- records

static void fold(struct sim *sim, uint64_t word) {
    uint64_t mixed = (sim->hash ^ word) * 0x9e3779b97f4a7c15;
    sim->hash = mixed ^ mixed >> 29;
}

void sim_hash(struct sim *sim, const void *bytes, uint32_t length) {
    const uint8_t *data = bytes;
    for (uint32_t i = 0; i < length; i += 8) {
        uint64_t word = 0;
        memcpy(&word, data + i, length - i < 8 ? length - i : 8);
        fold(sim, word);
    }
    fold(sim, length);
}

static void record_print(const struct sim_record *record) {
    static const char *const kinds[SIM_RECORD_KIND_COUNT] = {
        "none", "turn", "complete", "prepare", "hop", "net", "client", "fault", "law", "log"};
    bool is_fault = record->kind == SIM_RECORD_FAULT && record->a < SIM_FAULT_COUNT;
    (void)fprintf(stderr, "%8u %12.6f %-8s %8x %8x %lld%s%s\n", record->step,
                  (double)record->now_us / 1e6, kinds[record->kind], record->a, record->b,
                  (long long)record->c, is_fault ? " " : "",
                  is_fault ? sim_fault_names[record->a] : ""); // for people only
}

void sim_record(struct sim *sim, enum sim_record_kind kind, uint32_t a, uint32_t b, int64_t c) {
    struct sim_record *record = &sim->records[sim->record_count++ % SIM_RECORDS];
    *record = (struct sim_record){.now_us = sim->now_us,
                                  .step = (uint32_t)sim->step,
                                  .kind = (uint32_t)kind,
                                  .a = a,
                                  .b = b,
                                  .c = c};
    fold(sim, sim->now_us);
    fold(sim, (uint64_t)kind << 32 | a);
    fold(sim, b);
    fold(sim, (uint64_t)c);
    if (sim->options.is_trace) {
        record_print(record);
    }
}

void sim_report(const struct sim *sim) {
    if (sim->options.is_quiet) {
        return; // nobody asked
    }
    if (sim->report != NULL) {
        sim->report();
    }
    if (sim->options.is_trace) {
        return; // all of it stands above
    }
    uint64_t count = sim->record_count < REPORT_RECORDS ? sim->record_count : REPORT_RECORDS;
    for (uint64_t i = sim->record_count - count; i < sim->record_count; i++) {
        record_print(&sim->records[i % SIM_RECORDS]);
    }
}

void sim_fail(struct sim *sim, const char *law, const char *format, ...) {
    sim_report(sim);
    (void)fprintf(stderr, "VIOLATION seed %llu step %llu time %.6f law %s: ",
                  (unsigned long long)sim->options.seed, (unsigned long long)sim->step,
                  (double)sim->now_us / 1e6, law);
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\n");
    _exit(3);
}
