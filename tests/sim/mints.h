/* SPDX-License-Identifier: MIT */
#ifndef SIM_MINTS_H
#define SIM_MINTS_H

/*
 * Which ids the servers gave, and which of them somebody was told (RULES I). It stands between a server and its minter
 * (the linker's --wrap), so it knows what was given and never told, too, and in what order.
 *
 *     a server -> minter_mint          each id: new in the whole run, above all that this server gave of the slice,
 *         <- ids, or not yet, or never     its point served here and in the range that it was asked for
 *                                      not behind what it has reserved, now and after each start
 *     a client <- ids                  each id: given by a server, told to nobody else
 *
 * A slice grows at each of its points, too, over moves: what is given is above all that was given in the slice by
 * whoever served that point when he gave it. Looked at where parts begin.
 */

#include "tests/sim/scene.h"

void mints_begin(const struct scene *scene);
void mints_end(void);

/* A client has these for itself: in growing order. */
void mints_tell(const uint64_t *ids, size_t id_count);

/* A record was written with an id that nobody asked for: from now on it is not given. */
void mints_bring(uint64_t id);

bool mints_is_given(uint64_t id);

/* So often a server refused for its clock, or let somebody wait until that has caught up. */
uint64_t mints_refused(void);

#endif
