// Each term alone; the least decides.
#include "gateway/doctor/capacity.h"

#include <stdio.h>

#include "gateway/doctor/tree.h"

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static struct capacity_term *term_add(struct capacity *capacity, const char *name,
                                      uint64_t connections) {
    struct capacity_term *term = &capacity->terms[capacity->term_count];
    *term = (struct capacity_term){.name = name, .connections = connections};
    if (connections < capacity->terms[capacity->first].connections) {
        capacity->first = capacity->term_count;
    }
    capacity->term_count++;
    return term;
}

// As process_launch chooses them.
static uint32_t workers_count(const struct machine *machine, const struct config *config) {
    uint32_t count = config->workers != 0 ? config->workers : machine->cpus;
    return count < WORKERS_MAX ? count : WORKERS_MAX;
}

static uint64_t slots_asked(const struct config *config) {
    return config->engine.slots == 0 ? RING_SLOTS_MAX : least(config->engine.slots, RING_SLOTS_MAX);
}

static void tables_term(const struct machine *machine, const struct config *config,
                        struct capacity *capacity) {
    // Each ring is one descriptor of the process, and its table is as large as the process' limit.
    uint64_t plain = CAPACITY_PLAIN_FILES + config->listener_count * (capacity->worker_count + 1);
    uint64_t rings = (uint64_t)RINGS_MAX * capacity->worker_count;
    uint64_t room = machine->files_hard > plain ? machine->files_hard - plain : 0;
    rings = least(rings, room);
    capacity->ring_slots = least(slots_asked(config), machine->files_hard);
    capacity->tables = rings * capacity->ring_slots;
    struct capacity_term *term = term_add(capacity, "descriptor tables", capacity->tables);
    (void)snprintf(term->how, sizeof term->how, "%llu rings of %llu descriptors",
                   (unsigned long long)rings, (unsigned long long)capacity->ring_slots); // it fits
}

// Queues and receive buffers of one ring.
static uint64_t ring_bytes(const struct config *config) {
    return (uint64_t)config->engine.completions * 16 + (uint64_t)config->engine.submissions * 64 +
           (uint64_t)config->engine.buffers * (RECEIVE_BUFFER_BYTES + 16);
}

static uint32_t subscriptions_most(const struct config *config) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        uint32_t count = route->verb == CONFIG_VERB_CHANNELS ? route->channels.subscribe.count : 0;
        most = count > most ? count : most;
    }
    return most;
}

// Room, what of it stays free, and what the kernel takes of it for each connection.
struct memory_room {
    const char *name;
    uint64_t left, spare;
    uint32_t kernel_bytes;
};

// Where a listener's record layer is the library's own, that is what is reckoned with.
static uint64_t tls_bytes(const struct config *config) {
    bool is_kept = false;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        is_kept = is_kept || config->listeners[i].tls.record_layer == CONFIG_TLS_LIBRARY;
    }
    return CAPACITY_TLS_BYTES + (is_kept ? TLS_KEPT_BYTES_MAX : 0);
}

static void memory_term(const struct memory_room *room, const struct config *config,
                        struct capacity *capacity) {
    uint64_t ours =
        CAPACITY_USER_BYTES + (uint64_t)subscriptions_most(config) * CAPACITY_SUBSCRIPTION_BYTES;
    // As many rings as the population asks for: their part of each connection.
    uint64_t ring = capacity->ring_slots == 0 ? 0 : ring_bytes(config) / capacity->ring_slots;
    uint64_t each = room->kernel_bytes + ours + ring;
    uint64_t fixed = room->spare + CAPACITY_PROCESS_BYTES;
    uint64_t usable = room->left > fixed ? room->left - fixed : 0;
    struct capacity_term *term = term_add(capacity, room->name, usable / each);
    (void)snprintf(term->how, sizeof term->how,
                   "%llu MiB less %llu MiB, %llu B each: kernel %u, ours %llu, rings %llu",
                   (unsigned long long)(room->left >> 20), (unsigned long long)(fixed >> 20),
                   (unsigned long long)each, room->kernel_bytes, (unsigned long long)ours,
                   (unsigned long long)ring); // it fits
    uint64_t queued =
        (config->kernel_bytes + config->backpressure.queue_bytes) / CAPACITY_BUSY_SHARE;
    capacity->held = least(capacity->held, usable / each);
    capacity->held_tls = least(capacity->held_tls, usable / (each + tls_bytes(config)));
    capacity->busy = least(capacity->busy, usable / (each + queued));
    capacity->each_bytes = CAPACITY_KERNEL_BYTES + ours;
}

static void memory_terms(const struct machine *machine, const struct config *config,
                         struct capacity *capacity) {
    uint64_t spare = machine->memory_total / CAPACITY_SPARE_SHARE;
    struct memory_room room = {.name = "memory",
                               .left = machine->memory_available,
                               .spare = spare > CAPACITY_SPARE_BYTES ? spare : CAPACITY_SPARE_BYTES,
                               .kernel_bytes = CAPACITY_KERNEL_BYTES};
    capacity->held = UINT64_MAX;
    capacity->held_tls = UINT64_MAX;
    capacity->busy = UINT64_MAX;
    memory_term(&room, config, capacity);
    uint64_t left = machine_group_left(machine);
    if (left != UINT64_MAX) {
        bool is_part = machine->group_version == 1;
        room = (struct memory_room){.name = "control group",
                                    .left = left,
                                    .spare = left / CAPACITY_SPARE_SHARE,
                                    .kernel_bytes =
                                        is_part ? CAPACITY_GROUP_1_BYTES : CAPACITY_KERNEL_BYTES};
        memory_term(&room, config, capacity);
    }
}

static void files_term(const char *root, struct capacity *capacity) {
    uint64_t used = 0;
    uint64_t most = 0;
    // systemd sets it to the largest number there is: then it bounds nothing.
    if (tree_number(root, "proc/sys/fs/file-nr", 0, &used) &&
        tree_number(root, "proc/sys/fs/file-max", 0, &most) && most < INT64_MAX) {
        struct capacity_term *term =
            term_add(capacity, "fs.file-max", most > used ? most - used : 0);
        (void)snprintf(term->how, sizeof term->how, "%llu less %llu in use",
                       (unsigned long long)most, (unsigned long long)used); // it fits
    }
}

// Loaded without rules it tracks nothing, and its limit bounds nothing.
static void conntrack_term(const char *root, struct capacity *capacity) {
    uint64_t used = 0;
    uint64_t most = 0;
    if (tree_number(root, "proc/sys/net/netfilter/nf_conntrack_max", 0, &most) &&
        tree_number(root, "proc/sys/net/netfilter/nf_conntrack_count", 0, &used) && used > 0) {
        struct capacity_term *term =
            term_add(capacity, "nf_conntrack_max", most > used ? most - used : 0);
        (void)snprintf(term->how, sizeof term->how, "%llu less %llu in use",
                       (unsigned long long)most, (unsigned long long)used); // it fits
    }
}

static void pings_term(const struct machine *machine, const struct config *config,
                       struct capacity *capacity) {
    capacity->pinged = UINT64_MAX;
    if (config->keepalive.ping_ms == 0) {
        return;
    }
    uint64_t cpus_milli = least((uint64_t)capacity->worker_count * 1000,
                                least(machine->cpu_quota_milli, (uint64_t)machine->cpus * 1000));
    // In a second, cpus_milli / 1000 CPUs have so many nanoseconds for pings.
    uint64_t ns = cpus_milli * 1000000 / 100 * CAPACITY_CPU_SHARE_PERCENT;
    capacity->pinged = ns / CAPACITY_PING_NS * config->keepalive.ping_ms / 1000;
    struct capacity_term *term = term_add(capacity, "keepalive CPU", capacity->pinged);
    (void)snprintf(term->how, sizeof term->how,
                   "%u %% of %llu.%llu CPUs, a ping every %llu s, %llu.%llu us each",
                   CAPACITY_CPU_SHARE_PERCENT, (unsigned long long)(cpus_milli / 1000),
                   (unsigned long long)(cpus_milli % 1000 / 100),
                   (unsigned long long)(config->keepalive.ping_ms / 1000),
                   CAPACITY_PING_NS / 1000ULL,
                   CAPACITY_PING_NS % 1000ULL / 100); // it fits
}

void capacity_compute(const char *root, const struct machine *machine, const struct config *config,
                      struct capacity *capacity) {
    *capacity = (struct capacity){.worker_count = workers_count(machine, config)};
    tables_term(machine, config, capacity);
    memory_terms(machine, config, capacity);
    files_term(root, capacity);
    conntrack_term(root, capacity);
    pings_term(machine, config, capacity);
    capacity->connections = capacity->terms[capacity->first].connections;
    // Of all terms only memory is another one with TLS, and a smaller one.
    capacity->with_tls = least(capacity->connections, capacity->held_tls);
}
