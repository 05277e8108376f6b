/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_EXECUTE_H
#define SHARDD_EXECUTE_H

/*
 * One operation against the hot table: conditions, limits, the effect, its log entry, the outcome.
 * It runs where its turn comes, not where its request arrived, so the point may have been given
 * away meanwhile: then its outcome is WRONG_SHARD.
 *
 *     find in the hot table ─┬─ there, or known to be nowhere ─> run ─> log_add, hot_put ─> outcome
 *                            └─ perhaps in the tree ─> EXECUTE_FETCH: nothing has happened
 */

#include "shardd/account.h"
#include "shardd/hot.h"
#include "shardd/log.h"
#include "shardd/op.h"
#include "shardd/retry.h"

/* What all operations of a server share. */
struct execution {
    struct hot *hot;
    struct accounts *accounts;
    struct log *log;
    struct retries *retries;
    uint64_t now_ms;       /* wall clock of this turn */
    bool is_disk_full;     /* what grows is refused (RULES F1) */
    bool is_log_full;      /* and even what shrinks must wait */
    bool is_memory_full;   /* what changes something must wait (RULES F3) */
    struct buffer scratch; /* a value that outlives its record */
    uint64_t victim_point; /* where eviction goes on (RULES S7) */
};

enum execute_result {
    EXECUTE_DONE,
    EXECUTE_FETCH, /* the tree has to be asked first */
};

/* A stored record that fails its checksum, where the tree was asked: its size is known, and no more. */
struct execute_damage {
    bool is_newer_format;
    uint64_t size;
};

/*
 * Fills in *outcome if EXECUTE_DONE; its value is borrowed until the next execute. `damage`: what the
 * tree has under the key cannot be read; else NULL.
 */
enum execute_result execute(struct execution *execution, const struct op *op,
                            const struct execute_damage *damage, struct outcome *outcome);

#endif
