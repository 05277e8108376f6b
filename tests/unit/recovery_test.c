/* SPDX-License-Identifier: MIT */
#include "shardd/recovery.h"

#include <inttypes.h>

#include "proto/endian.h"
#include "proto/stamp.h"
#include "shardd/hot_internal.h"
#include "shardd/seal.h"
#include "shardd/store_internal.h"
#include "tests/unit/store_fixture.h"

enum { OLD_RECORDS = 300 };

/* Fifteen in each of the table's parts. */
enum { HOT_RECORDS = 60000 };

/* Its stamp and what follows from it. */
#define OLD_STAMP stamp_of_ms(UINT64_C(1700000000000))

static int setup(void **state)
{
    *state = store_fixture_new(scratch_make());
    return 0;
}

static int teardown(void **state)
{
    store_fixture_free(*state);
    return 0;
}

static const char *numbered(uint32_t number)
{
    static char key[16];
    (void)snprintf(key, sizeof(key), "key%u", number);
    return key;
}

static struct tree *open_tree(const struct store_fixture *f)
{
    char error[256];
    struct tree *tree = tree_open(f->scratch.path, error, sizeof(error));
    assert_non_null(tree);
    return tree;
}

/* --- a directory of the version that had no log --- */

static void put_meta(struct tree_txn *txn, struct bytes key, uint8_t format,
                     const uint64_t *numbers, uint32_t count, bool is_array)
{
    struct buffer stored = {0};
    seal_begin(&stored, format);
    if (is_array) {
        pack_array(&stored, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        pack_uint(&stored, numbers[i]);
    }
    seal_end(&stored, key);
    tree_put(txn, TREE_META, key, buffer_bytes(&stored), bytes_of(NULL, 0));
    buffer_fini(&stored);
}

static uint64_t put_old_record(struct tree_txn *txn, uint32_t number)
{
    uint8_t key_bytes[TREE_KEY_LEN_MAX];
    uint8_t header[RECORD_HEADER_LEN];
    struct bytes key = bytes_text(numbered(number));
    const struct record record = {.point = point_of_key(key),
                                  .key = key,
                                  .value = bytes_of("\x05", 1),
                                  .version = OLD_STAMP - number};
    struct bytes tree_key = bytes_of(key_bytes, record_key_encode(record.point, 0, key, key_bytes));
    record_header_encode(&record, tree_key, header);
    tree_put(txn, TREE_RECORDS, tree_key, bytes_of(header, sizeof(header)), record.value);
    return record_size(key.len, 1);
}

/* A client whose line says that everything up to 7 was answered. */
static void put_old_line(struct tree_txn *txn)
{
    uint8_t client[ID_LEN] = {5};
    struct buffer stored = {0};
    seal_begin(&stored, 1);
    pack_array(&stored, 5);
    pack_uint(&stored, 8);
    pack_uint(&stored, 7);
    pack_uint(&stored, 0);
    pack_uint(&stored, clock_wall_ms());
    pack_array(&stored, 0);
    seal_end(&stored, bytes_of(client, ID_LEN));
    tree_put(txn, TREE_LINES, bytes_of(client, ID_LEN), buffer_bytes(&stored), bytes_of(NULL, 0));
    buffer_fini(&stored);
}

static void put_old_account(struct tree_txn *txn, uint64_t start, uint64_t end, uint64_t used,
                            uint64_t records)
{
    uint8_t key[15] = "account";
    const uint64_t numbers[] = {end, used, records};
    endian_put_be64(key + 7, start);
    put_meta(txn, bytes_of(key, sizeof(key)), 1, numbers, 3, true);
}

static void make_old_directory(const struct store_fixture *f)
{
    const uint64_t stamp = OLD_STAMP;
    uint64_t used = 0;
    struct tree *tree = open_tree(f);
    struct tree_txn *txn = tree_begin_write(tree);
    for (uint32_t i = 0; i < OLD_RECORDS; i++) {
        used += put_old_record(txn, i);
    }
    put_old_line(txn);
    put_old_account(txn, 0, BOUND_END, used, OLD_RECORDS);
    put_meta(txn, bytes_text("stamp"), 1, &stamp, 1, false);
    tree_put(txn, TREE_META, bytes_text("control"), bytes_text("old control"), bytes_of(NULL, 0));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
}

static bool has_meta(const struct store_fixture *f, struct bytes key)
{
    struct bytes stored;
    struct tree *tree = open_tree(f);
    struct tree_txn *txn = tree_begin_read(tree);
    bool has = tree_get(txn, TREE_META, key, &stored);
    tree_abort(txn);
    tree_close(tree);
    return has;
}

static void assert_upgraded(struct store_fixture *f)
{
    for (uint32_t i = 0; i < OLD_RECORDS; i += 10) {
        struct op op = store_op(OP_READ, numbered(i));
        const struct outcome *outcome = store_fixture_do(f, &op);
        assert_true(outcome->was_there);
        assert_int_equal(outcome->version, OLD_STAMP - i);
    }
    assert_int_equal(store_account(f->store, 0)->records, OLD_RECORDS);
    struct op op = store_op(OP_INCR, numbered(0));
    op.identity = (struct op_identity){.client = {5}, .seq = 7, .done = 8};
    assert_int_equal(store_fixture_do(f, &op)->status, STATUS_STALE);
    op.identity.seq = 8;
    assert_int_equal(store_fixture_do(f, &op)->integer, 6);
    assert_true(store_fixture_answer(f, f->answer_count - 1)->version > OLD_STAMP);
}

static void a_directory_of_the_version_without_a_log_is_taken_over(void **state)
{
    struct store_fixture *f = *state;
    make_old_directory(f);
    f->ranges = store_all;
    f->range_count = 1;
    store_fixture_start(f);
    assert_upgraded(f);
    store_fixture_restart(f);
    struct op op = store_op(OP_READ, numbered(0));
    assert_int_equal(*(const uint8_t *)store_fixture_do(f, &op)->value.data, 6);
    assert_true(bytes_equal(store_control(f->store), bytes_text("control")));
    store_fixture_kill(f);
    assert_false(has_meta(f, bytes_text("control")));
    assert_false(has_meta(f, bytes_text("stamp")));
    assert_false(has_meta(f, bytes_of("account\0\0\0\0\0\0\0\0", 15)));
    store_fixture_start(f);
}

/* The log is there, and the tree has what stood for it, too. */
static void a_takeover_that_was_cut_off_is_finished(void **state)
{
    struct store_fixture *f = *state;
    make_old_directory(f);
    struct scratch before = crash_copy(&f->scratch);
    f->ranges = store_all;
    f->range_count = 1;
    store_fixture_start(f);
    store_fixture_kill(f);
    char from[256];
    char to[256];
    (void)snprintf(from, sizeof(from), "%s/tree", before.path);
    (void)snprintf(to, sizeof(to), "%s/tree", f->scratch.path);
    crash_copy_file(from, to);
    scratch_remove(&before);
    store_fixture_start(f);
    assert_upgraded(f);
    store_fixture_kill(f);
    assert_false(has_meta(f, bytes_text("control")));
    store_fixture_start(f);
}

/* --- refusals --- */

static void assert_refused(struct store_fixture *f, const char *part)
{
    assert_false(store_fixture_try_start(f));
    if (!strstr(f->error, part)) {
        fail_msg("\"%s\" lacks \"%s\"", f->error, part);
    }
}

static void what_a_newer_version_wrote_of_the_sweep_is_refused(void **state)
{
    struct store_fixture *f = *state;
    static const uint64_t numbers[] = {1, 2};
    struct tree *tree = open_tree(f);
    struct tree_txn *txn = tree_begin_write(tree);
    put_meta(txn, bytes_text("swept"), 2, numbers, 2, true);
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
    assert_refused(f, "newer version of shardd");
}

static void a_tree_without_its_log_is_refused(void **state)
{
    struct store_fixture *f = *state;
    struct tree *tree = open_tree(f);
    struct tree_txn *txn = tree_begin_write(tree);
    put_old_record(txn, 1);
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
    assert_refused(f, "no log");
}

static void a_damaged_account_of_the_version_before_is_refused(void **state)
{
    struct store_fixture *f = *state;
    make_old_directory(f);
    struct tree *tree = open_tree(f);
    struct tree_txn *txn = tree_begin_write(tree);
    tree_put(txn, TREE_META, bytes_of("account\0\0\0\0\0\0\0\0", 15), bytes_text("damaged seal"),
             bytes_of(NULL, 0));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
    assert_refused(f, "damaged");
}

static void a_range_without_an_account_is_refused(void **state)
{
    struct store_fixture *f = *state;
    f->ranges = store_all;
    f->range_count = 1;
    assert_refused(f, "account of the range from 0.0 is missing");
}

/* --- RULES R4 --- */

/* What was swept and then touched has the later expiry again. */
static void a_touch_of_a_swept_record_is_replayed(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_start(f);
    store_fixture_own(f, store_all, 1);
    struct op write = store_op(OP_WRITE, "key");
    write.ttl_ms = 160000;
    write.is_sliding = true;
    write.left_ms = 80000;
    uint64_t version = store_fixture_do(f, &write)->version;
    store_fixture_make_cold(f);
    struct op read = store_op(OP_READ, "key");
    assert_true(store_fixture_do(f, &read)->left_ms > 150000);
    write = store_op(OP_WRITE, "other");
    store_fixture_do(f, &write); /* behind the touch, which so is durable */
    struct store_fixture *copy = store_fixture_crash(f);
    store_fixture_start(copy);
    struct op exists = store_op(OP_POP, "key");
    const struct outcome *outcome = store_fixture_do(copy, &exists);
    assert_int_equal(outcome->version, version);
    assert_true(outcome->left_ms > 100000);
    store_fixture_free(copy);
}

/* --- accounts --- */

struct owner {
    struct loop *loop;
    struct log *log;
    struct accounts accounts;
    uint64_t awaited;
};

static void on_progress(void *context)
{
    struct owner *owner = context;
    if (log_durable(owner->log) >= owner->awaited) {
        loop_stop(owner->loop);
    }
}

static uint32_t put_accounts(void *context, struct buffer *out)
{
    struct owner *owner = context;
    return accounts_put_changed(&owner->accounts, out);
}

static void put_checkpoint(void *context, struct buffer *out, uint32_t *account_count)
{
    struct owner *owner = context;
    *account_count = accounts_put_all(&owner->accounts, out);
    buffer_append_bytes(out, bytes_text("control"));
}

static void add_counted(struct owner *owner, uint64_t bytes)
{
    static uint8_t value[4000];
    const struct log_op op = {.kind = LOG_PUT,
                              .point = point_of_key(bytes_text("key")),
                              .key = bytes_text("key"),
                              .value = bytes_of(value, sizeof(value))};
    (void)log_add(owner->log, &op);
    account_change(&owner->accounts, owner->accounts.items, (int64_t)bytes, 0);
}

static void no_split(void *context, uint64_t start, uint64_t end, uint64_t *used, uint64_t *records)
{
    (void)context, (void)start, (void)end, (void)used, (void)records;
    fail();
}

static uint64_t recovered_used(const struct store_fixture *f, struct tree *tree,
                               const struct log_config *config)
{
    char error[256] = "";
    uint64_t start;
    struct accounts accounts = {0};
    (void)f;
    struct recovery *recovery = recovery_open(tree, config, error, sizeof(error));
    if (!recovery) {
        fail_msg("%s", error);
    }
    accounts_replace(&accounts, store_all, 1, no_split, NULL);
    assert_true(recovery_set_accounts(recovery, &accounts, &start));
    uint64_t used = accounts.items[0].used;
    log_close(recovery_log(recovery));
    recovery_free(recovery);
    accounts_fini(&accounts);
    return used;
}

/*
 * After long quiet stamps stay behind the clock until a marker that tells the clock is durable. A segment that
 * begins before has a checkpoint that tells it, too, and what stood behind that with lower stamps was taken for older.
 */
static void accounts_behind_a_checkpoint_count_though_its_stamp_is_higher(void **state)
{
    struct store_fixture *f = *state;
    static const struct log_identity identity = {.server = {1}, .incarnation = 1};
    struct owner owner = {.loop = loop_new()};
    struct dir *dir = dir_open(f->scratch.path, f->error, sizeof(f->error));
    struct tree *tree = open_tree(f);
    const struct log_config config = {owner.loop, dir, DURABILITY_DISK, LOG_SEGMENT_LEN_MIN};
    const struct log_owner log_owner = {&owner, on_progress, put_accounts, put_checkpoint};
    owner.log = log_open(&config, 0, 0, NULL, f->error, sizeof(f->error));
    accounts_replace(&owner.accounts, store_all, 1, no_split, NULL);
    assert_true(log_start(owner.log, &identity, &log_owner, f->error, sizeof(f->error)));
    log_turn_begin(owner.log, clock_wall_ms() + 600000);
    add_counted(&owner, 1);
    log_turn_end(owner.log);
    owner.awaited = log_last(owner.log);
    loop_run(owner.loop);
    for (int i = 0; i < 30; i++) {
        add_counted(&owner, 1);
        log_turn_end(owner.log);
    }
    owner.awaited = log_last(owner.log);
    loop_run(owner.loop);
    log_close(owner.log);
    assert_int_equal(recovered_used(f, tree, &config), 31);
    accounts_fini(&owner.accounts);
    tree_close(tree);
    loop_free(owner.loop);
    dir_close(dir);
    scratch_remove(&f->scratch);
    f->scratch = scratch_make();
    store_fixture_start(f);
}

/* Growing to its size moves each record about twice. */
static void the_table_has_its_size_before_the_log_is_replayed(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_start(f);
    store_fixture_own(f, store_all, 1);
    for (uint32_t number = 0; number < HOT_RECORDS; number++) {
        struct op op = store_op(OP_WRITE, numbered(number));
        (void)store_fixture_submit(f, &op);
    }
    store_fixture_wait(f);
    assert_true(hot_moved(f->store->hot) > HOT_RECORDS);
    store_fixture_kill(f);
    store_fixture_start(f);
    printf("# %" PRIu64 " moved\n", hot_moved(f->store->hot));
    assert_true(hot_moved(f->store->hot) < HOT_RECORDS / 10);
    struct op op = store_op(OP_READ, numbered(HOT_RECORDS - 1));
    assert_int_equal(store_fixture_do(f, &op)->status, STATUS_OK);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_directory_of_the_version_without_a_log_is_taken_over),
        TEST(a_takeover_that_was_cut_off_is_finished),
        TEST(what_a_newer_version_wrote_of_the_sweep_is_refused),
        TEST(a_tree_without_its_log_is_refused),
        TEST(a_damaged_account_of_the_version_before_is_refused),
        TEST(a_range_without_an_account_is_refused),
        TEST(a_touch_of_a_swept_record_is_replayed),
        TEST(the_table_has_its_size_before_the_log_is_replayed),
        TEST(accounts_behind_a_checkpoint_count_though_its_stamp_is_higher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
