// Maps by table: each row is a key with its type, bounds and place in a struct. The table reader
// fills the struct's plain values; maps and lists are stored as nodes, which its caller reads with
// the next table, so that nothing recurses. Inside this room only.
#pragma once
#include "gateway/config/tree.h"

#include <stdbool.h>
#include <stdint.h>

enum schema_type {
    SCHEMA_BOOL,   // bool
    SCHEMA_COUNT,  // uint32_t
    SCHEMA_POWER,  // uint32_t, a power of two
    SCHEMA_BYTES,  // uint64_t
    SCHEMA_MS,     // uint64_t
    SCHEMA_NAME,   // uint8_t: index into `names`
    SCHEMA_SCALAR, // const struct config_node *
    SCHEMA_MAP,    // const struct config_node *
    SCHEMA_LIST,   // const struct config_node *
    SCHEMA_NODE,   // const struct config_node * of any kind
};

// In the order in which the tables are written, not by size.
struct schema_key {
    const char *name;
    enum schema_type type;
    uint32_t offset;
    uint64_t minimum, maximum; // numbers
    const char *word;          // a word that stands for 0: `auto`, `off`; or NULL
    const char *const *names;  // SCHEMA_NAME: ends with NULL
    bool is_required;
};

enum { SCHEMA_INNER_MAX = 5 };

struct schema {
    const char *name;   // for config_missing_find
    const char *title;  // for messages: "in `limits`", "at the top level"
    const char *prefix; // for messages: "limits."
    const struct schema_key *keys;
    const struct schema *global; // its further keys are global, and a message says so; or NULL
    const struct schema *inner[SCHEMA_INNER_MAX]; // their keys belong into maps of those names
    uint32_t key_count;
};

// Fills what the map says into *target and leaves the rest. False: a value was refused (an error
// was added), so the values are not to be compared with each other. A NULL map changes nothing.
bool schema_read(struct config_reader *reader, const struct schema *schema,
                 const struct config_node *map, void *target);

// Whether the node is a scalar or a list or a map as wanted; else an error is added (none for a bad
// node).
bool schema_is_kind(struct config_reader *reader, const char *name, const struct config_node *node,
                    enum config_node_kind kind);

// Whether a list has at most `count_max` entries; else an error is added.
bool schema_is_short(struct config_reader *reader, const char *name, const struct config_node *list,
                     uint32_t count_max);

// The row whose name is closest to `key` and close enough to be meant, or NULL.
const char *schema_suggest(const struct schema *schema, struct span key);
