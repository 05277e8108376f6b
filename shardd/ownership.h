/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_OWNERSHIP_H
#define SHARDD_OWNERSHIP_H

/*
 * Who this server is, what it knows of the map, and which ranges it owns. Pure.
 *
 *     map       |  low: me  |  mid: me, new  |  high: another  |
 *     before    |  owned    |                |                 |
 *     taken     |  owned    |  owned, empty  |                 |
 *
 * An entry that names this server is owned where the server owned already, and where the entry
 * says `new`; else the data that the map expects is missing (RULES M3). What the map no longer gives
 * to this server is closed at once, and its data stays. Epochs are compared point by point (M1).
 *
 * A restored copy serves nothing once a bootstrapd has greeted it with the start that it saw last
 * (M4). That is not durable: started again, it serves what it owned until it is greeted again.
 * And what was acknowledged in a start that no bootstrapd has seen is not missed.
 */

#include "proto/map.h"
#include "proto/status.h"
#include "shardd/moving.h"
#include "shardd/range.h"

/*
 * A server that was started more often than this while no bootstrapd saw it can no longer show that it
 * is the one that was seen, and is taken for a restored copy.
 */
#define STARTS_MAX 256

struct ownership {
    uint8_t server[ID_LEN];
    uint8_t cluster[ID_LEN]; /* zero before it has one */
    uint64_t incarnation;    /* raised at each start (RULES M4) */
    uint64_t
        starts[STARTS_MAX]; /* a random number for each of the last starts, this one at the end */
    uint32_t start_count;
    uint8_t instance[ID_LEN]; /* of the bootstrapd whose push was taken last; zero: none yet */
    uint64_t term;            /* its highest */
    struct map map;           /* revision 0: none yet */
    struct range *ranges;     /* owned; by start, each within one entry */
    uint32_t range_count;
    struct movings movings; /* what moves have left here, or are bringing */

    /* Not durable: what a bootstrapd said last. */
    uint8_t expected[ID_LEN]; /* the server that it expects at this address; zero: none */
    bool has_stranger;        /* one of another cluster was here, and none of its own since */
    bool is_restored;         /* it has seen a start of this server that is not in this data */
};

void ownership_fini(struct ownership *ownership);

/* Ends the process when out of memory. */
void ownership_copy(const struct ownership *ownership, struct ownership *copy);

/* This is one more start, with a random number of its own. */
void ownership_start(struct ownership *ownership, uint64_t start);

/*
 * Whether this data knows of the start that a bootstrapd saw (RULES M4). Else it is a restored copy: an
 * older one, or one that went another way since, however often each was started. `start` 0: of a
 * version that drew none.
 */
bool ownership_has_started(const struct ownership *ownership, uint64_t incarnation, uint64_t start);

/*
 * What an account is kept of, for free(): what is owned, FROZEN where it is, and what moves hold here, by start.
 * What is going is not among it.
 */
struct range *ownership_held(const struct ownership *ownership, uint32_t *count);

/* The owned range that the point is in, or NULL. */
const struct range *ownership_find(const struct ownership *ownership, uint64_t point);

/* Highest epoch taken; 0 without a map. */
uint64_t ownership_epoch(const struct ownership *ownership);

/*
 * STATUS_OK if this server owns the point, else what a request for it is answered. *entry: what the
 * map says about the point, or NULL.
 */
enum status ownership_judge(const struct ownership *ownership, uint64_t point,
                            const struct map_entry **entry);

/* A name for `stat`: "no map", "wrong cluster", "restored copy", "data missing", "serving". */
const char *ownership_state(const struct ownership *ownership);

/* Whether all of the entry is owned here. */
bool ownership_holds(const struct ownership *ownership, const struct map_entry *entry);

/* Whether it is marked new, and is this server's and open: what bootstrapd waits to hear (RULES M3). */
bool ownership_has_opened(const struct ownership *ownership, const struct map_entry *entry);

/* Whether it is this server's, and what the map expects is not all here (RULES M3). */
bool ownership_misses(const struct ownership *ownership, const struct map_entry *entry);

/* Who pushes, of which instance and term. */
struct bootstrap {
    uint8_t instance[ID_LEN];
    uint64_t term;
};

bool bootstrap_equal(const struct bootstrap *a, const struct bootstrap *b);

enum ownership_took {
    OWNERSHIP_SAME,     /* nothing changes */
    OWNERSHIP_CHANGED,  /* to be made durable before it is acted on */
    OWNERSHIP_CONFLICT, /* pieces of that map and of the one held make none */
};

/*
 * What becomes of `ownership` with the map that `from` pushes. *next is untouched unless
 * OWNERSHIP_CHANGED. The map's cluster must be this server's, or this server has none.
 */
enum ownership_took ownership_take(const struct ownership *ownership, const struct map *pushed,
                                   const struct bootstrap *from, struct ownership *next);

/* --- this server's own steps in a move (RULES V). False: it is not at that step, and *next is untouched. --- */

/* The source's: requests wait from here on; `sum` is what the target must have. */
bool ownership_freeze(const struct ownership *ownership, uint64_t id, const struct range_sum *sum,
                      struct ownership *next);

/* The target's, in what the map says is COPY for it: BEGIN. Not while anything of another move is there (RULES V2). */
bool ownership_import(const struct ownership *ownership, uint64_t id, struct ownership *next);

/* All has come. */
bool ownership_ready(const struct ownership *ownership, uint64_t id, const struct range_sum *sum,
                     struct ownership *next);

/* The source's, in what the map says is OPENED: DELETED. */
bool ownership_delete(const struct ownership *ownership, uint64_t id, struct ownership *next);

/* Nothing of it is left. */
bool ownership_deleted(const struct ownership *ownership, uint64_t id, struct ownership *next);

/* Whether it was this server's until its move, which goes on, gave it to another. */
bool ownership_has_handed_over(const struct ownership *ownership, const struct map_entry *entry);

/* The entry whose move has that id; NULL: none. */
const struct map_entry *ownership_find_move(const struct ownership *ownership, uint64_t id);

#endif
