// mix: what a gateway really holds. Many connections only listen to a channel that gets a message
// now and then; some talk, by the clock, to a path that echoes. The two latencies say whether the
// crowd, and a broadcast to it, stands in the way of those who talk.
#include <stdio.h>
#include <stdlib.h>

#include "bench/broadcast.h"
#include "bench/talk.h"

enum { SETTLE_SECONDS = 10 };

struct mix { // a member's
    struct talk talk;
    struct broadcast broadcast;
};

static void on_message(struct client *client, struct peer *peer, const uint8_t *bytes,
                       size_t count) {
    struct mix *mix = client->mode;
    if (peer->index < mix->talk.count) {
        talk_on_message(&mix->talk, client, peer, bytes, count);
        member_received(mix->talk.member, client);
    } else {
        broadcast_on_message(&mix->broadcast, client, peer, bytes, count);
    }
}

static void on_batch(struct client *client, struct peer *peer) {
    struct mix *mix = client->mode;
    if (peer->index < mix->talk.count) {
        talk_on_batch(&mix->talk, client, peer);
    }
}

// Of all members' talkers the part that this one has.
static uint32_t talkers_of(const struct team *team, const struct member *member) {
    uint64_t all = team->options->talkers;
    uint64_t before = all * member->index / team->member_count;
    return (uint32_t)(all * (member->index + 1) / team->member_count - before);
}

static void mix_loop(struct team *team, struct member *member, struct client *client,
                     struct mix *mix) {
    enum phase seen = PHASE_OPEN;
    while (member_phase(team) < PHASE_STOP && client->error[0] == 0 && client->closed_count == 0) {
        enum phase phase = member_phase(team);
        if (phase >= PHASE_WARM && seen == PHASE_OPEN) {
            talk_begin(&mix->talk, client);
        }
        if (phase == PHASE_RUN && seen != PHASE_RUN) {
            hist_init(&member->hist[0]);
            mix->talk.late_ns = 0;
        }
        seen = phase;
        talk_turn(&mix->talk, client);
        broadcast_turn(&mix->broadcast, client);
        client_turn(client, 1);
        member_received(member, client);
    }
    member_count(member, COUNTER_LATE_NS, mix->talk.late_ns);
    if (client->error[0] != 0 || client->closed_count > 0) {
        member_problem(member, "%s",
                       client->error[0] != 0 ? client->error : "the server closed a connection");
    }
}

// Every listener must have had every broadcast; the last one may still be on its way.
static void mix_verify(struct mix *mix, struct client *client, struct member *member) {
    uint64_t end_ns = client_clock_ns() + (uint64_t)SETTLE_SECONDS * 1000000000;
    uint32_t wanted = atomic_load(&mix->broadcast.order->asked);
    uint32_t short_count = 0;
    do {
        broadcast_turn(&mix->broadcast, client);
        client_turn(client, 10);
        short_count = 0;
        for (uint32_t i = mix->talk.count; i < client->options.peer_count; i++) {
            short_count += mix->broadcast.received[i] != wanted;
        }
    } while (short_count > 0 && client_clock_ns() < end_ns && client->error[0] == 0);
    if (short_count > 0) {
        member_problem(member, "%u listeners did not get all %u broadcasts", short_count, wanted);
    }
}

static void mix_run(struct team *team, struct member *member) {
    struct mix mix;
    struct client client;
    struct client_hooks hooks = {.on_message = on_message, .on_batch = on_batch};
    uint32_t talkers = talkers_of(team, member);
    if (!talk_init(&mix.talk, team, member, talkers, team->options->talkers) ||
        !broadcast_init(&mix.broadcast, team, member, team->extra) ||
        !member_client(team, member, &client, &hooks, &mix)) {
        return;
    }
    mix.broadcast.publisher = talkers;
    mix.broadcast.hist = 1;
    client.options.first_path = team->options->talk;
    client.options.first_path_count = talkers;
    if (!member_open(team, member, &client, 0, member->peer_count)) {
        return;
    }
    member_done(member, PHASE_OPEN);
    mix_loop(team, member, &client, &mix);
    talk_stop(&mix.talk, &client);
    mix_verify(&mix, &client, member);
    uint32_t wrong = member_close_all(team, &client);
    if (wrong > 0) {
        member_problem(member, "%u closing handshakes were not completed", wrong);
    }
    client_fini(&client);
    talk_fini(&mix.talk);
    broadcast_fini(&mix.broadcast);
}

struct broadcasts { // the parent's
    uint64_t next_ns;
};

static void on_tick(struct team *team, void *argument) {
    struct broadcasts *broadcasts = argument;
    uint64_t now_ns = client_clock_ns();
    if (now_ns >= broadcasts->next_ns) {
        broadcast_ask(team->extra, now_ns);
        broadcasts->next_ns = now_ns + (uint64_t)(team->options->broadcast_interval * 1e9);
    }
}

static void mix_measure(struct team *team) {
    const struct options *options = team->options;
    struct mark from, to;
    struct broadcasts broadcasts = {0};
    team_phase(team, PHASE_WARM);
    if (!team_sleep(team, options->warmup_seconds, NULL, NULL)) {
        return;
    }
    team_phase(team, PHASE_RUN);
    team_mark(team, &from);
    (void)team_sleep(team, options->seconds, on_tick,
                     &broadcasts); // a failure shows in team_finish
    team_mark(team, &to);
    struct broadcast_order *order = team->extra;
    report_add(team->report, "broadcasts", "", (double)atomic_load(&order->asked));
    team_cpu_rows(team, &from, &to, COUNTER_MESSAGES, "message");
}

void mode_mix(const struct options *options, struct report *report) {
    struct team team;
    struct hist *latency = calloc(1, sizeof *latency);
    uint64_t peer_count = options->connections + options->talkers;
    struct team_plan plan = {.run = mix_run,
                             .peer_count = peer_count,
                             .member_count = (uint32_t)options->children,
                             .extra_size = sizeof(struct broadcast_order)};
    team_distance(options, report, "core_distance_before_ns");
    if (latency == NULL || !team_start(&team, options, &plan, report)) {
        free(latency);
        return;
    }
    if (team_wait_open(&team, peer_count)) {
        mix_measure(&team);
    }
    team_phase(&team, PHASE_STOP);
    team_finish(&team);
    team_distance(options, report, "core_distance_after_ns");
    team_hist(&team, 0, latency);
    report_latency(report, "talk", latency);
    team_hist(&team, 1, latency);
    report_latency(report, "broadcast", latency);
    team_late_row(&team);
    free(latency);
}
