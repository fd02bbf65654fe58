#include "gateway/config/schema_value.h"

#include "core/base/check.h"
#include "gateway/config/value.h"

#include <inttypes.h>
#include <stdio.h>

enum { WORDS_BYTES = 200 };

// `is X, <wrong>; write <remedy>` with the key's full name in front. Returns false.
static bool entry_refuse(const struct schema_entry *entry, const char *wrong, const char *remedy) {
    config_error(entry->reader, entry->node->place, "`%s%s` is %s, %s; write %s",
                 entry->schema->prefix, entry->row->name, config_quote(entry->node->text).text,
                 wrong, remedy);
    return false;
}

static bool entry_check_bounds(const struct schema_entry *entry, uint64_t value,
                               struct value_text (*print)(uint64_t)) {
    uint64_t minimum = entry->row->minimum;
    uint64_t maximum = entry->row->maximum;
    if (value >= minimum && value <= maximum) {
        return true;
    }
    char remedy[WORDS_BYTES];
    snprintf(remedy, sizeof(remedy), "%s to %s%s%s", print(minimum).text, print(maximum).text,
             entry->row->word != NULL ? ", or " : "",
             entry->row->word != NULL ? entry->row->word : "");
    return entry_refuse(entry, value < minimum ? "which is too small" : "which is too large",
                        remedy);
}

static struct value_text count_text(uint64_t count) {
    struct value_text result;
    snprintf(result.text, sizeof(result.text), "%" PRIu64, count);
    return result;
}

static bool entry_read_count(const struct schema_entry *entry) {
    uint64_t value;
    if (!value_count(entry->node->text, &value)) {
        return entry_refuse(entry, "not a whole number", "decimal digits such as 1000");
    }
    if (!entry_check_bounds(entry, value, count_text)) {
        return false;
    }
    if (entry->row->type == SCHEMA_POWER && (value & (value - 1)) != 0) {
        return entry_refuse(entry, "not a power of two", "a number such as 256, 512 or 1024");
    }
    *(uint32_t *)entry->field = (uint32_t)value;
    return true;
}

static bool entry_read_bytes(const struct schema_entry *entry) {
    uint64_t value;
    if (!value_bytes(entry->node->text, &value)) {
        return entry_refuse(entry, "not a size",
                            "a whole number with B, KiB, MiB or GiB, such as 64KiB");
    }
    if (!entry_check_bounds(entry, value, value_bytes_text)) {
        return false;
    }
    *(uint64_t *)entry->field = value;
    return true;
}

static bool entry_read_ms(const struct schema_entry *entry) {
    uint64_t value;
    if (!value_ms(entry->node->text, &value)) {
        return entry_refuse(entry, "not a time", "a whole number with ms, s, m or h, such as 30s");
    }
    if (!entry_check_bounds(entry, value, value_ms_text)) {
        return false;
    }
    *(uint64_t *)entry->field = value;
    return true;
}

static bool entry_read_bool(const struct schema_entry *entry) {
    bool is_true = span_is(entry->node->text, "true");
    if (!is_true && !span_is(entry->node->text, "false")) {
        return entry_refuse(entry, "not a boolean", "true or false");
    }
    *(bool *)entry->field = is_true;
    return true;
}

// `a, b or c`
static void names_print(const char *const *names, char *text, size_t size) {
    size_t length = 0;
    text[0] = 0;
    for (uint32_t i = 0; names[i] != NULL && length < size; i++) {
        const char *glue = i == 0 ? "" : names[i + 1] == NULL ? " or " : ", ";
        length += (size_t)snprintf(text + length, size - length, "%s%s", glue, names[i]);
    }
}

static bool entry_read_name(const struct schema_entry *entry) {
    const char *const *names = entry->row->names;
    for (uint8_t i = 0; names[i] != NULL; i++) {
        if (span_is(entry->node->text, names[i])) {
            *(uint8_t *)entry->field = i;
            return true;
        }
    }
    char words[WORDS_BYTES];
    names_print(names, words, sizeof(words));
    return entry_refuse(entry, "which is none of its words", words);
}

static bool entry_is_word(const struct schema_entry *entry) {
    return entry->row->word != NULL && span_is(entry->node->text, entry->row->word);
}

bool schema_value_read(const struct schema_entry *entry) {
    if (entry->node->text.length == 0) {
        config_error(entry->reader, entry->node->place, "`%s%s` is empty; write a value",
                     entry->schema->prefix, entry->row->name);
        return false;
    }
    bool is_wide = entry->row->type == SCHEMA_BYTES || entry->row->type == SCHEMA_MS;
    if (entry_is_word(entry)) {
        if (is_wide) {
            *(uint64_t *)entry->field = 0;
        } else {
            *(uint32_t *)entry->field = 0;
        }
        return true;
    }
    switch ((enum schema_type)entry->row->type) {
    case SCHEMA_BOOL:
        return entry_read_bool(entry);
    case SCHEMA_COUNT:
    case SCHEMA_POWER:
        return entry_read_count(entry);
    case SCHEMA_BYTES:
        return entry_read_bytes(entry);
    case SCHEMA_MS:
        return entry_read_ms(entry);
    case SCHEMA_NAME:
        return entry_read_name(entry);
    case SCHEMA_SCALAR:
    case SCHEMA_MAP:
    case SCHEMA_LIST:
    case SCHEMA_NODE:
        break;
    }
    check(false);
    return false;
}
