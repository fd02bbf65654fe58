#include "bench/team.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/proc.h"

enum {
    DESCRIPTORS_SPARE = 64,
    MEMBER_PEERS_MAX = 19000,
    NEAR_NS_MAX = 260,
    OPEN_RATE_MIN = 1000, // a second; any server with --rate 0 opens at least a fifth of that
};
// How long members may take to close what they hold, until they are killed.
#define MEMBER_END_NS UINT64_C(5000000000) // behind its closing

static void *shared_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static uint64_t peers_per_member(void) {
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE,
                        &limit); // up to the hard limit needs no right; else the soft one holds
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    uint64_t room =
        limit.rlim_cur > 2 * DESCRIPTORS_SPARE ? limit.rlim_cur - DESCRIPTORS_SPARE : 64;
    return room < MEMBER_PEERS_MAX + 500 ? room : MEMBER_PEERS_MAX + 500;
}

static void child_main(struct team *team, struct member *member, member_run run) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    if (team->options->cpu >= 0 && !proc_pin((int)team->options->cpu)) {
        member_problem(member, "--cpu %lld: no such CPU, or not allowed",
                       (long long)team->options->cpu);
    } else {
        run(team, member);
    }
    _exit(0);
}

bool team_start(struct team *team, const struct options *options, const struct team_plan *plan,
                struct report *report) {
    memset(team, 0, sizeof *team);
    team->options = options;
    team->report = report;
    handshake_key(team->key);
    uint64_t most = peers_per_member();
    uint64_t count =
        plan->member_count != 0 ? plan->member_count : (plan->peer_count + most - 1) / most;
    if (count == 0 || count > TEAM_MEMBERS_MAX || (plan->peer_count + count - 1) / count > most) {
        report_problem(
            report, "%llu connections need %llu processes of at most %llu descriptors each",
            (unsigned long long)plan->peer_count,
            (unsigned long long)((plan->peer_count + most - 1) / most), (unsigned long long)most);
        return false;
    }
    team->member_count = (uint32_t)count;
    team->members = shared_memory(count * sizeof *team->members);
    team->phase = shared_memory(sizeof *team->phase);
    team->extra = plan->extra_size == 0 ? NULL : shared_memory(plan->extra_size);
    if (team->members == NULL || team->phase == NULL ||
        (plan->extra_size != 0 && team->extra == NULL)) {
        report_problem(report, "out of memory");
        return false;
    }
    uint64_t given = 0;
    for (uint32_t i = 0; i < team->member_count; i++) {
        struct member *member = &team->members[i];
        member->index = i;
        member->first_index = (uint32_t)given;
        member->peer_count = (uint32_t)((plan->peer_count - given) / (team->member_count - i));
        given += member->peer_count;
        fflush(NULL);
        team->pids[i] = fork();
        if (team->pids[i] == 0) {
            child_main(team, member, plan->run);
        }
        if (team->pids[i] < 0) {
            report_problem(report, "fork: %s", strerror(errno));
            return false;
        }
    }
    return true;
}

void team_phase(struct team *team, enum phase phase) {
    atomic_store(team->phase, (uint32_t)phase);
}

static void pause_ms(long ms) {
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL); // an early wake-up only makes one more round
}

// A member that has ended before its time, or says that it failed.
static bool has_failure(struct team *team) {
    for (uint32_t i = 0; i < team->member_count; i++) {
        if (atomic_load(&team->members[i].has_failed)) {
            return true;
        }
        int status = 0;
        if (team->pids[i] > 0 && waitpid(team->pids[i], &status, WNOHANG) == team->pids[i]) {
            team->pids[i] = 0;
            if (WIFSIGNALED(status)) {
                report_problem(team->report, "client process %u died of signal %d", i,
                               WTERMSIG(status));
            }
            return true;
        }
    }
    return false;
}

static bool has_done(const struct team *team, enum phase phase) {
    for (uint32_t i = 0; i < team->member_count; i++) {
        if (atomic_load(&team->members[i].phase_done) <= (uint32_t)phase) {
            return false;
        }
    }
    return true;
}

uint64_t team_counter(const struct team *team, enum counter counter) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < team->member_count; i++) {
        sum += atomic_load_explicit(&team->members[i].counter[counter], memory_order_relaxed);
    }
    return sum;
}

bool team_wait(struct team *team, enum phase phase, enum counter counter, uint64_t total,
               double seconds_max) {
    static const char *const WORDS[COUNTER_COUNT] = {
        "open", "messages", "pings", "published", "closed", "late", "compressed", "refused"};
    uint64_t start_ns = client_clock_ns();
    uint64_t shown_ns = start_ns;
    while (!has_done(team, phase)) {
        if (has_failure(team)) {
            return false;
        }
        uint64_t now_ns = client_clock_ns();
        double elapsed = 1e-9 * (double)(now_ns - start_ns);
        uint64_t done = team_counter(team, counter);
        if (elapsed > seconds_max) {
            report_problem(team->report, "gave up after %.0f s with %llu of %llu %s", elapsed,
                           (unsigned long long)done, (unsigned long long)total, WORDS[counter]);
            return false;
        }
        if (now_ns - shown_ns > 1000000000ULL && total > 0 && !team->options->is_quiet) {
            double left = done == 0 ? 0 : elapsed * ((double)total / (double)done - 1);
            fprintf(stderr, "%s: %llu of %llu %s, %.0f s left\n",
                    options_mode_name(team->options->mode), (unsigned long long)done,
                    (unsigned long long)total, WORDS[counter], left);
            shown_ns = now_ns;
        }
        pause_ms(5);
    }
    return true;
}

bool team_wait_open(struct team *team, uint64_t count) {
    uint64_t rate = team->options->open_rate;
    double asked = (double)count / (double)(rate == 0 ? OPEN_RATE_MIN : rate);
    return team_wait(team, PHASE_OPEN, COUNTER_OPENED, count, asked * 5 + 120);
}

bool team_sleep(struct team *team, double seconds, void (*on_tick)(struct team *, void *),
                void *argument) {
    uint64_t start_ns = client_clock_ns();
    uint64_t end_ns = start_ns + (uint64_t)(seconds * 1e9);
    uint64_t shown_ns = start_ns;
    for (uint64_t now_ns = start_ns; now_ns < end_ns; now_ns = client_clock_ns()) {
        if (has_failure(team)) {
            return false;
        }
        if (now_ns - shown_ns > 5000000000ULL && !team->options->is_quiet) {
            fprintf(stderr, "%s: %.0f s left, %llu messages, %llu pings\n",
                    options_mode_name(team->options->mode), 1e-9 * (double)(end_ns - now_ns),
                    (unsigned long long)team_counter(team, COUNTER_MESSAGES),
                    (unsigned long long)team_counter(team, COUNTER_PINGS));
            shown_ns = now_ns;
        }
        if (on_tick != NULL) {
            on_tick(team, argument);
        }
        uint64_t left_ms = (end_ns - now_ns) / 1000000;
        pause_ms(left_ms < 100 ? (long)left_ms + 1 : 100);
    }
    return true;
}

void team_mark(const struct team *team, struct mark *mark) {
    const struct options *options = team->options;
    memset(mark, 0, sizeof *mark);
    if (options->server_cpu >= 0) {
        mark->softirq_ns = proc_softirq_ns((int)options->server_cpu);
    }
    if (options->pid != 0) {
        int only_cpu = options->is_bound_only ? (int)options->server_cpu : -1;
        bool is_read = options->is_tree
                           ? proc_tree_cpu_ns((pid_t)options->pid, only_cpu, &mark->cpu_ns)
                           : proc_cpu_ns((pid_t)options->pid, only_cpu, &mark->cpu_ns);
        mark->cpu_ns = is_read ? mark->cpu_ns : 0;
    }
    for (uint32_t i = 0; i < team->member_count; i++) {
        uint64_t cpu_ns = 0;
        mark->client_ns += proc_cpu_ns(team->pids[i], -1, &cpu_ns) ? cpu_ns : 0;
    }
    if (options->server_cpu >= 0 && options->cpu >= 0) {
        mark->busy_ns = proc_busy_ns((int)options->server_cpu) + proc_busy_ns((int)options->cpu);
    }
    mark->at_ns = client_clock_ns();
    for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
        mark->counter[i] = team_counter(team, i);
    }
}

void team_finish(struct team *team) {
    team_phase(team, PHASE_EXIT);
    uint64_t give_up_ns = client_clock_ns() + TEAM_CLOSE_NS + MEMBER_END_NS +
                          team->options->connections * TEAM_CLOSE_EACH_NS;
    for (uint32_t i = 0; i < team->member_count; i++) {
        while (team->pids[i] > 0 && waitpid(team->pids[i], NULL, WNOHANG) == 0) {
            if (client_clock_ns() > give_up_ns && kill(team->pids[i], SIGKILL) == 0) {
                report_problem(team->report, "client process %u did not end in time", i);
                (void)waitpid(team->pids[i], NULL, 0); // it is killed: it ends
                break;
            }
            pause_ms(2);
        }
        struct member *member = &team->members[i];
        for (uint32_t k = 0; k < member->problem_count; k++) {
            report_problem(team->report, "%s", member->problems[k]);
        }
    }
}

void team_hist(const struct team *team, uint32_t which, struct hist *merged) {
    hist_init(merged);
    for (uint32_t i = 0; i < team->member_count; i++) {
        hist_merge(merged, &team->members[i].hist[which]);
    }
}

void team_distance(const struct options *options, struct report *report, const char *key) {
    if (options->cpu < 0 || options->server_cpu < 0) {
        return;
    }
    double distance = proc_core_distance((int)options->server_cpu, (int)options->cpu);
    report_add(report, key,
               distance < NEAR_NS_MAX ? "ns, cache line round trip: near"
                                      : "ns, cache line round trip: far",
               distance);
}

void team_cpu_rows(struct team *team, const struct mark *from, const struct mark *to,
                   enum counter counter, const char *unit) {
    double seconds = 1e-9 * (double)(to->at_ns - from->at_ns);
    double count = (double)(to->counter[counter] - from->counter[counter]);
    char key[48];
    char units[16];
    size_t stem = strlen(unit) - (unit[strlen(unit) - 1] == 'y');
    snprintf(units, sizeof units, "%.*s%s", (int)stem, unit, unit[stem] == 'y' ? "ies" : "s");
    snprintf(key, sizeof key, "%s_per_second", units);
    report_add(team->report, key, "", count / seconds);
    if (team->options->does_deflate && counter == COUNTER_MESSAGES && count > 0) {
        double packed = (double)(to->counter[COUNTER_PACKED] - from->counter[COUNTER_PACKED]);
        report_add(team->report, "compressed_share", "of the messages that came", packed / count);
    }
    if (team->options->pid == 0 || count == 0) {
        return;
    }
    double cpu_ns = (double)(to->cpu_ns - from->cpu_ns);
    if (cpu_ns == 0) {
        report_problem(
            team->report,
            "no CPU time of process %llu (of a thread bound to --server-cpu) could be read",
            (unsigned long long)team->options->pid);
        return;
    }
    snprintf(key, sizeof key, "server_cpu_ns_per_%s", unit);
    report_add(team->report, key, "ns", cpu_ns / count);
    snprintf(key, sizeof key, "%s_per_server_cpu_second", units);
    report_add(team->report, key, "", count / cpu_ns * 1e9);
    report_add(team->report, "server_cpu_share", "of one core", cpu_ns / 1e9 / seconds);
    report_add(team->report, "client_cpu_share", "of one core",
               (double)(to->client_ns - from->client_ns) / 1e9 / seconds);
    if (to->busy_ns != 0) {
        double ours_ns = cpu_ns + (double)(to->client_ns - from->client_ns);
        report_add(team->report, "foreign_share",
                   "of one core, used by others on both: above 0.05 measure again",
                   ((double)(to->busy_ns - from->busy_ns) - ours_ns) / 1e9 / seconds);
    }
    if (team->options->server_cpu >= 0) {
        report_add(team->report, "softirqd_share", "of the server's core, charged to nobody",
                   (double)(to->softirq_ns - from->softirq_ns) / 1e9 / seconds);
    }
}

void team_late_row(struct team *team) {
    uint64_t late_ns = 0;
    for (uint32_t i = 0; i < team->member_count; i++) {
        uint64_t one_ns = atomic_load(&team->members[i].counter[COUNTER_LATE_NS]);
        late_ns = one_ns > late_ns ? one_ns : late_ns;
    }
    if (team->options->rate != 0) {
        report_add(team->report, "late_max_us", "us at most that a message left after it was due",
                   (double)late_ns / 1000);
    }
}
