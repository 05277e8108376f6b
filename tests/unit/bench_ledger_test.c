/* SPDX-License-Identifier: MIT */
#include "cli/bench_ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define PLAIN   3
#define INTEGER 15

static struct bench_ledger ledger;

static int setup(void **state)
{
    (void)state;
    assert_true(bench_ledger_init(&ledger, 32));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bench_ledger_fini(&ledger);
    return 0;
}

static void write_done(uint64_t record)
{
    assert_int_not_equal(bench_ledger_begin(&ledger, record), 0);
    bench_ledger_acknowledge(&ledger, record);
}

static void assert_judged(uint64_t lost, uint64_t doubled)
{
    assert_int_equal(ledger.lost, lost);
    assert_int_equal(ledger.doubled, doubled);
}

static void every_sixteenth_record_is_an_integer(void **state)
{
    (void)state;
    assert_false(bench_ledger_is_integer(0));
    assert_true(bench_ledger_is_integer(INTEGER));
    assert_true(bench_ledger_is_integer(31));
    assert_false(bench_ledger_is_integer(PLAIN));
}

static void one_write_to_a_record_is_under_way_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(bench_ledger_begin(&ledger, PLAIN), 1);
    assert_int_equal(bench_ledger_begin(&ledger, PLAIN), 0);
    bench_ledger_acknowledge(&ledger, PLAIN);
    assert_int_equal(bench_ledger_begin(&ledger, PLAIN), 2);
}

static void what_is_under_way_may_be_read_or_not(void **state)
{
    (void)state;
    write_done(PLAIN);
    assert_int_equal(bench_ledger_begin(&ledger, PLAIN), 2);
    uint32_t least = bench_ledger_acknowledged(&ledger, PLAIN);
    assert_int_equal(least, 1);
    bench_ledger_check_read(&ledger, PLAIN, least, 1);
    bench_ledger_check_read(&ledger, PLAIN, least, 2);
    assert_judged(0, 0);
}

static void an_acknowledged_write_that_is_not_found_is_lost(void **state)
{
    (void)state;
    write_done(PLAIN);
    write_done(PLAIN);
    write_done(PLAIN);
    bench_ledger_check_read(&ledger, PLAIN, 3, 1);
    assert_judged(1, 0);
    bench_ledger_check_read(&ledger, PLAIN, 3, 0);
    assert_judged(2, 0);
}

static void each_lost_or_doubled_incr_counts(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        write_done(INTEGER);
    }
    bench_ledger_check_read(&ledger, INTEGER, 5, 2);
    assert_judged(3, 0);
    bench_ledger_check_read(&ledger, INTEGER, 5, 7);
    assert_judged(3, 2);
}

static void an_incr_whose_sum_is_one_too_high_was_done_twice(void **state)
{
    (void)state;
    write_done(INTEGER);
    assert_int_equal(bench_ledger_begin(&ledger, INTEGER), 2);
    bench_ledger_check_sum(&ledger, INTEGER, 3);
    bench_ledger_acknowledge(&ledger, INTEGER);
    assert_judged(0, 1);
    assert_int_equal(bench_ledger_begin(&ledger, INTEGER), 3);
    bench_ledger_check_sum(&ledger, INTEGER, 2);
    assert_judged(1, 1);
}

static void a_write_of_unknown_outcome_may_have_been_done(void **state)
{
    (void)state;
    write_done(INTEGER);
    assert_int_equal(bench_ledger_begin(&ledger, INTEGER), 2);
    bench_ledger_leave_unknown(&ledger, INTEGER);
    bench_ledger_check_read(&ledger, INTEGER, 1, 1);
    bench_ledger_check_read(&ledger, INTEGER, 1, 2);
    write_done(INTEGER);
    assert_int_equal(bench_ledger_acknowledged(&ledger, INTEGER), 2);
    bench_ledger_check_read(&ledger, INTEGER, 2, 3);
    assert_judged(0, 0);
}

static void a_refused_write_must_not_be_found(void **state)
{
    (void)state;
    write_done(PLAIN);
    assert_int_equal(bench_ledger_begin(&ledger, PLAIN), 2);
    bench_ledger_refuse(&ledger, PLAIN);
    bench_ledger_check_read(&ledger, PLAIN, 1, 1);
    assert_judged(0, 0);
    bench_ledger_check_read(&ledger, PLAIN, 1, 2);
    assert_judged(0, 1);
}

static void an_integer_that_was_there_goes_on_from_where_it_was(void **state)
{
    (void)state;
    assert_int_equal(bench_ledger_begin(&ledger, INTEGER), 1);
    bench_ledger_found(&ledger, INTEGER, 41);
    write_done(INTEGER);
    bench_ledger_check_read(&ledger, INTEGER, 42, 42);
    assert_judged(0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_sixteenth_record_is_an_integer, setup, teardown),
        cmocka_unit_test_setup_teardown(one_write_to_a_record_is_under_way_at_a_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_under_way_may_be_read_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(an_acknowledged_write_that_is_not_found_is_lost, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(each_lost_or_doubled_incr_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(an_incr_whose_sum_is_one_too_high_was_done_twice, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_write_of_unknown_outcome_may_have_been_done, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_refused_write_must_not_be_found, setup, teardown),
        cmocka_unit_test_setup_teardown(an_integer_that_was_there_goes_on_from_where_it_was, setup,
                                        teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
