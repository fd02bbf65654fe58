// Single values from text: numbers, sizes, times and addresses. Pure. Inside this
// room only.
#pragma once
#include "gateway/config/config.h"

#include <stdbool.h>

// Decimal digits without sign or leading zero. What does not fit 64 bits becomes UINT64_MAX, so
// that a range check refuses it.
bool value_count(struct span text, uint64_t *count);
// The same and B, KiB, MiB or GiB.
bool value_bytes(struct span text, uint64_t *bytes);
// The same and ms, s, m or h.
bool value_ms(struct span text, uint64_t *ms);
// The largest unit that loses nothing: `256KiB`, `1500ms`, `0B`.
struct value_text {
    char text[32];
};
struct value_text value_bytes_text(uint64_t bytes);
struct value_text value_ms_text(uint64_t ms);

// `host:port`, `[v6]:port` or `unix:/path`; lends from `text`. NULL, or what is wrong with the
// remedy: `...; ...`.
const char *value_address(struct span text, struct config_address *address);
bool value_address_is_equal(const struct config_address *a, const struct config_address *b);
