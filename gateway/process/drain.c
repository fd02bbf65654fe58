// Ending: the first SIGTERM drains over the configured time, the second hurries, the third cuts.
#include "gateway/process/process.h"

enum { HURRY_MS = 1000, CUT_AFTER_MS = 2000 };

void process_drain(struct process *process, uint64_t over_ms) {
    process->state = PROCESS_DRAINING;
    uint64_t wait_ms = over_ms + CLOSE_WAIT_MS + CUT_AFTER_MS;
    process->state_due_ms = process->now_us / 1000 + wait_ms;
    log_event(process->log, LOG_LEVEL_INFO, "draining", log_number("over_ms", over_ms),
              log_number("connections", admission_open_count(process->admission)));
    if (process->admin != NULL) {
        admin_state_set(process->admin, false, true);
    }
    notify_send("STOPPING=1");
    process_call_all(process, PROCESS_TOKEN_OTHER, CALL_DRAIN, over_ms);
}

static void stop(struct process *process) {
    process->state = PROCESS_STOPPING;
    uint32_t left = admission_open_count(process->admission);
    log_event(process->log, LOG_LEVEL_INFO, "stopping", log_number("connections_cut", left));
    process_call_all(process, PROCESS_TOKEN_OTHER, CALL_STOP, 0);
}

static void on_terminate(struct process *process, unsigned count) {
    for (unsigned i = 0; i < count && process->state != PROCESS_STOPPING; i++) {
        process->terminate_count++;
        if (process->state == PROCESS_SERVING) {
            process_drain(process, process->config->drain_ms);
        } else if (process->terminate_count == 2) {
            process_drain(process, HURRY_MS);
        } else {
            stop(process);
        }
    }
}

void process_drain_turn(struct process *process) {
    struct signals_seen seen = signals_take();
    // A storm of one signal within a turn is one wish: the third of three deliberate ones cuts, not
    // the third of a thousand at once.
    on_terminate(process, seen.terminate > 0);
    if (seen.reload > 0 && process->state == PROCESS_SERVING) {
        process_reload(process, 0);
    }
    bool is_over = admission_open_count(process->admission) == 0 ||
                   process->now_us / 1000 >= process->state_due_ms;
    if (process->state == PROCESS_DRAINING && is_over) {
        stop(process);
    }
    if (process->state == PROCESS_STOPPING) {
        bool is_done = true;
        for (uint32_t i = 0; i < process->worker_count; i++) {
            is_done =
                is_done && atomic_load_explicit(&process->workers[i].is_done, memory_order_acquire);
        }
        process->state = is_done ? PROCESS_STOPPED : process->state;
    }
}
