// Opening a worker: one reservation of address space for all its pools, sized from the limits, and
// the listeners.
#include <sys/mman.h>

#include <errno.h>
#include <libdeflate.h>

#include "core/base/check.h"
#include "gateway/auth/json_memory.h"
#include "gateway/worker/worker.h"

enum {
    ENTRIES_MAX = 1 << 28,            // of 16 bytes: 4 GiB of address space
    CHANNELS_MAX = 1 << 22,           // per worker
    MESSAGES_MAX = 1 << 16,           // waiting for their fan-out on one worker
    SUBSCRIPTIONS_PER_CONNECTION = 4, // on average over all
    ARENA_SPARE_BYTES = 256 << 20, // above worker_queue: messages being received, names, sessions
};

// Hands out the next aligned part of the reservation, or (memory.data NULL) only counts.
static struct memory part(struct worker_reserve *reserve, uint64_t bytes) {
    enum { ALIGN = POOL_STEP_BYTES };
    uint64_t start = (reserve->used + ALIGN - 1) / ALIGN * ALIGN;
    reserve->used = start + bytes;
    uint8_t *data = reserve->memory.data == NULL ? NULL : reserve->memory.data + start;
    return (struct memory){.data = data, .length = bytes};
}

// All parts of a worker's memory. Laid out twice: first to count, then to use.
struct layout {
    struct conns_memory conns;
    struct memory links, addresses, bits, sessions, notes, rates, paused, settings, rules;
    struct memory slots;
    struct secures_options secures;
    struct upstreams_memory upstreams;
    struct forwards_memory forwards;
    struct memory relays, relay_space, relay_book;
    uint32_t relay_max;
    struct memory channel_space, channel_book, subscription_space, subscription_book, message_space,
        message_book;
    struct memory home_space, home_book, hub_buckets, home_buckets;
    struct memory arena_space, arena_book;
    struct memory deflate, takeover, streams, expiries;
    uint32_t subscription_max;
    uint64_t arena_bytes;
};

static void layout_conns(struct layout *layout, struct worker_reserve *reserve,
                         uint64_t worker_queue_bytes, uint32_t connection_max) {
    struct conns_memory *conns = &layout->conns;
    conns->connection_max = connection_max;
    conns->input_max = connection_max;
    // Entries are charged to worker_queue (worker_queue_held): as many as it could pay for, so that
    // relief comes before the pool refuses anybody.
    uint64_t entries = worker_queue_bytes / sizeof(struct outbox_entry) + connection_max;
    conns->entry_max = entries < ENTRIES_MAX ? (uint32_t)entries : ENTRIES_MAX;
    conns_memory_size(conns);
    conns->conn_space = part(reserve, conns->conn_space.length);
    conns->conn_book = part(reserve, conns->conn_book.length);
    conns->input_space = part(reserve, conns->input_space.length);
    conns->input_book = part(reserve, conns->input_book.length);
    conns->entry_space = part(reserve, conns->entry_space.length);
    conns->entry_book = part(reserve, conns->entry_book.length);
    conns->touched = part(reserve, conns->touched.length);
    uint64_t count = (uint64_t)connection_max + 1;
    layout->links = part(reserve, count * sizeof(link_id));
    layout->addresses = part(reserve, count * sizeof(struct address));
    layout->bits = part(reserve, count);
    layout->sessions = part(reserve, count * sizeof(uint32_t));
    layout->notes = part(reserve, count);
    layout->rates = part(reserve, count * sizeof(struct stream_rate));
    layout->paused = part(reserve, 2 * count * sizeof(struct stream_paused));
    layout->settings = part(reserve, SETTINGS_MAX * sizeof(struct conn_settings));
    layout->rules = part(reserve, SETTINGS_MAX * sizeof(struct stream_rule));
}

static void layout_hub(struct layout *layout, struct worker_reserve *reserve,
                       uint32_t connection_max) {
    // Channel names live in this pool as well (core/hub).
    uint64_t subscriptions = (uint64_t)connection_max * SUBSCRIPTIONS_PER_CONNECTION + CHANNELS_MAX;
    layout->subscription_max = subscriptions > (1u << 28) ? 1u << 28 : (uint32_t)subscriptions;
    layout->channel_space =
        part(reserve, pool_space_bytes(sizeof(struct hub_channel), CHANNELS_MAX));
    layout->channel_book = part(reserve, pool_book_bytes(sizeof(struct hub_channel), CHANNELS_MAX));
    layout->subscription_space =
        part(reserve, pool_space_bytes(sizeof(struct hub_subscription), layout->subscription_max));
    layout->subscription_book =
        part(reserve, pool_book_bytes(sizeof(struct hub_subscription), layout->subscription_max));
    layout->message_space =
        part(reserve, pool_space_bytes(sizeof(struct hub_message), MESSAGES_MAX));
    layout->message_book = part(reserve, pool_book_bytes(sizeof(struct hub_message), MESSAGES_MAX));
    layout->home_space = part(reserve, pool_space_bytes(64, CHANNELS_MAX));
    layout->home_book = part(reserve, pool_book_bytes(64, CHANNELS_MAX));
    layout->hub_buckets = part(reserve, table_book_bytes(CHANNELS_MAX));
    layout->home_buckets = part(reserve, table_book_bytes(CHANNELS_MAX));
}

// Address space only, as long as there is nothing to proxy.
static void layout_upstreams(struct layout *layout, struct worker_reserve *reserve,
                             uint32_t connection_max) {
    struct upstreams_memory *upstreams = &layout->upstreams;
    // One for each client, and idle ones.
    uint32_t line_max = connection_max + UPSTREAM_LINES_SPARE;
    upstreams->line_max = line_max < UPSTREAM_LINES_MAX ? line_max : UPSTREAM_LINES_MAX;
    upstreams->exchange_max = upstreams->line_max;
    upstreams_memory_size(upstreams);
    upstreams->line_space = part(reserve, upstreams->line_space.length);
    upstreams->line_book = part(reserve, upstreams->line_book.length);
    upstreams->exchange_space = part(reserve, upstreams->exchange_space.length);
    upstreams->exchange_book = part(reserve, upstreams->exchange_book.length);
    upstreams->touched = part(reserve, upstreams->touched.length);
    upstreams->items = part(reserve, upstreams->items.length);
    upstreams->secure_space = part(reserve, upstreams->secure_space.length);
    upstreams->secure_book = part(reserve, upstreams->secure_book.length);
    struct forwards_memory *forwards = &layout->forwards;
    forwards_memory_size(forwards);
    forwards->ask_space = part(reserve, forwards->ask_space.length);
    forwards->ask_book = part(reserve, forwards->ask_book.length);
    forwards->entry_space = part(reserve, forwards->entry_space.length);
    forwards->entry_book = part(reserve, forwards->entry_book.length);
    forwards->buckets = part(reserve, forwards->buckets.length);
    layout->relays = part(reserve, ((uint64_t)connection_max + 1) * sizeof(uint32_t));
    uint32_t relay_bytes = sizeof(struct proxy_relay);
    layout->relay_max = upstreams->exchange_max; // a tunnel outlives its client by its close
    layout->relay_space = part(reserve, pool_space_bytes(relay_bytes, layout->relay_max));
    layout->relay_book = part(reserve, pool_book_bytes(relay_bytes, layout->relay_max));
}

static bool keeps_library(const struct site *site) {
    bool keeps = false;
    for (uint32_t i = 0; i < LISTENERS_MAX; i++) {
        keeps =
            keeps || (site->tls[i] != NULL && tls_context_layer(site->tls[i]) == TLS_LAYER_LIBRARY);
    }
    return keeps;
}

static void layout_make(struct layout *layout, struct worker_reserve *reserve,
                        const struct worker *worker, const struct worker_options *options) {
    uint32_t connection_max = options->connection_max;
    reserve->used = 0;
    layout_conns(layout, reserve, worker->worker_queue_bytes, connection_max);
    layout_hub(layout, reserve, connection_max);
    struct secures_options *secures = &layout->secures;
    secures->connection_max = connection_max;
    secures->keeps_library = keeps_library(options->site);
    secures_memory_size(secures);
    secures->table = part(reserve, secures->table.length);
    secures->peers = part(reserve, secures->peers.length);
    secures->shakes = part(reserve, secures->shakes.length);
    secures->space = part(reserve, secures->space.length);
    secures->book = part(reserve, secures->book.length);
    layout_upstreams(layout, reserve, connection_max);
    layout->slots = part(reserve, link_slots_bytes(RINGS_MAX, io_ring_slots(worker->io)));
    uint64_t arena = worker->worker_queue_bytes + ARENA_SPARE_BYTES;
    layout->arena_bytes = arena;
    // Four times: size classes and large blocks leave holes in the address space, and the limit
    // counts what is used.
    uint64_t space = (4 * arena + ARENA_STEP_BYTES - 1) / ARENA_STEP_BYTES * ARENA_STEP_BYTES;
    layout->arena_space = part(reserve, space);
    layout->arena_book = part(reserve, arena_book_bytes(space));
    layout->deflate = part(reserve, ws_deflate_scratch_bytes(MESSAGE_BYTES_MAX));
    layout->takeover = part(reserve, TAKEOVER_BYTES_MAX);
    layout->streams = part(reserve, ((uint64_t)connection_max + 1) * sizeof(uint32_t));
    layout->expiries = part(reserve, ((uint64_t)connection_max + 1) * sizeof(uint32_t));
}

// Transparent huge pages would make one touched page two megabytes: density goes before speed here.
static int reserve_open(struct worker_reserve *reserve, uint64_t bytes) {
    uint64_t whole = bytes + POOL_STEP_BYTES;
    void *data = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        return -errno;
    }
    // A kernel without huge pages refuses: nothing is lost.
    (void)madvise(data, whole, MADV_NOHUGEPAGE);
    (void)madvise(data, whole, MADV_DONTDUMP); // a core dump holds structure, not clients' words
    uintptr_t start = ((uintptr_t)data + POOL_STEP_BYTES - 1) / POOL_STEP_BYTES * POOL_STEP_BYTES;
    reserve->memory = (struct memory){.data = (uint8_t *)start, .length = bytes};
    return 0;
}

static void hub_open(struct worker *worker, const struct layout *layout, const uint64_t random[8]) {
    pool_init(&worker->channels, sizeof(struct hub_channel), CHANNELS_MAX, layout->channel_space,
              layout->channel_book);
    pool_init(&worker->subscriptions, sizeof(struct hub_subscription), layout->subscription_max,
              layout->subscription_space, layout->subscription_book);
    pool_init(&worker->messages, sizeof(struct hub_message), MESSAGES_MAX, layout->message_space,
              layout->message_book);
    pool_init(&worker->homes, 64, CHANNELS_MAX, layout->home_space, layout->home_book);
    hub_init(&worker->hub, &worker->channels, &worker->subscriptions, &worker->messages,
             &worker->arena, layout->hub_buckets, random);
}

static void conns_open(struct worker *worker, const struct layout *layout,
                       const struct worker_options *options) {
    struct conns *conns = &worker->clients.conns;
    *conns = (struct conns){.arena = &worker->arena,
                            .settings = (struct conn_settings *)(void *)layout->settings.data,
                            .counters = &worker->counters,
                            .trace = &worker->trace,
                            .round_trip = &worker->round_trip_ns,
                            .jitter_seed = options->random[4]};
    conns_init(conns, &layout->conns, options->now_us);
    conns->expiries = (uint32_t *)(void *)layout->expiries.data;
    worker->clients.links = (link_id *)(void *)layout->links.data;
    worker->clients.addresses = (struct address *)(void *)layout->addresses.data;
    worker->clients.bits = layout->bits.data;
}

// All levels at once, so that a reload may ask for any: 5 MB of address space, of which only what
// is used is touched. False: no memory.
static bool deflate_open(struct worker *worker, const struct layout *layout) {
    struct memory scratch = layout->deflate;
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    if (decompressor == NULL) {
        return false;
    }
    ws_deflate_init(&worker->deflate, decompressor, scratch, MESSAGE_BYTES_MAX);
    bool is_whole = true;
    for (int level = 1; level <= DEFLATE_LEVEL_MAX; level++) {
        worker->deflate.compressors[level] = libdeflate_alloc_compressor(level);
        is_whole &= worker->deflate.compressors[level] != NULL;
    }
    worker->deflate_scratch = scratch;
    worker->clients.conns.deflate = &worker->deflate;
    ws_takeover_init(&worker->takeover, layout->takeover);
    worker->clients.conns.takeover = &worker->takeover;
    worker->clients.conns.streams = (uint32_t *)(void *)layout->streams.data;
    return is_whole;
}

static void deflate_close(struct ws_deflate *deflate) {
    for (int level = 1; level <= DEFLATE_LEVEL_MAX; level++) {
        libdeflate_free_compressor(deflate->compressors[level]); // NULL is allowed
    }
    libdeflate_free_decompressor(deflate->decompressor);
    *deflate = (struct ws_deflate){.decompressor = NULL};
}

static bool on_open(void *context, uint32_t index, uint32_t listener) {
    struct worker *worker = context;
    bool is_welcome = stream_on_open(&worker->stream, index);
    // Who would be refused is not worth a handshake.
    return is_welcome && !(secures_has(worker->clients.secures, listener) &&
                           stream_is_doomed(&worker->stream, index));
}

static void on_ask(void *context, uint32_t index, const struct conn_event *event) {
    struct worker *worker = context;
    stream_on_ask(&worker->stream, index, event);
}

static void on_sent(void *context, uint32_t index) {
    struct worker *worker = context;
    stream_on_sent(&worker->stream, index);
}

// Of a client that takes the port for a TLS one its operator should hear: it was answered 400,
// which it cannot read.
static void tls_note(struct worker *worker, uint32_t index) {
    char address[ADDRESS_TEXT_BYTES];
    address_format(&worker->clients.addresses[index], true, address);
    log_event(worker->log, LOG_LEVEL_INFO, "tls_on_plain_port", log_text("address", address),
              log_text("text", "give the listener a `tls`, or connect by http:// or ws://"));
}

static void on_gone(void *context, uint32_t index) {
    struct worker *worker = context;
    bool is_tls = conn_at(&worker->clients.conns, index)->fault == FAULT_tls_on_plain_port;
    if (is_tls && clients_may_complain(&worker->clients)) {
        tls_note(worker, index);
    }
    stream_on_gone(&worker->stream, index);
}

// Exchanges have two owners: who passes requests on, and who asks who a client is.
static void on_service(void *context, const struct upstream_event *event) {
    struct worker *worker = context;
    if ((event->owner & FORWARD_OWNER_TAG) != 0) {
        forwards_on_event(&worker->forwards, event);
    } else {
        proxy_on_event(&worker->proxy, event);
    }
}

static void forwards_open(struct worker *worker, const struct layout *layout,
                          const struct worker_options *options) {
    worker->forwards =
        (struct forwards){.upstreams = &worker->upstreams,
                          .arena = &worker->arena,
                          .counters = &worker->counters,
                          .owner = {.context = &worker->stream, .on_verdict = stream_on_verdict}};
    uint64_t secret[4]; // of their own, by the proxy's, which are the entropy seam's
    for (uint32_t i = 0; i < 4; i++) {
        secret[i] = proxy_secret_next(&worker->proxy);
    }
    forwards_init(&worker->forwards, &layout->forwards, secret);
    forwards_config_set(&worker->forwards, options->site->config);
}

static int proxy_open(struct worker *worker, const struct layout *layout,
                      const struct worker_options *options) {
    worker->upstreams = (struct upstreams){.link = &worker->clients.link,
                                           .arena = &worker->arena,
                                           .log = options->log,
                                           .outboxes = &worker->clients.conns.outboxes,
                                           .counters = &worker->counters,
                                           .answer_ns = &worker->answer_ns,
                                           .owner = {.context = worker, .on_event = on_service},
                                           .head_bytes_max = HEADER_BYTES_MAX};
    upstreams_init(&worker->upstreams, &layout->upstreams, options->now_us);
    worker->proxy = (struct proxy){.conns = &worker->clients.conns,
                                   .upstreams = &worker->upstreams,
                                   .arena = &worker->arena,
                                   .bits = worker->clients.bits,
                                   .tls_bit = CLIENTS_TLS,
                                   .relays = (uint32_t *)(void *)layout->relays.data};
    worker->proxy.secret_key[0] = options->random[6];
    worker->proxy.secret_key[1] = options->random[7];
    pool_init(&worker->proxy.pool, sizeof(struct proxy_relay), layout->relay_max,
              layout->relay_space, layout->relay_book);
    prng_init(&worker->proxy.prng, options->random[5]);
    if (!upstreams_config_set(&worker->upstreams, options->site->config)) {
        return -ENOSPC;
    }
    upstreams_dialers_set(&worker->upstreams, options->site->config, options->site->dialers);
    return 0;
}

static void stream_open(struct worker *worker, const struct layout *layout,
                        const struct worker_options *options) {
    worker->stream = (struct stream){
        .conns = &worker->clients.conns,
        .hub = &worker->hub,
        .bus = &worker->bus,
        .arena = &worker->arena,
        .log = options->log,
        .admission = options->admission,
        .proxy = &worker->proxy,
        .forwards = &worker->forwards,
        .certificates = worker->clients.secures == NULL ? NULL : worker->secures.peers,
        .addresses = worker->clients.addresses,
        .sessions = (uint32_t *)(void *)layout->sessions.data,
        .notes = layout->notes.data,
        .rates = (struct stream_rate *)(void *)layout->rates.data,
        .paused = (struct stream_paused *)(void *)layout->paused.data,
        .paused_max = (uint32_t)(layout->paused.length / sizeof(struct stream_paused)),
        .settings = (struct conn_settings *)(void *)layout->settings.data,
        .rules = (struct stream_rule *)(void *)layout->rules.data};
    worker->clients.owner = (struct clients_owner){.context = worker,
                                                   .on_open = on_open,
                                                   .on_ask = on_ask,
                                                   .on_sent = on_sent,
                                                   .on_gone = on_gone};
    stream_site_set(&worker->stream, options->site); // the first: ROUTES_MAX rules fit
}

// Nothing of TLS is touched where no listener has it.
static void secures_open(struct worker *worker, struct layout *layout,
                         const struct worker_options *options) {
    const struct config *config = options->site->config;
    bool is_wanted = false;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        is_wanted = is_wanted || config->listeners[i].tls.is_present;
    }
    if (!is_wanted) {
        return;
    }
    layout->secures.ticket_seed = options->ticket_seed;
    layout->secures.ticket_begin_ms = options->ticket_begin_ms;
    secures_init(&worker->secures, &layout->secures);
    worker->secures.contexts = options->site->tls;
    worker->clients.secures = &worker->secures;
}

static int io_begin(struct worker *worker, const struct config *config) {
    struct io_options options = {
        .slots = config->engine.slots == 0 ? RING_SLOTS_MAX : config->engine.slots,
        .submissions = config->engine.submissions,
        .completions = config->engine.completions,
        .buffers = config->engine.buffers,
        .buffers_max = config->engine.buffers * 16 > RING_BUFFERS_MAX ? RING_BUFFERS_MAX
                                                                      : config->engine.buffers * 16,
        .ring_max = RINGS_MAX,
    };
    return io_open(&worker->io, &options);
}

static int listeners_open(struct worker *worker, const struct config *config, const char **what) {
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        char path[108] = {0};
        struct io_listen_options options = {
            .address = listener->address.address,
            .backlog = 65535, // the kernel takes the lower of this and net.core.somaxconn
            .send_buffer_bytes =
                (uint32_t)(config->kernel_bytes / 2), // the kernel doubles it for its own overhead
            .notsent_lowat_bytes = 16384, // what waits should wait with us, where policies see it
            .user_timeout_ms = (uint32_t)(config->keepalive.ping_ms + config->keepalive.pong_ms),
            .is_shared = true,
        };
        if (listener->address.path.length > 0) {
            check(listener->address.path.length < sizeof path);
            memcpy(path, listener->address.path.data, listener->address.path.length);
            options.unix_path = path;
        }
        int number = link_listen(&worker->clients.link, &options);
        if (number < 0) {
            *what = "listen";
            return number;
        }
    }
    return 0;
}

int worker_open(struct worker *worker, const struct worker_options *options, const char **what) {
    const struct config *config = options->site->config;
    memset(worker, 0, sizeof *worker);
    worker->index = options->index;
    worker->log = options->log;
    worker->worker_queue_bytes = config->worker_queue_bytes;
    worker->kernel_bytes = config->kernel_bytes;
    worker->now_us = options->now_us;
    worker->opened_ms = options->now_us / 1000;
    worker->is_accepting = true;
    *what = "io_uring";
    int error = io_begin(worker, config);
    if (error != 0) {
        return error;
    }
    struct layout layout = {0};
    layout_make(&layout, &worker->reserve, worker, options);
    *what = "memory";
    error = reserve_open(&worker->reserve, worker->reserve.used);
    if (error != 0) {
        return error;
    }
    layout_make(&layout, &worker->reserve, worker, options);
    arena_init(&worker->arena, layout.arena_space, layout.arena_book, layout.arena_bytes);
    json_memory_set(&worker->arena);
    hub_open(worker, &layout, options->random);
    conns_open(worker, &layout, options);
    error = deflate_open(worker, &layout) ? 0 : -ENOMEM;
    if (error == 0 && config->engine.zero_copy) {
        error = io_memory_lend(worker->io, layout.arena_space);
    }
    if (error != 0) {
        return error;
    }
    struct bus_options bus = {.shared = options->bus_shared,
                              .self = options->index,
                              .arena = &worker->arena,
                              .counters = &worker->counters,
                              .homes = &worker->homes,
                              .buckets = layout.home_buckets,
                              .table_key = {options->random[2], options->random[3]},
                              .epoch_base = options->epoch_base,
                              .backlog_bytes_max = config->worker_queue_bytes / 4};
    bus_init(&worker->bus, &bus);
    bus_endpoint_set(&worker->bus, io_doorbell(worker->io));
    link_init(&worker->clients.link, &(struct link_options){.io = worker->io,
                                                            .ring_max = RINGS_MAX,
                                                            .slots = layout.slots,
                                                            .counters = &worker->counters,
                                                            .trace = &worker->trace});
    worker->clients.log = options->log;
    worker->clients.proxies = options->site->proxies;
    secures_open(worker, &layout, options);
    if (worker->clients.secures == NULL) { // the library checks tokens' signatures at most
        tls_memory_set(&worker->arena);
    }
    *what = "settings";
    error = proxy_open(worker, &layout, options);
    if (error != 0) {
        return error;
    }
    forwards_open(worker, &layout, options);
    stream_open(worker, &layout, options);
    return listeners_open(worker, config, what);
}

void worker_close(struct worker *worker) {
    if (worker->io != NULL) {
        io_shut(worker->io);
        worker->io = NULL;
    }
    deflate_close(&worker->deflate);
    if (worker->clients.secures != NULL) {
        secures_fini(&worker->secures);
        worker->clients.secures = NULL;
    }
    struct memory *memory = &worker->reserve.memory;
    if (memory->data != NULL) {
        // The slack in front of the aligned start, never touched, stays until the process ends.
        (void)munmap(memory->data, memory->length); // a range of ours: it cannot fail
        memory->data = NULL;
    }
}
