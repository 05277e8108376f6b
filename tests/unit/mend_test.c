/* SPDX-License-Identifier: MIT */
#include "shardd/mend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/logline.h"
#include "proto/endian.h"
#include "proto/record.h"
#include "shardd/swept.h"
#include "shardd/tree.h"
#include "tests/unit/crash.h"

enum { RECORDS = 3000, PAGE_LEN = 4096 };

/*
 * What liblmdb had allocated when a damaged page made it fault (shardd/mend.c jumps out of it) nobody can free. Asked by
 * the leak sanitizer, where there is one.
 */
__attribute__((visibility("default"))) const char *
__lsan_default_suppressions(void); /* NOLINT(bugprone-reserved-identifier): its name */

const char *__lsan_default_suppressions(void) /* NOLINT(bugprone-reserved-identifier) */
{
    return "leak:mdb_txn_begin\n";
}

static struct tree *open_in(const struct scratch *scratch)
{
    char error[512];
    struct tree *tree = tree_open(scratch->path, error, sizeof(error));
    if (!tree) {
        fail_msg("%s", error);
    }
    return tree;
}

static void put(struct tree_txn *txn, uint32_t number)
{
    uint8_t key[TREE_KEY_LEN_MAX];
    uint8_t header[RECORD_HEADER_LEN];
    char name[16];
    char value[64] = "\xc4\x3e";
    (void)snprintf(name, sizeof(name), "key%u", number);
    const struct record record = {
        .point = number * UINT64_C(0x9e3779b97f4a7c15),
        .version = number + 1,
        .key = bytes_text(name),
        .value = bytes_of(value, sizeof(value)),
    };
    struct bytes tree_key = bytes_of(key, record_key_encode(record.point, 0, record.key, key));
    record_header_encode(&record, tree_key, header);
    tree_put(txn, TREE_RECORDS, tree_key, bytes_of(header, sizeof(header)), record.value);
}

static struct scratch filled(void)
{
    struct scratch scratch = scratch_make();
    struct tree *tree = open_in(&scratch);
    struct tree_txn *txn = tree_begin_write(tree);
    for (uint32_t i = 0; i < RECORDS; i++) {
        put(txn, i);
    }
    tree_put(txn, TREE_LINES, bytes_text("a client's line."), bytes_text("line"), bytes_text(""));
    swept_store_state(txn, 77, bytes_text("control"));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
    return scratch;
}

/* All of them whole. */
static uint32_t count_records(const struct scratch *scratch)
{
    static const uint8_t first[8];
    struct tree *tree = open_in(scratch);
    struct tree_txn *txn = tree_begin_read(tree);
    struct tree_cursor *cursor = tree_cursor_open(txn, TREE_RECORDS);
    uint32_t count = 0;
    bool more = tree_cursor_seek(cursor, bytes_of(first, sizeof(first)));
    for (; more; more = tree_cursor_next(cursor)) {
        struct record record;
        assert_int_equal(record_decode(tree_cursor_value(cursor), tree_cursor_key(cursor), &record),
                         RECORD_FINE);
        count++;
    }
    tree_cursor_close(cursor);
    tree_abort(txn);
    tree_close(tree);
    return count;
}

static uint32_t page_count(const struct scratch *scratch, char path[256])
{
    struct stat status;
    (void)snprintf(path, 256, "%s/tree", scratch->path);
    assert_int_equal(stat(path, &status), 0);
    return (uint32_t)(status.st_size / PAGE_LEN);
}

static void spoil_page(const char *path, uint32_t page, uint8_t byte)
{
    uint8_t bytes[PAGE_LEN];
    memset(bytes, byte, sizeof(bytes));
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)page * PAGE_LEN, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, sizeof(bytes), 1, file), 1);
    (void)fclose(file);
}

static void a_whole_tree_is_kept_whole(void **state)
{
    (void)state;
    char error[512];
    struct bytes line;
    struct buffer control = {0};
    uint64_t stamp;
    struct scratch scratch = filled();
    assert_true(mend_tree(scratch.path, error, sizeof(error)));
    assert_int_equal(count_records(&scratch), RECORDS);
    struct tree *tree = open_in(&scratch);
    struct tree_txn *txn = tree_begin_read(tree);
    assert_true(tree_get(txn, TREE_LINES, bytes_text("a client's line."), &line));
    assert_true(bytes_equal(line, bytes_text("line")));
    assert_true(swept_load_state(txn, &stamp, &control)); /* RULES S11 */
    assert_int_equal(stamp, 77);
    assert_true(bytes_equal(buffer_bytes(&control), bytes_text("control")));
    buffer_fini(&control);
    tree_abort(txn);
    tree_close(tree);
    scratch_remove(&scratch);
}

/* A leaf has about thirty; without the page of all roots there is nothing. */
static void whatever_page_is_lost_the_records_of_the_others_are_kept(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0, 0x5a, 0xff};
    char path[256];
    char error[512];
    struct scratch whole = filled();
    uint32_t pages = page_count(&whole, path);
    uint32_t good = 0;
    uint32_t runs = 0;
    for (uint32_t page = 2; page < pages; page += 5) {
        struct scratch scratch = crash_copy(&whole);
        (void)page_count(&scratch, path);
        spoil_page(path, page, bytes[page % 3]);
        runs++;
        if (mend_tree(scratch.path, error, sizeof(error))) {
            uint32_t count = count_records(&scratch);
            assert_true(count <= RECORDS);
            good += count >= RECORDS - 60;
        } else {
            assert_non_null(strstr(error, scratch.path));
        }
        scratch_remove(&scratch);
    }
    assert_true(good >= runs * 9 / 10 && runs > 10);
    scratch_remove(&whole);
}

/* The search for what comes behind the damage never ended. */
static void a_cut_tree_is_mended_or_refused(void **state)
{
    (void)state;
    char path[256];
    char error[512];
    struct scratch whole = filled();
    uint32_t pages = page_count(&whole, path);
    for (uint32_t kept = 0; kept < pages; kept += pages / 8) {
        struct scratch scratch = crash_copy(&whole);
        (void)page_count(&scratch, path);
        assert_int_equal(truncate(path, (off_t)kept * PAGE_LEN + (kept ? 100 : 0)), 0);
        if (mend_tree(scratch.path, error, sizeof(error))) {
            assert_true(count_records(&scratch) <= RECORDS);
        } else {
            assert_non_null(strstr(error, "/tree"));
        }
        scratch_remove(&scratch);
    }
    scratch_remove(&whole);
}

static void a_record_whose_checksum_fails_is_left_behind(void **state)
{
    (void)state;
    char error[512];
    struct scratch scratch = filled();
    struct tree *tree = open_in(&scratch);
    struct tree_txn *txn = tree_begin_write(tree);
    uint8_t key[16] = {0};
    endian_put_be64(key, 77);
    tree_put(txn, TREE_RECORDS, bytes_of(key, sizeof(key)), bytes_text("no record"),
             bytes_text(""));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
    assert_true(mend_tree(scratch.path, error, sizeof(error)));
    assert_int_equal(count_records(&scratch), RECORDS);
    scratch_remove(&scratch);
}

int main(void)
{
    logline_set_level(LOGLINE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_tree_is_kept_whole),
        cmocka_unit_test(whatever_page_is_lost_the_records_of_the_others_are_kept),
        cmocka_unit_test(a_cut_tree_is_mended_or_refused),
        cmocka_unit_test(a_record_whose_checksum_fails_is_left_behind),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
