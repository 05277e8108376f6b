/* SPDX-License-Identifier: MIT */
#include "shardd/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "shardd/result.h"
#include "tests/unit/bench.h"

static int setup(void **state)
{
    static struct bench bench;
    bench_open(&bench, 1 << 20);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    bench_close(*state);
    return 0;
}

static struct op identified(struct op op, uint8_t client, uint64_t seq, uint64_t done)
{
    memset(op.identity.client, client, ID_LEN);
    op.identity.seq = seq;
    op.identity.done = done;
    return op;
}

static const struct outcome *incr(struct bench *bench, uint8_t client, uint64_t seq, uint64_t done)
{
    struct op op = identified(bench_op(OP_INCR, "n"), client, seq, done);
    op.by = 1;
    return bench_run(bench, &op);
}

static uint32_t count_keys(struct bench *bench, enum tree_database database)
{
    static const uint8_t first[] = {0};
    uint32_t count = 0;
    struct tree_txn *txn = tree_begin_read(bench->tree);
    struct tree_cursor *cursor = tree_cursor_open(txn, database);
    bool more = tree_cursor_seek(cursor, bytes_of(first, 1));
    for (; more; more = tree_cursor_next(cursor)) {
        count++;
    }
    tree_cursor_close(cursor);
    tree_abort(txn);
    return count;
}

static void the_same_seq_gets_the_same_answer(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(incr(bench, 'a', 1, 1)->integer, 1);
    uint64_t version = bench->op->outcome.version;
    assert_int_equal(incr(bench, 'a', 1, 1)->integer, 1);
    assert_int_equal(bench->op->outcome.version, version);
    assert_int_equal(incr(bench, 'a', 2, 1)->integer, 2);
    assert_int_equal(incr(bench, 'b', 1, 1)->integer, 3);
}

static void a_refusal_is_remembered_too(void **state)
{
    struct bench *bench = *state;
    struct op op = bench_write("key", "1");
    bench_run(bench, &op);
    op = identified(bench_write("key", "2"), 'a', 1, 1);
    op.if_absent = true;
    assert_int_equal(bench_run(bench, &op)->status, STATUS_CONDITION);
    uint64_t version = bench->op->outcome.version;
    struct op delete = bench_op(OP_DELETE, "key");
    bench_run(bench, &delete);
    assert_int_equal(bench_run(bench, &op)->status, STATUS_CONDITION);
    assert_int_equal(bench->op->outcome.version, version);
}

static void a_popped_value_comes_back_on_a_retry_and_counts_until_it_goes(void **state)
{
    struct bench *bench = *state;
    struct op op = bench_write("key", "value");
    uint64_t size = bench_run(bench, &op)->size;
    struct op pop = identified(bench_op(OP_POP, "key"), 'a', 1, 1);
    for (int i = 0; i < 3; i++) {
        const struct outcome *outcome = bench_run(bench, &pop);
        assert_true(outcome->was_there);
        assert_true(bytes_equal(buffer_bytes(&outcome->value), bytes_of("\xa5value", 6)));
        assert_int_equal(bench_used(bench), size);
        assert_int_equal(bench_records(bench), 0);
    }
    struct op next = identified(bench_op(OP_DELETE, "key"), 'a', 2, 2);
    bench_run(bench, &next);
    assert_int_equal(bench_used(bench), 0);
    assert_int_equal(bench_run(bench, &pop)->status, STATUS_STALE);
}

static void what_done_passes_is_forgotten_and_stale(void **state)
{
    struct bench *bench = *state;
    incr(bench, 'a', 1, 1);
    incr(bench, 'a', 2, 1);
    incr(bench, 'a', 3, 1);
    assert_int_equal(count_keys(bench, TREE_RESULTS), 3);
    incr(bench, 'a', 4, 3);
    assert_int_equal(count_keys(bench, TREE_RESULTS), 2);
    assert_int_equal(incr(bench, 'a', 2, 1)->status, STATUS_STALE);
    assert_int_equal(incr(bench, 'a', 3, 1)->integer, 3);
}

static void a_client_that_is_done_frees_what_its_popped_value_counted(void **state)
{
    struct bench *bench = *state;
    struct op op = bench_write("key", "value");
    bench_run(bench, &op);
    struct op pop = identified(bench_op(OP_POP, "key"), 'a', 1, 1);
    bench_run(bench, &pop);
    assert_int_not_equal(bench_used(bench), 0);
    struct op done = identified((struct op){.kind = OP_DONE}, 'a', 0, 2);
    assert_int_equal(bench_run(bench, &done)->status, STATUS_OK);
    assert_int_equal(bench_used(bench), 0);
    assert_int_equal(count_keys(bench, TREE_RESULTS), 0);
    /* The line stays: a late duplicate must not run. */
    assert_int_equal(bench_run(bench, &pop)->status, STATUS_STALE);
}

static void a_lower_seq_that_never_came_still_runs(void **state)
{
    struct bench *bench = *state;
    incr(bench, 'a', 5, 1);
    assert_int_equal(incr(bench, 'a', 2, 1)->integer, 2);
}

static void silence_makes_all_that_was_stale(void **state)
{
    struct bench *bench = *state;
    incr(bench, 'a', 1, 1);
    incr(bench, 'a', 3, 1);
    bench->now_ms += RETRY_SILENT_MS - 1;
    assert_int_equal(incr(bench, 'a', 3, 1)->integer, 2);
    bench->now_ms += RETRY_SILENT_MS;
    assert_int_equal(incr(bench, 'a', 3, 1)->status, STATUS_STALE);
    assert_int_equal(incr(bench, 'a', 2, 1)->status, STATUS_STALE);
    assert_int_equal(count_keys(bench, TREE_RESULTS), 0);
    assert_int_equal(incr(bench, 'a', 4, 1)->integer, 3);
}

static void the_hand_finds_silent_clients(void **state)
{
    struct bench *bench = *state;
    struct op op = bench_write("key", "value");
    bench_run(bench, &op);
    op = identified(bench_op(OP_POP, "key"), 1, 1, 1);
    bench_run(bench, &op);
    for (uint8_t client = 2; client < 100; client++) {
        incr(bench, client, 1, 1);
    }
    uint64_t used = bench_used(bench);
    op = bench_op(OP_DELETE, "nothing");
    bench->now_ms += RETRY_SILENT_MS;
    for (uint32_t i = 0; i <= 100 / RETRY_ROUND_LINES; i++) {
        bench_run(bench, &op);
    }
    assert_int_equal(count_keys(bench, TREE_RESULTS), 0);
    assert_int_equal(count_keys(bench, TREE_LINES), 99);
    assert_int_equal(bench_used(bench), used - (3 + 6 + 64));
    bench->now_ms += RETRY_REMEMBERED_MS;
    for (uint32_t i = 0; i <= 100 / RETRY_ROUND_LINES; i++) {
        bench_run(bench, &op);
    }
    assert_int_equal(count_keys(bench, TREE_LINES), 0);
}

static void a_clock_that_goes_back_makes_nobody_silent(void **state)
{
    struct bench *bench = *state;
    incr(bench, 'a', 1, 1);
    bench->now_ms -= 10 * RETRY_REMEMBERED_MS;
    assert_int_equal(incr(bench, 'a', 1, 1)->integer, 1);
}

static void more_than_512_open_results_are_refused(void **state)
{
    struct bench *bench = *state;
    for (uint64_t seq = 1; seq <= RETRY_OPEN_MAX; seq++) {
        assert_int_equal(incr(bench, 'a', seq, 1)->integer, (int64_t)seq);
    }
    assert_int_equal(incr(bench, 'a', RETRY_OPEN_MAX + 1, 1)->status, STATUS_TRY_LATER);
    assert_int_equal(incr(bench, 'a', RETRY_OPEN_MAX, 1)->integer, RETRY_OPEN_MAX);
    assert_int_equal(incr(bench, 'b', 1, 1)->integer, RETRY_OPEN_MAX + 1);
    assert_int_equal(incr(bench, 'a', RETRY_OPEN_MAX + 1, 2)->integer, RETRY_OPEN_MAX + 2);
}

static void a_seq_of_another_kind_is_refused(void **state)
{
    struct bench *bench = *state;
    incr(bench, 'a', 1, 1);
    struct op op = identified(bench_op(OP_DELETE, "n"), 'a', 1, 1);
    assert_int_equal(bench_run(bench, &op)->status, STATUS_INVALID);
    assert_int_equal(bench->op->outcome.reason, OP_REASON_SEQ_REUSED);
}

static void what_is_not_owned_is_not_remembered(void **state)
{
    struct bench *bench = *state;
    struct op op = identified(bench_op(OP_INCR, "n"), 'a', 1, 1);
    op.point = point_of_bound(BOUND_END / 2);
    assert_int_equal(bench_run(bench, &op)->status, STATUS_WRONG_SHARD);
    assert_int_equal(count_keys(bench, TREE_LINES), 0);
}

static void a_result_comes_back_field_by_field(void **state)
{
    (void)state;
    static const uint8_t client[ID_LEN] = "sixteen bytes..";
    struct op op = {
        .kind = OP_POP,
        .outcome = {STATUS_FULL, OP_REASON_DISK_FULL, true, 3, 4, 5, -6, 7, 8, {0}},
    };
    uint8_t key_bytes[RESULT_KEY_LEN];
    struct bytes key = bytes_of(key_bytes, sizeof(key_bytes));
    struct buffer stored = {0};
    struct result result;
    buffer_append(&op.outcome.value, "value", 5);
    result_key_encode(1, client, 2, key_bytes);
    result_encode(&op, 9, key, &stored);
    assert_int_equal(result_decode(buffer_bytes(&stored), key, &result), SEAL_FINE);
    assert_int_equal(result.op_kind, OP_POP);
    assert_int_equal(result.held, 9);
    assert_int_equal(result.outcome.status, STATUS_FULL);
    assert_int_equal(result.outcome.reason, OP_REASON_DISK_FULL);
    assert_true(result.outcome.was_there);
    assert_int_equal(result.outcome.kind, 3);
    assert_int_equal(result.outcome.version, 4);
    assert_int_equal(result.outcome.size, 5);
    assert_int_equal(result.outcome.integer, -6);
    assert_int_equal(result.outcome.used, 7);
    assert_int_equal(result.outcome.limit, 8);
    assert_true(bytes_equal(result.value, bytes_text("value")));
    for (size_t i = 0; i < stored.len; i++) {
        stored.data[i] ^= 0x20;
        assert_int_equal(result_decode(buffer_bytes(&stored), key, &result), SEAL_DAMAGED);
        stored.data[i] ^= 0x20;
    }
    key_bytes[0] ^= 1;
    assert_int_equal(result_decode(buffer_bytes(&stored), key, &result), SEAL_DAMAGED);
    buffer_fini(&stored);
    buffer_fini(&op.outcome.value);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_same_seq_gets_the_same_answer),
        TEST(a_refusal_is_remembered_too),
        TEST(a_popped_value_comes_back_on_a_retry_and_counts_until_it_goes),
        TEST(what_done_passes_is_forgotten_and_stale),
        TEST(a_client_that_is_done_frees_what_its_popped_value_counted),
        TEST(a_lower_seq_that_never_came_still_runs),
        TEST(silence_makes_all_that_was_stale),
        TEST(the_hand_finds_silent_clients),
        TEST(a_clock_that_goes_back_makes_nobody_silent),
        TEST(more_than_512_open_results_are_refused),
        TEST(a_seq_of_another_kind_is_refused),
        TEST(what_is_not_owned_is_not_remembered),
        cmocka_unit_test(a_result_comes_back_field_by_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
