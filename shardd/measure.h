/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_MEASURE_H
#define SHARDD_MEASURE_H

/*
 * How much of the tree's file is in use, for `stat`: to count its free pages is to walk a database, so a worker
 * does it, at most every few seconds, and who asks hears what was found last.
 */

#include "io/loop.h"
#include "shardd/tree.h"

struct measure;

/* Measures once at the start. `tree` must outlive it. */
struct measure *measure_new(struct loop *loop, struct tree *tree);

/* Waits for a job that runs. NULL is allowed. */
void measure_free(struct measure *measure);

/* What was found last, all zero before. Begins to look again, if that is some seconds ago. */
struct tree_space measure_ask(struct measure *measure, uint64_t now_ms);

#endif
