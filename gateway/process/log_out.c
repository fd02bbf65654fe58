// The log's way out: rings of all threads, drained in turn, one WRITE operation at a time, so that
// a slow disk blocks nobody: what does not fit a ring is dropped there and counted.
#include <errno.h>
#include <unistd.h>

#include "gateway/process/process.h"

static struct log *log_of(struct process *process, uint32_t index) {
    return index == process->worker_count ? process->log : process->workers[index].log;
}

void process_log_turn(struct process *process) {
    if (process->is_log_writing) {
        return;
    }
    uint32_t count = process->worker_count + 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = (process->log_writer + 1 + i) % count;
        struct log *log = log_of(process, index);
        struct span lines = log == NULL ? span_empty() : log_take(log);
        if (lines.length > 0) {
            process->log_writer = index;
            process->is_log_writing = true;
            io_write(process->io, STDERR_FILENO, lines, index);
            return;
        }
    }
}

void process_log_on_written(struct process *process, int32_t result) {
    process->is_log_writing = false;
    struct log *log = log_of(process, process->log_writer);
    if (result > 0) {
        log_consume(log, (uint32_t)result);
        return;
    }
    if (result == -EAGAIN || result == -EINTR) {
        return; // the next turn writes it again
    }
    // A full disk or a closed pipe: these lines are lost, counted with the dropped ones by their
    // absence in the file; the service goes on.
    counter_add(&process->counters, COUNTER_log_write_errors, 1);
    log_consume(log, log_take(log).length);
}

// At the end, when the ring is gone or its threads are: what is left, bounded by the rings.
void process_log_flush(struct process *process) {
    if (process->is_log_writing) {
        return; // nobody reads: a write here would wait for ever, and the first would come twice
    }
    for (uint32_t index = 0; index <= process->worker_count; index++) {
        struct log *log = log_of(process, index);
        struct span lines = log == NULL ? span_empty() : log_take(log);
        while (lines.length > 0) {
            ssize_t written = write(STDERR_FILENO, lines.data, lines.length);
            log_consume(log, written > 0 ? (uint32_t)written : lines.length);
            lines = log_take(log);
        }
    }
}

void process_log_close(struct process *process) {
    for (uint32_t index = 0; index < process->worker_count; index++) {
        log_close(&process->workers[index].log);
    }
    log_close(&process->log);
}
