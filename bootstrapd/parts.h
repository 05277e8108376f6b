/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_PARTS_H
#define BOOTSTRAPD_PARTS_H

/*
 * Splits a shard in a plan, and joins what was split before: changes of the map alone (RULES V8).
 *
 *     |        a  1GiB          |    split     |      a  768MiB   | a.1  256MiB |
 *     |                         |   <─────>    |                  |             |
 *     start                   end     join     start            bound         end
 *
 * The larger part keeps the name, the other becomes NAME.N, with the first N that is free (so does that of a NAME.M); where
 * they join the shorter name stays. Sizes are shared, the sum is unchanged: by width when the shard is split; once the
 * owner has counted them each gets what it holds, and what is free still goes by width: of a shard with few records, by
 * chance all in one part, the other must hold more than these, too. An entry with a move is neither split nor joined
 * (RULES M2); one whose move was aborted has none.
 */

#include "bootstrapd/plan.h"

/*
 * At a bound inside the entry; its parts are then the entries `index` and `index` + 1. False: *why says what is in the
 * way, and nothing is done.
 */
bool parts_split(struct plan *plan, uint32_t index, uint64_t bound, struct text *why);

/* Whether the entries `index` and `index` + 1 are parts of one shard that may join now. */
bool parts_may_join(const struct ledger *ledger, uint32_t index);

void parts_join(struct plan *plan, uint32_t index);

/* Gives the two neighbours' sizes anew, by what they hold and by their widths; where they hold more than all, by bytes alone. */
void parts_share_size(struct plan *plan, uint32_t index, uint64_t bytes, uint64_t next_bytes);

#endif
