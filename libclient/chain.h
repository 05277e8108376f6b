/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_CHAIN_H
#define LIBCLIENT_CHAIN_H

/*
 * The order of the tasks of one key: each knows the one ahead of it and the one behind it. A task without
 * a key (put, mint) has neither.
 *
 *     write k ── read k ── pop k        only the first has nobody ahead: it may be sent
 */

#include "libclient/task.h"

/* Links all that are not finished, in the order given. False: no memory, nothing is linked. */
bool chain_all(struct task *tasks, size_t task_count);

/* Takes the task out of its chain. Returns the one that now may be sent, or NULL. */
struct task *chain_leave(struct task *task);

#endif
