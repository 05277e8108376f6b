/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_IDS_H
#define CLI_BENCH_IDS_H

/*
 * The ids that the load generator was given: whether one came twice, of whichever connection and server.
 *
 *     id    63                       6 5   0      64 ids that follow each other are the bits of one block
 *           |         block          | bit |
 *
 *     blocks ──> younger ──(half full)──> older ──> forgotten
 *
 * Two tables of blocks, so that memory has a bound: what came among the last half a million blocks is known for sure,
 * which are half a minute of minting in one logical shard as fast as the format allows, or so many single ids.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proto/bytes.h"

struct bench_ids;

/* NULL when out of memory. */
struct bench_ids *bench_ids_new(void);
void bench_ids_free(struct bench_ids *ids); /* NULL is allowed */

/* How many of the `count` ids from `first` on, all of one millisecond, came before; all of them have now. */
uint32_t bench_ids_take(struct bench_ids *ids, uint64_t first, uint32_t count);

/* What was asked for, and came. */
struct bench_minted {
    uint32_t shard; /* logical */
    uint32_t count; /* ids, at most */
    uint64_t last;  /* the highest before; raised */
    uint64_t taken; /* ids that came; raised */
};

/* Takes the result of a mint (proto/PROTOCOL.md). What is wrong with it, or NULL. */
const char *bench_ids_take_mint(struct bench_ids *ids, struct bytes result,
                                struct bench_minted *minted);

/* The same of a put's. */
const char *bench_ids_take_put(struct bench_ids *ids, struct bytes result, uint32_t shard);

#endif
