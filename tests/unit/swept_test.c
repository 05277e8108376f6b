/* SPDX-License-Identifier: MIT */
#include "shardd/swept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"

struct fixture {
    struct scratch scratch;
    struct tree *tree;
};

static int setup(void **state)
{
    static struct fixture f;
    char error[256];
    f.scratch = scratch_make();
    f.tree = tree_open(f.scratch.path, error, sizeof(error));
    assert_non_null(f.tree);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tree_close(f->tree);
    scratch_remove(&f->scratch);
    return 0;
}

static bool load(struct fixture *f, struct swept *swept)
{
    struct tree_txn *txn = tree_begin_read(f->tree);
    bool is_fine = swept_load(txn, swept);
    tree_abort(txn);
    return is_fine;
}

static void store(struct fixture *f, const struct swept *swept)
{
    struct tree_txn *txn = tree_begin_write(f->tree);
    swept_store(txn, swept);
    assert_int_equal(tree_commit(txn), TREE_FINE);
}

static struct swept sample(void)
{
    struct swept swept = {.durable = UINT64_MAX};
    for (uint64_t i = 0; i < SWEPT_UNIT_COUNT; i++) {
        swept.applied[i] = UINT64_MAX - i;
    }
    return swept;
}

static void a_new_tree_has_nothing_applied(void **state)
{
    struct swept swept = sample();
    assert_true(load(*state, &swept));
    assert_int_equal(swept.durable, 0);
    assert_int_equal(swept_applied(&swept), 0);
}

static void what_is_stored_is_loaded(void **state)
{
    struct swept swept = sample();
    struct swept loaded;
    store(*state, &swept);
    assert_true(load(*state, &loaded));
    assert_memory_equal(&loaded, &swept, sizeof(swept));
}

static void the_least_of_all_units_counts(void **state)
{
    (void)state;
    for (int i = 0; i < SWEPT_UNIT_COUNT; i++) {
        struct swept swept = sample();
        swept.applied[i] = 5;
        assert_int_equal(swept_applied(&swept), 5);
    }
}

/* Not taken for one in which nothing was ever swept. */
static void every_flipped_byte_is_found(void **state)
{
    struct fixture *f = *state;
    struct swept swept = sample();
    struct bytes stored;
    static uint8_t copy[2048];
    store(f, &swept);
    struct tree_txn *txn = tree_begin_read(f->tree);
    assert_true(tree_get(txn, TREE_META, bytes_text("swept"), &stored));
    size_t len = stored.len;
    assert_true(len <= sizeof(copy));
    memcpy(copy, stored.data, len);
    tree_abort(txn);
    for (size_t i = 0; i < len; i++) {
        copy[i] ^= 1;
        txn = tree_begin_write(f->tree);
        tree_put(txn, TREE_META, bytes_text("swept"), bytes_of(copy, len), bytes_of(NULL, 0));
        assert_int_equal(tree_commit(txn), TREE_FINE);
        assert_false(load(f, &swept));
        copy[i] ^= 1;
    }
}

static bool load_state(struct fixture *f, uint64_t *stamp, struct buffer *control)
{
    struct tree_txn *txn = tree_begin_read(f->tree);
    bool is_there = swept_load_state(txn, stamp, control);
    tree_abort(txn);
    return is_there;
}

static void a_control_state_is_loaded_as_it_was_stored_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    struct buffer control = {0};
    struct bytes stored;
    uint64_t stamp = 1;
    uint8_t copy[64];
    assert_false(load_state(f, &stamp, &control));
    struct tree_txn *txn = tree_begin_write(f->tree);
    swept_store_state(txn, UINT64_MAX, bytes_text("control"));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    assert_true(load_state(f, &stamp, &control));
    assert_int_equal(stamp, UINT64_MAX);
    assert_true(bytes_equal(buffer_bytes(&control), bytes_text("control")));
    txn = tree_begin_read(f->tree);
    assert_true(tree_get(txn, TREE_META, bytes_text("state"), &stored));
    size_t len = stored.len;
    assert_true(len <= sizeof(copy));
    memcpy(copy, stored.data, len);
    tree_abort(txn);
    for (size_t i = 0; i < len; i++) {
        copy[i] ^= 1;
        txn = tree_begin_write(f->tree);
        tree_put(txn, TREE_META, bytes_text("state"), bytes_of(copy, len), bytes_of(NULL, 0));
        assert_int_equal(tree_commit(txn), TREE_FINE);
        assert_false(load_state(f, &stamp, &control));
        copy[i] ^= 1;
    }
    buffer_fini(&control);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_new_tree_has_nothing_applied),
        TEST(what_is_stored_is_loaded),
        TEST(the_least_of_all_units_counts),
        TEST(every_flipped_byte_is_found),
        TEST(a_control_state_is_loaded_as_it_was_stored_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
