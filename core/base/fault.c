// The fault table itself, from its rows. Constant, any thread.
#include "core/base/fault.h"

#include "core/base/pure.h"

const struct fault fault_table[FAULT_COUNT] = {
#define FAULT(row, code, status, words)                                                            \
    [FAULT_##row] = {.name = #row,                                                                 \
                     .text = (words),                                                              \
                     .close_code = (code),                                                         \
                     .http_status = (status),                                                      \
                     .id = FAULT_##row},
#include "core/base/fault_table.h"
#undef FAULT
};
