/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_MOVER_H
#define TORTURE_MOVER_H

/*
 * Who has shards, or parts of them, moved to and fro by bootstrapd: one at a time, drawn from a seed;
 * some are paused, throttled, aborted or undone meanwhile. What bootstrapd refuses, or does not answer
 * since it is down, is asked for again in another round.
 *
 *     mover_start ─> every second or so: map.get, move.start, ... ─> mover_stop ─> mover_settle
 */

#include <stdatomic.h>

#include "tests/torture/cluster.h"

struct mover;

struct mover_totals {
    uint32_t done;
    uint32_t aborted; /* or undone */
    uint32_t failed;
    uint32_t refused;     /* never begun */
    uint64_t last_number; /* counted so far: numbers go on over all rounds */
};

/* `cluster` must outlive it. Its own thread asks; `pause_ms`: between two moves, on average. */
struct mover *mover_start(const struct cluster *cluster, uint64_t seed, uint32_t pause_ms);
void mover_stop(struct mover *mover);

/*
 * When all daemons are up: nothing is paused or throttled any more, and all moves end. False: said which does
 * not. What became of them is added to *totals.
 */
bool mover_settle(struct mover *mover, struct mover_totals *totals);

void mover_free(struct mover *mover); /* after mover_stop */

/* The two servers of the last move that was asked for; CLUSTER_SERVERS: none yet. */
uint32_t mover_source(const struct mover *mover);
uint32_t mover_target(const struct mover *mover);

/* How many were asked for. */
uint32_t mover_count(const struct mover *mover);

#endif
