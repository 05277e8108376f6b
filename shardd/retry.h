/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_RETRY_H
#define SHARDD_RETRY_H

/*
 * Answers of operations that may be sent again (RULES Q1, Q2).
 *
 *     TREE_RESULTS   point u64 BE | client | seq u64 BE  ->  sealed outcome
 *     TREE_LINES     client  ->  sealed [done, highest, forgotten, seen_ms, [seq, point, held, ...]]
 *
 * A client's line lists its results. A result goes when the client's `done` passes it, or when the
 * client has been silent for RETRY_SILENT_MS; then `forgotten` remembers its highest seq for
 * RETRY_REMEMBERED_MS more. A seq below `done`, or not above `forgotten`, is STALE: nothing runs twice.
 * A popped value is part of its result and counts (`held` bytes) until the result goes.
 */

#include "shardd/account.h"
#include "shardd/op.h"
#include "shardd/tree.h"

#define RETRY_SILENT_MS     (UINT64_C(15) * 60 * 1000)
#define RETRY_REMEMBERED_MS (UINT64_C(24) * 3600 * 1000)

/* Lines looked at in each writing transaction for those that are due: more than one, so the hand gains. */
#define RETRY_ROUND_LINES 8

/* Where the search for silent clients goes on; zero at first. */
struct retry_hand {
    uint8_t client[ID_LEN];
};

/* The lines that one writing transaction has touched. */
struct retry;

struct retry *retry_new(struct tree_txn *txn, struct accounts *accounts, uint64_t now_ms);
void retry_free(struct retry *retry);

/*
 * To be asked when an operation with an identity would run. True: its outcome is filled in, from
 * the stored result or as a refusal, and it must not run.
 */
bool retry_answer(struct retry *retry, struct op *op);

/* Keeps the outcome of an operation that has run; `held`: what its popped record counted. */
void retry_keep(struct retry *retry, const struct op *op, uint64_t held);

/* Forgets the results below the client's `done`, as any operation with it would. */
void retry_done(struct retry *retry, struct op *op);

/* Forgets what is due among the next lines, then writes the lines that changed. */
void retry_write(struct retry *retry, struct retry_hand *hand);

#endif
