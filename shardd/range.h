/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_RANGE_H
#define SHARDD_RANGE_H

#include "proto/map.h"
#include "shardd/interval.h"

/*
 * What a server does with a range. Owned are the first two: the others are what a move has left here, or not yet
 * brought (shardd/moving.h).
 */
enum range_state {
    RANGE_OPEN = 0, /* operations are carried out */
    RANGE_FROZEN,   /* operations wait (RULES V4) */
    RANGE_CLOSED,   /* another's; the copy is kept */
    RANGE_IMPORT,   /* another's; what comes is nobody's yet */
    RANGE_READY,    /* another's, or already this server's: all has come, operations wait (V4) */
};

/* A run of points of one shard of which this server holds records. */
struct range {
    uint64_t start, end; /* bounds (RULES N3) */
    uint64_t limit;      /* bytes that its records may count */
    uint64_t epoch;      /* of its map entry */
    enum when_full when_full;
    enum range_state state;
};

/* What they have in common, of two that have something. */
static inline struct interval range_overlap(const struct range *a, const struct range *b)
{
    return (struct interval){
        .start = a->start > b->start ? a->start : b->start,
        .end = a->end < b->end ? a->end : b->end,
    };
}

#endif
