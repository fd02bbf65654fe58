#include "bench/talk.h"

#include <stdlib.h>
#include <string.h>

enum { STOP_QUIET_SECONDS = 10, FLIGHT_BYTES_MAX = 16 << 20 };

bool talk_init(struct talk *talk, const struct team *team, struct member *member, uint32_t count,
               uint64_t total) {
    const struct options *options = team->options;
    memset(talk, 0, sizeof *talk);
    talk->member = member;
    talk->options = options;
    talk->count = count;
    uint64_t room = FLIGHT_BYTES_MAX / options->size + 1;
    uint64_t flight = room < TALK_FLIGHT_MAX ? room : TALK_FLIGHT_MAX;
    talk->flight = (uint32_t)(options->rate == 0 ? options->depth : flight);
    if (options->rate != 0 && count != 0) {
        double share = (double)options->rate * (double)count / (double)total;
        talk->step_ns = (uint64_t)(1e9 / share);
        talk->step_ns += talk->step_ns == 0;
    }
    talk->peers = calloc((size_t)count + 1, sizeof *talk->peers);
    talk->sent_ns = calloc(((size_t)count + 1) * talk->flight, sizeof *talk->sent_ns);
    if (talk->peers == NULL || talk->sent_ns == NULL ||
        member_burst(options, &talk->burst, talk->flight) != 0) {
        member_problem(member, "out of memory");
        return false;
    }
    return true;
}

void talk_fini(struct talk *talk) {
    burst_fini(&talk->burst);
    free(talk->peers);
    free(talk->sent_ns);
}

static uint32_t sender_of(const struct client *client, const struct peer *peer) {
    return (client->options.first_index + peer->index) & PAYLOAD_SENDER_MAX;
}

// When the next message of a peer is due: the n-th of peer i is the (n * count + i)-th of all.
static uint64_t due_ns(const struct talk *talk, const struct peer *peer) {
    uint64_t number = talk->peers[peer->index].sent * talk->count + peer->index;
    return talk->start_ns + number * talk->step_ns;
}

static void send_next(struct talk *talk, struct client *client, struct peer *peer, uint32_t count) {
    struct talk_peer *state = &talk->peers[peer->index];
    uint64_t *sent_ns = talk->sent_ns + (size_t)peer->index * talk->flight;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t when_ns = talk->step_ns == 0 ? client->now_ns : due_ns(talk, peer);
        struct payload payload = {
            .sequence = state->sent, .sent_ns = when_ns, .sender = sender_of(client, peer)};
        if (talk->step_ns != 0 && client->now_ns - when_ns > talk->late_ns) {
            talk->late_ns = client->now_ns - when_ns;
        }
        burst_write(&talk->burst, i, &payload);
        sent_ns[state->sent % talk->flight] = when_ns;
        state->sent++;
    }
    client_send(client, peer, talk->burst.bytes, count * talk->burst.frame_length);
}

// Open loop: what is due on a connection and has room.
static void send_due(struct talk *talk, struct client *client, struct peer *peer) {
    const struct talk_peer *state = &talk->peers[peer->index];
    uint64_t rounds = talk->rung / talk->count + (peer->index < talk->rung % talk->count);
    uint64_t owed = rounds - state->sent;
    uint64_t room = talk->flight - (state->sent - state->answered);
    uint64_t count = owed < room ? owed : room;
    if (count > 0 && !talk->is_stopping) {
        send_next(talk, client, peer, (uint32_t)count);
    }
}

void talk_begin(struct talk *talk, struct client *client) {
    client->now_ns = client_clock_ns();
    talk->start_ns = client->now_ns;
    for (uint32_t i = 0; i < talk->count && talk->step_ns == 0; i++) {
        send_next(talk, client, &client->peers[i], talk->flight);
    }
}

void talk_turn(struct talk *talk, struct client *client) {
    if (talk->step_ns == 0 || talk->start_ns == 0 || talk->is_stopping) {
        return;
    }
    client->now_ns = client_clock_ns();
    uint64_t due = (client->now_ns - talk->start_ns) / talk->step_ns + 1;
    uint64_t fresh = due - talk->rung;
    uint32_t first = (uint32_t)(talk->rung % talk->count);
    uint32_t visits = fresh < talk->count ? (uint32_t)fresh : talk->count;
    talk->rung = due;
    for (uint32_t i = 0; i < visits; i++) {
        send_due(talk, client, &client->peers[(first + i) % talk->count]);
    }
}

void talk_on_message(struct talk *talk, struct client *client, struct peer *peer,
                     const uint8_t *bytes, size_t count) {
    struct talk_peer *state = &talk->peers[peer->index];
    struct payload payload;
    if (state->answered == state->sent) {
        client_fail(client, "connection %u: an answer to nothing", peer->index);
        return;
    }
    if (count != talk->options->size) {
        client_fail(client, "connection %u: %zu bytes came back instead of %llu", peer->index,
                    count, (unsigned long long)talk->options->size);
    } else if (!talk->options->is_floor &&
               (!payload_read(bytes, count, &payload) || payload.sequence != state->answered ||
                payload.sender != sender_of(client, peer))) {
        client_fail(client, "connection %u: answer %llu is not what was sent", peer->index,
                    (unsigned long long)state->answered);
    }
    size_t at = (size_t)peer->index * talk->flight + state->answered % talk->flight;
    hist_add(&talk->member->hist[0], client->now_ns - talk->sent_ns[at]);
    state->answered++;
    state->due++;
}

void talk_on_batch(struct talk *talk, struct client *client, struct peer *peer) {
    struct talk_peer *state = &talk->peers[peer->index];
    if (talk->step_ns != 0) {
        send_due(talk, client, peer);
    } else if (state->due > 0 && !talk->is_stopping) {
        send_next(talk, client, peer, state->due);
    }
    state->due = 0;
}

static uint64_t unanswered_count(const struct talk *talk) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < talk->count; i++) {
        sum += talk->peers[i].sent - talk->peers[i].answered;
    }
    return sum;
}

void talk_stop(struct talk *talk, struct client *client) {
    talk->is_stopping = true;
    // What is in flight may take a slow server long: it ends when nothing has come for a while.
    uint64_t left = unanswered_count(talk);
    uint64_t seen_ns = client_clock_ns();
    client->now_ns = seen_ns;
    while (left > 0 && client->now_ns < seen_ns + STOP_QUIET_SECONDS * 1000000000ULL &&
           client->closed_count == 0) {
        client_turn(client, 10);
        uint64_t still_left = unanswered_count(talk);
        seen_ns = still_left < left ? client->now_ns : seen_ns;
        left = still_left;
    }
    if (left > 0) {
        member_problem(talk->member, "%llu messages were never answered", (unsigned long long)left);
    }
}
