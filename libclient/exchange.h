/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_EXCHANGE_H
#define LIBCLIENT_EXCHANGE_H

/*
 * The engine of every call: runs a set of tasks to their ends, all servers at once.
 *
 *     tasks ── by owner ──> lanes (libclient/lane.h) ──> wires, pipelined
 *       ^                                                  │ replies, losses
 *       └──── resend, wait, map fetched <── verdict <──────┘
 *
 * Rules:
 *  - Of the tasks of one key only the oldest unfinished one is out: whatever is refused, redirected
 *    or lost, they take effect in order (RULES R2).
 *  - Each task ends by its deadline.
 *  - It waits in net_wait, for the pool only when it holds no connection and needs one server's:
 *    two calls never wait for each other.
 */

#include "libclient/cluster.h"
#include "libclient/task.h"

/* Tasks already finished stay as they are. Out of memory shows in the tasks. */
void exchange_run(struct cluster *cluster, struct task *tasks, size_t task_count);

#endif
