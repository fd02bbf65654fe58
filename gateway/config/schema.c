#include "gateway/config/schema.h"

#include "core/base/check.h"
#include "gateway/config/missing.h"
#include "gateway/config/schema_value.h"

#include <stdio.h>

enum {
    KEY_BYTES_MAX = 31, // the longest name of ours is shorter; longer keys get no suggestion
    KNOWN_BYTES = 300,  // the list of a map's keys in a message
};

static const struct schema_key *row_find(const struct schema *schema, struct span key) {
    for (uint32_t i = 0; schema != NULL && i < schema->key_count; i++) {
        if (span_is(key, schema->keys[i].name)) {
            return &schema->keys[i];
        }
    }
    return NULL;
}

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t low = a < b ? a : b;
    return low < c ? low : c;
}

// Levenshtein's distance, two rows of the table at a time.
static uint32_t distance(struct span a, struct span b) {
    check(a.length <= KEY_BYTES_MAX && b.length <= KEY_BYTES_MAX);
    uint32_t rows[2][KEY_BYTES_MAX + 1];
    for (uint32_t j = 0; j <= b.length; j++) {
        rows[0][j] = j;
    }
    for (uint32_t i = 1; i <= a.length; i++) {
        const uint32_t *above = rows[(i - 1) % 2];
        uint32_t *row = rows[i % 2];
        row[0] = i;
        for (uint32_t j = 1; j <= b.length; j++) {
            uint32_t change = a.data[i - 1] == b.data[j - 1] ? 0 : 1;
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + change);
        }
    }
    return rows[a.length % 2][b.length];
}

const char *schema_suggest(const struct schema *schema, struct span key) {
    if (key.length > KEY_BYTES_MAX) {
        return NULL;
    }
    const char *best = NULL;
    uint32_t best_distance = key.length < 4 ? 2 : 3; // one edit in a short word, two in a long one
    for (uint32_t i = 0; i < schema->key_count; i++) {
        uint32_t edits = distance(key, span_text(schema->keys[i].name));
        if (edits < best_distance) {
            best_distance = edits;
            best = schema->keys[i].name;
        }
    }
    for (uint32_t i = 0; i < config_missing_count; i++) {
        const struct config_missing *row = &config_missing[i];
        bool is_here = strcmp(row->schema, schema->name) == 0;
        uint32_t edits = is_here ? distance(key, span_text(row->key)) : best_distance;
        if (edits < best_distance) {
            best_distance = edits;
            best = row->key;
        }
    }
    return best;
}

static void refuse_unknown(struct config_reader *reader, const struct schema *schema,
                           const struct config_node *key) {
    struct config_quoted name = config_quote(key->text);
    if (row_find(schema->global, key->text) != NULL) {
        config_error(reader, key->place, "%s is global; set it in `%s` at the top level", name.text,
                     schema->global->name);
        return;
    }
    for (uint32_t i = 0; i < SCHEMA_INNER_MAX; i++) {
        if (row_find(schema->inner[i], key->text) != NULL) {
            config_error(reader, key->place,
                         "%s stands in the wrong map; write it into `%s: {...}`", name.text,
                         schema->inner[i]->name);
            return;
        }
    }
    const char *suggestion = schema_suggest(schema, key->text);
    if (suggestion != NULL) {
        config_error(reader, key->place, "unknown key %s %s; did you mean `%s`?", name.text,
                     schema->title, suggestion);
        return;
    }
    char known[KNOWN_BYTES] = "";
    size_t length = 0;
    for (uint32_t i = 0; i < schema->key_count && length < sizeof(known); i++) {
        length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s",
                                   i == 0 ? "" : ", ", schema->keys[i].name);
    }
    config_error(reader, key->place, "unknown key %s %s; remove it, or write one of %s", name.text,
                 schema->title, known);
}

bool schema_is_kind(struct config_reader *reader, const char *name, const struct config_node *node,
                    enum config_node_kind kind) {
    if (node->kind == kind) {
        return true;
    }
    if (node->kind == CONFIG_NODE_BAD) {
        return false;
    }
    static const char *const are[] = {[CONFIG_NODE_SCALAR] = "a single value",
                                      [CONFIG_NODE_MAP] = "a map",
                                      [CONFIG_NODE_LIST] = "a list"};
    static const char *const write[] = {[CONFIG_NODE_SCALAR] =
                                            "write one value, and quote it if it holds `{` or `[`",
                                        [CONFIG_NODE_MAP] = "write a map such as {key: value}",
                                        [CONFIG_NODE_LIST] = "write a list such as [a, b]"};
    bool is_empty = node->kind == CONFIG_NODE_SCALAR && node->text.length == 0;
    config_error(reader, node->place, "`%s` is %s, not %s; %s", name,
                 is_empty ? "empty" : are[node->kind], are[kind], write[kind]);
    return false;
}

static bool entry_read(const struct schema_entry *entry) {
    char name[KEY_BYTES_MAX * 3];
    snprintf(name, sizeof(name), "%s%s", entry->schema->prefix, entry->row->name);
    enum config_node_kind kind = CONFIG_NODE_SCALAR;
    switch ((enum schema_type)entry->row->type) {
    case SCHEMA_NODE:
        *(const struct config_node **)entry->field = entry->node;
        return true;
    case SCHEMA_SCALAR:
    case SCHEMA_MAP:
    case SCHEMA_LIST:
        kind = entry->row->type == SCHEMA_MAP    ? CONFIG_NODE_MAP
               : entry->row->type == SCHEMA_LIST ? CONFIG_NODE_LIST
                                                 : CONFIG_NODE_SCALAR;
        if (!schema_is_kind(entry->reader, name, entry->node, kind)) {
            return false;
        }
        *(const struct config_node **)entry->field = entry->node;
        return true;
    case SCHEMA_COUNT:
    case SCHEMA_POWER:
    case SCHEMA_BYTES:
    case SCHEMA_MS:
    case SCHEMA_BOOL:
    case SCHEMA_NAME:
        break;
    }
    return schema_is_kind(entry->reader, name, entry->node, kind) && schema_value_read(entry);
}

static void refuse_missing(struct config_reader *reader, const struct config_missing *missing,
                           const struct config_node *key) {
    const struct config_node *value = key->next;
    bool is_accepted = missing->accepted != NULL && value->kind == CONFIG_NODE_SCALAR &&
                       span_is(value->text, missing->accepted);
    if (!is_accepted && value->kind != CONFIG_NODE_BAD) {
        config_error(reader, key->place, "%s is not built yet in this version; remove it",
                     missing->what);
    }
}

static bool key_read(struct config_reader *reader, const struct schema *schema,
                     const struct config_node *key, void *target) {
    if (key->kind != CONFIG_NODE_SCALAR) {
        return true; // reported by the tree
    }
    const struct config_missing *missing = config_missing_find(schema->name, key->text);
    if (missing != NULL) {
        refuse_missing(reader, missing, key);
        return true;
    }
    const struct schema_key *row = row_find(schema, key->text);
    if (row == NULL) {
        refuse_unknown(reader, schema, key);
        return true;
    }
    const struct schema_entry entry = {.reader = reader,
                                       .schema = schema,
                                       .row = row,
                                       .node = key->next,
                                       .field = (uint8_t *)target + row->offset};
    bool is_number = row->type == SCHEMA_COUNT || row->type == SCHEMA_POWER ||
                     row->type == SCHEMA_BYTES || row->type == SCHEMA_MS;
    return entry_read(&entry) || !is_number;
}

bool schema_read(struct config_reader *reader, const struct schema *schema,
                 const struct config_node *map, void *target) {
    if (map == NULL || map->kind != CONFIG_NODE_MAP) {
        return map == NULL;
    }
    bool are_numbers_fine = true;
    for (const struct config_node *key = map->child; key != NULL && !reader->errors->is_cut;
         key = key->next->next) {
        are_numbers_fine &= key_read(reader, schema, key, target);
    }
    for (uint32_t i = 0; i < schema->key_count; i++) {
        const struct schema_key *row = &schema->keys[i];
        if (row->is_required && config_node_find(map, row->name) == NULL) {
            config_error(reader, map->place, "`%s%s` is missing; add it", schema->prefix,
                         row->name);
        }
    }
    return are_numbers_fine;
}

bool schema_is_short(struct config_reader *reader, const char *name, const struct config_node *list,
                     uint32_t count_max) {
    check(list->kind == CONFIG_NODE_LIST);
    if (list->child_count <= count_max) {
        return true;
    }
    config_error(reader, list->place, "`%s` has %u entries; write at most %u", name,
                 list->child_count, count_max);
    return false;
}
