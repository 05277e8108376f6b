/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_EXECUTE_H
#define SHARDD_EXECUTE_H

/*
 * One operation against the hot table: conditions, limits, the effect, its log entry, the outcome.
 * It runs where its turn comes, not where its request arrived, so the point may have been given
 * away meanwhile: then its outcome is WRONG_SHARD.
 *
 *     find in the hot table ─┬─ there, or known to be nowhere ─> run ─> log_add, hot_put ─> outcome
 *                            │                                   └─ no room yet ─> EXECUTE_ROOM
 *                            └─ perhaps in the tree ─> EXECUTE_FETCH: nothing has happened
 *     the range is handed over ─> EXECUTE_HELD
 *
 * A full shard that evicts: what needs little room makes it by itself. For what needs much a turn gives up so many
 * records and no more; the rest is for the turns and the patrol that come, which go by account->wanted.
 */

#include "shardd/account.h"
#include "shardd/hot.h"
#include "shardd/log.h"
#include "shardd/minter.h"
#include "shardd/op.h"
#include "shardd/retry.h"

/* What all operations of a server share. */
struct execution {
    struct hot *hot;
    struct accounts *accounts;
    struct log *log;
    struct retries *retries;
    struct minter *minter;
    uint64_t now_ms;     /* wall clock of this turn */
    bool is_disk_full;   /* what grows is refused (RULES F1) */
    bool is_log_full;    /* and even what shrinks must wait */
    bool is_memory_full; /* what changes something must wait (RULES F3) */
    bool has_waited; /* for room: what the operation wants is counted, and the patrol makes it */
    bool can_wait;   /* the operation can be kept until there is room; else it is to try later */
    struct buffer scratch; /* a value that outlives its record */
    uint64_t victim_point; /* where eviction goes on (RULES S7) */
    uint64_t turn;         /* of the loop: counts up */
    uint32_t victim_count; /* records evicted in this turn */

    /* RULES R4: the newest touch; those that may not be durable were made at this time or later. */
    uint64_t touch_stamp;
    uint64_t touched_since_ms;
};

enum execute_result {
    EXECUTE_DONE,
    EXECUTE_FETCH, /* the tree has to be asked first */
    EXECUTE_ROOM,  /* again in a later turn: the shard evicts for it, or ids are not there yet */
    EXECUTE_HELD,  /* again when the range's state has changed (RULES V4) */
};

/* A stored record that fails its checksum, where the tree was asked: its size is known, and no more. */
struct execute_damage {
    bool is_newer_format;
    uint64_t size;
};

/* Before the operations of a turn. */
static inline void execute_begin_turn(struct execution *execution, uint64_t now_ms)
{
    execution->now_ms = now_ms;
    execution->turn++;
    execution->victim_count = 0;
}

/*
 * Fills in *outcome if EXECUTE_DONE; its value is borrowed until the next execute. `damage`: what the
 * tree has under the key cannot be read; else NULL.
 */
enum execute_result execute(struct execution *execution, const struct op *op,
                            const struct execute_damage *damage, struct outcome *outcome);

#endif
