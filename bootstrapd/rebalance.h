/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_REBALANCE_H
#define BOOTSTRAPD_REBALANCE_H

/*
 * Rebalancing: what bootstrapd/balance.h plans, of the map as it stands. Pure.
 *
 *     map, moves that wait or go, what servers hold ─> rebalance_make ─> plan for people
 *                                                          └─> rebalance_queue ─> moves that wait, in the ledger
 *
 * The task is its moves: they are in the ledger, so that it goes on after any crash, and each begins when its servers
 * have no other (bootstrapd/conduct.h). What moves already counts as if it had arrived. A draining server is emptied
 * without being asked, and with `--auto-rebalance` so is what is 10 % off brought back.
 */

#include "bootstrapd/balance.h"
#include "bootstrapd/cluster.h"

/* Taken for the rate where none was seen yet: half of a common disk's. */
#define REBALANCE_BYTES_PER_S UINT64_C(50000000)

/* Who asked for a move: what bootstrapd does by itself, and what `rebalance.stop` calls off. */
#define REBALANCE_WHO       "rebalance"
#define REBALANCE_WHO_DRAIN "drain"

struct rebalance_wish {
    enum balance_by by;
    bool is_patient, is_only_draining; /* as in struct balance_cluster */
    const char *who;                   /* of the moves */
};

struct rebalance {
    struct rebalance_wish wish;
    struct balance_server *servers; /* parallel to the map's */
    bool *is_away;                  /* likewise: it owns nothing, and is left out */
    struct balance_range *ranges;
    uint32_t range_count;
    struct balance_plan plan;
    uint64_t bytes_per_s; /* of the last moves that were done, else REBALANCE_BYTES_PER_S */
    uint64_t seconds;     /* about; for all of it */
};

/*
 * STATUS_OK: *rebalance is the caller's, and its plan may be empty; it is of the cluster's present ledger. Else *why: a
 * server that owns something, or is to get it, is away, or has not yet told what it holds. One that is away and empty
 * gets nothing.
 */
enum status rebalance_make(const struct cluster *cluster, const struct rebalance_wish *wish,
                           struct rebalance *rebalance, struct text *why);
void rebalance_fini(struct rebalance *rebalance);

/*
 * Appends the result of `rebalance.plan` and `rebalance.run` (PROTOCOL.md). `first`: number of its first move that is
 * queued; 0: none is.
 */
void rebalance_pack(const struct rebalance *rebalance, const struct map *map, uint64_t first,
                    uint32_t queued_count, struct buffer *out);

/* Adds its moves to the plan's ledger, and a line. Returns how many there was room for; the others another plan finds. */
uint32_t rebalance_queue(const struct rebalance *rebalance, struct plan *plan, uint64_t now_ms);

/* Ends the moves of REBALANCE_WHO that wait; those under way go on. Returns how many. */
uint32_t rebalance_stop(struct plan *plan, uint64_t now_ms);

/*
 * What is to be done unasked: a draining server that owns what does not move yet, or, with `is_auto` and nothing moving,
 * what is off. False: nothing, and no plan.
 */
bool rebalance_next(const struct cluster *cluster, bool is_auto, uint64_t now_ms,
                    struct plan *plan);

/* The options of `rebalance.plan` and `rebalance.run`: nothing, or {"by": "bytes" | "load"}. False when another. */
bool rebalance_unpack_options(struct unpack *in, uint32_t param_count, enum balance_by *by);

#endif
