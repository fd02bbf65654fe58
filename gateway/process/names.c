#include "gateway/process/names.h"

#include <stdlib.h>

#include "gateway/process/process.h"
#include "gateway/seam/resolve.h"

enum {
    RETRY_MS = 2000,       // after a failure, unless `resolve` is shorter
    TELL_AGAIN_MS = 30000, // what a worker had no memory or no place for reaches it then
};

static struct span host_of(const struct name *name) {
    return span_make(name->host, name->host_bytes);
}

static struct name *name_find(struct name *items, uint32_t count, struct span host) {
    for (uint32_t i = 0; i < count; i++) {
        if (span_equal(host_of(&items[i]), host)) {
            return &items[i];
        }
    }
    return NULL;
}

// --- which names there are

static void name_add(const struct names *former, struct names *names, struct span host,
                     uint64_t interval_ms) {
    struct name *name = name_find(names->items, names->count, host);
    if (name != NULL) {
        name->interval_ms = name->interval_ms < interval_ms ? name->interval_ms : interval_ms;
        return;
    }
    check(names->count < UPSTREAM_NAMES_MAX);
    name = &names->items[names->count++];
    const struct name *known = name_find(former->items, former->count, host);
    if (known != NULL) {
        *name = *known;
        name->is_asked = false; // an answer on its way is one to the former table
        name->due_ms = 0;
    } else {
        check(host.length <= RESOLVE_HOST_BYTES_MAX);
        memcpy(name->host, host.data, host.length);
        name->host_bytes = (uint8_t)host.length;
    }
    name->interval_ms = interval_ms;
}

static uint32_t names_count(const struct config *config) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        for (uint32_t j = 0; j < config->upstreams[i].server_count; j++) {
            count += config->upstreams[i].servers[j].host.length > 0;
        }
    }
    return count;
}

static void wake(void *context) {
    io_doorbell_ring(process_doorbell(context));
}

bool process_names_set(struct process *process, const struct config *config) {
    uint32_t count_max = names_count(config);
    struct names *former = &process->names;
    struct names names = {.resolver = former->resolver, .number = former->number + 1};
    if (count_max > 0) {
        names.items = calloc(count_max, sizeof names.items[0]);
        names.table = malloc((size_t)count_max * UPSTREAM_NAME_RECORD_MAX);
        names.resolver = former->resolver != NULL ? former->resolver : resolve_open(wake, process);
        if (names.items == NULL || names.table == NULL || names.resolver == NULL) {
            former->resolver = names.resolver; // one that runs is of use later
            free(names.items);
            free(names.table);
            return false;
        }
    }
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        const struct config_upstream *upstream = &config->upstreams[i];
        for (uint32_t j = 0; j < upstream->server_count; j++) {
            if (upstream->servers[j].host.length > 0) {
                name_add(former, &names, upstream->servers[j].host, upstream->resolve_ms);
            }
        }
    }
    free(former->items);
    free(former->table);
    *former = names;
    return true;
}

void process_names_close(struct process *process) {
    struct names *names = &process->names;
    resolve_close(&names->resolver);
    free(names->items);
    free(names->table);
    *names = (struct names){.count = 0};
}

// --- telling

void process_names_tell(struct process *process) {
    struct names *names = &process->names;
    names->table_bytes = 0;
    for (uint32_t i = 0; i < names->count; i++) {
        const struct name *name = &names->items[i];
        if (name->is_answered) {
            names->table_bytes +=
                upstream_name_write(names->table + names->table_bytes, host_of(name),
                                    name->addresses, name->address_count);
        }
    }
    names->told_ms = process->now_us / 1000;
    if (names->table_bytes > 0) {
        process_call_all(process, PROCESS_TOKEN_OTHER, CALL_NAMES, 0);
    }
}

// --- asking

static bool is_same_answer(const struct name *name, const struct resolve_answer *answer) {
    bool is_same = name->address_count == answer->count;
    for (uint32_t i = 0; is_same && i < answer->count; i++) { // both are in order
        is_same = address_ip_equal(&name->addresses[i], &answer->addresses[i]);
    }
    return is_same;
}

static void failure_take(struct process *process, struct name *name, const char *problem) {
    uint64_t retry_ms = name->interval_ms < RETRY_MS ? name->interval_ms : RETRY_MS;
    name->due_ms = process->now_us / 1000 + retry_ms;
    counter_add(&process->counters, COUNTER_upstream_lookups_failed, 1);
    if (!name->is_failing) { // once, and again when it was well in between
        log_event(process->log, LOG_LEVEL_WARN, "name_unresolved", log_span("name", host_of(name)),
                  log_text("cause", problem), log_number("addresses_kept", name->address_count));
    }
    name->is_failing = true;
}

static void success_take(struct process *process, struct name *name,
                         const struct resolve_answer *answer) {
    name->due_ms = process->now_us / 1000 + name->interval_ms;
    bool is_same = is_same_answer(name, answer);
    if (!is_same || name->is_failing) {
        char address[ADDRESS_TEXT_BYTES];
        (void)address_format(&answer->addresses[0], false, address); // its length is not needed
        log_event(process->log, LOG_LEVEL_INFO, "name_resolved", log_span("name", host_of(name)),
                  log_number("addresses", answer->count), log_text("first", address));
    }
    counter_add(&process->counters, COUNTER_upstream_lookups_changed, !is_same);
    name->is_failing = false;
    name->address_count = answer->count;
    memcpy(name->addresses, answer->addresses, sizeof name->addresses);
}

// True: the workers are to hear of it.
static bool answer_take(struct process *process, const struct resolve_answer *answer) {
    struct names *names = &process->names;
    uint32_t index = (uint32_t)answer->token;
    if (answer->token >> 32 != names->number || index >= names->count) {
        return false; // to a question of a former configuration
    }
    struct name *name = &names->items[index];
    bool is_news = !name->is_answered;
    name->is_asked = false;
    name->is_answered = true;
    if (answer->problem != NULL) {
        failure_take(process, name, answer->problem);
        return is_news;
    }
    is_news = is_news || !is_same_answer(name, answer);
    success_take(process, name, answer);
    return is_news;
}

static void ask_due(struct process *process) {
    struct names *names = &process->names;
    for (uint32_t i = 0; i < names->count; i++) {
        struct name *name = &names->items[i];
        if (name->is_asked || process->now_us / 1000 < name->due_ms) {
            continue;
        }
        uint64_t token = (uint64_t)names->number << 32 | i;
        if (resolve_submit(names->resolver, host_of(name), token) != 0) {
            return; // enough are under way: in a later turn
        }
        name->is_asked = true;
        counter_add(&process->counters, COUNTER_upstream_lookups, 1);
    }
}

void process_names_turn(struct process *process) {
    struct names *names = &process->names;
    if (names->resolver == NULL) {
        return;
    }
    bool has_news = false;
    struct resolve_answer answer;
    for (uint32_t i = 0; i < RESOLVE_PENDING_MAX && resolve_next(names->resolver, &answer); i++) {
        has_news = answer_take(process, &answer) || has_news;
    }
    ask_due(process);
    if (has_news || process->now_us / 1000 - names->told_ms >= TELL_AGAIN_MS) {
        process_names_tell(process);
    }
}
