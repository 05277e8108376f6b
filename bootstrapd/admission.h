/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_ADMISSION_H
#define BOOTSTRAPD_ADMISSION_H

/*
 * Whether a move may begin, whatever else goes on: both servers are there, the target has room, clocks agree. Pure.
 *
 *     asked for, its turn has come ─> admission_check ─┬─> OK         *why: what people should know
 *                                                      ├─> TRY_LATER  a server is down: it waits
 *                                                      └─> DENIED     no room (RULES V8), clocks (V9): it fails
 */

#include "bootstrapd/cluster.h"

/* Clocks of source and target: a difference that is told, and one that needs force (RULES V9). */
#define ADMISSION_CLOCK_TOLD_MS    1000
#define ADMISSION_CLOCK_REFUSED_MS 60000

/* The source's last stamp ahead of the target's clock, likewise: a crash a second lifts it for hours (RULES N2). */
#define ADMISSION_STAMP_TOLD_MS    600000
#define ADMISSION_STAMP_REFUSED_MS 86400000

/* *why: of any refusal; with STATUS_OK perhaps empty. */
enum status admission_check(const struct cluster *cluster, const struct move *move,
                            struct text *why);

#endif
