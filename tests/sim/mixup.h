/* SPDX-License-Identifier: MIT */
#ifndef SIM_MIXUP_H
#define SIM_MIXUP_H

/*
 * What operators do wrong, at the end of a run: the disks of two servers are exchanged, or one is
 * emptied. Nobody may be told that a record is not there because of it (RULES M3); what the way
 * out promises must hold, too.
 */

#include "libclient/shardkv.h"
#include "tests/sim/scene.h"

/* In an observer's fiber, with nothing else going on. Perhaps does nothing. */
void mixup_run(struct skv *kv, const struct scene *scene);

#endif
