/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_ADMIN_H
#define BOOTSTRAPD_ADMIN_H

/*
 * What a person asks for: to apply an edited map, to give up a lost shard. Pure: the plan that
 * follows, or why not.
 */

#include "bootstrapd/cluster.h"

/*
 * The plan that makes the present map what `json` says. Settings, names and the addresses of
 * servers may differ; bounds and owners may not: that is a move. STATUS_OK: *plan is the caller's,
 * and may change nothing but the hash of the text. Else *why says what and where.
 */
enum status admin_plan_apply(const struct cluster *cluster, struct bytes json, struct plan *plan,
                             struct text *why);

/*
 * The plan that gives the shard, empty, to the server that is now at its address (RULES M3). Only
 * where its data is missing. STATUS_OK: *plan is the caller's; else *why.
 */
enum status admin_plan_reset(const struct cluster *cluster, struct bytes name, struct plan *plan,
                             struct text *why);

#endif
