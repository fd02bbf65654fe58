// The YAML tree with the place of every node, and the dialect: one document, no anchors, aliases,
// tags, merge keys or doubled keys, CONFIG_DEPTH_MAX levels. Built from libyaml's events rather
// than with its document API: that one resolves aliases, drops anchors and tags without a trace,
// and reads a hostile depth in quadratic time before it can be asked. Inside this room only.
#pragma once
#include "gateway/config/reader.h"

enum config_node_kind {
    CONFIG_NODE_SCALAR,
    CONFIG_NODE_MAP,  // children: key, value, key, value...; keys are scalars or bad
    CONFIG_NODE_LIST, // children: items
    CONFIG_NODE_BAD,  // already reported: nobody says a second thing about it
};

struct config_node {
    struct span text; // scalar; kept by the configuration; values are expanded
    struct config_place place;
    struct config_node *child;
    struct config_node *next;
    uint32_t child_count; // a map's keys and values both count
    uint8_t kind;         // enum config_node_kind
};

// The root, a map, or NULL: then an error was added or memory is short. Other errors of the dialect
// are added and their nodes are bad.
const struct config_node *config_tree_read(struct config_reader *reader);

// The value of a key, or NULL. `map` may be NULL or of another kind: then NULL.
const struct config_node *config_node_find(const struct config_node *map, const char *key);

// Expands ${NAME} and $${ in `text` into memory of the configuration. False: an error was added.
bool config_expand(struct config_reader *reader, struct config_place place, struct span text,
                   struct span *expanded);
