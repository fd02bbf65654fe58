// slow: a busy channel, first with readers only, then with as many again that stop reading. Peer 0
// publishes (and receives its own), then come the readers, then the stalled. At the end the stalled
// read on, and what each of them got, and how it was closed, is held against what was published.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/metrics.h"
#include "bench/proc.h"
#include "bench/team.h"

enum {
    BURST_MAX = 32,
    // So long nothing comes until what is missing counts as lost: also a server that shares its
    // core with others has sent by then.
    QUIET_NS = 5000000000LL,
    RESUME_NS = 60000000000LL
};

struct slow_peer {
    uint64_t next; // sequence number it has to get, if nothing is dropped
    uint64_t received;
    uint64_t gaps; // messages missing between others
};

struct slow_result {
    uint64_t reader_missing; // messages
    uint64_t stalled_received;
    uint64_t stalled_gaps;
    uint64_t stalled_tail; // published after the last one it got, while it was connected
    uint64_t stalled_complete;
    uint64_t stalled_open;
    uint64_t stalled_1013;
    uint64_t stalled_other; // closed with another code
    uint64_t stalled_cut;   // no Close frame
    uint64_t published_second;
};

struct slow {
    const struct team *team;
    struct member *member;
    struct slow_result *result;
    struct slow_peer *peers;
    struct burst burst;
    struct hist *hist; // of this phase, NULL: between phases
    uint64_t sent;
    uint64_t first;      // sequence number that this phase began with
    uint64_t start_ns;   // of this phase
    uint32_t reader_end; // peers below it read
};

static void on_message(struct client *client, struct peer *peer, const uint8_t *bytes,
                       size_t count) {
    struct slow *slow = client->mode;
    struct slow_peer *state = &slow->peers[peer->index];
    struct payload payload;
    if (count != slow->team->options->size || !payload_read(bytes, count, &payload) ||
        payload.sequence >= slow->sent) {
        client_fail(client, "connection %u: a delivery that nobody published", peer->index);
        return;
    }
    if (payload.sequence < state->next) {
        client_fail(client, "connection %u: message %llu came again, or late", peer->index,
                    (unsigned long long)payload.sequence);
        return;
    }
    state->gaps += payload.sequence - state->next;
    state->next = payload.sequence + 1;
    state->received++;
    if (peer->index < slow->reader_end && slow->hist != NULL) {
        hist_add(slow->hist, payload_age(payload.sent_ns, client->now_ns));
    }
}

static void on_open(struct client *client, struct peer *peer) {
    struct slow *slow = client->mode;
    slow->peers[peer->index].next = slow->sent;
    peer->is_paused = peer->index >= slow->reader_end;
}

// Sends one burst of what was due by `now_ns`. A message's time is the one it was due at, so that a
// lag of ours counts too. True: more is due.
static bool publish_due(struct slow *slow, struct client *client, uint64_t now_ns) {
    uint64_t rate = slow->team->options->rate;
    uint64_t due = slow->first + (now_ns - slow->start_ns) * rate / 1000000000ULL;
    uint32_t count = 0;
    for (; count < BURST_MAX && slow->sent < due; count++, slow->sent++) {
        uint64_t number = slow->sent - slow->first + 1;
        struct payload payload = {.sequence = slow->sent,
                                  .sent_ns = slow->start_ns + number * 1000000000ULL / rate};
        burst_write(&slow->burst, count, &payload);
    }
    if (count > 0) {
        client_send(client, &client->peers[0], slow->burst.bytes, count * slow->burst.frame_length);
    }
    return slow->sent < due;
}

// Until the phase is over and all that was due in it is published. Between two bursts the readers
// read: after a halt of ours the server must not take them for stalled ones.
static void publish_through(struct slow *slow, struct client *client, enum phase phase) {
    slow->start_ns = client_clock_ns();
    slow->first = slow->sent;
    uint64_t end_ns = 0; // 0: the phase goes on
    bool has_more = false;
    do {
        uint64_t now_ns = client_clock_ns();
        end_ns = end_ns == 0 && member_phase(slow->team) > phase ? now_ns : end_ns;
        has_more = publish_due(slow, client, end_ns == 0 ? now_ns : end_ns);
        client_turn(client, has_more ? 0 : 1);
        member_received(slow->member, client);
        member_count(slow->member, COUNTER_SENT, slow->sent);
    } while ((end_ns == 0 || has_more) && client->error[0] == 0);
}

// Messages that may still come to the open ones of peers first..end-1: those behind the last that
// came. What is missing between two others comes no more.
static uint64_t awaited(const struct slow *slow, const struct client *client, uint32_t first,
                        uint32_t end) {
    uint64_t sum = 0;
    for (uint32_t i = first; i < end; i++) {
        sum += client->peers[i].state == PEER_CLOSED ? 0 : slow->sent - slow->peers[i].next;
    }
    return sum;
}

// Until the peers await nothing, or nothing comes any more. Pings go on for ever: only messages and
// closes count.
static void receive_rest(const struct slow *slow, struct client *client, uint32_t first,
                         uint32_t end) {
    uint64_t seen = 0;
    uint64_t seen_ns = client_clock_ns();
    uint64_t end_ns = seen_ns + RESUME_NS;
    client->now_ns = seen_ns;
    while (awaited(slow, client, first, end) > 0 && client->now_ns < seen_ns + QUIET_NS &&
           client->now_ns < end_ns) {
        client_turn(client, 10);
        if (client->message_count + client->closed_count != seen) {
            seen = client->message_count + client->closed_count;
            seen_ns = client->now_ns;
        }
    }
}

// Returns how many messages the readers lack since the start.
static uint64_t catch_up(struct slow *slow, struct client *client) {
    uint32_t first = slow->team->options->has_no_self ? 1 : 0;
    receive_rest(slow, client, first, slow->reader_end);
    uint64_t missing = 0;
    for (uint32_t i = first; i < slow->reader_end; i++) {
        missing += slow->sent - slow->peers[i].next + slow->peers[i].gaps;
    }
    return missing;
}

// The stalled read on until they are closed or nothing comes any more.
static void resume_all(struct slow *slow, struct client *client) {
    uint32_t count = client->options.peer_count;
    for (uint32_t i = slow->reader_end; i < count; i++) {
        client_pause(client, &client->peers[i], false);
    }
    receive_rest(slow, client, slow->reader_end, count);
}

static void account(struct slow *slow, struct client *client, uint64_t first) {
    struct slow_result *result = slow->result;
    const char *path = slow->team->options->rows;
    FILE *rows = path[0] == 0 ? NULL : fopen(path, "we");
    if (rows != NULL) {
        fprintf(rows, "connection,published,received,gaps,tail,close_code\n");
    }
    for (uint32_t i = slow->reader_end; i < client->options.peer_count; i++) {
        const struct peer *peer = &client->peers[i];
        const struct slow_peer *state = &slow->peers[i];
        uint64_t tail = slow->sent - state->next;
        bool is_open = peer->state == PEER_OPEN;
        result->stalled_received += state->received;
        result->stalled_gaps += state->gaps;
        result->stalled_tail += tail;
        result->stalled_complete += state->gaps + tail == 0;
        result->stalled_open += is_open;
        result->stalled_1013 += !is_open && peer->close_code == 1013;
        result->stalled_cut += !is_open && peer->close_code == CLIENT_CLOSE_LOST;
        result->stalled_other +=
            !is_open && peer->close_code != 1013 && peer->close_code != CLIENT_CLOSE_LOST;
        if (rows != NULL) {
            fprintf(rows, "%u,%llu,%llu,%llu,%llu,%u\n", i,
                    (unsigned long long)(slow->sent - first), (unsigned long long)state->received,
                    (unsigned long long)state->gaps, (unsigned long long)tail,
                    is_open ? 0 : peer->close_code);
        }
    }
    if (rows != NULL) {
        fclose(rows);
    }
}

static bool has_trouble(const struct slow *slow, struct client *client, const char *when) {
    uint32_t lost = 0;
    for (uint32_t i = 0; i < slow->reader_end; i++) {
        lost += client->peers[i].state == PEER_CLOSED;
    }
    if (lost > 0 || client->error[0] != 0) {
        member_problem(slow->member, "%s: %u readers were closed. %s", when, lost, client->error);
        return true;
    }
    return false;
}

static void slow_phases(struct slow *slow, struct team *team, struct client *client) {
    struct member *member = slow->member;
    uint32_t count = client->options.peer_count;
    slow->hist = &member->hist[0];
    publish_through(slow, client, PHASE_RUN);
    slow->result->reader_missing = catch_up(slow, client);
    slow->hist = NULL;
    if (has_trouble(slow, client, "without stalled clients") ||
        !member_open(team, member, client, slow->reader_end, count)) {
        return;
    }
    member_done(member, PHASE_OPEN_SECOND);
    while (member_phase(team) < PHASE_RUN_SECOND) {
        client_turn(client, 10);
    }
    uint64_t first = slow->sent;
    slow->hist = &member->hist[1];
    publish_through(slow, client, PHASE_RUN_SECOND);
    slow->result->reader_missing = catch_up(slow, client);
    slow->hist = NULL;
    slow->result->published_second = slow->sent - first;
    if (has_trouble(slow, client, "with stalled clients")) {
        return;
    }
    resume_all(slow, client);
    (void)has_trouble(slow, client, "after they resumed"); // the account is of use even so
    account(slow, client, first);
    member_done(member, PHASE_STOP);
}

static void slow_run(struct team *team, struct member *member) {
    const struct options *options = team->options;
    struct client client;
    struct client_hooks hooks = {.on_open = on_open, .on_message = on_message};
    struct slow slow = {.team = team,
                        .member = member,
                        .result = team->extra,
                        .peers = calloc(member->peer_count, sizeof *slow.peers),
                        .reader_end = (uint32_t)options->readers + 1};
    if (slow.peers == NULL || member_burst(options, &slow.burst, BURST_MAX) != 0) {
        member_problem(member, "out of memory");
        return;
    }
    if (!member_client(team, member, &client, &hooks, &slow) ||
        !member_open(team, member, &client, 0, slow.reader_end)) {
        return;
    }
    member_done(member, PHASE_OPEN);
    while (member_phase(team) < PHASE_RUN) {
        client_turn(&client, 10);
    }
    slow_phases(&slow, team, &client);
    client_fini(&client);
}

// --- The parent's side.

struct watch {
    uint64_t pss_max;
    pid_t pid;
};

static void on_tick(struct team *team, void *argument) {
    struct watch *watch = argument;
    (void)team; // the signature is that of every tick
    uint64_t pss = watch->pid == 0 ? 0 : proc_pss(watch->pid);
    watch->pss_max = pss > watch->pss_max ? pss : watch->pss_max;
}

static void stalled_rows(struct team *team, double dropped) {
    const struct slow_result *result = team->extra;
    struct report *report = team->report;
    report_add(report, "published", "messages while clients were stalled",
               (double)result->published_second);
    report_add(report, "reader_missing", "messages that readers never got",
               (double)result->reader_missing);
    report_add(report, "stalled_received", "messages, all stalled together",
               (double)result->stalled_received);
    report_add(report, "stalled_gaps", "messages missing between others",
               (double)result->stalled_gaps);
    report_add(report, "stalled_tail", "messages missing at the end", (double)result->stalled_tail);
    report_add(report, "stalled_complete", "stalled clients that got everything",
               (double)result->stalled_complete);
    report_add(report, "stalled_open", "still connected", (double)result->stalled_open);
    report_add(report, "stalled_1013", "closed with 1013", (double)result->stalled_1013);
    report_add(report, "stalled_other", "closed with another code", (double)result->stalled_other);
    report_add(report, "stalled_cut", "ended without a Close frame", (double)result->stalled_cut);
    if (result->reader_missing > 0) {
        report_problem(report, "readers lack %llu messages",
                       (unsigned long long)result->reader_missing);
    }
    uint64_t stalled = team->options->stalled;
    uint64_t sum = result->stalled_received + result->stalled_gaps + result->stalled_tail;
    if (sum != result->published_second * stalled) {
        report_problem(report, "received + gaps + tail is %llu, not published x stalled",
                       (unsigned long long)sum);
    }
    if (dropped >= 0) {
        report_add(report, "server_dropped", "messages, says the server", dropped);
        double missing = (double)(result->stalled_gaps + result->stalled_tail);
        if (result->stalled_open == stalled && dropped != missing) {
            report_problem(report, "the server counts %.0f drops, the clients miss %.0f", dropped,
                           missing);
        }
    }
}

static bool dropped_read(const struct options *options, struct report *report, double *dropped) {
    *dropped = 0;
    if (options->metrics[0] == 0) {
        return false;
    }
    if (!metrics_sum(options->metrics, options->metric, dropped)) {
        report_problem(report, "%s has no %s", options->metrics, options->metric);
        return false;
    }
    return true;
}

static bool slow_measure(struct team *team, struct watch watch[2], double *dropped) {
    const struct options *options = team->options;
    double before = 0;
    double after = 0;
    if (!team_wait_open(team, options->readers + 1) || !team_sleep(team, 0.3, on_tick, &watch[0])) {
        return false;
    }
    bool has_metric = dropped_read(options, team->report, &before);
    team_phase(team, PHASE_RUN);
    if (!team_sleep(team, options->seconds, on_tick, &watch[0])) {
        return false;
    }
    team_phase(team, PHASE_OPEN_SECOND);
    uint64_t all = options->readers + options->stalled + 1;
    if (!team_wait(team, PHASE_OPEN_SECOND, COUNTER_OPENED, all, 120) ||
        !team_sleep(team, 0.3, on_tick, &watch[1])) {
        return false;
    }
    team_phase(team, PHASE_RUN_SECOND);
    if (!team_sleep(team, options->seconds, on_tick, &watch[1])) {
        return false;
    }
    team_phase(team, PHASE_STOP);
    bool is_done = team_wait(team, PHASE_STOP, COUNTER_MESSAGES, 0, 120);
    *dropped = has_metric && dropped_read(options, team->report, &after) ? after - before : -1;
    return is_done;
}

void mode_slow(const struct options *options, struct report *report) {
    struct team team;
    struct watch watch[2] = {{.pid = (pid_t)options->pid}, {.pid = (pid_t)options->pid}};
    struct hist *latency = calloc(1, sizeof *latency);
    struct team_plan plan = {.run = slow_run,
                             .peer_count = options->readers + options->stalled + 1,
                             .member_count = 1,
                             .extra_size = sizeof(struct slow_result)};
    double pss_before = options->pid == 0 ? 0 : (double)proc_pss((pid_t)options->pid);
    double dropped = -1;
    if (latency == NULL || !team_start(&team, options, &plan, report)) {
        free(latency);
        return;
    }
    bool is_measured = slow_measure(&team, watch, &dropped);
    team_finish(&team);
    if (options->pid != 0) {
        report_add(report, "pss_before_mib", "MiB of the server, no clients", pss_before / 1048576);
        report_add(report, "pss_max_alone_mib", "MiB at most, readers only",
                   (double)watch[0].pss_max / 1048576);
        report_add(report, "pss_max_stalled_mib", "MiB at most, with stalled clients",
                   (double)watch[1].pss_max / 1048576);
    }
    team_hist(&team, 0, latency);
    report_latency(report, "alone", latency);
    double alone = (double)hist_at(latency, 0.99);
    team_hist(&team, 1, latency);
    report_latency(report, "beside_stalled", latency);
    if (alone > 0) {
        report_add(report, "p99_ratio", "beside stalled clients to alone",
                   (double)hist_at(latency, 0.99) / alone);
    }
    if (is_measured) {
        stalled_rows(&team, dropped);
    }
    free(latency);
}
