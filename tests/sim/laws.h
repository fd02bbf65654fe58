// What the world calls of clients and laws. They look at the gateway through sim->workers and
// sim->process, speak to it through net.h alone, and complain by sim_fail.
#pragma once
#include "tests/sim/sim.h"

// The configuration of this seed: YAML, lent for the world's life. Its listeners and its admin
// address must be those of sim->listeners and sim->admin, which are set already; the number of
// workers is the world's.
const char *laws_config(struct sim *sim);
// The gateway is open, nothing has happened: makes clients and their plans, adds watchers.
void laws_open(struct sim *sim);
// STORM is over: clients that harm go away, honest ones finish what they began.
void laws_calm(struct sim *sim);
// Whether every honest client has finished (asked after every event of CALM).
bool laws_are_done(const struct sim *sim);
// They should have: says who has not.
_Noreturn void laws_fail_calm(struct sim *sim);
// The gateway has drained and stopped, its workers still stand: nothing may be left in them.
void laws_end(struct sim *sim);
void laws_close(struct sim *sim);
