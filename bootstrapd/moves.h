/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_MOVES_H
#define BOOTSTRAPD_MOVES_H

/*
 * The moves that were asked for: what people see of them, and what bootstrapd must not forget beside the map.
 *
 *     asked ─> WAITING ─> GOING: one try after another ─> DONE | ABORTED | UNDONE | FAILED ─> history
 *                            each has an id of its own, which the map's entry has, too
 *
 * A move is named by its number, which stays; ids change with the tries (RULES V3). It is the interval that moves:
 * names of shards change, and its shard is split when its turn has come.
 */

#include "proto/move.h"

enum move_course {
    COURSE_WAITING = 0,
    COURSE_GOING = 1, /* some entry of the map has, or had, its id */
    COURSE_DONE = 2,
    COURSE_ABORTED = 3,
    COURSE_UNDONE = 4,
    COURSE_FAILED = 5,
};

#define COURSE_LAST COURSE_FAILED

/* What people ask of one that goes on. */
enum move_wish {
    WISH_NONE = 0,
    WISH_ABORT = 1,
    WISH_UNDO = 2,      /* unless the target has opened */
    WISH_UNDO_LOSS = 3, /* whatever the target has: it is given up */
};

#define WISH_LAST WISH_UNDO_LOSS

/* Who asked: an address, or what bootstrapd does by itself. Longer ones are cut. */
enum { WHO_LEN = 64 };

struct move {
    uint64_t number; /* from 1, in the order of asking */
    uint64_t id;     /* of the last try; 0: none yet */
    char shard[NAME_LEN_MAX + 1];
    uint64_t start, end; /* bounds */
    uint8_t source[ID_LEN], target[ID_LEN];
    enum move_course course;
    enum move_wish wish;
    bool is_paused;       /* as in move_pace */
    bool is_forced;       /* however far the clocks are apart (RULES V9) */
    bool is_cut;          /* a shard was split for it, and it has not begun since */
    uint64_t bytes_per_s; /* likewise */
    uint32_t try_count;
    uint64_t asked_ms, begun_ms, ended_ms; /* since 1970; 0: not yet */
    uint64_t not_before_ms;                /* the next try */
    uint64_t records, bytes;               /* that have gone over */
    uint64_t hold_us[MOVE_HOLD_COUNT];
    char who[WHO_LEN];
    char reason[MOVE_TEXT_LEN]; /* why the last try came to nothing, or why it does not begin */
};

/* WAITING and GOING ones of a cluster. */
#define MOVES_MAX 1024

/* By number. The zero value has none. */
struct moves {
    struct move *items;
    uint32_t count;
};

/* Memory: ends the process when there is none. */
void moves_fini(struct moves *moves);
void moves_copy(const struct moves *moves, struct moves *copy);
void moves_add(struct moves *moves, const struct move *move);
void moves_drop(struct moves *moves, uint32_t index);

/* NULL: none. Valid until the list changes. */
struct move *moves_find(const struct moves *moves, uint64_t number);
struct move *moves_find_id(const struct moves *moves, uint64_t id);

/* Whether one that waits or goes has a point in common with [start, end). */
bool moves_touch(const struct moves *moves, uint64_t start, uint64_t end);

void moves_pack(const struct moves *moves, struct buffer *out);
void move_pack(const struct move *move, struct buffer *out);
void move_unpack(struct unpack *in,
                 struct move *move); /* *move must be zero; a fault sticks in `in` */

/* False when malformed, or more than `max`; *moves is then untouched. */
bool moves_unpack(struct unpack *in, uint32_t max, struct moves *moves);

/* The one entry that has all of the move's range; NULL: there is none. Valid until the map changes. */
const struct map_entry *move_find_entry(const struct move *move, const struct map *map);

/* "waiting", "done". Static storage. */
const char *move_course_text(enum move_course course);

/* Cuts what does not fit. */
void move_set_text(char *to, size_t size, const char *text);

#endif
