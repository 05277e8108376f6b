/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/random.h"

static void two_fillings_differ(void **state)
{
    (void)state;
    uint8_t first[16];
    uint8_t second[16];
    random_fill(first, sizeof(first));
    random_fill(second, sizeof(second));
    assert_memory_not_equal(first, second, sizeof(first));
}

static void every_value_below_is_drawn_and_none_else(void **state)
{
    (void)state;
    bool is_drawn[10] = {false};
    for (unsigned i = 0; i < 10000; i++) { /* one is missed once in 10^450 runs */
        uint64_t value = random_below(10);
        assert_true(value < 10);
        is_drawn[value] = true;
    }
    for (unsigned i = 0; i < 10; i++) {
        assert_true(is_drawn[i]);
    }
    assert_int_equal(random_below(1), 0);
    assert_true(random_below(UINT64_MAX) < UINT64_MAX);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_fillings_differ),
        cmocka_unit_test(every_value_below_is_drawn_and_none_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
