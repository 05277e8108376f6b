/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_SLICE_H
#define SHARDD_SLICE_H

/*
 * A run of records in hash order, of the hot table over the tree (RULES S6): a scan's reply.
 *
 *     loop      copy the dirty entries of the interval, begin the read transaction: in one turn
 *     worker    merge: what is dirty hides what the tree has        done: the reply's bytes
 *
 * Only dirty entries need copying: what is clean is in the tree as it is here.
 */

#include "io/loop.h"
#include "shardd/account.h"
#include "shardd/hot.h"
#include "shardd/op.h"
#include "shardd/tree.h"

/* Records looked at for one reply, whether or not they go into it. */
#define SCAN_EXAMINED_MAX 65536

/* How long one without a deadline waits for its turn. */
#define SLICE_WAIT_MS 5000

struct slices;

/* Records that are due and were left out: where there are more, a slice ends. */
#define SLICE_HIDDEN_MAX 256

/* Records that cannot be read and are passed over: where there are more, a slice ends. */
#define SLICE_DAMAGED_MAX 256

struct slice_hidden {
    uint64_t point;
    uint64_t version;
    uint16_t table;
    struct bytes key;
};

/*
 * On the loop. `hidden` and what the outcome borrows end with the call. `outcome` NULL: nothing was done, its range has
 * come to be held (RULES V4).
 */
typedef void slice_done(void *context, struct op *op, const struct outcome *outcome,
                        const struct slice_hidden *hidden, uint32_t hidden_count);

struct slices *slices_new(struct loop *loop, struct tree *tree, struct hot *hot,
                          const struct accounts *accounts, slice_done *on_done, void *context);

/* Waits for the one that runs, and gives back all operations as SHUTTING_DOWN. NULL is allowed. */
void slices_free(struct slices *slices);

/* Takes `op`, an OP_SCAN; on_done gives it back. */
void slices_add(struct slices *slices, struct op *op);

/*
 * For the end of a turn: `last` is the last stamp given, which the outcome depends on (RULES R1). Without room
 * for one more reply they wait on, in their order, until their deadline; without one, SLICE_WAIT_MS.
 */
void slices_turn(struct slices *slices, uint64_t last, uint64_t now_ms, bool has_room);

/* A slice is being made, whose reply may be SCAN_BYTES_MAX. */
bool slices_is_busy(const struct slices *slices);

/* Bytes of memory that the one that is made takes; of what the worker makes, what it usually is. */
size_t slices_len(const struct slices *slices);

/* Bytes of the operations that wait for their turn. */
size_t slices_waiting_len(const struct slices *slices);

#endif
