// What the engine's own files share: sim.c (chance, events, records), world.c (the gateway under
// test and its threads), main.c (phases).
#pragma once
#include "core/base/span.h"
#include "tests/sim/sim.h"

void sim_faults_choose(struct sim *sim);
bool sim_step(struct sim *sim);                          // the next event; false: there is none
bool sim_step_until(struct sim *sim, uint64_t until_us); // false: none is due; now is until_us
void sim_report(const struct sim *sim);                  // the last records, to standard error

// What stands for TLS: seam_tls.c, or (in sim-tls) net_tls.c. Sets sim->tls; `is_drawn`: whether
// this seed has TLS where not every one has.
void sim_tls_choose(struct sim *sim, bool is_drawn);
bool sim_tls_repeats(void);    // whether two runs of a seed have the same bytes, and so one hash
struct span sim_tls_pem(void); // a certificate and its key, for SIM_PEM; terminated

// The process with its workers, opened as gateway/process does it, but for the threads. Fails by
// sim_fail.
void world_open(struct sim *sim);
void world_calm(struct sim *sim);  // faults are off
void world_drain(struct sim *sim); // as after SIGTERM
bool world_has_stopped(const struct sim *sim);
void world_check_empty(struct sim *sim); // after it has stopped
void world_close(struct sim *sim);
