/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_SUPPLY_H
#define SHARDD_SUPPLY_H

/*
 * Makes an arena's blocks ahead of need, on a worker: the first touch of a huge page takes milliseconds, which the
 * loop cannot spare.
 *
 *     loop     arena_wants_block ──> one job at a time ┐      ┌──> arena_give_block
 *     worker                                           arena_block_new
 */

#include "io/loop.h"
#include "shardd/arena.h"

struct supply;

/* `arena` must outlive it. */
struct supply *supply_new(struct loop *loop, struct arena *arena);

/* Waits for a block that is being made. NULL is allowed. */
void supply_free(struct supply *supply);

/* Begins a block if the arena wants one and none is being made. */
void supply_turn(struct supply *supply);

/*
 * The same for who fills the arena without coming to the loop, between any two uses of it: gives it what was made, and
 * makes a block here and now when the worker's comes too late.
 */
void supply_hurry(struct supply *supply);

#endif
