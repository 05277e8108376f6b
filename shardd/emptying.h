/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_EMPTYING_H
#define SHARDD_EMPTYING_H

/*
 * Takes away what a move has left here (RULES V2): of a range that has gone, or of an import that was dropped. Nobody
 * is served from it any more, so it takes its time:
 *
 *     LOG_CLEAR, durable ─> hot table, retry results ─> the tree, piece by piece, between the sweep's batches ─> done
 *
 * A crash leaves a part; done again it goes on with that. On a full disk it waits and goes on.
 */

#include "shardd/hot.h"
#include "shardd/log.h"
#include "shardd/retry.h"
#include "shardd/sweep.h"

struct emptying;

struct emptying_config {
    struct hot *hot;
    struct retries *retries;
    struct sweep *sweep;
    struct log *log;
    /* All points from `first` to `last` are about to be forgotten: nobody may wait for them. */
    void (*on_clear)(void *context, uint64_t first, uint64_t last);
    void *context;
};

struct emptying *emptying_new(const struct emptying_config *config);
void emptying_free(struct emptying *emptying); /* NULL is allowed */

bool emptying_is_busy(const struct emptying *emptying);

/* Of bounds that have no account; `records`: how many are there, about. One at a time. */
void emptying_start(struct emptying *emptying, uint64_t start, uint64_t end, uint64_t records,
                    void (*on_done)(void *context), void *context);

/* For the end of a turn: the next step, if it is time. */
void emptying_turn(struct emptying *emptying, uint64_t now_ms);

#endif
