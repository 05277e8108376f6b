/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_PLAN_H
#define BOOTSTRAPD_PLAN_H

/*
 * A change of the map before it is made: the ledger as it would be, and what changes, in lines for
 * people. The present ledger stays as it is until the next one is durable (RULES M2).
 *
 * Each changed entry gets the new revision as its epoch (RULES M1); a plan that changes nothing
 * keeps the revision.
 */

#include "bootstrapd/ledger.h"
#include "bootstrapd/text.h"

struct plan {
    struct ledger next;
    uint64_t revision;   /* of the map, once something has changed */
    bool is_changed;     /* the map */
    struct buffer lines; /* each ended by '\n' */
    uint32_t line_count;
};

void plan_begin(struct plan *plan, const struct ledger *present);
void plan_fini(struct plan *plan);

/* The entry has changed. */
void plan_touch(struct plan *plan, struct map_entry *entry);

/* Something beside the entries has changed. */
void plan_touch_map(struct plan *plan);

void plan_say(struct plan *plan, const struct text *line);

/* Adds the server, or brings its address up to date and raises its incarnation. */
void plan_set_server(struct plan *plan, const struct map_server *server);

/* Forgets a server that owns nothing any more. */
void plan_drop_idle_server(struct plan *plan, const uint8_t id[ID_LEN]);

/* The first line at or behind `*line`, without its end; false when there is none. Starts at {0}. */
bool plan_next_line(const struct plan *plan, struct bytes *line);

#endif
