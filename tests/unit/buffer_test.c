/* SPDX-License-Identifier: MIT */
#include "proto/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void the_zero_value_is_an_empty_buffer(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    assert_int_equal(buffer_bytes(&buffer).len, 0);
    buffer_append(&buffer, NULL, 0);
    buffer_append_bytes(&buffer, (struct bytes){0});
    buffer_consume(&buffer, 0);
    buffer_clear(&buffer);
    buffer_shrink(&buffer, 0);
    assert_null(buffer.data);
    assert_false(buffer.failed);
    buffer_fini(&buffer);
}

static void what_is_appended_stays_in_order_while_it_grows(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    for (uint32_t i = 0; i < 10000; i++) {
        buffer_append(&buffer, &i, sizeof i);
    }
    assert_false(buffer.failed);
    assert_int_equal(buffer.len, 10000 * sizeof(uint32_t));
    for (uint32_t i = 0; i < 10000; i++) {
        assert_memory_equal(buffer.data + i * sizeof i, &i, sizeof i);
    }
    buffer_fini(&buffer);
    assert_null(buffer.data);
}

static void reserved_room_counts_once_the_caller_raises_the_length(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append(&buffer, "ab", 2);
    uint8_t *room = buffer_reserve(&buffer, 1000);
    assert_non_null(room);
    assert_ptr_equal(room, buffer.data + 2);
    assert_int_equal(buffer.len, 2);
    memset(room, 'c', 1000);
    buffer.len += 1000;
    assert_int_equal(buffer.data[1001], 'c');
    buffer_fini(&buffer);
}

static void room_for_nothing_is_not_null(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    assert_non_null(buffer_reserve(&buffer, 0));
    assert_false(buffer.failed);
    buffer_fini(&buffer);
}

static void a_length_that_cannot_be_had_fails_and_keeps_the_contents(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append(&buffer, "kept", 4);
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
    assert_true(buffer.failed);
    assert_true(bytes_equal(buffer_bytes(&buffer), bytes_text("kept")));
    buffer_fini(&buffer);
}

static void the_error_sticks_until_the_buffer_is_cleared(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
    buffer_append(&buffer, "x", 1);
    assert_true(buffer.failed);
    assert_int_equal(buffer.len, 0);
    buffer_clear(&buffer);
    buffer_append(&buffer, "x", 1);
    assert_false(buffer.failed);
    assert_int_equal(buffer.len, 1);
    buffer_fini(&buffer);
}

static void consuming_moves_the_rest_to_the_front(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append(&buffer, "first second", 12);
    buffer_consume(&buffer, 6);
    assert_true(bytes_equal(buffer_bytes(&buffer), bytes_text("second")));
    buffer_consume(&buffer, 6);
    assert_int_equal(buffer.len, 0);
    buffer_fini(&buffer);
}

static void clearing_keeps_the_memory_and_shrinking_gives_it_back(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    assert_non_null(buffer_reserve(&buffer, 100000));
    buffer_clear(&buffer);
    assert_true(buffer.capacity >= 100000);
    buffer_shrink(&buffer, 200000);
    assert_true(buffer.capacity >= 100000);
    buffer_shrink(&buffer, 4096);
    assert_int_equal(buffer.capacity, 4096);
    buffer_append(&buffer, "x", 1);
    buffer_shrink(&buffer, 0);
    assert_int_equal(buffer.capacity, 0);
    assert_int_equal(buffer.len, 0);
    buffer_fini(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_zero_value_is_an_empty_buffer),
        cmocka_unit_test(what_is_appended_stays_in_order_while_it_grows),
        cmocka_unit_test(reserved_room_counts_once_the_caller_raises_the_length),
        cmocka_unit_test(room_for_nothing_is_not_null),
        cmocka_unit_test(a_length_that_cannot_be_had_fails_and_keeps_the_contents),
        cmocka_unit_test(the_error_sticks_until_the_buffer_is_cleared),
        cmocka_unit_test(consuming_moves_the_rest_to_the_front),
        cmocka_unit_test(clearing_keeps_the_memory_and_shrinking_gives_it_back),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
