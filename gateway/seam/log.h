// The log: events with named fields, formatted into a bounded ring of lines that the control thread
// drains and writes, so a slow disk blocks nobody. One struct log per thread that logs: that thread
// is its only producer (log_turn, log_write, log_open's caller before it starts), the control
// thread its only consumer (log_take, log_consume, log_close after the producer has ended). What
// does not fit is dropped and counted; what repeats is limited per event and counted. No system
// call, no allocation after log_open.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_COUNT,
};

const char *log_level_name(enum log_level level);

enum log_kind {
    LOG_KIND_TEXT, // any bytes: escaped, also what is not UTF-8
    LOG_KIND_NUMBER,
    LOG_KIND_SIGNED,
    LOG_KIND_BOOL,
};

struct log_field {
    const char *name; // constant text, a-z and `_`
    struct span text;
    uint64_t number;
    uint8_t kind; // enum log_kind
};

static inline struct log_field log_span(const char *name, struct span text) {
    return (struct log_field){.name = name, .text = text, .kind = LOG_KIND_TEXT};
}
static inline struct log_field log_text(const char *name, const char *text) {
    return log_span(name, span_text(text));
}
static inline struct log_field log_number(const char *name, uint64_t number) {
    return (struct log_field){.name = name, .number = number, .kind = LOG_KIND_NUMBER};
}
static inline struct log_field log_signed(const char *name, int64_t number) {
    return (struct log_field){.name = name, .number = (uint64_t)number, .kind = LOG_KIND_SIGNED};
}
static inline struct log_field log_bool(const char *name, bool value) {
    return (struct log_field){.name = name, .number = value, .kind = LOG_KIND_BOOL};
}

struct log; // opaque; see log.c

struct log_options {
    const char *name;    // constant text: which thread, e.g. "worker-0"; on every line
    uint32_t ring_bytes; // a power of two, at least LOG_RING_BYTES_MIN
    uint8_t level;       // enum log_level: lower ones cost one comparison
    bool is_json;
};

// NULL: no memory.
struct log *log_open(const struct log_options *options);
void log_close(struct log **log);

// Producer: once per turn. Sets the time of the lines to come, and reports what was suppressed or
// dropped once its storm is over.
void log_turn(struct log *log, uint64_t now_ms, uint64_t wall_ms);
// Producer: a reload may change it.
void log_level_set(struct log *log, enum log_level level);
bool log_is_on(const struct log *log, enum log_level level);
// Producer: one line. `event` is constant text and names what happened; `fields` are lent. May be
// dropped or suppressed; a line over LOG_LINE_BYTES_MAX is cut and stays well-formed.
void log_write(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields, uint32_t field_count);

// Consumer: the next whole lines, each ending in a newline, as one range; empty: none. Lent until
// log_consume, which gives back its first `bytes` (all of it or a part: a short write).
struct span log_take(struct log *log);
void log_consume(struct log *log, uint32_t bytes);
// Any thread: lines dropped because the ring was full, since log_open.
uint64_t log_dropped_count(const struct log *log);

// A macro because it counts its fields: log_event(log, LOG_LEVEL_INFO, "listening",
// log_text("address", a)).
#define log_event(log, level, event, ...)                                                          \
    do {                                                                                           \
        if (log_is_on(log, level)) {                                                               \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_write(log, level, event, log_fields_,                                              \
                      (uint32_t)(sizeof(log_fields_) / sizeof(struct log_field)));                 \
        }                                                                                          \
    } while (0)
