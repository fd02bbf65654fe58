// What the parts of the configuration's reader share: one struct on config_open's stack, and how an
// error is said. Inside this room only.
#pragma once
#include "core/base/span.h"
#include "gateway/config/config.h"
#include "gateway/config/memory.h"

#include <stdbool.h>
#include <stdint.h>

struct config_reader {
    const struct config_source *source;
    struct config_errors *errors;
    struct config_place places[CONFIG_ERRORS_MAX]; // of the error lines
    struct config_memory *memory;                  // what the configuration keeps
    struct config_memory scratch;                  // the tree
    uint64_t expanded_bytes;                       // that ${NAME} has brought in
    bool has_no_memory;
};

// Adds one line. Beyond CONFIG_ERRORS_MAX only is_cut is set.
__attribute__((format(printf, 3, 4))) void
config_error(struct config_reader *reader, struct config_place place, const char *format, ...);
// Sorts the lines by place, equal places as they came.
void config_errors_sort(struct config_reader *reader);

// Zeroed memory of the configuration or of the tree; NULL sets has_no_memory, which is reported
// once at the end.
void *config_keep(struct config_reader *reader, uint64_t bytes);
void *config_scratch(struct config_reader *reader, uint64_t bytes);

// A user's text for a message: in back quotes, unprintable bytes as \xNN, long ones cut.
struct config_quoted {
    char text[128];
};
struct config_quoted config_quote(struct span text);
