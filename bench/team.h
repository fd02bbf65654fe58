// A run: one parent that measures and reports, and client processes that make the load. They share
// memory: the parent moves everybody through the phases, the members count. Members are forked,
// because a process holds at most RLIMIT_NOFILE sockets, and because a load generator that spins
// must not be the one that samples.
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/client.h"
#include "bench/hist.h"
#include "bench/options.h"
#include "bench/report.h"

enum { TEAM_MEMBERS_MAX = 256, TEAM_HISTS = 3, TEAM_PROBLEMS = 6 };
#define TEAM_CLOSE_NS UINT64_C(15000000000)
#define TEAM_CLOSE_EACH_NS UINT64_C(200000)

// What a member does in each phase is its mode's business; all begin in OPEN.
enum phase {
    PHASE_OPEN,
    PHASE_WARM,
    PHASE_RUN,
    PHASE_OPEN_SECOND,
    PHASE_RUN_SECOND,
    PHASE_STOP,
    PHASE_EXIT
};

enum counter {
    COUNTER_OPENED,   // connections that became open
    COUNTER_MESSAGES, // messages or deliveries received; churn: cycles
    COUNTER_PINGS,
    COUNTER_SENT, // messages published
    COUNTER_CLOSED,
    COUNTER_LATE_NS, // open loop: the longest that this member sent a message after it was due
    COUNTER_PACKED,  // of the messages received: those that came compressed
    COUNTER_REFUSED, // upgrades answered with an HTTP status
    COUNTER_COUNT
};

struct member {
    _Atomic uint64_t counter[COUNTER_COUNT];
    _Atomic uint32_t phase_done; // the last phase whose work is complete, plus one
    _Atomic bool has_failed;
    uint32_t index;
    uint32_t first_index; // of its connections among all
    uint32_t peer_count;
    uint32_t problem_count;
    char problems[TEAM_PROBLEMS][160];
    struct hist hist[TEAM_HISTS];
};

struct team {
    const struct options *options;
    struct member *members;  // shared
    _Atomic uint32_t *phase; // shared
    void *extra;             // shared, of the size the mode asked for, zeroed
    struct report *report;
    uint32_t member_count;
    char key[HANDSHAKE_KEY_LENGTH + 1]; // one for all: a floor program has one answer
    pid_t pids[TEAM_MEMBERS_MAX];
};

typedef void (*member_run)(struct team *team, struct member *member);

struct team_plan {
    member_run run;
    uint64_t peer_count;   // divided among the members
    uint32_t member_count; // 0: as many as RLIMIT_NOFILE asks for
    size_t extra_size;
};

// What the server had used at one moment.
struct mark {
    uint64_t at_ns;
    uint64_t cpu_ns;
    uint64_t softirq_ns;
    uint64_t client_ns; // CPU of the members
    uint64_t busy_ns;   // of the client's and the server's core, whoever used them
    uint64_t counter[COUNTER_COUNT];
};

// --- The parent's side.
// Forks the members. False: the report holds the problem.
bool team_start(struct team *team, const struct options *options, const struct team_plan *plan,
                struct report *report);
void team_phase(struct team *team, enum phase phase);
// Waits until every member has completed the phase. `total` of `counter` is what progress lines
// speak of. False: a member failed or the time is over.
bool team_wait(struct team *team, enum phase phase, enum counter counter, uint64_t total,
               double seconds_max);
// Waits until every member has opened its share of `count` connections: two minutes, and five times
// as long as --rate or --open-rate asks for.
bool team_wait_open(struct team *team, uint64_t count);
// Sleeps while the members work; `on_tick` (may be NULL) is called every 100 ms.
bool team_sleep(struct team *team, double seconds, void (*on_tick)(struct team *, void *),
                void *argument);
uint64_t team_counter(const struct team *team, enum counter counter);
void team_mark(const struct team *team, struct mark *mark);
// Ends the members and collects their problems.
void team_finish(struct team *team);
void team_hist(const struct team *team, uint32_t which, struct hist *merged);
// The distance of the client's and the server's core now. To be called while no member runs.
void team_distance(const struct options *options, struct report *report, const char *key);
// CPU rows between two marks, per `unit` of the counter.
void team_cpu_rows(struct team *team, const struct mark *from, const struct mark *to,
                   enum counter counter, const char *unit);
// Open loop: the row that says how late the generator itself was, at worst. Nothing in the closed.
void team_late_row(struct team *team);

// --- A member's side.
enum phase member_phase(const struct team *team);
void member_done(struct member *member, enum phase phase);
__attribute__((format(printf, 2, 3))) void member_problem(struct member *member, const char *format,
                                                          ...);
void member_count(struct member *member, enum counter counter, uint64_t value);
// Counts what the client has received: messages, and those of them that came compressed.
void member_received(struct member *member, const struct client *client);
// Builds `count` messages of the kind and size that the options ask for. 0 or -errno.
int member_burst(const struct options *options, struct burst *burst, uint32_t count);
// Prepares a client for this member's share. False: a problem was noted.
bool member_client(const struct team *team, struct member *member, struct client *client,
                   const struct client_hooks *hooks, void *mode);
// Opens peers first..limit-1 at --rate (0: as fast as it goes) and --concurrency. False: a problem
// was noted.
bool member_open(const struct team *team, struct member *member, struct client *client,
                 uint32_t first, uint32_t limit);
// Closes all with 1000 and waits for the server's ends. Returns how many did not answer with 1000
// in time: TEAM_CLOSE_NS, and TEAM_CLOSE_EACH_NS for each connection of the whole team, which
// shares the machine with the server (a million took 65 s).
uint32_t member_close_all(const struct team *team, struct client *client);

// The modes. What is wrong stands in the report.
void mode_hold(const struct options *options, struct report *report);
void mode_echo(const struct options *options, struct report *report);
void mode_fanout(const struct options *options, struct report *report);
void mode_slow(const struct options *options, struct report *report);
void mode_drain(const struct options *options, struct report *report);
void mode_churn(const struct options *options, struct report *report);
void mode_storm(const struct options *options, struct report *report);
void mode_mix(const struct options *options, struct report *report);

#endif
