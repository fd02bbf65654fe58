// One scalar of a map into its field, by the row's type and bounds. Inside this room only.
#pragma once
#include "gateway/config/schema.h"

// A key and its value on the way into the target.
struct schema_entry {
    struct config_reader *reader;
    const struct schema *schema;
    const struct schema_key *row;
    const struct config_node *node; // a scalar
    void *field;                    // of the width that the type stores
};

// False: an error was added and the field is as before.
bool schema_value_read(const struct schema_entry *entry);
