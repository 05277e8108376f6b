/* SPDX-License-Identifier: MIT */
#include "shardd/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/dice.h"
#include "tests/unit/scratch.h"

struct fixture {
    struct scratch scratch;
    struct tree *tree;
};

static void open_tree(struct fixture *fixture)
{
    char error[256] = "";
    fixture->tree = tree_open(fixture->scratch.path, error, sizeof(error));
    assert_string_equal(error, "");
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture.scratch = scratch_make();
    open_tree(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    tree_close(fixture->tree);
    scratch_remove(&fixture->scratch);
    return 0;
}

static const struct bytes none = {NULL, 0};

static void put(struct tree_txn *txn, const char *key, const char *value)
{
    tree_put(txn, TREE_RECORDS, bytes_text(key), bytes_text(value), none);
}

static void put_now(struct fixture *fixture, const char *key, const char *value)
{
    struct tree_txn *txn = tree_begin_write(fixture->tree);
    put(txn, key, value);
    assert_int_equal(tree_commit(txn), TREE_FINE);
}

static bool has(struct tree_txn *txn, const char *key, const char *value)
{
    struct bytes found;
    return tree_get(txn, TREE_RECORDS, bytes_text(key), &found) &&
           bytes_equal(found, bytes_text(value));
}

static bool has_now(struct fixture *fixture, const char *key, const char *value)
{
    struct tree_txn *txn = tree_begin_read(fixture->tree);
    bool is_there = has(txn, key, value);
    tree_abort(txn);
    return is_there;
}

static void what_is_put_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct tree_txn *txn = tree_begin_write(fixture->tree);
    tree_put(txn, TREE_RECORDS, bytes_text("key"), bytes_text("head"), bytes_text("tail"));
    tree_put(txn, TREE_META, bytes_text("key"), bytes_text("other"), none);
    assert_true(has(txn, "key", "headtail"));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    assert_true(has_now(fixture, "key", "headtail"));
    put_now(fixture, "key", "v");
    assert_true(has_now(fixture, "key", "v"));
}

static void deleting_says_whether_it_was_there(void **state)
{
    struct fixture *fixture = *state;
    put_now(fixture, "key", "value");
    struct tree_txn *txn = tree_begin_write(fixture->tree);
    assert_true(tree_delete(txn, TREE_RECORDS, bytes_text("key")));
    assert_false(tree_delete(txn, TREE_RECORDS, bytes_text("key")));
    assert_false(tree_delete(txn, TREE_LINES, bytes_text("key")));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    assert_false(has_now(fixture, "key", "value"));
}

static void what_is_aborted_never_was(void **state)
{
    struct fixture *fixture = *state;
    struct tree_txn *txn = tree_begin_write(fixture->tree);
    put(txn, "key", "value");
    tree_abort(txn);
    assert_false(has_now(fixture, "key", "value"));
}

static void what_is_committed_survives_reopening(void **state)
{
    struct fixture *fixture = *state;
    put_now(fixture, "key", "value");
    tree_close(fixture->tree);
    open_tree(fixture);
    assert_true(has_now(fixture, "key", "value"));
}

static void a_reader_keeps_its_version(void **state)
{
    struct fixture *fixture = *state;
    put_now(fixture, "key", "old");
    struct tree_txn *reader = tree_begin_read(fixture->tree);
    put_now(fixture, "key", "new");
    assert_true(has(reader, "key", "old"));
    tree_abort(reader);
    assert_true(has_now(fixture, "key", "new"));
}

static void a_cursor_goes_in_the_order_of_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct dice dice = dice_of(1);
    struct tree_txn *txn = tree_begin_write(fixture->tree);
    for (int i = 0; i < 5000; i++) {
        uint64_t roll = dice_roll(&dice);
        tree_put(txn, TREE_RECORDS, bytes_of(&roll, 1 + roll % 8), none, none);
    }
    struct tree_cursor *cursor = tree_cursor_open(txn, TREE_RECORDS);
    uint8_t last[8] = {0};
    size_t last_len = 0;
    uint32_t count = 0;
    bool more = tree_cursor_seek(cursor, bytes_of("", 1));
    for (; more; more = tree_cursor_next(cursor)) {
        struct bytes key = tree_cursor_key(cursor);
        assert_true(count == 0 || bytes_compare(bytes_of(last, last_len), key) < 0);
        memcpy(last, key.data, key.len);
        last_len = key.len;
        count++;
    }
    assert_true(count > 3000);
    tree_cursor_close(cursor);
    assert_int_equal(tree_commit(txn), TREE_FINE);
}

static void seeking_finds_the_first_at_or_behind(void **state)
{
    struct fixture *fixture = *state;
    put_now(fixture, "b", "1");
    put_now(fixture, "d", "2");
    struct tree_txn *txn = tree_begin_read(fixture->tree);
    struct tree_cursor *cursor = tree_cursor_open(txn, TREE_RECORDS);
    assert_true(tree_cursor_seek(cursor, bytes_text("b")));
    assert_true(bytes_equal(tree_cursor_value(cursor), bytes_text("1")));
    assert_true(tree_cursor_seek(cursor, bytes_text("c")));
    assert_true(bytes_equal(tree_cursor_key(cursor), bytes_text("d")));
    assert_false(tree_cursor_next(cursor));
    assert_false(tree_cursor_seek(cursor, bytes_text("e")));
    tree_cursor_close(cursor);
    tree_abort(txn);
}

static void a_fault_sticks_and_undoes_the_transaction(void **state)
{
    struct fixture *fixture = *state;
    uint8_t long_key[600] = {0};
    put_now(fixture, "before", "1");
    struct tree_txn *txn = tree_begin_write(fixture->tree);
    put(txn, "key", "value");
    tree_put(txn, TREE_RECORDS, bytes_of(long_key, sizeof(long_key)), none, none);
    assert_int_equal(tree_txn_fault(txn), TREE_BROKEN);
    put(txn, "other", "value");
    assert_false(has(txn, "before", "1"));
    assert_int_equal(tree_commit(txn), TREE_BROKEN);
    assert_non_null(strstr(tree_fault_text(fixture->tree), "MDB_BAD_VALSIZE"));
    assert_true(has_now(fixture, "before", "1"));
    assert_false(has_now(fixture, "key", "value"));
}

static void a_path_that_is_none_is_named(void **state)
{
    (void)state;
    char error[256] = "";
    assert_null(tree_open("/nonexistent", error, sizeof(error)));
    assert_string_equal(error, "/nonexistent/tree: No such file or directory");
}

static size_t file_len_of(const struct fixture *fixture, char path[256])
{
    struct stat status;
    (void)snprintf(path, 256, "%s/tree", fixture->scratch.path);
    assert_int_equal(stat(path, &status), 0);
    return (size_t)status.st_size;
}

/* It was SIGBUS. */
static void a_file_whose_end_was_cut_off_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t large[100000];
    char path[256];
    char error[512];
    char lens[64];
    struct tree_txn *txn = tree_begin_write(fixture->tree);
    put(txn, "small", "value");
    tree_put(txn, TREE_RECORDS, bytes_text("large"), bytes_of(large, sizeof(large)), none);
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(fixture->tree);
    for (size_t len = file_len_of(fixture, path) - 4096; len >= 8192; len -= 4096) {
        (void)snprintf(lens, sizeof(lens), "is %zu bytes long and was up to ", len);
        assert_int_equal(truncate(path, (off_t)len), 0);
        assert_null(tree_open(fixture->scratch.path, error, sizeof(error)));
        assert_non_null(strstr(error, path));
        assert_non_null(strstr(error, lens));
    }
    assert_int_equal(unlink(path), 0);
    open_tree(fixture);
}

/* LMDB would make an empty tree of an empty file. */
static void a_file_that_is_no_tree_is_refused_and_the_way_past_it_named(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    char error[512];
    put_now(fixture, "kept", "value");
    tree_close(fixture->tree);
    (void)file_len_of(fixture, path);
    for (off_t len = 4096; len >= 0; len -= 1024) {
        assert_int_equal(truncate(path, len), 0);
        assert_null(tree_open(fixture->scratch.path, error, sizeof(error)));
        assert_non_null(strstr(error, path));
        assert_non_null(strstr(error, "see: shardkv help log salvage"));
    }
    assert_int_equal(unlink(path), 0);
    open_tree(fixture);
}

/* LMDB does not write what one transaction took at the file's end and gave back. */
static void an_end_that_was_never_written_is_not_missing(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t large[1 << 20];
    char path[256];
    put_now(fixture, "kept", "value");
    for (int i = 0; i < 4; i++) {
        struct tree_txn *txn = tree_begin_write(fixture->tree);
        tree_put(txn, TREE_RECORDS, bytes_text("large"), bytes_of(large, 40000), none);
        assert_int_equal(tree_commit(txn), TREE_FINE);
        txn = tree_begin_write(fixture->tree);
        assert_true(tree_delete(txn, TREE_RECORDS, bytes_text("large")));
        assert_int_equal(tree_commit(txn), TREE_FINE);
    }
    size_t before = file_len_of(fixture, path);
    struct tree_txn *txn = tree_begin_write(fixture->tree);
    tree_put(txn, TREE_RECORDS, bytes_text("large"), bytes_of(large, sizeof(large)), none);
    assert_true(tree_delete(txn, TREE_RECORDS, bytes_text("large")));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    assert_true(file_len_of(fixture, path) < before + sizeof(large));
    tree_close(fixture->tree);
    open_tree(fixture);
    assert_true(has_now(fixture, "kept", "value"));
}

static bool is_always_newer(struct bytes stored, const void *context)
{
    (void)stored, (void)context;
    return true;
}

static void put_run(struct fixture *fixture, char letter)
{
    static const uint8_t value[100];
    char key[32];
    struct tree_txn *txn = tree_begin_write(fixture->tree);
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "%c%05d", letter, i);
        tree_put_next(txn, TREE_RECORDS, bytes_text(key), bytes_of(value, sizeof(value)),
                      is_always_newer, NULL);
    }
    assert_int_equal(tree_commit(txn), TREE_FINE);
}

static uint64_t used_len(struct fixture *fixture)
{
    struct tree_space space;
    struct tree_txn *txn = tree_begin_read(fixture->tree);
    tree_measure(txn, &space);
    tree_abort(txn);
    return space.used_len;
}

static void a_run_of_keys_fills_its_pages_behind_all_others(void **state)
{
    struct fixture *fixture = *state;
    put_run(fixture, 'b');
    assert_true(used_len(fixture) < UINT64_C(5000) * 130);
    put_now(fixture, "d", "last");
    put_run(fixture, 'c');
    struct tree_txn *txn = tree_begin_read(fixture->tree);
    struct tree_cursor *cursor = tree_cursor_open(txn, TREE_RECORDS);
    int count = 0;
    for (bool more = tree_cursor_seek(cursor, bytes_text("a")); more;
         more = tree_cursor_next(cursor)) {
        char key[32];
        const char letter = count < 5000 ? 'b' : 'c';
        (void)snprintf(key, sizeof(key), "%c%05d", letter, count % 5000);
        assert_true(count == 10000 || bytes_equal(tree_cursor_key(cursor), bytes_text(key)));
        count++;
    }
    assert_int_equal(count, 10001);
    tree_cursor_close(cursor);
    tree_abort(txn);
}

static void a_run_of_keys_leaves_what_is_newer(void **state)
{
    struct fixture *fixture = *state;
    put_now(fixture, "b00007", "newer");
    put_run(fixture, 'b');
    assert_true(has_now(fixture, "b00007", "newer"));
    assert_false(has_now(fixture, "b00008", "newer"));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(deleting_says_whether_it_was_there, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_aborted_never_was, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_committed_survives_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_keeps_its_version, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cursor_goes_in_the_order_of_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(seeking_finds_the_first_at_or_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fault_sticks_and_undoes_the_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_of_keys_fills_its_pages_behind_all_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_run_of_keys_leaves_what_is_newer, setup, teardown),
        cmocka_unit_test(a_path_that_is_none_is_named),
        cmocka_unit_test_setup_teardown(a_file_whose_end_was_cut_off_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_tree_is_refused_and_the_way_past_it_named,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_end_that_was_never_written_is_not_missing, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
