// Names of placeholders: shared by paths and templates. Inside this room only.
#pragma once
#include "core/base/span.h"

// 1 to 32 letters, digits and `_`.
bool config_placeholder_is_valid(struct span name);
