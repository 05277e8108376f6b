/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_TALLY_H
#define SHARDD_TALLY_H

/*
 * Counts an interval: the records of the hot table over those of the tree, and popped values that are kept. For what no
 * account tells: the parts of a range that was split, and a directory that log salvage wrote (shardd/recount.h).
 */

#include "shardd/hot.h"
#include "shardd/retry.h"
#include "shardd/tree.h"

/* Borrowed for the call. */
struct tally_sources {
    struct tree *tree;
    const struct hot *hot;
    struct retries *retries;
};

/* Of the bounds [start, end). Blocks, and ends the process when the tree cannot be read. */
void tally_interval(const struct tally_sources *sources, uint64_t start, uint64_t end,
                    uint64_t *used, uint64_t *records);

#endif
