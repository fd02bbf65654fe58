// storm: everybody loses the connection at the same moment and wants it back. All are cut with a
// reset, and all connect again at once, as after a server's restart; who is refused with 429 or 503
// waits. The time of each is counted from the cut, not from its own attempt, so that what the
// client itself could not start at once counts too.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/team.h"

enum { RETRY_MS_MIN = 100, QUIET_SECONDS = 1 };

// In shared memory: the parent asks for a storm, each member says how many it has been through.
struct storm_shared {
    _Atomic uint32_t asked;
    _Atomic uint32_t done[TEAM_MEMBERS_MAX];
};

struct storm { // a member's
    struct member *member;
    uint64_t *retry_ns; // by peer: when to try again; 0: now
    uint64_t began_ns;  // of the storm
    uint64_t opened;    // since the first
    uint64_t refused;
    uint64_t state; // of the generator that spreads retries
    uint32_t missing;
    bool has_failed;
};

static void on_open(struct client *client, struct peer *peer) {
    struct storm *storm = client->mode;
    (void)peer; // all are alike
    if (storm->began_ns != 0) {
        storm->opened++;
        storm->missing--;
        hist_add(&storm->member->hist[0], client->now_ns - storm->began_ns);
    }
}

// xorshift: any spread of retries will do.
static uint64_t random_below(struct storm *storm, uint64_t bound) {
    storm->state ^= storm->state << 13;
    storm->state ^= storm->state >> 7;
    storm->state ^= storm->state << 17;
    return storm->state % bound;
}

static void on_closed(struct client *client, struct peer *peer) {
    struct storm *storm = client->mode;
    if (peer->status == 429 || peer->status == 503) {
        uint64_t wait_ms = peer->retry_after_s * 1000ULL + RETRY_MS_MIN;
        wait_ms += random_below(storm, wait_ms);
        storm->retry_ns[peer->index] = client_clock_ns() + wait_ms * 1000000;
        storm->refused++;
    } else if (peer->status != 0) {
        client_fail(client, "handshake refused with %u", peer->status);
    } else if (storm->began_ns == 0 || storm->missing == 0) {
        client_fail(client, "connection %u was closed outside a storm", peer->index);
    } else {
        storm->has_failed = true; // cut while it came back: the storm has not been survived
    }
}

// Cuts all; the hook must not take that for the server's doing.
static void storm_begin(struct storm *storm, struct client *client) {
    client->hooks.on_closed = NULL;
    storm->began_ns = client_clock_ns();
    storm->missing = client->options.peer_count;
    for (uint32_t i = 0; i < client->options.peer_count; i++) {
        storm->retry_ns[i] = 0;
        client_cut(client, &client->peers[i], true);
    }
    client->hooks.on_closed = on_closed;
}

// Connects who is away, may try again and finds room. False: a problem was noted.
static bool storm_connect(struct storm *storm, struct client *client) {
    uint64_t now_ns = client_clock_ns();
    uint64_t most = client->options.concurrency;
    for (uint32_t i = 0; i < client->options.peer_count && client->opening_count < most; i++) {
        struct peer *peer = &client->peers[i];
        if (peer->state != PEER_CLOSED || storm->retry_ns[i] > now_ns) {
            continue;
        }
        int result = client_connect(client, peer);
        if (result != 0) {
            member_problem(storm->member, "connection %u: %s", i, strerror(-result));
            return false;
        }
        if (i % 64 == 63) {
            client_turn(client, 0);
        }
    }
    return true;
}

// One storm, until all are back. False: a problem was noted, or the run ends.
static bool storm_pass(struct storm *storm, struct team *team, struct client *client) {
    storm_begin(storm, client);
    while (storm->missing > 0) {
        if (!storm_connect(storm, client)) {
            return false;
        }
        client_turn(client, 1);
        member_count(storm->member, COUNTER_MESSAGES, storm->opened);
        member_count(storm->member, COUNTER_REFUSED, storm->refused);
        if (client->error[0] != 0 || storm->has_failed) {
            member_problem(storm->member, "%s",
                           client->error[0] != 0 ? client->error
                                                 : "the server cut one that came back");
            return false;
        }
        if (member_phase(team) >= PHASE_STOP) {
            return false;
        }
    }
    return true;
}

static void storm_run(struct team *team, struct member *member) {
    struct storm_shared *shared = team->extra;
    struct storm storm = {.member = member,
                          .state = member->index + 1,
                          .retry_ns = calloc(member->peer_count, sizeof(uint64_t))};
    struct client client;
    struct client_hooks hooks = {.on_open = on_open, .on_closed = on_closed};
    if (storm.retry_ns == NULL || !member_client(team, member, &client, &hooks, &storm) ||
        !member_open(team, member, &client, 0, member->peer_count)) {
        member_problem(member, "the population could not be opened");
        return;
    }
    member_done(member, PHASE_OPEN);
    uint32_t done = 0;
    while (member_phase(team) < PHASE_STOP) {
        if (done < atomic_load(&shared->asked)) {
            if (!storm_pass(&storm, team, &client)) {
                return;
            }
            atomic_store(&shared->done[member->index], ++done);
        }
        client_turn(&client, 10);
        if (client.error[0] != 0) {
            member_problem(member, "%s", client.error);
            return;
        }
    }
    client.hooks.on_closed = NULL;
    uint32_t wrong = member_close_all(team, &client);
    if (wrong > 0) {
        member_problem(member, "%u closing handshakes were not completed", wrong);
    }
    client_fini(&client);
    free(storm.retry_ns);
}

// Until every member is through `round` storms.
static bool storm_wait(struct team *team, uint32_t round) {
    struct storm_shared *shared = team->extra;
    uint64_t end_ns = client_clock_ns() + (uint64_t)(team->options->seconds * 1e9);
    for (uint32_t i = 0; i < team->member_count; i++) {
        while (atomic_load(&shared->done[i]) < round) {
            if (client_clock_ns() > end_ns) {
                report_problem(team->report, "storm %u: not all were back after %.0f s", round,
                               team->options->seconds);
                return false;
            }
            if (!team_sleep(team, 0.002, NULL, NULL)) {
                return false;
            }
        }
    }
    return true;
}

static void storm_measure(struct team *team) {
    struct storm_shared *shared = team->extra;
    struct report *report = team->report;
    struct mark from, to;
    double slowest = 0;
    team_mark(team, &from);
    for (uint32_t round = 1; round <= team->options->rounds; round++) {
        uint64_t start_ns = client_clock_ns();
        atomic_store(&shared->asked, round);
        if (!storm_wait(team, round)) {
            return;
        }
        double seconds = 1e-9 * (double)(client_clock_ns() - start_ns);
        slowest = seconds > slowest ? seconds : slowest;
        if (round < team->options->rounds && !team_sleep(team, QUIET_SECONDS, NULL, NULL)) {
            return;
        }
    }
    team_mark(team, &to);
    report_add(report, "storms", "", (double)team->options->rounds);
    report_add(report, "all_back_seconds", "s, the slowest storm", slowest);
    report_add(report, "refused", "upgrades, with 429 or 503",
               (double)(to.counter[COUNTER_REFUSED] - from.counter[COUNTER_REFUSED]));
    team_cpu_rows(team, &from, &to, COUNTER_MESSAGES, "reconnect");
}

void mode_storm(const struct options *options, struct report *report) {
    struct team team;
    struct hist *away = calloc(1, sizeof *away);
    struct team_plan plan = {.run = storm_run,
                             .peer_count = options->connections,
                             .member_count = (uint32_t)options->children,
                             .extra_size = sizeof(struct storm_shared)};
    team_distance(options, report, "core_distance_before_ns");
    if (away == NULL || !team_start(&team, options, &plan, report)) {
        free(away);
        return;
    }
    if (team_wait_open(&team, options->connections)) {
        storm_measure(&team);
    }
    team_phase(&team, PHASE_STOP);
    team_finish(&team);
    team_distance(options, report, "core_distance_after_ns");
    team_hist(&team, 0, away);
    report_latency(report, "away", away);
    free(away);
}
