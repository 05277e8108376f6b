/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_SAVING_H
#define SHARDD_SAVING_H

/*
 * A change of what this server owns, made durable step by step (RULES L6, M1, V2):
 *
 *     gained intervals   LOG_CLEAR, durable ─> the tree is emptied there ─┐
 *     nothing gained ────────────────────────────────────────────────────┴─> LOG_STATE, durable ─> on_saved
 *
 * What a server gains it takes empty, whatever an earlier ownership left there: all that no account covers. What a
 * move holds here has one. From LOG_STATE on operations go by the new ranges: their log records stand behind it, so
 * no crash separates them. Where a range's state has changed, they wait until it is durable.
 */

#include "shardd/counting.h"
#include "shardd/hot.h"
#include "shardd/log.h"
#include "shardd/retry.h"
#include "shardd/sweep.h"

struct saving;

struct saving_config {
    struct hot *hot;
    struct tree *tree;
    struct retries *retries;
    struct sweep *sweep;
    struct log *log;
    struct accounts *accounts;
    const struct counting *counting;
    struct buffer *control; /* what a checkpoint holds */
    /* All points from `first` to `last` are about to be forgotten: nobody may wait for them. */
    void (*on_clear)(void *context, uint64_t first, uint64_t last);
    /* The accounts are others, and what may be done with them has just become so durably. */
    void (*on_settled)(void *context);
    void *context;
};

struct saving *saving_new(const struct saving_config *config);
void saving_free(struct saving *saving); /* NULL is allowed */

/* False: the disk is full, and nothing has changed. */
typedef void saving_done(void *context, bool is_saved);

/* One at a time. Copies what it needs. */
void saving_start(struct saving *saving, struct bytes control, const struct range *ranges,
                  uint32_t range_count, saving_done *on_done, void *context);

/* For the end of a turn: the next step, if it is time. */
void saving_turn(struct saving *saving);

bool saving_is_busy(const struct saving *saving);

#endif
