/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_CONTROL_H
#define SHARDD_CONTROL_H

/*
 * The durable control state: what a server must know again when it starts. Sealed (shardd/seal.h):
 *
 *     [server, cluster, incarnation, instance, term, map or nil, [start, end, ...] of owned ranges,
 *      [random number of each of the last starts, ...]]       the last is not in older ones
 */

#include "shardd/ownership.h"

/* Ends the process when out of memory. Replaces what is in `out`. */
void control_encode(const struct ownership *ownership, struct buffer *out);

/* False with `error` filled; *ownership is then untouched. */
bool control_decode(struct bytes stored, struct ownership *ownership, char *error,
                    size_t error_len);

#endif
