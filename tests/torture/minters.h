/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_MINTERS_H
#define TORTURE_MINTERS_H

/*
 * Several threads that mint ids, singly and in batches, and put entities, all through one client; every id that any of
 * them got is kept, and they are judged together in the end (RULES I):
 *
 *     unique     no two of all that were given are alike, nor like that of a record whose put has no known outcome
 *     growing    of a slice, and of each half of it: what was asked for after an answer is above what that answer had
 *     put once   each document lies under the id that was told, and under no other
 *
 *     document   {"n": THREAD << 40 | count}
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct skv;
struct minters;

struct minters_config {
    const char *addresses;
    uint64_t seed;
    uint32_t thread_count;
    uint32_t connection_count; /* per server, at most */
    uint32_t timeout_ms;       /* of a call */
    uint32_t pause_us_max;     /* between two calls of a thread */
    uint32_t batch_max;
    const uint32_t *shards; /* logical ones, in which they mint; borrowed */
    uint32_t shard_count;
};

struct minters *minters_start(const struct minters_config *config);
void minters_stop(struct minters *minters);

/* Nobody asks any more when it returns, until another of these is called. */
void minters_pause(struct minters *minters);
void minters_go_on(struct minters *minters);

/* One thread alone asks, for single ids of this logical shard, one after another. */
void minters_leave_one(struct minters *minters, uint32_t shard);

/* From now on a call may be refused, since a clock is behind (true), or may not. */
void minters_expect_refusals(struct minters *minters, bool may_be);

struct minters_counts {
    uint64_t given;     /* ids, in all */
    uint64_t puts;      /* of these with a record */
    uint64_t calls;     /* answered */
    uint64_t refused;   /* calls */
    uint64_t unknown;   /* puts without an answer: they have a record or none */
    uint64_t full;      /* puts that were refused: a part of a slice has little room */
    uint32_t under_way; /* calls, now */
};

void minters_count(const struct minters *minters, struct minters_counts *counts);

/* How long the longest call took since this was asked last. */
uint64_t minters_take_longest_us(struct minters *minters);

/*
 * By who has the minters: mints and keeps what he got with theirs, one thread at a time. *took_us: may be NULL. False:
 * refused, for want of a right clock.
 */
bool minters_mint(struct minters *minters, uint32_t shard, uint32_t count, uint64_t *took_us);

/* The last one that minters_mint got. */
uint64_t minters_last(const struct minters *minters);

/* Empty: none. A call that failed, or an id that cannot be. */
const char *minters_violation(const struct minters *minters);

/* When they have stopped, and the cluster serves. What is wrong is the violation then. */
void minters_judge(struct minters *minters);

void minters_free(struct minters *minters); /* after minters_stop; NULL is allowed */

#endif
