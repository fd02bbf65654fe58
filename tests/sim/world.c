// The gateway under test: the process opened as gateway/process does it, and its threads, which are
// none here: each is called for a turn when its io has something or its wait is over, in an order
// that the seed draws. Between two turns a thread that means to sleep is asleep for the others.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/base/check.h"
#include "gateway/auth/json_memory.h"
#include "gateway/process/files.h"
#include "gateway/process/flight.h"
#include "gateway/process/process.h"
#include "gateway/tls/tls.h"
#include "tests/sim/laws.h"
#include "tests/sim/sim_internal.h"
#include "tests/sim/sim_io.h"
#include "tests/sim/squeeze.h"

enum {
    TURN_US = 60,  // of a turn, at most
    WAKE_US = 40,  // from a completion to the turn, at most
    LATE_US = 300, // of a timer
    STALL_US = 10 * 1000 * 1000,
    STALL_SHORT_US = 50 * 1000,
    STEP_US = 4 * 1000 * 1000,
    DRAIN_MS = 500,
    EDGES_EVERY = 4,  // turns
    EDGES_MANY = 256, // connections; then every so many turns
    SEND_US = 20,     // that a turn takes the longer for each send, and each completion
    COMPLETION_US = 2,
    HELD_UP_US = 20 * 1000, // a turn that comes so much later than wanted
};

struct thread { // of the gateway; the last one is the control thread
    struct sim *sim;
    uint32_t index;
    struct io *io;
    uint64_t due_us;     // of the turn that is planned
    uint64_t ticket;     // a plan that was changed has an older one
    uint64_t stalled_us; // no turn before
    uint64_t work_us;    // of all turns, by what they did
    bool is_in_turn, is_over, is_crowded;
    bool is_held_up; // the planned turn is late: a stall stands before it
};

struct world {
    struct thread threads[SIM_WORKERS_MAX + 1];
    uint32_t thread_count;
};
static struct world world; // one in a process

static void on_turn(struct sim *sim, void *context, uint64_t ticket);

static void plan(struct thread *thread, uint64_t delay_us) {
    uint64_t now_us = thread->sim->now_us;
    if (now_us + delay_us < thread->stalled_us) {
        thread->is_held_up |= thread->stalled_us - now_us - delay_us > HELD_UP_US;
        delay_us = thread->stalled_us - now_us;
    }
    thread->due_us = now_us + delay_us;
    sim_after(thread->sim, delay_us, on_turn, thread, ++thread->ticket);
}

void sim_wake(struct sim *sim, struct io *io) {
    for (uint32_t i = 0; i < world.thread_count; i++) {
        struct thread *thread = &world.threads[i];
        bool is_early = thread->due_us <= sim->now_us + WAKE_US;
        if (thread->io == io && !thread->is_in_turn && !thread->is_over && !is_early) {
            plan(thread, 1 + sim_below(sim, WAKE_US));
        }
    }
}

static void plan_next(struct thread *thread) {
    struct sim *sim = thread->sim;
    uint64_t until_us = sim_io_wait_until(thread->io);
    if (sim_fault(sim, SIM_FAULT_stall)) {
        thread->stalled_us = sim->now_us + STALL_US;
    } else if (sim_fault(sim, SIM_FAULT_stall_short)) {
        thread->stalled_us = sim->now_us + STALL_SHORT_US;
    }
    if (until_us <= sim->now_us || sim_io_has_due(thread->io)) {
        plan(thread, 1 + sim_below(sim, TURN_US));
        return;
    }
    uint64_t wait_us = until_us == UINT64_MAX ? STALL_US : until_us - sim->now_us;
    if (sim_fault(sim, SIM_FAULT_turn_early)) {
        wait_us = sim_below(sim, (uint32_t)wait_us + 1);
    }
    plan(thread, wait_us + 1 + sim_below(sim, LATE_US));
}

// What a library keeps for a thread is for the one whose turn it is.
static void libraries_lend(struct worker *worker) {
    json_memory_set(&worker->arena);
    tls_memory_set(worker->clients.secures == NULL ? &worker->arena : &worker->secures.memory);
}

static void libraries_take_back(void) {
    tls_memory_trim();
    tls_memory_set(NULL);
}

static int turn(struct thread *thread) {
    struct process *process = thread->sim->process;
    if (thread->index == thread->sim->worker_count) {
        json_memory_set(&process->arena);
        return control_turn(process);
    }
    struct process_worker *self = &process->workers[thread->index];
    libraries_lend(self->worker);
    int error = process_worker_turn(self);
    libraries_take_back();
    return error;
}

// What the turn has cost: the next one is that much later.
static void work_add(struct thread *thread) {
    struct sim *sim = thread->sim;
    if (thread->index == sim->worker_count) {
        return;
    }
    const struct worker *worker = sim->workers[thread->index];
    uint64_t work_us = worker->clients.pieces_sent * SEND_US +
                       worker->counters.values[COUNTER_completions] * COMPLETION_US;
    uint64_t free_us = sim->now_us + work_us - thread->work_us;
    thread->stalled_us = thread->stalled_us > free_us ? thread->stalled_us : free_us;
    thread->work_us = work_us;
}

static void end_if_done(struct thread *thread) {
    struct process *process = thread->sim->process;
    if (thread->index == thread->sim->worker_count) {
        thread->is_over = process->state == PROCESS_STOPPED;
    } else if (worker_is_done(process->workers[thread->index].worker)) {
        thread->is_over = true;
        atomic_store(&process->workers[thread->index].is_done, true);
        io_doorbell_ring(process_doorbell(process));
    }
}

// An event of a poll comes once. Behind a turn, what can be read of a socket is either on its way
// to us, or we do not want it now (and ask when we do).
static void edges_check(struct thread *thread) {
    struct sim *sim = thread->sim;
    if (thread->index == sim->worker_count) {
        return;
    }
    struct clients *clients = &sim->workers[thread->index]->clients;
    thread->is_crowded = clients->index_peak > EDGES_MANY;
    for (uint32_t i = 1; i <= clients->index_peak; i++) {
        const struct conn *conn = conn_at(&clients->conns, i);
        bool waits = (clients->bits[i] & CLIENTS_WAITS) != 0; // for lent memory: its turn comes
        bool is_tls = (clients->bits[i] & CLIENTS_TLS) != 0;  // its handshake may wait for its turn
        bool wants = is_tls ? secure_may_read(clients, i) : conn_may_read(&clients->conns, i);
        if (conn->state == CONN_FREE || waits || !wants) {
            continue;
        }
        link_id id = clients->links[i];
        const struct link_slot *slot = link_slot_at(&clients->link, id);
        bool listens =
            slot->state == LINK_OPEN && (slot->flags & (LINK_END_SEEN | LINK_STARVED)) == 0;
        uint32_t number = id & ((1u << LINK_RING_SHIFT) - 1);
        if (listens && !sim_io_will_tell(thread->io, (uint8_t)(id >> LINK_RING_SHIFT), number)) {
            sim_fail(sim, "L6", "worker %u will never hear of what connection %u has to read",
                     thread->index, i);
        }
    }
}

// None of the threads gets a processor meanwhile, also one that sleeps on purpose: what would have
// woken it in that time could not happen.
static void machine_sleeps(struct sim *sim) {
    uint64_t step_us = sim_below(sim, STEP_US);
    sim->now_us += step_us;
    sim->wall_ms += sim_below(sim, 2) == 0 ? sim_below(sim, STEP_US) : 0;
    for (uint32_t i = 0; i < world.thread_count; i++) {
        world.threads[i].is_held_up |= step_us > HELD_UP_US;
    }
}

static void on_turn(struct sim *sim, void *context, uint64_t ticket) {
    struct thread *thread = context;
    if (ticket != thread->ticket || thread->is_over) {
        return;
    }
    if (sim_fault(sim, SIM_FAULT_clock_step)) {
        machine_sleeps(sim);
    }
    struct squeeze squeeze;
    squeeze_begin(&squeeze, sim, thread->index);
    if (thread->index < sim->worker_count) {
        sim->was_held_up[thread->index] = thread->is_held_up;
    }
    thread->is_held_up = false;
    thread->is_in_turn = true;
    int error = turn(thread);
    thread->is_in_turn = false;
    squeeze_end(&squeeze);
    if (error != 0) {
        sim_fail(sim, "engine", "thread %u: %s", thread->index, strerror(-error));
    }
    uint64_t wait_ms = (sim_io_wait_until(thread->io) - sim->now_us) / 1000;
    sim_record(sim, SIM_RECORD_TURN, thread->index, (uint32_t)wait_ms, 0);
    work_add(thread);
    if (thread->ticket % (thread->is_crowded ? EDGES_MANY : EDGES_EVERY) == 0) {
        edges_check(thread);
    }
    end_if_done(thread);
    if (!thread->is_over) {
        plan_next(thread);
    }
}

// --- opening

static int load_pem(void *context, const char *path, struct span *bytes) {
    (void)context; // the configuration of a world names no other file
    *bytes = sim_tls_pem();
    return strcmp(path, SIM_PEM) == 0 ? 0 : -ENOENT;
}

static const char *environment_nothing(void *context, const char *name) {
    (void)context;
    (void)name;
    return NULL;
}

static const struct config *config_read(const char *text, struct config_errors *errors) {
    struct config_source source = {.text = span_text(text),
                                   .file = "sim",
                                   .load = load_pem,
                                   .environment = environment_nothing};
    return config_open(&source, errors);
}

static const struct config *config_make(struct sim *sim) {
    static struct config_errors errors;
    const struct config *config = config_read(sim->config_text, &errors);
    if (config == NULL) {
        sim_fail(sim, "engine", "configuration: %s", errors.lines[0]);
    }
    return config;
}

// gateway/process/files.h: what a reload reads.
const struct config *files_config_open(const char *path, struct config_errors *errors) {
    (void)path;
    return config_read(laws_config_again(sim_world), errors);
}

static void thread_open(struct sim *sim, uint32_t index, struct io *io) {
    struct thread *thread = &world.threads[world.thread_count++];
    *thread = (struct thread){.sim = sim, .index = index, .io = io};
    plan(thread, sim_below(sim, TURN_US));
}

void world_open(struct sim *sim) {
    json_object_seed(1); // it would ask the kernel
    json_memory_init();
    struct process *process = aligned_alloc(64, (sizeof *process + 63) / 64 * 64);
    check(process != NULL);
    memset(process, 0, sizeof *process);
    world = (struct world){.thread_count = 0};
    process->config = config_make(sim);
    process->worker_count = sim->worker_count;
    sim->process = process;
    sim->report = flight_write;
    if (process_open(process) != 0) {
        sim_fail(sim, "engine", "the process does not open");
    }
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        int error = process_worker_make(process, i, -1);
        if (error == 0) {
            error = process_worker_open(&process->workers[i]);
        }
        if (error != 0) {
            sim_fail(sim, "engine", "worker %u does not open: %s", i, strerror(-error));
        }
        libraries_take_back();
        sim->workers[i] = process->workers[i].worker;
        thread_open(sim, i, sim->workers[i]->io);
    }
    thread_open(sim, sim->worker_count, process->io);
    process->state = PROCESS_SERVING;
    admin_state_set(process->admin, true, false);
}

void world_calm(struct sim *sim) {
    for (uint32_t i = 0; i < world.thread_count; i++) {
        struct thread *thread = &world.threads[i];
        sim_io_calm(thread->io);
        if (thread->stalled_us > sim->now_us && !thread->is_over) {
            thread->stalled_us = 0;
            plan(thread, 1);
        }
    }
}

void world_drain(struct sim *sim) {
    process_drain(sim->process, DRAIN_MS);
    sim_wake(sim, sim->process->io);
}

void sim_reload(struct sim *sim) {
    process_reload(sim->process, 0);
    sim_wake(sim, sim->process->io);
}

void sim_hold_up(struct sim *sim, uint64_t hold_us) {
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        struct thread *thread = &world.threads[i];
        if (!thread->is_over) {
            thread->stalled_us = sim->now_us + hold_us;
            plan(thread, 1);
        }
    }
}

bool world_has_stopped(const struct sim *sim) {
    (void)sim;
    bool is_over = true;
    for (uint32_t i = 0; i < world.thread_count; i++) {
        is_over = is_over && world.threads[i].is_over;
    }
    return is_over;
}

void world_check_empty(struct sim *sim) {
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        struct sim_io_left left = sim_io_left(sim->workers[i]->io);
        if (left.operations + left.completions + left.buffers + left.slots > 0) {
            sim_fail(sim, "L7",
                     "worker %u leaves %u operations, %u completions, %u buffers, %u slots", i,
                     left.operations, left.completions, left.buffers, left.slots);
        }
    }
    if (net_gateway_open_count(sim) > 0) {
        sim_fail(sim, "L7", "%u sockets were never closed", net_gateway_open_count(sim));
    }
}

static void site_drop(struct site *site) {
    const struct config *config = site->config;
    site_close(&site);
    config_close(&config);
}

void world_close(struct sim *sim) {
    struct process *process = sim->process;
    struct io *ios[SIM_WORKERS_MAX + 1];
    for (uint32_t i = 0; i < world.thread_count; i++) {
        ios[i] = world.threads[i].io;
    }
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        libraries_lend(process->workers[i].worker);
        worker_close(process->workers[i].worker);
        libraries_take_back();
        free(process->workers[i].worker);
        sim->workers[i] = NULL;
    }
    control_close(process);
    process_log_close(process);
    for (uint32_t i = 0; i < world.thread_count; i++) {
        sim_io_free(ios[i]);
    }
    for (uint32_t i = 0; i < process->old_site_count; i++) {
        site_drop(process->old_sites[i]);
    }
    if (process->reload.is_active) {
        site_drop(process->reload.site);
    }
    site_drop(process->site);
    free(process);
    sim->process = NULL;
    flight_forget();
    sim->report = NULL;
}
