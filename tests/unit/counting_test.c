/* SPDX-License-Identifier: MIT */
#include "shardd/counting.h"

#include "tests/unit/dice.h"
#include "tests/unit/store_fixture.h"

/*
 * RULES V8, S8: what a part was found to hold beside the work is what it holds when the range is divided, whatever was
 * done meanwhile. Looked up against the same split of the same directory with nothing counted before.
 */

enum { KEYS = 20000, ROUNDS = 60 };

static const struct range quarters[] = {
    {.end = BOUND_END / 4, .limit = STORE_TEST_LIMIT},
    {.start = BOUND_END / 4, .end = BOUND_END, .limit = STORE_TEST_LIMIT},
};
static const struct interval quarter = {0, BOUND_END / 4};

static uint32_t counted_count;

static void on_counted(void *context)
{
    (void)context;
    counted_count++;
}

static bool has_counted(struct store_fixture *f)
{
    return store_has_counted(f->store, &quarter);
}

static const char *numbered(uint32_t number)
{
    static char key[16];
    (void)snprintf(key, sizeof(key), "key %u", (unsigned)number);
    return key;
}

static void submit(struct store_fixture *f, struct dice *dice, uint64_t *seq)
{
    static const enum op_kind kinds[] = {OP_WRITE, OP_WRITE, OP_POP, OP_DELETE, OP_INCR, OP_EXPIRE};
    struct op op = store_op(kinds[dice_below(dice, 6)], numbered(dice_below(dice, KEYS)));
    ++*seq;
    op.identity = (struct op_identity){.client = {1}, .seq = *seq, .done = *seq - 1};
    store_fixture_submit(f, &op);
}

static void write_all(struct store_fixture *f)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        struct op op = store_op(OP_WRITE, numbered(i));
        store_fixture_submit(f, &op);
        if (i % 1000 == 999) {
            store_fixture_wait(f);
        }
    }
    store_fixture_wait(f);
}

static struct log_account account_at(const struct store_fixture *f, uint64_t point)
{
    const struct account *account = store_account(f->store, point);
    assert_non_null(account);
    return (struct log_account){.used = account->used, .records = account->records};
}

/* The same split without a count. */
static struct log_account expected(struct store_fixture *f)
{
    struct store_fixture *copy = store_fixture_crash(f);
    store_fixture_start(copy);
    store_fixture_own(copy, quarters, 2);
    struct log_account account = account_at(copy, 0);
    store_fixture_free(copy);
    return account;
}

static void count_under_changes(struct store_fixture *f, uint32_t seed)
{
    struct dice dice = dice_of(seed);
    uint64_t seq = 0;
    print_message("# seed %u\n", (unsigned)seed);
    store_on_counted(f->store, on_counted, f);
    counted_count = 0;
    store_count(f->store, &quarter, 1);
    assert_false(has_counted(f));
    while (!has_counted(f)) {
        for (uint32_t i = dice_below(&dice, 60); i > 0; i--) {
            submit(f, &dice, &seq);
        }
        store_fixture_wait(f);
    }
    for (uint32_t i = 0; i < ROUNDS; i++) {
        submit(f, &dice, &seq);
    }
    store_fixture_wait(f);
    assert_true(counted_count > 0);
    const struct log_account before = account_at(f, 0);
    const struct log_account part = expected(f);
    store_fixture_own(f, quarters, 2);
    const struct log_account found = account_at(f, 0);
    const struct log_account rest = account_at(f, UINT64_MAX);
    assert_int_equal(found.records, part.records);
    assert_int_equal(found.used, part.used);
    assert_int_equal(found.records + rest.records, before.records);
    assert_int_equal(found.used + rest.used, before.used);
    assert_in_range(found.records, 1, before.records / 3);
}

static void a_part_in_memory_is_counted_while_it_changes(void **state)
{
    struct store_fixture *f = *state;
    write_all(f);
    count_under_changes(f, 1);
}

static void a_part_in_the_tree_is_counted_while_it_changes(void **state)
{
    struct store_fixture *f = *state;
    write_all(f);
    store_fixture_make_cold(f);
    count_under_changes(f, 2);
}

/* Its hand was told nothing since: what it knows is worth nothing. */
static void a_range_that_became_another_is_counted_anew(void **state)
{
    struct store_fixture *f = *state;
    static const struct range wider = {.end = BOUND_END, .limit = STORE_TEST_LIMIT};
    static const struct range half = {.end = BOUND_END / 2, .limit = STORE_TEST_LIMIT};
    write_all(f);
    store_fixture_own(f, &half, 1);
    store_on_counted(f->store, on_counted, f);
    store_count(f->store, &quarter, 1);
    store_fixture_run(f, has_counted);
    store_fixture_own(f, &wider, 1);
    assert_false(has_counted(f));
    for (uint32_t i = KEYS; i < KEYS + 8; i++) {
        struct op op = store_op(OP_WRITE, numbered(i));
        store_fixture_do(f, &op);
    }
    store_fixture_run(f, has_counted);
    const struct log_account part = expected(f);
    store_fixture_own(f, quarters, 2);
    assert_int_equal(account_at(f, 0).records, part.records);
}

static void what_is_not_wanted_any_more_is_not_counted(void **state)
{
    struct store_fixture *f = *state;
    write_all(f);
    store_on_counted(f->store, on_counted, f);
    store_count(f->store, &quarter, 1);
    store_fixture_run(f, has_counted);
    store_count(f->store, NULL, 0);
    assert_false(has_counted(f));
}

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

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_part_in_memory_is_counted_while_it_changes),
        TEST(a_part_in_the_tree_is_counted_while_it_changes),
        TEST(a_range_that_became_another_is_counted_anew),
        TEST(what_is_not_wanted_any_more_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
