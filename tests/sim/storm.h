/* SPDX-License-Identifier: MIT */
#ifndef SIM_STORM_H
#define SIM_STORM_H

/* The faults that come from outside: crashes, clean stops, partitions, stepped clocks, slow links. */

#include "tests/sim/scene.h"

struct storm;

struct storm *storm_new(struct scene *scene);

/* It is over: what was cut is whole, and what is down comes up. */
void storm_end(struct storm *storm);
void storm_free(struct storm *storm);

#endif
