/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_COUNTING_H
#define SHARDD_COUNTING_H

/*
 * Counts parts of ranges beside the work, before a map divides these (RULES V8, shardd/division.h): each with a hand of
 * its own, and from its end on corrected by each change, so that the numbers are right whenever they are needed.
 *
 *     wanted ──> walked by its hand ──> counted: told, and kept right ──> not wanted any more
 *                  └── the account that it is a part of is another ──> walked anew
 */

#include "shardd/account.h"
#include "shardd/division.h"
#include "shardd/hand.h"

/* How often it is told that all are counted, as long as they are wanted. */
#define COUNTING_TELL_MS 1000

struct counting;

struct counting_config {
    struct loop *loop;
    struct tree *tree;
    const struct hot *hot;
    struct retries *retries;
    struct accounts *accounts;
};

struct counting *counting_new(const struct counting_config *config);
void counting_free(struct counting *counting); /* NULL is allowed */

/* When all that is wanted is counted. */
void counting_on_counted(struct counting *counting, loop_callback *on_counted, void *context);

/* These and no others from now on, DIVISION_PARTS_MAX at most: those that are known go on. */
void counting_want(struct counting *counting, const struct interval *parts, uint32_t count);

/* False: it is not counted. Else the bytes that it has as of now, as an account does, and records. */
bool counting_find(const struct counting *counting, uint64_t start, uint64_t end, uint64_t *used,
                   uint64_t *records);

/* For the end of a turn, when all of it has been executed (hand_turn). */
void counting_turn(struct counting *counting, uint64_t last_stamp, uint64_t now_ms);

#endif
