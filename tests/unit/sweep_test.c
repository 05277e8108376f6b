/* SPDX-License-Identifier: MIT */
#include "shardd/sweep.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "io/clock.h"
#include "io/memory.h"
#include "proto/point.h"
#include "shardd/recovery.h"
#include "tests/unit/crash.h"
#include "tests/unit/dice.h"

#define SEGMENT_LEN LOG_SEGMENT_LEN_MIN

static const struct range all[] = {{.end = BOUND_END, .limit = UINT64_C(1) << 40}};

/* The log has a loop of its own: nothing becomes durable but when that is run. */
struct fixture {
    struct scratch scratch;
    struct dir *dir;
    struct loop *loop;
    struct loop *log_loop;
    struct tree *tree;
    struct log *log;
    struct arena *arena;
    struct hot *hot;
    struct accounts accounts;
    struct retries *retries;
    struct minter *minter;
    struct sweep *sweep;
    struct recovery *recovery;
    uint64_t now_ms;
    uint64_t awaited;
    int cleared; /* -1: not yet */
};

static void on_progress(void *context)
{
    struct fixture *f = context;
    if (log_durable(f->log) >= f->awaited) {
        loop_stop(f->log_loop);
    }
}

static uint32_t put_accounts(void *context, struct buffer *out)
{
    struct fixture *f = context;
    return accounts_put_changed(&f->accounts, out);
}

static void put_checkpoint(void *context, struct buffer *out, uint32_t *account_count)
{
    struct fixture *f = context;
    *account_count = accounts_put_all(&f->accounts, out);
    buffer_append_bytes(out, bytes_text("control"));
}

static uint64_t add_to_log(void *context, const struct log_op *op)
{
    struct fixture *f = context;
    return log_add(f->log, op);
}

static void no_split(void *context, uint64_t start, uint64_t end, uint64_t *used, uint64_t *records)
{
    (void)context, (void)start, (void)end, (void)used, (void)records;
    fail();
}

static bool no_room_needed(void *context, char *error, size_t error_len)
{
    (void)context, (void)error, (void)error_len;
    return true;
}

static void on_turn_end(void *context)
{
    struct fixture *f = context;
    if (!sweep_is_busy(f->sweep)) {
        loop_stop(f->loop);
    }
}

/* As store.c does it. */
static uint64_t reserve_nothing(void *context, uint64_t ms)
{
    (void)context, (void)ms;
    return 0;
}

static void start(struct fixture *f)
{
    static const struct log_identity identity = {.server = {1}, .incarnation = 1};
    const struct log_config config = {f->log_loop, f->dir, DURABILITY_DISK, SEGMENT_LEN};
    const struct log_owner owner = {f, on_progress, put_accounts, put_checkpoint};
    char error[256] = "";
    f->tree = tree_open(f->scratch.path, error, sizeof(error));
    assert_non_null(f->tree);
    f->recovery = recovery_open(f->tree, &config, error, sizeof(error));
    if (!f->recovery) {
        fail_msg("%s", error);
    }
    f->log = recovery_log(f->recovery);
    f->arena = arena_new();
    f->hot = hot_new(f->arena, recovery_is_tree_empty(f->recovery));
    f->retries = retries_new(&f->accounts, add_to_log, f);
    accounts_replace(&f->accounts, all, 1, no_split, NULL);
    struct tree_txn *txn = tree_begin_read(f->tree);
    assert_true(retries_load(f->retries, txn, error, sizeof(error)));
    tree_abort(txn);
    assert_true(log_start(f->log, &identity, &owner, error, sizeof(error)));
    f->minter = minter_new(recovery_reserved_ms(f->recovery), reserve_nothing, f);
    const struct sweep_config sweep = {f->loop, f->tree, f->hot, f->retries, f->log, f->minter};
    f->sweep = sweep_new(&sweep, recovery_swept(f->recovery));
    const struct recovery_target target = {
        .hot = f->hot, .retries = f->retries, .make_room = no_room_needed};
    assert_true(recovery_replay(f->recovery, &target, error, sizeof(error)));
    recovery_free(f->recovery);
}

static struct fixture *open_at(struct scratch scratch)
{
    char error[256] = "";
    struct fixture *f = memory_get(1, sizeof(*f));
    f->scratch = scratch;
    f->dir = dir_open(scratch.path, error, sizeof(error));
    assert_non_null(f->dir);
    f->loop = loop_new();
    f->log_loop = loop_new();
    loop_on_turn_end(f->loop, on_turn_end, f);
    f->now_ms = clock_wall_ms();
    start(f);
    return f;
}

static void close_all(struct fixture *f)
{
    sweep_free(f->sweep);
    log_close(f->log);
    retries_free(f->retries);
    minter_free(f->minter);
    hot_free(f->hot);
    arena_free_all(f->arena);
    tree_close(f->tree);
    accounts_fini(&f->accounts);
    loop_free(f->loop);
    loop_free(f->log_loop);
    dir_close(f->dir);
    scratch_remove(&f->scratch);
    free(f);
}

static int setup(void **state)
{
    *state = open_at(scratch_make());
    return 0;
}

static int teardown(void **state)
{
    close_all(*state);
    return 0;
}

/* --- what the store would do --- */

static struct bytes key_of(uint32_t number)
{
    static char keys[4][16];
    static uint32_t next;
    char *key = keys[next++ % 4];
    (void)snprintf(key, sizeof(keys[0]), "key%u", number);
    return bytes_text(key);
}

/* Adds to the turn's record; the log hands it over with end_turn. */
static uint64_t change(struct fixture *f, uint32_t number, enum log_kind kind, struct bytes value)
{
    struct bytes key = key_of(number);
    uint64_t point = point_of_key(key);
    const struct log_op op = {.kind = kind, .point = point, .key = key, .value = value};
    const struct record record = {
        .point = point, .key = key, .value = value, .version = log_add(f->log, &op)};
    hot_put(f->hot, hot_find(f->hot, point, 0, key), &record,
            kind == LOG_PUT ? HOT_RECORD : HOT_DELETED, true);
    return record.version;
}

static uint64_t put(struct fixture *f, uint32_t number)
{
    return change(f, number, LOG_PUT, bytes_of("\x01", 1));
}

static void make_durable(struct fixture *f)
{
    log_turn_end(f->log);
    f->awaited = log_last(f->log);
    if (log_durable(f->log) < f->awaited) {
        loop_run(f->log_loop);
    }
    log_turn_begin(f->log, f->now_ms);
}

static void begin_batch(struct fixture *f, uint32_t batch_max)
{
    const struct pressure pressure = {.pace = PACE_FULL, .batch_max = batch_max};
    sweep_turn(f->sweep, &pressure);
}

static void begin_step(struct fixture *f)
{
    begin_batch(f, 1000);
}

static void end_step(struct fixture *f)
{
    if (sweep_is_busy(f->sweep)) {
        loop_run(f->loop);
    }
}

static void step(struct fixture *f)
{
    begin_step(f);
    end_step(f);
}

static void go_round(struct fixture *f)
{
    for (int i = 0; i < 8; i++) {
        step(f);
    }
}

static uint64_t version_in_tree(struct fixture *f, uint32_t number)
{
    uint8_t key_bytes[TREE_KEY_LEN_MAX];
    struct bytes stored;
    struct bytes key = key_of(number);
    size_t len = record_key_encode(point_of_key(key), 0, key, key_bytes);
    struct tree_txn *txn = tree_begin_read(f->tree);
    bool is_there = tree_get(txn, TREE_RECORDS, bytes_of(key_bytes, len), &stored);
    uint64_t version = is_there ? record_stored_version(stored) : 0;
    tree_abort(txn);
    return version;
}

/* Hot over tree; 0: nothing. */
static uint64_t version_of(struct fixture *f, uint32_t number)
{
    struct bytes key = key_of(number);
    struct hot_record *entry = hot_find(f->hot, point_of_key(key), 0, key);
    if (!entry) {
        return version_in_tree(f, number);
    }
    return hot_state(entry) == HOT_RECORD ? hot_version(entry) : 0;
}

/* Another server on a copy of what is on disk now: what was not handed to the log is lost. */
static struct fixture *crash(struct fixture *f)
{
    return open_at(crash_copy(&f->scratch));
}

/* --- RULES S1 --- */

static void what_is_not_durable_is_never_in_the_tree(void **state)
{
    struct fixture *f = *state;
    uint64_t first = put(f, 1);
    log_turn_end(f->log);
    go_round(f);
    assert_int_equal(version_in_tree(f, 1), 0);
    make_durable(f);
    go_round(f);
    assert_int_equal(version_in_tree(f, 1), first);
    uint64_t second = put(f, 1);
    go_round(f);
    assert_int_equal(version_in_tree(f, 1), first);
    make_durable(f);
    go_round(f);
    assert_int_equal(version_in_tree(f, 1), second);
}

static void random_writes_are_in_the_tree_only_when_durable(void **state)
{
    struct fixture *f = *state;
    struct dice dice = dice_of(20261);
    enum { KEYS = 300 };
    static uint64_t durable_versions[KEYS];
    static uint64_t versions[KEYS];
    for (int i = 0; i < 400; i++) {
        for (uint32_t j = dice_below(&dice, 20); j > 0; j--) {
            uint32_t number = dice_below(&dice, KEYS);
            bool is_put = dice_below(&dice, 3) > 0;
            uint64_t stamp =
                is_put ? put(f, number) : change(f, number, LOG_DELETE, bytes_of(NULL, 0));
            versions[number] = is_put ? stamp : 0;
        }
        if (dice_below(&dice, 4) == 0) {
            make_durable(f);
            memcpy(durable_versions, versions, sizeof(versions));
        }
        step(f);
        assert_true(sweep_applied(f->sweep) <= log_durable(f->log));
        struct tree_txn *txn = tree_begin_read(f->tree);
        struct tree_cursor *cursor = tree_cursor_open(txn, TREE_RECORDS);
        bool more = tree_cursor_seek(cursor, bytes_of("", 1));
        while (more) {
            assert_true(record_stored_version(tree_cursor_value(cursor)) <= log_durable(f->log));
            more = tree_cursor_next(cursor);
        }
        tree_cursor_close(cursor);
        tree_abort(txn);
        if (i % 40 == 0) {
            struct fixture *copy = crash(f);
            for (uint32_t number = 0; number < KEYS; number++) {
                assert_int_equal(version_of(copy, number), durable_versions[number]);
            }
            close_all(copy);
        }
    }
}

/* --- RULES S2 --- */

/*
 * 1 is durable and dirty, then gets a version that is not durable as the hand passes: that is passed over, and the
 * one before is no longer in memory. If the round counted now, the log would give it up, and a crash would lose both.
 */
static void a_round_counts_only_when_all_that_it_passed_over_is_durable(void **state)
{
    struct fixture *f = *state;
    put(f, 0);
    make_durable(f);
    go_round(f);
    uint64_t first = put(f, 1);
    put(f, 2);
    make_durable(f);
    uint64_t second = put(f, 1); /* not handed over: a crash loses it */
    go_round(f);
    assert_int_equal(version_in_tree(f, 1), 0);
    assert_true(version_in_tree(f, 2) > first);
    assert_true(sweep_applied(f->sweep) < first);
    struct fixture *copy = crash(f);
    assert_int_equal(version_of(copy, 1), first);
    close_all(copy);
    make_durable(f);
    go_round(f);
    assert_int_equal(version_in_tree(f, 1), second);
    assert_true(sweep_applied(f->sweep) >= second);
}

/*
 * While something is always on its way to the disk: the hand came round before E was durable, and the round that it
 * then began anew forgot the one before, so `applied` stood still and the log grew to its limit.
 */
static void applied_rises_though_something_is_always_on_its_way(void **state)
{
    struct fixture *f = *state;
    uint64_t first = put(f, 0);
    make_durable(f);
    put(f, 1);
    for (uint32_t i = 2; i < 22; i++) {
        begin_step(f);
        make_durable(f);
        put(f, i); /* during the transaction, and so not durable when it is over */
        end_step(f);
    }
    assert_true(sweep_applied(f->sweep) > first);
}

static void with_nothing_dirty_all_that_is_durable_is_applied(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < 100; i++) {
        put(f, i);
    }
    make_durable(f);
    go_round(f);
    assert_int_equal(sweep_applied(f->sweep), log_last(f->log));
    struct sweep_stat stat;
    sweep_stat(f->sweep, &stat);
    assert_int_equal(stat.record_count, 100);
    uint64_t batch_count = stat.batch_count;
    go_round(f);
    sweep_stat(f->sweep, &stat);
    assert_int_equal(stat.batch_count, batch_count);
}

static uint32_t count_segments(const struct fixture *f)
{
    struct log_stat stat;
    log_stat(f->log, &stat);
    return stat.segment_count;
}

static void fill_segments(struct fixture *f, uint32_t count)
{
    static uint8_t value[1000] = {0xc5, 0x03, 0xe5};
    for (uint32_t i = 0; count_segments(f) < count; i++) {
        change(f, i % 500, LOG_PUT, bytes_of(value, sizeof(value)));
        if (i % 10 == 0) {
            make_durable(f);
        }
    }
    make_durable(f);
}

static void the_log_is_freed_when_the_transaction_is_over_and_not_before(void **state)
{
    struct fixture *f = *state;
    fill_segments(f, 12);
    for (int i = 0; i < 8; i++) {
        uint32_t before = count_segments(f);
        uint64_t applied = sweep_applied(f->sweep);
        begin_step(f);
        assert_int_equal(count_segments(f), before);
        assert_int_equal(sweep_applied(f->sweep), applied);
        end_step(f);
    }
    assert_true(count_segments(f) <= 2);
    struct fixture *copy = crash(f);
    for (uint32_t i = 0; i < 500; i++) {
        assert_int_equal(version_of(copy, i), version_of(f, i));
    }
    close_all(copy);
}

/* --- RULES S3, S4 --- */

static void a_deletion_stays_until_it_is_swept(void **state)
{
    struct fixture *f = *state;
    put(f, 1);
    make_durable(f);
    go_round(f);
    struct bytes key = key_of(1);
    change(f, 1, LOG_DELETE, bytes_of(NULL, 0));
    go_round(f);
    struct hot_record *entry = hot_find(f->hot, point_of_key(key), 0, key);
    assert_non_null(entry);
    assert_int_equal(hot_state(entry), HOT_DELETED);
    assert_true(version_in_tree(f, 1) > 0);
    make_durable(f);
    go_round(f);
    assert_null(hot_find(f->hot, point_of_key(key), 0, key));
    assert_int_equal(version_in_tree(f, 1), 0);
}

/* The tree is ahead of `applied`: the older write must not come back, which all of the log tells. */
static void what_was_deleted_in_the_tree_is_not_brought_back_by_replay(void **state)
{
    struct fixture *f = *state;
    put(f, 1);
    make_durable(f);
    change(f, 1, LOG_DELETE, bytes_of(NULL, 0));
    uint64_t other = put(f, 2);
    make_durable(f);
    put(f, 2); /* keeps the round from counting */
    go_round(f);
    assert_true(sweep_applied(f->sweep) < other);
    struct fixture *copy = crash(f);
    assert_int_equal(version_of(copy, 1), 0);
    assert_int_equal(version_of(copy, 2), other);
    go_round(copy);
    assert_int_equal(version_in_tree(copy, 1), 0);
    assert_int_equal(version_in_tree(copy, 2), other);
    close_all(copy);
}

static void write_stored(struct fixture *f, uint32_t number, uint64_t version, size_t flipped)
{
    uint8_t key_bytes[TREE_KEY_LEN_MAX];
    uint8_t stored[RECORD_HEADER_LEN + 1] = {0};
    struct bytes key = key_of(number);
    const struct record record = {
        .point = point_of_key(key), .key = key, .value = bytes_of("\x02", 1), .version = version};
    struct bytes tree_key = bytes_of(key_bytes, record_key_encode(record.point, 0, key, key_bytes));
    record_header_encode(&record, tree_key, stored);
    stored[RECORD_HEADER_LEN] = 2;
    if (flipped > 0) {
        stored[flipped] ^= 0x80;
    }
    struct tree_txn *txn = tree_begin_write(f->tree);
    tree_put(txn, TREE_RECORDS, tree_key, bytes_of(stored, sizeof(stored)), bytes_of(NULL, 0));
    assert_int_equal(tree_commit(txn), TREE_FINE);
}

static void the_tree_takes_a_record_only_if_it_is_newer(void **state)
{
    struct fixture *f = *state;
    uint64_t version = put(f, 1);
    write_stored(f, 1, version + 5, 0);
    change(f, 2, LOG_DELETE, bytes_of(NULL, 0));
    write_stored(f, 2, version + 5, 0);
    make_durable(f);
    go_round(f);
    assert_int_equal(version_in_tree(f, 1), version + 5);
    assert_int_equal(version_in_tree(f, 2), version + 5);
}

/* Whoever replaced it was told so; the sweep took the broken version for a newer one and left it there. */
static void a_damaged_record_is_replaced_and_deleted_whatever_version_it_shows(void **state)
{
    struct fixture *f = *state;
    for (size_t flipped = 1; flipped <= RECORD_HEADER_LEN; flipped++) {
        write_stored(f, 1, 1, flipped);
        write_stored(f, 2, 1, flipped);
        uint64_t version = put(f, 1);
        change(f, 2, LOG_DELETE, bytes_of(NULL, 0));
        make_durable(f);
        go_round(f);
        assert_int_equal(version_in_tree(f, 1), version);
        assert_int_equal(version_in_tree(f, 2), 0);
    }
}

/* --- RULES S9, F1 --- */

static void keep_result(struct fixture *f, uint64_t seq)
{
    struct op op = {.kind = OP_INCR,
                    .key = key_of(1),
                    .point = point_of_key(key_of(1)),
                    .identity = {.client = {1}, .seq = seq, .done = 1}};
    struct outcome outcome = {.integer = (int64_t)seq};
    uint64_t need;
    assert_false(retry_answer(f->retries, &op, f->now_ms, &outcome, &need));
    retry_keep(f->retries, &op, &outcome, 0, f->now_ms);
}

static uint32_t count_in_tree(struct fixture *f, enum tree_database database)
{
    uint32_t count = 0;
    struct tree_txn *txn = tree_begin_read(f->tree);
    struct tree_cursor *cursor = tree_cursor_open(txn, database);
    for (bool more = tree_cursor_seek(cursor, bytes_of("", 1)); more;
         more = tree_cursor_next(cursor)) {
        count++;
    }
    tree_cursor_close(cursor);
    tree_abort(txn);
    return count;
}

static void results_are_swept_like_records_and_hold_the_log(void **state)
{
    struct fixture *f = *state;
    put(f, 1);
    keep_result(f, 1);
    go_round(f);
    assert_int_equal(count_in_tree(f, TREE_RESULTS), 0);
    assert_int_equal(sweep_applied(f->sweep), 0);
    make_durable(f);
    go_round(f);
    make_durable(f);
    go_round(f);
    assert_int_equal(count_in_tree(f, TREE_RESULTS), 1);
    assert_int_equal(count_in_tree(f, TREE_LINES), 1);
    assert_int_equal(sweep_applied(f->sweep), log_last(f->log));
}

/* The arcs are through long before the results are, of which a batch takes a few. */
static void the_log_is_held_until_the_last_result_is_swept(void **state)
{
    struct fixture *f = *state;
    put(f, 1);
    for (uint64_t seq = 1; seq <= 20; seq++) {
        keep_result(f, seq);
    }
    make_durable(f);
    while (sweep_applied(f->sweep) == 0) {
        begin_batch(f, 4);
        end_step(f);
        make_durable(f);
    }
    assert_int_equal(count_in_tree(f, TREE_RESULTS), 20);
}

static void large_values_do_not_go_all_at_once(void **state)
{
    struct fixture *f = *state;
    static uint8_t value[1 << 20] = {0xc6, 0x00, 0x0f, 0xff, 0xfb};
    struct sweep_stat stat;
    for (uint32_t i = 0; i < 20; i++) {
        change(f, i, LOG_PUT, bytes_of(value, sizeof(value)));
        make_durable(f);
    }
    step(f);
    sweep_stat(f->sweep, &stat);
    assert_int_equal(stat.record_count, 16);
    go_round(f);
    assert_int_equal(count_in_tree(f, TREE_RECORDS), 20);
    assert_int_equal(hot_dirty_len(f->hot), 0);
}

/* The tree's file may not grow. */
static void forbid_growth(const struct fixture *f, struct rlimit *before)
{
    char path[256];
    struct stat status;
    (void)snprintf(path, sizeof(path), "%s/tree", f->scratch.path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, before), 0);
    struct rlimit limit = {(rlim_t)status.st_size, before->rlim_max};
    if (limit.rlim_cur < SEGMENT_LEN) {
        limit.rlim_cur = SEGMENT_LEN;
    }
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void what_finds_no_space_stays_dirty_and_goes_when_there_is_some(void **state)
{
    struct fixture *f = *state;
    static uint8_t value[1000] = {0xc5, 0x03, 0xe5};
    for (uint32_t i = 0; i < 300; i++) {
        change(f, i, LOG_PUT, bytes_of(value, sizeof(value)));
        if (i % 20 == 0) {
            make_durable(f);
        }
    }
    keep_result(f, 1);
    make_durable(f);
    struct rlimit before;
    struct hot_stat hot;
    forbid_growth(f, &before);
    go_round(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    hot_stat(f->hot, &hot);
    assert_true(sweep_is_disk_full(f->sweep));
    sweep_retry(f->sweep);
    assert_int_equal(hot.dirty_count, 300);
    assert_true(retries_are_dirty(f->retries));
    assert_int_equal(sweep_applied(f->sweep), 0);
    go_round(f);
    make_durable(f);
    go_round(f);
    hot_stat(f->hot, &hot);
    assert_false(sweep_is_disk_full(f->sweep));
    assert_int_equal(hot.dirty_count, 0);
    assert_int_equal(count_in_tree(f, TREE_RECORDS), 300);
    assert_int_equal(count_in_tree(f, TREE_RESULTS), 1);
    assert_int_equal(sweep_applied(f->sweep), log_last(f->log));
}

/* RULES S2: a round in which a batch found no space is none. */
static void what_finds_no_space_holds_the_log(void **state)
{
    struct fixture *f = *state;
    static uint8_t value[1000] = {0xc5, 0x03, 0xe5};
    struct rlimit before;
    for (uint32_t i = 0; i < 300; i++) {
        change(f, i, LOG_PUT, bytes_of(value, sizeof(value)));
        if (i % 20 == 0) {
            make_durable(f);
        }
    }
    make_durable(f);
    forbid_growth(f, &before);
    go_round(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    sweep_retry(f->sweep);
    while (sweep_applied(f->sweep) == 0) {
        begin_batch(f, 4);
        end_step(f);
    }
    assert_int_equal(count_in_tree(f, TREE_RECORDS), 300);
}

/* It was deleted while only deletions were tried: nothing was left to try the rest with, and the disk was full for ever. */
static void where_nothing_is_left_that_needs_space_the_disk_is_not_full(void **state)
{
    struct fixture *f = *state;
    static uint8_t value[30000] = {0xc5, 0x75, 0x2d};
    struct rlimit before;
    for (uint32_t i = 0; i < 4; i++) {
        change(f, i, LOG_PUT, bytes_of(value, sizeof(value)));
        make_durable(f);
    }
    forbid_growth(f, &before);
    step(f);
    assert_true(sweep_is_disk_full(f->sweep));
    for (uint32_t i = 0; i < 4; i++) {
        change(f, i, LOG_DELETE, bytes_of(NULL, 0));
    }
    make_durable(f);
    for (int i = 0; i < 4; i++) {
        go_round(f);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(hot_dirty_len(f->hot), 0);
    assert_false(sweep_is_disk_full(f->sweep));
}

/* --- others' transactions --- */

static void on_cleared(void *context, bool is_done)
{
    struct fixture *f = context;
    f->cleared = is_done;
}

struct guest {
    struct job job; /* first */
    struct fixture *fixture;
    uint32_t run_count;
    uint32_t done_count;
};

/* On the worker: the only one who may write. */
static void run_guest(struct job *job)
{
    struct guest *guest = (struct guest *)job;
    struct tree_txn *txn = tree_begin_write(guest->fixture->tree);
    guest->run_count++;
    (void)tree_commit(txn);
}

static void guest_done(struct job *job)
{
    ((struct guest *)job)->done_count++;
}

static struct guest guest_of(struct fixture *f)
{
    return (struct guest){{.run = run_guest, .done = guest_done}, f, 0, 0};
}

static void batches_clearings_and_others_take_turns(void **state)
{
    struct fixture *f = *state;
    struct guest guests[2] = {guest_of(f), guest_of(f)};
    struct sweep_stat stat;
    for (uint32_t i = 0; i < 1000; i++) {
        put(f, i);
    }
    make_durable(f);
    for (uint32_t i = 1; i <= 4; i++) {
        f->cleared = -1;
        sweep_clear(f->sweep, 5, 6, on_cleared, f);
        sweep_lend(f->sweep, &guests[0].job, i % 2 == 0);
        sweep_lend(f->sweep, &guests[1].job, false);
        while (f->cleared == -1 || guests[1].done_count < i) {
            begin_batch(f, 10);
            assert_true(sweep_is_busy(f->sweep));
            end_step(f);
        }
        assert_int_equal(guests[0].done_count, i);
        assert_int_equal(guests[0].run_count, i);
        sweep_stat(f->sweep, &stat);
        assert_in_range(stat.batch_count, i, 2 * i);
    }
}

static void what_is_taken_back_does_not_run(void **state)
{
    struct fixture *f = *state;
    struct guest guests[3] = {guest_of(f), guest_of(f), guest_of(f)};
    for (int i = 0; i < 3; i++) {
        sweep_lend(f->sweep, &guests[i].job, false);
    }
    assert_true(sweep_take_back(f->sweep, &guests[2].job));
    assert_true(sweep_take_back(f->sweep, &guests[0].job));
    assert_false(sweep_take_back(f->sweep, &guests[0].job));
    sweep_lend(f->sweep, &guests[2].job, false);
    step(f);
    begin_step(f);
    assert_false(sweep_take_back(f->sweep, &guests[2].job));
    sweep_free(f->sweep);
    f->sweep = NULL;
    assert_int_equal(guests[0].run_count + guests[0].done_count, 0);
    assert_int_equal(guests[1].done_count, 1);
    assert_int_equal(guests[2].done_count, 1);
    assert_int_equal(guests[2].run_count, 1);
}

/* --- emptying, and the end --- */

static void an_interval_is_emptied_behind_the_batch_that_is_under_way(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < 1000; i++) {
        put(f, i);
    }
    make_durable(f);
    begin_step(f);
    f->cleared = -1;
    sweep_clear(f->sweep, 0, BOUND_END / 2, on_cleared, f);
    hot_clear(f->hot, 0, point_of_bound(BOUND_END / 2) - 1, false);
    assert_true(sweep_is_busy(f->sweep));
    end_step(f);
    assert_int_equal(f->cleared, -1);
    assert_true(count_in_tree(f, TREE_RECORDS) > 0);
    step(f);
    assert_int_equal(f->cleared, true);
    go_round(f);
    for (uint32_t i = 0; i < 1000; i++) {
        bool is_low = point_of_key(key_of(i)) >> 63 == 0;
        assert_int_equal(version_in_tree(f, i) == 0, is_low);
    }
}

static void an_end_in_the_middle_of_a_batch_loses_nothing(void **state)
{
    struct fixture *f = *state;
    put(f, 1);
    make_durable(f);
    uint64_t version = version_of(f, 1);
    keep_result(f, 1);
    make_durable(f);
    begin_step(f);
    sweep_free(f->sweep);
    f->sweep = NULL;
    struct fixture *copy = crash(f);
    assert_int_equal(version_of(copy, 1), version);
    close_all(copy);
}

/* What the batch before had held was given back a second time. */
static void an_end_while_an_interval_is_emptied_gives_back_no_batch(void **state)
{
    struct fixture *f = *state;
    put(f, 1);
    make_durable(f);
    keep_result(f, 1);
    make_durable(f);
    while (count_in_tree(f, TREE_RESULTS) == 0) {
        step(f);
    }
    sweep_clear(f->sweep, 0, BOUND_END / 2, on_cleared, f);
    begin_step(f);
    assert_true(sweep_is_busy(f->sweep));
    sweep_free(f->sweep);
    f->sweep = NULL;
    assert_int_equal(hot_dirty_len(f->hot), 0);
    assert_false(retries_are_dirty(f->retries));
}

static void a_drain_leaves_nothing_dirty(void **state)
{
    struct fixture *f = *state;
    char error[256];
    for (uint32_t i = 0; i < 10000; i++) {
        put(f, i);
    }
    change(f, 5, LOG_DELETE, bytes_of(NULL, 0));
    make_durable(f);
    assert_true(sweep_drain(f->sweep, error, sizeof(error)));
    assert_int_equal(hot_dirty_len(f->hot), 0);
    assert_int_equal(count_in_tree(f, TREE_RECORDS), 9999);
    assert_int_equal(sweep_applied(f->sweep), 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_durable_is_never_in_the_tree),
        TEST(random_writes_are_in_the_tree_only_when_durable),
        TEST(a_round_counts_only_when_all_that_it_passed_over_is_durable),
        TEST(applied_rises_though_something_is_always_on_its_way),
        TEST(with_nothing_dirty_all_that_is_durable_is_applied),
        TEST(the_log_is_freed_when_the_transaction_is_over_and_not_before),
        TEST(a_deletion_stays_until_it_is_swept),
        TEST(what_was_deleted_in_the_tree_is_not_brought_back_by_replay),
        TEST(the_tree_takes_a_record_only_if_it_is_newer),
        TEST(a_damaged_record_is_replaced_and_deleted_whatever_version_it_shows),
        TEST(results_are_swept_like_records_and_hold_the_log),
        TEST(the_log_is_held_until_the_last_result_is_swept),
        TEST(large_values_do_not_go_all_at_once),
        TEST(what_finds_no_space_stays_dirty_and_goes_when_there_is_some),
        TEST(what_finds_no_space_holds_the_log),
        TEST(where_nothing_is_left_that_needs_space_the_disk_is_not_full),
        TEST(batches_clearings_and_others_take_turns),
        TEST(what_is_taken_back_does_not_run),
        TEST(an_interval_is_emptied_behind_the_batch_that_is_under_way),
        TEST(an_end_in_the_middle_of_a_batch_loses_nothing),
        TEST(an_end_while_an_interval_is_emptied_gives_back_no_batch),
        TEST(a_drain_leaves_nothing_dirty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
