// fanout: publishers publish bursts of `depth` messages; the next burst leaves when everybody has
// all of the last one. The publishers are subscribers too (peers 0 to publishers-1): their own
// copies are verified and counted.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/nats.h"
#include "bench/team.h"

enum { PUBLISH_TURN_MAX = 64 };

struct fanout {
    const struct team *team;
    struct member *member;
    struct burst burst;
    uint64_t *expected;    // [peer][publisher]: the next sequence number
    uint64_t *outstanding; // [publisher]: deliveries missing of its last burst
    uint64_t *sent;        // [publisher]
    uint64_t start_ns;     // open loop: when the first message is due; 0: it has not begun
    uint64_t rung;         // open loop: messages that were due and have left
    uint64_t late_ns;      // open loop: the longest that one left after it was due
    uint32_t publishers;
};

static void on_message(struct client *client, struct peer *peer, const uint8_t *bytes,
                       size_t count) {
    struct fanout *fanout = client->mode;
    struct payload payload;
    if (count != fanout->team->options->size || !payload_read(bytes, count, &payload) ||
        payload.sender >= fanout->publishers) {
        client_fail(client, "connection %u: a delivery that nobody published", peer->index);
        return;
    }
    uint64_t *expected = &fanout->expected[peer->index * fanout->publishers + payload.sender];
    if (payload.sequence != *expected) {
        client_fail(client, "connection %u: message %llu of publisher %u came instead of %llu",
                    peer->index, (unsigned long long)payload.sequence, payload.sender,
                    (unsigned long long)*expected);
        return;
    }
    (*expected)++;
    fanout->outstanding[payload.sender]--;
    hist_add(&fanout->member->hist[0], payload_age(payload.sent_ns, client->now_ns));
}

static void publish(struct fanout *fanout, struct client *client, uint32_t publisher,
                    uint64_t when_ns) {
    for (uint32_t i = 0; i < fanout->burst.count; i++) {
        struct payload payload = {
            .sequence = fanout->sent[publisher]++, .sent_ns = when_ns, .sender = publisher};
        burst_write(&fanout->burst, i, &payload);
    }
    struct peer *peer = &client->peers[publisher];
    bool has_self = !fanout->team->options->has_no_self;
    fanout->outstanding[publisher] +=
        fanout->burst.count * (uint64_t)(client->options.peer_count - (has_self ? 0 : 1));
    if (!has_self) {
        fanout->expected[publisher * fanout->publishers + publisher] = fanout->sent[publisher];
    }
    client_send(client, peer, fanout->burst.bytes,
                fanout->burst.count * fanout->burst.frame_length);
}

static bool fanout_init(struct fanout *fanout, const struct team *team, struct member *member) {
    const struct options *options = team->options;
    memset(fanout, 0, sizeof *fanout);
    fanout->team = team;
    fanout->member = member;
    fanout->publishers = (uint32_t)options->publishers;
    fanout->expected = calloc((size_t)member->peer_count * fanout->publishers, sizeof(uint64_t));
    fanout->outstanding = calloc(fanout->publishers, sizeof(uint64_t));
    fanout->sent = calloc(fanout->publishers, sizeof(uint64_t));
    uint32_t depth = (uint32_t)options->depth;
    int result = options->nats[0] != 0
                     ? nats_burst(&fanout->burst, options->nats, options->size, depth)
                     : member_burst(options, &fanout->burst, depth);
    if (fanout->expected == NULL || fanout->outstanding == NULL || fanout->sent == NULL ||
        result != 0) {
        member_problem(member, "out of memory");
        return false;
    }
    return true;
}

// Open loop: what is due by the clock, a bounded number for each turn, the publishers in rotation.
static void publish_due(struct fanout *fanout, struct client *client) {
    if (fanout->start_ns == 0) {
        fanout->start_ns = client->now_ns;
    }
    for (uint32_t i = 0; i < PUBLISH_TURN_MAX; i++) {
        uint64_t due_ns =
            fanout->start_ns + fanout->rung * 1000000000ULL / fanout->team->options->rate;
        if (due_ns > client->now_ns) {
            return;
        }
        uint64_t late_ns = client->now_ns - due_ns;
        fanout->late_ns = late_ns > fanout->late_ns ? late_ns : fanout->late_ns;
        publish(fanout, client, (uint32_t)(fanout->rung++ % fanout->publishers), due_ns);
    }
}

// Publishes what is due, or for everyone whose last burst has arrived. Returns the deliveries that
// are missing.
static uint64_t fanout_turn(struct fanout *fanout, struct client *client, bool may_publish) {
    uint64_t missing = 0;
    bool is_open = fanout->team->options->rate != 0;
    client->now_ns = client_clock_ns();
    if (is_open && may_publish) {
        publish_due(fanout, client);
    }
    for (uint32_t i = 0; i < fanout->publishers; i++) {
        if (fanout->outstanding[i] == 0 && may_publish && !is_open) {
            publish(fanout, client, i, client->now_ns);
        }
        missing += fanout->outstanding[i];
    }
    client_turn(client, is_open ? 1 : 10);
    member_received(fanout->member, client);
    return missing;
}

static void fanout_loop(struct fanout *fanout, struct client *client) {
    struct member *member = fanout->member;
    enum phase seen = PHASE_OPEN;
    uint64_t progress = 0;
    uint64_t progress_ns = client_clock_ns();
    for (;;) {
        enum phase phase = member_phase(fanout->team);
        if (phase == PHASE_RUN && seen != PHASE_RUN) {
            hist_init(&member->hist[0]);
            fanout->late_ns = 0;
        }
        seen = phase;
        member_count(member, COUNTER_LATE_NS, fanout->late_ns);
        uint64_t missing = fanout_turn(fanout, client, phase == PHASE_WARM || phase == PHASE_RUN);
        if (client->error[0] != 0 || client->closed_count > 0) {
            member_problem(member, "%s",
                           client->error[0] != 0 ? client->error
                                                 : "the server closed a connection");
            return;
        }
        if (client->message_count != progress || missing == 0) {
            progress = client->message_count;
            progress_ns = client->now_ns;
        } else if (client->now_ns - progress_ns > 10000000000ULL) {
            member_problem(member, "no delivery for 10 s, %llu are missing",
                           (unsigned long long)missing);
            return;
        }
        if (phase >= PHASE_STOP && missing == 0) {
            return;
        }
    }
}

static void fanout_run(struct team *team, struct member *member) {
    struct fanout fanout;
    struct client client;
    struct client_hooks hooks = {.on_message = on_message};
    if (!fanout_init(&fanout, team, member) ||
        !member_client(team, member, &client, &hooks, &fanout) ||
        !member_open(team, member, &client, 0, member->peer_count)) {
        return;
    }
    member_done(member, PHASE_OPEN);
    fanout_loop(&fanout, &client);
    client_fini(&client);
}

void mode_fanout(const struct options *options, struct report *report) {
    struct team team;
    struct mark from, to;
    struct hist *latency = calloc(1, sizeof *latency);
    uint64_t peer_count = options->connections + options->publishers;
    struct team_plan plan = {.run = fanout_run, .peer_count = peer_count, .member_count = 1};
    team_distance(options, report, "core_distance_before_ns");
    if (latency == NULL || !team_start(&team, options, &plan, report)) {
        free(latency);
        return;
    }
    if (team_wait_open(&team, peer_count)) {
        // Some servers subscribe a little after their 101.
        bool is_settled = team_sleep(&team, 0.3, NULL, NULL);
        team_phase(&team, PHASE_WARM);
        if (is_settled && team_sleep(&team, options->warmup_seconds, NULL, NULL)) {
            team_phase(&team, PHASE_RUN);
            team_mark(&team, &from);
            (void)team_sleep(&team, options->seconds, NULL, NULL); // a failure shows in team_finish
            team_mark(&team, &to);
            team_phase(&team, PHASE_STOP);
            team_cpu_rows(&team, &from, &to, COUNTER_MESSAGES, "delivery");
        }
    }
    team_finish(&team);
    team_distance(options, report, "core_distance_after_ns");
    team_hist(&team, 0, latency);
    report_latency(report, "latency", latency);
    team_late_row(&team);
    free(latency);
}
