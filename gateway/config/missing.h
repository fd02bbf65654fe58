// The parts of the configuration that this version knows but has not built. Building one means to
// delete its row and to add its key to the schema. Inside this room only.
#pragma once
#include "core/base/span.h"

#include <stdint.h>

struct config_missing {
    const char *schema; // struct schema.name
    const char *key;
    const char *what;     // begins the message
    const char *accepted; // the one value that is taken already, or NULL
};

extern const struct config_missing config_missing[];
extern const uint32_t config_missing_count;

// The row, or NULL: it is built, or no such key.
const struct config_missing *config_missing_find(const char *schema, struct span key);
