/* SPDX-License-Identifier: MIT */
#include "bootstrapd/balance.h"

#include <stdlib.h>

#include "bootstrapd/carve.h"
#include "io/memory.h"

/* How far from its share a server may be. */
#define TOLERANCE 0.05

/* From where on something is done about it. Rounding, and pieces that cannot be cut, stay below. */
#define TRIGGER         (TOLERANCE + 0.0005)
#define TRIGGER_PATIENT 0.1

/* Of the least, what a plan may move to come nearer to the shares, and beside that to give ranges whole. */
#define AIM_MOST   1.03
#define WHOLE_MOST 0.015

/* Of a server's share: not worth a piece. */
#define CRUMB 0.0002

#define NO_RANGE UINT32_MAX

/* A server, while the plan is made. */
struct party {
    double weight; /* now */
    double share;
    double give, take; /* still to be; one of them is 0 */
    bool is_draining;
};

struct work {
    const struct balance_cluster *cluster;
    struct balance_plan *plan;
    struct party *parties;
    struct carve carve;
    double band;  /* aimed at */
    double whole; /* weight that may still go beyond the aim so that a range is given whole */
};

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* --- shares --- */

/* The capacity that counts for a server; 0 when it drains. */
static double capacity_of(const struct balance_cluster *cluster, uint32_t server, double mean)
{
    const struct balance_server *one = &cluster->servers[server];
    if (one->is_draining) {
        return 0;
    }
    return one->capacity ? (double)one->capacity : mean;
}

/* Of those that are told; 1 when none is. */
static double mean_capacity(const struct balance_cluster *cluster)
{
    double sum = 0;
    double count = 0;
    for (uint32_t i = 0; i < cluster->server_count; i++) {
        sum += (double)cluster->servers[i].capacity;
        count += cluster->servers[i].capacity > 0;
    }
    return count > 0 ? sum / count : 1;
}

/* False: there is nobody to take anything. */
static bool share_out(struct work *work)
{
    const struct balance_cluster *cluster = work->cluster;
    double mean = mean_capacity(cluster);
    double capacity = 0;
    double total = 0;
    for (uint32_t i = 0; i < cluster->range_count; i++) {
        double weight = carve_range_weight(cluster, i);
        work->parties[cluster->ranges[i].owner].weight += weight;
        total += weight;
    }
    for (uint32_t i = 0; i < cluster->server_count; i++) {
        capacity += capacity_of(cluster, i, mean);
    }
    for (uint32_t i = 0; i < cluster->server_count; i++) {
        struct party *party = &work->parties[i];
        party->is_draining = cluster->servers[i].is_draining;
        party->share = capacity > 0 ? total * capacity_of(cluster, i, mean) / capacity : 0;
        work->plan->levels[i] = (struct balance_level){party->weight, party->share, party->weight};
    }
    return capacity > 0;
}

/* --- what must move --- */

static double too_much(const struct party *party, double band)
{
    return larger(party->weight - party->share * (1 + band), 0);
}

static double too_little(const struct party *party, double band)
{
    return larger(party->share * (1 - band) - party->weight, 0);
}

/* So much must leave some servers and reach others that all are within the band. */
static double need(const struct work *work, double band)
{
    double much = 0;
    double little = 0;
    for (uint32_t i = 0; i < work->cluster->server_count; i++) {
        much += too_much(&work->parties[i], band);
        little += too_little(&work->parties[i], band);
    }
    return larger(much, little);
}

static bool owns_something(const struct work *work, uint32_t server)
{
    for (uint32_t i = 0; i < work->cluster->range_count; i++) {
        if (work->cluster->ranges[i].owner == server) {
            return true;
        }
    }
    return false;
}

static bool is_asked_for(const struct work *work)
{
    double trigger = work->cluster->is_patient ? TRIGGER_PATIENT : TRIGGER;
    for (uint32_t i = 0; i < work->cluster->server_count; i++) {
        const struct party *party = &work->parties[i];
        bool is_off = !work->cluster->is_only_draining &&
                      (too_much(party, trigger) > 0 || too_little(party, trigger) > 0);
        if (party->is_draining ? owns_something(work, i) : is_off) {
            return true;
        }
    }
    return false;
}

/* The narrowest band that costs little more than the widest one: bisected, since what it costs falls as it widens. */
static void choose_band(struct work *work)
{
    double least = need(work, TOLERANCE);
    double narrow = 0;
    work->band = TOLERANCE;
    work->plan->least = least;
    work->whole = WHOLE_MOST * least;
    for (int i = 0; i < 40; i++) {
        double middle = (narrow + work->band) / 2;
        if (need(work, middle) <= AIM_MOST * least) {
            work->band = middle;
        } else {
            narrow = middle;
        }
    }
}

/* --- who gives and who takes how much --- */

/* What it may give, or take, beyond what it must, and stay within the band. */
static double slack_of(const struct work *work, const struct party *party, bool gives)
{
    if (gives) {
        return party->is_draining
                   ? 0
                   : larger(party->weight - party->give - party->share * (1 - work->band), 0);
    }
    return larger(party->share * (1 + work->band) - party->weight - party->take, 0);
}

/* In proportion, by those that give, or take, anyway. Returns what they could not. */
static double spread_over_active(struct work *work, double extra, bool gives)
{
    double slack = 0;
    for (uint32_t i = 0; i < work->cluster->server_count; i++) {
        const struct party *party = &work->parties[i];
        slack += (gives ? party->give : party->take) > 0 ? slack_of(work, party, gives) : 0;
    }
    double ratio = slack > 0 ? smaller(extra / slack, 1) : 0;
    for (uint32_t i = 0; i < work->cluster->server_count; i++) {
        struct party *party = &work->parties[i];
        double *amount = gives ? &party->give : &party->take;
        *amount += *amount > 0 ? ratio * slack_of(work, party, gives) : 0;
    }
    return larger(extra - ratio * slack, 0);
}

/* By the others, those first that can do most of it. */
static void spread_over_idle(struct work *work, double extra, bool gives)
{
    while (extra > 0) {
        struct party *best = NULL;
        for (uint32_t i = 0; i < work->cluster->server_count; i++) {
            struct party *party = &work->parties[i];
            bool is_idle = party->give + party->take <= 0 && slack_of(work, party, gives) > 0;
            if (is_idle && (!best || slack_of(work, party, gives) > slack_of(work, best, gives))) {
                best = party;
            }
        }
        if (!best) {
            return; /* rounding */
        }
        double amount = smaller(extra, slack_of(work, best, gives));
        *(gives ? &best->give : &best->take) = amount;
        extra -= amount;
    }
}

static void set_amounts(struct work *work)
{
    bool is_only_draining = work->cluster->is_only_draining;
    double much = 0;
    double little = 0;
    for (uint32_t i = 0; i < work->cluster->server_count; i++) {
        struct party *party = &work->parties[i];
        bool may_give = party->is_draining || !is_only_draining;
        party->give = may_give ? too_much(party, work->band) : 0;
        party->take = too_little(party, work->band);
        much += party->give;
        little += party->take;
    }
    if (is_only_draining && little > much) {
        for (uint32_t i = 0; i < work->cluster->server_count; i++) {
            work->parties[i].take *= much / little;
        }
        return;
    }
    bool gives = little > much;
    double extra = gives ? little - much : much - little;
    spread_over_idle(work, spread_over_active(work, extra, gives), gives);
}

/* --- pieces --- */

static uint32_t owner_of(const struct work *work, uint32_t range)
{
    return work->cluster->ranges[range].owner;
}

static bool is_left(const struct work *work, uint32_t range)
{
    const struct carve_rest *rest = &work->carve.rests[range];
    return rest->start < rest->end && !work->cluster->ranges[range].is_fixed;
}

static double crumb_of(const struct work *work, uint32_t server)
{
    return CRUMB * work->parties[server].share;
}

static void settle(double *amount, double weight, double crumb)
{
    *amount = *amount - weight > crumb ? *amount - weight : 0;
}

static void move_piece(struct work *work, uint32_t range, enum carve_side side, uint64_t bound,
                       uint32_t target)
{
    struct party *from = &work->parties[owner_of(work, range)];
    struct party *to = &work->parties[target];
    double weight = carve_take(&work->carve, range, side, bound, target);
    from->weight -= weight;
    to->weight += weight;
    /* A draining server gives to the last bit. */
    settle(&from->give, weight, from->is_draining ? 0 : CRUMB * from->share);
    settle(&to->take, weight, CRUMB * to->share);
}

/* The side that borders on the server, else the end. */
static enum carve_side side_towards(const struct work *work, uint32_t range, uint32_t target)
{
    return carve_neighbour(&work->carve, range, CARVE_BEGINNING) == target ? CARVE_BEGINNING
                                                                           : CARVE_END;
}

static void move_rest(struct work *work, uint32_t range, uint32_t target)
{
    const struct carve_rest *rest = &work->carve.rests[range];
    enum carve_side side = side_towards(work, range, target);
    move_piece(work, range, side, side == CARVE_BEGINNING ? rest->end : rest->start, target);
}

/* --- first, where a piece borders on what its target owns --- */

/* Only what ends the business of one of both, or a range of a server that must give them all. */
static void try_border(struct work *work, uint32_t range, enum carve_side side)
{
    uint32_t target = carve_neighbour(&work->carve, range, side);
    uint32_t source = owner_of(work, range);
    if (target == CARVE_NOBODY || target == source || !is_left(work, range)) {
        return;
    }
    const struct party *from = &work->parties[source];
    const struct party *to = &work->parties[target];
    double amount = smaller(from->give, to->take);
    double weight = work->carve.rests[range].weight;
    uint64_t bound;
    if (amount <= 0) {
        return;
    }
    if (weight <= amount) {
        if (from->is_draining || weight >= amount - crumb_of(work, target)) {
            move_rest(work, range, target);
        }
        return;
    }
    double reach = carve_reach(&work->carve, range, side, amount, &bound);
    if (reach > 0 && reach >= amount - crumb_of(work, target)) {
        move_piece(work, range, side, bound, target);
    }
}

static void move_over_borders(struct work *work)
{
    uint32_t count = work->cluster->range_count;
    for (uint32_t i = 0; i < count; i++) {
        try_border(work, i, CARVE_BEGINNING);
    }
    for (uint32_t i = count; i > 0; i--) {
        try_border(work, i - 1, CARVE_END);
    }
}

/* --- then from who has most to give to who has most to take --- */

static double lowest(const struct party *party)
{
    return party->share * (1 - TOLERANCE);
}

static double highest(const struct party *party)
{
    return party->share * (1 + TOLERANCE);
}

/* How much of its part of `extra` another taker can take over. */
static double elasticity(const struct party *party, double extra)
{
    double final = party->weight + party->take;
    if (party->take <= 0) {
        return 0;
    }
    return extra > 0 ? smaller(party->take, larger(final - lowest(party), 0))
                     : larger(highest(party) - final, 0);
}

/* The target takes `extra` more (or less) of what a draining server gives, the other takers less (or more). */
static bool shift_takes(struct work *work, uint32_t target, double extra)
{
    double room = 0;
    double size = extra > 0 ? extra : -extra;
    for (uint32_t i = 0; i < work->cluster->server_count; i++) {
        room += i == target ? 0 : elasticity(&work->parties[i], extra);
    }
    if (room < size) {
        return false;
    }
    for (uint32_t i = 0; i < work->cluster->server_count && room > 0; i++) {
        struct party *party = &work->parties[i];
        party->take -= i == target ? 0 : elasticity(party, extra) * extra / room;
    }
    work->parties[target].take += extra;
    return true;
}

static bool stays_within(const struct party *party, double final)
{
    return final >= lowest(party) && final <= highest(party);
}

/* Makes room for `extra` more (or less) than was meant, so that a range goes whole. */
static bool bend(struct work *work, uint32_t source, uint32_t target, double extra)
{
    struct party *from = &work->parties[source];
    struct party *to = &work->parties[target];
    if (!stays_within(to, to->weight + to->take + extra)) {
        return false;
    }
    if (from->is_draining) {
        return shift_takes(work, target, extra);
    }
    if (extra < 0 || extra > work->whole ||
        !stays_within(from, from->weight - from->give - extra)) {
        return false;
    }
    work->whole -= extra;
    from->give += extra;
    to->take += extra;
    return true;
}

static double distance(double a, double b)
{
    return a > b ? a - b : b - a;
}

/* The range of the source whose weight is nearest to the amount. */
static uint32_t find_nearest(const struct work *work, uint32_t source, double amount)
{
    uint32_t best = NO_RANGE;
    const struct carve_rest *rests = work->carve.rests;
    for (uint32_t i = 0; i < work->cluster->range_count; i++) {
        if (owner_of(work, i) == source && is_left(work, i) && rests[i].weight > 0 &&
            (best == NO_RANGE ||
             distance(rests[i].weight, amount) < distance(rests[best].weight, amount))) {
            best = i;
        }
    }
    return best;
}

/* The lightest that is more than the amount, and may be cut; without one the heaviest that is less. */
static uint32_t find_range(const struct work *work, uint32_t source, double amount)
{
    uint32_t above = NO_RANGE;
    uint32_t below = NO_RANGE;
    const struct carve_rest *rests = work->carve.rests;
    for (uint32_t i = 0; i < work->cluster->range_count; i++) {
        double weight = rests[i].weight;
        if (owner_of(work, i) != source || !is_left(work, i) || weight <= 0) {
            continue;
        }
        if (weight <= amount) {
            below = below == NO_RANGE || weight > rests[below].weight ? i : below;
        } else if (!rests[i].is_stiff) {
            above = above == NO_RANGE || weight < rests[above].weight ? i : above;
        }
    }
    return above != NO_RANGE ? above : below;
}

static void cut(struct work *work, uint32_t range, uint32_t target, double amount)
{
    uint64_t bounds[2];
    double reaches[2];
    enum carve_side side = side_towards(work, range, target);
    for (int i = 0; i < 2; i++) {
        reaches[i] = carve_reach(&work->carve, range, (enum carve_side)i, amount, &bounds[i]);
    }
    if (reaches[!side] - reaches[side] > crumb_of(work, target)) {
        side = side == CARVE_END ? CARVE_BEGINNING : CARVE_END;
    }
    work->carve.rests[range].is_stiff =
        reaches[side] <= 0 || reaches[side] < amount - crumb_of(work, target);
    if (reaches[side] > 0) {
        move_piece(work, range, side, bounds[side], target);
    }
}

/* One piece, or the source has none that could go. */
static void move_between(struct work *work, uint32_t source, uint32_t target)
{
    struct party *from = &work->parties[source];
    double take = work->parties[target].take;
    double amount = smaller(from->give, take);
    uint32_t range = find_nearest(work, source, from->is_draining ? take : amount);
    if (range != NO_RANGE &&
        bend(work, source, target,
             work->carve.rests[range].weight - (from->is_draining ? take : amount))) {
        move_rest(work, range, target);
        return;
    }
    range = find_range(work, source, amount);
    if (range == NO_RANGE) {
        from->give = 0;
    } else if (work->carve.rests[range].weight <= amount) {
        move_rest(work, range, target);
    } else {
        cut(work, range, target, amount);
    }
}

static uint32_t find_most(const struct work *work, bool gives)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < work->cluster->server_count; i++) {
        const struct party *party = &work->parties[i];
        const struct party *other = &work->parties[best];
        best = (gives ? party->give > other->give : party->take > other->take) ? i : best;
    }
    return best;
}

static void move_the_rest(struct work *work)
{
    for (;;) {
        uint32_t source = find_most(work, true);
        uint32_t target = find_most(work, false);
        if (work->parties[source].give <= 0 || work->parties[target].take <= 0) {
            return;
        }
        move_between(work, source, target);
    }
}

/* --- at last, what draining servers still have: empty ranges, crumbs, what cannot be cut --- */

/* Who has given something takes nothing. */
static bool can_take(const struct work *work, uint32_t server, double weight)
{
    const struct party *party = &work->parties[server];
    return !party->is_draining && party->weight >= work->plan->levels[server].before &&
           party->weight + weight <= highest(party) + crumb_of(work, server);
}

static uint32_t find_room(const struct work *work)
{
    uint32_t best = NO_RANGE;
    for (uint32_t i = 0; i < work->cluster->server_count; i++) {
        const struct party *party = &work->parties[i];
        if (!party->is_draining &&
            (best == NO_RANGE || party->share - party->weight >
                                     work->parties[best].share - work->parties[best].weight)) {
            best = i;
        }
    }
    return best;
}

static void empty_draining(struct work *work)
{
    for (uint32_t i = 0; i < work->cluster->range_count; i++) {
        if (!work->parties[owner_of(work, i)].is_draining || !is_left(work, i)) {
            continue;
        }
        double weight = work->carve.rests[i].weight;
        uint32_t target = CARVE_NOBODY;
        for (int side = 0; side < 2; side++) {
            uint32_t neighbour = carve_neighbour(&work->carve, i, (enum carve_side)side);
            if (neighbour != CARVE_NOBODY && can_take(work, neighbour, weight)) {
                target = neighbour;
            }
        }
        move_rest(work, i, target == CARVE_NOBODY ? find_room(work) : target);
    }
}

/* --- for the owner --- */

void balance_make(const struct balance_cluster *cluster, struct balance_plan *plan)
{
    struct work work = {.cluster = cluster, .plan = plan};
    *plan = (struct balance_plan){
        .levels = memory_get(cluster->server_count, sizeof(*plan->levels)),
    };
    work.parties = memory_get(cluster->server_count, sizeof(*work.parties));
    carve_init(&work.carve, cluster, plan);
    if (share_out(&work) && is_asked_for(&work)) {
        choose_band(&work);
        set_amounts(&work);
        move_over_borders(&work);
        move_the_rest(&work);
        empty_draining(&work);
    }
    for (uint32_t i = 0; i < cluster->server_count; i++) {
        plan->levels[i].after = work.parties[i].weight;
    }
    carve_fini(&work.carve);
    free(work.parties);
}

void balance_fini(struct balance_plan *plan)
{
    free(plan->moves);
    free(plan->levels);
    *plan = (struct balance_plan){0};
}

uint64_t balance_seconds(const struct balance_plan *plan, uint32_t server_count,
                         uint64_t bytes_per_s)
{
    uint64_t most = 0;
    uint64_t *busy = memory_get(server_count, sizeof(*busy));
    for (uint32_t i = 0; i < plan->move_count; i++) {
        const struct balance_move *move = &plan->moves[i];
        busy[move->source] += move->bytes;
        busy[move->target] += move->bytes;
    }
    for (uint32_t i = 0; i < server_count; i++) {
        most = busy[i] > most ? busy[i] : most;
    }
    free(busy);
    return bytes_per_s ? most / bytes_per_s + (most % bytes_per_s > 0) : 0;
}
