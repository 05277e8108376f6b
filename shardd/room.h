/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_ROOM_H
#define SHARDD_ROOM_H

/*
 * The room on the disk (RULES F1): whether it is full, and the `reserve`, a file of real blocks that is given up
 * to the tree while it is.
 *
 *     free on the disk   0 ....... 2 segments + 4 MiB ....... reserve + 4 segments + 8 MiB .......
 *                          is full                   as before                        has room
 *
 *     reserve:   none ── room ──> being made ──> kept ── full ──> being given up ──> none
 *
 * Rules:
 *  - The disk is full, too, when the tree found no space or the log can prepare no segment, whatever the system
 *    says of it (quotas, limits on the size of files).
 *  - A reserve that cannot be made is no fault; it is said once.
 *  - At the start it is given up before anything is written, if the disk is full by then.
 */

#include "io/file.h"
#include "io/loop.h"

/* Of the limits of all shards that are owned, within these bounds. */
#define ROOM_RESERVE_PART    32
#define ROOM_RESERVE_LEN_MIN (UINT64_C(16) << 20)
#define ROOM_RESERVE_LEN_MAX (UINT64_C(1) << 30)

/* --- pure --- */

/* How long a reserve is to be: shorter than the rule says where the disk has not room enough, or 0. */
uint64_t room_reserve_len(uint64_t limit_sum, uint64_t free_len, uint64_t segment_len);

struct room_input {
    bool was_full;
    bool is_refused;    /* the tree or the log found no space */
    uint64_t free_len;  /* bytes */
    uint64_t given_len; /* of the reserve that was given up, and would be taken back */
    uint64_t segment_len;
};

bool room_is_full_at(const struct room_input *input);

/* --- of a directory --- */

struct room;

/* Blocks. `dir` must outlive it. NULL with `error` filled. */
struct room *room_open(struct loop *loop, struct dir *dir, uint64_t segment_len, char *error,
                       size_t error_len);

/* Waits for what is under way. NULL is allowed. */
void room_free(struct room *room);

/* Whether it is time to look: once a second, and when is_refused begins. */
bool room_is_due(const struct room *room, bool is_refused, uint64_t now_ms);

/* Looks at the disk. `limit_sum`: bytes, of the shards that are owned. */
void room_look(struct room *room, uint64_t limit_sum, bool is_refused, uint64_t now_ms);

/* As it was found last. */
bool room_is_full(const struct room *room);
uint64_t room_free_len(const struct room *room);

/* Whether the reserve was given up since this was asked last. */
bool room_was_given(struct room *room);

#endif
