// A member's side of a run: its share of the connections, opened and closed.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench/team.h"

enum {
    LAG_NS_MAX = 10000000,
    // Members that open at the same time. All at once would keep as many thousand handshakes in
    // progress as there are processes times --concurrency: more than two accept queues of 4096
    // take, and then the kernel drops the last step of handshakes that the clients hold to be
    // complete.
    OPENERS_MAX = 2,
    OPENING_MAX = 256,
    CLOSING_MAX = 256, // closing handshakes in progress, for each member
};

enum phase member_phase(const struct team *team) {
    return (enum phase)atomic_load_explicit(team->phase, memory_order_acquire);
}

void member_done(struct member *member, enum phase phase) {
    atomic_store(&member->phase_done, (uint32_t)phase + 1);
}

void member_count(struct member *member, enum counter counter, uint64_t value) {
    atomic_store_explicit(&member->counter[counter], value, memory_order_relaxed);
}

void member_received(struct member *member, const struct client *client) {
    member_count(member, COUNTER_MESSAGES, client->message_count);
    member_count(member, COUNTER_PACKED, client->packed_count);
}

int member_burst(const struct options *options, struct burst *burst, uint32_t count) {
    return burst_init_around(
        burst, &(struct burst_plan){.opcode = options->is_text ? OPCODE_TEXT : OPCODE_BINARY,
                                    .size = options->size,
                                    .count = count,
                                    .is_packed = options->does_deflate,
                                    .before = "",
                                    .after = ""});
}

void member_problem(struct member *member, const char *format, ...) {
    if (member->problem_count < TEAM_PROBLEMS) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(member->problems[member->problem_count++], sizeof member->problems[0], format,
                  arguments);
        va_end(arguments);
    }
    atomic_store(&member->has_failed, true);
}

bool member_client(const struct team *team, struct member *member, struct client *client,
                   const struct client_hooks *hooks, void *mode) {
    const struct options *options = team->options;
    struct client_options wanted = {
        .address = options->address,
        .host = options->host,
        .nats = options->nats[0] == 0 ? NULL : options->nats,
        .key = team->key,
        .is_secure = options->is_secure,
        .does_resume = options->does_resume,
        .does_deflate = options->does_deflate,
        .path = options->path,
        .path_count = (uint32_t)options->channels,
        .may_be_refused = options->mode == MODE_STORM,
        .peer_count = member->peer_count,
        .concurrency = (uint32_t)options->concurrency,
        .first_index = member->first_index,
        .has_churn = options->mode == MODE_CHURN,
        .may_spin = options->cpu >= 0 && !options->may_sleep && options->mode != MODE_HOLD,
    };
    if (options->mode == MODE_SLOW) {
        wanted.receive_buffer = (uint32_t)options->receive_buffer;
        wanted.receive_from =
            (uint32_t)(options->readers + 1); // behind the publisher and the readers
    }
    int result = client_init(client, &wanted, hooks, mode);
    if (result != 0) {
        member_problem(member, "client: %s", strerror(-result));
    }
    return result == 0;
}

// Until the member that stands OPENERS_MAX before this one has opened its own. False: the run ends.
static bool wait_for_turn(const struct team *team, const struct member *member) {
    const struct timespec pause = {.tv_nsec = 1000000};
    while (member->index >= OPENERS_MAX &&
           atomic_load(&team->members[member->index - OPENERS_MAX].phase_done) <= PHASE_OPEN) {
        if (member_phase(team) == PHASE_EXIT) {
            return false;
        }
        (void)nanosleep(&pause, NULL); // an early wake-up only makes one more round
    }
    return true;
}

bool member_open(const struct team *team, struct member *member, struct client *client,
                 uint32_t first, uint32_t limit) {
    const struct options *options = team->options;
    uint32_t openers = team->member_count < OPENERS_MAX ? team->member_count : OPENERS_MAX;
    uint64_t pace_ns = options->open_rate == 0 ? 0 : 1000000000ULL * openers / options->open_rate;
    if (!wait_for_turn(team, member)) {
        return false;
    }
    uint64_t due_ns = client_clock_ns();
    // A storm's --concurrency is for the storm.
    uint64_t concurrency = options->mode == MODE_STORM ? OPENING_MAX : options->concurrency;
    concurrency = concurrency < openers ? 1 : concurrency / openers;
    uint32_t next = first;
    uint32_t open_before = client->open_count;
    while (client->open_count - open_before < limit - first) {
        uint64_t now_ns = client_clock_ns();
        // What a busy machine has delayed is not made up for in one burst: servers limit handshakes
        // per second.
        due_ns = due_ns + LAG_NS_MAX < now_ns ? now_ns - LAG_NS_MAX : due_ns;
        for (; next < limit && due_ns <= now_ns && client->opening_count < concurrency; next++) {
            int result = client_connect(client, &client->peers[next]);
            if (result != 0) {
                member_problem(member, "connection %u: %s", next, strerror(-result));
                return false;
            }
            due_ns += pace_ns;
        }
        client_turn(client, next < limit ? 1 : 100);
        member_count(member, COUNTER_OPENED, client->open_count);
        if (client->closed_count > 0) {
            member_problem(member, "a connection ended while opening: %s",
                           client->error[0] != 0 ? client->error : "closed by the server");
            return false;
        }
        if (member_phase(team) == PHASE_EXIT) {
            return false;
        }
    }
    return true;
}

uint32_t member_close_all(const struct team *team, struct client *client) {
    uint64_t end_ns =
        client_clock_ns() + TEAM_CLOSE_NS + team->options->connections * TEAM_CLOSE_EACH_NS;
    uint32_t count = client->options.peer_count;
    int64_t asked = client->closed_count;
    for (uint32_t i = 0; i < count && client_clock_ns() < end_ns; i++) {
        asked += client->peers[i].state == PEER_OPEN;
        client_close(client, &client->peers[i], 1000);
        while (asked - client->closed_count >= CLOSING_MAX && client->open_count > 0 &&
               client_clock_ns() < end_ns) {
            client_turn(client, 10);
        }
    }
    while (client->open_count > 0 && client_clock_ns() < end_ns) {
        client_turn(client, 10);
    }
    uint32_t unanswered = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct peer *peer = &client->peers[i];
        unanswered += peer->state != PEER_CLOSED || peer->close_code != 1000;
    }
    return unanswered;
}
