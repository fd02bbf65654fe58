// drain: what an operator's SIGTERM does to clients under traffic. The connections share channels;
// on each channel one of them publishes, and when the server has closed it, another. All
// subscribers of a channel must see one order: the n-th message of each is compared with the n-th
// that anybody got. A message that others had received half a second (and the greatest latency of
// the run) before a connection's Close, and it had not, was lost.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/team.h"

enum { LOG_MAX = 1 << 16, LATE_NS = 500000000, CODES = 5000 };

struct entry {
    uint64_t identity;
    uint64_t first_ns; // when the first subscriber got it
};

struct channel {
    struct entry *log;
    uint32_t log_count;
    uint32_t publisher; // index of a peer
    uint32_t epoch;     // counts publishers
    uint32_t sent;      // by this publisher
};

struct drain_result {
    uint64_t lost;       // messages
    uint64_t incomplete; // connections that lost some
    uint64_t codes[CODES];
    uint64_t first_close_ns;
    uint64_t last_close_ns;
};

struct drain {
    const struct team *team;
    struct member *member;
    struct drain_result *result;
    struct channel *channels;
    uint32_t *received; // [peer]: messages
    struct burst burst;
    uint32_t channel_count;
    bool is_ending;
};

// The identity of a message: who published it (epoch in the sender's place), channel and number in
// the sequence.
static uint64_t sequence_of(uint32_t channel, uint32_t number) {
    return (uint64_t)channel << 20 | number;
}

static void log_add(struct client *client, struct channel *channel, const struct payload *payload) {
    uint64_t identity = (uint64_t)payload->sender << 36 | payload->sequence;
    if (channel->log_count == LOG_MAX) {
        client_fail(client, "more than %d messages on a channel; lower --rate", LOG_MAX);
        return;
    }
    if (channel->log_count > 0) {
        uint64_t last = channel->log[channel->log_count - 1].identity;
        bool is_next = identity == last + 1;
        bool is_new_publisher = payload->sender > last >> 36 && (payload->sequence & 0xfffff) == 0;
        if (!is_next && !is_new_publisher) {
            client_fail(client, "a channel's message %llx follows %llx",
                        (unsigned long long)identity, (unsigned long long)last);
        }
    }
    channel->log[channel->log_count++] =
        (struct entry){.identity = identity, .first_ns = client->now_ns};
}

static void on_message(struct client *client, struct peer *peer, const uint8_t *bytes,
                       size_t count) {
    struct drain *drain = client->mode;
    uint32_t at = (client->options.first_index + peer->index) % drain->channel_count;
    struct channel *channel = &drain->channels[at];
    struct payload payload;
    if (count != drain->team->options->size || !payload_read(bytes, count, &payload) ||
        payload.sequence >> 20 != at) {
        client_fail(client, "connection %u: a message that nobody published on its channel",
                    peer->index);
        return;
    }
    uint32_t *received = &drain->received[peer->index];
    if (*received == channel->log_count) {
        log_add(client, channel, &payload);
    }
    uint64_t identity = (uint64_t)payload.sender << 36 | payload.sequence;
    if (*received < channel->log_count && channel->log[*received].identity != identity) {
        client_fail(client, "connection %u: its message %u is %llx, that of others %llx",
                    peer->index, *received, (unsigned long long)identity,
                    (unsigned long long)channel->log[*received].identity);
    }
    (*received)++;
    hist_add(&drain->member->hist[0], payload_age(payload.sent_ns, client->now_ns));
}

static void on_closed(struct client *client, struct peer *peer) {
    struct drain *drain = client->mode;
    if (drain->is_ending) {
        return;
    }
    struct drain_result *result = drain->result;
    const struct channel *channel =
        &drain->channels[(client->options.first_index + peer->index) % drain->channel_count];
    uint64_t lost = 0;
    // On a busy machine the workers of a server lag behind each other: nobody is later than the
    // latest was.
    uint64_t late_ns = LATE_NS + drain->member->hist[0].max;
    for (uint32_t i = drain->received[peer->index]; i < channel->log_count; i++) {
        lost += channel->log[i].first_ns + late_ns < client->now_ns;
    }
    result->lost += lost;
    result->incomplete += lost > 0;
    result->codes[peer->close_code < CODES ? peer->close_code : 0]++;
    result->last_close_ns = client->now_ns;
    if (result->first_close_ns == 0) {
        result->first_close_ns = client->now_ns;
    }
}

// Publishes one message on a channel, by another connection when its publisher is gone.
static void publish(struct drain *drain, struct client *client, uint32_t at) {
    struct channel *channel = &drain->channels[at];
    uint32_t looked = 0;
    while (client->peers[channel->publisher].state != PEER_OPEN ||
           client->peers[channel->publisher].has_closed) {
        channel->publisher += drain->channel_count;
        if (channel->publisher >= client->options.peer_count) {
            channel->publisher = at;
        }
        if (++looked > client->options.peer_count / drain->channel_count + 1) {
            return; // the channel is empty
        }
    }
    if (looked > 0) {
        channel->epoch++;
        channel->sent = 0;
    }
    struct payload payload = {.sequence = sequence_of(at, channel->sent++),
                              .sent_ns = client_clock_ns(),
                              .sender = channel->epoch & PAYLOAD_SENDER_MAX};
    burst_write(&drain->burst, 0, &payload);
    client_send(client, &client->peers[channel->publisher], drain->burst.bytes,
                drain->burst.frame_length);
}

static bool drain_init(struct drain *drain, struct team *team, struct member *member) {
    const struct options *options = team->options;
    memset(drain, 0, sizeof *drain);
    drain->team = team;
    drain->member = member;
    drain->result = team->extra;
    drain->channel_count = (uint32_t)options->channels;
    drain->channels = calloc(drain->channel_count, sizeof *drain->channels);
    drain->received = calloc(member->peer_count, sizeof *drain->received);
    bool is_complete = drain->channels != NULL && drain->received != NULL &&
                       member_burst(options, &drain->burst, 1) == 0;
    for (uint32_t i = 0; i < drain->channel_count && is_complete; i++) {
        drain->channels[i].publisher = i;
        drain->channels[i].log = calloc(LOG_MAX, sizeof(struct entry)); // touched as far as needed
        is_complete = drain->channels[i].log != NULL;
    }
    if (!is_complete) {
        member_problem(member, "out of memory");
    }
    return is_complete;
}

static void drain_run(struct team *team, struct member *member) {
    struct drain drain;
    struct client client;
    struct client_hooks hooks = {.on_message = on_message, .on_closed = on_closed};
    if (!drain_init(&drain, team, member) ||
        !member_client(team, member, &client, &hooks, &drain) ||
        !member_open(team, member, &client, 0, member->peer_count)) {
        return;
    }
    member_done(member, PHASE_OPEN);
    uint64_t start_ns = client_clock_ns();
    uint64_t published = 0;
    while (member_phase(team) < PHASE_STOP && client.open_count > 0) {
        uint64_t due = (client_clock_ns() - start_ns) * team->options->rate / 1000000000ULL;
        for (; published < due; published++) {
            publish(&drain, &client, (uint32_t)(published % drain.channel_count));
        }
        client_turn(&client, 1);
        member_received(member, &client);
        member_count(member, COUNTER_CLOSED, client.closed_count);
        member_count(member, COUNTER_SENT, published);
    }
    if (client.error[0] != 0) {
        member_problem(member, "%s", client.error);
    }
    member_done(member, PHASE_RUN);
    drain.is_ending = true;
    client_fini(&client);
}

static void result_rows(struct team *team, uint64_t term_ns) {
    const struct options *options = team->options;
    const struct drain_result *result = team->extra;
    struct report *report = team->report;
    uint64_t closed = 0;
    for (uint32_t code = 0; code < CODES; code++) {
        if (result->codes[code] > 0) {
            char key[48];
            snprintf(key, sizeof key, "closed_%u", code);
            report_add(report, key,
                       code == CLIENT_CLOSE_LOST ? "connections, without a Close frame"
                                                 : "connections",
                       (double)result->codes[code]);
            closed += result->codes[code];
        }
    }
    if (term_ns != 0 && result->last_close_ns > term_ns) {
        report_add(report, "first_close_s", "s after SIGTERM",
                   (double)(result->first_close_ns - term_ns) / 1e9);
        report_add(report, "last_close_s", "s after SIGTERM",
                   (double)(result->last_close_ns - term_ns) / 1e9);
    }
    report_add(report, "published", "messages", (double)team_counter(team, COUNTER_SENT));
    report_add(report, "deliveries", "in one order on each channel",
               (double)team_counter(team, COUNTER_MESSAGES));
    report_add(report, "lost", "messages that others had long before a Close",
               (double)result->lost);
    if (result->lost > 0) {
        report_problem(report, "%llu connections lost %llu messages",
                       (unsigned long long)result->incomplete, (unsigned long long)result->lost);
    }
    uint64_t right = options->code < CODES ? result->codes[options->code] : 0;
    if (right != options->connections) {
        report_problem(report, "%llu of %llu connections saw %llu; %llu were not closed",
                       (unsigned long long)right, (unsigned long long)options->connections,
                       (unsigned long long)options->code,
                       (unsigned long long)(options->connections - closed));
    }
}

void mode_drain(const struct options *options, struct report *report) {
    struct team team;
    struct team_plan plan = {.run = drain_run,
                             .peer_count = options->connections,
                             .member_count = 1,
                             .extra_size = sizeof(struct drain_result)};
    struct hist *latency = calloc(1, sizeof *latency);
    if (options->has_term && options->pid == 0) {
        report_problem(report, "--term needs --pid");
    } else if (latency != NULL && team_start(&team, options, &plan, report)) {
        uint64_t term_ns = 0;
        if (team_wait_open(&team, options->connections) &&
            team_sleep(&team, options->warmup_seconds, NULL, NULL)) {
            if (!options->has_term) {
                fprintf(stderr, "drain: traffic runs; send the server SIGTERM\n");
            } else if (kill((pid_t)options->pid, SIGTERM) == 0) {
                term_ns = client_clock_ns();
            }
            (void)team_wait(&team, PHASE_RUN, COUNTER_CLOSED, options->connections,
                            options->seconds); // see the rows
            team_phase(&team, PHASE_STOP);
        }
        team_finish(&team);
        result_rows(&team, term_ns);
        team_hist(&team, 0, latency);
        report_latency(report, "latency", latency);
    }
    free(latency);
}
