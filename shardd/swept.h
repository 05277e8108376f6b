/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_SWEPT_H
#define SHARDD_SWEPT_H

/*
 * How far the tree is, and whose, kept in the tree itself:
 *
 *     TREE_META   "swept"  ->  sealed [durable, applied of unit 0, ..., of unit 64, reserve]
 *                 "state"  ->  sealed [stamp, control state]
 *
 * Units are the 64 arcs of the circle, and the retry results with their lines (S9). All up to a unit's
 * `applied` that belongs to it is in the tree, or has a newer durable version in the log (RULES S2). `durable`: the
 * log's durable stamp when the last transaction was made, which its log must still show (L3). The reserve is that of the ids (I2, shardd/minter.h), which versions before did
 * not have.
 *
 * The state is a copy of the log's (S11), which was durable there at its stamp. A version before did not keep one.
 */

#include "proto/buffer.h"
#include "shardd/hot.h"
#include "shardd/tree.h"

#define SWEPT_UNIT_RETRIES HOT_ARC_COUNT
#define SWEPT_UNIT_COUNT   (HOT_ARC_COUNT + 1)

struct swept {
    uint64_t durable;
    uint64_t applied[SWEPT_UNIT_COUNT];
    uint64_t reserved_ms;
};

/* The least of all units. */
uint64_t swept_applied(const struct swept *swept);

/* All zero when nothing was ever stored. False: damaged, or of a newer format. */
bool swept_load(struct tree_txn *txn, struct swept *swept);
void swept_store(struct tree_txn *txn, const struct swept *swept);

/* Replaces what is in `control`. False: there is none, it is damaged, or of a newer format. */
bool swept_load_state(struct tree_txn *txn, uint64_t *stamp, struct buffer *control);
void swept_store_state(struct tree_txn *txn, uint64_t stamp, struct bytes control);

#endif
