/* SPDX-License-Identifier: MIT */

/* A server's start on what log salvage made of a log whose checkpoints cannot be read (RULES S11). */

#include "cli/actions.h"

#include "cli/log_files.h"
#include "proto/stamp.h"
#include "shardd/store_internal.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/captured.h"

enum { KEYS = 200, SALT_AT = 88, NUMBER_AT = 56, SAID_LEN = 4096 };

/* Where a log's only segment is damaged. */
static const struct damage {
    uint64_t offset;
    bool are_records_read;
} damages[] = {
    {SALT_AT, false}, {NUMBER_AT, true}, {LOG_SEGMENT_HEADER_LEN + 1, true}, /* its checkpoint */
};

static const char *numbered(uint32_t number)
{
    static char key[16];
    (void)snprintf(key, sizeof(key), "key%u", number);
    return key;
}

static void write_keys(struct store_fixture *f, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct op op = store_op(OP_WRITE, numbered(i));
        (void)store_fixture_do(f, &op);
    }
}

static uint32_t count_keys(struct store_fixture *f, uint32_t from, uint32_t to)
{
    uint32_t count = 0;
    for (uint32_t i = from; i < to; i++) {
        struct op op = store_op(OP_READ, numbered(i));
        count += store_fixture_do(f, &op)->value.len > 0;
    }
    return count;
}

/* --- files --- */

static void path_of(const struct store_fixture *f, const char *name, char path[256])
{
    (void)snprintf(path, 256, "%s/%s", f->scratch.path, name);
}

static void flip(const struct store_fixture *f, const char *name, uint64_t offset)
{
    char path[256];
    uint8_t byte;
    path_of(f, name, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

static void note_segment(void *context, const char *name)
{
    (void)snprintf(context, LOG_FILE_NAME_LEN, "%s", name);
}

/* Of a log that has only one. */
static void flip_segment(const struct store_fixture *f, uint64_t offset)
{
    char error[256], name[LOG_FILE_NAME_LEN] = "";
    struct dir *dir = dir_open(f->scratch.path, error, sizeof(error));
    assert_non_null(dir);
    assert_int_equal(dir_list(dir, "log-", note_segment, name), 0);
    dir_close(dir);
    flip(f, name, offset);
}

/* What log salvage makes of it; the fixture is then in the new directory. */
static enum exit_code salvage(struct store_fixture *f, char said[SAID_LEN])
{
    struct scratch to = scratch_make();
    const char *words[] = {f->scratch.path};
    struct arguments arguments = {.to = to.path, .words = {words, 1}};
    struct session session;
    session_init(&session, "log salvage", &arguments);
    struct captured captured = captured_begin();
    enum exit_code code = log_salvage(&session);
    captured_end(&captured, said, SAID_LEN);
    scratch_remove(&f->scratch);
    f->scratch = to;
    return code;
}

static void assert_said(const char *said, const char *text)
{
    if (!strstr(said, text)) {
        fail_msg("not said: %s\n%s", text, said);
    }
}

/* --- states --- */

static bool is_state_in_tree(struct store_fixture *f)
{
    uint64_t stamp;
    struct buffer control = {0};
    struct tree_txn *txn = tree_begin_read(f->store->tree);
    bool is_there = swept_load_state(txn, &stamp, &control) &&
                    bytes_equal(buffer_bytes(&control), bytes_text(f->control)) &&
                    stamp <= log_durable(f->store->log);
    tree_abort(txn);
    buffer_fini(&control);
    return is_there;
}

static void count_segment(void *context, const char *name)
{
    (void)name;
    ++*(uint32_t *)context;
}

/* Those before it go with the sweep's next transaction. */
static bool has_one_segment(struct store_fixture *f)
{
    uint32_t count = 0;
    assert_int_equal(dir_list(f->dir, "log-", count_segment, &count), 0);
    return count == 1;
}

/* KEYS records in the tree, and as many in the log alone; killed. It has no LOG_STATE in its only segment. */
static struct store_fixture *filled(void)
{
    struct store_fixture *f = store_fixture_open();
    write_keys(f, 0, KEYS);
    store_fixture_make_cold(f);
    store_fixture_run(f, has_one_segment);
    write_keys(f, KEYS, 2 * KEYS);
    struct store_fixture *copy = store_fixture_crash(f);
    store_fixture_free(f);
    return copy;
}

/* Before it is told what it has. */
static void has_state_again(struct store_fixture *f)
{
    assert_true(bytes_equal(store_control(f->store), bytes_text(f->control)));
}

static bool is_unmarked(struct store_fixture *f)
{
    return !dir_has(f->dir, LOG_RECOUNT_NAME) && store_is_idle(f->store);
}

static void the_tree_has_a_copy_of_each_control_state(void **state)
{
    (void)state;
    struct store_fixture *f = store_fixture_open();
    store_fixture_run(f, is_state_in_tree);
    f->control = "another";
    store_fixture_own(f, store_all, 1);
    store_fixture_run(f, is_state_in_tree);
    store_fixture_restart(f);
    store_fixture_run(f, is_state_in_tree);
    store_fixture_free(f);
}

static void without_a_checkpoint_a_server_begins_with_its_tree(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        char said[SAID_LEN];
        struct store_fixture *f = filled();
        flip_segment(f, damages[i].offset);
        assert_int_equal(salvage(f, said), EXIT_CODE_DONE);
        f->on_opened = has_state_again;
        store_fixture_start(f);
        uint32_t expected = damages[i].are_records_read ? 2 * KEYS : KEYS;
        assert_int_equal(store_account(f->store, 0)->records, expected);
        assert_int_equal(count_keys(f, 0, 2 * KEYS), expected);
        store_fixture_run(f, is_unmarked);
        write_keys(f, 2 * KEYS, 3 * KEYS);
        store_fixture_restart(f);
        assert_int_equal(count_keys(f, 0, 3 * KEYS), expected + KEYS);
        assert_int_equal(store_account(f->store, 0)->records, expected + KEYS);
        store_fixture_free(f);
    }
}

/* RULES N2 */
static void no_stamp_that_the_tree_knows_of_is_given_again(void **state)
{
    (void)state;
    char said[SAID_LEN];
    struct swept swept;
    struct store_fixture *f = filled();
    const uint64_t ahead = stamp_of_ms(clock_wall_ms()) + (UINT64_C(1) << 40);
    struct tree *tree = tree_open(f->scratch.path, f->error, sizeof(f->error));
    struct tree_txn *txn = tree_begin_write(tree);
    assert_true(swept_load(txn, &swept));
    swept.durable = ahead;
    swept_store(txn, &swept);
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
    flip_segment(f, SALT_AT);
    assert_int_equal(salvage(f, said), EXIT_CODE_DONE);
    store_fixture_start(f);
    write_keys(f, 0, 1);
    assert_true(store_last_stamp(f->store) > ahead);
    store_fixture_run(f, is_unmarked);
    store_fixture_restart(f);
    assert_true(store_last_stamp(f->store) > ahead);
    store_fixture_free(f);
}

static void killed_at_its_first_start_it_begins_with_its_tree_again(void **state)
{
    (void)state;
    char said[SAID_LEN];
    struct store_fixture *f = filled();
    flip_segment(f, SALT_AT);
    assert_int_equal(salvage(f, said), EXIT_CODE_DONE);
    store_fixture_start(f);
    struct store_fixture *copy = store_fixture_crash(f);
    store_fixture_free(f);
    store_fixture_start(copy);
    assert_int_equal(store_account(copy->store, 0)->records, KEYS);
    assert_int_equal(count_keys(copy, 0, 2 * KEYS), KEYS);
    store_fixture_free(copy);
}

/* As a version before left it. */
static void a_tree_without_a_control_state_is_refused(void **state)
{
    (void)state;
    char said[SAID_LEN];
    struct store_fixture *f = filled();
    struct tree *tree = tree_open(f->scratch.path, f->error, sizeof(f->error));
    struct tree_txn *txn = tree_begin_write(tree);
    assert_true(tree_delete(txn, TREE_META, bytes_text("state")));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
    flip_segment(f, SALT_AT);
    assert_int_equal(salvage(f, said), EXIT_CODE_DONE);
    assert_said(said, "no checkpoint can be read: the server begins with the tree");
    assert_false(store_fixture_try_start(f));
    assert_said(f->error, "tree: it does not tell what this server is and owns");
    store_fixture_free(f);
}

static void a_damaged_tree_beside_a_log_without_a_checkpoint_is_refused(void **state)
{
    (void)state;
    char said[SAID_LEN];
    struct store_fixture *f = filled();
    flip_segment(f, SALT_AT);
    flip(f, "tree", 16);
    flip(f, "tree", 4096 + 16);
    assert_int_equal(salvage(f, said), EXIT_CODE_DONE);
    assert_false(store_fixture_try_start(f));
    assert_said(f->error, "/tree: ");
    store_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_has_a_copy_of_each_control_state),
        cmocka_unit_test(without_a_checkpoint_a_server_begins_with_its_tree),
        cmocka_unit_test(no_stamp_that_the_tree_knows_of_is_given_again),
        cmocka_unit_test(killed_at_its_first_start_it_begins_with_its_tree_again),
        cmocka_unit_test(a_tree_without_a_control_state_is_refused),
        cmocka_unit_test(a_damaged_tree_beside_a_log_without_a_checkpoint_is_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
