// What the world calls of clients and laws. They look at the gateway through sim->workers and
// sim->process, speak to it through net.h alone, and complain by sim_fail.
#pragma once
#include "tests/sim/sim.h"

// A world of law L9 (is_isolation) has no faults, ten more honest echo clients, small echoes, and a
// crowd of SIM_CROWD on a channel that is written to without a pause; its twin (is_peaceful) is the
// same without all those that harm. What is compared is how long honest echoes take, in virtual
// time, in which a worker's turn costs what it sends and takes (world.c).

// The configuration of this seed: YAML, lent for the world's life. Its listeners and its admin
// address must be those of sim->listeners and sim->admin, which are set already; the number of
// workers is the world's.
const char *laws_config(struct sim *sim);
// The same for a reload: lent until the next one. It may be out of order.
const char *laws_config_again(struct sim *sim);
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
