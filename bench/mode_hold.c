// hold: idle connections over time. What one costs in user memory and kernel slabs, what a ping
// costs in CPU, and whether every connection is still there at the end with all its pings.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/broadcast.h"
#include "bench/proc.h"
#include "bench/team.h"

enum { SETTLE_SECONDS = 2, SLAB_ROW_BYTES_MIN = 8 };

// Per member, in shared memory: what its connections saw.
struct hold_result {
    uint64_t pings_min;
    uint64_t pings_max;
    uint64_t gap_max_ns; // the longest time between two pings, or between opening and the first
    uint64_t missed;     // connections with fewer pings than expected
};

// Shared by all.
struct hold_shared {
    struct broadcast_order order;
    struct hold_result results[TEAM_MEMBERS_MAX];
};

struct hold { // a member's
    struct hold_result *result;
    struct broadcast broadcast;
};

static void on_open(struct client *client, struct peer *peer) {
    peer->user = client->now_ns;
}

static void on_message(struct client *client, struct peer *peer, const uint8_t *bytes,
                       size_t count) {
    struct hold *hold = client->mode;
    broadcast_on_message(&hold->broadcast, client, peer, bytes, count);
}

static void on_ping(struct client *client, struct peer *peer) {
    struct hold_result *result = ((struct hold *)client->mode)->result;
    uint64_t gap_ns = client->now_ns - peer->user;
    if (gap_ns > result->gap_max_ns) {
        result->gap_max_ns = gap_ns;
    }
    peer->user = client->now_ns;
}

static uint64_t pings_expected(const struct options *options) {
    return options->pings != 0 || options->ping_interval <= 0
               ? options->pings
               : (uint64_t)(options->seconds / options->ping_interval);
}

static void hold_verify(const struct team *team, struct client *client,
                        struct hold_result *result) {
    uint64_t expected = pings_expected(team->options);
    result->pings_min = UINT64_MAX;
    for (uint32_t i = 0; i < client->options.peer_count; i++) {
        uint64_t pings = client->peers[i].pings;
        result->missed += pings < expected;
        result->pings_min = pings < result->pings_min ? pings : result->pings_min;
        result->pings_max = pings > result->pings_max ? pings : result->pings_max;
    }
}

// While the parent measures.
static void hold_loop(const struct team *team, struct member *member, struct client *client,
                      struct hold *hold) {
    while (member_phase(team) < PHASE_STOP && client->error[0] == 0) {
        client_turn(client, 100);
        broadcast_turn(&hold->broadcast, client);
        member_count(member, COUNTER_PINGS, client->ping_count);
        member_count(member, COUNTER_CLOSED, client->closed_count);
        member_received(member, client);
    }
}

static void hold_run(struct team *team, struct member *member) {
    struct hold_shared *shared = team->extra;
    struct hold hold = {.result = &shared->results[member->index]};
    struct client client;
    struct client_hooks hooks = {.on_open = on_open, .on_ping = on_ping, .on_message = on_message};
    if (!broadcast_init(&hold.broadcast, team, member, &shared->order) ||
        !member_client(team, member, &client, &hooks, &hold) ||
        !member_open(team, member, &client, 0, member->peer_count)) {
        return;
    }
    member_done(member, PHASE_OPEN);
    hold_loop(team, member, &client, &hold);
    hold_verify(team, &client, hold.result);
    if (client.closed_count > 0 || client.error[0] != 0) {
        member_problem(member, "%u of %u connections were closed%s%s", client.closed_count,
                       member->peer_count, client.error[0] != 0 ? ": " : "", client.error);
    }
    member_done(member, PHASE_RUN);
    while (member_phase(team) < PHASE_EXIT) {
        client_turn(&client, 100); // the parent takes its last figures
    }
    uint32_t lost = client.closed_count;
    uint32_t unanswered = member_close_all(team, &client);
    if (lost == 0 && unanswered > 0) {
        member_problem(member, "%u closing handshakes were not completed: %s", unanswered,
                       client.error);
    }
    client_fini(&client);
    broadcast_fini(&hold.broadcast);
}

static uint64_t pss_of(const struct options *options) {
    return options->is_tree ? proc_tree_pss((pid_t)options->pid) : proc_pss((pid_t)options->pid);
}

static void memory_rows(struct report *report, const struct options *options, uint64_t pss_before,
                        const char *when) {
    char key[48];
    uint64_t pss = pss_of(options);
    if (options->pid == 0) {
        return;
    }
    if (pss == 0) {
        report_problem(report, "/proc/%llu/smaps_rollup cannot be read",
                       (unsigned long long)options->pid);
        return;
    }
    snprintf(key, sizeof key, "server_pss_%s_mib", when);
    report_add(report, key, "MiB", (double)pss / 1048576);
    snprintf(key, sizeof key, "user_bytes_per_connection_%s", when);
    report_add(report, key, "bytes of server PSS more than before",
               ((double)pss - (double)pss_before) / (double)options->connections);
}

static void slab_rows(struct report *report, const struct options *options,
                      const struct proc_slabs *before, uint64_t slab_before) {
    struct proc_slabs *after = calloc(1, sizeof *after);
    if (after == NULL) {
        return;
    }
    proc_slabs_read(after);
    double connections = (double)options->connections;
    double grown =
        (double)(proc_meminfo("SReclaimable") + proc_meminfo("SUnreclaim")) - (double)slab_before;
    report_add(report, "slab_bytes_per_pair", "both ends, all slabs", grown / connections);
    for (uint32_t i = 0; i < after->count; i++) {
        double each = (double)proc_slab_growth(before, after, i) / connections;
        if (each >= SLAB_ROW_BYTES_MIN) {
            char key[48];
            snprintf(key, sizeof key, "slab_%s", after->slab[i].name);
            report_add(report, key, "bytes per pair", each);
        }
    }
    free(after);
}

static void result_rows(const struct team *team, struct report *report) {
    const struct options *options = team->options;
    struct hold_result sum = {.pings_min = UINT64_MAX};
    for (uint32_t i = 0; i < team->member_count; i++) {
        const struct hold_result *one = &((struct hold_shared *)team->extra)->results[i];
        sum.pings_min = one->pings_min < sum.pings_min ? one->pings_min : sum.pings_min;
        sum.pings_max = one->pings_max > sum.pings_max ? one->pings_max : sum.pings_max;
        sum.gap_max_ns = one->gap_max_ns > sum.gap_max_ns ? one->gap_max_ns : sum.gap_max_ns;
        sum.missed += one->missed;
    }
    report_add(report, "pings_min", "received by the connection with the fewest",
               (double)sum.pings_min);
    report_add(report, "pings_max", "received by the connection with the most",
               (double)sum.pings_max);
    report_add(report, "ping_gap_max_s", "s, longest wait for a ping on any connection",
               (double)sum.gap_max_ns / 1e9);
    if (sum.missed > 0) {
        report_problem(report, "%llu connections received fewer than %llu pings",
                       (unsigned long long)sum.missed, (unsigned long long)pings_expected(options));
    }
}

static void hold_measure(struct team *team, uint64_t pss_before, const struct proc_slabs *slabs,
                         uint64_t slab_before) {
    const struct options *options = team->options;
    struct report *report = team->report;
    struct mark from, to;
    uint64_t start_ns = client_clock_ns();
    if (!team_wait_open(team, options->connections)) {
        return;
    }
    double seconds = (double)(client_clock_ns() - start_ns) / 1e9;
    report_add(report, "open_seconds", "s", seconds);
    report_add(report, "opened_per_second", "", (double)options->connections / seconds);
    double settle = options->seconds < SETTLE_SECONDS ? options->seconds : SETTLE_SECONDS;
    if (!team_sleep(team, settle, NULL, NULL)) {
        return;
    }
    memory_rows(report, options, pss_before, "opened");
    slab_rows(report, options, slabs, slab_before);
    team_phase(team, PHASE_RUN);
    team_mark(team, &from);
    if (!team_sleep(team, options->seconds, NULL, NULL)) {
        return;
    }
    team_mark(team, &to);
    if (options->broadcasts > 0) {
        broadcast_measure(team, &((struct hold_shared *)team->extra)->order);
    }
    team_phase(team, PHASE_STOP);
    if (!team_wait(team, PHASE_RUN, COUNTER_PINGS, 0, 10)) {
        return;
    }
    memory_rows(report, options, pss_before, "held");
    team_cpu_rows(team, &from, &to, COUNTER_PINGS, "ping");
    report_add(report, "held_seconds", "s", (double)(to.at_ns - from.at_ns) / 1e9);
    report_add(report, "connections_closed", "while held", (double)to.counter[COUNTER_CLOSED]);
    result_rows(team, report);
}

void mode_hold(const struct options *options, struct report *report) {
    struct team team;
    struct team_plan plan = {.run = hold_run,
                             .peer_count = options->connections,
                             .member_count = (uint32_t)options->children,
                             .extra_size = sizeof(struct hold_shared)};
    struct proc_slabs *slabs = calloc(1, sizeof *slabs);
    if (slabs == NULL) {
        report_problem(report, "out of memory");
        return;
    }
    proc_slabs_read(slabs);
    uint64_t slab_before = proc_meminfo("SReclaimable") + proc_meminfo("SUnreclaim");
    uint64_t pss_before = options->pid == 0 ? 0 : pss_of(options);
    team_distance(options, report, "core_distance_before_ns");
    if (team_start(&team, options, &plan, report)) {
        hold_measure(&team, pss_before, slabs, slab_before);
        uint64_t end_ns = client_clock_ns();
        team_finish(&team);
        report_add(report, "close_seconds", "s, closing handshakes and the server's ends",
                   (double)(client_clock_ns() - end_ns) / 1e9);
        team_distance(options, report, "core_distance_after_ns");
    }
    free(slabs);
}
