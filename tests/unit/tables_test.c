/* SPDX-License-Identifier: MIT */
#include "proto/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/endian.h"
#include "shardd/slice.h"
#include "tests/unit/store_fixture.h"

/* Two tables in one store: the same 8 bytes are a key of `default` and an id of `entities`. */

enum { COUNT = 600, KIND_COUNT = 3, TABLE_COUNT = 2 };

static const uint16_t tables[TABLE_COUNT] = {TABLE_DEFAULT, TABLE_ENTITIES};

struct tables_fixture {
    struct store_fixture *store;
    uint8_t ids[COUNT][ID_KEY_LEN];
    uint64_t versions[TABLE_COUNT][COUNT]; /* 0: not there */
};

static int setup(void **state)
{
    static struct tables_fixture f;
    memset(&f, 0, sizeof(f));
    f.store = store_fixture_open();
    for (uint32_t i = 0; i < COUNT; i++) {
        endian_put_be64(f.ids[i], (uint64_t)i << 33 | (uint64_t)i * 13 % 8192 << 10 | i % 1024);
    }
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct tables_fixture *f = *state;
    store_fixture_free(f->store);
    return 0;
}

static struct op op_of(const struct tables_fixture *f, enum op_kind kind, uint32_t t, uint32_t i)
{
    struct bytes key = bytes_of(f->ids[i], ID_KEY_LEN);
    bool is_entity = table_has_ids(tables[t]);
    return (struct op){
        .kind = kind,
        .table = tables[t],
        .key = key,
        .point = table_point(tables[t], key),
        .value =
            kind == OP_WRITE ? bytes_text(is_entity ? "\x81\xa1k\x07" : "\x07") : bytes_of(NULL, 0),
        .has_kind = is_entity && kind == OP_WRITE,
        .record_kind = (uint16_t)(is_entity && kind == OP_WRITE ? i % KIND_COUNT : 0),
        .limit = SCAN_RECORDS_MAX,
    };
}

static void change(struct tables_fixture *f, uint32_t t, uint32_t i, enum op_kind kind,
                   uint64_t ttl_ms)
{
    struct op op = op_of(f, kind, t, i);
    op.ttl_ms = ttl_ms;
    const struct outcome *outcome = store_fixture_do(f->store, &op);
    assert_int_equal(outcome->status, STATUS_OK);
    f->versions[t][i] = kind == OP_WRITE ? outcome->version : 0;
}

/* Returns the number of the first answer; the others follow, one table after the other. */
static uint32_t submit_all(struct tables_fixture *f, enum op_kind kind)
{
    uint32_t first = f->store->answer_count;
    for (uint32_t t = 0; t < TABLE_COUNT; t++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            struct op op = op_of(f, kind, t, i);
            store_fixture_submit(f->store, &op);
        }
    }
    store_fixture_wait(f->store);
    return first;
}

/* Deletes some of each table, so that what goes in one is still there in the other. */
static void change_all(struct tables_fixture *f)
{
    uint32_t answer = submit_all(f, OP_WRITE);
    for (uint32_t t = 0; t < TABLE_COUNT; t++) {
        for (uint32_t i = 0; i < COUNT; i++, answer++) {
            f->versions[t][i] = store_fixture_answer(f->store, answer)->version;
        }
        for (uint32_t i = 0; i < COUNT; i += 50) {
            change(f, t, i + t, OP_DELETE, 0);
        }
    }
}

static void assert_all_there(struct tables_fixture *f)
{
    uint32_t answer = submit_all(f, OP_READ);
    for (uint32_t t = 0; t < TABLE_COUNT; t++) {
        for (uint32_t i = 0; i < COUNT; i++, answer++) {
            const struct outcome *outcome = store_fixture_answer(f->store, answer);
            assert_int_equal(outcome->was_there, f->versions[t][i] != 0);
            assert_int_equal(outcome->version, f->versions[t][i]);
            if (outcome->was_there && table_has_ids(tables[t])) {
                assert_int_equal(outcome->kind, i % KIND_COUNT);
            }
        }
    }
}

static void each_table_has_a_record_of_its_own_hot_after_a_crash_and_cold(void **state)
{
    struct tables_fixture *f = *state;
    change_all(f);
    assert_all_there(f);
    struct store_fixture *crashed = store_fixture_crash(f->store);
    store_fixture_free(f->store);
    f->store = crashed;
    store_fixture_start(f->store);
    assert_all_there(f);
    store_fixture_make_cold(f->store);
    assert_all_there(f);
}

/* --- scans --- */

struct cursor {
    uint64_t point;
    uint8_t key[KEY_LEN_MAX];
    size_t key_len;
    bool is_end;
};

static void take_cursor(struct unpack *in, struct cursor *cursor)
{
    cursor->is_end = unpack_peek(in) == UNPACK_NIL;
    cursor->key_len = 0;
    if (cursor->is_end) {
        unpack_nil(in);
        return;
    }
    assert_int_equal(unpack_array(in), 2);
    cursor->point = unpack_uint(in);
    if (unpack_peek(in) == UNPACK_NIL) {
        unpack_nil(in);
    } else {
        struct bytes key = unpack_text(in);
        memcpy(cursor->key, key.data, key.len);
        cursor->key_len = key.len;
    }
    assert_true(unpack_is_fine(in));
}

/* One slice; how many records it has, which are all of `kind` if that is asked for. */
static uint32_t scan_slice(struct store_fixture *store, const struct op *options,
                           struct cursor *cursor)
{
    struct op op = *options;
    op.point = cursor->point;
    op.key = bytes_of(cursor->key, cursor->key_len);
    const struct outcome *outcome = store_fixture_do(store, &op);
    assert_int_equal(outcome->status, STATUS_OK);
    struct unpack in = unpack_of(outcome->value);
    (void)unpack_array(&in);
    uint32_t count = unpack_array(&in);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(unpack_array(&in), 8);
        for (int field = 0; field < 5; field++) {
            (void)unpack_skip(&in);
        }
        uint64_t kind = unpack_uint(&in);
        assert_true(!op.has_kind || kind == op.record_kind);
        (void)unpack_skip(&in);
        (void)unpack_skip(&in);
    }
    take_cursor(&in, cursor);
    return count;
}

static uint32_t scan_all(struct store_fixture *store, const struct op *options)
{
    struct cursor cursor = {0};
    uint32_t count = 0;
    while (!cursor.is_end) {
        count += scan_slice(store, options, &cursor);
    }
    return count;
}

static uint32_t count_there(const struct tables_fixture *f, const struct op *options)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t t = options->table == TABLE_DEFAULT ? 0 : 1;
        uint32_t kind = t == 0 ? 0 : i % KIND_COUNT;
        bool is_asked = !options->has_kind || options->record_kind == kind;
        count += is_asked && f->versions[t][i] != 0;
    }
    return count;
}

static void scan_in_all_ways(struct tables_fixture *f)
{
    static const uint32_t limits[] = {1, 7, SCAN_RECORDS_MAX};
    for (uint32_t way = 0; way < 3 * TABLE_COUNT * 2; way++) {
        struct op op = {.kind = OP_SCAN, .limit = limits[way / 4]};
        op.table = tables[way % 2];
        op.keys_only = way / 2 % 2;
        assert_int_equal(scan_all(f->store, &op), count_there(f, &op));
        op.has_kind = true;
        for (op.record_kind = 0; op.record_kind <= KIND_COUNT; op.record_kind++) {
            assert_int_equal(scan_all(f->store, &op), count_there(f, &op));
        }
    }
}

static void a_scan_gives_the_records_of_one_table_and_of_one_kind(void **state)
{
    struct tables_fixture *f = *state;
    change_all(f);
    scan_in_all_ways(f);
    store_fixture_make_cold(f->store);
    scan_in_all_ways(f);
    for (uint32_t i = 0; i < 100; i++) {
        change(f, i % TABLE_COUNT, i, OP_WRITE, 0);
    }
    scan_in_all_ways(f);
}

static bool has_records(const struct store_fixture *store, uint64_t count)
{
    return store_account(store->store, 0)->records == count;
}

static bool is_empty(struct store_fixture *store)
{
    return has_records(store, 0) && store_is_idle(store->store);
}

/* Of the other table, too: they are due wherever a scan meets them. */
static void what_a_scan_finds_due_is_removed_from_its_own_table(void **state)
{
    struct tables_fixture *f = *state;
    for (uint32_t t = 0; t < TABLE_COUNT; t++) {
        change(f, t, 3, OP_WRITE, 1);
    }
    uint64_t begun_ms = clock_wall_ms();
    while (clock_wall_ms() < begun_ms + 3) {
    }
    struct op scan = {.kind = OP_SCAN, .limit = SCAN_RECORDS_MAX};
    assert_int_equal(scan_all(f->store, &scan), 0);
    store_fixture_run(f->store, is_empty);
    assert_int_equal(store_account(f->store->store, 0)->expired, TABLE_COUNT);
}

/* --- what stands in the tree at one point --- */

static struct tree_txn *begin_in_tree(struct tables_fixture *f, struct tree **tree)
{
    char error[256];
    f->store->is_over = false;
    store_stop(f->store->store, store_fixture_on_stopped, f->store);
    store_fixture_run(f->store, store_fixture_is_over);
    store_fixture_kill(f->store);
    *tree = tree_open(f->store->scratch.path, error, sizeof(error));
    assert_non_null(*tree);
    return tree_begin_write(*tree);
}

static void end_in_tree(struct tables_fixture *f, struct tree *tree, struct tree_txn *txn)
{
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
    store_fixture_start(f->store);
}

static void put_in_tree(struct tree_txn *txn, uint64_t point, uint16_t table, uint64_t number,
                        bool is_damaged)
{
    uint8_t id[ID_KEY_LEN];
    uint8_t key[TREE_KEY_LEN_MAX];
    uint8_t stored[RECORD_HEADER_LEN + 1];
    endian_put_be64(id, number);
    const struct record record = {.point = point,
                                  .table = table,
                                  .key = bytes_of(id, sizeof(id)),
                                  .value = bytes_text("\x07"),
                                  .version = 1};
    struct bytes at = bytes_of(key, record_key_encode(point, table, record.key, key));
    record_header_encode(&record, at, stored);
    stored[RECORD_HEADER_LEN] = is_damaged ? 8 : 7;
    tree_put(txn, TREE_RECORDS, at, bytes_of(stored, sizeof(stored)), bytes_of(NULL, 0));
}

/* The hash is public: as many ids as wished are at one point. */
static void a_slice_that_ends_among_another_tables_records_goes_on_behind_them(void **state)
{
    struct tables_fixture *f = *state;
    const uint64_t points[] = {UINT64_C(77) << 40, UINT64_MAX};
    const uint32_t crowd = SCAN_EXAMINED_MAX + SCAN_EXAMINED_MAX / 2;
    struct tree *tree;
    struct tree_txn *txn = begin_in_tree(f, &tree);
    for (uint64_t i = 0; i < crowd; i++) {
        put_in_tree(txn, points[0], TABLE_DEFAULT, i, false);
        put_in_tree(txn, points[1], TABLE_ENTITIES, i, false);
    }
    for (uint64_t i = 0; i < 5; i++) {
        put_in_tree(txn, points[0], TABLE_ENTITIES, i, false);
        put_in_tree(txn, points[1], TABLE_DEFAULT, i, false);
    }
    end_in_tree(f, tree, txn);
    for (uint32_t t = 0; t < TABLE_COUNT; t++) {
        struct op op = {.kind = OP_SCAN, .limit = SCAN_RECORDS_MAX, .table = tables[t]};
        assert_int_equal(scan_all(f->store, &op), crowd + 5);
        op.has_kind = true;
        op.record_kind = 1;
        assert_int_equal(scan_all(f->store, &op), 0);
    }
    struct cursor cursor = {.point = points[0]};
    struct op op = {.kind = OP_SCAN, .limit = SCAN_RECORDS_MAX, .table = TABLE_ENTITIES};
    assert_int_equal(scan_slice(f->store, &op, &cursor), SCAN_RECORDS_MAX);
}

static void a_damaged_record_is_told_by_the_scan_of_its_table_alone(void **state)
{
    struct tables_fixture *f = *state;
    struct tree *tree;
    struct tree_txn *txn = begin_in_tree(f, &tree);
    put_in_tree(txn, 5, TABLE_ENTITIES, 1, true);
    put_in_tree(txn, 6, TABLE_DEFAULT, 1, false);
    put_in_tree(txn, 7, TABLE_ENTITIES, 1, false);
    end_in_tree(f, tree, txn);
    struct op op = {.kind = OP_SCAN, .limit = SCAN_RECORDS_MAX};
    assert_int_equal(scan_all(f->store, &op), 1);
    op.table = TABLE_ENTITIES;
    assert_int_equal(store_fixture_do(f->store, &op)->status, STATUS_DAMAGED);
    op.skip_damaged = true;
    assert_int_equal(scan_all(f->store, &op), 1);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_table_has_a_record_of_its_own_hot_after_a_crash_and_cold),
        TEST(a_scan_gives_the_records_of_one_table_and_of_one_kind),
        TEST(what_a_scan_finds_due_is_removed_from_its_own_table),
        TEST(a_slice_that_ends_among_another_tables_records_goes_on_behind_them),
        TEST(a_damaged_record_is_told_by_the_scan_of_its_table_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
