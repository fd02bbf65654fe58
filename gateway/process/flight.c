// Async-signal-safe: only write(2), no allocation, no stdio.
#include "gateway/process/flight.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/conn/conn.h"

enum { LINES_ON_DEATH = 200 }; // per worker

// A signal handler has no context argument: this must be global. Written before the threads start.
static const struct trace *flight_traces[WORKERS_MAX];

struct text {
    char *at;
    char *end;
};

static void put_text(struct text *text, const char *source) {
    while (*source != 0 && text->at < text->end) {
        *text->at++ = *source++;
    }
}

static void put_number(struct text *text, uint64_t value) {
    char digits[21];
    int count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (count > 0 && text->at < text->end) {
        *text->at++ = digits[--count];
    }
}

static void put_signed(struct text *text, int64_t value) {
    if (value < 0) {
        put_text(text, "-");
        value = -value;
    }
    put_number(text, (uint64_t)value);
}

static void put_field(struct text *text, const char *name, uint64_t value) {
    put_text(text, name);
    put_number(text, value);
}

static void put_conn_move(struct text *text, const struct trace_record *record) {
    put_field(text, "conn ", record->a);
    put_text(text, " ");
    put_text(text, conn_state_name((enum conn_state)(record->b >> 8)));
    put_text(text, " -> ");
    put_text(text, conn_state_name((enum conn_state)(record->b & 0xff)));
    if (record->c > 0 && record->c < FAULT_COUNT) {
        put_text(text, " ");
        put_text(text, fault_table[record->c].name);
    }
}

static void put_slot_move(struct text *text, const struct trace_record *record) {
    static const char *const states[] = {"free", "open", "stopping", "closing"};
    put_field(text, "ring ", record->a >> 24);
    put_field(text, " slot ", record->a & 0xffffff);
    put_text(text, " ");
    put_text(text, record->b >> 8 < 4 ? states[record->b >> 8] : "?");
    put_text(text, " -> ");
    put_text(text, (record->b & 0xff) < 4 ? states[record->b & 0xff] : "?");
    put_field(text, " flight ", (uint64_t)record->c);
}

uint32_t flight_line(const struct trace_record *record, char *line, uint32_t room) {
    struct text text = {.at = line, .end = line + room};
    put_number(&text, record->sequence);
    put_field(&text, " t=", record->now_ms);
    put_text(&text, " ");
    switch (record->kind) {
    case TRACE_CONN_MOVE:
        put_conn_move(&text, record);
        break;
    case TRACE_SLOT_MOVE:
        put_slot_move(&text, record);
        break;
    case TRACE_FAULT:
        put_field(&text, "conn ", record->a);
        put_text(&text, " fault ");
        put_text(&text, record->b < FAULT_COUNT ? fault_table[record->b].name : "?");
        break;
    default:
        put_field(&text, record->kind == TRACE_IO ? "io op " : "worker event ", record->a);
        put_field(&text, " ", record->b);
        put_text(&text, " result ");
        put_signed(&text, record->c);
        break;
    }
    return (uint32_t)(text.at - line);
}

static void put_out(const char *bytes, size_t length) {
    // Dying: a failed write has nobody to be told to.
    ssize_t written = write(STDERR_FILENO, bytes, length);
    (void)written;
}

static void trace_write(uint32_t worker, const struct trace *trace) {
    char line[256];
    struct text head = {.at = line, .end = line + sizeof line};
    put_field(&head, "flight recorder of worker ", worker);
    put_text(&head, "\n");
    put_out(line, (size_t)(head.at - line));
    uint64_t count = trace->count < TRACE_RECORDS ? trace->count : TRACE_RECORDS;
    count = count < LINES_ON_DEATH ? count : LINES_ON_DEATH;
    for (uint64_t i = trace->count - count; i < trace->count; i++) {
        uint32_t length = flight_line(&trace->records[i % TRACE_RECORDS], line, sizeof line - 1);
        line[length] = '\n';
        put_out(line, length + 1);
    }
}

static void on_fatal(int number) {
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        if (flight_traces[i] != NULL) {
            trace_write(i, flight_traces[i]);
        }
    }
    // SA_RESETHAND: the default action, with a core where that is allowed.
    (void)raise(number);
}

void flight_open(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_fatal;
    action.sa_flags = (int)SA_RESETHAND;
    static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    for (unsigned i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        (void)sigaction(fatal[i], &action, NULL); // constant valid arguments: it cannot fail
    }
}

void flight_add(uint32_t worker, const struct trace *trace) {
    flight_traces[worker] = trace;
}

void flight_forget(void) {
    memset(flight_traces, 0, sizeof flight_traces);
}
