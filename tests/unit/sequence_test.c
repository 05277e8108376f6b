/* SPDX-License-Identifier: MIT */
#include "libclient/sequence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/dice.h"

static uint64_t take(struct sequence *sequence)
{
    uint64_t number = 0;
    assert_true(sequence_take(sequence, &number));
    return number;
}

static void numbers_begin_at_one_and_grow(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence);
    assert_int_equal(sequence.done, 1);
    assert_int_equal(take(&sequence), 1);
    assert_int_equal(take(&sequence), 2);
    assert_int_equal(take(&sequence), 3);
    assert_int_equal(sequence.done, 1);
}

static void done_passes_a_number_only_when_all_before_it_are_answered(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence);
    for (int i = 0; i < 4; i++) {
        take(&sequence);
    }
    sequence_answer(&sequence, 2);
    sequence_answer(&sequence, 3);
    assert_int_equal(sequence.done, 1);
    sequence_answer(&sequence, 1);
    assert_int_equal(sequence.done, 4);
    sequence_answer(&sequence, 4);
    assert_int_equal(sequence.done, 5);
}

static void the_window_is_full_at_its_limit_and_opens_with_the_oldest(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence);
    for (uint64_t number = 1; number <= RETRY_OPEN_MAX; number++) {
        assert_int_equal(take(&sequence), number);
    }
    uint64_t number = 0;
    assert_false(sequence_take(&sequence, &number));
    sequence_answer(&sequence, RETRY_OPEN_MAX);
    assert_false(sequence_take(&sequence, &number));
    assert_int_equal(number, 0);
    sequence_answer(&sequence, 1);
    assert_int_equal(take(&sequence), RETRY_OPEN_MAX + 1);
    assert_false(sequence_take(&sequence, &number));
}

/* Against a plain array of what is open. */
static void done_is_the_lowest_open_number_in_any_order_of_answers(void **state)
{
    (void)state;
    struct dice dice = dice_of(7);
    struct sequence sequence;
    sequence_init(&sequence);
    enum { NUMBERS = 20000 };
    static bool is_open[NUMBERS + 2];
    uint64_t newest = 0;
    uint64_t lowest = 1;
    while (newest < NUMBERS) {
        uint64_t number = 0;
        if (dice_below(&dice, 2) && sequence_take(&sequence, &number)) {
            assert_int_equal(number, ++newest);
            is_open[number] = true;
        } else if (lowest <= newest) {
            number = lowest + dice_below(&dice, (uint32_t)(newest - lowest + 1));
            if (is_open[number]) {
                is_open[number] = false;
                sequence_answer(&sequence, number);
            }
        }
        while (lowest <= newest && !is_open[lowest]) {
            lowest++;
        }
        assert_int_equal(sequence.done, lowest);
        assert_true(newest + 1 - lowest <= RETRY_OPEN_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_begin_at_one_and_grow),
        cmocka_unit_test(done_passes_a_number_only_when_all_before_it_are_answered),
        cmocka_unit_test(the_window_is_full_at_its_limit_and_opens_with_the_oldest),
        cmocka_unit_test(done_is_the_lowest_open_number_in_any_order_of_answers),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
