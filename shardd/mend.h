/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_MEND_H
#define SHARDD_MEND_H

/*
 * A tree written anew from what can be read of a damaged one: the last way past that, and it loses data.
 *
 *     points   | r r r | x x | r r x r | r r |     x: a page that is no page, or a record whose checksum fails
 *     new      | r r r |     | r r   r | r r |     takes the place of the old one when it is whole and durable
 *
 * Rules:
 *  - Nothing is believed but a record whose checksums hold (RULES S10), and whose key is above the one before.
 *  - Reading a page that is no page may end in a signal: it is caught, and reading goes on behind it, where that is
 *    possible first.
 *  - How far it is swept is forgotten: all of the log is replayed, and brings back what it still has. The copy of the
 *    control state is kept, if it is whole: the log may have none (RULES S11).
 *  - Only a copy is mended, one that log salvage wrote: its records are then counted (shardd/recount.h).
 *  - What only was a page before, and has become one again by damage, may bring back what was deleted.
 */

#include <stdbool.h>
#include <stddef.h>

/* For the start of a process, before it has threads. Says what it left behind. False with `error` filled. */
bool mend_tree(const char *path, char *error, size_t error_len);

#endif
