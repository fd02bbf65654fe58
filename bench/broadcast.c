#include "bench/broadcast.h"

#include <stdio.h>
#include <stdlib.h>

enum { BROADCAST_SECONDS_MAX = 120 };

bool broadcast_init(struct broadcast *broadcast, const struct team *team, struct member *member,
                    struct broadcast_order *order) {
    *broadcast = (struct broadcast){.order = order, .member = member, .options = team->options};
    broadcast->received = calloc(member->peer_count, sizeof *broadcast->received);
    if (broadcast->received == NULL || member_burst(team->options, &broadcast->burst, 1) != 0) {
        free(broadcast->received);
        member_problem(member, "out of memory");
        return false;
    }
    return true;
}

void broadcast_fini(struct broadcast *broadcast) {
    burst_fini(&broadcast->burst);
    free(broadcast->received);
}

void broadcast_on_message(struct broadcast *broadcast, struct client *client,
                          const struct peer *peer, const uint8_t *bytes, size_t count) {
    struct payload payload;
    uint16_t *received = &broadcast->received[peer->index];
    if (count != broadcast->options->size || !payload_read(bytes, count, &payload)) {
        client_fail(client, "connection %u: a message that nobody published", peer->index);
    } else if (payload.sequence != *received) {
        client_fail(client, "connection %u: broadcast %llu came instead of %u", peer->index,
                    (unsigned long long)payload.sequence, *received);
    } else {
        (*received)++;
        hist_add(&broadcast->member->hist[broadcast->hist],
                 payload_age(payload.sent_ns, client->now_ns));
    }
}

void broadcast_turn(struct broadcast *broadcast, struct client *client) {
    if (broadcast->member->index != 0 || broadcast->sent == atomic_load(&broadcast->order->asked)) {
        return;
    }
    struct payload payload = {.sequence = broadcast->sent++,
                              .sent_ns = atomic_load(&broadcast->order->due_ns)};
    burst_write(&broadcast->burst, 0, &payload);
    client_send(client, &client->peers[broadcast->publisher], broadcast->burst.bytes,
                broadcast->burst.frame_length);
}

void broadcast_ask(struct broadcast_order *order, uint64_t now_ns) {
    atomic_store(&order->due_ns, now_ns);
    atomic_fetch_add(&order->asked, 1);
}

// False: somebody failed, or the time is over.
static bool all_have(struct team *team, uint64_t messages) {
    for (uint32_t tick = 0; tick < BROADCAST_SECONDS_MAX * 10; tick++) {
        if (team_counter(team, COUNTER_MESSAGES) >= messages) {
            return true;
        }
        if (!team_sleep(team, 0.1, NULL, NULL)) {
            return false;
        }
    }
    report_problem(
        team->report, "a broadcast reached %llu of %llu connections in %d s",
        (unsigned long long)(team_counter(team, COUNTER_MESSAGES) % team->options->connections),
        (unsigned long long)team->options->connections, BROADCAST_SECONDS_MAX);
    return false;
}

void broadcast_measure(struct team *team, struct broadcast_order *order) {
    struct mark from, to;
    team_mark(team, &from);
    for (uint64_t i = 1; i <= team->options->broadcasts; i++) {
        broadcast_ask(order, client_clock_ns());
        if (!all_have(team, i * team->options->connections)) {
            return;
        }
    }
    team_mark(team, &to);
    team_cpu_rows(team, &from, &to, COUNTER_MESSAGES, "delivery");
    struct hist *latency = calloc(1, sizeof *latency);
    if (latency != NULL) {
        team_hist(team, 0, latency);
        report_latency(team->report, "broadcast", latency);
        free(latency);
    }
}
