/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_SCAN_H
#define SHARDD_SCAN_H

/*
 * Records in hash order, one bounded piece at a time; the cursor of a reply is the point and key
 * that it ended with, so it survives restarts and moves (PROTOCOL "scan").
 */

#include "shardd/op.h"
#include "shardd/range.h"
#include "shardd/tree.h"

/* Records looked at for one reply, fitting or not. */
#define SCAN_EXAMINED_MAX 16384

/*
 * op->outcome.value becomes the whole result, [records, cursor, end]; it ends with `range`, in
 * which op->point is. A record that fails its checksum makes the outcome DAMAGED.
 */
void scan(struct tree_txn *txn, const struct range *range, struct op *op);

#endif
