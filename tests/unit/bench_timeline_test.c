/* SPDX-License-Identifier: MIT */
#include "cli/bench_timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#define START UINT64_C(1000000000000)
#define MS    UINT64_C(1000000)

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct bench_timeline));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    bench_timeline_fini(*state);
    free(*state);
    return 0;
}

static void what_is_answered_before_the_first_phase_and_behind_the_end_does_not_count(void **state)
{
    struct bench_timeline *timeline = *state;
    bench_timeline_add(timeline, START, START);
    bench_timeline_begin(timeline, BENCH_PHASE_BEFORE, START + MS);
    bench_timeline_add(timeline, START + MS, START + 2 * MS);
    bench_timeline_end(timeline, START + 3 * MS);
    bench_timeline_add(timeline, START + 2 * MS, START + 4 * MS);
    assert_int_equal(timeline->phases[BENCH_PHASE_BEFORE].count, 1);
    assert_int_equal(timeline->phases[BENCH_PHASE_BEFORE].times.count, 1);
}

static void an_operation_that_a_hold_kept_counts_where_it_was_due_with_its_time(void **state)
{
    struct bench_timeline *timeline = *state;
    bench_timeline_begin(timeline, BENCH_PHASE_BEFORE, START);
    bench_timeline_begin(timeline, BENCH_PHASE_DURING, START + 10 * MS);
    bench_timeline_begin(timeline, BENCH_PHASE_AFTER, START + 20 * MS);
    bench_timeline_add(timeline, START + 15 * MS, START + 25 * MS);
    assert_int_equal(timeline->phases[BENCH_PHASE_DURING].times.count, 1);
    assert_int_equal(timeline->phases[BENCH_PHASE_DURING].times.max_ns, 10 * MS);
    assert_int_equal(timeline->phases[BENCH_PHASE_AFTER].times.count, 0);
    assert_int_equal(timeline->phases[BENCH_PHASE_AFTER].count, 1);
}

static void a_phase_that_did_not_come_has_no_throughput(void **state)
{
    struct bench_timeline *timeline = *state;
    bench_timeline_begin(timeline, BENCH_PHASE_BEFORE, START);
    for (uint64_t i = 0; i < 100; i++) {
        bench_timeline_add(timeline, START, START + i * MS);
    }
    bench_timeline_end(timeline, START + 100 * MS);
    assert_int_equal((int)(bench_timeline_ops_per_s(timeline, BENCH_PHASE_BEFORE) + 0.5), 1000);
    assert_int_equal((int)bench_timeline_ops_per_s(timeline, BENCH_PHASE_DELETING), 0);
}

static void a_stretch_in_which_nothing_was_answered_is_there_with_none(void **state)
{
    struct bench_timeline *timeline = *state;
    bench_timeline_begin(timeline, BENCH_PHASE_BEFORE, START);
    bench_timeline_add(timeline, START, START + MS);
    bench_timeline_add(timeline, START, START + 2 * BENCH_STRETCH_NS + MS);
    bench_timeline_end(timeline, START + 3 * BENCH_STRETCH_NS);
    assert_int_equal(timeline->stretch_count, 3);
    assert_int_equal(timeline->stretches[0].count, 1);
    assert_int_equal(timeline->stretches[0].max_ns, MS);
    assert_int_equal(timeline->stretches[1].count, 0);
    assert_int_equal(timeline->stretches[1].p99_ns, 0);
    assert_int_equal(timeline->stretches[2].count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_is_answered_before_the_first_phase_and_behind_the_end_does_not_count, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            an_operation_that_a_hold_kept_counts_where_it_was_due_with_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_phase_that_did_not_come_has_no_throughput, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_stretch_in_which_nothing_was_answered_is_there_with_none,
                                        setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
