/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_SWEEP_H
#define SHARDD_SWEEP_H

/*
 * The hand that goes round in hash order and writes dirty records to the tree (RULES S1, S2, S9).
 *
 *     loop      collect a batch ───────────────────> clean, or as before ── next
 *     worker                     one transaction
 *
 *     unit i    A := durable   batches ...   all committed: E := last    durable >= E: applied[i] := A
 *
 * One transaction at a time; the same workers empty the intervals that are to be empty, and run what others have to
 * write. Who has something to write has its turn: none waits for more than one transaction of each of the others.
 */

#include "io/loop.h"
#include "io/worker.h"
#include "shardd/hot.h"
#include "shardd/log.h"
#include "shardd/minter.h"
#include "shardd/pressure.h"
#include "shardd/retry.h"
#include "shardd/swept.h"

struct sweep;

struct sweep_config {
    struct loop *loop;
    struct tree *tree;
    struct hot *hot;
    struct retries *retries;
    struct log *log;
    const struct minter *minter;
};

/* `swept`: what the tree says. */
struct sweep *sweep_new(const struct sweep_config *config, const struct swept *swept);

/* Waits for a transaction that runs. NULL is allowed. */
void sweep_free(struct sweep *sweep);

/* For the end of a turn: begins the next batch, if it is time and none is under way. */
void sweep_turn(struct sweep *sweep, const struct pressure *pressure);

/*
 * Empties [start, end), bounds, in the tree, behind the batch that is under way; then on_cleared. One at a
 * time. False there: the disk is full, and a part is left.
 */
typedef void sweep_cleared(void *context, bool is_done);
void sweep_clear(struct sweep *sweep, uint64_t start, uint64_t end, sweep_cleared *on_cleared,
                 void *context);

/* An interval is being emptied, or is to be. */
bool sweep_is_clearing(const struct sweep *sweep);

/*
 * Lends the tree: `job` has it for one transaction, behind the batch that is under way. Several wait in their order.
 * `is_urgent`: it does not only run when nothing else wants the processor. `done` is called in any case, if need be by
 * sweep_free, unless the job was taken back.
 */
void sweep_lend(struct sweep *sweep, struct job *job, bool is_urgent);

/* True: it had not begun, and will not. */
bool sweep_take_back(struct sweep *sweep, struct job *job);

/*
 * Writes everything that is dirty, here and now: at recovery, when all that is logged is durable. False with `error`
 * filled. What a full disk has no space for stays dirty.
 */
bool sweep_drain(struct sweep *sweep, char *error, size_t error_len);

/*
 * The control state, which is durable in the log with that stamp: copied into the tree with the next transaction, or
 * after `within_ms` with one of its own (RULES S11); on a full disk when there is room again.
 */
void sweep_keep_state(struct sweep *sweep, struct bytes control, uint64_t stamp,
                      uint64_t within_ms);

/* A transaction is under way. */
bool sweep_is_busy(const struct sweep *sweep);

/* The tree found no space, and since then not all that is dirty has got into it. */
bool sweep_is_disk_full(const struct sweep *sweep);

/* There is more room: what waits because the disk was full is tried at once. */
void sweep_retry(struct sweep *sweep);

/* Whether a record that expires was written since this was asked last; by whom it was lent to, too. */
bool sweep_wrote_expiring(struct sweep *sweep);
void sweep_note_expiring(struct sweep *sweep);

uint64_t sweep_applied(const struct sweep *sweep);

struct sweep_stat {
    uint64_t rounds;       /* times the hand has gone round since the start */
    uint64_t record_count; /* written or deleted in the tree since the start */
    uint64_t batch_count;  /* transactions */
};

void sweep_stat(const struct sweep *sweep, struct sweep_stat *out);

#endif
