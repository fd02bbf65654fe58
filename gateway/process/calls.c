// Calls to every worker: mail that may find no memory, and must not be lost for that.
#include "gateway/process/process.h"

static struct span body_of(const struct process *process, uint32_t kind) {
    const struct names *names = &process->names;
    return kind == CALL_NAMES ? span_make(names->table, names->table_bytes) : span_empty();
}

// Those that find no memory now go out in a later turn: whoever misses one of these would serve by
// an old configuration, or never stop.
void process_calls_send(struct process *process) {
    for (uint32_t kind = 0; kind < CALL_KIND_COUNT; kind++) {
        struct process_call *call = &process->calls[kind];
        for (uint32_t i = 0; call->workers != 0 && i < process->worker_count; i++) {
            struct span body = body_of(process, kind);
            struct mail mail = {.kind = MAIL_CALL,
                                .words = {call->token, kind, body.length, call->argument}};
            bool is_owed = (call->workers >> i & 1) != 0;
            // Names are of no use to a worker that does not have the site that needs them.
            bool is_early = kind == CALL_NAMES && (process->calls[CALL_SITE].workers >> i & 1) != 0;
            if (is_owed && !is_early && bus_send(&process->bus, i, &mail, span_empty(), body)) {
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
