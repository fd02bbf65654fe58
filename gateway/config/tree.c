#include "gateway/config/tree.h"

#include "core/base/check.h"
#include "gateway/config/syntax.h"

#include <yaml.h>

// The state of one reading. `open` are the maps and lists around the next node.
struct tree {
    struct config_reader *reader;
    struct config_node *open[CONFIG_DEPTH_MAX];
    struct config_node *last[CONFIG_DEPTH_MAX]; // their newest child
    struct config_node *root;
    uint32_t depth;
    uint32_t document_count;
    bool is_over;
};

static struct config_place mark_place(yaml_mark_t mark) {
    return (struct config_place){.line = (uint32_t)mark.line + 1,
                                 .column = (uint32_t)mark.column + 1};
}

static bool tree_is_at_key(const struct tree *tree) {
    if (tree->depth == 0) {
        return false;
    }
    const struct config_node *parent = tree->open[tree->depth - 1];
    return parent->kind == CONFIG_NODE_MAP && parent->child_count % 2 == 0;
}

// Hangs a new node below the innermost open one. NULL: no memory.
static struct config_node *tree_add(struct tree *tree, yaml_mark_t mark,
                                    enum config_node_kind kind) {
    struct config_node *node = config_scratch(tree->reader, sizeof(*node));
    if (node == NULL) {
        tree->is_over = true;
        return NULL;
    }
    node->place = mark_place(mark);
    node->kind = (uint8_t)kind;
    if (tree->depth == 0) {
        tree->root = node;
        return node;
    }
    struct config_node *parent = tree->open[tree->depth - 1];
    if (parent->child == NULL) {
        parent->child = node;
    } else {
        tree->last[tree->depth - 1]->next = node;
    }
    tree->last[tree->depth - 1] = node;
    parent->child_count++;
    return node;
}

// Anchors and tags may stand on every node.
static bool tree_check_plain(struct tree *tree, yaml_mark_t mark, const yaml_char_t *anchor,
                             const yaml_char_t *tag) {
    if (anchor != NULL) {
        config_error(tree->reader, mark_place(mark),
                     "anchors are not part of this dialect; write the value out and remove `&%s`",
                     (const char *)anchor);
    }
    if (tag != NULL) {
        config_error(tree->reader, mark_place(mark),
                     "tags are not part of this dialect; remove the tag %s",
                     config_quote(span_text((const char *)tag)).text);
    }
    return anchor == NULL && tag == NULL;
}

static void tree_on_alias(struct tree *tree, const yaml_event_t *event) {
    config_error(tree->reader, mark_place(event->start_mark),
                 "aliases are not part of this dialect; write the value out instead of `*%s`",
                 (const char *)event->data.alias.anchor);
    tree_add(tree, event->start_mark, CONFIG_NODE_BAD);
}

static void tree_on_scalar(struct tree *tree, const yaml_event_t *event) {
    bool is_key = tree_is_at_key(tree);
    struct config_node *node = tree_add(tree, event->start_mark, CONFIG_NODE_SCALAR);
    if (node == NULL) {
        return;
    }
    struct span text = span_make(event->data.scalar.value, (uint32_t)event->data.scalar.length);
    if (!tree_check_plain(tree, event->start_mark, event->data.scalar.anchor,
                          event->data.scalar.tag)) {
        node->kind = CONFIG_NODE_BAD;
        return;
    }
    if (text.length > CONFIG_TEXT_BYTES_MAX) {
        config_error(tree->reader, node->place, "a text of %u bytes; write at most %u", text.length,
                     (unsigned)CONFIG_TEXT_BYTES_MAX);
        node->kind = CONFIG_NODE_BAD;
        return;
    }
    if (is_key && span_is(text, "<<")) {
        config_error(tree->reader, node->place,
                     "merge keys are not part of this dialect; write the keys out instead of `<<`");
        node->kind = CONFIG_NODE_BAD;
        return;
    }
    if (!is_key) {
        if (!config_expand(tree->reader, node->place, text, &node->text)) {
            node->kind = CONFIG_NODE_BAD;
        }
        return;
    }
    uint8_t *copy = config_keep(tree->reader, text.length);
    if (copy == NULL) {
        tree->is_over = true;
        return;
    }
    memcpy(copy, text.data, text.length);
    node->text = span_make(copy, text.length);
}

static void tree_on_open(struct tree *tree, const yaml_event_t *event, enum config_node_kind kind) {
    if (tree->depth == CONFIG_DEPTH_MAX) {
        config_error(tree->reader, mark_place(event->start_mark),
                     "more than %u levels of maps and lists; write it flatter",
                     (unsigned)CONFIG_DEPTH_MAX);
        tree->is_over = true; // reading on would take quadratic time
        return;
    }
    bool is_key = tree_is_at_key(tree);
    struct config_node *node = tree_add(tree, event->start_mark, kind);
    if (node == NULL) {
        return;
    }
    if (is_key) {
        config_error(tree->reader, node->place, "a key is a %s; write a name as the key",
                     kind == CONFIG_NODE_MAP ? "map" : "list");
    }
    bool is_map = kind == CONFIG_NODE_MAP;
    tree_check_plain(tree, event->start_mark,
                     is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor,
                     is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag);
    tree->open[tree->depth++] = node;
}

// An earlier key of the same name, or NULL.
static const struct config_node *tree_find_same(const struct config_node *map,
                                                const struct config_node *key) {
    for (const struct config_node *other = map->child; other != key; other = other->next->next) {
        if (key->kind == CONFIG_NODE_SCALAR && other->kind == CONFIG_NODE_SCALAR &&
            span_equal(key->text, other->text)) {
            return other;
        }
    }
    return NULL;
}

static void tree_check_doubled(struct tree *tree, struct config_node *map) {
    if (map->child_count / 2 > CONFIG_MAP_KEYS_MAX) {
        config_error(tree->reader, map->place, "a map of %u keys; write at most %u",
                     map->child_count / 2, (unsigned)CONFIG_MAP_KEYS_MAX);
        return;
    }
    for (struct config_node *key = map->child; key != NULL; key = key->next->next) {
        const struct config_node *first = tree_find_same(map, key);
        if (first != NULL) {
            config_error(tree->reader, key->place,
                         "key %s is already set in line %u; remove one of them",
                         config_quote(key->text).text, first->place.line);
            key->kind = CONFIG_NODE_BAD;
        }
    }
}

static void tree_on_close(struct tree *tree) {
    check(tree->depth > 0);
    struct config_node *node = tree->open[--tree->depth];
    if (node->kind == CONFIG_NODE_MAP) {
        check(node->child_count % 2 == 0);
        tree_check_doubled(tree, node);
    }
}

static void tree_on_document(struct tree *tree, const yaml_event_t *event) {
    if (tree->document_count++ > 0) {
        config_error(tree->reader, mark_place(event->start_mark),
                     "a further document begins here; keep one document in the file");
        tree->is_over = true;
        return;
    }
    if (event->data.document_start.version_directive != NULL ||
        event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end) {
        config_error(
            tree->reader, mark_place(event->start_mark),
            "directives are not part of this dialect; remove the line that begins with %%");
    }
}

static void tree_on_event(struct tree *tree, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    case YAML_STREAM_END_EVENT:
        tree->is_over = true;
        break;
    case YAML_DOCUMENT_START_EVENT:
        tree_on_document(tree, event);
        break;
    case YAML_ALIAS_EVENT:
        tree_on_alias(tree, event);
        break;
    case YAML_SCALAR_EVENT:
        tree_on_scalar(tree, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        tree_on_open(tree, event, CONFIG_NODE_LIST);
        break;
    case YAML_MAPPING_START_EVENT:
        tree_on_open(tree, event, CONFIG_NODE_MAP);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        tree_on_close(tree);
        break;
    }
}

// False: the tree is not whole, for a syntax error or for want of memory.
static bool tree_read_events(struct tree *tree, yaml_parser_t *parser) {
    while (!tree->is_over) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            config_syntax_error(tree->reader, parser);
            return false;
        }
        tree_on_event(tree, &event);
        yaml_event_delete(&event);
        if (tree->reader->errors->is_cut) {
            return false;
        }
    }
    return tree->depth == 0 && !tree->reader->has_no_memory;
}

const struct config_node *config_tree_read(struct config_reader *reader) {
    struct span text = reader->source->text;
    const struct config_place start = {.line = 1, .column = 1};
    if (text.length > CONFIG_BYTES_MAX) {
        config_error(reader, start, "the file has %u bytes; write at most %u", text.length,
                     (unsigned)CONFIG_BYTES_MAX);
        return NULL;
    }
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        reader->has_no_memory = true;
        return NULL;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, text.length > 0 ? text.data : (const uint8_t *)"",
                                 text.length);
    struct tree tree = {.reader = reader};
    bool is_whole = tree_read_events(&tree, &parser);
    yaml_parser_delete(&parser);
    if (!is_whole) {
        return NULL;
    }
    if (tree.root == NULL) {
        config_error(reader, start, "the file is empty; write at least `listeners` and `routes`");
        return NULL;
    }
    if (tree.root->kind != CONFIG_NODE_MAP) {
        config_error(reader, tree.root->place,
                     "the file is not a map; write keys such as `listeners:` and `routes:`");
        return NULL;
    }
    return tree.root;
}

const struct config_node *config_node_find(const struct config_node *map, const char *key) {
    if (map == NULL || map->kind != CONFIG_NODE_MAP) {
        return NULL;
    }
    for (const struct config_node *at = map->child; at != NULL; at = at->next->next) {
        if (at->kind == CONFIG_NODE_SCALAR && span_is(at->text, key)) {
            return at->next;
        }
    }
    return NULL;
}
