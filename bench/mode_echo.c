// echo: every connection keeps `depth` messages in flight. The answers of one receive are replaced
// by as many new messages in one send, so the server sees what a busy client would send it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/team.h"

struct echo {
    const struct team *team;
    struct member *member;
    struct burst burst;
    struct echo_peer *peers;
    uint64_t *sent_ns; // [peer][depth]: when the message of sequence s left, at s % depth
    size_t wire_size;  // what an answer's payload must measure
    bool is_stopping;
};

struct echo_peer {
    uint64_t sent;
    uint64_t answered;
    uint32_t due; // answers that wait to be replaced
};

static void send_next(struct echo *echo, struct client *client, struct peer *peer, uint32_t count) {
    struct echo_peer *state = &echo->peers[peer->index];
    uint64_t depth = echo->burst.count;
    uint64_t *sent_ns = echo->sent_ns + peer->index * depth;
    for (uint32_t i = 0; i < count; i++) {
        struct payload payload = {.sequence = state->sent,
                                  .sent_ns = client->now_ns,
                                  .sender = (client->options.first_index + peer->index) &
                                            PAYLOAD_SENDER_MAX};
        burst_write(&echo->burst, i, &payload);
        sent_ns[state->sent % depth] = client->now_ns;
        state->sent++;
    }
    client_send(client, peer, echo->burst.bytes, count * echo->burst.frame_length);
}

static void on_message(struct client *client, struct peer *peer, const uint8_t *bytes,
                       size_t count) {
    struct echo *echo = client->mode;
    struct echo_peer *state = &echo->peers[peer->index];
    struct payload payload;
    if (state->answered == state->sent) {
        client_fail(client, "connection %u: an answer to nothing", peer->index);
        return;
    }
    if (count != echo->wire_size) {
        client_fail(client, "connection %u: %zu bytes came back instead of %zu", peer->index, count,
                    echo->wire_size);
    } else if (!echo->team->options->is_floor &&
               (!payload_read(bytes, count, &payload) || payload.sequence != state->answered ||
                payload.sender !=
                    ((client->options.first_index + peer->index) & PAYLOAD_SENDER_MAX))) {
        client_fail(client, "connection %u: answer %llu is not what was sent", peer->index,
                    (unsigned long long)state->answered);
    }
    uint64_t depth = echo->burst.count;
    uint64_t sent_ns = echo->sent_ns[peer->index * depth + state->answered % depth];
    hist_add(&echo->member->hist[0], client->now_ns - sent_ns);
    state->answered++;
    state->due++;
}

static void on_batch(struct client *client, struct peer *peer) {
    struct echo *echo = client->mode;
    struct echo_peer *state = &echo->peers[peer->index];
    if (state->due > 0 && !echo->is_stopping) {
        send_next(echo, client, peer, state->due);
    }
    state->due = 0;
}

static bool echo_init(struct echo *echo, const struct team *team, struct member *member) {
    const struct options *options = team->options;
    memset(echo, 0, sizeof *echo);
    echo->team = team;
    echo->member = member;
    echo->wire_size = options->size;
    echo->peers = calloc(member->peer_count, sizeof *echo->peers);
    echo->sent_ns = calloc(member->peer_count * options->depth, sizeof *echo->sent_ns);
    uint8_t opcode = options->is_text ? OPCODE_TEXT : OPCODE_BINARY;
    if (echo->peers == NULL || echo->sent_ns == NULL ||
        burst_init(&echo->burst, opcode, options->size, (uint32_t)options->depth) != 0) {
        member_problem(member, "out of memory");
        return false;
    }
    return true;
}

static uint64_t unanswered_count(const struct echo *echo) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < echo->member->peer_count; i++) {
        sum += echo->peers[i].sent - echo->peers[i].answered;
    }
    return sum;
}

// Sends no more and waits for what is in flight.
static void echo_stop(struct echo *echo, struct client *client) {
    echo->is_stopping = true;
    uint64_t end_ns = client_clock_ns() + 5000000000ULL;
    while (unanswered_count(echo) > 0 && client_clock_ns() < end_ns && client->closed_count == 0) {
        client_turn(client, 10);
    }
    if (unanswered_count(echo) > 0) {
        member_problem(echo->member, "%llu messages were never answered",
                       (unsigned long long)unanswered_count(echo));
    }
}

static void echo_run(struct team *team, struct member *member) {
    struct echo echo;
    struct client client;
    struct client_hooks hooks = {.on_message = on_message, .on_batch = on_batch};
    if (!echo_init(&echo, team, member) || !member_client(team, member, &client, &hooks, &echo) ||
        !member_open(team, member, &client, 0, member->peer_count)) {
        return;
    }
    member_done(member, PHASE_OPEN);
    enum phase seen = PHASE_OPEN;
    while (member_phase(team) < PHASE_STOP) {
        enum phase phase = member_phase(team);
        if (phase >= PHASE_WARM && seen == PHASE_OPEN) {
            for (uint32_t i = 0; i < member->peer_count; i++) {
                send_next(&echo, &client, &client.peers[i], echo.burst.count);
            }
        }
        if (phase == PHASE_RUN && seen != PHASE_RUN) {
            hist_init(&member->hist[0]);
        }
        seen = phase;
        client_turn(&client, 10);
        member_count(member, COUNTER_MESSAGES, client.message_count);
        if (client.error[0] != 0 || client.closed_count > 0) {
            member_problem(member, "%s",
                           client.error[0] != 0 ? client.error : "the server closed a connection");
            return;
        }
    }
    echo_stop(&echo, &client);
    uint32_t wrong = team->options->is_floor ? 0 : member_close_all(&client, 10);
    if (wrong > 0) {
        member_problem(member, "%u closing handshakes were not completed", wrong);
    }
    client_fini(&client);
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
    if (team_wait(&team, PHASE_OPEN, COUNTER_OPENED, options->connections, 120)) {
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
    free(latency);
}
