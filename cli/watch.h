/* SPDX-License-Identifier: MIT */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

/*
 * Looks at moves until they are over: a line on a terminal that is written over and over, or with --json an object for each
 * look. Who stops looking (Ctrl-C) stops nothing else.
 */

#include "cli/moving.h"
#include "cli/session.h"

/* Prints what came of it. Done: EXIT_CODE_DONE; over in another way: EXIT_CODE_REFUSED, as nothing has moved. */
enum exit_code watch_move(struct session *session, uint64_t number);

/* The same for `count` moves with numbers from `first` on, one behind the other. */
enum exit_code watch_moves(struct session *session, uint64_t first, uint64_t count);

#endif
