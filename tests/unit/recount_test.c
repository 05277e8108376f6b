/* SPDX-License-Identifier: MIT */
#include "shardd/recount.h"

#include "shardd/store_internal.h"
#include "tests/unit/store_fixture.h"

#define HALF (BOUND_END / 2)

enum { KEYS = 200, COPIES_MAX = 64 };

static const struct range halves[] = {{.end = HALF, .limit = STORE_TEST_LIMIT},
                                      {.start = HALF, .end = BOUND_END, .limit = STORE_TEST_LIMIT}};

/* Of the low and the high half. */
struct numbers {
    uint64_t used[2];
    uint64_t records[2];
};

static struct numbers numbers_of(const struct store_fixture *f)
{
    struct numbers numbers;
    for (int i = 0; i < 2; i++) {
        const struct account *account = store_account(f->store, i ? UINT64_MAX : 0);
        numbers.used[i] = account->used;
        numbers.records[i] = account->records;
    }
    return numbers;
}

static void assert_numbers(const struct store_fixture *f, const struct numbers *numbers)
{
    const struct numbers found = numbers_of(f);
    assert_memory_equal(&found, numbers, sizeof(found));
}

static const char *numbered(uint32_t number)
{
    static char key[16];
    (void)snprintf(key, sizeof(key), "key%u", number);
    return key;
}

/* Part of them cold, part dirty, part cold and replaced or deleted; some popped, and kept as results. */
static struct store_fixture *filled(void)
{
    struct store_fixture *f = store_fixture_open();
    store_fixture_own(f, halves, 2);
    for (uint32_t i = 0; i < KEYS; i++) {
        struct op op = store_op(OP_WRITE, numbered(i));
        (void)store_fixture_do(f, &op);
        if (i == KEYS / 2) {
            store_fixture_make_cold(f);
        }
    }
    for (uint32_t i = 0; i < KEYS; i += 5) {
        struct op op = store_op(i % 2 == 0 ? OP_POP : OP_DELETE, numbered(i));
        op.identity = (struct op_identity){.client = {1}, .seq = i + 1, .done = 1};
        assert_true(store_fixture_do(f, &op)->was_there);
    }
    return f;
}

/* As if records that the accounts count had been left behind: in all that is logged from now on. */
static void spoil(struct store_fixture *f)
{
    struct accounts *accounts = &f->store->accounts;
    for (uint32_t i = 0; i < accounts->count; i++) {
        account_change(accounts, &accounts->items[i], 12345, 67);
    }
    struct op op = store_op(OP_WRITE, numbered(1));
    (void)store_fixture_do(f, &op);
}

static void mark(const struct store_fixture *f, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", f->scratch.path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fclose(file);
}

static bool is_marked(const struct store_fixture *f)
{
    return dir_has(f->dir, LOG_RECOUNT_NAME);
}

static bool is_unmarked(struct store_fixture *f)
{
    return !is_marked(f) && store_is_idle(f->store);
}

/* What log salvage leaves: a log with the accounts of before, and the file. */
static struct store_fixture *salvaged(struct numbers *numbers)
{
    struct store_fixture *f = filled();
    *numbers = numbers_of(f);
    spoil(f);
    struct store_fixture *copy = store_fixture_crash(f);
    mark(copy, LOG_RECOUNT_NAME);
    store_fixture_free(f);
    return copy;
}

static void a_salvaged_directory_is_counted_once(void **state)
{
    (void)state;
    struct numbers numbers;
    struct store_fixture *f = salvaged(&numbers);
    store_fixture_start(f);
    assert_numbers(f, &numbers);
    assert_true(is_marked(f)); /* nothing is durable yet */
    store_fixture_run(f, is_unmarked);
    store_fixture_restart(f);
    assert_numbers(f, &numbers);
    spoil(f);
    store_fixture_restart(f);
    assert_int_equal(store_account(f->store, 0)->used, numbers.used[0] + 12345);
    store_fixture_free(f);
}

static struct store_fixture *copies[COPIES_MAX];
static uint32_t copy_count;

static bool copy_each_turn(struct store_fixture *f)
{
    if (copy_count < COPIES_MAX) {
        copies[copy_count++] = store_fixture_crash(f);
    }
    return is_unmarked(f);
}

static void killed_in_the_middle_it_is_counted_again(void **state)
{
    (void)state;
    struct numbers numbers;
    struct store_fixture *f = salvaged(&numbers);
    store_fixture_start(f);
    copy_count = 0;
    copies[copy_count++] = store_fixture_crash(f);
    store_fixture_run(f, copy_each_turn);
    assert_true(copy_count >= 3);
    for (uint32_t i = 0; i < copy_count; i++) {
        store_fixture_start(copies[i]);
        assert_numbers(copies[i], &numbers);
        store_fixture_run(copies[i], is_unmarked);
        store_fixture_restart(copies[i]);
        assert_numbers(copies[i], &numbers);
        store_fixture_free(copies[i]);
    }
    store_fixture_free(f);
}

/* RULES S8: what counts stands in the log. */
static void what_nobody_salvaged_is_not_counted(void **state)
{
    (void)state;
    struct numbers numbers;
    struct store_fixture *f = salvaged(&numbers);
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/" LOG_RECOUNT_NAME, f->scratch.path);
    assert_int_equal(unlink(path), 0);
    store_fixture_start(f);
    assert_int_equal(store_account(f->store, 0)->used, numbers.used[0] + 12345);
    assert_int_equal(store_account(f->store, 0)->records, numbers.records[0] + 67);
    store_fixture_free(f);
}

static void remove_tree(const struct store_fixture *f)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/tree", f->scratch.path);
    assert_int_equal(unlink(path), 0);
}

static void a_tree_that_is_missing_beside_a_log_is_refused(void **state)
{
    (void)state;
    struct numbers numbers;
    struct store_fixture *f = salvaged(&numbers);
    remove_tree(f);
    assert_false(store_fixture_try_start(f));
    assert_non_null(strstr(f->error, "/tree: is missing, and there is a log beside it"));
    store_fixture_free(f);
}

/* What is left is what the log has. */
static void unless_salvage_gave_it_up(void **state)
{
    (void)state;
    struct store_fixture *f = store_fixture_open();
    store_fixture_own(f, halves, 2);
    struct op op = store_op(OP_WRITE, numbered(1));
    (void)store_fixture_do(f, &op);
    const struct numbers numbers = numbers_of(f);
    spoil(f);
    struct store_fixture *copy = store_fixture_crash(f);
    mark(copy, LOG_RECOUNT_NAME);
    mark(copy, LOG_NO_TREE_NAME);
    remove_tree(copy);
    store_fixture_start(copy);
    assert_numbers(copy, &numbers);
    store_fixture_run(copy, is_unmarked);
    assert_false(dir_has(copy->dir, LOG_NO_TREE_NAME));
    store_fixture_restart(copy);
    assert_numbers(copy, &numbers);
    store_fixture_free(copy);
    store_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_salvaged_directory_is_counted_once),
        cmocka_unit_test(killed_in_the_middle_it_is_counted_again),
        cmocka_unit_test(what_nobody_salvaged_is_not_counted),
        cmocka_unit_test(a_tree_that_is_missing_beside_a_log_is_refused),
        cmocka_unit_test(unless_salvage_gave_it_up),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
