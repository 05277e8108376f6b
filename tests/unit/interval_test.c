/* SPDX-License-Identifier: MIT */
#include "shardd/interval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void an_interval_has_the_points_of_its_bounds_and_no_other(void **state)
{
    (void)state;
    const struct {
        struct interval interval;
        uint64_t first, last;
    } cases[] = {
        {{0, BOUND_END}, 0, UINT64_MAX},
        {{0, 1}, 0, UINT32_MAX},
        {{BOUND_END - 1, BOUND_END}, UINT64_C(0xffffffff00000000), UINT64_MAX},
        {{5, 7}, UINT64_C(5) << 32, (UINT64_C(7) << 32) - 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct interval *interval = &cases[i].interval;
        assert_int_equal(interval_first(interval), cases[i].first);
        assert_int_equal(interval_last(interval), cases[i].last);
        assert_true(point_in(cases[i].first, interval->start, interval->end));
        assert_true(point_in(cases[i].last, interval->start, interval->end));
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interval_has_the_points_of_its_bounds_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
