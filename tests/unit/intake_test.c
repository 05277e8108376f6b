/* SPDX-License-Identifier: MIT */
#include "io/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MIB ((size_t)1 << 20)

/* Reads until the hooks must run. */
static size_t fill(struct intake *intake)
{
    size_t len = 0;
    while (!intake_is_full(intake)) {
        assert_non_null(intake_room(intake));
        intake_take(intake, INTAKE_READ_LEN);
        len += INTAKE_READ_LEN;
    }
    return len;
}

static void a_turns_input_is_what_it_may_take(void **state)
{
    const struct {
        size_t limit; /* 0: none was set */
        size_t len;
    } cases[] = {{0, 4 * MIB},
                 {MIB, MIB},
                 {3 * MIB / 2, 3 * MIB / 2},
                 {64 * MIB, 4 * MIB},
                 {1, INTAKE_CHUNK_LEN}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct intake intake = {0};
        if (cases[i].limit > 0) {
            intake_limit(&intake, cases[i].limit);
        }
        assert_int_equal(fill(&intake), cases[i].len);
        intake_reset(&intake);
        assert_int_equal(fill(&intake), cases[i].len);
        intake_fini(&intake);
    }
}

static void what_is_retired_counts_by_itself(void **state)
{
    struct intake intake = {0};
    (void)state;
    intake_limit(&intake, MIB);
    for (int i = 0; i < 4; i++) {
        struct buffer seen = {0};
        assert_non_null(buffer_reserve(&seen, MIB / 3));
        assert_int_equal(intake_is_full(&intake), false);
        intake_retire(&intake, &seen);
    }
    assert_true(intake_is_full(&intake));
    intake_reset(&intake);
    assert_false(intake_is_full(&intake));
    intake_fini(&intake);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turns_input_is_what_it_may_take),
        cmocka_unit_test(what_is_retired_counts_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
