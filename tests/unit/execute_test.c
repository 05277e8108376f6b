/* SPDX-License-Identifier: MIT */
#include "shardd/execute.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/unpack.h"
#include "tests/unit/bench.h"

#define LIMIT 4096

static int setup(void **state)
{
    static struct bench bench;
    bench_open(&bench, LIMIT);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    bench_close(*state);
    return 0;
}

static const struct outcome *write_text(struct bench *bench, const char *key, const char *text)
{
    struct op op = bench_write(key, text);
    return bench_run(bench, &op);
}

static const struct outcome *run(struct bench *bench, enum op_kind kind, const char *key)
{
    struct op op = bench_op(kind, key);
    return bench_run(bench, &op);
}

static const struct outcome *incr(struct bench *bench, const char *key, int64_t by)
{
    struct op op = bench_op(OP_INCR, key);
    op.by = by;
    return bench_run(bench, &op);
}

static void assert_text(const struct outcome *outcome, const char *text)
{
    struct unpack in = unpack_of(buffer_bytes(&outcome->value));
    assert_int_equal(outcome->status, STATUS_OK);
    assert_true(outcome->was_there);
    assert_true(bytes_equal(unpack_text(&in), bytes_text(text)));
}

static void what_is_written_is_read_with_its_version(void **state)
{
    struct bench *bench = *state;
    uint64_t version = write_text(bench, "key", "value")->version;
    assert_int_equal(version, BENCH_START_MS << 16);
    const struct outcome *outcome = run(bench, OP_READ, "key");
    assert_text(outcome, "value");
    assert_int_equal(outcome->version, version);
    assert_int_equal(outcome->size, 3 + 6 + 64);
    assert_false(run(bench, OP_READ, "other")->was_there);
}

static void versions_grow_though_the_clock_goes_back(void **state)
{
    struct bench *bench = *state;
    uint64_t first = write_text(bench, "key", "1")->version;
    bench->now_ms -= 1000;
    uint64_t second = write_text(bench, "key", "2")->version;
    assert_int_equal(second, first + 1);
}

static void used_bytes_and_records_are_counted_exactly(void **state)
{
    struct bench *bench = *state;
    write_text(bench, "a", "1");
    write_text(bench, "b", "12345");
    assert_int_equal(bench_used(bench), 1 + 2 + 64 + 1 + 6 + 64);
    assert_int_equal(bench_records(bench), 2);
    write_text(bench, "b", "1");
    assert_int_equal(bench_used(bench), 2 * (1 + 2 + 64));
    run(bench, OP_POP, "a");
    assert_true(run(bench, OP_DELETE, "b")->was_there);
    assert_int_equal(bench_used(bench), 0);
    assert_int_equal(bench_records(bench), 0);
    assert_false(run(bench, OP_DELETE, "b")->was_there);
    assert_int_equal(bench_used(bench), 0);
}

static void a_popped_record_is_given_once(void **state)
{
    struct bench *bench = *state;
    write_text(bench, "key", "value");
    assert_true(run(bench, OP_EXISTS, "key")->was_there);
    assert_text(run(bench, OP_POP, "key"), "value");
    assert_false(run(bench, OP_POP, "key")->was_there);
    assert_false(run(bench, OP_EXISTS, "key")->was_there);
}

static void if_absent_holds_only_where_nothing_is(void **state)
{
    struct bench *bench = *state;
    struct op op = bench_write("key", "1");
    op.if_absent = true;
    uint64_t version = bench_run(bench, &op)->version;
    const struct outcome *outcome = bench_run(bench, &op);
    assert_int_equal(outcome->status, STATUS_CONDITION);
    assert_int_equal(outcome->version, version);
}

static void if_version_holds_only_for_that_version(void **state)
{
    struct bench *bench = *state;
    static const enum op_kind kinds[] = {OP_WRITE, OP_INCR, OP_DELETE, OP_POP};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        uint64_t version = incr(bench, "key", 1)->version;
        struct op op = bench_write("key", "1");
        op.kind = kinds[i];
        op.if_version = version - 1;
        const struct outcome *outcome = bench_run(bench, &op);
        assert_int_equal(outcome->status, STATUS_CONDITION);
        assert_int_equal(outcome->version, version);
        op.if_version = version;
        assert_int_equal(bench_run(bench, &op)->status, STATUS_OK);
        run(bench, OP_DELETE, "key");
        outcome = bench_run(bench, &op);
        assert_int_equal(outcome->status, STATUS_CONDITION);
        assert_int_equal(outcome->version, 0);
    }
}

static void incr_counts_from_zero_and_stays_within_64_bits(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(incr(bench, "n", 5)->integer, 5);
    assert_int_equal(incr(bench, "n", -7)->integer, -2);
    assert_int_equal(incr(bench, "n", INT64_MIN)->status, STATUS_INVALID);
    assert_int_equal(bench->op->outcome.reason, OP_REASON_OVERFLOW);
    assert_int_equal(incr(bench, "n", INT64_MAX)->integer, INT64_MAX - 2);
    assert_int_equal(incr(bench, "n", 2)->integer, INT64_MAX);
    assert_int_equal(incr(bench, "n", 1)->status, STATUS_INVALID);
    assert_int_equal(incr(bench, "n", 0)->integer, INT64_MAX);
}

static void incr_changes_only_integers(void **state)
{
    struct bench *bench = *state;
    write_text(bench, "text", "1");
    assert_int_equal(incr(bench, "text", 1)->status, STATUS_INVALID);
    assert_int_equal(bench->op->outcome.reason, OP_REASON_NOT_AN_INTEGER);
    assert_text(run(bench, OP_READ, "text"), "1");
    struct op op = bench_op(OP_WRITE, "big");
    op.value = bytes_of("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    bench_run(bench, &op);
    assert_int_equal(incr(bench, "big", 1)->status, STATUS_INVALID);
}

/* Writes until nothing more fits; returns how many did. */
static int fill(struct bench *bench)
{
    char key[16];
    for (int i = 0;; i++) {
        (void)snprintf(key, sizeof(key), "key%03d", i);
        if (write_text(bench, key, "0123456789")->status == STATUS_FULL) {
            return i;
        }
    }
}

static void a_full_shard_refuses_only_what_grows(void **state)
{
    struct bench *bench = *state;
    int count = fill(bench);
    assert_int_equal(count, LIMIT / (6 + 11 + 64));
    assert_int_equal(bench->op->outcome.used, bench_used(bench));
    assert_int_equal(bench->op->outcome.limit, LIMIT);
    assert_int_equal(write_text(bench, "key000", "9876543210")->status, STATUS_OK);
    assert_int_equal(write_text(bench, "key000", "98765")->status, STATUS_OK);
    assert_int_equal(incr(bench, "n", 1)->status, STATUS_FULL);
    assert_text(run(bench, OP_READ, "key001"), "0123456789");
    assert_text(run(bench, OP_POP, "key001"), "0123456789");
    assert_int_equal(run(bench, OP_DELETE, "key002")->status, STATUS_OK);
    assert_int_equal(incr(bench, "n", 1)->status, STATUS_OK);
}

static void a_shard_over_a_lowered_limit_still_shrinks(void **state)
{
    struct bench *bench = *state;
    fill(bench);
    bench->accounts.items[0].range.limit = 1024;
    assert_int_equal(write_text(bench, "key000", "1")->status, STATUS_OK);
    assert_int_equal(write_text(bench, "key000", "12")->status, STATUS_FULL);
    assert_int_equal(run(bench, OP_DELETE, "key000")->status, STATUS_OK);
}

static void a_full_disk_refuses_what_grows_and_says_so(void **state)
{
    struct bench *bench = *state;
    write_text(bench, "key", "12345");
    bench->is_disk_full = true;
    assert_int_equal(write_text(bench, "other", "1")->status, STATUS_FULL);
    assert_int_equal(bench->op->outcome.reason, OP_REASON_DISK_FULL);
    assert_int_equal(write_text(bench, "key", "54321")->status, STATUS_OK);
    assert_text(run(bench, OP_POP, "key"), "54321");
}

static void a_point_elsewhere_is_another_shards(void **state)
{
    struct bench *bench = *state;
    struct op op = bench_write("key", "1");
    op.point = point_of_bound(BOUND_END / 2);
    assert_int_equal(bench_run(bench, &op)->status, STATUS_WRONG_SHARD);
    op.point--;
    assert_int_equal(bench_run(bench, &op)->status, STATUS_OK);
}

/* Changes one byte of the stored record. */
static void damage(struct bench *bench, const char *key, size_t offset, uint8_t mask)
{
    uint8_t tree_key[TREE_KEY_LEN_MAX];
    uint8_t copy[256];
    struct bytes stored;
    struct op op = bench_op(OP_READ, key);
    struct tree_txn *txn = tree_begin_write(bench->tree);
    struct bytes at = bytes_of(tree_key, record_key_encode(op.point, 0, op.key, tree_key));
    assert_true(tree_get(txn, TREE_RECORDS, at, &stored));
    memcpy(copy, stored.data, stored.len);
    copy[offset] ^= mask;
    tree_put(txn, TREE_RECORDS, at, bytes_of(copy, stored.len), bytes_of(NULL, 0));
    assert_int_equal(tree_commit(txn), TREE_FINE);
}

static void a_damaged_record_is_never_given(void **state)
{
    struct bench *bench = *state;
    struct op scan = {.kind = OP_SCAN, .limit = SCAN_RECORDS_MAX};
    for (size_t offset = 0; offset < RECORD_HEADER_LEN + 6; offset++) {
        write_text(bench, "key", "value");
        damage(bench, "key", offset, 0x10);
        assert_int_equal(run(bench, OP_READ, "key")->status, STATUS_DAMAGED);
        assert_int_equal(run(bench, OP_EXISTS, "key")->status, STATUS_DAMAGED);
        assert_int_equal(run(bench, OP_POP, "key")->status, STATUS_DAMAGED);
        assert_int_equal(incr(bench, "key", 1)->status, STATUS_DAMAGED);
        assert_int_equal(bench_run(bench, &scan)->status, STATUS_DAMAGED);
    }
}

static void a_damaged_record_can_be_written_over_and_deleted(void **state)
{
    struct bench *bench = *state;
    write_text(bench, "key", "value");
    damage(bench, "key", RECORD_HEADER_LEN, 1);
    write_text(bench, "key", "again");
    assert_text(run(bench, OP_READ, "key"), "again");
    damage(bench, "key", RECORD_HEADER_LEN, 1);
    assert_true(run(bench, OP_DELETE, "key")->was_there);
    assert_int_equal(bench_used(bench), 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_with_its_version),
        TEST(versions_grow_though_the_clock_goes_back),
        TEST(used_bytes_and_records_are_counted_exactly),
        TEST(a_popped_record_is_given_once),
        TEST(if_absent_holds_only_where_nothing_is),
        TEST(if_version_holds_only_for_that_version),
        TEST(incr_counts_from_zero_and_stays_within_64_bits),
        TEST(incr_changes_only_integers),
        TEST(a_full_shard_refuses_only_what_grows),
        TEST(a_shard_over_a_lowered_limit_still_shrinks),
        TEST(a_full_disk_refuses_what_grows_and_says_so),
        TEST(a_point_elsewhere_is_another_shards),
        TEST(a_damaged_record_is_never_given),
        TEST(a_damaged_record_can_be_written_over_and_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
