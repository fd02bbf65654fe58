// The command line of holdfast-bench: one table of options, each naming the modes it belongs to.
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum mode {
    MODE_HOLD = 1 << 0,
    MODE_ECHO = 1 << 1,
    MODE_FANOUT = 1 << 2,
    MODE_SLOW = 1 << 3,
    MODE_DRAIN = 1 << 4,
    MODE_CHURN = 1 << 5,
    MODE_STORM = 1 << 6,
    MODE_MIX = 1 << 7,
    MODE_ALL = (1 << 8) - 1,
};

struct options {
    struct sockaddr_in address;
    char host[280];
    char path[256];
    char metrics[256]; // URL of a Prometheus page, empty: none
    char metric[96];   // name of the counter of dropped messages on it
    char rows[256];    // file for one line per connection, empty: none
    char talk[256];    // path of the talkers
    char nats[256];    // subject, when the server is nats-server
    enum mode mode;
    double seconds;
    double warmup_seconds;
    double ping_interval;
    double broadcast_interval;
    uint64_t rate;      // messages a second; 0: closed loop
    uint64_t open_rate; // connections opened a second; 0: as fast as it goes
    uint64_t connections;
    uint64_t talkers;
    uint64_t rounds;
    uint64_t broadcasts;
    uint64_t size;
    uint64_t depth;
    uint64_t children;
    uint64_t concurrency;
    uint64_t publishers;
    uint64_t readers;
    uint64_t stalled;
    uint64_t channels;
    uint64_t pings;
    uint64_t receive_buffer;
    uint64_t code;
    uint64_t pid;
    int64_t cpu;
    int64_t server_cpu;
    bool is_bound_only;
    bool is_tree; // the server is pid and its descendants
    bool has_term;
    bool is_text;
    bool is_json;
    bool is_floor;
    bool is_quiet;
    bool may_sleep;
    bool has_no_self;
    bool is_secure; // wss://
    bool does_resume;
    bool does_deflate; // permessage-deflate, both ways
};

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_WRONG };

// Fills *options from the mode's defaults and the arguments. OPTIONS_WRONG: the reason is on
// stderr.
enum options_result options_read(struct options *options, int count, char **arguments);
const char *options_mode_name(enum mode mode);

#endif
