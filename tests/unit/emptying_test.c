/* SPDX-License-Identifier: MIT */
#include "shardd/emptying.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/record.h"
#include "tests/unit/bench.h"

/*
 * What a move has left goes behind the log's word (RULES V2), piece by piece. The log has a loop of its own: nothing
 * becomes durable but when that is run. The lower half is owned, and the tree has records on both sides of each bound.
 */

#define LIMIT (UINT64_C(1) << 40)

#define START (BOUND_END / 2 + 7)
#define END   (BOUND_END - 5)

/* So many that the interval is emptied in eleven pieces, the last of them shorter. */
#define MANY (UINT64_C(10) * 16384)

/* The first point of each: the ends of the interval, its neighbours, and some within. */
static const uint64_t bounds[] = {0,         START - 1,           START,   START + 1,
                                  START + 2, 3 * (BOUND_END / 4), END - 1, END};

enum { BOUND_COUNT = sizeof(bounds) / sizeof(bounds[0]) };

struct fixture {
    struct bench bench;
    struct loop *work_loop;
    struct scratch tree_scratch;
    struct tree *tree;
    struct sweep *sweep;
    struct emptying *emptying;
    uint64_t first, last; /* as on_clear was told */
    uint32_t job_count;   /* of the sweep's worker */
    uint32_t done_count;
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

static void on_clear(void *context, uint64_t first, uint64_t last)
{
    struct fixture *f = context;
    f->first = first;
    f->last = last;
}

static void on_done(void *context)
{
    struct fixture *f = context;
    f->done_count++;
}

/* --- records of an earlier ownership --- */

static struct record record_at(uint64_t bound)
{
    return (struct record){.point = point_of_bound(bound), .key = {"left", 4}, .version = 1};
}

static struct bytes key_of(const struct record *record)
{
    static uint8_t key[TREE_KEY_LEN_MAX];
    return bytes_of(key, record_key_encode(record->point, record->table, record->key, key));
}

static void put_all(struct fixture *f)
{
    struct tree_txn *txn = tree_begin_write(f->tree);
    for (size_t i = 0; i < BOUND_COUNT; i++) {
        uint8_t header[RECORD_HEADER_LEN];
        const struct record record = record_at(bounds[i]);
        record_header_encode(&record, key_of(&record), header);
        tree_put(txn, TREE_RECORDS, key_of(&record), bytes_of(header, sizeof(header)),
                 bytes_of(NULL, 0));
    }
    assert_int_equal(tree_commit(txn), TREE_FINE);
}

static bool is_there(struct fixture *f, uint64_t bound)
{
    struct bytes stored;
    const struct record record = record_at(bound);
    struct tree_txn *txn = tree_begin_read(f->tree);
    bool is_found = tree_get(txn, TREE_RECORDS, key_of(&record), &stored);
    tree_abort(txn);
    return is_found;
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
    const struct emptying_config config = {
        f.bench.execution.hot, f.bench.execution.retries, f.sweep, f.bench.log, on_clear, &f};
    f.emptying = emptying_new(&config);
    loop_on_turn_end(f.bench.loop, on_log_turn_end, &f);
    loop_on_turn_end(f.work_loop, on_work_turn_end, &f);
    put_all(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    emptying_free(f->emptying);
    sweep_free(f->sweep);
    tree_close(f->tree);
    scratch_remove(&f->tree_scratch);
    bench_close(&f->bench);
    loop_free(f->work_loop);
    return 0;
}

/* Ends of turns, without a sync of the log, until nothing more is done. */
static void turn(struct fixture *f)
{
    static const struct pressure rest = {.pace = PACE_REST};
    for (int i = 0; i < 64; i++) {
        emptying_turn(f->emptying, f->bench.execution.now_ms);
        log_turn_end(f->bench.log);
        sweep_turn(f->sweep, &rest);
        if (sweep_is_busy(f->sweep)) {
            f->job_count++;
            loop_run(f->work_loop);
        }
    }
}

static void make_durable(struct fixture *f)
{
    assert_true(log_durable(f->bench.log) < log_last(f->bench.log));
    loop_run(f->bench.loop);
}

static void start(struct fixture *f, uint64_t records)
{
    emptying_start(f->emptying, START, END, records, on_done, f);
    turn(f);
}

static void the_tree_is_emptied_when_the_log_says_so_durably(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    assert_int_equal(f->first, point_of_bound(START));
    assert_int_equal(f->last, point_of_bound(END) - 1);
    assert_true(is_there(f, START));
    assert_int_equal(f->job_count, 0);
    make_durable(f);
    turn(f);
    assert_false(is_there(f, START));
    assert_int_equal(f->job_count, 1);
    assert_int_equal(f->done_count, 1);
    assert_false(emptying_is_busy(f->emptying));
}

static void what_has_many_records_goes_in_pieces_and_to_its_end(void **state)
{
    struct fixture *f = *state;
    start(f, MANY);
    make_durable(f);
    turn(f);
    assert_in_range(f->job_count, 11, 12); /* and one more for the rest of a division */
    assert_int_equal(f->done_count, 1);
    for (size_t i = 0; i < BOUND_COUNT; i++) {
        bool is_within = bounds[i] >= START && bounds[i] < END;
        assert_int_equal(is_there(f, bounds[i]), !is_within);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        CASE(the_tree_is_emptied_when_the_log_says_so_durably),
        CASE(what_has_many_records_goes_in_pieces_and_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
