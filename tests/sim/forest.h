/* SPDX-License-Identifier: MIT */
#ifndef SIM_FOREST_H
#define SIM_FOREST_H

/*
 * Where the trees of sim/tree.c live between processes: per database a sorted list of entries, and
 * how to undo the commits that are not durable yet.
 *
 *     commit in a job -> pending until node->io_done_us -> durable
 *                           crash: the first ones are kept, the rest undone, by lot
 */

#include "tests/sim/world.h"

struct forest;

struct forest *forest_new(struct node *node);
void forest_free(struct forest *forest);

void forest_move(struct forest *forest, struct node *node);

/* Whether a tree was made here. */
bool forest_is_there(const struct forest *forest);

/* `is_settled`: it waited for its commits. */
void forest_end_process(struct forest *forest, bool is_settled);

#endif
