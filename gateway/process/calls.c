// Calls to every worker: mail that may find no memory, and must not be lost for that.
#include "gateway/process/process.h"

// Those that find no memory now go out in a later turn: whoever misses one of these would serve by
// an old configuration, or never stop.
void process_calls_send(struct process *process) {
    for (uint32_t kind = 0; kind < CALL_KIND_COUNT; kind++) {
        struct process_call *call = &process->calls[kind];
        for (uint32_t i = 0; call->workers != 0 && i < process->worker_count; i++) {
            struct mail mail = {.kind = MAIL_CALL, .words = {call->token, kind, 0, call->argument}};
            bool is_owed = (call->workers >> i & 1) != 0;
            if (is_owed && bus_send(&process->bus, i, &mail, span_empty(), span_empty())) {
                call->workers &= ~(UINT64_C(1) << i);
            }
        }
    }
}

void process_call_all(struct process *process, uint64_t token, enum call_kind kind,
                      uint64_t argument) {
    uint64_t all = UINT64_MAX >> (WORKERS_MAX - process->worker_count);
    process->calls[kind] =
        (struct process_call){.token = token, .argument = argument, .workers = all};
    process_calls_send(process);
}
