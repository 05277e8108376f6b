/* SPDX-License-Identifier: MIT */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

/*
 * What must hold at each moment, and what is looked for in all that anybody says:
 *
 *  - at most one server serves a point;
 *  - a map tiles the circle; what one source says has revisions and epochs that only grow (RULES
 *    M1), over its restarts, too; an epoch has one owner, whoever says it;
 *  - a server's incarnation is raised with each start (RULES M4);
 *  - what was acknowledged is there: the keys' histories are linearizable.
 */

#include "tests/sim/scene.h"

void oracle_begin(const struct scene *scene);
void oracle_end(void);

/* After each step. */
void oracle_check_serving(const struct scene *scene);

/* `source`: an index of a daemon. */
void oracle_see_map(uint32_t source, const struct map *map);

/* What a server says of itself; `start_count` starts of it have succeeded by now. */
void oracle_see_incarnation(uint32_t source, uint64_t incarnation, uint32_t start_count);

/* Of all keys; at the end. */
void oracle_check_histories(void);

#endif
