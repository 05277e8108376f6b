/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_REBALANCE_H
#define CLI_BENCH_REBALANCE_H

/* `bench rebalance [WORKLOAD]`: what a move costs those who go on working meanwhile, and whether it loses anything. */

#include "cli/session.h"

enum exit_code bench_rebalance_run(struct session *session);

#endif
