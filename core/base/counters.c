// Names and help texts of the counters, from their rows. Constant, any thread.
#include "core/base/counters.h"

#include "core/base/pure.h"

const struct counter_text counter_texts[COUNTER_COUNT] = {
#define COUNTER(row, words) [COUNTER_##row] = {.name = #row, .help = (words)},
#include "core/base/counter_table.h"
#undef COUNTER
};
