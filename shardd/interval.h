/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_INTERVAL_H
#define SHARDD_INTERVAL_H

/*
 * A run of points that is to be emptied, and the first step of that (RULES V2), the same for what a server gains
 * (shardd/saving.h) and for what a move has left (shardd/emptying.h).
 */

#include "proto/point.h"

struct hot;
struct log;

struct interval {
    uint64_t start, end; /* bounds; start < end */
};

static inline uint64_t interval_width(const struct interval *interval)
{
    return interval->end - interval->start;
}

static inline uint64_t interval_first(const struct interval *interval)
{
    return point_of_bound(interval->start);
}

static inline uint64_t interval_last(const struct interval *interval)
{
    return point_of_bound(interval->end) - 1; /* BOUND_END: 0 - 1 is the last point */
}

/*
 * Logs that what the log has of it from before is gone, and forgets it in memory: nobody may wait for any of it, and no
 * batch of the sweep that has some of it may be under way. Returns the stamp that must be durable before the tree is
 * emptied.
 */
uint64_t interval_clear(const struct interval *interval, struct log *log, struct hot *hot);

#endif
