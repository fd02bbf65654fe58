// The process: configuration, threads, signals, drain, reload, the log's way out. The control
// thread is the main thread.
#pragma once
#include "core/base/arena.h"
#include "core/base/pool.h"
#include "gateway/admin/admin.h"
#include "gateway/process/names.h"
#include "gateway/process/signals.h"
#include "gateway/stream/site.h"
#include "gateway/worker/call.h"
#include "gateway/worker/worker.h"

#include <pthread.h>

struct process_options {
    const char *config_path; // NULL: the demo
};

// Runs until it is told to stop. The process' exit status: 0 after a drain, 1 when it could not
// start (said on standard error).
int process_run(const struct process_options *options);

enum process_state {
    PROCESS_STARTING,
    PROCESS_SERVING,
    PROCESS_DRAINING,
    PROCESS_STOPPING,
    PROCESS_STOPPED
};

struct process_worker {
    struct process *process;
    struct worker *worker;
    struct log *log;
    pthread_t thread;
    uint32_t index;
    int cpu;   // to pin to, -1: none
    int error; // of worker_open
    const char *what;
    bool has_thread;
    _Atomic bool is_open;
    _Atomic bool is_done;
    _Atomic int turn_error;
};

struct process_call { // to every worker
    uint64_t token, argument;
    uint64_t workers; // whom it has not been sent to, a bit each
};

enum { PROCESS_ADDRESS_BYTES_MAX = 128 }; // `unix:` and a path of 107 bytes is the longest

struct process {
    const char *config_path;
    const struct config *config; // the newest
    struct site *site;
    struct site *old_sites[16]; // reloaded away, still held by connections
    uint32_t old_site_count;
    uint32_t site_number;
    uint32_t worker_count;
    struct process_worker workers[WORKERS_MAX];
    struct bus_shared *bus_shared;
    struct admission *admission;
    uint64_t random[8];
    uint8_t ticket_seed[TLS_TICKET_SEED_BYTES]; // wiped when every worker has begun
    uint64_t ticket_begin_ms;
    // The addresses that were opened, as written.
    uint8_t listeners[LISTENERS_MAX][PROCESS_ADDRESS_BYTES_MAX];
    uint32_t listener_bytes[LISTENERS_MAX];
    uint32_t listener_count;
    enum process_state state;
    uint64_t state_due_ms; // DRAINING: when what is left is cut
    uint32_t terminate_count;

    // the control thread
    struct io *io;
    struct clients clients;
    struct bus bus;
    struct arena arena;
    struct counters counters;
    struct trace trace;
    struct histogram round_trip_ns;
    struct conn_settings settings[1];
    struct admin *admin;
    struct log *log;
    uint32_t log_writer; // whose lines are being written: worker index, worker_count = control
    bool is_log_writing;
    uint64_t now_us;
    uint64_t notified_ms;                       // last watchdog word to systemd
    struct process_call calls[CALL_KIND_COUNT]; // the newest of each kind
    struct names names;
    struct { // a reload that waits for the workers
        struct site *site;
        uint32_t request;
        uint32_t waiting;
        bool is_active, is_refused;
    } reload;
};

// The control thread's doorbell.
struct io_doorbell process_doorbell(const struct process *process);
// launch.c: everything up to the moment the workers run. 0 or -1, said on standard error.
int process_launch(struct process *process);
// The descriptor limit under which so many connections fit into the rings' tables: a sixteenth
// above an even share, because the kernel deals connections to the workers by hash, and room for
// the rings' own descriptors.
uint64_t process_files_wanted(const struct config *config, uint32_t worker_count);
// occupied.c: says which listeners' addresses another process serves already.
void process_occupied_warn(struct process *process);
// Its parts, so that a simulator can step threads that are none. First what is shared and the
// control thread's: `config` and `worker_count` are set, json_memory_init was called.
int process_open(struct process *process);
// Memory and log of a worker, and (in the thread that will run it) its opening and its turns.
int process_worker_make(struct process *process, uint32_t index, int cpu);
int process_worker_open(struct process_worker *self);
int process_worker_turn(struct process_worker *self);
void process_join(struct process *process);
// control.c
int control_open(struct process *process);
int control_turn(struct process *process); // 0, or -errno when its ring is gone
void control_loop(struct process *process);
void control_close(struct process *process);
// certificates.c: the contexts of a site's listeners. False: no memory.
bool site_tls_open(struct process *process, struct site *site, const struct site *former);
void site_tls_close(struct site *site);
// Whose PROXY headers its listeners believe; behind site_tls_open, which notes the first site's.
void site_proxies_set(const struct process *process, struct site *site);
// Says so where this wolfSSL cannot do what a listener's `record_layer` asks for.
void site_tls_warn(const struct process *process);
// When the first of a listener's certificates ends, in seconds since 1970 UTC; 0: no memory. Of a
// configuration that files_config_open has accepted.
int64_t certificates_expiry_s(const struct config_tls *tls);
// dialers.c: what its services by https are asked with. False: no memory.
bool site_dialers_open(struct site *site);
void site_dialers_close(struct site *site);
// tokens.c: the keys of a site's `auth`. False: no memory.
bool site_keys_open(struct site *site);
void site_keys_close(struct site *site);
// Tells the admin when they end.
void site_tls_tell(struct process *process, const struct site *site);
// reload.c
// `former` is the site in use, or NULL: its certificates stay where the new configuration has none
// for a listener that is open.
struct site *site_open(struct process *process, const struct config *config, uint32_t number,
                       const struct site *former);
void site_close(struct site **site);
void process_reload(struct process *process, uint32_t request);
void process_on_site_answer(struct process *process, const struct mail *mail);
void process_sites_sweep(struct process *process);
// drain.c
void process_drain(struct process *process, uint64_t over_ms);
void process_drain_turn(struct process *process);
// log_out.c
void process_log_turn(struct process *process);
void process_log_on_written(struct process *process, int32_t result);
void process_log_flush(struct process *process);
// Every log; their threads have ended.
void process_log_close(struct process *process);
// notify.c: systemd, when NOTIFY_SOCKET is set
void notify_send(const char *text);
// RELOADING=1 with the time that Type=notify-reload (systemd 253) compares; READY=1 ends it.
void notify_reloading(void);
// How often the watchdog wants a word: thrice in WATCHDOG_USEC, within 100 ms to 2 s.
uint64_t notify_watchdog_ms(void);
// calls.c. A call to every worker with the same argument; answers come with `token`. It reaches
// each of them, later if there is no memory for it now; a newer one of its kind takes its place
// then.
void process_call_all(struct process *process, uint64_t token, enum call_kind kind,
                      uint64_t argument);
// Once per turn: calls that found no memory before.
void process_calls_send(struct process *process);

enum {
    PROCESS_TOKEN_RELOAD = 1,
    PROCESS_TOKEN_OTHER = 2,
    PROCESS_TOKENS = 16
}; // below PROCESS_TOKENS: ours; above: the admin's
