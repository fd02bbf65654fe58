// Async-signal-safe: only write(2), no allocation, no stdio.
#include "gateway/process/flight.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/base/limits.h"
#include "gateway/worker/trace_line.h"

enum { LINES_ON_DEATH = 200 }; // per worker

// A signal handler has no context argument: this must be global. Written before the threads start.
static const struct trace *flight_traces[WORKERS_MAX];

static void put_out(const char *bytes, size_t length) {
    // Dying: a failed write has nobody to be told to.
    ssize_t written = write(STDERR_FILENO, bytes, length);
    (void)written;
}

static void trace_write(uint32_t worker, const struct trace *trace) {
    char line[TRACE_LINE_BYTES];
    char head[] = "flight recorder of worker 00\n";
    head[sizeof head - 4] = (char)('0' + worker / 10); // WORKERS_MAX is 64
    head[sizeof head - 3] = (char)('0' + worker % 10);
    put_out(head, sizeof head - 1);
    uint64_t count = trace->count < TRACE_RECORDS ? trace->count : TRACE_RECORDS;
    count = count < LINES_ON_DEATH ? count : LINES_ON_DEATH;
    for (uint64_t i = trace->count - count; i < trace->count; i++) {
        uint32_t length = trace_line(&trace->records[i % TRACE_RECORDS], line, sizeof line - 1);
        line[length] = '\n';
        put_out(line, length + 1);
    }
}

void flight_write(void) {
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        if (flight_traces[i] != NULL) {
            trace_write(i, flight_traces[i]);
        }
    }
}

static void on_fatal(int number) {
    flight_write();
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
