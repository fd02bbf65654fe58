// The world: chance, time, events, records.
#include "tests/sim/laws.h"

const char *const sim_fault_names[SIM_FAULT_COUNT] = {
#define SIM_FAULT(name, rate, text) #name,
#include "tests/sim/fault_menu.h"
#undef SIM_FAULT
};
