// config_open with bounds of the caller, so that tests can refuse every allocation in turn.
#pragma once
#include "gateway/config/config.h"

// 1 MiB of text in the smallest nodes: a node of 64 bytes for every byte.
enum { CONFIG_MEMORY_BYTES_MAX = 96 << 20 };

// As config_open; the configuration may take `kept_bytes` and the tree `tree_bytes`.
const struct config *config_open_within(const struct config_source *source,
                                        struct config_errors *errors, uint64_t kept_bytes,
                                        uint64_t tree_bytes);
