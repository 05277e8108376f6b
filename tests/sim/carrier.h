/* SPDX-License-Identifier: MIT */
#ifndef SIM_CARRIER_H
#define SIM_CARRIER_H

/*
 * Who asks bootstrapd for moves, of whole shards and of parts, and changes their mind: aborts, undoes, pauses, slows
 * down. When the faults are over nothing more is asked, what pauses is resumed, and all must come to its end.
 */

#include "tests/sim/scene.h"

struct carrier;

/* Adds its actor to the scene; NULL: the seed has no moves. */
struct carrier *carrier_new(struct scene *scene);
void carrier_free(struct carrier *carrier); /* behind the scene's end; NULL is allowed */

#endif
