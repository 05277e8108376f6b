/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_MOVING_H
#define SHARDD_MOVING_H

/*
 * This server's part in the moves of ranges, as its control state has it, and what becomes of it (RULES V). Pure.
 *
 *     OUT ──> IMPORT ──> READY ──> owned ──> FROZEN ──> CLOSED ──> DELETING ──> OUT
 *              └──────────┴─> DELETING           ^<────────┴─ given back
 *
 * What is neither owned nor noted here is OUT. A source that copies is owned and no more: started again it does not
 * know how far it was, and the move begins anew (V3).
 *
 *     the map, of a higher epoch, says                    noted        becomes
 *     mine      COPY of the same move                     FROZEN       FROZEN
 *     mine      any other                                 FROZEN       owned
 *     mine                                                CLOSED       owned: nothing has changed since
 *     mine      COMMITTED, the same move                  READY        owned
 *     mine      UNDO, the same move                       READY        READY, and no earlier epoch opens it
 *     mine      any other                                 IMPORT, READY, DELETING   as it was: data is missing
 *     another's                                           FROZEN       CLOSED
 *     another's COPY of the same move                     IMPORT, READY             as it was
 *     another's any other                                 IMPORT, READY             DELETING
 *     another's                                           CLOSED, DELETING          as it was
 *
 * An entry with a move is neither split nor joined, so what is noted of a move that goes on covers its entry.
 */

#include "proto/map.h"
#include "proto/range_sum.h"

enum moving_state {
    MOVING_FROZEN = 1,   /* source: owned; operations wait */
    MOVING_CLOSED = 2,   /* source: another's; the copy is kept */
    MOVING_DELETING = 3, /* either: what is here goes */
    MOVING_IMPORT = 4,   /* target: what comes is nobody's yet */
    MOVING_READY = 5,    /* target: all has come; operations wait */
};

struct moving {
    uint64_t id;         /* map_move's */
    uint64_t start, end; /* bounds */
    enum moving_state state;
    struct range_sum sum; /* FROZEN, CLOSED, READY: of all that the target must have */
};

/* Of one server, those that go included. */
#define MOVING_MAX 1024

struct movings {
    struct moving *items; /* in no order; only DELETING may overlap another */
    uint32_t count;
};

/* Ends the process when out of memory. */
void movings_copy(const struct movings *movings, struct movings *copy);
void movings_fini(struct movings *movings);

void movings_add(struct movings *movings, const struct moving *moving);
void movings_drop(struct movings *movings, struct moving *moving);

/* By the move's id and state; NULL: none. */
struct moving *movings_find(const struct movings *movings, uint64_t id, enum moving_state state);

/* The one in which the bound is and that is no DELETING; NULL: none. */
struct moving *movings_at(const struct movings *movings, uint64_t bound);

/* Whether any, DELETING included, has a point in common with [start, end). */
bool movings_touch(const struct movings *movings, uint64_t start, uint64_t end);

/* A CLOSED one that has a point in common with [start, end); NULL: none. */
const struct moving *movings_find_closed(const struct movings *movings, uint64_t start,
                                         uint64_t end);

enum moving_fate {
    MOVING_STAYS,   /* in the state that it then has */
    MOVING_IS_OWNED /* it is to be struck, and its range is owned */
};

/* The table above; `entry` is the one in which `moving` is. DELETING stays what it is. */
enum moving_fate moving_follow(struct moving *moving, const struct map_entry *entry,
                               const uint8_t server[ID_LEN]);

/* For people. */
const char *moving_state_text(enum moving_state state);

#endif
