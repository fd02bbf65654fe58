// The control thread: admin listener, signals, log, calls to the workers. Its ring and its
// connections are like a worker's, only smaller.
#include <sys/mman.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/auth/json_memory.h"
#include "gateway/process/process.h"
#include "gateway/seam/clock.h"

enum {
    CONTROL_CONNECTIONS = 1024,
    CONTROL_ARENA_BYTES = 256 << 20,
    CONTROL_WAIT_MS = 100, // the log is looked at this often
    CONTROL_MAILS_TURN = 256,
    LOG_FINISH_TURNS = 50,
    LOG_FINISH_WAIT_MS = 20,
};

static bool on_open(void *context, uint32_t index, uint32_t listener) {
    (void)listener; // there is one
    struct process *process = context;
    return admin_on_open(process->admin, index);
}

static void on_ask(void *context, uint32_t index, const struct conn_event *event) {
    struct process *process = context;
    admin_on_ask(process->admin, index, event);
}

static void on_sent(void *context, uint32_t index) {
    (void)context; // the admin API does not wait for its answers to be read
    (void)index;
}

static void on_gone(void *context, uint32_t index) {
    struct process *process = context;
    admin_on_gone(process->admin, index);
}

// Reserved at once, touched as it is used; lives as long as the process.
static struct memory reserve(uint64_t bytes) {
    uint64_t length = (bytes + POOL_STEP_BYTES - 1) / POOL_STEP_BYTES * POOL_STEP_BYTES;
    uint8_t *data = mmap(NULL, length + POOL_STEP_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        return (struct memory){.data = NULL, .length = 0};
    }
    uintptr_t start = ((uintptr_t)data + POOL_STEP_BYTES - 1) / POOL_STEP_BYTES * POOL_STEP_BYTES;
    return (struct memory){.data = (uint8_t *)start, .length = length};
}

static bool reserve_all(struct memory **parts, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        *parts[i] = reserve(parts[i]->length);
        if (parts[i]->data == NULL) {
            return false;
        }
    }
    return true;
}

static bool clients_open(struct process *process) {
    struct conns_memory memory = {.connection_max = CONTROL_CONNECTIONS,
                                  .input_max = CONTROL_CONNECTIONS,
                                  .entry_max = 16 * CONTROL_CONNECTIONS};
    conns_memory_size(&memory);
    struct memory links = {.length = (CONTROL_CONNECTIONS + 1) * sizeof(link_id)};
    struct memory addresses = {.length = (CONTROL_CONNECTIONS + 1) * sizeof(struct address)};
    struct memory bits = {.length = CONTROL_CONNECTIONS + 1};
    struct memory slots = {.length = link_slots_bytes(1, io_ring_slots(process->io))};
    struct memory arena = {.length = 4 * (uint64_t)CONTROL_ARENA_BYTES}; // size classes leave holes
    struct memory book = {.length = arena_book_bytes(4 * (uint64_t)CONTROL_ARENA_BYTES)};
    struct memory *parts[] = {&memory.conn_space,
                              &memory.conn_book,
                              &memory.input_space,
                              &memory.input_book,
                              &memory.entry_space,
                              &memory.entry_book,
                              &memory.touched,
                              &links,
                              &addresses,
                              &bits,
                              &slots,
                              &arena,
                              &book};
    if (!reserve_all(parts, sizeof parts / sizeof parts[0])) {
        return false;
    }
    arena_init(&process->arena, arena, book, CONTROL_ARENA_BYTES);
    json_memory_set(&process->arena);
    process->settings[0] = (struct conn_settings){.stall_ms = 30000};
    process->clients.conns =
        (struct conns){.arena = &process->arena,
                       .settings = process->settings,
                       .counters = &process->counters,
                       .trace = &process->trace,
                       .round_trip = &process->round_trip_ns,
                       .head_bytes_max = (uint32_t)process->config->admission.header_bytes,
                       .handshake_ms = (uint32_t)process->config->admission.handshake_ms,
                       .jitter_seed = process->random[4]};
    conns_init(&process->clients.conns, &memory, clock_now_ns() / 1000);
    process->clients.links = (link_id *)(void *)links.data;
    process->clients.addresses = (struct address *)(void *)addresses.data;
    process->clients.bits = bits.data;
    process->clients.log = process->log;
    process->clients.owner = (struct clients_owner){.context = process,
                                                    .on_open = on_open,
                                                    .on_ask = on_ask,
                                                    .on_sent = on_sent,
                                                    .on_gone = on_gone};
    link_init(&process->clients.link, &(struct link_options){.io = process->io,
                                                             .ring_max = 1,
                                                             .slots = slots,
                                                             .counters = &process->counters,
                                                             .trace = &process->trace});
    return true;
}

static int listener_open(struct process *process) {
    const struct config_admin *admin = &process->config->admin;
    if (!admin->is_present) {
        return 0;
    }
    char path[108] = {0};
    struct io_listen_options options = {.address = admin->address.address, .backlog = 128};
    if (admin->address.path.length > 0) {
        memcpy(path, admin->address.path.data, admin->address.path.length);
        options.unix_path = path;
    }
    int listener = link_listen(&process->clients.link, &options);
    if (listener < 0) {
        (void)fprintf(stderr, "holdfast: admin address %.*s: %s\n", (int)admin->address.text.length,
                      (const char *)admin->address.text.data, strerror(-listener));
        return -1;
    }
    return 0;
}

int control_open(struct process *process) {
    struct io_options io = {.slots = CONTROL_CONNECTIONS,
                            .submissions = 256,
                            .completions = 1024,
                            .buffers = 64,
                            .buffers_max = 256,
                            .ring_max = 1};
    int error = io_open(&process->io, &io);
    if (error != 0) {
        (void)fprintf(stderr, "holdfast: io_uring: %s\n", io_open_advice(error));
        return -1;
    }
    if (!clients_open(process)) {
        (void)fprintf(stderr, "holdfast: no address space for the control thread\n");
        return -1;
    }
    bus_init(&process->bus, &(struct bus_options){.shared = process->bus_shared,
                                                  .self = process->worker_count,
                                                  .arena = &process->arena,
                                                  .counters = &process->counters,
                                                  .backlog_bytes_max = CONTROL_ARENA_BYTES / 4});
    bus_endpoint_set(&process->bus, io_doorbell(process->io));
    process->admin = admin_open(&(struct admin_options){.clients = &process->clients,
                                                        .bus = &process->bus,
                                                        .arena = &process->arena,
                                                        .log = process->log,
                                                        .worker_count = process->worker_count,
                                                        .config = process->config});
    if (process->admin == NULL) {
        (void)fprintf(stderr, "holdfast: no memory for the admin API\n");
        return -1;
    }
    site_tls_tell(process, process->site);
    return listener_open(process);
}

void control_close(struct process *process) {
    process_names_close(process); // its thread rings our ring
    if (process->admin != NULL) {
        admin_close(&process->admin);
    }
    if (process->io != NULL) {
        io_shut(process->io);
        process->io = NULL;
    }
}

static void take_mail(struct process *process) {
    struct bus_event event;
    for (uint32_t i = 0; i < CONTROL_MAILS_TURN && bus_next(&process->bus, &event); i++) {
        uint64_t token = event.mail.words[0];
        if (event.mail.kind == MAIL_ANSWER && token == PROCESS_TOKEN_RELOAD) {
            process_on_site_answer(process, &event.mail);
        } else if (event.mail.kind == MAIL_RECEIPT ||
                   (event.mail.kind == MAIL_ANSWER && token >= PROCESS_TOKENS)) {
            admin_on_mail(process->admin, &event);
        }
    }
}

static void take_completions(struct process *process) {
    struct link_event event;
    while (link_next(&process->clients.link, &event)) {
        if (event.kind == LINK_EVENT_WRITTEN) {
            process_log_on_written(process, event.error);
        } else {
            clients_on_event(&process->clients, &event);
        }
    }
}

static void take_wishes(struct process *process) {
    struct admin_wish wish;
    while (admin_wish_next(process->admin, &wish)) {
        if (wish.kind == ADMIN_WISH_RELOAD) {
            process_reload(process, wish.request);
        } else if (wish.kind == ADMIN_WISH_DRAIN) {
            process_drain(process, wish.over_ms);
            admin_wish_done(process->admin, wish.request, true, span_text("draining"));
        }
    }
}

// A worker whose ring is gone takes the process with it: half a gateway would serve half of the
// clients in silence.
static bool has_failed_worker(struct process *process) {
    for (uint32_t i = 0; i < process->worker_count; i++) {
        int error = atomic_load_explicit(&process->workers[i].turn_error, memory_order_acquire);
        if (error != 0) {
            log_event(process->log, LOG_LEVEL_ERROR, "worker_failed", log_number("worker", i),
                      log_text("error", strerror(-error)));
            return true;
        }
    }
    return false;
}

static void watchdog(struct process *process) {
    uint64_t now_ms = process->now_us / 1000;
    if (now_ms - process->notified_ms >= notify_watchdog_ms()) {
        process->notified_ms = now_ms;
        notify_send("WATCHDOG=1");
    }
}

int control_turn(struct process *process) {
    bus_awake(&process->bus); // the wait that ended the last turn is over
    process->now_us = clock_now_ns() / 1000;
    uint64_t wall_ms = clock_wall_ms();
    log_turn(process->log, process->now_us / 1000, wall_ms);
    conns_set_date(&process->clients.conns, wall_ms);
    conns_turn(&process->clients.conns, process->now_us);
    link_turn_begin(&process->clients.link, process->now_us / 1000);
    take_completions(process);
    take_mail(process);
    clients_expire(&process->clients);
    process_drain_turn(process);
    take_wishes(process);
    process_names_turn(process);
    process_sites_sweep(process);
    process_calls_send(process);
    admin_turn(process->admin, process->now_us / 1000);
    clients_pump(&process->clients);
    bus_flush(&process->bus);
    link_turn_end(&process->clients.link);
    process_log_turn(process);
    watchdog(process);
    bool may_sleep = process->state != PROCESS_STOPPED && bus_sleep(&process->bus);
    return io_turn(process->io, may_sleep ? CONTROL_WAIT_MS : 0);
}

// The last turn may have left a write of lines in flight; the flush that follows must not write
// them a second time. Whoever reads them may have stopped reading: bounded.
static void finish_log_write(struct process *process) {
    for (uint32_t i = 0; i < LOG_FINISH_TURNS && process->is_log_writing; i++) {
        if (io_turn(process->io, LOG_FINISH_WAIT_MS) != 0) {
            return;
        }
        take_completions(process);
    }
}

void control_loop(struct process *process) {
    admin_state_set(process->admin, true, false);
    notify_send("READY=1");
    while (process->state != PROCESS_STOPPED && !has_failed_worker(process)) {
        int error = control_turn(process);
        if (error != 0) {
            (void)fprintf(stderr, "holdfast: control ring: %s\n", strerror(-error));
            process->is_log_writing = false; // unknown: these lines rather twice than never
            return;
        }
    }
    finish_log_write(process);
}
