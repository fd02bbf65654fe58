// echo: every connection sends and wants the same bytes back (bench/talk.h).
#include <stdio.h>
#include <stdlib.h>

#include "bench/talk.h"

static void on_message(struct client *client, struct peer *peer, const uint8_t *bytes,
                       size_t count) {
    talk_on_message(client->mode, client, peer, bytes, count);
}

static void on_batch(struct client *client, struct peer *peer) {
    talk_on_batch(client->mode, client, peer);
}

static void echo_run(struct team *team, struct member *member) {
    struct talk talk;
    struct client client;
    struct client_hooks hooks = {.on_message = on_message, .on_batch = on_batch};
    if (!talk_init(&talk, team, member, member->peer_count, team->options->connections) ||
        !member_client(team, member, &client, &hooks, &talk) ||
        !member_open(team, member, &client, 0, member->peer_count)) {
        return;
    }
    member_done(member, PHASE_OPEN);
    enum phase seen = PHASE_OPEN;
    while (member_phase(team) < PHASE_STOP) {
        enum phase phase = member_phase(team);
        if (phase >= PHASE_WARM && seen == PHASE_OPEN) {
            talk_begin(&talk, &client);
        }
        if (phase == PHASE_RUN && seen != PHASE_RUN) {
            hist_init(&member->hist[0]);
            talk.late_ns = 0;
        }
        seen = phase;
        talk_turn(&talk, &client);
        client_turn(&client, talk.step_ns == 0 ? 10 : 1);
        member_received(member, &client);
        if (client.error[0] != 0 || client.closed_count > 0) {
            member_problem(member, "%s",
                           client.error[0] != 0 ? client.error : "the server closed a connection");
            return;
        }
    }
    member_count(member, COUNTER_LATE_NS, talk.late_ns);
    talk_stop(&talk, &client);
    uint32_t wrong = team->options->is_floor ? 0 : member_close_all(team, &client);
    if (wrong > 0) {
        member_problem(member, "%u closing handshakes were not completed", wrong);
    }
    client_fini(&client);
    talk_fini(&talk);
}

void mode_echo(const struct options *options, struct report *report) {
    struct team team;
    struct mark from, to;
    struct hist *latency = calloc(1, sizeof *latency);
    struct team_plan plan = {.run = echo_run,
                             .peer_count = options->connections,
                             .member_count = (uint32_t)options->children};
    team_distance(options, report, "core_distance_before_ns");
    if (latency == NULL || !team_start(&team, options, &plan, report)) {
        free(latency);
        return;
    }
    if (team_wait_open(&team, options->connections)) {
        team_phase(&team, PHASE_WARM);
        if (team_sleep(&team, options->warmup_seconds, NULL, NULL)) {
            team_phase(&team, PHASE_RUN);
            team_mark(&team, &from);
            (void)team_sleep(&team, options->seconds, NULL, NULL); // a failure shows in team_finish
            team_mark(&team, &to);
            team_phase(&team, PHASE_STOP);
            team_cpu_rows(&team, &from, &to, COUNTER_MESSAGES, "message");
        }
    }
    team_finish(&team);
    team_distance(options, report, "core_distance_after_ns");
    team_hist(&team, 0, latency);
    report_latency(report, "latency", latency);
    team_late_row(&team);
    free(latency);
}
