/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_RECOVER_H
#define BOOTSTRAPD_RECOVER_H

/*
 * The map of a bootstrapd that is behind its servers, put together from what they hold (RULES M4). Pure.
 *
 *     server a   |  low 12   |   high 9    |
 *     server b   |  low 12   |   high 14   |     each a patchwork by epoch
 *     own map    |  low 3    |   high 3    |
 *     recovered  |  low 12   |   high 14   |     and all of it gets a new epoch, far above 14
 *
 * Rules:
 *  - Point by point the newest epoch holds (M1); of equal ones that of a server. The list of servers is that of the
 *    highest revision.
 *  - Every entry gets the new revision as its epoch, and that is so far above all that was seen, the term likewise, that
 *    what the lost bootstrapd gave to nobody who is here, or would give if it came back, is never taken for newer:
 *    a server that comes back later follows this map, and the lost directory is refused.
 *  - A move goes on at the phase that the entry tells. Which others wait, or were called off, no server knows: they end.
 *  - Not while another bootstrapd is at work, nor, unless that is accepted, without a server that either list names:
 *    it may have been given a range of which nobody else knows. Nor from nobody: that none is ahead is said only when
 *    all, or, if that is accepted, some of them have answered.
 */

#include "bootstrapd/cluster.h"

/* More changes than a cluster sees between a copy and its use; and in `map log` it shows where it was. */
#define RECOVER_REVISIONS UINT64_C(1000000)

/* Starts of the lost directory that servers refuse, should it be found. */
#define RECOVER_TERMS UINT64_C(1000)

/* What is known of an address that was asked. */
struct recover_answer {
    struct address address;
    bool is_there; /* a server of this cluster, or of none yet, said hello */
    struct site_hello hello;
    struct map map; /* revision 0: it has none */
};

struct recover_answers {
    struct recover_answer *items;
    uint32_t count;
};

void recover_answers_fini(struct recover_answers *answers);

/*
 * STATUS_OK: *plan is the caller's, and changes nothing where nobody is ahead. Else *why: DENIED (another bootstrapd, or
 * servers that are not there, which are named, or all of them), CONFLICT (what they hold makes no map).
 */
enum status recover_plan(const struct cluster *cluster, const struct recover_answers *answers,
                         bool accepts_missing, uint64_t now_ms, struct plan *plan,
                         struct text *why);

#endif
