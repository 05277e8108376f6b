/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_ANSWER_H
#define LIBCLIENT_ANSWER_H

/* What a server's answer to a task brings: the record, a newer map, the detail of an error. */

#include "libclient/cluster.h"
#include "libclient/result.h"
#include "libclient/task.h"

/* Of success: into task->record, or, for TASK_MAP, the route. */
enum result answer_take_result(struct cluster *cluster, struct task *task, struct bytes encoded);

/* Of CONDITION and FULL: into the task. */
void answer_take_detail(struct task *task, const struct rpc_message *message);

/*
 * Of WRONG_SHARD: the entry that came with it, if it is newer than what the map has. True when the
 * map now names another server than the one that answered.
 */
bool answer_take_owner(struct cluster *cluster, const struct task *task, struct bytes detail);

#endif
