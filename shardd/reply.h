/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_REPLY_H
#define SHARDD_REPLY_H

/* Outcomes as responses (PROTOCOL.md "Data methods", "Errors"), packed into an output buffer. */

#include "shardd/op.h"
#include "shardd/ownership.h"

/* To a request for a point that is not owned; `status` and `entry` as ownership_judge gave them. */
void reply_not_owned(struct buffer *out, uint32_t msgid, const struct ownership *ownership,
                     enum status status, const struct map_entry *entry);

/* DATA_MISSING; the caller packs the detail and calls rpc_error_end. `entry`: NULL when there is no map. */
void reply_missing_begin(struct buffer *out, uint32_t msgid, const struct map_entry *entry);

/* `name`: of the shard, NULL if it is not known. The outcome is any but WRONG_SHARD. */
void reply_outcome(struct buffer *out, const struct op *op, const struct outcome *outcome,
                   const char *name);

#endif
