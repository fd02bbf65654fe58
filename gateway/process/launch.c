// From a configuration to running workers: limits of the machine, shared memory, threads.
#include <sys/mman.h>
#include <sys/resource.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "gateway/process/flight.h"
#include "gateway/process/process.h"
#include "gateway/seam/clock.h"
#include "gateway/seam/entropy.h"
#include "gateway/tls/tls.h"

enum {
    LOG_RING_BYTES = 1 << 18,
    DOOMED_SPARE = 2048,
    PLAIN_FILES = 32,        // descriptors of the process beside its rings
    FILES_EVERYWHERE = 1024, // the limit that every system gives
};

// Direct descriptors of a ring are capped by the soft limit: it costs nothing to raise it to the
// hard one.
static uint64_t descriptors_raise(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1024;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); // up to the hard limit it is always allowed
    }
    return limit.rlim_cur;
}

static uint32_t workers_choose(const struct config *config, cpu_set_t *allowed) {
    CPU_ZERO(allowed);
    uint32_t cpus = 1;
    if (sched_getaffinity(0, sizeof *allowed, allowed) == 0) {
        cpus = (uint32_t)CPU_COUNT(allowed);
    }
    uint32_t count = config->workers != 0 ? config->workers : cpus;
    return count < WORKERS_MAX ? count : WORKERS_MAX;
}

// The i-th allowed processor, or -1 when there are more workers than processors.
static int cpu_choose(const cpu_set_t *allowed, uint32_t worker) {
    uint32_t seen = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET((size_t)cpu, allowed) && seen++ == worker) {
            return cpu;
        }
    }
    return -1;
}

uint64_t process_files_wanted(const struct config *config, uint32_t worker_count) {
    uint64_t rings = (uint64_t)RINGS_MAX * worker_count;
    uint64_t even = (config->admission.connections + rings - 1) / rings;
    uint64_t wanted = even + even / 16 + rings + PLAIN_FILES;
    return wanted < FILES_EVERYWHERE ? FILES_EVERYWHERE : wanted;
}

// One warning that says what was asked for, what is possible, and what would do (DESIGN.md section
// 3).
static void capacity_warn(struct process *process, uint64_t descriptors) {
    const struct config *config = process->config;
    uint64_t slots = config->engine.slots != 0 ? config->engine.slots : RING_SLOTS_MAX;
    slots = slots < descriptors ? slots : descriptors;
    slots = slots < RING_SLOTS_MAX ? slots : RING_SLOTS_MAX;
    uint64_t possible = slots * RINGS_MAX * process->worker_count;
    if (possible >= config->admission.connections) {
        return;
    }
    uint64_t wanted = process_files_wanted(config, process->worker_count);
    log_event(process->log, LOG_LEVEL_WARN, "capacity",
              log_number("configured", config->admission.connections),
              log_number("possible", possible), log_number("descriptors", descriptors),
              log_number("limit_nofile_wanted", wanted));
}

static struct log *log_make(const struct config *config, const char *name) {
    return log_open(&(struct log_options){.name = name,
                                          .ring_bytes = LOG_RING_BYTES,
                                          .level = config->log.level,
                                          .is_json = config->log.is_json});
}

static void *zeroed_map(uint64_t bytes) {
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(
        data, bytes,
        MADV_NOHUGEPAGE); // density goes before speed; a kernel without huge pages refuses
    return data;
}

static int shared_open(struct process *process) {
    process->ticket_begin_ms = clock_now_ms();
    if (entropy_fill(process->random, sizeof process->random) != 0 ||
        entropy_fill(process->ticket_seed, sizeof process->ticket_seed) != 0) {
        (void)fprintf(stderr, "holdfast: no random bytes from the kernel\n");
        return -1;
    }
    uint64_t bus_bytes = bus_shared_bytes(process->worker_count);
    uint64_t admission_size = admission_bytes(process->config->admission.connections);
    void *bus = zeroed_map(bus_bytes);
    void *admission = zeroed_map(admission_size);
    if (bus == NULL || admission == NULL) {
        (void)fprintf(stderr, "holdfast: no address space for the mailboxes\n");
        return -1;
    }
    process->bus_shared =
        bus_shared_init((struct memory){.data = bus, .length = bus_bytes}, process->worker_count);
    struct admission_limits limits = {
        .connections = process->config->admission.connections,
        .per_address = process->config->admission.per_address,
        .handshakes_per_second = process->config->admission.handshakes_per_second,
        .handshakes_per_address = process->config->admission.handshakes_per_address};
    process->admission = admission_init(
        (struct memory){.data = admission, .length = admission_size}, &limits, process->random + 6);
    return 0;
}

static uint32_t connection_max(const struct process *process) {
    // Any worker may get any share of the connections: only address space is reserved for all of
    // them.
    uint64_t wanted = (uint64_t)process->config->admission.connections + DOOMED_SPARE;
    return wanted < CONNECTIONS_MAX ? (uint32_t)wanted : CONNECTIONS_MAX;
}

static void worker_pin(const struct process_worker *self) {
    if (self->cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)self->cpu, &set);
        (void)pthread_setaffinity_np(pthread_self(), sizeof set,
                                     &set); // unpinned it serves as well, only slower
    }
    char name[16];
    (void)snprintf(name, sizeof name, "worker-%u", self->index); // cut is fine
    (void)pthread_setname_np(pthread_self(), name);              // for top and gdb only
}

int process_worker_open(struct process_worker *self) {
    struct process *process = self->process;
    struct worker_options options = {.index = self->index,
                                     .bus_shared = process->bus_shared,
                                     .admission = process->admission,
                                     .site = process->site,
                                     .log = self->log,
                                     .epoch_base = process->random[5] >> 1,
                                     .connection_max = connection_max(process),
                                     .now_us = clock_now_ns() / 1000,
                                     .ticket_seed = process->ticket_seed,
                                     .ticket_begin_ms = process->ticket_begin_ms};
    memcpy(options.random, process->random, sizeof options.random);
    return worker_open(self->worker, &options, &self->what);
}

int process_worker_turn(struct process_worker *self) {
    uint64_t now_us = clock_now_ns() / 1000;
    uint64_t wall_ms = clock_wall_ms();
    log_turn(self->log, now_us / 1000, wall_ms);
    conns_set_date(&self->worker->clients.conns, wall_ms);
    return worker_turn(self->worker, now_us);
}

static void *worker_main(void *argument) {
    struct process_worker *self = argument;
    signals_block();
    worker_pin(self);
    self->error = process_worker_open(self);
    atomic_store_explicit(&self->is_open, true, memory_order_release);
    int error = self->error;
    // Until every worker is open nobody sends to another: control waits for all, then lets them go
    // on.
    while (error == 0 && !worker_is_done(self->worker)) {
        error = process_worker_turn(self);
    }
    tls_memory_trim(); // what the library keeps on a thread is that thread's to give back
    atomic_store_explicit(&self->turn_error, error, memory_order_release);
    atomic_store_explicit(&self->is_done, true, memory_order_release);
    io_doorbell_ring(process_doorbell(self->process));
    return NULL;
}

struct io_doorbell process_doorbell(const struct process *process) {
    return process->bus_shared->endpoints[process->worker_count].doorbell;
}

int process_worker_make(struct process *process, uint32_t index, int cpu) {
    static const char *const names[] = {"worker-0", "worker-1", "worker-2", "worker-3",
                                        "worker-4", "worker-5", "worker-6", "worker-7"};
    struct process_worker *self = &process->workers[index];
    *self = (struct process_worker){.process = process, .index = index, .cpu = cpu};
    self->log = log_make(process->config, index < 8 ? names[index] : "worker");
    self->worker = aligned_alloc(64, (sizeof(struct worker) + 63) / 64 * 64);
    if (self->log == NULL || self->worker == NULL) {
        (void)fprintf(stderr, "holdfast: no memory for worker %u\n", index);
        return -1;
    }
    flight_add(index, &self->worker->trace);
    memset(self->worker, 0, sizeof *self->worker);
    return 0;
}

static int worker_start(struct process *process, uint32_t index, int cpu) {
    if (process_worker_make(process, index, cpu) != 0) {
        return -1;
    }
    struct process_worker *self = &process->workers[index];
    int error = pthread_create(&self->thread, NULL, worker_main, self);
    if (error != 0) {
        (void)fprintf(stderr, "holdfast: thread of worker %u: %s\n", index, strerror(error));
        return -1;
    }
    self->has_thread = true;
    return 0;
}

// Tells what a worker could not do, with the remedy where there is one.
static void worker_complain(const struct process_worker *self) {
    bool is_ring = self->what != NULL && strcmp(self->what, "io_uring") == 0;
    (void)fprintf(stderr, "holdfast: worker %u: %s: %s\n", self->index,
                  self->what == NULL ? "start" : self->what,
                  is_ring ? io_open_advice(self->error) : strerror(-self->error));
}

static int workers_wait(struct process *process) {
    int result = 0;
    for (uint32_t i = 0; i < process->worker_count; i++) {
        struct process_worker *self = &process->workers[i];
        while (!atomic_load_explicit(&self->is_open, memory_order_acquire)) {
            (void)usleep(200); // start only
        }
        if (self->error != 0) {
            worker_complain(self);
            result = -1;
        }
    }
    return result;
}

static void listeners_log(struct process *process) {
    const struct config *config = process->config;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        log_event(process->log, LOG_LEVEL_INFO, "listening",
                  log_span("address", config->listeners[i].address.text),
                  log_number("workers", process->worker_count));
    }
    if (config->admin.is_present) {
        log_event(process->log, LOG_LEVEL_INFO, "admin",
                  log_span("address", config->admin.address.text),
                  log_bool("token", config->admin.token.length > 0));
    }
}

int process_open(struct process *process) {
    process->log = log_make(process->config, "control");
    process->site_number = 1;
    process->site = site_open(process, process->config, process->site_number, NULL);
    if (process->log == NULL || process->site == NULL) {
        (void)fprintf(stderr, "holdfast: no memory\n");
        return -1;
    }
    log_turn(process->log, clock_now_ms(), clock_wall_ms());
    atomic_store(&process->site->worker_holds, process->worker_count);
    if (shared_open(process) != 0 || control_open(process) != 0) {
        return -1;
    }
    if (!process_names_set(process, process->config)) {
        (void)fprintf(stderr, "holdfast: no thread to look up names\n");
        return -1;
    }
    return 0;
}

int process_launch(struct process *process) {
    uint64_t descriptors = descriptors_raise();
    cpu_set_t allowed;
    process->worker_count = workers_choose(process->config, &allowed);
    if (process_open(process) != 0) {
        return -1;
    }
    flight_open();
    signals_open(process_doorbell(process));
    capacity_warn(process, descriptors);
    process_occupied_warn(process);
    site_tls_warn(process);
    uint32_t started = 0;
    for (; started < process->worker_count; started++) {
        if (worker_start(process, started, cpu_choose(&allowed, started)) != 0) {
            process->worker_count = started;
            return -1;
        }
    }
    int waited = workers_wait(process);
    explicit_bzero(process->ticket_seed, sizeof process->ticket_seed);
    if (waited != 0) {
        return -1;
    }
    listeners_log(process);
    process->state = PROCESS_SERVING;
    return 0;
}

void process_join(struct process *process) {
    for (uint32_t i = 0; i < process->worker_count; i++) {
        struct process_worker *self = &process->workers[i];
        if (self->has_thread) {
            (void)pthread_join(self->thread, NULL); // ours and joinable
            self->has_thread = false;
        }
    }
    flight_forget();
    for (uint32_t i = 0; i < process->worker_count; i++) {
        struct process_worker *self = &process->workers[i];
        worker_close(self->worker);
        free(self->worker);
        self->worker = NULL;
    }
}
