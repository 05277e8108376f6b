/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_CARVE_H
#define BOOTSTRAPD_CARVE_H

/*
 * What is left of each range while pieces are cut off its ends (bootstrapd/balance.h). Pure.
 *
 *     range 1                                      range 2
 *     |  piece to C  |      rest      |  piece to B  |  rest ...
 *     edge           ^ beside         ^ beside       ^ edge: B
 *
 * A part that is four times as hot as the mean of its range is given whole or not at all: where in it the heat is,
 * nobody knows, and who cuts it again and again carries it to and fro.
 */

#include "bootstrapd/balance.h"

#define CARVE_NOBODY UINT32_MAX

enum carve_side { CARVE_BEGINNING, CARVE_END };

/* Indexes by enum carve_side. */
struct carve_rest {
    uint64_t start, end; /* equal: nothing is left */
    double weight;
    bool is_stiff;    /* cannot be cut as finely as was asked for */
    uint32_t edge[2]; /* who has the outermost piece there */
    uint32_t
        beside[2]; /* who has the piece beside the rest; meaningless while it reaches to the edge */
    uint32_t move[2]; /* of that piece */
};

struct carve {
    const struct balance_cluster *cluster;
    struct carve_rest *rests;  /* one for each range */
    struct balance_plan *plan; /* takes the moves */
};

/* `cluster` and `plan` must outlive it. */
void carve_init(struct carve *carve, const struct balance_cluster *cluster,
                struct balance_plan *plan);
void carve_fini(struct carve *carve);

/* Of a whole range. */
double carve_range_weight(const struct balance_cluster *cluster, uint32_t range);

/* Who owns what borders on the rest of the range there. CARVE_NOBODY at the ends of the circle. */
uint32_t carve_neighbour(const struct carve *carve, uint32_t range, enum carve_side side);

/* The weight of the largest piece there of at most `amount`; *bound: up to, or from, where. */
double carve_reach(const struct carve *carve, uint32_t range, enum carve_side side, double amount,
                   uint64_t *bound);

/* Gives the piece there up to, or from, `bound` to the server; joins it with the one that it has there. Returns its weight. */
double carve_take(struct carve *carve, uint32_t range, enum carve_side side, uint64_t bound,
                  uint32_t target);

#endif
