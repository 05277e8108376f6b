/* SPDX-License-Identifier: MIT */
#include "tests/unit/store_fixture.h"

/* Operations that are sent again, through the store. */

static int setup(void **state)
{
    *state = store_fixture_open();
    return 0;
}

static int teardown(void **state)
{
    store_fixture_free(*state);
    return 0;
}

static struct op numbered_op(enum op_kind kind, const char *key, uint64_t seq)
{
    struct op op = store_op(kind, key);
    memset(op.identity.client, 7, sizeof(op.identity.client));
    op.identity.seq = seq;
    op.identity.done = 1;
    return op;
}

/* RULES Q1: when the second comes nothing is known of the first, which waits for the tree. */
static void of_two_that_wait_for_one_fetch_the_second_is_answered(void **state)
{
    struct store_fixture *f = *state;
    struct op write = store_op(OP_WRITE, "key");
    struct op incr = numbered_op(OP_INCR, "key", 1);
    store_fixture_do(f, &write);
    store_fixture_make_cold(f);
    uint32_t first = store_fixture_submit(f, &incr);
    uint32_t second = store_fixture_submit(f, &incr);
    store_fixture_wait(f);
    assert_int_equal(store_fixture_answer(f, first)->integer, 2);
    assert_int_equal(store_fixture_answer(f, second)->integer, 2);
    assert_int_equal(store_fixture_answer(f, second)->version,
                     store_fixture_answer(f, first)->version);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        CASE(of_two_that_wait_for_one_fetch_the_second_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
