/* SPDX-License-Identifier: MIT */
#ifndef SIM_PASSAGE_H
#define SIM_PASSAGE_H

/*
 * Which rows of the protocol of moves were gone through, and who crashed at which of its states: the rows are those
 * of tests/model/move.pml. After each event it compares what each process holds durably with what it held before.
 *
 *     bootstrapd's map, entry by entry     phase -> phase
 *     a server's own map and movings       state, entry taken -> state
 */

#include "tests/sim/scene.h"

void passage_begin(void);

/* After each event. A step of a move may be somebody's last (swarm's move_crash_ppm). */
void passage_see(const struct scene *scene);

/* No move goes on, and no server has anything left of one. */
bool passage_is_over(const struct scene *scene);

/* What is left of moves, for a violation. */
void passage_print_rest(const struct scene *scene);

/* Prints how often each; false: some never. Counts over all seeds, while counters are on. */
bool passage_print(void);

#endif
