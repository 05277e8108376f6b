/* SPDX-License-Identifier: MIT */
#include "bootstrapd/carve.h"

#include <stdlib.h>

#include "io/memory.h"

/* Times the mean of its range. */
#define HOT 4.0

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double not_below_zero(double a)
{
    return a > 0 ? a : 0;
}

/* How much of a hot part counts as before a bound within it. */
enum hot_rule { HOT_EVEN, HOT_NONE, HOT_ALL };

/* --- where in a range its weight is --- */

static const struct balance_range *range_of(const struct carve *carve, uint32_t range)
{
    return &carve->cluster->ranges[range];
}

static double sum_parts(const uint64_t *parts)
{
    double sum = 0;
    for (uint32_t i = 0; parts && i < BALANCE_PARTS; i++) {
        sum += (double)parts[i];
    }
    return sum;
}

/* The share of the range's points that is before the bound, from 0 to 1. */
static double points_before(const struct balance_range *range, uint64_t bound)
{
    return (double)(bound - range->start) / (double)(range->end - range->start);
}

static double part_before(double part, double sum, double share, enum hot_rule rule)
{
    bool is_hot = part * BALANCE_PARTS > HOT * sum;
    if (!is_hot || rule == HOT_EVEN || share >= 1) {
        return part * share;
    }
    return rule == HOT_ALL ? part : 0;
}

/* The share of the range's weight that is before the bound, from 0 to 1. */
static double weight_before(const struct balance_range *range, uint64_t bound, enum hot_rule rule)
{
    double sum = sum_parts(range->parts);
    double place = points_before(range, bound) * BALANCE_PARTS;
    double before = 0;
    if (sum <= 0) {
        return place / BALANCE_PARTS;
    }
    for (uint32_t i = 0; i < BALANCE_PARTS && place > (double)i; i++) {
        before += part_before((double)range->parts[i], sum, smaller(place - (double)i, 1), rule);
    }
    return before / sum;
}

double carve_range_weight(const struct balance_cluster *cluster, uint32_t range)
{
    const struct balance_range *whole = &cluster->ranges[range];
    return (double)(cluster->by == BALANCE_BYTES ? whole->bytes : whole->load);
}

static double weight_between(const struct carve *carve, uint32_t range, uint64_t from, uint64_t to)
{
    const struct balance_range *whole = range_of(carve, range);
    return carve_range_weight(carve->cluster, range) *
           (weight_before(whole, to, HOT_EVEN) - weight_before(whole, from, HOT_EVEN));
}

/* Bytes lie evenly unless they are what the parts tell of. */
static uint64_t bytes_between(const struct carve *carve, uint32_t range, uint64_t from, uint64_t to)
{
    const struct balance_range *whole = range_of(carve, range);
    double share = points_before(whole, to) - points_before(whole, from);
    if (carve->cluster->by == BALANCE_BYTES) {
        share = weight_before(whole, to, HOT_EVEN) - weight_before(whole, from, HOT_EVEN);
    }
    return (uint64_t)((double)whole->bytes * not_below_zero(share) + 0.5);
}

/* --- what is left --- */

void carve_init(struct carve *carve, const struct balance_cluster *cluster,
                struct balance_plan *plan)
{
    *carve = (struct carve){.cluster = cluster, .plan = plan};
    carve->rests = memory_get(cluster->range_count, sizeof(*carve->rests));
    for (uint32_t i = 0; i < cluster->range_count; i++) {
        const struct balance_range *range = &cluster->ranges[i];
        carve->rests[i] = (struct carve_rest){
            .start = range->start,
            .end = range->end,
            .weight = carve_range_weight(cluster, i),
            .edge = {range->owner, range->owner},
        };
    }
}

void carve_fini(struct carve *carve)
{
    free(carve->rests);
    *carve = (struct carve){0};
}

static bool is_at_edge(const struct carve *carve, uint32_t range, enum carve_side side)
{
    const struct carve_rest *rest = &carve->rests[range];
    const struct balance_range *whole = range_of(carve, range);
    return side == CARVE_BEGINNING ? rest->start == whole->start : rest->end == whole->end;
}

uint32_t carve_neighbour(const struct carve *carve, uint32_t range, enum carve_side side)
{
    if (!is_at_edge(carve, range, side)) {
        return carve->rests[range].beside[side];
    }
    if (side == CARVE_BEGINNING) {
        return range == 0 ? CARVE_NOBODY : carve->rests[range - 1].edge[CARVE_END];
    }
    return range + 1 == carve->cluster->range_count ? CARVE_NOBODY
                                                    : carve->rests[range + 1].edge[CARVE_BEGINNING];
}

/* --- cutting --- */

/* Of the piece up to, or from, the bound, with all of a hot part that it would cut. */
static double piece_weight(const struct carve *carve, uint32_t range, enum carve_side side,
                           uint64_t bound)
{
    const struct carve_rest *rest = &carve->rests[range];
    const struct balance_range *whole = range_of(carve, range);
    bool has_hot = carve->cluster->by == BALANCE_LOAD;
    enum hot_rule rule = side == CARVE_BEGINNING ? HOT_ALL : HOT_NONE;
    double at = weight_before(whole, bound, has_hot ? rule : HOT_EVEN);
    double share = side == CARVE_BEGINNING ? at - weight_before(whole, rest->start, HOT_EVEN)
                                           : weight_before(whole, rest->end, HOT_EVEN) - at;
    return carve_range_weight(carve->cluster, range) * share;
}

/* Bisects the length of the piece: its weight grows with it. */
double carve_reach(const struct carve *carve, uint32_t range, enum carve_side side, double amount,
                   uint64_t *bound)
{
    const struct carve_rest *rest = &carve->rests[range];
    uint64_t fits = 0;
    uint64_t beyond = rest->end - rest->start + 1;
    while (beyond - fits > 1) {
        uint64_t len = fits + (beyond - fits) / 2;
        uint64_t at = side == CARVE_BEGINNING ? rest->start + len : rest->end - len;
        if (piece_weight(carve, range, side, at) <= amount) {
            fits = len;
        } else {
            beyond = len;
        }
    }
    *bound = side == CARVE_BEGINNING ? rest->start + fits : rest->end - fits;
    return fits == 0 ? 0 : piece_weight(carve, range, side, *bound);
}

static void add_move(struct balance_plan *plan, const struct balance_move *move)
{
    /* Grows by doubling: whenever the count is a power of two. */
    if ((plan->move_count & (plan->move_count - 1)) == 0) {
        uint32_t room = plan->move_count ? plan->move_count * 2 : 1;
        plan->moves = memory_resize(plan->moves, room, sizeof(*plan->moves));
    }
    plan->moves[plan->move_count++] = *move;
}

/* The piece joins the move of the one beside it that has the same target. */
static void record(struct carve *carve, uint32_t range, enum carve_side side, uint64_t start,
                   uint64_t end, uint32_t target)
{
    struct balance_plan *plan = carve->plan;
    struct carve_rest *rest = &carve->rests[range];
    uint64_t bytes = bytes_between(carve, range, start, end);
    plan->bytes += bytes;
    if (!is_at_edge(carve, range, side) && rest->beside[side] == target) {
        struct balance_move *move = &plan->moves[rest->move[side]];
        move->start = side == CARVE_BEGINNING ? move->start : start;
        move->end = side == CARVE_BEGINNING ? end : move->end;
        move->bytes += bytes;
        return;
    }
    rest->move[side] = plan->move_count;
    rest->beside[side] = target;
    add_move(plan, &(struct balance_move){.start = start,
                                          .end = end,
                                          .range = range,
                                          .source = range_of(carve, range)->owner,
                                          .target = target,
                                          .bytes = bytes});
}

double carve_take(struct carve *carve, uint32_t range, enum carve_side side, uint64_t bound,
                  uint32_t target)
{
    struct carve_rest *rest = &carve->rests[range];
    uint64_t start = side == CARVE_BEGINNING ? rest->start : bound;
    uint64_t end = side == CARVE_BEGINNING ? bound : rest->end;
    double weight = weight_between(carve, range, start, end);
    bool reaches[2] = {start == range_of(carve, range)->start, end == range_of(carve, range)->end};
    record(carve, range, side, start, end, target);
    for (int i = 0; i < 2; i++) {
        rest->edge[i] = reaches[i] ? target : rest->edge[i];
    }
    rest->start = side == CARVE_BEGINNING ? end : rest->start;
    rest->end = side == CARVE_END ? start : rest->end;
    rest->weight = rest->start == rest->end ? 0 : not_below_zero(rest->weight - weight);
    carve->plan->weight += weight;
    return weight;
}
