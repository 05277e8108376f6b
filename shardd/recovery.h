/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_RECOVERY_H
#define SHARDD_RECOVERY_H

/*
 * From what is on disk to what is in memory (RULES L3, L4, S3, V2).
 *
 *     tree    "swept": applied ──────┐
 *     log     checkpoints, control ──┴─> control state, accounts, intervals that were emptied
 *             operations above applied ─> hot table (dirty), retries
 *
 * A directory of the version before the log has its control state, accounts and last stamp in the tree: they are
 * taken from there, and the log begins with them. A newer format is refused.
 */

#include "shardd/account.h"
#include "shardd/log.h"
#include "shardd/hot.h"
#include "shardd/retry.h"
#include "shardd/swept.h"

struct recovery;

/* Reads the control state. NULL with `error` filled. Nothing is changed on disk. */
struct recovery *recovery_open(struct tree *tree, const struct log_config *config, char *error,
                               size_t error_len);
void recovery_free(struct recovery *recovery); /* NULL is allowed. The log is not freed */

struct log *recovery_log(const struct recovery *recovery);
struct bytes recovery_control(const struct recovery *recovery);
const struct swept *recovery_swept(const struct recovery *recovery);

/* Nothing was ever stored in the tree. */
/* Ids up to it, in ms since the origin, may have been given (RULES I2). */
uint64_t recovery_reserved_ms(const struct recovery *recovery);
bool recovery_is_tree_empty(const struct recovery *recovery);

/* Sets the numbers of `accounts`. False: none is known of a range, whose start is in *start. */
bool recovery_set_accounts(const struct recovery *recovery, struct accounts *accounts,
                           uint64_t *start);

/*
 * Replays. The hot table gets room ahead for at most `expected_max` of the records of `accounts`; NULL: for none.
 * `make_room` is called between operations, and may sweep when the hot table is too full: so it comes after
 * log_start, from when on all that is replayed is durable. False with `error` filled.
 */
struct recovery_target {
    struct hot *hot;
    struct retries *retries;
    bool (*make_room)(void *context, char *error, size_t error_len);
    void *context;
    const struct accounts *accounts;
    uint64_t expected_max;
};

bool recovery_replay(struct recovery *recovery, const struct recovery_target *target, char *error,
                     size_t error_len);

/* What an earlier version kept in the tree goes; what stands for it is in the log, durable. */
bool recovery_finish_upgrade(struct recovery *recovery, char *error, size_t error_len);

#endif
