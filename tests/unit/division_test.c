/* SPDX-License-Identifier: MIT */
#include "shardd/division.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/sample_map.h"

#define ME    1
#define OTHER 2

#define EIGHTH (BOUND_END / 8)

static struct bootstrap pusher = {.instance = "instance of one", .term = 1};

/* Which parts it is said to have counted. */
struct counted {
    struct interval parts[4];
    uint32_t count;
    bool has_all;
};

struct world {
    struct ownership own;
    struct counted counted;
    struct division division;
};

static bool is_counted(void *context, const struct interval *part)
{
    const struct counted *counted = context;
    bool is_there = counted->has_all;
    for (uint32_t i = 0; i < counted->count; i++) {
        is_there |= counted->parts[i].start == part->start && counted->parts[i].end == part->end;
    }
    return is_there;
}

static void count_part(struct world *w, uint64_t start, uint64_t end)
{
    w->counted.parts[w->counted.count++] = (struct interval){start, end};
}

/* Takes and frees `map`; what it makes holds. */
static enum ownership_took take(struct world *w, struct map map)
{
    struct ownership next;
    enum ownership_took took = division_take(&w->own, &map, &pusher, &w->division, &next);
    map_fini(&map);
    if (took == OWNERSHIP_CHANGED) {
        ownership_fini(&w->own);
        w->own = next;
    }
    return took;
}

static int set_up(void **state)
{
    static struct world w;
    w = (struct world){.own = {.incarnation = 1}};
    w.division = (struct division){.is_counted = is_counted, .context = &w.counted};
    sample_id(ME, w.own.server);
    assert_int_equal(
        take(&w, SAMPLE_MAP(2, {"low", HALF, 2, ME, true, 0}, {"high", BOUND_END, 2, ME, true, 0})),
        OWNERSHIP_CHANGED);
    assert_int_equal(w.division.count, 0);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ownership_fini(&w->own);
    return 0;
}

static void assert_wanted(const struct world *w, uint32_t index, uint64_t start, uint64_t end)
{
    assert_true(index < w->division.count);
    assert_int_equal(w->division.parts[index].start, start);
    assert_int_equal(w->division.parts[index].end, end);
}

static struct map split_of_low(void)
{
    return SAMPLE_MAP(3, {"low.2", EIGHTH, 3, ME, false, 0}, {"low", HALF, 3, ME, false, 0},
                      {"high", BOUND_END, 2, ME, false, 0});
}

static void a_split_is_taken_when_its_smaller_part_is_counted(void **state)
{
    struct world *w = *state;
    (void)take(w, split_of_low());
    assert_int_equal(w->own.range_count, 2);
    assert_int_equal(w->division.count, 1);
    assert_wanted(w, 0, 0, EIGHTH);
    (void)take(w, split_of_low());
    assert_int_equal(w->own.range_count, 2);
    count_part(w, 0, EIGHTH);
    assert_int_equal(take(w, split_of_low()), OWNERSHIP_CHANGED);
    assert_int_equal(w->own.range_count, 3);
    assert_int_equal(w->own.ranges[0].end, EIGHTH);
    assert_int_equal(w->own.ranges[0].epoch, 3);
    assert_wanted(w, 0, 0, EIGHTH); /* until it holds durably */
    assert_int_equal(take(w, split_of_low()), OWNERSHIP_SAME);
    assert_int_equal(w->division.count, 0);
}

/* RULES M1: entry by entry. A move that is committed does not wait for another range's count. */
static void what_divides_nothing_is_taken_meanwhile(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        take(w, SAMPLE_MAP(3, {"low.2", EIGHTH, 3, ME, false, 0}, {"low", HALF, 3, ME, false, 0},
                           {"high", BOUND_END, 3, OTHER, false, 0})),
        OWNERSHIP_CHANGED);
    assert_int_equal(w->own.range_count, 1);
    assert_int_equal(w->own.ranges[0].end, HALF);
    assert_int_equal(w->own.ranges[0].epoch, 2);
    assert_int_equal(w->own.map.revision, 3);
}

/* What is to happen to a part is not known here before the part is. */
static void a_move_of_a_part_is_held_back_with_its_split(void **state)
{
    struct world *w = *state;
    struct map map = split_of_low();
    map.entries[0].move.phase = MOVE_COPY;
    map.entries[0].move.id = 3;
    sample_id(ME, map.entries[0].move.source);
    sample_id(OTHER, map.entries[0].move.target);
    (void)take(w, map);
    assert_null(ownership_find_move(&w->own, 3));
}

static void of_three_parts_the_largest_is_not_counted(void **state)
{
    struct world *w = *state;
    struct map map =
        SAMPLE_MAP(3, {"low", EIGHTH, 3, ME, false, 0}, {"low.2", 3 * EIGHTH, 3, ME, false, 0},
                   {"low.3", HALF, 3, ME, false, 0}, {"high", BOUND_END, 2, ME, false, 0});
    struct map again;
    assert_true(map_copy(&map, &again));
    (void)take(w, map);
    assert_int_equal(w->division.count, 2);
    assert_wanted(w, 0, 0, EIGHTH);
    assert_wanted(w, 1, 3 * EIGHTH, HALF);
    count_part(w, 0, EIGHTH);
    count_part(w, 3 * EIGHTH, HALF);
    (void)take(w, again);
    assert_int_equal(w->own.range_count, 4);
}

/* It is to be closed at once (RULES M1). */
static void a_range_that_is_given_away_in_part_does_not_wait(void **state)
{
    struct world *w = *state;
    (void)take(w,
               SAMPLE_MAP(3, {"low.2", EIGHTH, 3, ME, false, 0}, {"low", HALF, 3, OTHER, false, 0},
                          {"high", BOUND_END, 2, ME, false, 0}));
    assert_int_equal(w->division.count, 0);
    assert_int_equal(w->own.range_count, 2);
    assert_int_equal(w->own.ranges[0].end, EIGHTH);
}

/* One entry over parts of two ranges: both are divided or none. */
static void an_entry_that_divides_two_ranges_waits_for_both(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < 2; i++) {
        (void)take(w, SAMPLE_MAP(3, {"low", 3 * EIGHTH, 3, ME, false, 0},
                                 {"middle", 5 * EIGHTH, 3, ME, false, 0},
                                 {"high", BOUND_END, 3, ME, false, 0}));
        assert_int_equal(w->own.range_count, 2);
        assert_int_equal(w->division.count, 2);
        assert_wanted(w, 0, 3 * EIGHTH, HALF);
        assert_wanted(w, 1, HALF, 5 * EIGHTH);
        count_part(w, 3 * EIGHTH, HALF);
    }
    count_part(w, HALF, 5 * EIGHTH);
    (void)take(w, SAMPLE_MAP(3, {"low", 3 * EIGHTH, 3, ME, false, 0},
                             {"middle", 5 * EIGHTH, 3, ME, false, 0},
                             {"high", BOUND_END, 3, ME, false, 0}));
    assert_int_equal(w->own.range_count, 3);
    assert_int_equal(w->own.ranges[1].start, 3 * EIGHTH);
    assert_int_equal(w->own.ranges[1].end, 5 * EIGHTH);
}

static void more_parts_than_are_counted_at_once_are_taken_at_once(void **state)
{
    enum { PARTS = DIVISION_PARTS_MAX + 2 };
    struct world *w = *state;
    struct part parts[PARTS + 1];
    char names[PARTS][8];
    for (uint64_t i = 0; i < PARTS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "p%u", (unsigned)i);
        parts[i] = (struct part){names[i], (i + 1) * (HALF / PARTS), 3, ME, false, 0};
    }
    parts[PARTS - 1].end = HALF;
    parts[PARTS] = (struct part){"high", BOUND_END, 2, ME, false, 0};
    (void)take(w, sample_map(3, parts, PARTS + 1));
    assert_int_equal(w->division.count, 0);
    assert_int_equal(w->own.range_count, PARTS + 1);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_split_is_taken_when_its_smaller_part_is_counted),
        CASE(what_divides_nothing_is_taken_meanwhile),
        CASE(a_move_of_a_part_is_held_back_with_its_split),
        CASE(of_three_parts_the_largest_is_not_counted),
        CASE(a_range_that_is_given_away_in_part_does_not_wait),
        CASE(an_entry_that_divides_two_ranges_waits_for_both),
        CASE(more_parts_than_are_counted_at_once_are_taken_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
