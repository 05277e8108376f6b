/* SPDX-License-Identifier: MIT */
#include "libclient/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct cursor cursor_of(uint64_t point, const char *key)
{
    struct cursor cursor = {.is_end = false};
    cursor_set(&cursor, point, bytes_text(key));
    return cursor;
}

static void a_printed_cursor_reads_back(void **state)
{
    (void)state;
    struct cursor longest = {.point = UINT64_MAX, .key_len = KEY_LEN_MAX};
    memset(longest.key, 0xff, sizeof(longest.key));
    const struct cursor cursors[] = {cursor_of(0, ""),
                                     cursor_of(UINT64_C(0x0123456789abcdef), "key"),
                                     {.is_end = true},
                                     longest};
    for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
        char text[CURSOR_TEXT_LEN];
        struct cursor parsed;
        cursor_print(&cursors[i], text);
        assert_true(cursor_parse(text, &parsed));
        assert_memory_equal(&parsed, &cursors[i], sizeof(parsed));
    }
    char text[CURSOR_TEXT_LEN];
    cursor_print(&cursors[1], text);
    assert_string_equal(text, "0123456789abcdef.6b6579");
}

static void what_is_no_cursor_is_refused(void **state)
{
    (void)state;
    char too_long[16 + 1 + 2 * KEY_LEN_MAX + 3];
    memset(too_long, 'a', sizeof(too_long) - 1);
    too_long[16] = '.';
    too_long[sizeof(too_long) - 1] = '\0';
    const char *bad[] = {"",
                         "en",
                         "ended",
                         "0123456789abcdef",
                         "0123456789abcde.",
                         "0123456789abcdeg.",
                         "0123456789ABCDEF.",
                         "0123456789abcdef.6",
                         "0123456789abcdef.6b6",
                         "0123456789abcdef.6b 6",
                         too_long};
    struct cursor cursor;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(cursor_parse(bad[i], &cursor));
    }
}

static void cursors_stand_in_the_order_of_points_and_keys(void **state)
{
    (void)state;
    const struct cursor sorted[] = {cursor_of(0, ""),  cursor_of(0, "a"), cursor_of(0, "aa"),
                                    cursor_of(0, "b"), cursor_of(1, ""),  {.is_end = true}};
    const size_t count = sizeof(sorted) / sizeof(sorted[0]);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            assert_int_equal(cursor_is_before(&sorted[i], &sorted[j]), i < j);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_printed_cursor_reads_back),
        cmocka_unit_test(what_is_no_cursor_is_refused),
        cmocka_unit_test(cursors_stand_in_the_order_of_points_and_keys),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
