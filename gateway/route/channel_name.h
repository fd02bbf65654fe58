// Channel names: their alphabet and length, and the patterns of `allow`. The same rules for the
// admin API, envelopes and templates.
#pragma once
#include "core/base/limits.h"
#include "core/base/span.h"
#include "gateway/config/channel_byte.h"

#include <stdbool.h>

// 1 to CHANNEL_NAME_BYTES_MAX bytes of `A-Z a-z 0-9 _ - @ ~ . %`.
bool channel_name_is_valid(struct span name);

// `pattern`: an expanded `allow` template; a final `*` stands for one or more bytes. `name`: a
// valid channel name.
bool channel_name_matches(struct span pattern, struct span name);
