/* SPDX-License-Identifier: MIT */
#include "cli/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proto/limits.h"

static void a_number_and_its_unit_is_a_time(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {
        {"1ms", 1},
        {"500ms", 500},
        {"10s", 10000},
        {"10", 10000},
        {"5m", 300000},
        {"2h", 7200000},
        {"7d", 604800000},
        {"007s", 7000},
        {"70368744177664ms", TTL_MS_MAX},
        {"814453d", UINT64_C(70368739200000)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ms = 0;
        assert_true(duration_parse(cases[i].text, &ms));
        assert_true(ms == cases[i].ms);
    }
}

static void what_is_no_time_is_refused_and_changes_nothing(void **state)
{
    static const char *const cases[] = {
        "",
        "0",
        "0ms",
        "s",
        "ms",
        "-5",
        "+5",
        " 5",
        "5 ",
        "5 s",
        "5S",
        "5min",
        "1.5s",
        "1h30m",
        "5s5",
        "0x5",
        "ten",
        "1e3",
        "70368744177665ms",
        "814454d",
        "99999999999999999999999s",
        "18446744073709551617ms",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ms = 42;
        assert_false(duration_parse(cases[i], &ms));
        assert_int_equal(ms, 42);
    }
}

static void a_time_is_printed_in_its_two_largest_units(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {
        {0, "0 ms"},
        {999, "999 ms"},
        {1000, "1 s"},
        {1099, "1 s"},
        {9350, "9.3 s"},
        {59999, "59.9 s"},
        {60000, "1 min"},
        {125999, "2 min 5 s"},
        {3600000, "1 h"},
        {9999999, "2 h 46 min"},
        {86399999, "23 h 59 min"},
        {86400000, "1 d"},
        {90000000, "1 d 1 h"},
        {TTL_MS_MAX, "814453 d 1 h"},
        {UINT64_MAX, "213503982334 d 14 h"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[DURATION_TEXT_LEN];
        duration_print(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_and_its_unit_is_a_time),
        cmocka_unit_test(what_is_no_time_is_refused_and_changes_nothing),
        cmocka_unit_test(a_time_is_printed_in_its_two_largest_units),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
