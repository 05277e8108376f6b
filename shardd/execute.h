/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_EXECUTE_H
#define SHARDD_EXECUTE_H

/*
 * One operation against a transaction of the tree: conditions, limits, the effect, the outcome.
 * It runs where its turn comes, not where its request arrived, so the point may have been given
 * away meanwhile: then its outcome is WRONG_SHARD.
 */

#include "shardd/account.h"
#include "shardd/op.h"
#include "shardd/retry.h"

/* What the operations of one transaction share. */
struct execution {
    struct tree_txn *txn;
    struct accounts *accounts;
    struct retry *retry; /* NULL in a transaction that only reads */
    uint64_t now_ms;     /* wall clock */
    uint64_t last_stamp; /* RULES N2 */
    bool is_disk_full;   /* what grows is refused (RULES F1) */
};

/*
 * Fills in op->outcome. After a fault of the transaction, which sticks to it, the outcome means
 * nothing.
 */
void execute(struct execution *execution, struct op *op);

#endif
