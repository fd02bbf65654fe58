#include "gateway/config/missing.h"

const struct config_missing config_missing[] = {
    {"top", "backplane", "`backplane`", NULL},
    {"route", "events", "`events`", NULL},
};
const uint32_t config_missing_count = sizeof(config_missing) / sizeof(config_missing[0]);

const struct config_missing *config_missing_find(const char *schema, struct span key) {
    for (uint32_t i = 0; i < config_missing_count; i++) {
        const struct config_missing *row = &config_missing[i];
        if (strcmp(row->schema, schema) == 0 && span_is(key, row->key)) {
            return row;
        }
    }
    return NULL;
}
