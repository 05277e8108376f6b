/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_PATROL_H
#define SHARDD_PATROL_H

/*
 * Walks the tree, slowly, for records that nobody asks for and that are to go: those that are due
 * (RULES R3), and, where a shard that evicts is nearly full, those that are not hot (S7).
 *
 *     loop     patrol_start: the next piece ────────────────┐      the store runs an OP_REAP or an
 *     worker                   read PATROL_EXAMINED_MAX ────┴──>   OP_EVICT for each that was found
 *
 * It only looks: what it finds may have changed meanwhile, so each goes by an operation of its own.
 */

#include "io/loop.h"
#include "shardd/account.h"
#include "shardd/tree.h"

#define PATROL_EXAMINED_MAX 16384
#define PATROL_FOUND_MAX    512

struct patrol;

/* One that is to go. Borrowed for the call. */
struct patrol_found {
    uint64_t point;
    uint16_t table;
    struct bytes key;
    uint64_t version;
    uint64_t size; /* what it counts, in bytes */
    bool is_due;
};

typedef void patrol_visit(void *context, const struct patrol_found *found);

struct patrol *patrol_new(struct loop *loop, struct tree *tree, patrol_visit *on_found,
                          void *context);

/* Waits for a piece that runs. NULL is allowed. */
void patrol_free(struct patrol *patrol);

/*
 * Looks at the next piece, unless one is under way: within `range` for any record, from `point` on if that is in it;
 * with NULL all round, for those that are due. True: it has begun.
 */
bool patrol_start(struct patrol *patrol, const struct range *range, uint64_t point,
                  uint64_t now_ms);

bool patrol_is_busy(const struct patrol *patrol);

/* Where the last piece within a range has ended: for the next. */
uint64_t patrol_point(const struct patrol *patrol);

/* A whole round has met no record that expires: there is nothing to look for. */
bool patrol_is_needless(const struct patrol *patrol);

/* A record that expires was written, or may be in the tree. */
void patrol_note(struct patrol *patrol);

#endif
