/* SPDX-License-Identifier: MIT */
#ifndef SIM_CHECKER_H
#define SIM_CHECKER_H

/*
 * Whether the history of a key is linearizable: whether each operation can be given one moment
 * between its asking and its answer, such that one after another they give what was answered. The
 * search is Wing and Gong's with Lowe's memory of what was tried (concurrency: practice and
 * experience 29(4), 2017). Operations without an answer may take effect at any later moment or not at all.
 *
 * The model of a key: nothing, or a number with a version; versions only grow, beyond deletions, too.
 * What has a time to live may be gone when it is over by its server's clock, and must be; in a shard that
 * evicts anything may be gone at any time. What an answer has shown to be gone is not seen again.
 * So it finds lost, doubled and reordered effects, a value popped twice, a sum that is off, an old
 * state that is seen again.
 */

#include "tests/sim/history.h"

enum checker_result { CHECKER_LINEARIZABLE, CHECKER_BROKEN, CHECKER_GAVE_UP };

/* `furthest`: when broken, the first answer that no order explains (from 1). */
enum checker_result checker_run(const struct operation *operations, uint32_t count,
                                uint32_t *furthest);

#endif
