/* SPDX-License-Identifier: MIT */
#include "shardd/saving.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "io/memory.h"
#include "proto/record.h"
#include "tests/unit/bench.h"

/*
 * What a save does and says waits for the log (RULES M1, V2). The log has a loop of its own: nothing becomes
 * durable but when that is run. The tree has one record in the upper half, which is not owned.
 */

#define LIMIT (UINT64_C(1) << 40)

static const struct range lower = {.end = BOUND_END / 2, .epoch = 2, .limit = LIMIT};
static const struct range whole = {.end = BOUND_END, .epoch = 2, .limit = LIMIT};

struct fixture {
    struct bench bench;
    struct loop *work_loop;
    struct scratch tree_scratch; /* beside a log a tree is not made anew */
    struct tree *tree;
    struct sweep *sweep;
    struct saving *saving;
    struct counting *counting;
    struct buffer control;
    bool is_told;
    bool is_settled;
};

static void on_log_turn_end(void *context)
{
    const struct fixture *f = context;
    if (log_durable(f->bench.log) == log_last(f->bench.log)) {
        loop_stop(f->bench.loop);
    }
}

static void on_work_turn_end(void *context)
{
    const struct fixture *f = context;
    if (!sweep_is_busy(f->sweep)) {
        loop_stop(f->work_loop);
    }
}

static void on_settled(void *context)
{
    struct fixture *f = context;
    f->is_settled = true;
}

static void on_clear(void *context, uint64_t first, uint64_t last)
{
    (void)context, (void)first, (void)last;
}

static void on_done(void *context, bool is_saved)
{
    struct fixture *f = context;
    assert_true(is_saved);
    f->is_told = true;
}

/* --- the record that is left of an earlier ownership --- */

static const struct record left = {.point = UINT64_MAX, .key = {"left", 4}, .version = 1};

static struct bytes left_key(void)
{
    static uint8_t key[TREE_KEY_LEN_MAX];
    return bytes_of(key, record_key_encode(left.point, left.table, left.key, key));
}

static void put_left(struct fixture *f)
{
    uint8_t header[RECORD_HEADER_LEN];
    record_header_encode(&left, left_key(), header);
    struct tree_txn *txn = tree_begin_write(f->tree);
    tree_put(txn, TREE_RECORDS, left_key(), bytes_of(header, sizeof(header)), bytes_of(NULL, 0));
    assert_int_equal(tree_commit(txn), TREE_FINE);
}

static bool is_left(struct fixture *f)
{
    struct bytes stored;
    struct tree_txn *txn = tree_begin_read(f->tree);
    bool is_there = tree_get(txn, TREE_RECORDS, left_key(), &stored);
    tree_abort(txn);
    return is_there;
}

/* --- --- */

static int setup(void **state)
{
    static const struct swept nothing;
    static struct fixture f;
    char error[256] = "";
    f = (struct fixture){.work_loop = loop_new()};
    bench_open(&f.bench, LIMIT, WHEN_FULL_REJECT, false);
    f.tree_scratch = scratch_make();
    f.tree = tree_open(f.tree_scratch.path, error, sizeof(error));
    assert_non_null(f.tree);
    const struct sweep_config sweep = {f.work_loop,           f.tree,
                                       f.bench.execution.hot, f.bench.execution.retries,
                                       f.bench.log,           f.bench.execution.minter};
    f.sweep = sweep_new(&sweep, &nothing);
    const struct counting_config counting = {f.work_loop, f.tree, f.bench.execution.hot,
                                             f.bench.execution.retries, &f.bench.accounts};
    f.counting = counting_new(&counting);
    const struct saving_config saving = {
        .hot = f.bench.execution.hot,
        .tree = f.tree,
        .retries = f.bench.execution.retries,
        .sweep = f.sweep,
        .log = f.bench.log,
        .accounts = &f.bench.accounts,
        .counting = f.counting,
        .control = &f.control,
        .on_clear = on_clear,
        .on_settled = on_settled,
        .context = &f,
    };
    f.saving = saving_new(&saving);
    loop_on_turn_end(f.bench.loop, on_log_turn_end, &f);
    loop_on_turn_end(f.work_loop, on_work_turn_end, &f);
    put_left(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    saving_free(f->saving);
    counting_free(f->counting);
    sweep_free(f->sweep);
    tree_close(f->tree);
    scratch_remove(&f->tree_scratch);
    bench_close(&f->bench);
    loop_free(f->work_loop);
    buffer_fini(&f->control);
    return 0;
}

/* Ends of turns, without a sync, until nothing more is done. */
static void turn(struct fixture *f)
{
    static const struct pressure rest = {.pace = PACE_REST};
    for (int i = 0; i < 4; i++) {
        saving_turn(f->saving);
        log_turn_end(f->bench.log);
        sweep_turn(f->sweep, &rest);
        if (sweep_is_busy(f->sweep)) {
            loop_run(f->work_loop);
        }
    }
}

static void make_durable(struct fixture *f)
{
    assert_true(log_durable(f->bench.log) < log_last(f->bench.log));
    loop_run(f->bench.loop);
}

static void start(struct fixture *f, const struct range *range)
{
    saving_start(f->saving, bytes_text("state"), range, 1, on_done, f);
    turn(f);
}

static void a_save_is_told_when_its_state_is_durable(void **state)
{
    struct fixture *f = *state;
    start(f, &lower);
    assert_false(f->is_told);
    make_durable(f);
    turn(f);
    assert_true(f->is_told);
    assert_true(is_left(f));
}

static void what_is_gained_is_emptied_when_the_log_says_so_durably(void **state)
{
    struct fixture *f = *state;
    start(f, &whole);
    assert_true(is_left(f));
    make_durable(f);
    turn(f);
    assert_false(is_left(f));
    assert_false(f->is_told);
    make_durable(f);
    turn(f);
    assert_true(f->is_told);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        CASE(a_save_is_told_when_its_state_is_durable),
        CASE(what_is_gained_is_emptied_when_the_log_says_so_durably),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
