// An origin's serialized form taken apart (RFC 6454 6.2), for the configuration's lists and for the
// Origin header alike. Pure.
#pragma once
#include "gateway/config/config.h"

#include <stdbool.h>

// `scheme://host[:port]` without path, query or user; or `null`. Lends from `text`. False: it is
// not one.
bool config_origin_split(struct span text, struct config_origin *origin);

// Schemes and hosts compare without case; ports have their defaults filled in.
bool config_origin_is_equal(const struct config_origin *a, const struct config_origin *b);
