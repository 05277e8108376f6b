/* SPDX-License-Identifier: MIT */
#include "bootstrapd/balance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/point.h"
#include "tests/unit/dice.h"

#define SERVERS_MAX 24
#define RANGES_MAX  512

/* Of the tolerance, and of a share: what is not worth a piece. */
#define ROUNDING 0.0006

#define MIB (UINT64_C(1) << 20)

struct sample {
    struct balance_cluster cluster;
    struct balance_server servers[SERVERS_MAX];
    struct balance_range ranges[2 * RANGES_MAX]; /* as many again where pieces are cut */
    uint64_t parts[RANGES_MAX][BALANCE_PARTS];
};

static void sample_init(struct sample *sample)
{
    memset(sample, 0, sizeof *sample);
    sample->cluster.servers = sample->servers;
    sample->cluster.ranges = sample->ranges;
}

/* Equal ranges of so many bytes, owner by owner as the text says: "aabb". */
static void sample_of(struct sample *sample, uint32_t server_count, const char *owners,
                      uint64_t bytes)
{
    sample_init(sample);
    uint32_t count = (uint32_t)strlen(owners);
    sample->cluster.server_count = server_count;
    sample->cluster.range_count = count;
    for (uint32_t i = 0; i < count; i++) {
        sample->ranges[i] = (struct balance_range){.start = BOUND_END * i / count,
                                                   .end = BOUND_END * (i + 1) / count,
                                                   .owner = (uint32_t)(owners[i] - 'a'),
                                                   .bytes = bytes,
                                                   .load = bytes};
    }
}

/* "a->c 0.25-0.5; " */
static void print_plan(const struct balance_plan *plan, char *text, size_t len)
{
    text[0] = '\0';
    for (uint32_t i = 0; i < plan->move_count; i++) {
        const struct balance_move *move = &plan->moves[i];
        size_t at = strlen(text);
        (void)snprintf(text + at, len - at, "%c->%c %.3f-%.3f; ", (int)('a' + move->source),
                       (int)('a' + move->target), (double)move->start / (double)BOUND_END,
                       (double)move->end / (double)BOUND_END);
    }
}

static void assert_plan(const struct sample *sample, const char *expected)
{
    char text[2048];
    struct balance_plan plan;
    balance_make(&sample->cluster, &plan);
    print_plan(&plan, text, sizeof text);
    assert_string_equal(text, expected);
    balance_fini(&plan);
}

/* --- by hand --- */

static void what_is_within_five_percent_stays(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    (void)state;
    sample_of(sample, 2, "ab", 1000 * MIB);
    assert_plan(sample, "");
    sample->ranges[0].bytes = 1049 * MIB;
    sample->ranges[1].bytes = 951 * MIB;
    assert_plan(sample, "");
    sample->ranges[0].bytes = 1060 * MIB;
    sample->ranges[1].bytes = 940 * MIB;
    /* Of 1060 only 10 have to go. */
    assert_plan(sample, "a->b 0.495-0.500; ");
    free(sample);
}

static void a_new_server_gets_its_share_from_all(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    (void)state;
    sample_of(sample, 3, "ab", 1000 * MIB);
    assert_plan(sample, "a->c 0.337-0.500; b->c 0.500-0.663; ");
    free(sample);
}

static void a_draining_server_gives_all_even_what_is_empty(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    (void)state;
    sample_of(sample, 3, "aaccb", 1000 * MIB);
    sample->servers[2].is_draining = true;
    sample->ranges[2].bytes = 0;
    assert_plan(sample, "c->b 0.600-0.800; c->b 0.400-0.600; ");
    free(sample);
}

static void with_nothing_stored_a_draining_server_is_emptied_and_nothing_else_moves(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    (void)state;
    sample_of(sample, 3, "abc", 0);
    assert_plan(sample, "");
    sample->servers[1].is_draining = true;
    assert_plan(sample, "b->c 0.333-0.667; ");
    free(sample);
}

static void where_all_drain_nothing_moves(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    (void)state;
    sample_of(sample, 2, "ab", 1000 * MIB);
    sample->servers[0].is_draining = sample->servers[1].is_draining = true;
    assert_plan(sample, "");
    free(sample);
}

static void shares_go_by_capacity_and_the_untold_has_the_mean(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    struct balance_plan plan;
    (void)state;
    sample_of(sample, 3, "abc", 600 * MIB);
    sample->servers[0].capacity = 1000;
    sample->servers[1].capacity = 3000;
    balance_make(&sample->cluster, &plan);
    assert_true(plan.levels[0].share > 299 * MIB && plan.levels[0].share < 301 * MIB);
    assert_true(plan.levels[1].share > 899 * MIB && plan.levels[1].share < 901 * MIB);
    assert_true(plan.levels[2].share > 599 * MIB && plan.levels[2].share < 601 * MIB);
    balance_fini(&plan);
    free(sample);
}

static void a_piece_that_borders_on_its_targets_range_is_preferred(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    (void)state;
    sample_of(sample, 2, "aba", 900 * MIB);
    sample->ranges[2].bytes = 1000 * MIB;
    /* The beginning of the third joins with the second. */
    sample->ranges[0].is_fixed = true;
    assert_plan(sample, "a->b 0.667-0.814; ");
    free(sample);
}

static void one_piece_of_a_large_range_is_better_than_many_small_ranges(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    (void)state;
    sample_of(sample, 2, "baaa", 100 * MIB);
    sample->ranges[0].bytes = 600 * MIB;
    sample->ranges[2].bytes = 2000 * MIB;
    assert_plan(sample, "a->b 0.656-0.750; ");
    free(sample);
}

static void what_is_moving_counts_and_stays(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    (void)state;
    sample_of(sample, 2, "aa", 1000 * MIB);
    sample->ranges[0].is_fixed = true;
    sample->ranges[0].owner = 1;
    assert_plan(sample, "");
    sample->ranges[0].owner = 0;
    assert_plan(sample, "a->b 0.511-1.000; ");
    free(sample);
}

static void a_hot_part_goes_whole_or_not_at_all(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    (void)state;
    sample_of(sample, 2, "a", 6400);
    sample->cluster.by = BALANCE_LOAD;
    for (uint32_t i = 0; i < BALANCE_PARTS; i++) {
        sample->parts[0][i] = i == 32 ? 9000 : 100;
    }
    sample->ranges[0].parts = sample->parts[0];
    /* Nine tenths of the load are in one part: the other server gets what lies behind it, not a half of the heat. */
    struct balance_plan plan;
    balance_make(&sample->cluster, &plan);
    for (uint32_t i = 0; i < plan.move_count; i++) {
        const uint64_t hot = BOUND_END / 2;
        assert_true(plan.moves[i].start >= hot + BOUND_END / 64 || plan.moves[i].end <= hot);
    }
    balance_fini(&plan);
    free(sample);
}

static void a_patient_one_waits_for_ten_percent(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    (void)state;
    sample_of(sample, 2, "ab", 1000 * MIB);
    sample->ranges[0].bytes = 1090 * MIB;
    sample->ranges[1].bytes = 910 * MIB;
    sample->cluster.is_patient = true;
    assert_plan(sample, "");
    sample->ranges[0].bytes = 1110 * MIB;
    sample->ranges[1].bytes = 890 * MIB;
    assert_plan(sample, "a->b 0.472-0.500; ");
    free(sample);
}

static void where_only_draining_ones_give_the_others_get_what_they_lack(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    (void)state;
    sample_of(sample, 3, "aabc", 1000 * MIB);
    sample->cluster.is_only_draining = true;
    assert_plan(sample, "");
    sample->servers[2].is_draining = true;
    assert_plan(sample, "c->b 0.750-1.000; ");
    free(sample);
}

static void the_time_is_that_of_the_busiest_server(void **state)
{
    struct sample *sample = malloc(sizeof *sample);
    struct balance_plan plan;
    (void)state;
    sample_of(sample, 4, "abcd", 1000 * MIB);
    sample->ranges[0].bytes = sample->ranges[1].bytes = 2000 * MIB;
    balance_make(&sample->cluster, &plan);
    assert_int_equal(plan.move_count, 2);
    uint64_t larger =
        plan.moves[0].bytes > plan.moves[1].bytes ? plan.moves[0].bytes : plan.moves[1].bytes;
    assert_int_equal(balance_seconds(&plan, 4, MIB), (larger + MIB - 1) / MIB);
    assert_int_equal(balance_seconds(&plan, 4, 0), 0);
    balance_fini(&plan);
    free(sample);
}

/* --- thousands of clusters --- */

static void roll_servers(struct sample *sample, struct dice *dice)
{
    uint32_t count = 1 + dice_below(dice, SERVERS_MAX);
    uint32_t told = dice_below(dice, 3);
    sample->cluster.server_count = count;
    for (uint32_t i = 0; i < count; i++) {
        bool is_told = told == 2 || (told == 1 && dice_below(dice, 2));
        sample->servers[i].capacity = is_told ? (1 + dice_below(dice, 16)) * MIB : 0;
        sample->servers[i].is_draining = dice_below(dice, 8) == 0;
    }
}

static void roll_parts(struct sample *sample, struct dice *dice, uint32_t range)
{
    for (uint32_t i = 0; i < BALANCE_PARTS; i++) {
        sample->parts[range][i] = 1000 + dice_below(dice, 1500);
    }
    sample->ranges[range].parts = sample->parts[range];
}

/* Ranges of at least 2^-19 of the circle, each with what may be very different bytes. */
static void roll_ranges(struct sample *sample, struct dice *dice)
{
    uint32_t count = 1 + dice_below(dice, dice_below(dice, 2) ? 12 : RANGES_MAX - 1);
    uint32_t owner_count = 1 + dice_below(dice, sample->cluster.server_count);
    uint32_t spread = 1 + dice_below(dice, 16);
    uint64_t start = 0;
    uint32_t i = 0;
    for (; start < BOUND_END && i < count; i++) {
        uint64_t width = BOUND_END / count / 2 + dice_roll(dice) % (BOUND_END / count);
        bool is_last = i + 1 == count || start + width > BOUND_END - (1 << 13);
        sample->ranges[i] = (struct balance_range){
            .start = start,
            .end = is_last ? BOUND_END : start + width,
            .owner = dice_below(dice, owner_count),
            .bytes = dice_below(dice, 10) ? (64 + dice_below(dice, 1 << spread)) * MIB : 0,
            .load = 100000 + dice_below(dice, 1 << spread) * 1000,
        };
        if (dice_below(dice, 2)) {
            roll_parts(sample, dice, i);
        }
        start = sample->ranges[i].end;
    }
    sample->cluster.range_count = i;
}

static double weight_of(const struct sample *sample, const struct balance_range *range)
{
    return (double)(sample->cluster.by == BALANCE_BYTES ? range->bytes : range->load);
}

static double excess(double weight, double limit)
{
    return weight > limit ? weight - limit : 0;
}

/* Counted anew: the least that has to move. */
static double least_of(const struct sample *sample, const struct balance_plan *plan)
{
    double much = 0, little = 0;
    for (uint32_t i = 0; i < sample->cluster.server_count; i++) {
        const struct balance_level *level = &plan->levels[i];
        much += excess(level->before, level->share * 1.05);
        little += excess(level->share * 0.95, level->before);
    }
    return much > little ? much : little;
}

/* The piece with its weight taken out of the range, as a move would leave it. False: the piece is no end of it. */
static bool apply_move(struct sample *sample, const struct balance_move *move)
{
    struct balance_range *ranges = sample->ranges;
    uint32_t count = sample->cluster.range_count;
    for (uint32_t i = 0; i < count; i++) {
        struct balance_range *range = &ranges[i];
        bool is_at_end = range->start == move->start || range->end == move->end;
        if (move->start < range->start || move->end > range->end || !is_at_end ||
            range->owner != move->source) {
            continue;
        }
        if (range->start == move->start && range->end == move->end) {
            range->owner = move->target;
            return true;
        }
        assert_true(count < 2 * RANGES_MAX);
        memmove(range + 1, range, (count - i) * sizeof *range);
        uint32_t piece = range->start == move->start ? i : i + 1;
        ranges[i].end = ranges[i + 1].start = piece == i ? move->end : move->start;
        ranges[piece].owner = move->target;
        sample->cluster.range_count++;
        return true;
    }
    return false;
}

/* What is between two bounds of the range, by its parts. */
static double measure(const struct balance_range *range, uint64_t from, uint64_t to)
{
    double sum = 0, between = 0;
    double width = (double)(range->end - range->start) / BALANCE_PARTS;
    for (uint32_t i = 0; i < BALANCE_PARTS; i++) {
        double start = (double)range->start + i * width;
        double part = range->parts ? (double)range->parts[i] : 1;
        double low = (double)from > start ? (double)from : start;
        double high = (double)to < start + width ? (double)to : start + width;
        sum += part;
        between += high > low ? part * (high - low) / width : 0;
    }
    return between / sum;
}

static double moved_of(const struct sample *sample, const struct balance_plan *plan)
{
    double moved = 0;
    for (uint32_t i = 0; i < plan->move_count; i++) {
        const struct balance_range *range = &sample->ranges[plan->moves[i].range];
        moved +=
            weight_of(sample, range) * measure(range, plan->moves[i].start, plan->moves[i].end);
    }
    return moved;
}

/* The cluster as it is when all was moved, evenly filled where pieces were cut. */
static void apply(struct sample *sample, const struct balance_plan *plan)
{
    struct sample *before = malloc(sizeof *before);
    *before = *sample;
    for (uint32_t i = 0; i < plan->move_count; i++) {
        assert_true(apply_move(sample, &plan->moves[i]));
    }
    for (uint32_t i = 0, old = 0; i < sample->cluster.range_count; i++) {
        struct balance_range *range = &sample->ranges[i];
        while (before->ranges[old].end <= range->start) {
            old++;
        }
        const struct balance_range *whole = &before->ranges[old];
        bool is_whole = whole->start == range->start && whole->end == range->end;
        double share = measure(whole, range->start, range->end);
        range->bytes = (uint64_t)((double)whole->bytes * share + 0.5);
        range->load = (uint64_t)((double)whole->load * share + 0.5);
        range->parts = is_whole ? whole->parts : NULL;
    }
    free(before);
}

static void check_levels(const struct sample *sample, const struct balance_plan *plan)
{
    for (uint32_t i = 0; i < sample->cluster.server_count; i++) {
        const struct balance_level *level = &plan->levels[i];
        double weight = 0;
        for (uint32_t r = 0; r < sample->cluster.range_count; r++) {
            const struct balance_range *range = &sample->ranges[r];
            assert_false(range->owner == i && sample->servers[i].is_draining);
            weight += range->owner == i ? weight_of(sample, range) : 0;
        }
        assert_true(weight <= level->share * (1.05 + ROUNDING) + 1000);
        assert_true(weight >= level->share * (0.95 - ROUNDING) - 1000);
    }
}

/* Each piece ends what one of two has to do, or is the last of a range; and nobody gives and takes. */
static void check_pieces(const struct sample *before, const struct balance_plan *plan)
{
    bool gives[SERVERS_MAX] = {0}, takes[SERVERS_MAX] = {0};
    uint64_t left[RANGES_MAX];
    uint32_t limit = 0;
    for (uint32_t i = 0; i < before->cluster.range_count; i++) {
        left[i] = before->ranges[i].end - before->ranges[i].start;
    }
    for (uint32_t i = 0; i < plan->move_count; i++) {
        const struct balance_move *move = &plan->moves[i];
        assert_false(before->servers[move->target].is_draining);
        left[move->range] -= move->end - move->start;
        limit += left[move->range] == 0;
        if (weight_of(before, &before->ranges[move->range]) > 0) {
            gives[move->source] = takes[move->target] = true;
        }
    }
    for (uint32_t i = 0; i < before->cluster.server_count; i++) {
        assert_false(gives[i] && takes[i]);
        limit += gives[i] + takes[i];
    }
    assert_true(plan->move_count <= limit);
}

static bool is_all_draining(const struct sample *sample)
{
    bool is_all = true;
    for (uint32_t i = 0; i < sample->cluster.server_count; i++) {
        is_all = is_all && sample->servers[i].is_draining;
    }
    return is_all;
}

static void check_cluster(struct sample *sample)
{
    struct balance_plan plan, second;
    balance_make(&sample->cluster, &plan);
    if (is_all_draining(sample)) {
        assert_int_equal(plan.move_count, 0);
        balance_fini(&plan);
        return;
    }
    check_pieces(sample, &plan);
    assert_true(plan.move_count == 0 ||
                moved_of(sample, &plan) <= least_of(sample, &plan) * 1.05 + 1000);
    apply(sample, &plan);
    check_levels(sample, &plan);
    balance_make(&sample->cluster, &second);
    assert_int_equal(second.move_count, 0);
    balance_fini(&second);
    balance_fini(&plan);
}

static void check_many(uint64_t seed, enum balance_by by)
{
    struct dice dice = dice_of(seed);
    struct sample *sample = malloc(sizeof *sample);
    for (uint32_t i = 0; i < 4000; i++) {
        sample_init(sample);
        sample->cluster.by = by;
        roll_servers(sample, &dice);
        roll_ranges(sample, &dice);
        check_cluster(sample);
    }
    free(sample);
}

static void any_cluster_is_balanced_by_bytes_with_hardly_more_than_the_least(void **state)
{
    (void)state;
    check_many(17, BALANCE_BYTES);
}

static void any_cluster_is_balanced_by_load_with_hardly_more_than_the_least(void **state)
{
    (void)state;
    check_many(18, BALANCE_LOAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_within_five_percent_stays),
        cmocka_unit_test(a_new_server_gets_its_share_from_all),
        cmocka_unit_test(a_draining_server_gives_all_even_what_is_empty),
        cmocka_unit_test(with_nothing_stored_a_draining_server_is_emptied_and_nothing_else_moves),
        cmocka_unit_test(where_all_drain_nothing_moves),
        cmocka_unit_test(shares_go_by_capacity_and_the_untold_has_the_mean),
        cmocka_unit_test(a_piece_that_borders_on_its_targets_range_is_preferred),
        cmocka_unit_test(one_piece_of_a_large_range_is_better_than_many_small_ranges),
        cmocka_unit_test(what_is_moving_counts_and_stays),
        cmocka_unit_test(a_hot_part_goes_whole_or_not_at_all),
        cmocka_unit_test(a_patient_one_waits_for_ten_percent),
        cmocka_unit_test(where_only_draining_ones_give_the_others_get_what_they_lack),
        cmocka_unit_test(the_time_is_that_of_the_busiest_server),
        cmocka_unit_test(any_cluster_is_balanced_by_bytes_with_hardly_more_than_the_least),
        cmocka_unit_test(any_cluster_is_balanced_by_load_with_hardly_more_than_the_least),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
