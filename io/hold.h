/* SPDX-License-Identifier: MIT */
#ifndef IO_HOLD_H
#define IO_HOLD_H

/*
 * What of a connection's output must wait, and for what.
 *
 *     sent | free to leave | waits for 7 | waits for 9 | waits, too
 *          ^               ^             ^             ^
 *       position        free_end       mark 7        mark 9            positions in the stream
 *
 * With no mark all is free. The first mark needs no memory: most hold one, or none.
 * Inside io and its simulated body.
 */

#include <stdbool.h>
#include <stdint.h>

/* What would be one more waits together with the last: marks take 128 KiB at most. */
#define HOLD_MARK_MAX 4096

struct hold_mark {
    uint64_t end; /* all before it waits for the ticket */
    uint64_t ticket;
};

struct hold {
    uint64_t free_end; /* counts only while there are marks */
    uint32_t count;
    uint32_t start;    /* of those in `more` */
    uint32_t capacity; /* of `more`; 0: `only` is the mark */
    struct hold_mark only;
    struct hold_mark *more;
};

/* The zero value holds nothing. */
void hold_fini(struct hold *hold);

static inline bool hold_is_empty(const struct hold *hold)
{
    return hold->count == 0;
}

/*
 * All before `end` waits for `ticket`, which is not released yet; but what is before `free_end` left to
 * itself before. An earlier ticket than that of a mark changes nothing for what follows the mark.
 */
void hold_add(struct hold *hold, uint64_t free_end, uint64_t end, uint64_t ticket);

/* True: more than before is free. */
bool hold_release(struct hold *hold, uint64_t ticket);

#endif
