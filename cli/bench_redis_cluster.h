/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_REDIS_CLUSTER_H
#define CLI_BENCH_REDIS_CLUSTER_H

/* What a benchmark asks of Redis Cluster beside its load: one question at a time, waiting for the answer. */

#include "cli/bench_route.h"
#include "proto/buffer.h"

/*
 * Asks with an inline command ("CLUSTER MYID") and appends the text of a status, number or bulk to `answer`. False with
 * why in `error`: nobody there, an error, or no RESP.
 */
bool bench_redis_ask(const struct address *address, const char *command, struct buffer *answer,
                     char error[256]);

/*
 * Adds the masters of the lines of CLUSTER NODES to the route, and what slots each has. False when a line is not
 * understood or out of memory.
 *
 *     ID 127.0.0.1:7001@17001,host myself,master - 0 0 1 connected 0-5460 [93->-ID] ...
 */
bool bench_redis_take_nodes(struct bytes text, struct bench_route *route);

#endif
