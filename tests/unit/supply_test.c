/* SPDX-License-Identifier: MIT */
#include "shardd/supply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define ITEM_LEN 16384u /* four in a slab */

struct bed {
    struct loop *loop;
    struct arena *arena;
    struct supply *supply;
    struct timer *timer;
};

static int setup(void **state)
{
    static struct bed bed;
    bed = (struct bed){.loop = loop_new(), .arena = arena_new()};
    bed.supply = supply_new(bed.loop, bed.arena);
    *state = &bed;
    return 0;
}

static int teardown(void **state)
{
    struct bed *bed = *state;
    supply_free(bed->supply);
    timer_free(bed->timer);
    arena_free_all(bed->arena);
    loop_free(bed->loop);
    return 0;
}

static void look(void *context)
{
    struct bed *bed = context;
    if (arena_wants_block(bed->arena)) {
        timer_set(bed->timer, 1);
    } else {
        loop_stop(bed->loop);
    }
}

static void run_until_satisfied(struct bed *bed)
{
    bed->timer = timer_new(bed->loop, look, bed);
    timer_set(bed->timer, 0);
    loop_run(bed->loop);
    timer_free(bed->timer);
    bed->timer = NULL;
}

static void an_arena_that_is_not_used_gets_no_blocks(void **state)
{
    struct bed *bed = *state;
    supply_turn(bed->supply);
    run_until_satisfied(bed);
    assert_int_equal(arena_held(bed->arena), 0);
}

static void blocks_come_until_the_arena_wants_no_more(void **state)
{
    struct bed *bed = *state;
    for (int round = 0; round < 3; round++) {
        do {
            (void)arena_get(bed->arena, ITEM_LEN);
        } while (!arena_wants_block(bed->arena));
        supply_turn(bed->supply);
        supply_turn(bed->supply);
        run_until_satisfied(bed);
    }
    assert_false(arena_wants_block(bed->arena));
}

/* 100 MB, faster than blocks can be made. */
static void an_arena_that_is_filled_without_the_loop_is_never_short(void **state)
{
    struct bed *bed = *state;
    for (int i = 0; i < 6400; i++) {
        (void)arena_get(bed->arena, ITEM_LEN);
        supply_hurry(bed->supply);
        assert_false(arena_is_short(bed->arena));
    }
}

/* Its completion never runs. */
static void a_block_that_is_made_at_the_end_is_freed(void **state)
{
    struct bed *bed = *state;
    (void)arena_get(bed->arena, ITEM_LEN);
    assert_true(arena_wants_block(bed->arena));
    supply_turn(bed->supply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_arena_that_is_not_used_gets_no_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_come_until_the_arena_wants_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(an_arena_that_is_filled_without_the_loop_is_never_short,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_block_that_is_made_at_the_end_is_freed, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
