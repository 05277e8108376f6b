/* SPDX-License-Identifier: MIT */
#include "shardd/slice.h"

#include <inttypes.h>

#include "proto/stamp.h"
#include "tests/unit/dice.h"
#include "tests/unit/store_fixture.h"

/* Keys that there may be; what is there is in `versions`. */
enum { KEYS = 600 };

struct scan_fixture {
    struct store_fixture *store;
    struct dice dice;
    uint64_t versions[KEYS]; /* 0: not there */
    char keys[KEYS][16];
    bool is_seen[KEYS];
};

static void make_keys(struct scan_fixture *f)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        (void)snprintf(f->keys[i], sizeof(f->keys[i]), "%s%u", i % 3 == 0 ? "a" : "b", i);
    }
}

static int setup(void **state)
{
    static struct scan_fixture f;
    memset(&f, 0, sizeof(f));
    f.store = store_fixture_open();
    f.dice = dice_of(11);
    make_keys(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct scan_fixture *f = *state;
    store_fixture_free(f->store);
    return 0;
}

static void change_one(struct scan_fixture *f, uint32_t number, enum op_kind kind, uint64_t ttl_ms)
{
    struct op op = store_op(kind, f->keys[number]);
    op.ttl_ms = ttl_ms;
    const struct outcome *outcome = store_fixture_do(f->store, &op);
    assert_int_equal(outcome->status, STATUS_OK);
    f->versions[number] = kind == OP_WRITE && ttl_ms == 0 ? outcome->version : 0;
}

/* Writes, deletions, and records that are due a millisecond later. */
static void change_some(struct scan_fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = dice_below(&f->dice, KEYS);
        uint32_t roll = dice_below(&f->dice, 5);
        change_one(f, number, roll == 0 ? OP_DELETE : OP_WRITE, roll == 1);
    }
    uint64_t begun_ms = clock_wall_ms();
    while (clock_wall_ms() < begun_ms + 2) {
    }
}

static uint32_t number_of(const struct scan_fixture *f, struct bytes key)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        if (bytes_equal(key, bytes_text(f->keys[i]))) {
            return i;
        }
    }
    fail_msg("a key that was never written");
    return 0;
}

struct cursor {
    uint64_t point;
    uint8_t key[KEY_LEN_MAX];
    size_t key_len;
    bool is_end;
};

static void take_record(struct scan_fixture *f, struct unpack *in, const struct op *op)
{
    assert_int_equal(unpack_array(in), 8);
    uint32_t number = number_of(f, unpack_text(in));
    assert_false(f->is_seen[number]);
    f->is_seen[number] = true;
    if (op->keys_only) {
        unpack_nil(in);
    } else {
        assert_int_equal(unpack_uint(in), 1);
    }
    assert_int_equal(unpack_uint(in), f->versions[number]);
    assert_int_equal(unpack_int(in), -1);
    assert_int_equal(unpack_uint(in), strlen(f->keys[number]) + 1 + RECORD_OVERHEAD);
    for (int i = 0; i < 3; i++) {
        (void)unpack_skip(in);
    }
}

static void scan_once(struct scan_fixture *f, const struct op *options, struct cursor *cursor)
{
    struct op op = *options;
    op.point = cursor->point;
    op.key = bytes_of(cursor->key, cursor->key_len);
    const struct outcome *outcome = store_fixture_do(f->store, &op);
    assert_int_equal(outcome->status, STATUS_OK);
    struct unpack in = unpack_of(outcome->value);
    assert_int_equal(unpack_array(&in), 3);
    uint32_t count = unpack_array(&in);
    assert_true(count <= op.limit);
    for (uint32_t i = 0; i < count; i++) {
        take_record(f, &in, &op);
    }
    if (unpack_peek(&in) == UNPACK_NIL) {
        unpack_nil(&in);
        cursor->is_end = true;
    } else {
        assert_int_equal(unpack_array(&in), 2);
        cursor->point = unpack_uint(&in);
        struct bytes key = unpack_text(&in);
        memcpy(cursor->key, key.data, key.len);
        cursor->key_len = key.len;
    }
    assert_int_equal(unpack_uint(&in), BOUND_END);
    assert_true(unpack_is_done(&in));
}

static void scan_all(struct scan_fixture *f, const struct op *options)
{
    struct cursor cursor = {0};
    memset(f->is_seen, 0, sizeof(f->is_seen));
    while (!cursor.is_end) {
        scan_once(f, options, &cursor);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        bool is_asked = options->prefix.len == 0 || f->keys[i][0] == 'a';
        assert_int_equal(f->is_seen[i], is_asked && f->versions[i] != 0);
    }
}

static void scan_in_all_ways(struct scan_fixture *f)
{
    static const uint32_t limits[] = {1, 7, 100, SCAN_RECORDS_MAX};
    for (int i = 0; i < 4; i++) {
        struct op op = {.kind = OP_SCAN, .limit = limits[i]};
        op.keys_only = dice_below(&f->dice, 2) == 0;
        op.prefix = dice_below(&f->dice, 2) == 0 ? bytes_text("a") : bytes_of(NULL, 0);
        scan_all(f, &op);
    }
}

/* What is dirty, clean, cold, deleted and due lies side by side. */
static void a_scan_gives_all_that_is_there_once_wherever_it_is(void **state)
{
    struct scan_fixture *f = *state;
    for (int round = 0; round < 3; round++) {
        change_some(f, 300);
        scan_in_all_ways(f);
        store_fixture_make_cold(f->store);
        scan_in_all_ways(f);
        change_some(f, 100);
        scan_in_all_ways(f);
        for (uint32_t i = 0; i < 50; i++) {
            struct op op = store_op(OP_READ, f->keys[dice_below(&f->dice, KEYS)]);
            store_fixture_do(f->store, &op);
        }
        scan_in_all_ways(f);
    }
}

/* More dirty records than one slice copies, deletions among them. */
static void many_dirty_records_end_a_slice_and_the_next_goes_on_behind_them(void **state)
{
    struct scan_fixture *f = *state;
    enum { COUNT = 10000 };
    char key[16];
    for (uint32_t i = 0; i < COUNT; i++) {
        (void)snprintf(key, sizeof(key), "key%u", i);
        struct op op = store_op(i % 2 == 0 ? OP_WRITE : OP_DELETE, key);
        store_fixture_submit(f->store, &op);
        if (i % 2 == 1) {
            (void)snprintf(key, sizeof(key), "key%u", i - 1);
            op = store_op(i % 4 == 1 ? OP_DELETE : OP_EXISTS, key);
            store_fixture_submit(f->store, &op);
        }
    }
    store_fixture_wait(f->store);
    struct op op = {.kind = OP_SCAN, .limit = SCAN_RECORDS_MAX, .keys_only = true};
    uint32_t count = 0;
    uint32_t slice_count = 0;
    static uint8_t last_key[KEY_LEN_MAX];
    bool is_end = false;
    while (!is_end) {
        const struct outcome *outcome = store_fixture_do(f->store, &op);
        struct unpack in = unpack_of(outcome->value);
        (void)unpack_array(&in);
        uint32_t record_count = unpack_array(&in);
        for (uint32_t i = 0; i < record_count; i++) {
            (void)unpack_skip(&in);
        }
        count += record_count;
        slice_count++;
        is_end = unpack_peek(&in) == UNPACK_NIL;
        if (!is_end) {
            (void)unpack_array(&in);
            op.point = unpack_uint(&in);
            struct bytes cursor_key = unpack_text(&in);
            memcpy(last_key, cursor_key.data, cursor_key.len);
            op.key = bytes_of(last_key, cursor_key.len);
        }
    }
    assert_int_equal(count, COUNT / 4);
    assert_true(slice_count > 1);
}

/* RULES R1: a scan depends on the server's last stamp, R3: and on the time that hid what is due. */
static void a_scan_that_hides_what_is_due_waits_for_a_stamp_of_that_time(void **state)
{
    struct scan_fixture *f = *state;
    change_one(f, 1, OP_WRITE, 0);
    uint64_t last = store_last_stamp(f->store->store);
    struct op scan = {.kind = OP_SCAN, .limit = 10};
    assert_int_equal(store_fixture_do(f->store, &scan)->need, last);
    struct op op = store_op(OP_WRITE, f->keys[0]);
    op.ttl_ms = 1;
    uint64_t expiry_ms = stamp_ms(store_fixture_do(f->store, &op)->version) + 1;
    while (clock_wall_ms() <= expiry_ms + 1) {
    }
    assert_true(store_fixture_do(f->store, &scan)->need >= stamp_of_ms(expiry_ms));
    last = store_last_stamp(f->store->store);
    assert_int_equal(store_fixture_do(f->store, &scan)->need, last);
}

static bool has_no_slice(struct store_fixture *f)
{
    return f->answers[f->answer_count - 2].is_done;
}

/* Something else raised the last stamp beyond that time meanwhile: nothing was waited for. */
static void what_others_do_during_a_scan_does_not_stand_for_its_time(void **state)
{
    struct scan_fixture *f = *state;
    struct op scan = {.kind = OP_SCAN, .limit = 10};
    struct op op = store_op(OP_WRITE, f->keys[0]);
    op.ttl_ms = 1;
    uint64_t expiry_ms = stamp_ms(store_fixture_do(f->store, &op)->version) + 1;
    while (clock_wall_ms() <= expiry_ms + 1) {
    }
    uint32_t number = store_fixture_submit(f->store, &scan);
    store_fixture_end_turn(f->store);
    op = store_op(OP_WRITE, f->keys[1]);
    store_fixture_submit(f->store, &op);
    store_fixture_run(f->store, has_no_slice);
    assert_true(store_fixture_answer(f->store, number)->need >= stamp_of_ms(expiry_ms));
    store_fixture_wait(f->store);
}

/* --- RULES S10 --- */

static void stop(struct store_fixture *store)
{
    store->is_over = false;
    store_stop(store->store, store_fixture_on_stopped, store);
    store_fixture_run(store, store_fixture_is_over);
    store_fixture_kill(store);
}

/* The last byte of what the tree has of the key. */
static void flip(struct tree_txn *txn, const char *text)
{
    uint8_t key[TREE_KEY_LEN_MAX];
    uint8_t copy[256];
    struct bytes stored;
    struct bytes at =
        bytes_of(key, record_key_encode(point_of_key(bytes_text(text)), 0, bytes_text(text), key));
    assert_true(tree_get(txn, TREE_RECORDS, at, &stored));
    assert_true(stored.len <= sizeof(copy));
    memcpy(copy, stored.data, stored.len);
    copy[stored.len - 1] ^= 1;
    tree_put(txn, TREE_RECORDS, at, bytes_of(copy, stored.len), bytes_of(NULL, 0));
}

/* All that is there is in the tree, where each `step`-th is damaged. Returns how many are. */
static uint32_t damage(struct scan_fixture *f, uint32_t step)
{
    char error[256];
    uint32_t count = 0;
    store_fixture_make_cold(f->store);
    stop(f->store);
    struct tree *tree = tree_open(f->store->scratch.path, error, sizeof(error));
    assert_non_null(tree);
    struct tree_txn *txn = tree_begin_write(tree);
    for (uint32_t i = 0; i < KEYS; i += step) {
        flip(txn, f->keys[i]);
        count++;
    }
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
    store_fixture_start(f->store);
    return count;
}

static void write_all(struct scan_fixture *f)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        change_one(f, i, OP_WRITE, 0);
    }
}

/* Takes the page's damaged records; returns how many, or UINT32_MAX at the end of all. */
static uint32_t take_page(struct scan_fixture *f, const struct outcome *outcome, struct op *op,
                          uint32_t *record_count)
{
    static uint8_t last_key[KEY_LEN_MAX];
    struct unpack in = unpack_of(outcome->value);
    assert_int_equal(unpack_array(&in), 4);
    uint32_t count = unpack_array(&in);
    *record_count += count;
    for (uint32_t i = 0; i < count; i++) {
        take_record(f, &in, op);
    }
    bool is_end = unpack_peek(&in) == UNPACK_NIL;
    if (is_end) {
        unpack_nil(&in);
    } else {
        assert_int_equal(unpack_array(&in), 2);
        op->point = unpack_uint(&in);
        struct bytes key = unpack_text(&in);
        memcpy(last_key, key.data, key.len);
        op->key = bytes_of(last_key, key.len);
    }
    assert_int_equal(unpack_uint(&in), BOUND_END);
    uint32_t damaged_count = unpack_array(&in);
    assert_true(damaged_count <= SLICE_DAMAGED_MAX);
    for (uint32_t i = 0; i < damaged_count; i++) {
        assert_int_equal(unpack_array(&in), 3);
        uint64_t point = unpack_uint(&in);
        struct bytes key = unpack_text(&in);
        uint32_t number = number_of(f, key);
        assert_int_equal(point, point_of_key(key));
        assert_false(f->is_seen[number]);
        f->is_seen[number] = true;
        assert_true(
            bytes_equal(unpack_text(&in), bytes_text("the stored record fails its checksum")));
    }
    assert_true(unpack_is_done(&in));
    return is_end ? UINT32_MAX : damaged_count;
}

static void assert_passes_over(struct scan_fixture *f, uint32_t step, uint32_t limit)
{
    uint32_t damaged_count = damage(f, step);
    uint32_t record_count = 0;
    struct op op = {.kind = OP_SCAN, .limit = limit, .skip_damaged = true};
    memset(f->is_seen, 0, sizeof(f->is_seen));
    while (true) {
        const struct outcome *outcome = store_fixture_do(f->store, &op);
        assert_int_equal(outcome->status, STATUS_OK);
        if (take_page(f, outcome, &op, &record_count) == UINT32_MAX) {
            break;
        }
    }
    assert_int_equal(record_count, KEYS - damaged_count);
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_true(f->is_seen[i]);
    }
}

/* It stopped the scan of its range for good, with no word of where it is. */
static void damaged_records_are_told_and_passed_over(void **state)
{
    struct scan_fixture *f = *state;
    write_all(f);
    assert_passes_over(f, 7, SCAN_RECORDS_MAX);
}

static void more_damaged_records_than_a_slice_tells_of_are_told_by_the_next(void **state)
{
    struct scan_fixture *f = *state;
    write_all(f);
    assert_passes_over(f, 1, 10);
}

static void a_scan_fails_at_a_damaged_record_names_it_and_gives_all_before_it(void **state)
{
    struct scan_fixture *f = *state;
    struct cursor cursor = {.point = 0};
    write_all(f);
    damage(f, 300);
    memset(f->is_seen, 0, sizeof(f->is_seen));
    struct op options = {.kind = OP_SCAN, .limit = SCAN_RECORDS_MAX};
    uint64_t first = point_of_key(bytes_text(f->keys[0]));
    uint64_t other = point_of_key(bytes_text(f->keys[300]));
    uint32_t number = other < first ? 300 : 0;
    first = other < first ? other : first;
    scan_once(f, &options, &cursor);
    assert_false(cursor.is_end);
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_int_equal(f->is_seen[i], point_of_key(bytes_text(f->keys[i])) < first);
    }
    struct op op = options;
    op.point = cursor.point;
    op.key = bytes_of(cursor.key, cursor.key_len);
    const struct outcome *outcome = store_fixture_do(f->store, &op);
    assert_int_equal(outcome->status, STATUS_DAMAGED);
    assert_int_equal(outcome->reason, OP_REASON_RECORD_DAMAGED);
    struct unpack in = unpack_of(outcome->value);
    assert_int_equal(unpack_array(&in), 2);
    assert_int_equal(unpack_uint(&in), first);
    assert_true(bytes_equal(unpack_text(&in), bytes_text(f->keys[number])));
    assert_true(unpack_is_done(&in));
    /* What is written anew hides it. */
    change_one(f, number, OP_WRITE, 0);
    assert_int_equal(store_fixture_do(f->store, &op)->status, STATUS_OK);
}

static void a_scan_stays_in_its_range(void **state)
{
    struct scan_fixture *f = *state;
    static const struct range halves[] = {
        {.end = BOUND_END / 2, .limit = STORE_TEST_LIMIT},
        {.start = BOUND_END / 2, .end = BOUND_END, .limit = STORE_TEST_LIMIT}};
    change_some(f, 100);
    store_fixture_own(f->store, halves, 2);
    uint32_t count = 0;
    uint32_t there = 0;
    for (uint32_t i = 0; i < 2; i++) {
        struct op scan = {.kind = OP_SCAN, .limit = 1000, .point = point_of_bound(halves[i].start)};
        struct unpack in = unpack_of(store_fixture_do(f->store, &scan)->value);
        (void)unpack_array(&in);
        uint32_t record_count = unpack_array(&in);
        for (uint32_t j = 0; j < record_count; j++) {
            (void)unpack_array(&in);
            uint64_t point = point_of_key(unpack_text(&in));
            assert_true(point_in(point, halves[i].start, halves[i].end));
            for (int k = 0; k < 7; k++) {
                (void)unpack_skip(&in);
            }
        }
        count += record_count;
        unpack_nil(&in);
        assert_int_equal(unpack_uint(&in), halves[i].end);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        there += f->versions[i] != 0;
    }
    assert_int_equal(count, there);
}

static void a_scan_elsewhere_or_too_late_is_refused(void **state)
{
    struct scan_fixture *f = *state;
    static const struct range lower[] = {{.end = BOUND_END / 2, .limit = STORE_TEST_LIMIT}};
    struct op late = {.kind = OP_SCAN, .limit = 1, .deadline_us = 1};
    assert_int_equal(store_fixture_do(f->store, &late)->status, STATUS_TRY_LATER);
    store_fixture_own(f->store, lower, 1);
    struct op elsewhere = {.kind = OP_SCAN, .limit = 1, .point = UINT64_MAX};
    assert_int_equal(store_fixture_do(f->store, &elsewhere)->status, STATUS_WRONG_SHARD);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_scan_gives_all_that_is_there_once_wherever_it_is),
        TEST(many_dirty_records_end_a_slice_and_the_next_goes_on_behind_them),
        TEST(a_scan_that_hides_what_is_due_waits_for_a_stamp_of_that_time),
        TEST(what_others_do_during_a_scan_does_not_stand_for_its_time),
        TEST(damaged_records_are_told_and_passed_over),
        TEST(more_damaged_records_than_a_slice_tells_of_are_told_by_the_next),
        TEST(a_scan_fails_at_a_damaged_record_names_it_and_gives_all_before_it),
        TEST(a_scan_stays_in_its_range),
        TEST(a_scan_elsewhere_or_too_late_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
