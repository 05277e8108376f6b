/* SPDX-License-Identifier: MIT */
#include "cli/failure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void every_outcome_has_its_exit_status(void **state)
{
    (void)state;
    assert_int_equal(failure_code(SKV_OK), 0);
    assert_int_equal(failure_code(SKV_NOT_FOUND), 1);
    assert_int_equal(failure_code(SKV_UNAVAILABLE), 3);
    assert_int_equal(failure_code(SKV_CONDITION), 4);
    assert_int_equal(failure_code(SKV_FULL), 4);
    assert_int_equal(failure_code(SKV_INVALID), 4);
    assert_int_equal(failure_code(SKV_DENIED), 4);
    assert_int_equal(failure_code(SKV_UNKNOWN), 5);
}

static void the_worst_outcome_of_a_job_is_what_needs_most_attention(void **state)
{
    static const enum exit_code rising[] = {
        EXIT_CODE_DONE,    EXIT_CODE_NOT_FOUND,   EXIT_CODE_USAGE,
        EXIT_CODE_REFUSED, EXIT_CODE_UNAVAILABLE, EXIT_CODE_UNKNOWN,
    };
    (void)state;
    for (size_t i = 1; i < sizeof(rising) / sizeof(rising[0]); i++) {
        assert_int_equal(failure_worst(rising[i - 1], rising[i]), rising[i]);
        assert_int_equal(failure_worst(rising[i], rising[i - 1]), rising[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_outcome_has_its_exit_status),
        cmocka_unit_test(the_worst_outcome_of_a_job_is_what_needs_most_attention),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
