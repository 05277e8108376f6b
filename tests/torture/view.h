/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_VIEW_H
#define TORTURE_VIEW_H

/*
 * Where a move is, as bootstrapd and each server tell when they are asked, each by itself; and what may be asked of it.
 * All answers are awaited for VIEW_MS: what is not told by then is not known.
 */

#include "proto/map.h"
#include "proto/move.h"
#include "tests/torture/cluster.h"

enum { VIEW_MS = 800, VIEW_COURSE_LEN = 16 };

struct skv;

struct view {
    struct skv *kv; /* of this thread */
    const struct cluster *cluster;
};

/* Of the shard, by bootstrapd's map. False: not told, or there is none. */
struct view_entry {
    uint32_t owner; /* a daemon */
    enum move_phase phase;
    uint64_t id;
};

bool view_entry(const struct view *view, const char *shard, struct view_entry *entry);

/* What the server says of its part in the move; 0: nothing. */
enum move_state view_part(const struct view *view, uint32_t server, uint64_t id);

/* By move.list. False: not told. */
struct view_move {
    char course[VIEW_COURSE_LEN];
    char reason[MOVE_TEXT_LEN];
    uint64_t records, records_left, tries;
};

bool view_move(const struct view *view, uint64_t number, struct view_move *move);

/* Whether bootstrapd counts the server as up. */
bool view_is_up(const struct view *view, uint32_t server);

/* Whether the server answers for the key, present or absent, within VIEW_SERVES_MS. */
enum { VIEW_SERVES_MS = 100 };
bool view_serves(const struct view *view, uint32_t server, const char *key);

struct view_part {
    uint32_t owner; /* a daemon; CLUSTER_SERVERS: not told */
    uint64_t until; /* bound */
};

/* move.start of the whole shard: its number; 0: refused, and said why. */
uint64_t view_start(const struct view *view, const char *shard, uint32_t target,
                    uint64_t bytes_per_s);

/*
 * Of the part of the entry at bound `start` that is below `end`: its number, and who has had it, and where it ends.
 * 0: `target` has it already, or it was refused (skv_error).
 */
uint64_t view_start_part(const struct view *view, uint64_t start, uint64_t end, uint32_t target,
                         struct view_part *part);

/* "move.abort", "move.undo", "move.throttle" with 0. False: refused, or no answer. */
bool view_ask(const struct view *view, const char *method, uint64_t number);

#endif
