// Laws about the servers of upstreams, after every event in which a worker had a turn: one that its
// checks call bad, or that its name has lost, is asked nothing more; and what a name has is what
// there is. Law "servers".
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/process/process.h"
#include "gateway/upstream/internal.h"
#include "tests/sim/laws_state.h"

enum { PLACES = UPSTREAM_PLACES_MAX, NAMES_EVERY = 16 }; // turns

struct server_seen {
    bool is_down, is_gone;
};

struct line_seen {
    uint32_t exchange;
    uint64_t asked_us;
};

struct laws_servers {            // as a worker's last turn left it
    struct server_seen *servers; // by upstream and place
    struct line_seen *lines;     // by number
    uint32_t upstream_count, line_count;
};

static void room_make(struct laws_servers *seen, const struct upstreams *upstreams) {
    uint32_t upstream_count = upstreams->item_end;
    uint32_t line_count = upstreams->lines.used_peak + 1;
    if (upstream_count > seen->upstream_count) {
        seen->servers =
            realloc(seen->servers, (size_t)upstream_count * PLACES * sizeof seen->servers[0]);
        check(seen->servers != NULL);
        memset(seen->servers + (size_t)seen->upstream_count * PLACES, 0,
               (size_t)(upstream_count - seen->upstream_count) * PLACES * sizeof seen->servers[0]);
        seen->upstream_count = upstream_count;
    }
    if (line_count > seen->line_count) {
        seen->lines = realloc(seen->lines, line_count * sizeof seen->lines[0]);
        check(seen->lines != NULL);
        memset(seen->lines + seen->line_count, 0,
               (line_count - seen->line_count) * sizeof seen->lines[0]);
        seen->line_count = line_count;
    }
}

// --- who is asked

// The line has an exchange that it did not have after the turn before.
static void asked_judge(struct laws *laws, const struct worker *worker,
                        const struct laws_servers *seen, uint32_t number) {
    const struct upstream_line *line = line_at(&worker->upstreams, number);
    const struct upstream_server *server = server_of(&worker->upstreams, line);
    const struct server_seen *before =
        &seen->servers[(size_t)line->upstream * PLACES + line->server];
    if ((before->is_down && server->is_down) || (before->is_gone && server->is_gone)) {
        sim_fail(laws->sim, "servers", "worker %u asks server %u of upstream %u, which is %s",
                 worker->index, line->server, line->upstream,
                 server->is_down ? "down" : "not its name's any more");
    }
}

static void lines_judge(struct laws *laws, const struct worker *worker, struct laws_servers *seen) {
    const struct upstreams *upstreams = &worker->upstreams;
    for (uint32_t i = 1; i <= upstreams->lines.used_peak; i++) {
        const struct upstream_line *line = line_at(upstreams, i);
        bool is_asked = line->state != LINE_FREE && line->exchange != 0 &&
                        !exchange_is_check(upstreams, line->exchange);
        struct line_seen now = {.exchange = 0};
        if (is_asked) {
            now = (struct line_seen){.exchange = line->exchange,
                                     .asked_us = exchange_at(upstreams, line->exchange)->asked_us};
        }
        bool is_new = is_asked && (now.exchange != seen->lines[i].exchange ||
                                   now.asked_us != seen->lines[i].asked_us);
        if (is_new) {
            asked_judge(laws, worker, seen, i);
        }
        seen->lines[i] = now;
    }
}

static void servers_note(struct laws *laws, const struct worker *worker,
                         struct laws_servers *seen) {
    const struct upstreams *upstreams = &worker->upstreams;
    uint32_t down = 0;
    uint32_t gone = 0;
    for (uint32_t i = 0; i < upstreams->item_end; i++) {
        const struct upstream *upstream = &upstreams->items[i];
        for (uint32_t j = 0; upstream->is_used && j < upstream->server_count; j++) {
            const struct upstream_server *server = &upstream->servers[j];
            struct server_seen *before = &seen->servers[(size_t)i * PLACES + j];
            down += server->is_down && !before->is_down;
            gone += server->is_gone && !before->is_gone;
            *before = (struct server_seen){.is_down = server->is_down, .is_gone = server->is_gone};
        }
    }
    cover_add_many(laws->sim, COVER_LAWS + COVER_LAW_SERVER_DOWN, down);
    cover_add_many(laws->sim, COVER_LAWS + COVER_LAW_SERVER_LEFT, gone);
}

// --- what a name has

// Everything that the control thread has told this worker of names has been taken.
static bool is_told(const struct sim *sim, uint32_t index) {
    const struct process *process = sim->process;
    const struct bus_shared *shared = process->bus_shared;
    const struct mailbox *mailbox =
        &shared->mailboxes[sim->worker_count * shared->thread_count + index];
    uint64_t owed = process->calls[CALL_NAMES].workers | process->calls[CALL_SITE].workers;
    return !process->reload.is_active && (owed >> index & 1) == 0 &&
           process->bus.backlogs[index].first == 0 &&
           atomic_load(&mailbox->shared.head) == mailbox->reader.tail;
}

static bool has_address(const struct name *name, const struct upstream_server *server) {
    for (uint32_t i = 0; i < name->address_count; i++) {
        if (memcmp(name->addresses[i].ip, server->address.ip, sizeof server->address.ip) == 0) {
            return true;
        }
    }
    return false;
}

static void origin_judge(struct laws *laws, const struct worker *worker,
                         const struct upstream *upstream, uint8_t origin) {
    const struct upstream_origin *at = &upstream->origins[origin];
    const struct names *names = &laws->sim->process->names;
    const struct name *name = NULL;
    for (uint32_t i = 0; i < names->count; i++) {
        bool is_it = names->items[i].host_bytes == at->host_bytes &&
                     memcmp(names->items[i].host, at->host, at->host_bytes) == 0;
        name = is_it ? &names->items[i] : name;
    }
    if (name == NULL || name->address_count == 0) {
        return;
    }
    uint32_t present = 0;
    bool is_right = true;
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        const struct upstream_server *server = &upstream->servers[i];
        if (upstream_server_is_present(server) && server->origin == origin) {
            present++;
            is_right = is_right && has_address(name, server);
        }
    }
    if (!is_right || present != name->address_count) {
        sim_fail(laws->sim, "servers", "worker %u has %u servers of %.*s, which has %u",
                 worker->index, present, name->host_bytes, (const char *)name->host,
                 name->address_count);
    }
    cover_add(laws->sim, COVER_LAWS + COVER_LAW_NAMES);
}

static void names_judge(struct laws *laws, const struct worker *worker) {
    const struct upstreams *upstreams = &worker->upstreams;
    const struct names *names = &laws->sim->process->names;
    // What a worker had no memory for is told again, much later.
    bool may_be_lost = sim_fault_is_on(laws->sim, SIM_FAULT_arena_empty);
    if (may_be_lost || names->table_bytes == 0 || !is_told(laws->sim, worker->index)) {
        return;
    }
    for (uint32_t i = 0; i < upstreams->item_end; i++) {
        const struct upstream *upstream = &upstreams->items[i];
        bool is_judged = upstream->is_used && !upstream->is_retired;
        for (uint8_t j = 0; is_judged && j < upstream->origin_count; j++) {
            if (upstream->origins[j].host_bytes > 0) {
                origin_judge(laws, worker, upstream, j);
            }
        }
    }
}

void laws_server_turn(struct laws *laws, const struct worker *worker) {
    struct laws_worker *at = &laws->workers[worker->index];
    if (at->servers == NULL) {
        at->servers = calloc(1, sizeof *at->servers);
        check(at->servers != NULL);
    }
    room_make(at->servers, &worker->upstreams);
    lines_judge(laws, worker, at->servers);
    servers_note(laws, worker, at->servers);
    if (worker->counters.values[COUNTER_turns] % NAMES_EVERY == 0) {
        names_judge(laws, worker);
    }
}

void laws_server_close(struct laws *laws) {
    for (uint32_t i = 0; i < SIM_WORKERS_MAX; i++) {
        if (laws->workers[i].servers != NULL) {
            free(laws->workers[i].servers->servers);
            free(laws->workers[i].servers->lines);
            free(laws->workers[i].servers);
        }
    }
}
