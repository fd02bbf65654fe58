// churn: connect, shake hands, close, wait for the server to close TCP, begin again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/team.h"

struct churn {
    struct member *member;
    uint32_t *idle; // peers that wait to be connected again
    uint64_t *start_ns;
    uint32_t idle_count;
    uint64_t cycles;
    uint64_t wrong; // ended without the server's Close 1000
};

static void on_open(struct client *client, struct peer *peer) {
    client_close(client, peer, 1000);
}

static void on_closed(struct client *client, struct peer *peer) {
    struct churn *churn = client->mode;
    churn->idle[churn->idle_count++] = peer->index;
    if (peer->close_code == 1000) {
        churn->cycles++;
        hist_add(&churn->member->hist[0], client->now_ns - churn->start_ns[peer->index]);
    } else {
        churn->wrong++;
        client_fail(client, "connection %u ended with %u instead of 1000", peer->index,
                    peer->close_code);
    }
}

static void churn_loop(struct team *team, struct churn *churn, struct client *client) {
    struct member *member = churn->member;
    enum phase seen = PHASE_OPEN;
    for (;;) {
        enum phase phase = member_phase(team);
        if (phase == PHASE_RUN && seen != PHASE_RUN) {
            hist_init(&member->hist[0]);
        }
        seen = phase;
        while (phase < PHASE_STOP && churn->idle_count > 0 && churn->wrong == 0) {
            struct peer *peer = &client->peers[churn->idle[--churn->idle_count]];
            churn->start_ns[peer->index] = client_clock_ns();
            int result = client_connect(client, peer);
            if (result != 0) {
                member_problem(member, "connect: %s", strerror(-result));
                return;
            }
        }
        client_turn(client, 10);
        member_count(member, COUNTER_MESSAGES, churn->cycles);
        if (churn->wrong > 0) {
            member_problem(member, "%s", client->error);
            return;
        }
        if (phase >= PHASE_STOP && client->open_count + client->opening_count == 0) {
            return;
        }
    }
}

static void churn_run(struct team *team, struct member *member) {
    struct client client;
    struct client_hooks hooks = {.on_open = on_open, .on_closed = on_closed};
    struct churn churn = {.member = member,
                          .idle = calloc(member->peer_count, sizeof(uint32_t)),
                          .start_ns = calloc(member->peer_count, sizeof(uint64_t))};
    if (churn.idle == NULL || churn.start_ns == NULL) {
        member_problem(member, "out of memory");
        return;
    }
    if (!member_client(team, member, &client, &hooks, &churn)) {
        return;
    }
    for (uint32_t i = 0; i < member->peer_count; i++) {
        churn.idle[churn.idle_count++] = i;
    }
    member_done(member, PHASE_OPEN);
    churn_loop(team, &churn, &client);
    client_fini(&client);
}

void mode_churn(const struct options *options, struct report *report) {
    struct team team;
    struct mark from, to;
    struct hist *cycle = calloc(1, sizeof *cycle);
    struct team_plan plan = {
        .run = churn_run, .peer_count = options->concurrency, .member_count = 1};
    team_distance(options, report, "core_distance_before_ns");
    if (cycle == NULL || !team_start(&team, options, &plan, report)) {
        free(cycle);
        return;
    }
    if (team_wait(&team, PHASE_OPEN, COUNTER_OPENED, 0, 10) &&
        team_sleep(&team, options->warmup_seconds, NULL, NULL)) {
        team_phase(&team, PHASE_RUN);
        team_mark(&team, &from);
        (void)team_sleep(&team, options->seconds, NULL, NULL); // a failure shows in team_finish
        team_mark(&team, &to);
        team_phase(&team, PHASE_STOP);
        team_cpu_rows(&team, &from, &to, COUNTER_MESSAGES, "cycle");
    }
    team_finish(&team);
    team_distance(options, report, "core_distance_after_ns");
    team_hist(&team, 0, cycle);
    report_latency(report, "cycle", cycle);
    free(cycle);
}
