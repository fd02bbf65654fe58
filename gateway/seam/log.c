// The ring: lines lie whole and in order; where one does not fit before the ring's end, zero bytes
// fill the end and the line begins at the start, so that a reader always gets whole lines as one
// range. Positions only grow; the ring's index is the position modulo its size.
#include "gateway/seam/log.h"

#include "core/base/check.h"
#include "core/base/limits.h"
#include "gateway/seam/log_format.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { REPORT_MS = 1000 }; // how often what was held back is reported

// How often one event was written lately.
struct log_event_state {
    const char *event; // NULL: free
    uint64_t refilled_ms;
    uint32_t tokens;     // lines that may be written at once
    uint32_t suppressed; // lines held back since the last report
};

struct log {
    struct { // the producer's thread
        uint64_t now_ms;
        uint64_t wall_ms;
        uint64_t reported_ms;
        uint64_t dropped_reported;
        struct log_event_state events[LOG_EVENTS_MAX];
        uint32_t suppressed_events; // events with suppressed > 0
        uint8_t level;
    } owner;
    struct {
        uint8_t *ring;
        const char *name;
        uint32_t size;
        bool is_json;
    } frozen;
    struct { // between producer and consumer: bytes up to `head` are written, up to `tail` consumed
        _Alignas(64) _Atomic uint64_t head;
        _Atomic uint64_t dropped;
        _Alignas(64) _Atomic uint64_t tail;
    } shared;
};

const char *log_level_name(enum log_level level) {
    static const char *const names[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};
    check(level < LOG_LEVEL_COUNT);
    return names[level];
}

struct log *log_open(const struct log_options *options) {
    check(options->ring_bytes >= LOG_RING_BYTES_MIN);
    check((options->ring_bytes & (options->ring_bytes - 1)) == 0);
    struct log *log = aligned_alloc(_Alignof(struct log), sizeof(struct log));
    uint8_t *ring = malloc(options->ring_bytes);
    if (log == NULL || ring == NULL) {
        free(log);
        free(ring);
        return NULL;
    }
    memset(log, 0, sizeof(*log));
    log->frozen.ring = ring;
    log->frozen.name = options->name;
    log->frozen.size = options->ring_bytes;
    log->frozen.is_json = options->is_json;
    log->owner.level = options->level;
    return log;
}

void log_close(struct log **log) {
    if (*log != NULL) {
        free((*log)->frozen.ring);
        free(*log);
        *log = NULL;
    }
}

void log_level_set(struct log *log, enum log_level level) {
    check(level < LOG_LEVEL_COUNT);
    log->owner.level = (uint8_t)level;
}

bool log_is_on(const struct log *log, enum log_level level) {
    return level >= log->owner.level;
}

// Copies a whole line into the ring. False: it is full.
static bool ring_put(struct log *log, const uint8_t *line, uint32_t length) {
    uint64_t head = atomic_load_explicit(&log->shared.head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&log->shared.tail, memory_order_acquire);
    uint32_t index = (uint32_t)(head & (log->frozen.size - 1));
    uint32_t to_end = log->frozen.size - index;
    uint32_t fill = to_end < length ? to_end : 0;
    check(head - tail <= log->frozen.size);
    if (log->frozen.size - (head - tail) < (uint64_t)fill + length) {
        return false;
    }
    if (fill > 0) {
        memset(log->frozen.ring + index, 0, fill);
        index = 0;
    }
    memcpy(log->frozen.ring + index, line, length);
    atomic_store_explicit(&log->shared.head, head + fill + length, memory_order_release);
    return true;
}

// False: the ring is full.
static bool line_write(struct log *log, enum log_level level, const char *event,
                       const struct log_field *fields, uint32_t field_count) {
    uint8_t bytes[LOG_LINE_BYTES_MAX];
    const struct log_line line = {.name = log->frozen.name,
                                  .event = event,
                                  .fields = fields,
                                  .wall_ms = log->owner.wall_ms,
                                  .field_count = field_count,
                                  .level = (uint8_t)level,
                                  .is_json = log->frozen.is_json};
    uint32_t length = log_format(&line, (struct span_mut){.data = bytes, .length = sizeof(bytes)});
    return ring_put(log, bytes, length);
}

// FNV-1a: names are ours, so nobody aims at it.
static uint32_t text_hash(const char *text) {
    uint32_t hash = 2166136261;
    for (; *text != 0; text++) {
        hash = (hash ^ (uint8_t)*text) * 16777619;
    }
    return hash;
}

// The event's state; the last one is shared by all that found no room of their own.
static struct log_event_state *event_get(struct log *log, const char *event) {
    uint32_t start = text_hash(event);
    struct log_event_state *state = NULL;
    for (uint32_t i = 0; i < LOG_EVENTS_MAX; i++) {
        state = &log->owner.events[(start + i) % LOG_EVENTS_MAX];
        if (state->event != NULL && strcmp(state->event, event) == 0) {
            return state;
        }
        if (state->event == NULL) {
            *state = (struct log_event_state){.event = event};
            return state;
        }
    }
    return state;
}

// A bucket that holds two seconds' lines and fills at the level's rate. False: hold the line back.
static bool event_may_write(struct log *log, struct log_event_state *state, enum log_level level) {
    uint32_t rate = level == LOG_LEVEL_DEBUG ? LOG_DEBUG_LINES_PER_S : LOG_LINES_PER_S;
    uint64_t passed_ms = log->owner.now_ms - state->refilled_ms;
    uint64_t gained = passed_ms > 2000 ? 2ULL * rate : passed_ms * rate / 1000;
    bool is_new = state->refilled_ms == 0;
    if (gained > 0 || is_new) {
        uint64_t tokens = is_new ? 2ULL * rate : state->tokens + gained;
        state->tokens = (uint32_t)(tokens < 2ULL * rate ? tokens : 2ULL * rate);
        state->refilled_ms = log->owner.now_ms;
    }
    if (state->tokens == 0) {
        log->owner.suppressed_events += state->suppressed == 0;
        state->suppressed += state->suppressed < UINT32_MAX;
        return false;
    }
    state->tokens--;
    return true;
}

void log_write(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields, uint32_t field_count) {
    bool is_due = log_is_on(log, level) && event_may_write(log, event_get(log, event), level);
    if (is_due && !line_write(log, level, event, fields, field_count)) {
        atomic_fetch_add_explicit(&log->shared.dropped, 1, memory_order_relaxed);
    }
}

static void report_suppressed(struct log *log) {
    for (uint32_t i = 0; i < LOG_EVENTS_MAX && log->owner.suppressed_events > 0; i++) {
        struct log_event_state *state = &log->owner.events[i];
        if (state->suppressed == 0) {
            continue;
        }
        const struct log_field fields[] = {log_text("of", state->event),
                                           log_number("count", state->suppressed)};
        if (line_write(log, LOG_LEVEL_WARN, "log_suppressed", fields, 2)) {
            state->suppressed = 0;
            log->owner.suppressed_events--;
        }
    }
}

static void report_dropped(struct log *log) {
    uint64_t dropped = log_dropped_count(log);
    if (dropped == log->owner.dropped_reported) {
        return;
    }
    const struct log_field fields[] = {log_number("count", dropped - log->owner.dropped_reported)};
    if (line_write(log, LOG_LEVEL_WARN, "log_dropped", fields, 1)) {
        log->owner.dropped_reported = dropped;
    }
}

void log_turn(struct log *log, uint64_t now_ms, uint64_t wall_ms) {
    log->owner.now_ms = now_ms;
    log->owner.wall_ms = wall_ms;
    if (now_ms - log->owner.reported_ms >= REPORT_MS) {
        log->owner.reported_ms = now_ms;
        report_dropped(log);
        report_suppressed(log);
    }
}

struct span log_take(struct log *log) {
    uint64_t tail = atomic_load_explicit(&log->shared.tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&log->shared.head, memory_order_acquire);
    for (uint32_t attempt = 0; attempt < 2 && head != tail; attempt++) {
        uint32_t index = (uint32_t)(tail & (log->frozen.size - 1));
        uint32_t to_end = log->frozen.size - index;
        uint32_t filled = head - tail < to_end ? (uint32_t)(head - tail) : to_end;
        uint32_t length = filled;
        while (length > 0 && log->frozen.ring[index + length - 1] == 0) {
            length--; // the fill before the ring's end: a line holds no zero byte
        }
        if (length > 0) {
            return span_make(log->frozen.ring + index, length);
        }
        tail += filled;
        atomic_store_explicit(&log->shared.tail, tail, memory_order_release);
    }
    return span_empty();
}

void log_consume(struct log *log, uint32_t bytes) {
    uint64_t tail = atomic_load_explicit(&log->shared.tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&log->shared.head, memory_order_relaxed);
    check(bytes <= head - tail);
    atomic_store_explicit(&log->shared.tail, tail + bytes, memory_order_release);
}

uint64_t log_dropped_count(const struct log *log) {
    return atomic_load_explicit(&log->shared.dropped, memory_order_relaxed);
}
