/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_HISTORY_H
#define BOOTSTRAPD_HISTORY_H

/*
 * What was done, for people: the log of the map, and the moves that are over.
 *
 *     whole     the last 1,000 of each, in memory, and in a file that is written when there is time
 *     recent    what that file does not have yet: a part of the ledger, so that it is durable with the change
 *
 * Both together are small where it matters: a commit writes the ledger while requests are held. Items have numbers
 * from one count, by which what both have is told from what only the ledger has.
 */

#include "bootstrapd/moves.h"

#define HISTORY_MAX 1000

/* Of lines, or moves, as bytes: what has more was not written by this version. */
#define HISTORY_READ_MAX (4 * HISTORY_MAX)

enum { HISTORY_TEXT_LEN = 256 };

struct history_line {
    uint64_t number;
    uint64_t revision;
    uint64_t at_ms; /* since 1970 */
    char who[WHO_LEN];
    char text[HISTORY_TEXT_LEN];
};

struct history_move {
    uint64_t number;
    struct move move;
};

/* Oldest first. The zero value is empty. */
struct history {
    struct history_line *lines;
    uint32_t line_count;
    struct history_move *moves;
    uint32_t move_count;
};

void history_fini(struct history *history);
void history_copy(const struct history *history, struct history *copy);

/* Takes no notice of a bound: that is history_join's. */
void history_add_line(struct history *history, const struct history_line *line);
void history_add_move(struct history *history, const struct history_move *move);

/* The highest number; 0 when empty. */
uint64_t history_last(const struct history *history);

/* Gives up the oldest lines and moves above HISTORY_MAX. */
void history_trim(struct history *history);

/* Puts what is newer in `recent` behind what `whole` has, and trims that. */
void history_join(struct history *whole, const struct history *recent);

/* Gives up all up to `number`, but for the last moves, whose rate tells what the next ones will take. */
#define HISTORY_MOVES_KEPT 8
void history_forget(struct history *history, uint64_t number);

void history_pack(const struct history *history, struct buffer *out);

/* False when malformed, or more than HISTORY_READ_MAX; *history is then untouched. */
bool history_unpack(struct unpack *in, struct history *history);

#endif
