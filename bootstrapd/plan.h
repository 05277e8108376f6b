/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_PLAN_H
#define BOOTSTRAPD_PLAN_H

/*
 * A change of the map before it is made: the ledger as it would be, and what changes, in lines for
 * people. The present ledger stays as it is until the next one is durable (RULES M2).
 *
 * Each changed entry gets the new revision as its epoch (RULES M1); a plan that changes nothing
 * keeps the revision. One that changes only what stands beside the map is noted: written, and nobody is told.
 */

#include "bootstrapd/ledger.h"
#include "bootstrapd/text.h"

struct plan {
    struct ledger next;
    uint64_t revision;   /* of the map, once something has changed */
    bool is_changed;     /* the map */
    bool is_noted;       /* something beside it */
    bool is_recovery;    /* of a map that was behind (bootstrapd/recover.h) */
    char who[WHO_LEN];   /* asked for it; bootstrapd itself unless that was set */
    struct buffer lines; /* each ended by '\n' */
    uint32_t line_count;
};

void plan_begin(struct plan *plan, const struct ledger *present);
void plan_fini(struct plan *plan);

/* The entry has changed. */
void plan_touch(struct plan *plan, struct map_entry *entry);

/* Something beside the entries has changed. */
void plan_touch_map(struct plan *plan);

/* Something beside the map has changed. */
void plan_note(struct plan *plan);

void plan_say(struct plan *plan, const struct text *line);

/*
 * The move of an entry is in another phase; in COMMITTED, UNDO and OPENED the target is the owner, else the source.
 * False, and nothing is done, if the entry is not as `seen`: its epoch, or its move's id or phase, is another one
 * (RULES M2).
 */
bool plan_set_phase(struct plan *plan, struct map_entry *entry, const struct map_entry *seen,
                    enum move_phase phase);

/* A try of the move begins: the new revision is its id. `entry` has no move, or one that was aborted. */
void plan_begin_try(struct plan *plan, struct map_entry *entry, struct move *move);

/* It is over: the move leaves the list, and goes into the history. `reason` may be "". */
void plan_end_move(struct plan *plan, struct move *move, enum move_course course,
                   const char *reason, uint64_t now_ms);

/* The last step: what it says goes into the log of the map. */
void plan_log(struct plan *plan, uint64_t now_ms);

/* Adds the server, or brings its address up to date and raises its incarnation. */
void plan_set_server(struct plan *plan, const struct map_server *server);

/* Forgets a server that owns nothing any more. */
void plan_drop_idle_server(struct plan *plan, const uint8_t id[ID_LEN]);

/* The first line at or behind `*line`, without its end; false when there is none. Starts at {0}. */
bool plan_next_line(const struct plan *plan, struct bytes *line);

#endif
