/* SPDX-License-Identifier: MIT */
#include "proto/stamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const uint64_t now_ms = UINT64_C(1757000000000);

static void the_first_stamp_of_a_millisecond_is_its_time(void **state)
{
    (void)state;
    assert_int_equal(stamp_next(0, now_ms), now_ms << 16);
    assert_int_equal(stamp_next(stamp_of_ms(now_ms - 1), now_ms), stamp_of_ms(now_ms));
    assert_int_equal(stamp_ms(stamp_of_ms(now_ms)), now_ms);
}

static void stamps_of_one_millisecond_are_counted(void **state)
{
    (void)state;
    uint64_t first = stamp_next(0, now_ms);
    assert_int_equal(stamp_next(first, now_ms), first + 1);
    assert_int_equal(stamp_ms(stamp_next(first, now_ms)), now_ms);
}

static void a_stamp_never_goes_back_when_the_clock_does(void **state)
{
    (void)state;
    uint64_t last = stamp_of_ms(now_ms);
    assert_int_equal(stamp_next(last, now_ms - 3600000), last + 1);
    assert_int_equal(stamp_next(last, 0), last + 1);
}

static void more_than_a_millisecond_holds_go_on_into_the_next(void **state)
{
    (void)state;
    uint64_t last = stamp_of_ms(now_ms) + UINT16_MAX;
    assert_int_equal(stamp_next(last, now_ms), stamp_of_ms(now_ms + 1));
    assert_int_equal(stamp_next(last + 1, now_ms + 1), last + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_stamp_of_a_millisecond_is_its_time),
        cmocka_unit_test(stamps_of_one_millisecond_are_counted),
        cmocka_unit_test(a_stamp_never_goes_back_when_the_clock_does),
        cmocka_unit_test(more_than_a_millisecond_holds_go_on_into_the_next),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
