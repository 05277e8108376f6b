/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void count_rate_share_and_time_left_are_told(void **state)
{
    static const struct {
        uint64_t count, done, total, elapsed_ms;
        const char *text;
    } cases[] = {
        {5000, 25, 100, 4000, "5000 records, 1250/s, 25 %, 12 s left"},
        {0, 0, 100, 4000, "0 records, 0/s"},
        {5000, 25, 0, 4000, "5000 records, 1250/s"},
        {5000, 25, 100, 0, "5000 records, 5000000/s, 25 %, 0 s left"},
        {10, 1, 100, 1000, "10 records, 10/s, 1 %, 1 min 39 s left"},
        {10, 1, 10000, 1000, "10 records, 10/s, 0 %, 2 h 46 min left"},
        {1, 1, 1000000, 1000, "1 record, 1/s, 0 %, more than 100 h left"},
        {1, 1, UINT64_MAX, UINT64_MAX, "1 record, 0/s, 0 %, more than 100 h left"},
    };
    char text[PROGRESS_TEXT_LEN];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        progress_print(cases[i].count, cases[i].done, cases[i].total, cases[i].elapsed_ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void more_than_expected_is_all_of_it(void **state)
{
    char text[PROGRESS_TEXT_LEN];
    (void)state;
    progress_print(120, 120, 100, 1000, text);
    assert_string_equal(text, "120 records, 120/s, 100 %, 0 s left");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(count_rate_share_and_time_left_are_told),
        cmocka_unit_test(more_than_expected_is_all_of_it),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
