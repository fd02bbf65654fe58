// Sending with a backlog, receiving with assembly, and sleeping without losing a doorbell.
#include "gateway/bus/bus.h"

#include "core/base/check.h"
#include "core/base/digest.h"
#include "core/ws/reader.h"
#include "gateway/bus/internal.h"

enum {
    HOME_MAILS_MAX = 256, // joins, leaves, publishes and pieces taken between two bus_flush: a home
                          // that many publish to has a turn that ends
};

uint64_t bus_shared_bytes(uint32_t worker_count) {
    uint64_t threads = worker_count + 1;
    return sizeof(struct bus_shared) +
           threads * threads * (sizeof(struct mailbox) + mailbox_bytes()) + 4096;
}

struct bus_shared *bus_shared_init(struct memory memory, uint32_t worker_count) {
    check(worker_count > 0 && worker_count <= WORKERS_MAX);
    check(memory.length >= bus_shared_bytes(worker_count));
    struct bus_shared *shared = (struct bus_shared *)(void *)memory.data;
    shared->worker_count = worker_count;
    shared->thread_count = worker_count + 1;
    uint32_t count = shared->thread_count * shared->thread_count;
    uint8_t *at = memory.data + (sizeof *shared + 63) / 64 * 64;
    shared->mailboxes = (struct mailbox *)(void *)at;
    at += count * sizeof(struct mailbox);
    for (uint32_t i = 0; i < count; i++) {
        mailbox_init(&shared->mailboxes[i], (struct memory){.data = at, .length = mailbox_bytes()});
        at += mailbox_bytes();
    }
    return shared;
}

void bus_init(struct bus *bus, const struct bus_options *options) {
    *bus = (struct bus){.shared = options->shared,
                        .self = options->self,
                        .arena = options->arena,
                        .counters = options->counters,
                        .epoch_base = options->epoch_base,
                        .backlog_bytes_max = options->backlog_bytes_max};
    home_init(bus, options);
}

void bus_endpoint_set(struct bus *bus, struct io_doorbell doorbell) {
    bus->shared->endpoints[bus->self].doorbell = doorbell;
}

uint32_t bus_home(const struct bus *bus, struct span name) {
    // FNV-1a: every thread must agree, and a peer that crowds one worker gains nothing that a hot
    // channel would not give it.
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < name.length; i++) {
        hash = (hash ^ name.data[i]) * 16777619u;
    }
    // MurmurHash3's finisher: else names that differ in their last letter only have one home.
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    hash ^= hash >> 16;
    return (uint32_t)(((uint64_t)hash * bus->shared->worker_count) >> 32);
}

// Sends as much as there is room for; *sent counts bytes of name and body together. True: all of it
// went.
static bool pieces_put(struct mailbox *mailbox, const struct mail *mail, struct span name,
                       struct span body, uint32_t *sent) {
    uint32_t total = name.length + body.length;
    // Bounded: every pass but the last sends MAILBOX_PIECE_BYTES_MAX bytes.
    for (;;) {
        uint32_t left = total - *sent;
        uint32_t length = left < MAILBOX_PIECE_BYTES_MAX ? left : MAILBOX_PIECE_BYTES_MAX;
        struct mail piece = *mail;
        piece.name_bytes = *sent == 0 ? (uint8_t)name.length : 0;
        piece.is_more = length < left;
        bool has_name = *sent == 0;
        struct span first = has_name ? name : span_empty();
        uint32_t body_from = has_name ? 0 : *sent - name.length;
        struct span rest =
            span_make(body.length == 0 ? NULL : body.data + body_from, length - first.length);
        if (!mailbox_put(mailbox, &piece, first, rest)) {
            return false;
        }
        *sent += length;
        if (*sent == total) {
            return true;
        }
    }
}

// What somebody waits for, or a count depends on (bus.h): it finds memory above the arena's limit,
// which is kept for what can be refused.
static bool is_owed(const struct mail *mail) {
    return mail->kind == MAIL_LEAVE || mail->kind == MAIL_JOINED || mail->kind == MAIL_RECEIPT;
}

static uint32_t job_take(struct bus *bus, const struct mail *mail, uint64_t size) {
    uint32_t block = arena_take(bus->arena, size);
    if (block == 0 && is_owed(mail)) {
        uint64_t limit_bytes = bus->arena->limit_bytes;
        bus->arena->limit_bytes = UINT64_MAX;
        block = arena_take(bus->arena, size);
        bus->arena->limit_bytes = limit_bytes;
    }
    return block;
}

static bool backlog_put(struct bus *bus, uint32_t target, const struct mail *mail, struct span name,
                        struct span body) {
    uint64_t size = sizeof(struct bus_job) + name.length + body.length;
    uint32_t block = job_take(bus, mail, size);
    if (block == 0) {
        return false;
    }
    struct bus_job *job = (struct bus_job *)(void *)arena_at(bus->arena, block);
    *job = (struct bus_job){.mail = *mail, .bytes = name.length + body.length};
    job->mail.name_bytes = (uint8_t)name.length;
    uint8_t *data = (uint8_t *)(job + 1);
    if (name.length > 0) {
        memcpy(data, name.data, name.length);
    }
    if (body.length > 0) {
        memcpy(data + name.length, body.data, body.length);
    }
    struct bus_backlog *backlog = &bus->backlogs[target];
    if (backlog->first == 0) {
        backlog->first = block;
    } else {
        ((struct bus_job *)(void *)arena_at(bus->arena, backlog->last))->next = block;
    }
    backlog->last = block;
    backlog->bytes += arena_block_bytes(bus->arena, block);
    counter_add(bus->counters, COUNTER_mailbox_full, 1);
    return true;
}

static void backlog_flush(struct bus *bus, uint32_t target) {
    struct bus_backlog *backlog = &bus->backlogs[target];
    struct mailbox *mailbox = bus_mailbox(bus, bus->self, target);
    while (backlog->first != 0) {
        uint32_t block = backlog->first;
        struct bus_job *job = (struct bus_job *)(void *)arena_at(bus->arena, block);
        const uint8_t *data = (const uint8_t *)(job + 1);
        struct span name = span_make(data, job->mail.name_bytes);
        struct span body = span_make(data + name.length, job->bytes - name.length);
        uint32_t before = job->sent_bytes;
        bool is_sent = pieces_put(mailbox, &job->mail, name, body, &job->sent_bytes);
        if (is_sent || job->sent_bytes != before) {
            bus->rung |= UINT64_C(1) << (target % 64);
        }
        if (!is_sent) {
            return;
        }
        backlog->first = job->next;
        backlog->bytes -= arena_block_bytes(bus->arena, block);
        arena_give(bus->arena, block);
    }
    backlog->last = 0;
}

bool bus_send(struct bus *bus, uint32_t target, const struct mail *mail, struct span name,
              struct span body) {
    check(target < bus->shared->thread_count && name.length <= CHANNEL_NAME_BYTES_MAX);
    bus->rung |= UINT64_C(1) << (target % 64);
    // A body in several pieces goes by the backlog: once its first piece is out, the rest must have
    // a place.
    bool is_single = name.length + body.length <= MAILBOX_PIECE_BYTES_MAX;
    uint32_t sent = 0;
    if (is_single && bus->backlogs[target].first == 0 &&
        pieces_put(bus_mailbox(bus, bus->self, target), mail, name, body, &sent)) {
        return true;
    }
    if (!backlog_put(bus, target, mail, name, body)) {
        return false;
    }
    backlog_flush(bus, target);
    return true;
}

bool bus_join(struct bus *bus, struct span name, bool is_first, uint64_t token) {
    struct mail mail = {.kind = MAIL_JOIN, .words = {token, is_first}};
    uint32_t target = bus_home(bus, name);
    return bus_fits(bus, target, name, span_empty()) &&
           bus_send(bus, target, &mail, name, span_empty());
}

void bus_leave(struct bus *bus, struct span name, bool is_last) {
    struct mail mail = {.kind = MAIL_LEAVE, .words = {0, is_last}};
    bus_send(bus, bus_home(bus, name), &mail, name, span_empty());
}

void bus_leave_refused(struct bus *bus, struct span name, bool is_last) {
    struct mail mail = {.kind = MAIL_LEAVE, .words = {1, is_last}};
    bus_send(bus, bus_home(bus, name), &mail, name, span_empty());
}

bool bus_is_backed_up(const struct bus *bus, uint32_t target) {
    // relaxed: a hint, and nothing else is read on its strength
    return bus->backlogs[target].first != 0 ||
           atomic_load_explicit(&bus->shared->endpoints[target].is_pressed, memory_order_relaxed);
}

// Half of the bound begins it, a quarter ends it: what is on its way already still finds room.
static void pressure_note(struct bus *bus) {
    uint64_t most = 0;
    for (uint32_t target = 0; target < bus->shared->thread_count; target++) {
        most = bus->backlogs[target].bytes > most ? bus->backlogs[target].bytes : most;
    }
    bool was_pressed = bus->is_pressed;
    bus->is_pressed = most > bus->backlog_bytes_max / (was_pressed ? 4 : 2);
    if (bus->is_pressed != was_pressed) {
        atomic_store_explicit(&bus->shared->endpoints[bus->self].is_pressed, bus->is_pressed,
                              memory_order_relaxed);
    }
}

bool bus_fits(const struct bus *bus, uint32_t target, struct span name, struct span body) {
    uint64_t waiting = bus->backlogs[target].bytes;
    uint64_t size = sizeof(struct bus_job) + name.length + body.length;
    return waiting == 0 || waiting + arena_rounded_bytes(size) <= bus->backlog_bytes_max;
}

bool bus_publish(struct bus *bus, const struct bus_publication *publication) {
    uint32_t target = bus_home(bus, publication->name);
    struct mail mail = {
        .kind = MAIL_PUBLISH,
        .opcode = publication->opcode,
        .words = {publication->except, publication->receipt_token, publication->body.length}};
    if (!bus_fits(bus, target, publication->name, publication->body) ||
        !bus_send(bus, target, &mail, publication->name, publication->body)) {
        counter_add(bus->counters, COUNTER_dropped_mailbox, 1);
        return false;
    }
    return true;
}

void bus_flush(struct bus *bus) {
    for (uint32_t target = 0; target < bus->shared->thread_count; target++) {
        if (bus->backlogs[target].first != 0) {
            backlog_flush(bus, target);
        }
    }
    bus->home_done = 0;
    if (bus->homes != NULL) { // the control thread is nobody's home
        pressure_note(bus);
    }
    uint64_t rung = bus->rung;
    bus->rung = 0;
    if (rung == 0) {
        return;
    }
    // Sequentially consistent with bus_sleep: either we see that it sleeps, or it sees our mail
    // before it does.
    __sync_synchronize(); // (the C11 fence does not compile under TSan)
    for (uint32_t target = 0; target < bus->shared->thread_count; target++) {
        struct bus_endpoint *endpoint = &bus->shared->endpoints[target];
        bool has_mail = (rung >> (target % 64) & 1) != 0 && target != bus->self;
        if (has_mail && atomic_load_explicit(&endpoint->is_asleep, memory_order_relaxed) != 0 &&
            atomic_exchange_explicit(&endpoint->is_asleep, 0, memory_order_acq_rel) != 0) {
            counter_add(bus->counters, COUNTER_doorbells_sent, 1);
            io_doorbell_ring(endpoint->doorbell);
        }
    }
}

bool bus_has_backlog(const struct bus *bus) {
    for (uint32_t target = 0; target < bus->shared->thread_count; target++) {
        if (bus->backlogs[target].first != 0) {
            return true;
        }
    }
    return false;
}

bool bus_sleep(struct bus *bus) {
    // release: who finds us asleep also finds the doorbell that bus_endpoint_set stored before.
    atomic_store_explicit(&bus->shared->endpoints[bus->self].is_asleep, 1, memory_order_release);
    __sync_synchronize(); // (the C11 fence does not compile under TSan)
    for (uint32_t source = 0; source < bus->shared->thread_count; source++) {
        if (mailbox_has_mail(bus_mailbox(bus, source, bus->self))) {
            bus_awake(bus);
            return false;
        }
    }
    return true;
}

void bus_awake(struct bus *bus) {
    atomic_store_explicit(&bus->shared->endpoints[bus->self].is_asleep, 0, memory_order_relaxed);
}

// A publisher that waits for a receipt is told that there was no memory for its body.
static void refused_answer(struct bus *bus, uint32_t source) {
    const struct bus_assembly *assembly = &bus->assemblies[source];
    if (assembly->mail.kind == MAIL_PUBLISH && assembly->mail.words[1] != 0) {
        struct mail receipt = {.kind = MAIL_RECEIPT, .words = {assembly->mail.words[1], 0, 1}};
        struct span name = span_make(assembly->name, assembly->mail.name_bytes);
        bus_send(bus, source, &receipt, name, span_empty());
    }
}

// One piece of a body. True: the body is complete, in the assembly.
static bool assemble(struct bus *bus, uint32_t source, const struct mail *mail, struct span bytes) {
    struct bus_assembly *assembly = &bus->assemblies[source];
    if (!assembly->is_active) {
        assembly->is_active = true;
        assembly->mail = *mail;
        assembly->bytes = 0;
        memcpy(assembly->name, bytes.data, mail->name_bytes);
        assembly->block = arena_take(bus->arena, WS_MESSAGE_HEADROOM + mail->words[2]);
        assembly->is_refused = assembly->block == 0;
        bytes = span_from(bytes, mail->name_bytes);
    }
    if (!assembly->is_refused && bytes.length > 0) {
        check(assembly->bytes + bytes.length <= assembly->mail.words[2]);
        memcpy(arena_at(bus->arena, assembly->block) + WS_MESSAGE_HEADROOM + assembly->bytes,
               bytes.data, bytes.length);
        assembly->bytes += bytes.length;
    }
    if (mail->is_more) {
        return false;
    }
    assembly->is_active = false;
    if (assembly->is_refused) {
        counter_add(bus->counters, COUNTER_dropped_mailbox, 1);
        refused_answer(bus, source);
        return false;
    }
    return true;
}

// What concerns the home is done here. True: the event is for the owner.
static bool route_mail(struct bus *bus, struct bus_event *event) {
    switch (event->mail.kind) {
    case MAIL_JOIN:
        home_on_join(bus, event->source, &event->mail, event->name);
        return false;
    case MAIL_LEAVE:
        home_on_leave(bus, event->source, &event->mail, event->name);
        return false;
    case MAIL_PUBLISH:
        home_on_publish(bus, event->source, &event->mail, event->name, event->body);
        return false;
    default:
        return true;
    }
}

static void lent_end(struct bus *bus) {
    if (bus->holds_entry) {
        mailbox_next(bus_mailbox(bus, bus->held_source, bus->self));
        bus->holds_entry = false;
    }
    if (bus->lent_block != 0) {
        arena_give(bus->arena, bus->lent_block);
        bus->lent_block = 0;
    }
}

// The next entry of one source. True: *event is complete.
static bool source_next(struct bus *bus, uint32_t source, struct bus_event *event) {
    struct mail mail;
    struct span bytes;
    if (!mailbox_peek(bus_mailbox(bus, source, bus->self), &mail, &bytes)) {
        return false;
    }
    bus->holds_entry = true;
    bus->held_source = source;
    struct bus_assembly *assembly = &bus->assemblies[source];
    *event = (struct bus_event){.source = source};
    if (!assembly->is_active &&
        !mail.is_more) { // the common case: whole, lent straight from the mailbox
        event->mail = mail;
        event->name = span_first(bytes, mail.name_bytes);
        event->body = span_from(bytes, mail.name_bytes);
        return true;
    }
    if (!assemble(bus, source, &mail, bytes)) {
        return false;
    }
    bus->lent_block = assembly->block;
    event->block = assembly->block;
    event->mail = assembly->mail;
    event->name = span_make(assembly->name, assembly->mail.name_bytes);
    event->body =
        span_make(arena_at(bus->arena, assembly->block) + WS_MESSAGE_HEADROOM, assembly->bytes);
    return true;
}

bool bus_next(struct bus *bus, struct bus_event *event) {
    lent_end(bus);
    uint32_t idle = 0;
    // Each pass takes one entry or finds a source empty.
    while (idle < bus->shared->thread_count && bus->home_done < HOME_MAILS_MAX) {
        uint32_t source = bus->turn_source;
        bus->turn_source = (source + 1) % bus->shared->thread_count;
        bool is_complete = source_next(bus, source, event);
        idle = bus->holds_entry ? 0 : idle + 1;
        if (is_complete && route_mail(bus, event)) {
            return true;
        }
        bus->home_done += bus->holds_entry;
        lent_end(bus);
    }
    return false;
}

void bus_block_take(struct bus *bus) {
    check(bus->lent_block != 0);
    bus->lent_block = 0;
}
