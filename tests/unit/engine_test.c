/* SPDX-License-Identifier: MIT */
#include "shardd/engine.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "io/memory.h"
#include "proto/point.h"
#include "tests/unit/scratch.h"

#define HALF  (BOUND_END / 2)
#define LIMIT (UINT64_C(1) << 40)

static const struct range all[] = {{0, BOUND_END, LIMIT}};
static const struct range halves[] = {{0, HALF, LIMIT}, {HALF, BOUND_END, LIMIT}};

struct fixture {
    struct scratch scratch;
    struct engine *engine;
};

static void open_engine(struct fixture *fixture, const struct range *ranges, uint32_t range_count)
{
    char error[256] = "";
    struct buffer control = {0};
    fixture->engine = engine_open(fixture->scratch.path, error, sizeof(error));
    assert_string_equal(error, "");
    assert_true(engine_load(fixture->engine, &control, error, sizeof(error)));
    buffer_fini(&control);
    if (!engine_start(fixture->engine, ranges, range_count, error, sizeof(error))) {
        fail_msg("%s", error);
    }
}

static void save(struct fixture *fixture, const struct range *ranges, uint32_t range_count)
{
    assert_int_equal(engine_save(fixture->engine, bytes_text("control"), ranges, range_count),
                     TREE_FINE);
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture.scratch = scratch_make();
    open_engine(&fixture, NULL, 0);
    save(&fixture, all, 1);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    engine_close(fixture->engine);
    scratch_remove(&fixture->scratch);
    return 0;
}

/* Its point is spread over the circle by `index`. */
static struct op *new_op(enum op_kind kind, uint32_t index, struct bytes value)
{
    char key[16];
    (void)snprintf(key, sizeof(key), "key%u", index);
    struct op op = {
        .kind = kind,
        .key = bytes_text(key),
        .value = value,
        .point = point_of_key(bytes_text(key)),
        .limit = SCAN_RECORDS_MAX,
    };
    return op_new(&op);
}

static enum status run_one(struct fixture *fixture, enum op_kind kind, uint32_t index,
                           struct bytes value)
{
    uint32_t run_count;
    struct op *op = new_op(kind, index, value);
    assert_int_equal(engine_run(fixture->engine, &op, 1, &run_count), TREE_FINE);
    assert_int_equal(run_count, 1);
    enum status status = op->outcome.status;
    op_free(op);
    return status;
}

static void write_many(struct fixture *fixture, uint32_t count)
{
    struct op **ops = memory_get(count, sizeof(struct op *));
    uint32_t run_count;
    for (uint32_t i = 0; i < count; i++) {
        ops[i] = new_op(OP_WRITE, i, bytes_of("\x01", 1));
    }
    assert_int_equal(engine_run(fixture->engine, ops, count, &run_count), TREE_FINE);
    assert_int_equal(run_count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(ops[i]->outcome.status, STATUS_OK);
        op_free(ops[i]);
    }
    free(ops);
}

static const struct account *account(const struct fixture *fixture, uint32_t index)
{
    return &engine_accounts(fixture->engine)->items[index];
}

static void accounts_and_stamps_survive_a_restart(void **state)
{
    struct fixture *fixture = *state;
    write_many(fixture, 1000);
    uint64_t used = account(fixture, 0)->used;
    uint64_t stamp = engine_last_stamp(fixture->engine);
    engine_close(fixture->engine);
    open_engine(fixture, all, 1);
    assert_int_equal(account(fixture, 0)->used, used);
    assert_int_equal(account(fixture, 0)->records, 1000);
    assert_int_equal(engine_last_stamp(fixture->engine), stamp);
}

static void a_split_counts_its_parts_and_a_join_adds_them(void **state)
{
    struct fixture *fixture = *state;
    write_many(fixture, 1000);
    uint64_t used = account(fixture, 0)->used;
    save(fixture, halves, 2);
    assert_int_equal(account(fixture, 0)->records + account(fixture, 1)->records, 1000);
    assert_int_equal(account(fixture, 0)->used + account(fixture, 1)->used, used);
    assert_true(account(fixture, 0)->records > 400);
    assert_true(account(fixture, 1)->records > 400);
    save(fixture, all, 1);
    assert_int_equal(account(fixture, 0)->records, 1000);
    assert_int_equal(account(fixture, 0)->used, used);
    engine_close(fixture->engine);
    open_engine(fixture, all, 1);
}

static void popped_values_are_counted_in_their_part(void **state)
{
    struct fixture *fixture = *state;
    uint32_t run_count;
    write_many(fixture, 100);
    uint64_t used = account(fixture, 0)->used;
    for (uint32_t i = 0; i < 100; i++) {
        struct op *op = new_op(OP_POP, i, bytes_of(NULL, 0));
        op->identity.seq = i + 1;
        op->identity.done = 1;
        assert_int_equal(engine_run(fixture->engine, &op, 1, &run_count), TREE_FINE);
        op_free(op);
    }
    assert_int_equal(account(fixture, 0)->used, used);
    save(fixture, halves, 2);
    assert_int_equal(account(fixture, 0)->records + account(fixture, 1)->records, 0);
    assert_int_equal(account(fixture, 0)->used + account(fixture, 1)->used, used);
}

static void what_is_lost_is_kept_and_what_is_gained_is_empty(void **state)
{
    struct fixture *fixture = *state;
    write_many(fixture, 1000);
    save(fixture, halves, 1);
    uint64_t low = account(fixture, 0)->records;
    engine_close(fixture->engine);
    open_engine(fixture, halves, 1);
    assert_int_equal(account(fixture, 0)->records, low);
    save(fixture, halves, 2);
    assert_int_equal(account(fixture, 0)->records, low);
    assert_int_equal(account(fixture, 1)->records, 0);
    uint32_t there = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t run_count;
        struct op *op = new_op(OP_EXISTS, i, bytes_of(NULL, 0));
        engine_run(fixture->engine, &op, 1, &run_count);
        there += op->outcome.was_there;
        op_free(op);
    }
    assert_int_equal(there, low);
}

static void an_account_that_is_missing_is_named(void **state)
{
    struct fixture *fixture = *state;
    char error[256] = "";
    engine_close(fixture->engine);
    fixture->engine = engine_open(fixture->scratch.path, error, sizeof(error));
    assert_false(engine_start(fixture->engine, halves, 2, error, sizeof(error)));
    assert_string_equal(error, "tree: the account of the range from 0.0 is missing or damaged");
}

static void records_without_a_control_state_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char error[256] = "";
    struct buffer control = {0};
    engine_close(fixture->engine);
    struct tree *tree = tree_open(fixture->scratch.path, error, sizeof(error));
    struct tree_txn *txn = tree_begin_write(tree);
    tree_delete(txn, TREE_META, bytes_text("control"));
    tree_put(txn, TREE_RECORDS, bytes_text("record"), bytes_of(NULL, 0), bytes_of(NULL, 0));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
    fixture->engine = engine_open(fixture->scratch.path, error, sizeof(error));
    assert_false(engine_load(fixture->engine, &control, error, sizeof(error)));
    assert_string_equal(error, "tree: there are records, but no control state");
}

static void a_group_ends_before_its_outcomes_are_too_many_bytes(void **state)
{
    struct fixture *fixture = *state;
    uint32_t value_len = 3 << 20;
    uint8_t *value = memory_get(1, value_len);
    uint8_t head[] = {0xc6, 0, 0x2f, 0xff, 0xfb};
    memcpy(value, head, sizeof(head));
    run_one(fixture, OP_WRITE, 1, bytes_of(value, value_len));
    free(value);
    struct op *ops[10];
    uint32_t run_count;
    for (uint32_t i = 0; i < 10; i++) {
        ops[i] = new_op(OP_READ, 1, bytes_of(NULL, 0));
    }
    assert_int_equal(engine_run(fixture->engine, ops, 10, &run_count), TREE_FINE);
    assert_int_equal(run_count, 3);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(ops[i]->outcome.value.len, i < run_count ? value_len : 0);
        op_free(ops[i]);
    }
}

/* The file may not grow any more; what is free in it can be used. */
static void set_file_limit(rlim_t len)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = len;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void on_a_full_disk_all_but_growth_goes_on(void **state)
{
    struct fixture *fixture = *state;
    (void)signal(SIGXFSZ, SIG_IGN);
    write_many(fixture, 1000);
    uint64_t used = account(fixture, 0)->used;
    uint8_t value[1000] = {0xc5, 0x03, 0xe5};
    struct op *ops[400];
    uint32_t run_count;
    uint32_t full_count = 0;
    for (uint32_t i = 0; i < 400; i++) {
        enum op_kind kind = i % 4 == 0 ? OP_DELETE : i % 4 == 1 ? OP_READ : OP_WRITE;
        ops[i] = new_op(kind, i % 4 < 2 ? i : 1000 + i,
                        kind == OP_WRITE ? bytes_of(value, sizeof(value)) : bytes_of(NULL, 0));
    }
    set_file_limit(256 << 10);
    assert_int_equal(engine_run(fixture->engine, ops, 400, &run_count), TREE_FINE);
    set_file_limit(RLIM_INFINITY);
    assert_int_equal(run_count, 400);
    for (uint32_t i = 0; i < 400; i++) {
        full_count += ops[i]->outcome.status == STATUS_FULL;
        assert_int_equal(ops[i]->outcome.status,
                         ops[i]->kind == OP_WRITE ? STATUS_FULL : STATUS_OK);
        assert_true(ops[i]->kind == OP_WRITE || ops[i]->outcome.was_there);
        op_free(ops[i]);
    }
    assert_int_equal(full_count, 200);
    assert_int_equal(account(fixture, 0)->records, 900);
    assert_true(account(fixture, 0)->used < used);
    assert_int_equal(run_one(fixture, OP_WRITE, 2000, bytes_of("\x01", 1)), STATUS_OK);
}

static void where_nothing_fits_operations_are_put_off_and_nothing_changes(void **state)
{
    struct fixture *fixture = *state;
    (void)signal(SIGXFSZ, SIG_IGN);
    write_many(fixture, 10);
    uint64_t used = account(fixture, 0)->used;
    uint64_t stamp = engine_last_stamp(fixture->engine);
    set_file_limit(1);
    enum status status = run_one(fixture, OP_DELETE, 1, bytes_of(NULL, 0));
    enum status read_status = run_one(fixture, OP_READ, 1, bytes_of(NULL, 0));
    set_file_limit(RLIM_INFINITY);
    assert_int_equal(status, STATUS_TRY_LATER);
    assert_int_equal(read_status, STATUS_OK);
    assert_int_equal(account(fixture, 0)->used, used);
    assert_int_equal(account(fixture, 0)->records, 10);
    assert_int_equal(engine_last_stamp(fixture->engine), stamp);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(accounts_and_stamps_survive_a_restart),
        TEST(a_split_counts_its_parts_and_a_join_adds_them),
        TEST(popped_values_are_counted_in_their_part),
        TEST(what_is_lost_is_kept_and_what_is_gained_is_empty),
        TEST(an_account_that_is_missing_is_named),
        TEST(records_without_a_control_state_are_refused),
        TEST(a_group_ends_before_its_outcomes_are_too_many_bytes),
        TEST(on_a_full_disk_all_but_growth_goes_on),
        TEST(where_nothing_fits_operations_are_put_off_and_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
